r"""The Fourier transform in small steps, before the fast library takes over.

Notebook: audio_processing/spectrogram_report.ipynb

References
----------
.. [1] Cooley & Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics of Computation
       19, 1965, doi:10.1090/S0025-5718-1965-0178586-1.
.. [2] Flanagan & Golden, "Phase vocoder", Bell System Technical Journal 45(9), 1966,
       doi:10.1002/j.1538-7305.1966.tb01706.x.
.. [3] O'Shaughnessy, "Speech communication: human and machine", Addison-Wesley 1987, p. 150.
"""

import numpy as np

from common.checks import expect


def alias(frequency, sample_rate):
    r"""Frequency of a tone after sampling: :math:`|f - f_s \operatorname{round}(f / f_s)|`, in Hz, at most f_s / 2.

    Examples
    --------
    >>> float(alias(9000, sample_rate=16000))
    7000.0
    """
    frequency = np.asarray(frequency, float)
    return np.abs(frequency - sample_rate * np.round(frequency / sample_rate))


def dft_matrix(size):
    r"""The matrix :math:`W[k, n] = e^{-2\pi i k n / N}`, complex128, (size, size): row k is the tone of bin k.

    `dft_matrix(N) @ x` is the discrete Fourier transform of x, and :math:`W W^H = N I`, so :math:`W^H / N` undoes it.

    See Also
    --------
    fft : the same in N log N steps.

    Examples
    --------
    >>> (dft_matrix(4) @ [1, 0, -1, 0]).real.round(6)  # half the energy in bin 1, half in its mirror image
    array([0., 2., 0., 2.])
    """
    expect(size >= 1, "size", "at least 1", size)
    n = np.arange(size)
    return np.exp(-2j * np.pi * (np.outer(n, n) % size) / size)  # whole turns removed: exact for large k·n


def fft(x):
    r"""The discrete Fourier transform in :math:`N \log_2 N` steps, by halving [1]_.

    With the transforms E and O of the even and odd samples, each half as long:

    .. math:: X[k] = E[k] + e^{-2\pi i k / N} O[k], \qquad X[k + N/2] = E[k] - e^{-2\pi i k / N} O[k]

    Parameters
    ----------
    x : np.ndarray, (N,)
        N a power of two.

    Returns
    -------
    np.ndarray, complex128, (N,)

    See Also
    --------
    dft_matrix : the same as a matrix.
    """
    x = np.asarray(x, complex)
    size = x.size
    expect(size >= 1 and not size & (size - 1), "x", "a length that is a power of two", size)
    if size == 1:
        return x
    even, odd = fft(x[::2]), fft(x[1::2])
    turned = np.exp(-2j * np.pi * np.arange(size // 2) / size) * odd
    return np.concatenate([even + turned, even - turned])


def overlap_sum(weights, hop_length):
    r"""Sum of the squares of all shifted windows, :math:`\sum_t w^2[n - tH]`, over one hop.

    Parameters
    ----------
    weights : np.ndarray, (N,)
    hop_length : int
        H, from 1 to N.

    Returns
    -------
    np.ndarray, (hop_length,)
        a constant if the overlap-add of analysis and synthesis window needs no division; a zero means that no inverse
        exists.
    """
    expect(1 <= hop_length <= len(weights), "hop_length", f"from 1 to the window's {len(weights)} samples", hop_length)
    total = np.zeros(hop_length)
    for start in range(0, len(weights), hop_length):
        part = np.asarray(weights[start : start + hop_length], float) ** 2
        total[: part.size] += part
    return total


def spreads(weights):
    r"""Width of a window in time (samples) and of its spectrum in frequency (cycles per sample): standard deviations.

    Both are taken of the energy, :math:`|w|^2` and :math:`|W|^2`. Their product is at least :math:`1 / 4\pi`.

    Parameters
    ----------
    weights : np.ndarray, (N,)

    Returns
    -------
    time, frequency : float
        in samples, and in cycles per sample.
    """
    weights = np.asarray(weights, float)
    spectrum = np.fft.fft(weights, 64 * weights.size)
    frequencies = np.fft.fftfreq(spectrum.size)

    def deviation(positions, energy):
        share = energy / energy.sum()
        return float(np.sqrt(np.sum(share * (positions - np.sum(share * positions)) ** 2)))

    return deviation(np.arange(weights.size), weights**2), deviation(frequencies, np.abs(spectrum) ** 2)


def mel(frequency):
    r"""Frequency in Hz on the mel scale, :math:`2595 \log_{10}(1 + f / 700)` [3]_.

    Examples
    --------
    >>> mel([0, 700, 1400]).round(1)
    array([   0. ,  781.2, 1238.1])
    """
    return 2595 * np.log10(1 + np.asarray(frequency, float) / 700)


def mel_bands(sample_rate, n_fft, n_bands):
    """Triangles, evenly spaced on the mel scale, that add up the bins of a spectrum.

    Every band rises from the centre of the one before it and falls to the centre of the next.

    Parameters
    ----------
    sample_rate : int
        in Hz.
    n_fft : int
        length of the transform in samples.
    n_bands : int

    Returns
    -------
    np.ndarray, (n_bands, 1 + n_fft // 2)
        weights from 0 to 1: `mel_bands(...) @ abs(spectrum) ** 2` are the bands' powers.

    Examples
    --------
    >>> mel_bands(16000, n_fft=512, n_bands=40).shape
    (40, 257)
    """
    edges = 700 * (10 ** (np.linspace(0, mel(sample_rate / 2), n_bands + 2) / 2595) - 1)
    bins = np.arange(1 + n_fft // 2) * sample_rate / n_fft
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling))


def instantaneous_frequency(spectrum, hop_length, sample_rate):
    r"""Instantaneous frequency in each bin, from the phase's step between frames [2]_.

    A tone of frequency f turns the phase by :math:`2\pi f H / f_s` per hop. The centre of bin k predicts
    :math:`2\pi k H / N`; the difference, wrapped to (-π, π], corrects the centre.

    Parameters
    ----------
    spectrum : np.ndarray, complex, (1 + n_fft // 2, frames)
    hop_length : int
        at most n_fft / 4, so that a tone anywhere in a Hann window's main lobe differs from its neighbours.
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, (1 + n_fft // 2, frames - 1)
        in Hz.
    """
    n_fft = 2 * (spectrum.shape[0] - 1)
    centres = np.arange(spectrum.shape[0])[:, None] / n_fft  # cycles per sample
    step = np.angle(spectrum[:, 1:] * np.conj(spectrum[:, :-1]))
    surplus = np.angle(np.exp(1j * (step - 2 * np.pi * centres * hop_length)))
    return (centres + surplus / (2 * np.pi * hop_length)) * sample_rate
