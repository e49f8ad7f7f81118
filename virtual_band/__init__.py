"""Chapter 1: a band with annotated notes, pitch, voicing and loudness, played by a program.

    import virtual_band
    song = virtual_band.render_song(0, seed=7, seconds=20)
    song.mixture, song.stems["vocals"], song.annotations["f0_vocals"]

`python -m virtual_band` writes the data sets.

Notebook: virtual_band/dataset_report.ipynb
"""

from virtual_band.artist import Artist, artist
from virtual_band.song import SAMPLE_RATE, Song, render_song

__all__ = ["SAMPLE_RATE", "Artist", "Song", "artist", "render_song"]

from common import terminal

terminal.interrupt_quietly()
