"""What every separator promises, as numbers that should be 0: length, level, silence, sum, chunks, order of songs."""

import tempfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import load, save
from separate import SEPARATORS, separate, separate_file, separator


def available():
    """Names of the separators whose weights and packages are here, each loaded when it is asked for."""
    for name in SEPARATORS:
        try:
            separator(name)
        except (ValueError, OSError, ImportError):  # weights or a package are missing
            continue
        yield name


def song(samples, channels=1, rate=16000, seed=0):
    """Something like music at 0.3 of full scale: chords under a beat, (channels, samples)."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    tones = sum(np.sin(2 * np.pi * f * t + p) for f, p in zip(rng.uniform(60, 900, 6), rng.uniform(0, 6, 6)))
    beat = rng.standard_normal(samples) * np.exp(-(t % 0.5) * 30)
    audio = 0.04 * tones + 0.2 * beat
    sides = 1 - 0.5 * rng.random((channels, 1))
    return np.clip(sides * audio, -1, 1).astype(np.float32)


def length_error(model, audio, rate):
    """How many stems are not shaped like the mixture, float32 and finite."""
    stems = separate(audio, rate, model).values()
    return sum(s.shape != audio.shape or s.dtype != np.float32 or not np.isfinite(s).all() for s in stems)


def gain_error(model, audio, rate, gain):
    """Largest difference of the stems of a louder song from its stems made louder, relative to that song's peak."""
    louder, stems = separate(gain * audio, rate, model), separate(audio, rate, model)
    peak = np.abs(gain * audio).max()
    return float(np.max([np.abs(louder[name] - gain * stems[name]).max() / peak for name in stems]))  # NaN stays NaN


def loudest_of_silence(model, channels, samples, rate):
    """Largest sample of the stems of silence."""
    stems = separate(np.zeros((channels, samples), np.float32), rate, model)
    return float(np.max([np.abs(stem).max() for stem in stems.values()]))


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
        found = {file.stem: load(file)[0] for file in separate_file(path, model, folder, progress=False)}
    sum_error = float(np.abs(sum(found.values()) - audio).max())
    whole = separate(audio, rate, model)
    differences = [np.mean((found[name] - whole[name]) ** 2) / np.mean(audio**2) for name in whole]
    return sum_error, 10 * float(np.log10(np.max(differences) + 1e-20))


def order_error(model, songs, rate):
    """Largest difference of a song's stems after other songs from those before them."""
    first = [separate(audio, rate, model) for audio in songs]
    again = [separate(audio, rate, model) for audio in reversed(songs)][::-1]
    return float(np.max([np.abs(a[name] - b[name]).max() for a, b in zip(first, again) for name in a]))
