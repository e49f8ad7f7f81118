r"""Harmonic-percussive separation with median filters.

In a magnitude spectrogram a held tone is a horizontal line and a stroke a vertical one. A median along time keeps the
first and removes the second, a median along frequency does the reverse, and the two results, compared bin by bin, make
masks [1]_. With a margin, a bin must be *clearly* one or the other, and what is neither becomes a third part [2]_.

References
----------
.. [1] Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010, https://arrow.tudublin.ie/argcon/67/.
.. [2] Driedger, Müller & Disch, "Extending harmonic-percussive separation of audio signals", ISMIR 2014,
       doi:10.5281/zenodo.1415226.
"""

import operator
from typing import NamedTuple

import numba
import numpy as np

from audio_processing.audio_processing import istft, stft

LANES = 16  # lines filtered side by side: one vector register of float32


class Parts(NamedTuple):
    """What `split` returns; the three arrays add up to its input."""

    harmonic: np.ndarray
    percussive: np.ndarray
    residual: np.ndarray


def running_median(values, size, axis=-1):
    r"""Median of the `size` values around each one along `axis`.

    .. math:: y[n] = \operatorname{median}(x[n - h], \ldots, x[n + h]), \qquad h = (size - 1) / 2

    The signal continues beyond its ends as its mirror image (d c b a | a b c d | d c b a), as often as `size` asks for.
    This is `scipy.ndimage.median_filter` with `mode="reflect"`, value for value, only faster: a window that is kept
    sorted changes by one value that leaves and one that enters, and sixteen windows do so in one vector instruction.

    Parameters
    ----------
    values : np.ndarray, real, finite, at least one value along `axis`
        float32 and float64 keep their type, anything else becomes float64.
    size : int
        odd, at least 1.
    axis : int

    Returns
    -------
    np.ndarray
        of the shape and memory layout of `values`.

    Raises
    ------
    ValueError
        where `size` is even or below 1, or `values` is empty or not finite.
    """
    size = _odd("size", size)
    values = np.asarray(values)
    if values.dtype != np.float32:
        values = values.astype(np.float64, copy=False)
    if values.ndim == 0 or values.size == 0:
        raise ValueError(f"values: at least one value expected, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values: finite numbers expected, got NaN or infinity")
    filtered = np.empty_like(values)
    source, target = np.atleast_2d(np.moveaxis(values, axis, -1)), np.atleast_2d(np.moveaxis(filtered, axis, -1))
    for leading in np.ndindex(source.shape[:-2]):
        _filter_lines(source[leading], size, target[leading])
    return filtered


@numba.njit(cache=True, nogil=True)
def _filter_lines(lines, size, filtered):
    """Filter every row of `lines` (lines, values) into `filtered`, LANES rows at a time."""
    n_lines, length = lines.shape
    half = size // 2
    window = np.empty((size + 2, LANES), lines.dtype)  # sorted down each column, between two sentinels
    below = np.empty(LANES, lines.dtype)
    queue = np.zeros((size + length + 2 * half, LANES), lines.dtype)  # `size` zeros, then the mirrored lines
    for first in range(0, n_lines, LANES):
        width = min(LANES, n_lines - first)
        for i in range(length + 2 * half):
            mirrored = (i - half) % (2 * length)
            position = mirrored if mirrored < length else 2 * length - 1 - mirrored
            for lane in range(width):
                queue[size + i, lane] = lines[first + lane, position]
        window[0], window[1 : size + 1], window[size + 1] = -np.inf, 0, np.inf
        for i in range(length + 2 * half):
            _replace(window, queue[i], queue[size + i], below)
            if i >= 2 * half:
                for lane in range(width):
                    filtered[first + lane, i - 2 * half] = window[1 + half, lane]


@numba.njit(inline="always")
def _replace(window, old, new, below):
    """Take `old` out of each sorted column of `window` and put `new` in, without a branch.

    Where the new value is the larger one, the values between the two move down a row: row r becomes
    min(row r + 1, max(row r, new)), and the rows under `old` stay. The other case is its mirror image.
    """
    below[:] = -np.inf
    for row in range(1, window.shape[0] - 1):
        for lane in range(LANES):
            here, above = window[row, lane], window[row + 1, lane]
            leaving, entering = old[lane], new[lane]
            larger = entering if entering > here else here
            risen = here if here < leaving else (above if above < larger else larger)
            smaller = entering if entering < here else here
            sunk = here if here > leaving else (below[lane] if below[lane] > smaller else smaller)
            below[lane] = here
            window[row, lane] = risen if entering >= leaving else sunk


