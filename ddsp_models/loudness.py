"""Loudness as DDSP defines it: A-weighted power at 250 frames per second, differentiable.

The virtual band annotates its songs with the same quantity (`audio_processing.loudness.loudness`, in NumPy); this one
takes batches and passes gradients, so that it can stand in a loss.
"""

import librosa
import numpy as np
from keras import ops

from audio_processing.loudness import FRAME_RATE, LOUDNESS_FFT, LOUDNESS_FLOOR, LOUDNESS_RATE


def loudness(audio, sample_rate=LOUDNESS_RATE, n_fft=LOUDNESS_FFT):
    r"""A-weighted power in decibels.

    .. math:: L_k = 10 \log_{10} \max\Big(10^{-8},\ \frac{1}{B}\sum_b 10^{A_b / 10} |X_{b,k}|^2\Big)

    with the short-time Fourier transform :math:`X` of B bins and the A-curve in dB, as in ddsp 3.7.0.

    Parameters
    ----------
    audio : tensor or np.ndarray, (batch, samples) or (samples,)
        finite, in [-1, 1].
    sample_rate : int
        in Hz, a multiple of 250. Levels depend on how many samples the window has: 16,000 Hz is what the decoders hear.
    n_fft : int
        window, in samples.

    Returns
    -------
    tensor, (batch, frames) or (frames,)
        in dB, at least -80 (digital silence, too); frame k is centred on k / 250 s, and there are as many as lie
        within the sound.

    Raises
    ------
    ValueError
        where `audio` is shorter than a frame, or the frame rate does not divide the sample rate.
    """
    if sample_rate % FRAME_RATE:
        raise ValueError(f"sample_rate: {sample_rate} found, a multiple of {FRAME_RATE} Hz expected; resample first")
    hop_length = sample_rate // FRAME_RATE
    audio = ops.convert_to_tensor(audio, "float32")
    if len(audio.shape) not in (1, 2):
        raise ValueError(f"audio: shape {tuple(audio.shape)} found, (batch, samples) or (samples,) expected")
    n_frames = audio.shape[-1] // hop_length
    if n_frames == 0:
        raise ValueError(f"audio: {audio.shape[-1]} samples found, at least {hop_length} (one frame) expected")
    batch = audio if len(audio.shape) == 2 else audio[None]
    batch = ops.pad(batch, ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = ops.extract_sequences(batch, n_fft, hop_length)[:, :n_frames]  # (batch, frames, n_fft)
    real, imaginary = ops.rfft(frames * ops.convert_to_tensor(_hann(n_fft)), n_fft)  # (batch, frames, bins)
    weight = ops.convert_to_tensor(_a_weighting(sample_rate, n_fft))
    power = ops.mean((ops.square(real) + ops.square(imaginary)) * weight, axis=-1)
    decibels = 10 / np.log(10) * ops.log(ops.maximum(power, 10 ** (LOUDNESS_FLOOR / 10)))
    decibels = ops.maximum(decibels, LOUDNESS_FLOOR)  # rounding of the logarithm
    return decibels if len(audio.shape) == 2 else decibels[0]


def unit_loudness(decibels):
    """Loudness as a network's input: -80 dB (and all below, -inf too) becomes 0, 0 dB becomes 1.

    Raises
    ------
    ValueError
        where a value is NaN: that is not a loudness, it comes from broken audio.
    """
    decibels = np.asarray(decibels, np.float32)
    if np.isnan(decibels).any():
        raise ValueError(f"decibels: {np.isnan(decibels).sum()} NaN found, numbers or -inf expected")
    return np.maximum(decibels, LOUDNESS_FLOOR) / -LOUDNESS_FLOOR + 1


def _hann(size):
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _a_weighting(sample_rate, n_fft):
    """Gains of the A-curve in power, (bins,). librosa floors the curve at -80 dB, 0 Hz included."""
    with np.errstate(divide="ignore"):  # the curve's logarithm at 0 Hz
        decibels = librosa.A_weighting(librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft))
    return (10 ** (decibels / 10)).astype(np.float32)
