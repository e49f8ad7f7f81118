"""The pitch of one voice, 250 times a second: autocorrelation, YIN, pYIN, CREPE.

Notebook: ddsp_models/pitch_report.ipynb

One convention for everything in these chapters: frame k is centred on k / 250 s, as the virtual band's annotations and
`loudness` are, and there are as many frames as lie within the sound.
"""

import functools
from dataclasses import dataclass

import librosa
import numpy as np

from audio_processing.audio_processing import resample
from audio_processing.loudness import FRAME_RATE, frame_times
from common.checks import expect
from ddsp_models.pitch import crepe

HOP_LENGTH = crepe.SAMPLE_RATE // FRAME_RATE  # samples at 16 kHz
SILENCE = 1e-4  # root mean square below which there is no pitch: -80 dB
YIN_VOICED = 0.25  # a normalised difference below it is voiced: a quarter of its power is not periodic
CORRELATED = 0.75  # an autocorrelation above it is voiced: the same share
PYIN_FRAME = 2048  # samples, 128 ms: four periods of the lowest pitch


@dataclass(frozen=True)
class Pitch:
    """An f0 track; all arrays are (frames,).

    Attributes
    ----------
    times : np.ndarray
        in s, k / 250.
    f0 : np.ndarray
        in Hz, estimated in unvoiced frames, too; 0 where the sound is silent.
    confidence : np.ndarray
        in [0, 1].
    voiced : np.ndarray of bool
    method : str
        one of `METHODS`.
    """

    times: np.ndarray
    f0: np.ndarray
    confidence: np.ndarray
    voiced: np.ndarray
    method: str


def track_pitch(audio, sample_rate, method="crepe", *, size="tiny", fmin=32.7, fmax=1975.5, every=1):
    """Track the pitch of one voice.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        one voice, mono.
    sample_rate : int
        in Hz.
    method : {"crepe", "pyin", "yin", "autocorrelation"}
        CREPE needs its published weights (see `crepe.weights_path`); pYIN (Mauch & Dixon 2014,
        https://doi.org/10.1109/ICASSP.2014.6853678; librosa's) needs none and is slower. `yin` and `autocorrelation`
        decide frame by frame: they explain the idea, and YIN is the most accurate for a bass.
    size : {"tiny", "small", "medium", "large", "full"}
        of CREPE.
    fmin, fmax : float
        the range in Hz; CREPE's bins reach from 32 to 1976 Hz.
    every : int
        track every n-th frame only, which is faster, and interpolate (linearly in octaves) between them.

    Returns
    -------
    Pitch

    Raises
    ------
    ValueError
        if `audio` is not one finite channel of at least one frame, or an option is unknown.
    training.weights.WeightsError
        if CREPE has no weights; `track_pitch_or_fall_back` uses pYIN then.

    See Also
    --------
    raw_pitch_accuracy, raw_chroma_accuracy, voicing_rates : compare a track with the true pitch.

    Examples
    --------
    >>> tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)
    >>> pitch = track_pitch(tone, 16000, "yin", fmin=60, fmax=1000)
    >>> round(float(pitch.f0[125])), bool(pitch.voiced[125]), len(pitch.times)
    (220, True, 250)
    """
    audio = checked(audio, sample_rate)
    expect(method in METHODS, "method", f"one of {', '.join(METHODS)}", repr(method))
    expect(0 < fmin < fmax, "fmin, fmax", "0 < fmin < fmax", f"{fmin} and {fmax} Hz")
    expect(isinstance(every, (int, np.integer)) and every >= 1, "every", "a whole number from 1", repr(every))
    times, step = frame_times(len(audio), sample_rate), every * HOP_LENGTH
    audio = resample(audio, sample_rate, crepe.SAMPLE_RATE)
    audio = np.pad(audio, (0, max(0, len(times) * HOP_LENGTH - len(audio))))  # resampling may round a sample off
    f0, confidence, voiced = TRACKERS[method](np.pad(audio, (0, -len(audio) % step)), step, size, fmin, fmax)
    if every > 1:
        f0, confidence, voiced = _between(f0, confidence, voiced, np.arange(len(times)) / every)
    f0, confidence, voiced = (x[: len(times)] for x in (f0, confidence, voiced))
    silent = _level(audio)[: len(times)] < SILENCE
    f0, confidence = (np.where(silent, 0, x).astype(np.float32) for x in (f0, confidence))
    return Pitch(times, f0, confidence, voiced & ~silent, method)


