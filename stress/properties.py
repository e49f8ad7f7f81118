"""What every separator promises, as numbers that should be 0: length, level, silence, sum, chunks, order of songs.

And what separators that make waveforms of a mixture promise: better than the mixture, no better than an oracle.
"""

import tempfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import load, save
from common import results
from separate import SEPARATORS, separate, separate_file, separator

CHUNKED = {"numpy_cnn": -35.0}
"""dB by which a song in chunks may differ from the whole: what this network hears is relative to its window's level."""
CHUNKED_OTHERS = -40.0
"""The same for all other separators."""
CEILING = "psm"
"""The oracle that no mask gets above: the phase-sensitive mask, the best of the real ones."""
MASKS = ("hps", "numpy_cnn", "ddsp_masked")
UNBOUND = ("conv_tasnet", "ddsp_masked@refined", "ensemble")
"""Separators that are above the mixture on every stem. `MASKS`, between 0 and 1, are below the ceiling, too. Waveforms
and complex masks are not bound by it: of the artist that they were trained on they know more than such a mask can say,
and only on artists that they never heard are they compared with the ceiling."""
PLAYED = ("ddsp_resynthesis", "ddsp_resynthesis@air_traffic", "conv_tasnet_ddsp")
"""Separators that play stems anew from pitch and loudness: decoders were trained on loudness in dB and play a louder
song with another timbre, so that only its level is promised to follow."""
GAIN, LEVEL = 2e-3, 3.0
"""Largest error of `gain_error`; of `level_error` in dB."""
SETS = ("same_artist", "other_artist", "extra_instrument")


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


def level_error(model, audio, rate, gain):
    """By how many dB the level of a louder song's stems, all together, differs from that of its stems made louder."""
    louder, stems = separate(gain * audio, rate, model), separate(audio, rate, model)
    energies = [sum(np.mean(stem**2) for stem in found.values()) for found in (louder, stems)]
    return float(abs(10 * np.log10(energies[0] / (gain**2 * energies[1]))))


def gain_promise(model):
    """What is promised of a louder song: a name, the function of the error, by how many dB it may be louder, how large
    the error may be, and its unit."""
    if model in PLAYED:
        return "level in = level out", level_error, 6.0, LEVEL, "dB"
    return "gain in = gain out", gain_error, 60.0, GAIN, ""


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


def margins(test_set, model):
    """By how many dB of SI-SDR a model is above the mixture, and below the ceiling, for every song and stem.

    Parameters
    ----------
    test_set : str
        of `SETS`.
    model : str
        of `MASKS` or `UNBOUND`.

    Returns
    -------
    above, below : list of float
        all of which should be positive. `below` is empty where a model is bound by no ceiling.

    Raises
    ------
    common.results.ResultsError
        where scores are missing.
    """

    def scores(system):
        records = results.read(results.RESULTS / "scores" / f"{test_set}-{system}.json")["records"]
        return {(r["track"], r["source"]): r["value"] for r in records if r["metric"] == "si_sdr"}

    floor, found, ceiling = (scores(system) for system in ("mixture", model, CEILING))
    shared = [key for key in found if key in floor]  # of drums against the rest the drums alone
    bound = model in MASKS or test_set == "other_artist"
    return [found[key] - floor[key] for key in shared], [ceiling[key] - found[key] for key in shared if bound]
