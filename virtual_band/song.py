"""A song: score, parts, mix and annotations.

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audio_processing.loudness import FRAME_RATE, frame_times, loudness
from common.checks import expect
from virtual_band import bass, drums, keys, voice
from virtual_band.artist import Artist, is_whole
from virtual_band.artist import artist as find_artist
from virtual_band.mix import mix
from virtual_band.score import Score, write_score

SAMPLE_RATE = 44100
WORDS = (
    "Amber Anchor Autumn Harbour Candle Copper Distance Echo Ember Evening Feather Ferry Garden Glass Gravel "
    "Hollow Island Juniper Kite Lantern Letter Marble Meadow Mirror Morning Needle Northern Orchard Paper Pebble "
    "Quarry Rain River Salt Shadow Silver Station Summer Thread Tide Tower Velvet Violet Walnut Water Willow "
    "Window Winter"
).split()


@dataclass(frozen=True, eq=False)
class Song:
    """A rendered song.

    Attributes
    ----------
    name : str
        "Artist - Title".
    artist : Artist
    seed : int
        number of the song.
    score : Score
        notes in seconds.
    stems : dict of str to np.ndarray, float32, (2, samples)
        drums, bass, other, vocals.
    mixture : np.ndarray, float32, (2, samples)
        their sum.
    f0 : dict of str to np.ndarray, float32, (samples,)
        fundamental frequency of bass and vocals in Hz at every sample, 0 where there is none.
    sample_rate : int
        in Hz.
    annotations : dict of str to np.ndarray
        `frame_rate` and `times` (seconds) of the frames; per pitched source `f0_SOURCE` (Hz) and `voiced_SOURCE`; per
        source `notes_SOURCE` (rows of start, duration, MIDI number, velocity) and `loudness_SOURCE` (dB, see
        `audio_processing.loudness`). Computed at first use.
    """

    name: str
    artist: Artist
    seed: int
    score: Score
    stems: dict[str, np.ndarray]
    mixture: np.ndarray
    f0: dict[str, np.ndarray] = field(repr=False)
    sample_rate: int = SAMPLE_RATE

    @cached_property
    def annotations(self):
        last = self.mixture.shape[-1] - 1
        times = frame_times(last + 1, self.sample_rate)
        nearest = np.minimum(np.round(times * self.sample_rate).astype(int), last)
        values = {"frame_rate": np.array(FRAME_RATE), "times": times}
        for source, f0 in self.f0.items():
            values |= {f"f0_{source}": f0[nearest], f"voiced_{source}": f0[nearest] > 0}
        for source, notes in self.score.parts.items():
            values[f"notes_{source}"] = np.array([note[:4] for note in notes], dtype=np.float32).reshape(-1, 4)
        for source, stem in self.stems.items():
            values[f"loudness_{source}"] = loudness(stem.mean(axis=0), self.sample_rate)
        return values


def generators(artist, seed):
    """The random generators of a song, one for each step.

    Parameters
    ----------
    artist : Artist
    seed : int
        number of the song.

    Returns
    -------
    dict of str to numpy.random.Generator
        for score, drums, bass, other, vocals, mix and title.
    """
    steps = ("score", "drums", "bass", "other", "vocals", "mix", "title")
    return dict(zip(steps, np.random.default_rng([artist.seed, int(seed), 2]).spawn(len(steps))))


def check_count(name, value):
    """Raise ValueError unless the value is a whole number, 0 or more."""
    expect(is_whole(value) and value >= 0, name, "a whole number, 0 or more", repr(value))


def check_seconds(seconds):
    """A song's length as a float; raises ValueError unless it is a number from 0.5 to 3600."""
    fits = isinstance(seconds, (int, float, np.number)) and 0.5 <= seconds <= 3600
    expect(fits, "seconds", "a length from 0.5 to 3600", repr(seconds))
    return float(seconds)


def render_song(artist, seed, seconds=20.0, *, other=True):
    """Write, play and mix a song.

    Every step draws from a random generator of its own, so that changing one instrument leaves score and other parts
    alone.

    Parameters
    ----------
    artist : Artist, int or str
        as for `artist.artist`.
    seed : int
        number of the song, 0 or more; the same artist, number and length give the same samples.
    seconds : float
        length, from 0.5 to 3600.
    other : bool
        whether the chordal instrument plays. Without it the band is a trio and the stem `other` is silent.

    Returns
    -------
    Song

    Raises
    ------
    ValueError
        if the artist is unknown, the seed negative, or the length out of range.

    See Also
    --------
    dataset.build_set : writes whole sets of songs to files.

    Examples
    --------
    >>> song = render_song("Ada Amsel", seed=1, seconds=0.5, other=False)
    >>> song.mixture.shape, song.sample_rate
    ((2, 22050), 44100)
    >>> sorted(song.stems)
    ['bass', 'drums', 'other', 'vocals']
    >>> song.annotations["f0_vocals"].shape  # 250 frames per second
    (125,)
    """
    who = find_artist(artist)
    check_count("seed", seed)
    seconds = check_seconds(seconds)
    draw = generators(who, seed)
    score = write_score(who.style, seconds, who.bass.lowest, (who.voice.low, who.voice.high), draw["score"])
    # a note that starts in the last hundredths of a second would be nothing but a click
    parts = {part: tuple(n for n in notes if n.start < seconds - 0.02) for part, notes in score.parts.items()}
    size = int(round(seconds * SAMPLE_RATE)), SAMPLE_RATE
    dry, f0 = {"drums": drums.render(parts["drums"], who.kit, *size, draw["drums"])}, {}
    dry["bass"], f0["bass"] = bass.render(parts["bass"], who.bass, *size, draw["bass"])
    if other:
        dry["other"] = keys.render(parts["other"], who.chords, *size, draw["other"])
    dry["vocals"], f0["vocals"] = voice.render(parts["vocals"], who.voice, *size, draw["vocals"])
    stems, mixture = mix(dry, who.desk, SAMPLE_RATE, draw["mix"])
    title = " ".join(str(word) for word in draw["title"].choice(WORDS, 2, replace=False))
    return Song(f"{who.name} - {title}", who, int(seed), Score(score.plan, parts), stems, mixture, f0)
