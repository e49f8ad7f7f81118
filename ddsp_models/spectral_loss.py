"""Multi-scale spectral loss: how far two sounds are from each other, whatever their phases.

Two definitions, because their numbers must not be mixed:

- "ddsp": Engel et al.'s as ddsp 3.7.0 computes it and the earlier report quotes it, a sum over the scales.
- "per_bin": the mean over all bins of all scales, which does not grow with the number of scales.
"""

import keras
import numpy as np
from keras import ops

SCALES = (2048, 1024, 512, 256, 128, 64)
"""FFT sizes, in samples; frames overlap by three quarters."""


def magnitudes(audio, n_fft):
    """Magnitude spectrogram as the loss sees it: Hann windows, hop n_fft / 4, zeros after the end.

    Parameters
    ----------
    audio : tensor, (batch, samples)
    n_fft : int
        a multiple of 4.

    Returns
    -------
    tensor, (batch, frames, n_fft // 2 + 1)
        as many frames as hops begin within the sound. The gradient is finite, in silence too.
    """
    hop = n_fft // 4
    samples = audio.shape[1]
    n_frames = -(-samples // hop)
    padded = ops.pad(audio, ((0, 0), (0, (n_frames + 3) * hop - samples)))
    hops = ops.reshape(padded, (-1, n_frames + 3, hop))
    frames = ops.concatenate([hops[:, q : q + n_frames] for q in range(4)], axis=-1)  # (batch, frames, n_fft)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    real, imaginary = ops.rfft(frames * ops.convert_to_tensor(window), n_fft)
    power = ops.square(real) + ops.square(imaginary)
    sounds = power > 0
    return ops.where(sounds, ops.sqrt(ops.where(sounds, power, 1.0)), 0.0)


def spectral_loss(target, audio, definition="ddsp", scales=SCALES):
    r"""Distance of two sounds: magnitudes and their logarithms, at several resolutions.

    .. math:: \ell = \sum_i \Big( \operatorname{mean}\big|S_i - \hat S_i\big| +
        \operatorname{mean}\big|\ln S_i - \ln \hat S_i\big| \Big)

    with the magnitude spectrogram :math:`S_i` of scale i ("ddsp"). "per_bin" takes one mean over the bins of all scales
    instead of a sum of means.

    Parameters
    ----------
    target, audio : tensor, (batch, samples)
    definition : {"ddsp", "per_bin"}
    scales : tuple of int
        FFT sizes.

    Returns
    -------
    tensor, ()
        0 for equal sounds. Bins that are exactly 0 count as 1e-5 in the logarithm.

    Raises
    ------
    ValueError
        where shapes differ or are empty, or the definition is neither.
    """
    _check(target, audio, definition)
    return ops.mean(_per_item(target, audio, definition, scales))


def _per_item(target, audio, definition, scales):
    """The loss of each item, (batch,)."""
    total, bins = 0.0, 0
    for n_fft in scales:
        spectrum, estimate = magnitudes(target, n_fft), magnitudes(audio, n_fft)
        ratio = ops.log(_floored(spectrum) / _floored(estimate))  # one logarithm instead of two
        distance = ops.abs(spectrum - estimate) + ops.abs(ratio)
        size = spectrum.shape[1] * spectrum.shape[2]
        total = total + (ops.mean if definition == "ddsp" else ops.sum)(distance, axis=(1, 2))
        bins += size
    return total if definition == "ddsp" else total / bins


def _floored(magnitude):
    return ops.where(magnitude > 0, magnitude, 1e-5)


def _check(target, audio, definition):
    if definition not in ("ddsp", "per_bin"):
        raise ValueError(f"definition: {definition!r} found, 'ddsp' or 'per_bin' expected")
    if len(target.shape) != 2 or target.shape[1] == 0:
        raise ValueError(f"target: shape {tuple(target.shape)} found, (batch, samples) expected")
    if tuple(target.shape[1:]) != tuple(audio.shape[1:]):
        raise ValueError(f"audio: shape {tuple(audio.shape)} found, that of target, {tuple(target.shape)}, expected")


@keras.saving.register_keras_serializable("mss")
class SpectralLoss(keras.losses.Loss):
    """`spectral_loss` as what `model.fit` makes small.

    Parameters
    ----------
    definition : {"ddsp", "per_bin"}
    scales : tuple of int
        FFT sizes.
    """

    def __init__(self, definition="ddsp", scales=SCALES, name="spectral_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.definition, self.scales = definition, tuple(scales)

    def call(self, y_true, y_pred):
        _check(y_true, y_pred, self.definition)
        return _per_item(y_true, y_pred, self.definition, self.scales)

    def get_config(self):
        return {**super().get_config(), "definition": self.definition, "scales": list(self.scales)}
