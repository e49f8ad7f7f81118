"""The pitch of one voice, 250 times a second: autocorrelation, YIN, pYIN, CREPE.

One convention for everything in these chapters: frame k is centred on k / 250 s, as the virtual band's annotations and
`loudness` are, and there are as many frames as lie within the sound.
"""

import functools
from dataclasses import dataclass

import librosa
import numpy as np

from audio_processing.audio_processing import resample
from audio_processing.loudness import FRAME_RATE, frame_times
from ddsp_models.pitch import crepe

METHODS = ("crepe", "pyin", "yin", "autocorrelation")
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


def track_pitch(audio, sample_rate, method="crepe", *, size="tiny", fmin=32.7, fmax=1975.5, every=1):
    """Follow the pitch of one voice.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        one voice, mono.
    sample_rate : int
        in Hz.
    method : {"crepe", "pyin", "yin", "autocorrelation"}
        CREPE needs its published weights (see `crepe.weights_path`); pYIN (Mauch & Dixon 2014,
        https://doi.org/10.1109/ICASSP.2014.6853678; librosa's) needs none and is slower. `yin` and `autocorrelation`
        decide frame by frame: to be understood rather than used.
    size : {"tiny", "small", "medium", "large", "full"}
        of CREPE.
    fmin, fmax : float
        the range in Hz; CREPE's is as long as its bins reach.
    every : int
        look at every n-th frame only, which is faster, and draw straight lines (in octaves) between them.

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
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueError(f"every: {every!r} found, a whole number from 1 expected")
    times = frame_times(len(audio), sample_rate)
    heard = resample(audio, sample_rate, crepe.SAMPLE_RATE)
    hop_length = crepe.SAMPLE_RATE // FRAME_RATE
    heard = np.pad(heard, (0, max(0, len(times) * hop_length - len(heard))))  # resampling may round a sample off
    follow = {"crepe": _crepe, "pyin": _pyin, "yin": _yin, "autocorrelation": _autocorrelation}[method]
    looks = np.pad(heard, (0, -len(heard) % (every * hop_length)))
    f0, confidence, voiced = follow(looks, every * hop_length, size, fmin, fmax)
    if every > 1:
        f0, confidence, voiced = _between(f0, confidence, voiced, np.arange(len(times)) / every)
    f0, confidence, voiced = (x[: len(times)] for x in (f0, confidence, voiced))
    silent = _level(heard, hop_length)[: len(times)] < SILENCE
    return Pitch(
        times,
        np.where(silent, 0, f0).astype(np.float32),
        np.where(silent, 0, confidence).astype(np.float32),
        voiced & ~silent,
        method,
    )


def _between(f0, confidence, voiced, position):
    """Values at `position`, in frames, between frames; voicing is that of the nearest."""
    n = np.arange(len(f0))
    octaves = np.interp(position, n, np.log2(np.maximum(f0, 1e-3)))
    nearest = np.minimum(np.round(position).astype(int), len(f0) - 1)
    return np.where(f0[nearest] > 0, 2.0**octaves, 0), np.interp(position, n, confidence), voiced[nearest]


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


def raw_chroma_accuracy(reference, estimate, cents=50.0):
    """`raw_pitch_accuracy` in which a wrong octave counts as right (Poliner et al. 2007)."""
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    both = (reference > 0) & (estimate > 0)
    octaves = np.zeros(estimate.shape)
    octaves[both] = np.round(np.log2(estimate[both] / reference[both]))
    return raw_pitch_accuracy(reference, estimate / 2.0**octaves, cents)


def voicing_rates(reference, voiced):
    """How well voice and rest are told apart (Poliner et al. 2007).

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        in Hz, 0 = unvoiced.
    voiced : np.ndarray of bool, (frames,)
        what the tracker says.

    Returns
    -------
    recall, false_alarm : float
        share of the voiced, and of the unvoiced frames, that are called voiced; NaN where there are none.
    """
    truth, voiced = np.asarray(reference) > 0, np.asarray(voiced, bool)
    if truth.shape != voiced.shape:
        raise ValueError(f"voiced: shape {voiced.shape} found, that of reference, {truth.shape}, expected")
    return tuple(float(voiced[which].mean()) if which.any() else float("nan") for which in (truth, ~truth))


# --- a sound beside itself, later ------------------------------------------------------------------------------------


def autocorrelation(audio, hop_length, window=1024, max_lag=489):
    """How much a sound resembles itself a moment later (Rabiner 1977, https://doi.org/10.1109/TASSP.1977.1162905).

    r_k(lag) = sum_j x_j x_(j+lag) over `window` pairs of samples whose middle is the centre of frame k, so that j
    begins at k hop_length - window / 2 - floor(lag / 2); as a share of the sum for lag 0, the energy.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    hop_length : int
        in samples; frame k is centred on sample k hop_length.
    window : int
        how many pairs are summed.
    max_lag : int
        the longest lag, in samples.

    Returns
    -------
    np.ndarray, (samples // hop_length, max_lag + 1)
        1 at lag 0, and less elsewhere unless the level changes; 0 where there is silence.
    """
    products = _sums(audio, hop_length, window, max_lag, np.multiply)
    return products / np.maximum(products[:, :1], 1e-12)


def difference(audio, hop_length, window=1024, max_lag=489):
    """How much a sound differs from itself a moment later: sum_j (x_j - x_(j+lag))^2.

    Equation 6 of YIN (de Cheveigne & Kawahara 2002, https://doi.org/10.1121/1.1458024), with both windows moved apart
    evenly from the centre of the frame, so that long periods are not heard later than short ones. Parameters as in
    `autocorrelation`.

    Returns
    -------
    np.ndarray, (samples // hop_length, max_lag + 1)
        0 or more; 0 at lag 0.
    """
    return _sums(audio, hop_length, window, max_lag, lambda x, later: (later - x) ** 2)


def _sums(audio, hop_length, window, max_lag, combine):
    """For each frame and lag, the sum of combine(x_j, x_(j+lag)) over the pairs around the frame's centre."""
    n_frames, margin = len(audio) // hop_length, (window + max_lag) // 2 + 1
    x = np.pad(np.asarray(audio, np.float64), (margin, margin + max_lag))
    first = margin + hop_length * np.arange(n_frames) - window // 2  # of each frame's pairs, at lag 0
    out = np.empty((n_frames, max_lag + 1))
    for lag in range(max_lag + 1):
        total = np.cumsum(combine(x[: len(x) - lag], x[lag:]))
        start = first - lag // 2
        out[:, lag] = total[start + window - 1] - total[start - 1]
    return out


def cumulative_mean_normalised(difference):
    """Divide a difference function by its mean over all lags up to this one (YIN's equation 8).

    Parameters
    ----------
    difference : np.ndarray, (frames, lags)
        of `difference`.

    Returns
    -------
    np.ndarray, (frames, lags)
        1 at lag 0 and in silence, near 0 at the period and its multiples.
    """
    lags = np.arange(1, difference.shape[1])
    mean = np.cumsum(difference[:, 1:], axis=1) / lags
    floor = 1e-9 * mean[:, -1:] + 1e-12  # what rounding leaves of silence is no period
    normalised = np.where(mean > floor, difference[:, 1:] / np.maximum(mean, floor), 1.0)
    return np.concatenate([np.ones((len(difference), 1)), normalised], axis=1)


def first_dip(curve, min_lag, threshold=0.1):
    """The shortest lag at which a curve has a dip below a threshold, or its deepest dip where none is (YIN, step 4).

    Parameters
    ----------
    curve : np.ndarray, (frames, lags)
    min_lag : int
        shorter lags are not considered.
    threshold : float
        -inf takes the deepest dip.

    Returns
    -------
    np.ndarray of int, (frames,)
    """
    middle = curve[:, 1:-1]
    dips = (middle <= curve[:, :-2]) & (middle < curve[:, 2:]) & (np.arange(1, curve.shape[1] - 1) >= min_lag)
    deepest = np.where(dips, middle, np.inf).argmin(axis=1)
    below = dips & (middle < threshold)
    return 1 + np.where(below.any(axis=1), below.argmax(axis=1), deepest)


def refined(curve, lag):
    """Where the parabola through a dip and its neighbours is lowest (YIN, step 5), in samples, and how low.

    Parameters
    ----------
    curve : np.ndarray, (frames, lags)
    lag : np.ndarray of int, (frames,)
        not the first or the last.

    Returns
    -------
    lag, value : np.ndarray, (frames,)
    """
    before, at, after = (curve[np.arange(len(lag)), lag + step] for step in (-1, 0, 1))
    bend, slope = before - 2 * at + after, (after - before) / 2
    shift = np.where(bend > 0, -slope / np.maximum(bend, 1e-12), 0.0).clip(-0.5, 0.5)
    return lag + shift, at + 0.5 * slope * shift


def _lags(fmin, fmax):
    """Shortest and longest lag in samples for a range in Hz, with a neighbour to spare at the long end."""
    return max(2, int(crepe.SAMPLE_RATE / fmax)), int(np.ceil(crepe.SAMPLE_RATE / fmin)) + 1


def _yin(audio, hop_length, size, fmin, fmax):
    shortest, longest = _lags(fmin, fmax)
    curve = cumulative_mean_normalised(difference(audio, hop_length, max_lag=longest))
    lag, value = refined(curve, first_dip(curve, shortest))
    return crepe.SAMPLE_RATE / lag, np.clip(1 - value, 0, 1), value < 0.25


def _autocorrelation(audio, hop_length, size, fmin, fmax):
    shortest, longest = _lags(fmin, fmax)
    curve = -autocorrelation(audio, hop_length, max_lag=longest)
    lag, value = refined(curve, first_dip(curve, shortest, threshold=-np.inf))
    return crepe.SAMPLE_RATE / lag, np.clip(-value, 0, 1), -value > 0.75


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
