"""The dense layer: every output sees every input."""

import numpy as np

from .layer import Layer, need_shape, random_weights


class Dense(Layer):
    """y = x W + b over the last axis; any axes before it are treated alike.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    gain : float
        Variance of the weights times `n_in`, see `random_weights`.
    rng : numpy.random.Generator or int, optional
        Source of the initial weights.
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    W, dW : ndarray (n_in, n_out)
        Weights and dL/dW.
    b, db : ndarray (n_out,)
        Biases (they start at zero) and dL/db.
    """

    def __init__(self, n_in, n_out, gain=1.0, rng=None, dtype=np.float32):
        self.add("W", random_weights((n_in, n_out), n_in, gain, rng, dtype))
        self.add("b", np.zeros(n_out, dtype))

    def forward(self, x):
        """(batch, ..., n_in) -> (batch, ..., n_out)."""
        need_shape(self, x, None, len(self.W))
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        """(batch, ..., n_out) -> (batch, ..., n_in)."""
        x = self.x.reshape(-1, self.x.shape[-1])  # (rows, n_in)
        rows = dy.reshape(-1, dy.shape[-1])  # (rows, n_out)
        self.dW[...] = x.T @ rows  # sum over rows of the outer product of x and dy
        self.db[...] = rows.sum(axis=0)
        return dy @ self.W.T
