"""Write, play and mix songs of 20 s with four stems, on one core, against the time that it takes to hear them."""

import statistics
import time

import virtual_band
from benchmarks.timing import peak_mb

SECONDS = 20.0
ARTISTS = (3, 41, 42, 43, 44)


def run():
    """One record. `ratio` is how many times faster than real time a song of an artist is made whose kit is at hand."""
    taken = []
    for artist in ARTISTS:
        virtual_band.render_song(artist, 1, 1.0)  # compiles, and builds the kit
        begun = time.perf_counter()
        song = virtual_band.render_song(artist, 2, SECONDS)
        taken.append(time.perf_counter() - begun)
    ours = statistics.median(taken)
    return [
        {
            "benchmark": "band_render",
            "ours_s": ours,
            "peer": "the song's duration (real time)",
            "peer_s": SECONDS,
            "ratio": SECONDS / ours,
            "max_error": float(abs(sum(song.stems.values()) - song.mixture).max()),
            "peak_mb": peak_mb(lambda: virtual_band.render_song(ARTISTS[0], 2, SECONDS)),
            "peer_peak_mb": 0.0,
        }
    ]
