"""Losses: one number that measures how wrong the output is, and its gradient, where backpropagation starts.

Each loss is a mean over the rows of the batch. `weight` multiplies each element's (or row's) term before the mean, by
broadcasting. The cross-entropies take logits, the numbers before the sigmoid or the softmax:
log(sigmoid(z)) of a confident z is then exact, while log(y) of a y rounded to 0 is minus infinity.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from common.checks import expect


def need_equal_shapes(loss, output, target):
    """Raise ValueError unless output and target have the same shape (broadcasting would hide the mistake)."""
    name, shapes = f"target of {type(loss).__name__}", (np.shape(output), np.shape(target))
    expect(shapes[0] == shapes[1], name, f"the output's shape {shapes[0]}", f"shape {shapes[1]}")


class MeanSquaredError:
    """L = mean of w (y - t)^2 over all elements."""

    def forward(self, y, t, weight=1.0):
        need_equal_shapes(self, y, t)
        self.error, self.weight = y - t, weight
        return float(np.mean(weight * self.error**2))

    def backward(self):
        return 2 * self.weight * self.error / self.error.size


class BinaryCrossEntropy:
    """L = -mean of w (t log y + (1 - t) log(1 - y)) with y = sigmoid(z), computed from the logits z.

    With log y = -log(1 + exp(-z)) and log(1 - y) = -z - log(1 + exp(-z)), the term is z - t z + log(1 + exp(-z)). Where
    z < 0 that exp may overflow, and log(1 + exp(-z)) = -z + log(1 + exp(z)) is used instead: both cases are
    max(z, 0) - t z + log(1 + exp(-|z|)). The target may be any number from 0 to 1, such as a ratio mask.

    See Also
    --------
    CategoricalCrossEntropy : for one class out of many.

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> round(loss.forward(np.array([[0.0]]), np.array([[1.0]])), 4)  # y = 1/2: log 2
    0.6931
    >>> loss.backward()  # y - t
    array([[-0.5]])
    """

    def forward(self, z, t, weight=1.0):
        need_equal_shapes(self, z, t)
        self.z, self.t, self.weight = z, t, weight
        return float(np.mean(weight * (np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z))))))

    def backward(self):
        y = 0.5 + 0.5 * np.tanh(0.5 * self.z)
        return self.weight * (y - self.t) / self.z.size


class CategoricalCrossEntropy:
    """L = -mean over rows of w sum_i t_i log y_i with y = softmax(z), computed from the logits z.

    log y_i = z_i - log sum_j exp(z_j). The targets of a row add up to one: a class as a one-hot row, or a distribution.
    """

    def forward(self, z, t, weight=1.0):
        need_equal_shapes(self, z, t)
        shifted = z - z.max(axis=-1, keepdims=True)
        log_y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self.y, self.t, self.weight = np.exp(log_y), t, np.asarray(weight, z.dtype)[..., None]
        return float(np.mean(-self.weight[..., 0] * np.sum(t * log_y, axis=-1)))

    def backward(self):
        rows = self.y.size // self.y.shape[-1]
        return self.weight * (self.y - self.t) / rows
