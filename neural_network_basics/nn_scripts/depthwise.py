"""The depthwise convolution over time: one short filter per channel, as shifted multiply-adds.

Notebook: neural_network_basics/cnn_report.ipynb
"""

import numpy as np

from common.checks import expect

from .layer import Layer, need_shape, random_weights


class DepthwiseConv1D(Layer):
    """y[t, c] = b[c] + sum_p W[p, c] x[t + dilation (p - (P - 1) / 2), c], of the same length as x.

    It is `Conv1D` with groups = channels, stride 1 and "same" padding. Nothing is summed over channels, so there is no
    matrix product in it: tap p adds to the output a copy of the input, shifted by `shift(p)` and scaled per channel.
    Samples beyond the ends are zeros: a shifted copy is simply shorter. The batch is walked one example at a time
    because one example stays in the processor's cache while all taps pass over it.

    Parameters
    ----------
    channels : int
    kernel : int
        number of taps P, odd.
    dilation : int
        distance between taps.
    gain, rng, dtype
        as for `Dense`.

    Attributes
    ----------
    W, dW : np.ndarray, (kernel, channels)
    b, db : np.ndarray, (channels,)

    See Also
    --------
    mss_nn_implementation.layer.DepthwiseConvolution : the same in Keras.
    """

    def __init__(self, channels, kernel=3, dilation=1, gain=1.0, rng=None, dtype=np.float32):
        expect(kernel % 2, "kernel", "an odd number", kernel)
        self.dilation = dilation
        self.add("W", random_weights((kernel, channels), kernel, gain, rng, dtype))
        self.add("b", np.zeros(channels, dtype))

    def overlaps(self, time):
        """For each tap p: (p, steps of the output that it reaches, steps of the input that it reads)."""
        for p in range(len(self.W)):
            shift = self.dilation * (p - (len(self.W) - 1) // 2)
            if abs(shift) < time:
                yield p, slice(max(0, -shift), time - max(0, shift)), slice(max(0, shift), time + min(0, shift))

    def forward(self, x):
        """(batch, time, channels) → the same shape."""
        need_shape(self, x, 3, self.W.shape[1])
        self.x = x
        y = np.empty_like(x)
        product = np.empty_like(x[0])  # one buffer for all taps
        for x_n, y_n in zip(x, y):
            y_n[...] = self.b
            for p, out, seen in self.overlaps(x.shape[1]):
                y_n[out] += np.multiply(x_n[seen], self.W[p], out=product[out])
        return y

    def backward(self, dy):
        """(batch, time, channels) → the same shape."""
        dx = np.zeros_like(dy)
        rows = dy.reshape(-1, dy.shape[-1])
        self.db[...] = np.ones(len(rows), dy.dtype) @ rows  # the sum of the rows, as a matrix product
        self.dW[...] = 0
        product = np.empty_like(dy[0])
        for x_n, dy_n, dx_n in zip(self.x, dy, dx):
            for p, out, seen in self.overlaps(dy.shape[1]):
                self.dW[p] += np.einsum("tc,tc->c", x_n[seen], dy_n[out])  # inputs of tap p, times gradients
                dx_n[seen] += np.multiply(dy_n[out], self.W[p], out=product[out])  # the shift, turned round
        return dx
