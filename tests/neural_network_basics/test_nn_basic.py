"""The network of loops and lists is the same function, with the same gradient, as the layers; the tables stay fixed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_network_basics import nn_basic, tables
from neural_network_basics.nn_scripts.activations import Tanh
from neural_network_basics.nn_scripts.dense import Dense
from neural_network_basics.nn_scripts.loss import BinaryCrossEntropy
from neural_network_basics.nn_scripts.network import Network


@given(inputs=st.integers(1, 4), hidden=st.integers(1, 4), t=st.integers(0, 1), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_loops_equal_layers(inputs, hidden, t, seed):
    loops = nn_basic.new_network(inputs, hidden, seed)
    layers = Network(Dense(inputs, hidden, dtype=np.float64), Tanh(), Dense(hidden, 1, dtype=np.float64))
    x = np.random.default_rng(seed).normal(size=inputs)
    order = [loops["W1"], loops["b1"], loops["W2"], loops["b2"]]
    for (parameter, _), values in zip(layers.pairs(), order):
        parameter[...] = np.reshape(values, parameter.shape)
    h, y = nn_basic.forward(loops, x.tolist())
    z, loss = layers.forward(x[None]), BinaryCrossEntropy()
    assert y == pytest.approx(1 / (1 + math.exp(-z[0, 0])))
    assert nn_basic.loss(y, t) == pytest.approx(loss.forward(z, np.array([[float(t)]])), rel=1e-9)
    layers.backward(loss.backward())
    gradient = nn_basic.backward(loops, x.tolist(), h, y, t)
    for (_, expected), name in zip(layers.pairs(), ["W1", "b1", "W2", "b2"]):
        np.testing.assert_allclose(np.reshape(gradient[name], expected.shape), expected, rtol=1e-9, atol=1e-15)


def test_xor_is_learned():
    xor = [([0, 0], 0), ([0, 1], 1), ([1, 0], 1), ([1, 1], 0)]
    network = nn_basic.new_network(2, 3, seed=0)
    history = nn_basic.train(network, xor, epochs=500, learning_rate=0.2)
    assert nn_basic.accuracy(network, xor) == 1
    assert history[-1] < 0.05 < history[0]


def test_a_certain_mistake_has_a_finite_loss():
    assert 30 < nn_basic.loss(0.0, 1) < 40


def test_the_number_of_inputs_is_checked():
    with pytest.raises(ValueError, match="x: expected 2 numbers, got 3"):
        nn_basic.forward(nn_basic.new_network(2, 2), [1, 2, 3])


def test_tables_are_split_without_overlap():
    train, test = tables.wines()
    assert (len(train), len(test)) == (119, 59)
    assert not {tuple(x) for x, _ in train} & {tuple(x) for x, _ in test}
    np.testing.assert_allclose(np.mean([x for x, _ in train], axis=0), 0, atol=1e-12)
    parts = tables.digits()
    assert [len(parts[name][1]) for name in ("train", "validation", "test")] == [1097, 200, 500]
    images, classes = parts["test"]
    assert images.shape == (500, 8, 8, 1) and images.min() == 0 and images.max() == 1
    assert np.array_equal(classes[:8], tables.digits()["test"][1][:8])
    np.testing.assert_array_equal(tables.one_hot(classes).argmax(axis=1), classes)