def masks(magnitude, *, kernel=31, power=2.0, margin=1.0):
    r"""Harmonic and percussive masks of a magnitude spectrogram.

    With the medians :math:`H` along time and :math:`P` along frequency, exponent :math:`p` and margins
    :math:`\beta_h, \beta_p`:

    .. math:: M_h = \frac{H^p}{H^p + (\beta_h P)^p}, \qquad M_p = \frac{P^p}{P^p + (\beta_p H)^p}

    Parameters
    ----------
    magnitude : np.ndarray, real, at least 0, (..., frequencies, frames)
    kernel : int or pair of int
        odd lengths of the medians: frames for the harmonic one, bins for the percussive one.
    power : float
        p, above 0; `numpy.inf` gives binary masks, :math:`H > \beta_h P` and :math:`P > \beta_p H`, where a tie at
        margin 1 is percussive.
    margin : float or pair of float
        :math:`\beta_h` and :math:`\beta_p`, at least 1. At 1 the masks add up to 1, above it to less.

    Returns
    -------
    harmonic, percussive : np.ndarray
        masks from 0 to 1 of the shape of `magnitude`.

    Raises
    ------
    ValueError
        where a kernel is even, a margin is below 1, or the spectrogram is negative, not finite or not one.

    See Also
    --------
    librosa.decompose.hpss : the same masks to rounding (`mask=True`), more slowly.
    """
    kernel_h, kernel_p = (_odd("kernel", size) for size in _pair("kernel", kernel))
    margin_h, margin_p = _pair("margin", margin)
    if not (margin_h >= 1 and margin_p >= 1):
        raise ValueError(f"margin: at least 1 expected, got {margin}")
    if not power > 0:
        raise ValueError(f"power: a number above 0 expected, got {power}")
    magnitude = np.asarray(magnitude)
    if magnitude.ndim < 2 or magnitude.size == 0 or np.iscomplexobj(magnitude):
        raise ValueError(
            f"magnitude: a real (..., frequencies, frames) array expected, got {magnitude.dtype} {magnitude.shape}"
        )
    if not magnitude.min() >= 0:  # False for NaN as well
        raise ValueError("magnitude: numbers of at least 0 expected, got NaN or a negative one")
    harmonic = running_median(magnitude, kernel_h, axis=-1)
    percussive = running_median(magnitude, kernel_p, axis=-2)
    together = margin_h == margin_p == 1
    if np.isinf(power):
        harmonic_wins = harmonic > margin_h * percussive
        percussive_wins = ~harmonic_wins if together else percussive > margin_p * harmonic
        return harmonic_wins.astype(harmonic.dtype), percussive_wins.astype(harmonic.dtype)
    if together:
        mask = _share(harmonic, percussive, power, 0.5)
        return mask, 1 - mask
    return (
        _share(harmonic, margin_h * percussive, power, 0.0),
        _share(percussive, margin_p * harmonic, power, 0.0),
    )


@numba.vectorize([f"{real}({real}, {real}, {real}, {real})" for real in ("float32", "float64")], cache=True)
def _share(value, other, power, where_silent):
    """value^p / (value^p + other^p) by the ratio of the smaller to the larger: no power of it overflows."""
    if value >= other:
        if value < 1.1754944e-38:  # float32's smallest normal number: both are silence
            return where_silent
        ratio = other / value
        ratio = ratio * ratio if power == 2 else ratio**power
        return 1 / (1 + ratio)
    if other < 1.1754944e-38:
        return where_silent
    ratio = value / other
    ratio = ratio * ratio if power == 2 else ratio**power
    return ratio / (1 + ratio)


def split(audio, *, kernel=31, power=2.0, margin=1.0, n_fft=2048, hop_length=512):
    """Split a sound into harmonic, percussive and residual parts.

    Parameters
    ----------
    audio : np.ndarray, (..., samples)
        each channel is split by itself.
    kernel, power, margin
        see `masks`.
    n_fft, hop_length : int
        of the STFT, in samples.

    Returns
    -------
    Parts
        harmonic, percussive and residual, each of the shape of `audio`. The residual is what the other two leave, next
        to nothing at margin 1.

    Raises
    ------
    ValueError
        as `stft` and `masks` do.
    """
    audio = np.asarray(audio)
    length = audio.shape[-1] if audio.ndim else 0
    spectrum = stft(audio, n_fft, hop_length)
    harmonic, percussive = (
        istft(mask * spectrum, hop_length, length=length)
        for mask in masks(np.abs(spectrum), kernel=kernel, power=power, margin=margin)
    )
    return Parts(harmonic, percussive, audio - harmonic - percussive)


