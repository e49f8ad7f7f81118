"""The dense layer: every output sees every input.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from .layer import Layer, need_shape, random_weights


class Dense(Layer):
    """y = x W + b over the last axis; any axes before it are treated alike.

    Parameters
    ----------
    n_in, n_out : int
        channels in and out.
    gain : float
        variance of the weights times `n_in`, see `random_weights`.
    rng : numpy.random.Generator or int, optional
        source of the initial weights.
    dtype : dtype
        of the parameters.

    Attributes
    ----------
    W, dW : np.ndarray, (n_in, n_out)
        weights and dL/dW.
    b, db : np.ndarray, (n_out,)
        biases (they start at zero) and dL/db.

    See Also
    --------
    conv1d.Conv1D : the same for every few neighbouring samples.

    Examples
    --------
    >>> layer = Dense(3, 2, rng=0)
    >>> layer.forward(np.ones((5, 3), np.float32)).shape  # (batch, n_in) → (batch, n_out)
    (5, 2)
    >>> layer.backward(np.ones((5, 2), np.float32)).shape, layer.db  # dL/db adds up the batch
    ((5, 3), array([5., 5.], dtype=float32))
    """

    def __init__(self, n_in, n_out, gain=1.0, rng=None, dtype=np.float32):
        self.add("W", random_weights((n_in, n_out), n_in, gain, rng, dtype))
        self.add("b", np.zeros(n_out, dtype))

    def forward(self, x):
        """(batch, ..., n_in) → (batch, ..., n_out)."""
        need_shape(self, x, None, len(self.W))
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        """(batch, ..., n_out) → (batch, ..., n_in)."""
        x = self.x.reshape(-1, self.x.shape[-1])  # (rows, n_in)
        rows = dy.reshape(-1, dy.shape[-1])  # (rows, n_out)
        self.dW[...] = x.T @ rows  # sum over rows of the outer product of x and dy
        self.db[...] = rows.sum(axis=0)
        return dy @ self.W.T
