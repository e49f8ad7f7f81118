"""Layer normalisation: every example is brought to mean 0 and variance 1, then scaled by what the network learns.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from common.checks import expect

from .layer import Layer, need_shape


class LayerNorm(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with gamma and beta per channel.

    Parameters
    ----------
    channels : int
        length of the last axis.
    over : {"channels", "all"}
        what mean and variance are taken over: the channels of each position [1]_, or all positions and channels of each
        example, which Conv-TasNet calls global layer normalisation (gLN) [2]_.
    epsilon : float
        keeps the division finite if the input is constant.
    dtype : dtype
        of the parameters.

    References
    ----------
    .. [1] Ba, Kiros & Hinton, "Layer normalization", 2016, doi:10.48550/arXiv.1607.06450.
    .. [2] Luo & Mesgarani, "Conv-TasNet", IEEE/ACM TASLP 27(8), 2019, doi:10.1109/TASLP.2019.2915167.
    """

    def __init__(self, channels, over="channels", epsilon=1e-8, dtype=np.float32):
        expect(over in ("channels", "all"), "over", "'channels' or 'all'", repr(over))
        self.over, self.epsilon = over, epsilon
        self.add("gamma", np.ones(channels, dtype))
        self.add("beta", np.zeros(channels, dtype))

    def forward(self, x):
        """(batch, ..., channels) → the same shape."""
        need_shape(self, x, None, len(self.gamma))
        self.axes = -1 if self.over == "channels" else tuple(range(1, x.ndim))
        centred = x - x.mean(axis=self.axes, keepdims=True)
        variance = np.mean(centred**2, axis=self.axes, keepdims=True)
        self.scale = 1 / np.sqrt(variance + self.epsilon)
        self.n = centred * self.scale  # the normalised input
        return self.gamma * self.n + self.beta

    def backward(self, dy):
        every_axis_but_last = tuple(range(dy.ndim - 1))
        self.dgamma[...] = np.sum(dy * self.n, axis=every_axis_but_last)
        self.dbeta[...] = np.sum(dy, axis=every_axis_but_last)
        dn = dy * self.gamma
        # x also moves the mean and the scale: the gradients of both are subtracted
        through_mean = dn.mean(axis=self.axes, keepdims=True)
        through_scale = self.n * np.mean(dn * self.n, axis=self.axes, keepdims=True)
        return self.scale * (dn - through_mean - through_scale)
