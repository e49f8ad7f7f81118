"""A stack of layers, two optimisers, and the training loop.

Notebook: neural_network_basics/nn_report.ipynb
"""

import time

import numpy as np

from common.checks import expect

from .layer import Layer


class Network(Layer):
    """Layers in a row. A network is itself a layer, so networks nest.

    See Also
    --------
    train, predict

    Examples
    --------
    >>> from neural_network_basics.nn_scripts.activations import Tanh
    >>> from neural_network_basics.nn_scripts.dense import Dense
    >>> network = Network(Dense(2, 8, rng=0), Tanh(), Dense(8, 1, rng=1))
    >>> network.forward(np.zeros((4, 2), np.float32)).shape, network.size
    ((4, 1), 33)
    """

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def pairs(self):
        return [pair for layer in self.layers for pair in layer.pairs()]


class Residual(Network):
    """y = x + f(x), where f is a network whose output has the shape of its input.

    The gradient reaches x in two ways, through f and past it, and the second never weakens it: deep stacks can train.
    """

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dy):
        return dy + super().backward(dy)


class SGD:
    """v <- momentum v - learning_rate g;  w <- w + v.  Momentum 0 is plain gradient descent."""

    def __init__(self, learning_rate=0.01, momentum=0.0):
        self.learning_rate, self.momentum, self.v = learning_rate, momentum, None

    def step(self, pairs):
        """Change every parameter w in place by its gradient g."""
        self.v = self.v or [np.zeros_like(w) for w, _ in pairs]
        for (w, g), v in zip(pairs, self.v, strict=True):
            v *= self.momentum
            v -= self.learning_rate * g
            w += v


class Adam:
    """Steps whose size hardly depends on the size of the gradient [1]_.

    m and s follow the mean of g and of g^2; both start at zero, and the factors 1 - beta^k make up for that.

    References
    ----------
    .. [1] Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015, doi:10.48550/arXiv.1412.6980.
    """

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.k, self.m, self.s = 0, None, None

    def step(self, pairs):
        """Change every parameter w in place by its gradient g."""
        self.m = self.m or [np.zeros_like(w) for w, _ in pairs]
        self.s = self.s or [np.zeros_like(w) for w, _ in pairs]
        self.k += 1
        rate = self.learning_rate * np.sqrt(1 - self.beta_2**self.k) / (1 - self.beta_1**self.k)
        for (w, g), m, s in zip(pairs, self.m, self.s, strict=True):
            m += (1 - self.beta_1) * (g - m)
            s += (1 - self.beta_2) * (g * g - s)
            w -= (rate * m / (np.sqrt(s) + self.epsilon)).astype(w.dtype)


def batches(size, batch_size, rng):
    """The indices 0 … size - 1 in random order, `batch_size` at a time; the last batch may be shorter."""
    order = rng.permutation(size)
    return [order[start : start + batch_size] for start in range(0, size, batch_size)]


def train(network, loss, optimiser, x, t, epochs=10, batch_size=32, seed=0, weight=None, after_epoch=None):
    """Mini-batch training: forward, loss, backward, step, for every batch of every epoch.

    Parameters
    ----------
    network : Layer
    loss : object with forward(output, target, weight) and backward()
    optimiser : object with step(pairs)
    x, t : np.ndarray, (examples, ...)
        inputs and targets.
    epochs, batch_size : int
    seed : int
        of the order of the examples.
    weight : np.ndarray, (examples, ...), optional
        weights of the terms of the loss.
    after_epoch : callable, optional
        called without arguments after each epoch; its result (such as a validation score) joins the history.

    Returns
    -------
    list of dict
        one per epoch: `epoch`, `seconds` since the start, `loss` (mean over the epoch), `score` (of `after_epoch`).
    """
    expect(len(x) == len(t), "t", f"one target for each of the {len(x)} inputs", len(t))
    rng, started, history = np.random.default_rng(seed), time.perf_counter(), []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for i in batches(len(x), batch_size, rng):
            y = network.forward(x[i])
            total += len(i) * loss.forward(y, t[i], 1.0 if weight is None else weight[i])
            network.backward(loss.backward())
            optimiser.step(network.pairs())
        score = after_epoch() if after_epoch else None
        seconds = time.perf_counter() - started
        history.append({"epoch": epoch, "seconds": seconds, "loss": total / len(x), "score": score})
    return history


def predict(network, x, batch_size=256):
    """The network's output for all of x, computed `batch_size` examples at a time."""
    return np.concatenate([network.forward(x[i : i + batch_size]) for i in range(0, len(x), batch_size)])
