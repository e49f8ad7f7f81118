"""What every separator promises, as errors that should be 0: length, level, silence, sum, chunks, order of songs.

And what the scores of separators that take stems out of a mixture promise: better than the mixture, and of masks no
better than the oracle. Which promise binds which separator follows from its `kind` in the catalogue.
"""

import tempfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import load, save
from common import results
from common.places import HERE, ROOT
from experiments.catalogue import TEST_SETS
from separate import SEPARATORS, separate, separate_file, separator

ORACLE = "psm"
"""The phase-sensitive mask, the best of the real masks: no mask between 0 and 1 gets above it. Waveforms and complex
masks are not bound by it: of an artist that they were trained on they know more than such a mask can express."""
GAIN_LIMIT, LEVEL_LIMIT = 2e-3, 3.0
"""Largest error of `gain_error`; of `level_error` in dB."""
TURNS = (np.diag([1.0, -1.0]), np.eye(2)[::-1])
"""What is done to a stereo image: one side inverted, sides swapped."""
SUM_LIMIT, CHUNK_LIMIT = 1e-6, -100.0
"""Largest errors of `file_errors`."""


def available():
    """Names of the separators whose weights are here."""
    return [row.name for row in SEPARATORS.values() if all((ROOT / path).exists() for path in row.weights)]


def song(samples, channels=1, rate=16000, seed=0):
    """Something like music at 0.3 of full scale: chords under a beat, (channels, samples)."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    tones = sum(np.sin(2 * np.pi * f * t + p) for f, p in zip(rng.uniform(60, 900, 6), rng.uniform(0, 6, 6)))
    beat = rng.standard_normal(samples) * np.exp(-(t % 0.5) * 30)
    sides = 1 - 0.5 * rng.random((channels, 1))
    return np.clip(sides * (0.04 * tones + 0.2 * beat), -1, 1).astype(np.float32)


def length_error(model, audio, rate):
    """How many stems are not shaped like the mixture, float32 and finite."""
    stems = separate(audio, rate, model).values()
    return sum(s.shape != audio.shape or s.dtype != np.float32 or not np.isfinite(s).all() for s in stems)


def gain_error(model, audio, rate, gain):
    """Largest difference of the stems of a louder song from its stems made louder, relative to that song's peak."""
    louder, stems = separate(gain * audio, rate, model), separate(audio, rate, model)
    peak = np.abs(gain * audio).max()
    return float(np.max([np.abs(louder[name] - gain * stems[name]).max() / peak for name in stems]))  # NaN stays NaN


def level_error(model, audio, rate, gain):
    """By how many dB the level of a louder song's stems, all together, differs from that of its stems made louder."""
    louder, quieter = (
        sum(np.mean(stem**2) for stem in separate(mixture, rate, model).values()) for mixture in (gain * audio, audio)
    )
    return float(abs(10 * np.log10(louder / (gain**2 * quieter))))


def gain_promise(model):
    """What is promised of a louder song: a name, the function of the error, by how many dB it may be louder, the
    largest error, and its unit.

    Decoders were trained on loudness in dB, and resynthesise a louder song with another timbre: there the level alone
    follows.
    """
    if SEPARATORS[model].kind == "resynthesis":
        return "level in = level out", level_error, 6.0, LEVEL_LIMIT, "dB"
    return "gain in = gain out", gain_error, 60.0, GAIN_LIMIT, ""


def loudest_of_silence(model, channels, samples, rate):
    """Largest sample of the stems of silence."""
    stems = separate(np.zeros((channels, samples), np.float32), rate, model)
    return float(np.max([np.abs(stem).max() for stem in stems.values()]))


def ghosts(model, silent):
    """Largest sample of the stems in a channel that is silent, one of three."""
    audio = song(16000, 3)
    audio[silent] = 0
    return float(np.max([np.abs(stem[silent]).max() for stem in separate(audio, 16000, model).values()]))


def turn_error(model, turn):
    """Largest difference of the stems of a song whose stereo image is turned from its stems turned, relative to the
    song's peak; `turn` is an orthogonal matrix, (2, 2)."""
    audio = song(16000, 2)
    stems, other = (separate(x, 16000, model) for x in (audio, (turn @ audio).astype(np.float32)))
    return float(np.max([np.abs(other[name] - turn @ stems[name]).max() for name in stems]) / np.abs(audio).max())


def longer_than_a_chunk(model, rate=8000):
    """A song that a separator separates in two chunks."""
    return song(int(1.3 * separator(model).chunk_seconds * rate), 1, rate)


def file_errors(model, audio, rate):
    """A song as a file and as an array.

    Returns
    -------
    sum_error : float
        largest difference of the sum of all files that were written, residual included, from the song.
    chunk_error : float
        energy of the difference between a file's stem and the array's, relative to the song's, in dB; the largest.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        save(path, audio, rate)
        stems = {file.stem: load(file)[0] for file in separate_file(path, model, folder, progress=False)}
    sum_error = float(np.abs(sum(stems.values()) - audio).max())
    whole = separate(audio, rate, model)
    differences = [np.mean((stems[name] - whole[name]) ** 2) / np.mean(audio**2) for name in whole]
    return sum_error, 10 * float(np.log10(np.max(differences) + 1e-20))


def order_error(model, songs, rate):
    """Largest difference of a song's stems after other songs from those before them."""
    first = [separate(audio, rate, model) for audio in songs]
    again = [separate(audio, rate, model) for audio in reversed(songs)][::-1]
    return float(np.max([np.abs(a[name] - b[name]).max() for a, b in zip(first, again) for name in a]))


def compared():
    """(test set, model) of every separator that takes stems out of a mixture, where it is scored by default."""
    return [
        (test_set.name, row.name)
        for test_set in TEST_SETS.values()
        for row in SEPARATORS.values()
        if test_set.place == "band" and row.kind in ("mask", "waveform") and test_set.scores(row)
    ]


def margins(test_set, model, places=HERE):
    """By how many dB of SI-SDR a model is above the mixture, and a mask below the oracle, for every song and stem.

    Parameters
    ----------
    test_set, model : str
        see `compared`.
    places : common.places.Places

    Returns
    -------
    above, below : list of float
        all of which should be positive; `below` is empty if the model's stems are not made by a real mask.

    Raises
    ------
    common.results.ResultsError
        if scores are missing or damaged.
    """

    def scores(system):
        records = results.read(results.score_path(test_set, system, places))["records"]
        return {(r["track"], r["source"]): r["value"] for r in records if r["metric"] == "si_sdr"}

    mixture, estimates, oracle = (scores(system) for system in ("mixture", model, ORACLE))
    shared = [key for key in estimates if key in mixture]  # of drums against the rest the drums alone
    bound = shared if SEPARATORS[model].kind == "mask" else []
    return [estimates[key] - mixture[key] for key in shared], [oracle[key] - estimates[key] for key in bound]
