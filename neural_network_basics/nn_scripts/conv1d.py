"""The convolution over time, with stride, dilation and groups.

Notebook: neural_network_basics/cnn_report.ipynb
"""

import numpy as np

from common.checks import expect

from .layer import Layer, need_shape, random_weights
from .padding import pad_and_length


class Conv1D(Layer):
    """y[t] = b + sum_p x[stride t + dilation p - before] W[p], one small dense layer per tap p of the kernel.

    With `groups` = G the channels are cut into G parts that do not see one another: part g of the output is computed
    from part g of the input. G = 1 is the ordinary convolution; G = n_in = n_out the depthwise one.

    Parameters
    ----------
    n_in, n_out : int
        channels in and out, both multiples of `groups`.
    kernel : int
        number of taps, P.
    stride, dilation, groups : int
        step of the output, distance between taps, number of parts.
    padding : {"same", "valid"}
        as for `pad_and_length`.
    gain, rng, dtype
        as for `Dense`.

    Attributes
    ----------
    W, dW : np.ndarray, (kernel, n_in / groups, n_out)
        in Keras's layout: output channels [g n_out/G, (g + 1) n_out/G) belong to part g.
    b, db : np.ndarray, (n_out,)

    See Also
    --------
    depthwise.DepthwiseConv1D : one part per channel, faster.

    Examples
    --------
    >>> layer = Conv1D(1, 1, kernel=3)
    >>> layer.W[...] = 1  # a sum over three neighbours
    >>> layer.forward(np.arange(5, dtype=np.float32).reshape(1, 5, 1))[0, :, 0]
    array([1., 3., 6., 9., 7.], dtype=float32)
    """

    def __init__(
        self, n_in, n_out, kernel, stride=1, dilation=1, groups=1, padding="same", gain=1.0, rng=None, dtype=np.float32
    ):
        divisible = n_in % groups == n_out % groups == 0
        expect(divisible, "n_in, n_out", f"multiples of groups = {groups}", f"{n_in} and {n_out}")
        self.n_in, self.stride, self.dilation, self.groups, self.padding = n_in, stride, dilation, groups, padding
        self.add("W", random_weights((kernel, n_in // groups, n_out), kernel * n_in // groups, gain, rng, dtype))
        self.add("b", np.zeros(n_out, dtype))

    def parts(self, x):
        """Cut the last axis into groups: (batch, time, G c) → (batch, G, time, c)."""
        return x.reshape(*x.shape[:-1], self.groups, -1).swapaxes(-2, -3)

    def join(self, parts):
        """The inverse of `parts`: (batch, G, time, c) → (batch, time, G c)."""
        whole = parts.swapaxes(-2, -3)
        return whole.reshape(*whole.shape[:-2], -1)

    def tap(self, p, length):
        """The padded samples that tap p meets while the output runs over `length` steps."""
        start = p * self.dilation
        return slice(start, start + (length - 1) * self.stride + 1, self.stride)

    def forward(self, x):
        """(batch, time, n_in) → (batch, length, n_out)."""
        need_shape(self, x, 3, self.n_in)
        before, after, length = pad_and_length(x.shape[1], len(self.W), self.stride, self.dilation, self.padding)
        self.before, self.time = before, x.shape[1]
        self.x = self.parts(np.pad(x, ((0, 0), (before, after), (0, 0))))  # (batch, G, padded time, n_in / G)
        W = self.parts(self.W)  # (kernel, G, n_in / G, n_out / G)
        y = sum(self.x[:, :, self.tap(p, length)] @ W[p] for p in range(len(W)))
        return self.join(y) + self.b

    def backward(self, dy):
        """(batch, length, n_out) → (batch, time, n_in)."""
        length = dy.shape[1]
        self.db[...] = dy.sum(axis=(0, 1))
        dy, W = self.parts(dy), self.parts(self.W)
        dW, dx = np.empty_like(W), np.zeros_like(self.x)
        for p in range(len(W)):
            seen = self.tap(p, length)
            dW[p] = np.sum(
                self.x[:, :, seen].swapaxes(-1, -2) @ dy, axis=0
            )  # inputs of tap p, times gradients of its outputs
            dx[:, :, seen] += dy @ W[p].swapaxes(-1, -2)  # every output that an input fed sends a gradient back
        self.dW[...] = self.join(dW)
        return self.join(dx)[:, self.before : self.before + self.time]
