"""The losses that training minimises.

Every loss takes y_true and y_pred of shape (batch, sources, samples), or (batch, sources, channels, samples), and
returns the mean over batch and sources. A silent stem, reference or estimate, gives a finite value and gradient.

Notebooks: mss_nn_implementation/convtas_report.ipynb, mss_nn_implementation/model_report.ipynb
"""

import math

import keras
import numpy as np
from keras import ops

DB = 10 / math.log(10)
"""Decibels per natural logarithm of a ratio of energies."""


def _energy(x):
    """Energy of each source: (batch, sources, ..., samples) → (batch, sources)."""
    return ops.sum(ops.square(x), axis=tuple(range(2, len(x.shape))))


class LimitedRatio(keras.losses.Loss):
    """A ratio of energies with two soft limits, `tau` and `sigma`."""

    def __init__(self, tau=1e-3, sigma=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.tau, self.sigma = tau, sigma

    def get_config(self):
        return {**super().get_config(), "tau": self.tau, "sigma": self.sigma}


@keras.saving.register_keras_serializable("mss")
class NegativeSNR(LimitedRatio):
    r"""Negative signal-to-noise ratio in dB, softly limited so that neither perfect nor silent stems dominate a batch.

    .. math:: \ell = 10\log_{10}\frac{\|s - \hat s\|^2 + \tau\|s\|^2 + \sigma\|x\|^2}{\|s\|^2 + \sigma\|x\|^2}

    where :math:`x = \sum_i s_i` is the mixture. :math:`\tau` stops rewarding an estimate beyond 10·log10(1/τ) dB (the
    soft threshold of Wisdom et al. 2020); :math:`\sigma` gives silent stems a finite goal: at most σ of the mixture's
    energy may leak into them.

    Parameters
    ----------
    tau : float
        1e-3: a limit of 30 dB.
    sigma : float
        1e-3: leakage 30 dB below the mixture.

    See Also
    --------
    NegativeSISDR : ignores levels.
    audio_processing.metrics.snr : the metric, without limits.

    Examples
    --------
    >>> stems = np.ones((1, 2, 800), "float32")
    >>> float(NegativeSNR()(stems, stems)) < -20  # perfect estimates: the limits hold it above -30 dB
    True
    >>> abs(float(NegativeSNR()(stems, 0 * stems))) < 0.01  # silence is 0 dB
    True
    """

    def call(self, y_true, y_pred):
        energy, error = _energy(y_true), _energy(y_true - y_pred)  # (batch, sources)
        mixture = _energy(ops.sum(y_true, axis=1, keepdims=True))  # (batch, 1)
        leak = self.sigma * mixture + 1e-8
        ratio = ops.log(error + self.tau * energy + leak) - ops.log(energy + leak)
        return ops.mean(ratio, axis=-1) * DB


@keras.saving.register_keras_serializable("mss")
class NegativeSISDR(LimitedRatio):
    r"""Negative scale-invariant signal-to-distortion ratio in dB, softly limited from both sides.

    .. math:: \ell = 10\log_{10}\frac{\|\alpha s - \hat s\|^2 + \tau\|\alpha s\|^2}
                                     {\|\alpha s\|^2 + \sigma\|\alpha s - \hat s\|^2},
        \qquad \alpha = \frac{\langle \hat s, s\rangle}{\|s\|^2}

    The estimate's level changes nothing (Le Roux et al. 2019, https://doi.org/10.1109/ICASSP.2019.8683855), so a level
    has to come from elsewhere. :math:`\tau` ends the reward for nearly perfect estimates, :math:`\sigma` the penalty
    for nearly unrelated ones. Silent references do not count: a loss that ignores levels cannot demand silence. A
    silent estimate counts as 0 dB.

    Parameters
    ----------
    tau : float
        1e-3: a limit of 30 dB.
    sigma : float
        1e-3: a limit of -30 dB.

    See Also
    --------
    NegativeSNR : a loss for levels, too.
    audio_processing.metrics.si_sdr : the metric, without limits.
    """

    def call(self, y_true, y_pred):
        energy = _energy(y_true)  # (batch, sources)
        alpha = _dot(y_pred, y_true) / (energy + 1e-12)
        shape = (*ops.shape(energy), *[1] * (len(y_true.shape) - 2))
        target = ops.reshape(alpha, shape) * y_true
        signal, error = _energy(target), _energy(target - y_pred)
        smallest = 1e-10 * energy + 1e-20  # for a silent estimate, both sides of the ratio
        ratio = ops.log(error + self.tau * signal + smallest) - ops.log(signal + self.sigma * error + smallest)
        sounds = ops.cast(energy > 1e-10, ratio.dtype)
        return ops.sum(ratio * sounds, axis=-1) / ops.maximum(ops.sum(sounds, axis=-1), 1.0) * DB


def _dot(a, b):
    """Inner product of each source, shaped as `_energy`'s result."""
    return ops.sum(a * b, axis=tuple(range(2, len(a.shape))))


@keras.saving.register_keras_serializable("mss")
class L1(keras.losses.Loss):
    r"""Mean absolute difference of the waveforms, :math:`\operatorname{mean}|s - \hat s|`: a loud stem counts more."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=tuple(range(1, len(y_true.shape))))


@keras.saving.register_keras_serializable("mss")
class MultiScaleSpectral(keras.losses.Loss):
    r"""Distance of magnitude spectrograms and of their logarithms at several resolutions; phases do not count.

    .. math:: \ell = \frac{1}{n}\sum_i \operatorname{mean}\big|S_i - \hat S_i\big| +
        \operatorname{mean}\big|\ln S_i - \ln \hat S_i\big|

    (Engel et al. 2020, https://arxiv.org/abs/2001.04643, here as the mean over the n scales). Hann windows of unit sum,
    so that a sine of amplitude a has a peak of a / 2 at every scale, and a hop of a quarter of the window.

    Parameters
    ----------
    scales : tuple of int
        FFT sizes in samples, multiples of 4.
    floor : float
        smallest magnitude of the logarithm: 1e-5 is 94 dB below a full-scale sine's peak.
    """

    def __init__(self, scales=(2048, 1024, 512, 256, 128, 64), floor=1e-5, name="multi_scale_spectral", **kwargs):
        super().__init__(name=name, **kwargs)
        self.scales, self.floor = tuple(scales), floor

    def call(self, y_true, y_pred):
        total = 0.0
        for n_fft in self.scales:
            reference, estimate = (self._magnitudes(x, n_fft) for x in (y_true, y_pred))
            distance = ops.abs(reference - estimate) + ops.abs(ops.log(reference) - ops.log(estimate))
            total = total + ops.mean(distance, axis=tuple(range(1, len(distance.shape))))
        return total / len(self.scales)

    def _magnitudes(self, x, n_fft):
        """Magnitudes (..., frames, n_fft // 2 + 1), never below the floor; zeros around the sound."""
        hop = n_fft // 4
        samples = x.shape[-1]
        hops = -(-samples // hop) + 6  # every sample is in four windows
        padded = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(3 * hop, (hops - 3) * hop - samples)])
        pieces = ops.reshape(padded, (-1, *x.shape[1:-1], hops, hop))
        frames = ops.concatenate([pieces[..., q : hops - 3 + q, :] for q in range(4)], axis=-1)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        real, imaginary = ops.rfft(frames * (window / window.sum()).astype(np.float32), n_fft)
        # the root's slope is infinite at 0; at the floor it is not
        return ops.sqrt(ops.maximum(ops.square(real) + ops.square(imaginary), self.floor**2))

    def get_config(self):
        return {**super().get_config(), "scales": list(self.scales), "floor": self.floor}


LOSSES = {"snr": NegativeSNR, "si_sdr": NegativeSISDR, "l1": L1, "spectral": MultiScaleSpectral}
"""The losses by their names in `parameters.Training`."""
