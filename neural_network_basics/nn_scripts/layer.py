"""What all layers share: a forward pass, a backward pass, and parameters with their gradients.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from common.checks import expect


class Layer:
    """A function y = f(x; parameters) that can also send a gradient back.

    A subclass names its parameters in `names`. A parameter `W` is an array attribute `W`; beside it lies its gradient
    `dW`, an array of the same shape that `backward` overwrites. Three rules make a layer of it:

    - ``forward(x)`` returns y and keeps the arrays that the backward pass needs;
    - ``backward(dy)`` gets dL/dy for the most recent forward pass, writes dL/dW for each parameter, returns dL/dx;
    - the first axis is the batch, the last axis holds the channels.
    """

    names: tuple[str, ...] = ()

    def pairs(self):
        """List of (parameter, gradient): the arrays themselves, so that an optimiser can change them in place."""
        return [(getattr(self, name), getattr(self, "d" + name)) for name in self.names]

    def add(self, name, value):
        """Make `value` the parameter called `name`, with a gradient of zeros beside it."""
        setattr(self, name, value)
        setattr(self, "d" + name, np.zeros_like(value))
        self.names = (*self.names, name)

    @property
    def size(self):
        """Number of trainable weights."""
        return sum(parameter.size for parameter, _ in self.pairs())


class Flatten(Layer):
    """(batch, ...) → (batch, features): the bridge from images to a dense layer."""

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.shape)


def random_weights(shape, fan_in, gain=1.0, rng=None, dtype=np.float32):
    """Normal random weights whose variance is gain / fan_in.

    A sum of `fan_in` products then has `gain` times the variance of one input, whatever the width of the layer.

    Parameters
    ----------
    shape : tuple of int
        of the weights.
    fan_in : int
        number of inputs that one output sums over.
    gain : float
        1 keeps the variance through a linear or tanh layer; 2 makes up for the half that a ReLU throws away [1]_.
    rng : numpy.random.Generator or int, optional
        source of the random numbers, or the seed of a new one.
    dtype : dtype
        float32, or float64 to check gradients.

    Returns
    -------
    np.ndarray, `shape`

    References
    ----------
    .. [1] He, Zhang, Ren & Sun, "Delving deep into rectifiers", ICCV 2015, doi:10.1109/ICCV.2015.123.
    """
    return np.random.default_rng(rng).normal(0.0, np.sqrt(gain / fan_in), shape).astype(dtype)


def need_shape(layer, x, dimensions, channels):
    """Raise ValueError unless `x` has that many dimensions (None: at least 2) and channels on its last axis."""
    name, shape = f"x of {type(layer).__name__}", np.shape(x)
    enough = len(shape) == dimensions if dimensions else len(shape) >= 2
    expect(enough, name, f"{dimensions or 'at least 2'} dimensions", f"shape {shape}")
    expect(shape[-1] == channels, name, f"{channels} channels on its last axis", shape[-1])
