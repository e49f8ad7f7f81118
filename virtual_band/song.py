"""A song: score, parts, mix, and what is known about it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audio_processing.loudness import FRAME_RATE, frame_times, loudness
from virtual_band import bass, drums, keys, voice
from virtual_band.artist import Artist
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
    score : Score
        Notes in seconds.
    stems : dict of str -> np.ndarray, shape (2, samples), float32
        drums, bass, other, vocals.
    mixture : np.ndarray, shape (2, samples), float32
        Their sum.
    f0 : dict of str -> np.ndarray, shape (samples,), float32
        Fundamental of bass and vocals in Hz at every sample, 0 where there is none.
    sample_rate : int
        Hz.
    annotations : dict of str -> np.ndarray
        See `annotations.annotate`; computed when first asked for.
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
        n_samples = self.mixture.shape[-1]
        times = frame_times(n_samples, self.sample_rate)
        at = np.minimum(np.round(times * self.sample_rate).astype(int), n_samples - 1)
        known = {"frame_rate": np.array(FRAME_RATE), "times": times}
        for source, f0 in self.f0.items():
            known[f"f0_{source}"] = f0[at]
            known[f"voiced_{source}"] = f0[at] > 0
        for source, notes in self.score.parts.items():
            rows = [(note.start, note.duration, note.pitch, note.velocity) for note in notes]
            known[f"notes_{source}"] = np.array(rows, dtype=np.float32).reshape(-1, 4)
        for source, stem in self.stems.items():
            known[f"loudness_{source}"] = loudness(stem.mean(axis=0), self.sample_rate)
        return known


def generators(artist, seed):
    """The random generators of a song, one for each step: score, drums, bass, other, vocals, mix, title.

    Parameters
    ----------
    artist : Artist
    seed : int
        Number of the song.

    Returns
    -------
    dict of str -> numpy.random.Generator
    """
    steps = ("score", "drums", "bass", "other", "vocals", "mix", "title")
    return dict(zip(steps, np.random.default_rng([artist.seed, int(seed), 2]).spawn(len(steps))))


def render_song(artist, seed, seconds=20.0, *, other=True):
    """Write, play and mix a song.

    Every step draws from a random generator of its own, so that changing one instrument leaves score and other parts
    alone.

    Parameters
    ----------
    artist : Artist, int or str
        See `artist.artist`.
    seed : int
        Number of the song, 0 or more; the same artist, number and length give the same samples.
    seconds : float
        Length, 0.5 or more.
    other : bool
        Whether the chordal instrument plays. Without it the band is a trio and the stem `other` is silent.

    Returns
    -------
    Song

    Raises
    ------
    ValueError
        for an unknown artist, a negative seed, or a length below 0.5 s or above an hour.
    """
    who = find_artist(artist)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed: found {seed!r}, expected a whole number, 0 or more")
    try:
        long_enough = 0.5 <= float(seconds) <= 3600.0
    except (TypeError, ValueError):
        long_enough = False
    if not long_enough:
        raise ValueError(f"seconds: found {seconds!r}, expected a length from 0.5 to 3600")
    seconds = float(seconds)
    draw = generators(who, seed)
    score = write_score(who.style, seconds, who.bass.lowest, (who.voice.low, who.voice.high), draw["score"])
    n = int(round(seconds * SAMPLE_RATE))
    parts = {source: [note for note in notes if note.start < seconds - 0.02] for source, notes in score.parts.items()}

    dry, f0 = {}, {}
    dry["drums"] = drums.render(parts["drums"], who.kit, n, SAMPLE_RATE, draw["drums"])
    dry["bass"], f0["bass"] = bass.render(parts["bass"], who.bass, n, SAMPLE_RATE, draw["bass"])
    if other:
        dry["other"] = keys.render(parts["other"], who.chords, n, SAMPLE_RATE, draw["other"])
    dry["vocals"], f0["vocals"] = voice.render(parts["vocals"], who.voice, n, SAMPLE_RATE, draw["vocals"])
    stems, mixture = mix(dry, who.desk, SAMPLE_RATE, draw["mix"])
    title = " ".join(str(word) for word in draw["title"].choice(WORDS, 2, replace=False))
    return Song(
        f"{who.name} - {title}",
        who,
        int(seed),
        Score(score.plan, {s: tuple(p) for s, p in parts.items()}),
        stems,
        mixture,
        f0,
    )