class HarmonicPercussive:
    """The percussive part as an estimate of the drums: a separator that has learned nothing.

    Parameters
    ----------
    kernel, power, margin
        see `masks`.
    stft_seconds : float
        length of the STFT's window; its hop is a quarter of it. In seconds, so that the filters cover the same stretch
        of time and frequency at any sample rate: 31 frames are then 0.72 s and 31 bins 334 Hz. The default did
        best on excerpts of MUSDB18's training set.
    window_seconds : float
        the sound is separated in pieces of this length, which bounds the memory. Each is computed with as much of its
        surroundings as the filters see, so that the length of the pieces does not change the result.

    Attributes
    ----------
    sources : tuple of str
        "drums" (the percussive part) and "rest" (everything else).
    sample_rate : int
        the rate in Hz that is assumed where none is given.

    Examples
    --------
    >>> clicks = np.zeros(44100)
    >>> clicks[::11025] = 1
    >>> stems = HarmonicPercussive().separate(clicks, 44100)
    >>> bool(np.square(stems["drums"]).sum() > 20 * np.square(stems["rest"]).sum())
    True
    """

    sources = ("drums", "rest")
    sample_rate = 44100

    def __init__(self, *, kernel=31, power=2.0, margin=1.0, stft_seconds=4096 / 44100, window_seconds=30.0):
        self.kernel = kernel
        self.power = power
        self.margin = margin
        self.stft_seconds = stft_seconds
        self.window_seconds = window_seconds

    def separate(self, mixture, sample_rate=None):
        """Separate a mixture into drums and rest.

        Parameters
        ----------
        mixture : np.ndarray, (..., samples)
            any length and number of channels.
        sample_rate : int, optional
            of the mixture, in Hz; `self.sample_rate` where it is None.

        Returns
        -------
        dict of str to np.ndarray, (..., samples)
            "drums" and "rest", which add up to the mixture, at its sample rate.

        Raises
        ------
        ValueError
            where the mixture is empty or not finite, or a setting makes no sense (see `masks`).
        """
        mixture = np.asarray(mixture)
        if mixture.ndim == 0 or mixture.shape[-1] == 0:
            raise ValueError(f"mixture: at least one sample expected, got shape {mixture.shape}")
        if not np.isfinite(mixture).all():
            raise ValueError("mixture: finite samples expected, got NaN or infinity")
        rate = self.sample_rate if sample_rate is None else sample_rate
        hop_length = max(1, round(self.stft_seconds * rate / 4))
        n_fft = 4 * hop_length
        length = mixture.shape[-1]
        context = hop_length * (4 + _pair("kernel", self.kernel)[0] // 2)  # a median, and a window on both sides of it
        block = hop_length * max(1, round(self.window_seconds * rate / hop_length))
        drums = np.empty(mixture.shape, np.float32 if mixture.dtype == np.float32 else np.float64)
        for start in range(0, length, block):
            stop = min(start + block, length)
            begin = max(0, start - context)
            parts = split(
                mixture[..., begin : stop + context],
                kernel=self.kernel,
                power=self.power,
                margin=self.margin,
                n_fft=n_fft,
                hop_length=hop_length,
            )
            drums[..., start:stop] = parts.percussive[..., start - begin : stop - begin]
        return {"drums": drums, "rest": mixture - drums}


def _pair(name, value):
    """One setting for both directions, or a pair of them."""
    if np.ndim(value) == 0:
        return value, value
    if np.shape(value) != (2,):
        raise ValueError(f"{name}: one number or a pair expected, got {value}")
    return tuple(value)


def _odd(name, size):
    """Return `size` as an int where it is an odd, positive one."""
    try:
        number = operator.index(size)
    except TypeError:
        number = 0
    if number < 1 or number % 2 == 0:
        raise ValueError(f"{name}: an odd length of at least 1 expected, got {size}")
    return number
