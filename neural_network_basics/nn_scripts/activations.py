"""Activations: the curved steps between the linear ones, without which a deep network is a single matrix.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from .layer import Layer


class Tanh(Layer):
    """y = tanh(x), odd and bounded by 1."""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)), between 0 and 1: a probability or a mask.

    Written as (1 + tanh(x / 2)) / 2, which is the same function and overflows nowhere.
    """

    def forward(self, x):
        self.y = 0.5 + 0.5 * np.tanh(0.5 * x)
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x):
        self.open = x > 0
        return x * self.open

    def backward(self, dy):
        return dy * self.open


class PReLU(Layer):
    """y = x if x > 0, else a x, with one trainable slope `a` for the whole layer.

    It is Conv-TasNet's activation.

    References
    ----------
    .. [1] He, Zhang, Ren & Sun, "Delving deep into rectifiers", ICCV 2015, doi:10.1109/ICCV.2015.123.
    """

    def __init__(self, slope=0.25, dtype=np.float32):
        self.add("a", np.array(slope, dtype))

    def forward(self, x):
        self.x, self.slope = x, np.where(x > 0, self.a.dtype.type(1), self.a)
        return x * self.slope

    def backward(self, dy):
        self.da[...] = np.sum(dy * np.minimum(self.x, 0))  # dy/da is x where x < 0 and 0 elsewhere
        return dy * self.slope


class Softmax(Layer):
    """y_i = exp(x_i) / sum_j exp(x_j) over the last axis: positive numbers that add up to one.

    The largest x is subtracted first; it cancels in the fraction and keeps exp from overflowing.
    """

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y

    def backward(self, dy):
        # dy_i/dx_j = y_i (1[i = j] - y_j), so each dx_j is y_j times (dy_j minus the y-weighted mean of dy)
        return self.y * (dy - np.sum(dy * self.y, axis=-1, keepdims=True))
