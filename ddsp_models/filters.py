r"""Time-varying filters, filtered noise and reverb, by products of spectra.

Notebook: ddsp_models/ddsp_report.ipynb
"""

import numpy as np
from keras import initializers, ops, random, saving

from audio_processing.audio_processing import window
from common.checks import expect
from ddsp_models.framing import HOP_LENGTH, Synthesiser, check_frames, exp_sigmoid


def impulse_responses(magnitudes):
    """Filters of linear phase with given gains, by frequency sampling and a Hann window (Engel et al. 2020, app. B.5).

    Parameters
    ----------
    magnitudes : tensor, (..., bands)
        gains at bands frequencies from 0 Hz to the Nyquist frequency, equally spaced.

    Returns
    -------
    tensor, (..., 2 · (bands - 1))
        symmetric around index bands - 1, which is the delay of the filter in samples.
    """
    size = _taps(magnitudes)
    response = ops.roll(ops.irfft((magnitudes, ops.zeros_like(magnitudes)), size), size // 2, axis=-1)
    return response * ops.convert_to_tensor(window("hann", size).astype(np.float32))


def _taps(magnitudes):
    """Length of the filters that have these gains."""
    expect(magnitudes.shape[-1] >= 2, "magnitudes", "at least 2 bands", magnitudes.shape[-1])
    return 2 * (magnitudes.shape[-1] - 1)


def _smoothed(bands, size):
    """The gains that windowed filters have at size // 2 + 1 frequencies, per unit of gain in each band.

    `impulse_responses` are symmetric, so without their delay their spectra are real, and linear in the gains. One
    matrix product then takes the place of two Fourier transforms.

    Returns
    -------
    np.ndarray, float32, (bands, size // 2 + 1)
    """
    taps = 2 * (bands - 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps)
    responses = np.roll(np.fft.irfft(np.eye(bands), taps), taps // 2, axis=1) * hann  # (bands, taps)
    centred = np.roll(np.pad(responses, ((0, 0), (0, size - taps))), -taps // 2, axis=1)
    return np.fft.rfft(centred).real.astype(np.float32)


def fir_filter(audio, magnitudes, hop_length=HOP_LENGTH, latency=0):
    """Filter a sound, with other gains in each frame.

    Each frame's samples, hop_length from its centre on, are convolved (by FFT) with that frame's filter of
    `impulse_responses`, tails overlapping.

    Parameters
    ----------
    audio : tensor, (batch, frames · hop_length)
    magnitudes : tensor, (batch, frames, bands)
        gains from 0 Hz to the Nyquist frequency.
    hop_length : int
    latency : int
        how many samples late the result is. The filters' own delay is compensated, so that gains of 1 leave the sound
        as it is; what ddsp 3.7.0 calls compensation leaves 2 samples.

    Returns
    -------
    tensor, (batch, frames · hop_length)

    Raises
    ------
    ValueError
        if the frames do not divide the samples into hops.
    """
    audio, magnitudes = ops.convert_to_tensor(audio, "float32"), ops.convert_to_tensor(magnitudes, "float32")
    check_frames(hop_length, magnitudes=magnitudes)
    n_frames, taps = magnitudes.shape[1], _taps(magnitudes)
    expect(
        audio.shape[1:] == (n_frames * hop_length,),
        "audio",
        f"shape (batch, {n_frames * hop_length}) for {n_frames} frames of {hop_length} samples",
        tuple(audio.shape),
    )
    size = _power_of_two(hop_length + taps - 1)
    gains = ops.matmul(magnitudes, ops.convert_to_tensor(_smoothed(magnitudes.shape[-1], size)))
    frames = ops.reshape(audio, (-1, n_frames, hop_length))
    frames = ops.pad(frames, ((0, 0), (0, 0), (taps // 2, size - hop_length - taps // 2)))  # as late as the filter is
    real, imaginary = ops.rfft(frames, size)  # (batch, frames, size // 2 + 1)
    filtered = ops.irfft((real * gains, imaginary * gains), size)  # (batch, frames, size)
    parts = -(-(hop_length + taps - 1) // hop_length)  # hops that a filtered frame reaches into
    if parts * hop_length > size:
        filtered = ops.pad(filtered, ((0, 0), (0, 0), (0, parts * hop_length - size)))
    late = sum(
        ops.pad(filtered[:, :, p * hop_length : (p + 1) * hop_length], ((0, 0), (p, parts - 1 - p), (0, 0)))
        for p in range(parts)
    )  # (batch, frames + parts - 1, hop_length)
    late = ops.reshape(late, (-1, (n_frames + parts - 1) * hop_length))
    start = taps // 2 - latency
    return late[:, start : start + n_frames * hop_length]


def convolve(audio, impulse_response):
    """Convolve whole sounds with one impulse response each, cut to the sounds' length.

    Parameters
    ----------
    audio : tensor, (batch, samples)
    impulse_response : tensor, (batch or 1, taps)

    Returns
    -------
    tensor, (batch, samples)
    """
    samples = audio.shape[1]
    size = _power_of_two(samples + impulse_response.shape[1] - 1)
    (a, b), (c, d) = ops.rfft(audio, size), ops.rfft(impulse_response, size)  # real and imaginary parts
    return ops.irfft((a * c - b * d, a * d + b * c), size)[:, :samples]


def _power_of_two(size):
    """The least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


@saving.register_keras_serializable("mss")
class FilteredNoise(Synthesiser):
    """White noise through a filter per frame: breath, bow, consonants, drums (Engel et al. 2020, section 3.4).

    Parameters
    ----------
    hop_length : int
        samples per frame.
    bias : float
        added to the network's outputs, so that an untrained one is quiet.
    seed : int
        of the noise.

    See Also
    --------
    fir_filter : the filter.
    Harmonic : the pitched part of a sound.

    Examples
    --------
    >>> magnitudes = np.zeros((1, 50, 65), np.float32)  # a network's outputs: 65 bands from 0 Hz to Nyquist
    >>> sound = FilteredNoise()(magnitudes)
    >>> tuple(sound.shape)
    (1, 3200)
    """

    def __init__(self, hop_length=HOP_LENGTH, bias=-5.0, seed=0, **kwargs):
        super().__init__({"hop_length": hop_length, "bias": bias, "seed": seed}, **kwargs)
        self.generator = random.SeedGenerator(seed)

    def controls(self, magnitudes):
        """From a network's outputs (batch, frames, bands) to {"magnitudes": gains of the bands}."""
        return {"magnitudes": exp_sigmoid(magnitudes + self.bias)}

    def signal(self, magnitudes, noise=None):
        """From controls to sound.

        Parameters
        ----------
        magnitudes : tensor, (batch, frames, bands)
        noise : tensor, (batch, frames · hop_length), optional
            what is filtered; uniform noise in [-1, 1) if None.

        Returns
        -------
        tensor, (batch, frames · hop_length)
        """
        if noise is None:
            samples = magnitudes.shape[1] * self.hop_length
            noise = random.uniform((ops.shape(magnitudes)[0], samples), -1.0, 1.0, seed=self.generator)
        return fir_filter(noise, magnitudes, self.hop_length)


@saving.register_keras_serializable("mss")
class FIRFilter(Synthesiser):
    """An equaliser whose gains change from frame to frame.

    Parameters
    ----------
    hop_length : int
        samples per frame.
    """

    def __init__(self, hop_length=HOP_LENGTH, **kwargs):
        super().__init__({"hop_length": hop_length}, **kwargs)

    def controls(self, audio, magnitudes):
        """From a sound and a network's outputs (batch, frames, bands) to {"audio", "magnitudes": gains}."""
        return {"audio": audio, "magnitudes": exp_sigmoid(magnitudes)}

    def signal(self, audio, magnitudes):
        """From controls to the filtered sound, (batch, samples)."""
        return fir_filter(audio, magnitudes, self.hop_length)


@saving.register_keras_serializable("mss")
class Reverb(Synthesiser):
    """The reverb of a room: one trainable impulse response, added to the dry sound (Engel et al. 2020, section 3.5).

    Parameters
    ----------
    taps : int
        length of the impulse response in samples; 48,000 (3 s) in the paper.
    seed : int
        of its first values, which are inaudible.
    decay : float, optional
        samples in which the reverb decays to 1/e: the trained weights are multiplied by that envelope.
    level : float
        and by this. An optimiser moves every tap by about its learning rate in each step; the small errors of thousands
        of taps add up to a hall unless a weight of 1 is a quiet echo.

    Notes
    -----
    The first tap is held at 0: it would be a copy of the dry sound.

    See Also
    --------
    convolve : the product of spectra.

    Examples
    --------
    An echo after 2 samples, half as loud:

    >>> reverb = Reverb(taps=3)
    >>> sound = reverb.signal(np.float32([[1, 0, 0, 0]]), np.float32([0, 0, 0.5]))
    >>> [round(float(x), 3) for x in sound[0]]
    [1.0, 0.0, 0.5, 0.0]
    """

    def __init__(self, taps=48000, seed=0, decay=None, level=1.0, **kwargs):
        super().__init__({"taps": taps, "seed": seed, "decay": decay, "level": level}, **kwargs)

    def build(self, shape):
        self.impulse_response = self.add_weight(
            shape=(self.taps,),
            initializer=initializers.RandomNormal(stddev=1e-6, seed=self.seed),
            name="impulse_response",
        )

    def controls(self, audio):
        """The sound and the impulse response that it is convolved with: {"audio", "impulse_response" (taps,)}."""
        response = self.level * ops.convert_to_tensor(self.impulse_response)
        if self.decay is not None:
            response = response * ops.convert_to_tensor(np.exp(-np.arange(self.taps) / self.decay).astype(np.float32))
        return {"audio": audio, "impulse_response": response}

    def signal(self, audio, impulse_response):
        """From controls to the sound with its reverb.

        Parameters
        ----------
        audio : tensor, (batch, samples)
        impulse_response : tensor, (taps,)

        Returns
        -------
        tensor, (batch, samples)
        """
        audio, impulse_response = ops.convert_to_tensor(audio), ops.convert_to_tensor(impulse_response)
        return audio + convolve(audio, ops.pad(impulse_response[1:], ((1, 0),))[None])
