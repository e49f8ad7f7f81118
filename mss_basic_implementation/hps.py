r"""Harmonic-percussive separation with median filters.

In a magnitude spectrogram a held tone is a horizontal line and a drum hit a vertical one. A median along time keeps the
tone and removes the hit, a median along frequency does the reverse, and the two results, compared bin by bin, make
masks [1]_. With a margin, a bin must be *clearly* one or the other, and the rest becomes a third part [2]_. Shown in
`mss_basic_implementation/hps_model.ipynb`.

References
----------
.. [1] Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010, https://arrow.tudublin.ie/argcon/67/.
.. [2] Driedger, Müller & Disch, "Extending harmonic-percussive separation of audio signals", ISMIR 2014,
       doi:10.5281/zenodo.1415226.
"""

from collections import namedtuple

import numba
import numpy as np

from audio_processing.audio_processing import istft, stft
from audio_processing.chunks import Separator, cut_with_context
from common.checks import expect

LANES = 16  # lines filtered side by side: one vector register of float32
SILENT = 1.1754944e-38  # float32's smallest normal number: where both medians are below, the bin is silent


class Parts(namedtuple("Parts", "harmonic percussive residual")):
    """What `split` returns; the three arrays add up to its input."""


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
        if `size` is even or below 1, or `values` is empty or not finite.
    """
    size = _odd("size", size)
    values = np.asarray(values)
    values = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
    expect(values.ndim and values.size, "values", "at least one value", f"shape {values.shape}")
    expect(np.isfinite(values).all(), "values", "finite numbers", "NaN or infinity")
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
        if a kernel is even, a margin is below 1, or the magnitudes are negative, not finite or no spectrogram.

    See Also
    --------
    librosa.decompose.hpss : the same masks to rounding (`mask=True`), more slowly.
    """
    kernel_h, kernel_p = (_odd("kernel", size) for size in _pair("kernel", kernel))
    margin_h, margin_p = _pair("margin", margin)
    expect(margin_h >= 1 and margin_p >= 1, "margin", "at least 1", margin)
    expect(power > 0, "power", "a number above 0", power)
    magnitude = np.asarray(magnitude)
    spectrogram = magnitude.ndim >= 2 and magnitude.size and not np.iscomplexobj(magnitude)
    expect(spectrogram, "magnitude", "a real (..., frequencies, frames) array", f"{magnitude.dtype} {magnitude.shape}")
    expect(magnitude.min() >= 0, "magnitude", "numbers of at least 0", "NaN or a negative one")  # False for NaN as well
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
    return _share(harmonic, margin_h * percussive, power, 0.0), _share(percussive, margin_p * harmonic, power, 0.0)


@numba.vectorize([f"{real}({real}, {real}, {real}, {real})" for real in ("float32", "float64")], cache=True)
def _share(value, other, power, where_silent):
    """value^p / (value^p + other^p) by the ratio of the smaller to the larger: no power of it overflows."""
    larger = max(value, other)
    if larger < SILENT:
        return where_silent
    ratio = min(value, other) / larger
    ratio = ratio * ratio if power == 2 else ratio**power
    return (1 if value >= other else ratio) / (1 + ratio)


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


class HarmonicPercussive(Separator):
    """The percussive part as an estimate of the drums: a separator that has learned nothing.

    Parameters
    ----------
    kernel, power, margin
        see `masks`.
    stft_seconds : float
        length of the STFT's window; its hop is a quarter of it. In seconds, so that the filters cover the same stretch
        of time and frequency at any sample rate: 31 frames are then 0.72 s and 31 bins 334 Hz. The default did
        best on excerpts of MUSDB18's training set.
    chunk_seconds : float
        length of a chunk, which bounds the memory. Each is computed with as much of its surroundings as the filters
        span, so that the length of the chunks does not change the result.

    Attributes
    ----------
    sources : tuple of str
        "drums" (the percussive part) and "rest" (everything else), which add up to the mixture.

    Examples
    --------
    >>> clicks = np.zeros(44100)
    >>> clicks[::11025] = 1
    >>> stems = HarmonicPercussive().separate(clicks, 44100)
    >>> bool(np.square(stems["drums"]).sum() > 20 * np.square(stems["rest"]).sum())
    True
    """

    sources = ("drums", "rest")

    def __init__(self, *, kernel=31, power=2.0, margin=1.0, stft_seconds=4096 / 44100, chunk_seconds=30.0):
        self.kernel, self.power, self.margin = kernel, power, margin
        self.stft_seconds, self.chunk_seconds = stft_seconds, chunk_seconds

    def hop_length(self, sample_rate):
        """Hop of the STFT in samples."""
        return max(1, round(self.stft_seconds * sample_rate / 4))

    def chunks(self, read, sample_rate, samples):
        """Chunks of a whole number of hops, with a median, and an STFT window, on both sides."""
        hop = self.hop_length(sample_rate)
        chunk = hop * max(1, round(self.chunk_seconds * sample_rate / hop))
        context = hop * (4 + _pair("kernel", self.kernel)[0] // 2)
        return cut_with_context(read, chunk, context), 0

    def separate_chunk(self, chunk, sample_rate):
        """Drums and rest, (2, channels, samples), of (channels, samples)."""
        hop = self.hop_length(sample_rate)
        settings = {"kernel": self.kernel, "power": self.power, "margin": self.margin}
        drums = split(chunk, n_fft=4 * hop, hop_length=hop, **settings).percussive
        return np.stack([drums, chunk - drums])


def _pair(name, value):
    """One setting for both directions, or a pair of them."""
    expect(np.shape(value) in ((), (2,)), name, "one number or a pair", value)
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def _odd(name, size):
    """Return `size` as an int if it is odd and positive."""
    expect(isinstance(size, (int, np.integer)) and size >= 1 and size % 2, name, "an odd length of at least 1", size)
    return int(size)
