"""What training makes small."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("mss")
class NegativeSNR(keras.losses.Loss):
    r"""Negative signal-to-noise ratio in dB, softly limited so that neither perfect nor silent stems rule a batch.

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

    Notes
    -----
    Called with y_true and y_pred of shape (batch, sources, samples), returns the mean over batch and sources.
    """

    def __init__(self, tau=1e-3, sigma=1e-3, name="negative_snr", **kwargs):
        super().__init__(name=name, **kwargs)
        self.tau, self.sigma = tau, sigma

    def call(self, y_true, y_pred):
        energy = ops.sum(ops.square(y_true), axis=-1)  # (batch, sources)
        error = ops.sum(ops.square(y_true - y_pred), axis=-1)
        mixture = ops.sum(ops.square(ops.sum(y_true, axis=1)), axis=-1, keepdims=True)  # (batch, 1)
        leak = self.sigma * mixture + 1e-8
        ratio = ops.log(error + self.tau * energy + leak) - ops.log(energy + leak)
        return ops.mean(ratio, axis=-1) * (10 / math.log(10))

    def get_config(self):
        return {**super().get_config(), "tau": self.tau, "sigma": self.sigma}
