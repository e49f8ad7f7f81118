"""Multi-scale spectral loss: the distance of two sounds, whatever their phases.

Notebook: ddsp_models/ddsp_report.ipynb

Two definitions, because their numbers must not be mixed:

- "ddsp": the sum over the scales, as Engel et al.'s ddsp 3.7.0 computes it and the earlier report quotes it.
- "per_bin": the mean over all bins of all scales, which does not grow with the number of scales.
"""

import numpy as np
from keras import losses, ops, saving

from audio_processing.audio_processing import window
from common.checks import expect
from ddsp_models.framing import Configured

SCALES = (2048, 1024, 512, 256, 128, 64)  # FFT sizes in samples, those of the paper; frames overlap by three quarters
QUIETEST = 1e-5  # a magnitude of exactly 0, as -100 dB, in the logarithm


def magnitudes(audio, n_fft):
    """Magnitude spectrogram of the loss: Hann windows, hop n_fft / 4, zeros after the end.

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
    hop, samples = n_fft // 4, audio.shape[1]
    n_frames = -(-samples // hop)
    hops = ops.reshape(ops.pad(audio, ((0, 0), (0, (n_frames + 3) * hop - samples))), (-1, n_frames + 3, hop))
    frames = ops.concatenate([hops[:, q : q + n_frames] for q in range(4)], axis=-1)  # (batch, frames, n_fft)
    hann = ops.convert_to_tensor(window("hann", n_fft).astype(np.float32))
    real, imaginary = ops.rfft(frames * hann, n_fft)  # (batch, frames, n_fft // 2 + 1)
    power = ops.square(real) + ops.square(imaginary)
    sounds = power > 0
    return ops.where(sounds, ops.sqrt(ops.where(sounds, power, 1.0)), 0.0)


def spectral_loss(target, audio, definition="ddsp", scales=SCALES):
    r"""Distance of two sounds: magnitudes and their logarithms, at several resolutions (Engel et al. 2020, eq. 4).

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
        if shapes differ or are empty, or the definition is neither.

    See Also
    --------
    SpectralLoss : the same for `model.fit`.
    loudness.loudness : what else a decoder is trained on.

    Examples
    --------
    >>> sound = np.sin(2 * np.pi * 440 * np.arange(8000) / 16000).astype(np.float32)[None]
    >>> float(spectral_loss(sound, sound))
    0.0
    >>> bool(spectral_loss(sound, 0.5 * sound) < spectral_loss(sound, 0.1 * sound))
    True
    """
    return ops.mean(loss_per_item(target, audio, definition, scales))


def loss_per_item(target, audio, definition="ddsp", scales=SCALES):
    """`spectral_loss` of each item, (batch,); the parameters are the same."""
    ours, theirs = tuple(audio.shape), tuple(target.shape)
    expect(definition in ("ddsp", "per_bin"), "definition", "'ddsp' or 'per_bin'", repr(definition))
    expect(len(theirs) == 2 and theirs[1], "target", "shape (batch, samples)", theirs)
    expect(ours[1:] == theirs[1:], "audio", f"target's shape, {theirs}", ours)
    total, bins = 0.0, 0
    for n_fft in scales:
        spectrum, estimate = magnitudes(target, n_fft), magnitudes(audio, n_fft)  # (batch, frames, n_fft // 2 + 1)
        audible, audible_estimate = (ops.where(x > 0, x, QUIETEST) for x in (spectrum, estimate))
        # one logarithm, of a ratio, instead of two:
        distance = ops.abs(spectrum - estimate) + ops.abs(ops.log(audible / audible_estimate))
        total = total + (ops.mean if definition == "ddsp" else ops.sum)(distance, axis=(1, 2))  # (batch,)
        bins += spectrum.shape[1] * spectrum.shape[2]
    return total if definition == "ddsp" else total / bins


@saving.register_keras_serializable("mss")
class SpectralLoss(Configured, losses.Loss):
    """`spectral_loss` as a loss of `model.fit`.

    Parameters
    ----------
    definition : {"ddsp", "per_bin"}
    scales : tuple of int
        FFT sizes.
    """

    def __init__(self, definition="ddsp", scales=SCALES, name="spectral_loss", **kwargs):
        super().__init__({"definition": definition, "scales": list(scales)}, name=name, **kwargs)

    def call(self, y_true, y_pred):
        return loss_per_item(y_true, y_pred, self.definition, self.scales)