def _between(f0, confidence, voiced, position):
    """Values at `position`, in frames, between frames; voicing is that of the nearest."""
    n = np.arange(len(f0))
    octaves = np.interp(position, n, np.log2(np.maximum(f0, 1e-3)))
    nearest = np.minimum(np.round(position).astype(int), len(f0) - 1)
    return np.where(f0[nearest] > 0, 2.0**octaves, 0), np.interp(position, n, confidence), voiced[nearest]


def track_pitch_or_fall_back(audio, sample_rate, method="crepe", **options):
    """`track_pitch`, by pYIN if CREPE has no weights; the result's `method` is the one that was used."""
    try:
        return track_pitch(audio, sample_rate, method, **options)
    except crepe.WeightsError:
        return track_pitch(audio, sample_rate, "pyin", **options)


def raw_pitch_accuracy(reference, estimate, cents=50.0):
    """Share of the voiced frames whose estimated pitch is right (Poliner et al. 2007,
    https://doi.org/10.1109/TASL.2006.889797).

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        in Hz; only frames above 0 count.
    estimate : np.ndarray, (frames,)
        in Hz; 0 is wrong.
    cents : float
        largest error of a right pitch.

    Returns
    -------
    float
        in [0, 1]; NaN if no frame is voiced.
    """
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    expect(reference.shape == estimate.shape, "estimate", f"reference's shape, {reference.shape}", estimate.shape)
    counts = reference > 0
    both = counts & (estimate > 0)
    right = np.abs(1200 * np.log2(estimate[both] / reference[both])) <= cents
    return float(right.sum() / counts.sum()) if counts.any() else float("nan")


def raw_chroma_accuracy(reference, estimate, cents=50.0):
    """`raw_pitch_accuracy` in which a wrong octave counts as right (Poliner et al. 2007)."""
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    both = (reference > 0) & (estimate > 0)
    octaves = np.zeros(estimate.shape)
    octaves[both] = np.round(np.log2(estimate[both] / reference[both]))
    return raw_pitch_accuracy(reference, estimate / 2.0**octaves, cents)


def voicing_rates(reference, voiced):
    """Recall and false alarms of voicing (Poliner et al. 2007).

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        in Hz, 0 = unvoiced.
    voiced : np.ndarray of bool, (frames,)
        estimated.

    Returns
    -------
    recall, false_alarm : float
        share of the voiced, and of the unvoiced frames, that are estimated as voiced; NaN if there are none.
    """
    truth, voiced = np.asarray(reference) > 0, np.asarray(voiced, bool)
    expect(truth.shape == voiced.shape, "voiced", f"reference's shape, {truth.shape}", voiced.shape)
    return tuple(float(voiced[which].mean()) if which.any() else float("nan") for which in (truth, ~truth))


# --- autocorrelation and YIN -----------------------------------------------------------------------------------------


def autocorrelation(audio, hop_length, window=1024, max_lag=489):
    """Normalised autocorrelation: the similarity of a sound and itself a moment later (Rabiner 1977,
    https://doi.org/10.1109/TASSP.1977.1162905).

    r_k(lag) = sum_j x_j x_(j+lag) over `window` pairs of samples whose middle is the centre of frame k, so that j
    begins at k hop_length - window / 2 - floor(lag / 2); as a share of the sum for lag 0, the energy.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    hop_length : int
        in samples; frame k is centred on sample k hop_length.
    window : int
        number of pairs that are summed.
    max_lag : int
        the longest lag, in samples.

    Returns
    -------
    np.ndarray, (samples // hop_length, max_lag + 1)
        1 at lag 0, and less elsewhere unless the level changes; 0 in silence.
    """
    products = sums_of_pairs(audio, hop_length, window, max_lag, np.multiply)
    return products / np.maximum(products[:, :1], 1e-12)


def difference(audio, hop_length, window=1024, max_lag=489):
    """Difference function: how much a sound differs from itself a moment later, sum_j (x_j - x_(j+lag))^2.

    Equation 6 of YIN (de Cheveigne & Kawahara 2002, https://doi.org/10.1121/1.1458024), with both windows moved apart
    evenly from the centre of the frame, so that long periods are not measured later than short ones. Parameters as in
    `autocorrelation`.

    Returns
    -------
    np.ndarray, (samples // hop_length, max_lag + 1)
        0 or more; 0 at lag 0.
    """
    return sums_of_pairs(audio, hop_length, window, max_lag, lambda x, later: (later - x) ** 2)


