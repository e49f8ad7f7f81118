"""Every backward pass is the derivative of its forward pass, to 1e-6, at shapes that hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_network_basics.nn_scripts import activations, gradient_check, loss
from neural_network_basics.nn_scripts.conv1d import Conv1D
from neural_network_basics.nn_scripts.conv2d import Conv2D, MaxPool2D
from neural_network_basics.nn_scripts.dense import Dense
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D
from neural_network_basics.nn_scripts.layer import Flatten
from neural_network_basics.nn_scripts.network import Network, Residual
from neural_network_basics.nn_scripts.normalisation import LayerNorm

quick = settings(max_examples=40, deadline=None)
small = st.integers(1, 4)
seeds = st.integers(0, 2**31)
double = {"dtype": np.float64}


def away_from_zero(shape, seed):
    """Normal numbers with a gap of 0.02 around zero, where a ReLU has no derivative."""
    x = np.random.default_rng(seed).normal(size=shape)
    return x + 0.01 * np.sign(x)


def assert_gradients(layer, x):
    errors = gradient_check.check_layer(layer, x)
    assert max(errors.values()) < 1e-6, errors


@given(shape=st.lists(small, min_size=2, max_size=4), n_out=small, seed=seeds)
@quick
def test_dense(shape, n_out, seed):
    assert_gradients(Dense(shape[-1], n_out, rng=seed, **double), away_from_zero(shape, seed))


@pytest.mark.parametrize(
    "make", [activations.Tanh, activations.Sigmoid, activations.ReLU, activations.Softmax, Flatten]
)
@given(shape=st.lists(small, min_size=2, max_size=4), seed=seeds)
@quick
def test_layers_without_parameters(make, shape, seed):
    assert_gradients(make(), away_from_zero(shape, seed))


@given(shape=st.lists(small, min_size=2, max_size=4), slope=st.floats(0.01, 0.9), seed=seeds)
@quick
def test_prelu(shape, slope, seed):
    assert_gradients(activations.PReLU(slope, **double), away_from_zero(shape, seed))


@given(shape=st.lists(st.integers(2, 5), min_size=2, max_size=4), over=st.sampled_from(["channels", "all"]), seed=seeds)
@quick
def test_layer_norm(shape, over, seed):
    rng = np.random.default_rng(seed)
    layer = LayerNorm(shape[-1], over, epsilon=1e-3, **double)
    layer.gamma[...], layer.beta[...] = rng.normal(size=(2, shape[-1]))
    assert_gradients(layer, rng.normal(size=shape))


@given(
    batch=small, time=st.integers(1, 9), n=st.tuples(small, small), kernel=st.integers(1, 4), stride=small,
    dilation=small, groups=st.integers(1, 3), padding=st.sampled_from(["same", "valid"]), seed=seeds,
)  # fmt: skip
@quick
def test_conv1d(batch, time, n, kernel, stride, dilation, groups, padding, seed):
    if padding == "valid":
        time += (kernel - 1) * dilation
    layer = Conv1D(
        groups * n[0], groups * n[1], kernel, stride, dilation, groups, padding=padding, rng=seed, dtype=np.float64
    )
    assert_gradients(layer, away_from_zero((batch, time, groups * n[0]), seed))


@given(batch=small, time=st.integers(1, 9), channels=small, half=st.integers(0, 2), dilation=small, seed=seeds)
@quick
def test_depthwise(batch, time, channels, half, dilation, seed):
    layer = DepthwiseConv1D(channels, 2 * half + 1, dilation, rng=seed, **double)
    assert_gradients(layer, away_from_zero((batch, time, channels), seed))


@given(
    batch=st.integers(1, 2), image=st.tuples(small, small), n=st.tuples(small, small),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)), stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]), seed=seeds,
)  # fmt: skip
@quick
def test_conv2d(batch, image, n, kernel, stride, padding, seed):
    height, width = (image[0] + kernel[0] - 1, image[1] + kernel[1] - 1) if padding == "valid" else image
    layer = Conv2D(*n, kernel, stride, padding, rng=seed, dtype=np.float64)
    assert_gradients(layer, away_from_zero((batch, height, width, n[0]), seed))


@given(batch=small, image=st.tuples(st.integers(2, 6), st.integers(2, 6)), seed=seeds)
@quick
def test_max_pool(batch, image, seed):
    size = batch * image[0] * image[1] * 2
    x = np.random.default_rng(seed).permutation(size).astype(float)  # no two alike: no ties
    assert_gradients(MaxPool2D(2), x.reshape(batch, *image, 2))


@given(shape=st.lists(small, min_size=2, max_size=3), weighted=st.booleans(), seed=seeds)
@quick
def test_losses(shape, weighted, seed):
    rng = np.random.default_rng(seed)
    y, t = rng.normal(size=shape), rng.uniform(size=shape)
    weight = rng.uniform(0.5, 2, size=shape) if weighted else 1.0
    assert gradient_check.check_loss(loss.MeanSquaredError(), y, t, weight) < 1e-6
    assert gradient_check.check_loss(loss.BinaryCrossEntropy(), y, t, weight) < 1e-6
    t /= t.sum(axis=-1, keepdims=True)
    row_weight = weight[..., 0] if weighted else 1.0
    assert gradient_check.check_loss(loss.CategoricalCrossEntropy(), y, t, row_weight) < 1e-6


@given(seed=seeds)
@quick
def test_a_deep_network(seed):
    """Of smooth layers: inside a network nothing keeps the input of a ReLU or of a maximum away from its kink."""
    rng = np.random.default_rng(seed)
    network = Network(
        Conv2D(1, 2, stride=2, rng=rng, **double), activations.Tanh(), Flatten(), Dense(12, 3, rng=rng, **double),
        LayerNorm(3, epsilon=1e-2, **double), activations.Sigmoid(), Dense(3, 2, rng=rng, **double),
    )  # fmt: skip
    assert_gradients(network, rng.normal(size=(2, 4, 5, 1)))


@given(shape=st.tuples(small, small), seed=seeds)
@quick
def test_residual(shape, seed):
    n = shape[-1]
    layer = Residual(Dense(n, 3, rng=seed, **double), activations.Tanh(), Dense(3, n, rng=seed, **double))
    assert_gradients(layer, away_from_zero(shape, seed))


def test_the_check_finds_a_wrong_derivative():
    class Wrong(activations.Tanh):
        def backward(self, dy):
            return dy * (1 - self.y)

    assert gradient_check.check_layer(Wrong(), away_from_zero((3, 4), 0))["x"] > 1e-2


def test_the_check_refuses_float32():
    with pytest.raises(ValueError, match="array: expected float64, got float32"):
        gradient_check.numerical_gradient(lambda: 0.0, np.zeros(2, np.float32))
