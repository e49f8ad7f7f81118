"""Loudness as DDSP defines it: A-weighted power at 250 frames per second, differentiable.

Notebook: ddsp_models/ddsp_report.ipynb

The virtual band annotates its songs with the same quantity (`audio_processing.loudness.loudness`, in NumPy); this one
takes batches and passes gradients, so that it can be part of a loss.
"""

import numpy as np
from keras import ops

from audio_processing.audio_processing import window
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FFT, LOUDNESS_FLOOR, LOUDNESS_RATE, a_weights
from common.checks import expect


def loudness(audio, sample_rate=LOUDNESS_RATE, n_fft=LOUDNESS_FFT):
    r"""A-weighted power in decibels (Engel et al. 2020, https://openreview.net/forum?id=B1x1ma4tDr).

    .. math:: L_k = 10 \log_{10} \max\Big(10^{-8},\ \frac{1}{B}\sum_b 10^{A_b / 10} |X_{b,k}|^2\Big)

    with the short-time Fourier transform :math:`X` of B bins and the A-curve in dB, as in ddsp 3.7.0.

    Parameters
    ----------
    audio : tensor or np.ndarray, (batch, samples) or (samples,)
        finite, in [-1, 1].
    sample_rate : int
        in Hz, a multiple of 250. Levels depend on how many samples the window has: the decoders use 16,000 Hz.
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
        if `audio` is shorter than a frame, or the frame rate does not divide the sample rate.

    See Also
    --------
    audio_processing.loudness.loudness : the same for one sound of any sample rate, in NumPy.
    spectral_loss.spectral_loss : the distance of two sounds.

    Examples
    --------
    Twice the amplitude is 6 dB more:

    >>> tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> quiet, loud = loudness(tone), loudness(2 * tone)
    >>> tuple(quiet.shape), round(float(loud[125] - quiet[125]), 2)
    ((250,), 6.02)
    """
    hop_length, rest = divmod(sample_rate, FRAME_RATE)
    expect(not rest, "sample_rate", f"a multiple of {FRAME_RATE} Hz", f"{sample_rate}; resample first")
    audio = ops.convert_to_tensor(audio, "float32")
    expect(len(audio.shape) in (1, 2), "audio", "shape (batch, samples) or (samples,)", tuple(audio.shape))
    n_frames = audio.shape[-1] // hop_length
    expect(n_frames, "audio", f"at least {hop_length} samples (one frame)", audio.shape[-1])
    batch = ops.pad(audio if len(audio.shape) == 2 else audio[None], ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = ops.extract_sequences(batch, n_fft, hop_length)[:, :n_frames]  # (batch, frames, n_fft)
    hann = window("hann", n_fft).astype(np.float32)
    real, imaginary = ops.rfft(frames * ops.convert_to_tensor(hann), n_fft)  # (batch, frames, bins)
    weight = ops.convert_to_tensor(a_weights(sample_rate, n_fft).astype(np.float32))
    power = ops.mean((ops.square(real) + ops.square(imaginary)) * weight, axis=-1)  # (batch, frames)
    # twice not below the floor, for the logarithm is rounded:
    decibels = ops.maximum(10 / np.log(10) * ops.log(ops.maximum(power, 10 ** (LOUDNESS_FLOOR / 10))), LOUDNESS_FLOOR)
    return decibels if len(audio.shape) == 2 else decibels[0]