def sums_of_pairs(audio, hop_length, window, max_lag, combine):
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
        as returned by `difference`.

    Returns
    -------
    np.ndarray, (frames, lags)
        1 at lag 0 and in silence, near 0 at the period and its multiples.
    """
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, difference.shape[1])
    floor = 1e-9 * mean[:, -1:] + 1e-12  # the rounding errors of silence have no period
    normalised = np.where(mean > floor, difference[:, 1:] / np.maximum(mean, floor), 1.0)
    return np.concatenate([np.ones((len(difference), 1)), normalised], axis=1)


def first_dip(curve, min_lag, threshold=0.1):
    """The shortest lag at which a curve has a dip below a threshold, or its deepest dip if there is none (YIN, step 4).

    Parameters
    ----------
    curve : np.ndarray, (frames, lags)
    min_lag : int
        shorter lags are not considered.
    threshold : float
        0.1 is YIN's, of a normalised difference; -inf takes the deepest dip.

    Returns
    -------
    np.ndarray of int, (frames,)
    """
    middle = curve[:, 1:-1]
    dips = (middle <= curve[:, :-2]) & (middle < curve[:, 2:]) & (np.arange(1, curve.shape[1] - 1) >= min_lag)
    below = dips & (middle < threshold)
    return 1 + np.where(below.any(axis=1), below.argmax(axis=1), np.where(dips, middle, np.inf).argmin(axis=1))


def refined(curve, lag):
    """Minimum of the parabola through a dip and its neighbours (YIN, step 5): its lag in samples, and its value.

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
    return crepe.SAMPLE_RATE / lag, np.clip(1 - value, 0, 1), value < YIN_VOICED


def _autocorrelation(audio, hop_length, size, fmin, fmax):
    shortest, longest = _lags(fmin, fmax)
    curve = -autocorrelation(audio, hop_length, max_lag=longest)
    lag, value = refined(curve, first_dip(curve, shortest, threshold=-np.inf))
    return crepe.SAMPLE_RATE / lag, np.clip(-value, 0, 1), -value > CORRELATED


def checked(audio, sample_rate):
    """A sound as float32, if it is one finite channel of at least one frame; a ValueError otherwise."""
    audio = np.asarray(audio, np.float32)
    expect(audio.ndim == 1, "audio", "shape (samples,)", f"{audio.shape}; mix it to mono first")
    frames, broken = len(frame_times(len(audio), sample_rate)), np.count_nonzero(~np.isfinite(audio))
    expect(frames, "audio", f"at least one frame of 1/{FRAME_RATE} s", f"{len(audio)} samples")
    expect(not broken, "audio", "finite samples", f"{broken} that are NaN or infinite")
    return audio


def _level(audio):
    """Root mean square around each frame's centre, one window of CREPE long."""
    energy = np.concatenate([[0], np.cumsum(np.pad(audio, crepe.WINDOW // 2).astype(np.float64) ** 2)])
    start = np.arange(len(audio) // HOP_LENGTH) * HOP_LENGTH
    return np.sqrt(np.maximum(energy[start + crepe.WINDOW] - energy[start], 0) / crepe.WINDOW)


_network = functools.cache(crepe.load_model)


def _crepe(audio, hop_length, size, fmin, fmax):
    salience, _ = crepe.activations(_network(size, crepe.weights_path(size)), audio, hop_length)  # (frames, 360)
    hertz = crepe.cents_to_hz(crepe.bin_cents())
    within = (hertz >= fmin * 2 ** (-1 / 120)) & (hertz <= fmax * 2 ** (1 / 120))  # half a bin of tolerance
    expect(
        within.any(),
        "fmin, fmax",
        f"some of CREPE's pitches ({hertz[0]:.1f} to {hertz[-1]:.1f} Hz) in the range",
        f"{fmin} and {fmax} Hz",
    )
    salience = salience * within
    confidence = salience.max(axis=1)
    return crepe.decode(salience, crepe.viterbi(salience)), confidence, crepe.decode_voicing(confidence)


def _pyin(audio, hop_length, size, fmin, fmax):
    f0, voiced, probability = librosa.pyin(
        np.pad(audio, PYIN_FRAME // 2),
        fmin=fmin,
        fmax=fmax,
        sr=crepe.SAMPLE_RATE,
        frame_length=PYIN_FRAME,
        hop_length=hop_length,
        fill_na=None,
        center=False,
    )
    return np.where(np.isfinite(f0), f0, 0), np.clip(probability, 0, 1), voiced


TRACKERS = {"crepe": _crepe, "pyin": _pyin, "yin": _yin, "autocorrelation": _autocorrelation}
METHODS = tuple(TRACKERS)
