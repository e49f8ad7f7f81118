"""What a user of the layers relies on: stability, determinism, errors that say what is wrong, training that learns."""

import itertools

import numpy as np
import pytest

from neural_network_basics.nn_scripts import activations, loss
from neural_network_basics.nn_scripts.conv1d import Conv1D
from neural_network_basics.nn_scripts.conv2d import Conv2D, MaxPool2D
from neural_network_basics.nn_scripts.dense import Dense
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D
from neural_network_basics.nn_scripts.layer import random_weights
from neural_network_basics.nn_scripts.network import SGD, Adam, Network, batches, predict, train
from neural_network_basics.nn_scripts.normalisation import LayerNorm
from neural_network_basics.nn_scripts.padding import pad_and_length
from tests.helpers import refused


def test_extreme_inputs_stay_finite():
    huge = np.array([[-1e4, 0.0, 1e4]], np.float32)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        np.testing.assert_allclose(activations.Sigmoid().forward(huge), [[0, 0.5, 1]])
        np.testing.assert_allclose(activations.Softmax().forward(huge), [[0, 0, 1]])
        binary, categorical = loss.BinaryCrossEntropy(), loss.CategoricalCrossEntropy()
        assert binary.forward(huge, np.array([[1.0, 0, 0]], np.float32)) == pytest.approx((2e4 + np.log(2)) / 3)
        assert categorical.forward(huge, np.array([[1.0, 0, 0]], np.float32)) == pytest.approx(2e4)
        np.testing.assert_allclose(categorical.backward(), [[-1, 0, 1]])
        assert np.all(np.isfinite(LayerNorm(3).forward(np.ones((2, 3), np.float32))))


def test_layer_norm_has_mean_zero_and_variance_one():
    x = 5 + 3 * np.random.default_rng(0).normal(size=(2, 50, 8))
    for over, axes in [("channels", -1), ("all", (1, 2))]:
        y = LayerNorm(8, over, dtype=np.float64).forward(x)
        np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
        np.testing.assert_allclose(y.var(axis=axes), 1, atol=1e-6)


def test_convolution_moves_with_its_input():
    x = np.zeros((1, 40, 2), np.float32)
    x[0, 15:20] = np.random.default_rng(0).normal(size=(5, 2))
    layer = Conv1D(2, 3, 3, dilation=4, rng=0)
    np.testing.assert_allclose(layer.forward(np.roll(x, 7, axis=1)), np.roll(layer.forward(x), 7, axis=1), atol=1e-6)


def test_the_gain_keeps_the_variance():
    x = np.random.default_rng(0).normal(size=(500, 400))
    assert np.var(x @ random_weights((400, 300), 400, gain=1.0, rng=1)) == pytest.approx(1, rel=0.05)
    half = np.maximum(x, 0) @ random_weights((400, 300), 400, gain=2.0, rng=1)
    assert np.mean(half**2) == pytest.approx(1, rel=0.05)


def test_padding():
    for length, kernel, stride in itertools.product(range(1, 12), range(1, 5), range(1, 4)):
        before, after, out = pad_and_length(length, kernel, stride)
        assert out == -(-length // stride) and after - before in (0, 1)
    refused(
        "kernel: expected a span of at most the input's length, 8, got 9",
        pad_and_length,
        8,
        3,
        dilation=4,
        padding="valid",
    )
    refused("padding: expected 'same' or 'valid', got 'full'", pad_and_length, 8, 3, padding="full")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Dense(3, 2).forward(np.zeros((5, 4))), "x of Dense: expected 3 channels on its last axis, got 4"),
        (lambda: Dense(3, 2).forward(np.zeros(3)), r"x of Dense: expected at least 2 dimensions, got shape \(3,\)"),
        (lambda: Conv1D(3, 2, 3).forward(np.zeros((5, 3))), r"x of Conv1D: expected 3 dimensions, got shape \(5, 3\)"),
        (lambda: Conv1D(3, 4, 3, groups=2), "multiples of groups = 2"),
        (
            lambda: Conv2D(1, 2).forward(np.zeros((1, 8, 8, 3))),
            "x of Conv2D: expected 1 channels on its last axis, got 3",
        ),
        (lambda: DepthwiseConv1D(4, 2), "kernel: expected an odd number, got 2"),
        (lambda: MaxPool2D(3).forward(np.zeros((1, 2, 9, 1))), "x of MaxPool2D: expected at least 3 x 3, got 2 x 9"),
        (lambda: LayerNorm(4, "time"), "over: expected 'channels' or 'all', got 'time'"),
        (
            lambda: loss.MeanSquaredError().forward(np.zeros((4, 1)), np.zeros(4)),
            r"expected the output.s shape \(4, 1\), got shape \(4,\)",
        ),
        (
            lambda: train(Dense(1, 1), loss.MeanSquaredError(), SGD(), np.zeros((3, 1)), np.zeros((2, 1))),
            "t: expected one target for each of the 3 inputs, got 2",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(call, message):
    assert "\n" not in refused(message, call)


def test_batches_visit_every_example_once():
    parts = batches(10, 4, np.random.default_rng(0))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(np.concatenate(parts)) == list(range(10))


def xor_network(seed):
    return Network(Dense(2, 8, rng=seed), activations.Tanh(), Dense(8, 1, rng=seed + 1))


@pytest.mark.parametrize("optimiser", [lambda: SGD(0.5, momentum=0.9), lambda: Adam(0.05)])
def test_training_learns_xor(optimiser):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    t = np.array([[0], [1], [1], [0]], np.float32)
    network = xor_network(0)
    history = train(network, loss.BinaryCrossEntropy(), optimiser(), x, t, epochs=200, batch_size=4)
    assert history[-1]["loss"] < 0.02 < history[0]["loss"]
    np.testing.assert_array_equal(predict(network, x) > 0, t > 0.5)


def test_same_seed_same_network():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(50, 2)).astype(np.float32), rng.uniform(size=(50, 1)).astype(np.float32)
    outputs = []
    for _ in range(2):
        network = xor_network(3)
        history = train(network, loss.MeanSquaredError(), Adam(), x, t, epochs=3, seed=7, after_epoch=lambda: "done")
        outputs.append(predict(network, x, batch_size=7))
    np.testing.assert_array_equal(*outputs)
    assert [row["score"] for row in history] == ["done"] * 3
    assert network.size == 33


def test_zero_weights_silence_an_example():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(8, 2)).astype(np.float32), rng.uniform(size=(8, 1)).astype(np.float32)
    one, other = xor_network(0), xor_network(0)
    weight = np.repeat([[1.0], [0.0]], 4, axis=0).astype(np.float32)
    train(one, loss.MeanSquaredError(), SGD(), x, t, epochs=2, batch_size=8, weight=weight)
    t[4:] = 100
    train(other, loss.MeanSquaredError(), SGD(), x, t, epochs=2, batch_size=8, weight=weight)
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
