"""The pitch of one voice, 250 times a second, by CREPE or by pYIN.

One convention for everything in these chapters: frame k is centred on k / 250 s, as the virtual band's annotations and
`loudness` are, and there are as many frames as lie within the sound.
"""

import functools
from dataclasses import dataclass

import librosa
import numpy as np

from audio_processing.audio_processing import resample
from ddsp_models import crepe
from virtual_band.annotations import FRAME_RATE, frame_times

METHODS = ("crepe", "pyin")
SILENCE = 1e-4
"""Root mean square below which nothing is heard: -80 dB."""


@dataclass(frozen=True)
class Pitch:
    """A line of pitch; all arrays are (frames,).

    Attributes
    ----------
    times : np.ndarray
        in s, k / 250.
    f0 : np.ndarray
        in Hz, the best guess also where nothing is voiced; 0 where the sound is silent.
    confidence : np.ndarray
        in [0, 1].
    voiced : np.ndarray of bool
    method : str
        that was used.
    """

    times: np.ndarray
    f0: np.ndarray
    confidence: np.ndarray
    voiced: np.ndarray
    method: str


def track_pitch(audio, sample_rate, method="crepe", *, size="tiny", fmin=32.7, fmax=1975.5):
    """Follow the pitch of one voice.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        one voice, mono.
    sample_rate : int
        in Hz.
    method : {"crepe", "pyin"}
        CREPE needs its published weights (see `crepe.weights_path`); pYIN (Mauch & Dixon 2014,
        https://doi.org/10.1109/ICASSP.2014.6853678; librosa's) needs none and is slower.
    size : {"tiny", "small", "medium", "large", "full"}
        of CREPE.
    fmin, fmax : float
        the range in Hz; CREPE's is as long as its bins reach.

    Returns
    -------
    Pitch

    Raises
    ------
    ValueError
        where `audio` is not one finite channel of at least one frame, or an option is unknown.
    crepe.WeightsError
        where CREPE has no weights; `track_pitch_or_fall_back` uses pYIN then.
    """
    audio = _checked(audio, sample_rate)
    if method not in METHODS:
        raise ValueError(f"method: {method!r} found, one of {', '.join(METHODS)} expected")
    if not 0 < fmin < fmax:
        raise ValueError(f"fmin, fmax: {fmin} and {fmax} Hz found, 0 < fmin < fmax expected")
    times = frame_times(len(audio), sample_rate)
    heard = resample(audio, sample_rate, crepe.SAMPLE_RATE)
    hop_length = crepe.SAMPLE_RATE // FRAME_RATE
    heard = np.pad(heard, (0, max(0, len(times) * hop_length - len(heard))))  # resampling may round a sample off
    follow = _crepe if method == "crepe" else _pyin
    f0, confidence, voiced = (x[: len(times)] for x in follow(heard, hop_length, size, fmin, fmax))
    silent = _level(heard, hop_length)[: len(times)] < SILENCE
    return Pitch(
        times,
        np.where(silent, 0, f0).astype(np.float32),
        np.where(silent, 0, confidence).astype(np.float32),
        voiced & ~silent,
        method,
    )


def track_pitch_or_fall_back(audio, sample_rate, *, size="tiny", **options):
    """`track_pitch` by CREPE, or by pYIN where CREPE has no weights; the result's `method` says which."""
    try:
        return track_pitch(audio, sample_rate, "crepe", size=size, **options)
    except crepe.WeightsError:
        return track_pitch(audio, sample_rate, "pyin", **options)


def raw_pitch_accuracy(reference, estimate, cents=50.0):
    """Share of the voiced frames whose estimated pitch is right (Poliner et al. 2007).

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        in Hz; only frames above 0 count.
    estimate : np.ndarray, (frames,)
        in Hz; 0 is wrong.
    cents : float
        how far a pitch may be off.

    Returns
    -------
    float
        in [0, 1]; NaN where no frame is voiced.
    """
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.shape != estimate.shape:
        raise ValueError(f"estimate: shape {estimate.shape} found, that of reference, {reference.shape}, expected")
    counts = reference > 0
    if not counts.any():
        return float("nan")
    error = np.full(reference.shape, np.inf)
    both = counts & (estimate > 0)
    error[both] = np.abs(1200 * np.log2(estimate[both] / reference[both]))
    return float(np.mean(error[counts] <= cents))


def _checked(audio, sample_rate):
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise ValueError(f"audio: shape {audio.shape} found, (samples,) expected; mix it to mono first")
    if len(frame_times(len(audio), sample_rate)) == 0:
        raise ValueError(f"audio: {len(audio)} samples found, at least one frame of 1/{FRAME_RATE} s expected")
    if not np.isfinite(audio).all():
        raise ValueError(f"audio: {np.count_nonzero(~np.isfinite(audio))} samples are NaN or infinite, none expected")
    return audio


def _level(audio, hop_length):
    """Root mean square around each frame's centre, one window of CREPE long."""
    energy = np.concatenate([[0], np.cumsum(np.pad(audio, crepe.WINDOW // 2).astype(np.float64) ** 2)])
    start = np.arange(len(audio) // hop_length) * hop_length
    return np.sqrt(np.maximum(energy[start + crepe.WINDOW] - energy[start], 0) / crepe.WINDOW)


@functools.cache
def _network(size, path):
    return crepe.load_model(size, path)


def _crepe(audio, hop_length, size, fmin, fmax):
    salience, _ = crepe.activations(_network(size, crepe.weights_path(size)), audio, hop_length)
    hertz = crepe.cents_to_hz(crepe.bin_cents())
    within = (hertz >= fmin * 2 ** (-1 / 120)) & (hertz <= fmax * 2 ** (1 / 120))  # half a bin of tolerance
    if not within.any():
        raise ValueError(f"fmin, fmax: none of CREPE's pitches ({hertz[0]:.1f} to {hertz[-1]:.1f} Hz) lies between")
    salience = salience * within
    f0 = crepe.decode(salience, crepe.viterbi(salience))
    confidence = salience.max(axis=1)
    return f0, confidence, crepe.decode_voicing(confidence)


def _pyin(audio, hop_length, size, fmin, fmax):
    frame_length = 2048  # 128 ms: four periods of the lowest pitch
    f0, voiced, probability = librosa.pyin(
        np.pad(audio, frame_length // 2),
        fmin=fmin,
        fmax=fmax,
        sr=crepe.SAMPLE_RATE,
        frame_length=frame_length,
        hop_length=hop_length,
        fill_na=None,
        center=False,
    )
    return np.where(np.isfinite(f0), f0, 0), np.clip(probability, 0, 1), voiced
