"""The convolution over images and spectrograms.

Notebook: neural_network_basics/cnn_report.ipynb
"""

import numpy as np

from common.checks import expect

from .layer import Layer, need_shape, random_weights
from .padding import pad_and_length


class Conv2D(Layer):
    """y[i, j] = b + sum_{u, v} x[s i + u - top, s j + v - left] W[u, v], with s the stride.

    All patches that the kernel meets are laid out as the rows of one matrix ("im2col"), so that the sum over u, v and
    the input channels becomes one matrix product, which processors do best.

    Parameters
    ----------
    n_in, n_out : int
        channels in and out.
    kernel : (int, int)
        height and width.
    stride : int
        step of the output along both axes.
    padding : {"same", "valid"}
        as for `pad_and_length`.
    gain, rng, dtype
        as for `Dense`.

    Attributes
    ----------
    W, dW : np.ndarray, (height, width, n_in, n_out)
    b, db : np.ndarray, (n_out,)
    """

    def __init__(self, n_in, n_out, kernel=(3, 3), stride=1, padding="same", gain=1.0, rng=None, dtype=np.float32):
        self.stride, self.padding = stride, padding
        self.add("W", random_weights((*kernel, n_in, n_out), kernel[0] * kernel[1] * n_in, gain, rng, dtype))
        self.add("b", np.zeros(n_out, dtype))

    def forward(self, x):
        """(batch, height, width, n_in) → (batch, rows, columns, n_out)."""
        height, width, n_in, n_out = self.W.shape
        need_shape(self, x, 4, n_in)
        top, bottom, rows = pad_and_length(x.shape[1], height, self.stride, 1, self.padding)
        left, right, columns = pad_and_length(x.shape[2], width, self.stride, 1, self.padding)
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        self.padded_shape, self.inside = padded.shape, np.s_[:, top : top + x.shape[1], left : left + x.shape[2]]
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]  # (batch, rows, columns, n_in, height, width)
        self.patches = np.moveaxis(windows, 3, -1).reshape(-1, height * width * n_in)
        return (self.patches @ self.W.reshape(-1, n_out) + self.b).reshape(len(x), rows, columns, n_out)

    def backward(self, dy):
        """(batch, rows, columns, n_out) → (batch, height, width, n_in)."""
        height, width, n_in, n_out = self.W.shape
        batch, rows, columns, _ = dy.shape
        flat = dy.reshape(-1, n_out)
        self.db[...] = flat.sum(axis=0)
        self.dW[...] = (self.patches.T @ flat).reshape(self.W.shape)
        dx = np.zeros(self.padded_shape, dy.dtype)
        for u in range(height):
            for v in range(width):  # each pixel collects from every tap of the kernel that met it
                below, beside = u + (rows - 1) * self.stride + 1, v + (columns - 1) * self.stride + 1
                met = (flat @ self.W[u, v].T).reshape(batch, rows, columns, n_in)
                dx[:, u : below : self.stride, v : beside : self.stride] += met
        return dx[self.inside]


class MaxPool2D(Layer):
    """The largest value of each `pool` x `pool` tile; rows and columns that do not fill a tile are left out."""

    def __init__(self, pool=2):
        self.pool = pool

    def forward(self, x):
        """(batch, height, width, channels) → (batch, height // pool, width // pool, channels)."""
        pool, (batch, height, width, channels) = self.pool, x.shape
        rows, columns = height // pool, width // pool
        expect(rows and columns, "x of MaxPool2D", f"at least {pool} x {pool}", f"{height} x {width}")
        tiles = x[:, : rows * pool, : columns * pool].reshape(batch, rows, pool, columns, pool, channels)
        y = tiles.max(axis=(2, 4), keepdims=True)
        winners = tiles == y
        self.share = winners / winners.sum(axis=(2, 4), keepdims=True, dtype=x.dtype)  # ties share the gradient
        self.shape = x.shape
        return y[:, :, 0, :, 0]

    def backward(self, dy):
        tiles = self.share * dy[:, :, None, :, None]
        dx = np.zeros(self.shape, dy.dtype)
        _, rows, pool, columns, _, _ = tiles.shape
        dx[:, : rows * pool, : columns * pool] = tiles.reshape(len(dy), rows * pool, columns * pool, -1)
        return dx
