"""On the same weights every layer, loss and optimiser agrees with Keras to 1e-5, forward and backward."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_network_basics.nn_scripts import activations, loss, network
from neural_network_basics.nn_scripts.conv1d import Conv1D
from neural_network_basics.nn_scripts.conv2d import Conv2D, MaxPool2D
from neural_network_basics.nn_scripts.dense import Dense
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D
from neural_network_basics.nn_scripts.normalisation import LayerNorm

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("gradients of the reference are taken with TensorFlow's tape", allow_module_level=True)

quick = settings(max_examples=15, deadline=None)
small = st.integers(1, 4)
seeds = st.integers(0, 2**31)


def normal(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_agrees(ours, theirs, x, seed):
    """Copy our parameters into the Keras layer; compare outputs and the gradients of sum(r * y) for random r."""
    rng = np.random.default_rng(seed)
    for parameter, _ in ours.pairs():
        parameter[...] = rng.normal(size=parameter.shape)
    theirs.build(x.shape)
    weights = theirs.trainable_variables
    for variable, (parameter, _) in zip(weights, ours.pairs(), strict=True):
        variable.assign(parameter.reshape(variable.shape))
    y, X = ours.forward(x), tf.convert_to_tensor(x)
    r = rng.normal(size=y.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(X)
        Y = theirs(X)
        L = tf.reduce_sum(Y * r)
    reference = tape.gradient(L, [X, *(variable.value for variable in weights)])
    assert y.dtype == np.float32
    close(y, Y)
    close(ours.backward(r), reference[0])
    for (_, gradient), expected in zip(ours.pairs(), reference[1:], strict=True):
        close(gradient.reshape(expected.shape), expected)


def close(ours, theirs):
    """Equal to 1e-5 of the largest element: sums of float32 in another order differ by no more."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


@given(shape=st.lists(small, min_size=2, max_size=4), n_out=small, seed=seeds)
@quick
def test_dense(shape, n_out, seed):
    assert_agrees(Dense(shape[-1], n_out), keras.layers.Dense(n_out), normal(shape, seed), seed)


@pytest.mark.parametrize(
    "ours, theirs", [(activations.Tanh, "tanh"), (activations.Sigmoid, "sigmoid"), (activations.ReLU, "relu"),
                     (activations.Softmax, "softmax")],
)  # fmt: skip
@given(shape=st.lists(st.integers(2, 5), min_size=2, max_size=4), seed=seeds)
@quick
def test_activations(ours, theirs, shape, seed):
    assert_agrees(ours(), keras.layers.Activation(theirs), 3 * normal(shape, seed), seed)


@given(batch=small, time=st.integers(2, 5), channels=small, seed=seeds)
@quick
def test_prelu(batch, time, channels, seed):
    x = normal((batch, time, channels), seed)
    assert_agrees(activations.PReLU(), keras.layers.PReLU(shared_axes=[1, 2]), x, seed)


@given(batch=small, time=st.integers(2, 5), channels=st.integers(2, 5), seed=seeds)
@quick
def test_layer_norm(batch, time, channels, seed):
    x = normal((batch, time, channels), seed)
    per_position = keras.layers.LayerNormalization(epsilon=1e-3)
    assert_agrees(LayerNorm(channels, epsilon=1e-3), per_position, x, seed)
    # normalising one group of all channels over time is Conv-TasNet's gLN
    assert_agrees(LayerNorm(channels, "all", epsilon=1e-3), keras.layers.GroupNormalization(1, epsilon=1e-3), x, seed)


@given(
    batch=small, time=st.integers(1, 20), n=st.tuples(small, small), kernel=st.integers(1, 4), stride=small,
    dilation=small, padding=st.sampled_from(["same", "valid"]), seed=seeds,
)  # fmt: skip
@quick
def test_conv1d(batch, time, n, kernel, stride, dilation, padding, seed):
    if stride > 1:
        dilation = 1  # Keras has not both
    if padding == "valid":
        time += (kernel - 1) * dilation
    ours = Conv1D(*n, kernel, stride, dilation, padding=padding)
    theirs = keras.layers.Conv1D(n[1], kernel, stride, padding=padding, dilation_rate=dilation)
    assert_agrees(ours, theirs, normal((batch, time, n[0]), seed), seed)


@given(batch=small, time=st.integers(1, 20), channels=small, half=st.integers(0, 2), dilation=small, seed=seeds)
@quick
def test_depthwise(batch, time, channels, half, dilation, seed):
    kernel, x = 2 * half + 1, normal((batch, time, channels), seed)
    theirs = keras.layers.DepthwiseConv1D(kernel, padding="same", dilation_rate=dilation)
    assert_agrees(DepthwiseConv1D(channels, kernel, dilation), theirs, x, seed)


@given(
    batch=st.integers(1, 2), image=st.tuples(st.integers(3, 8), st.integers(3, 8)), n=st.tuples(small, small),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)), stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]), seed=seeds,
)  # fmt: skip
@quick
def test_conv2d_and_pooling(batch, image, n, kernel, stride, padding, seed):
    x = normal((batch, *image, n[0]), seed)
    assert_agrees(Conv2D(*n, kernel, stride, padding), keras.layers.Conv2D(n[1], kernel, stride, padding), x, seed)
    assert_agrees(MaxPool2D(2), keras.layers.MaxPooling2D(2), x, seed)


@given(shape=st.lists(st.integers(2, 5), min_size=2, max_size=3), scale=st.sampled_from([1.0, 50.0]), seed=seeds)
@quick
def test_losses(shape, scale, seed):
    z = scale * normal(shape, seed)
    t = np.random.default_rng(seed).uniform(0.1, 1, size=shape).astype(np.float32)
    one_sum = t / t.sum(axis=-1, keepdims=True)
    for ours, theirs, target in [
        (loss.MeanSquaredError(), keras.losses.MeanSquaredError(), t),
        (loss.BinaryCrossEntropy(), keras.losses.BinaryCrossentropy(from_logits=True), t),
        (loss.CategoricalCrossEntropy(), keras.losses.CategoricalCrossentropy(from_logits=True), one_sum),
    ]:
        Z = tf.convert_to_tensor(z)
        with tf.GradientTape() as tape:
            tape.watch(Z)
            L = theirs(target, Z)
        close(ours.forward(z, target), L)
        close(ours.backward(), tape.gradient(L, Z))


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (network.SGD(0.1), lambda: keras.optimizers.SGD(0.1)),
        (network.SGD(0.1, momentum=0.9), lambda: keras.optimizers.SGD(0.1, momentum=0.9)),
        (network.Adam(0.01), lambda: keras.optimizers.Adam(0.01)),
    ],
)
def test_optimisers(ours, theirs):
    w, theirs = normal((3, 4), 0), theirs()
    variable = keras.Variable(w.copy())
    for step in range(20):
        g = normal((3, 4), step) * 10.0 ** (step % 3 - 2)
        ours.step([(w, g)])
        theirs.apply([g], [variable])
    close(w, variable)


def test_grouped_convolution_is_a_convolution_per_part():
    """TensorFlow has no gradient of grouped convolutions on every CPU, so the reference is one Conv1D per part."""
    groups, x = 3, normal((2, 11, 6), 0)
    whole = Conv1D(6, 12, 3, dilation=2, groups=groups, rng=1)
    r = normal((2, 11, 12), 2)
    y, dx = whole.forward(x), whole.backward(r)
    for g in range(groups):
        ins, outs = slice(2 * g, 2 * g + 2), slice(4 * g, 4 * g + 4)
        part = Conv1D(2, 4, 3, dilation=2)
        part.W[...], part.b[...] = whole.W[:, :, outs], whole.b[outs]
        close(y[..., outs], part.forward(x[..., ins]))
        close(dx[..., ins], part.backward(r[..., outs]))
        close(whole.dW[:, :, outs], part.dW)


@given(time=st.integers(1, 40), channels=small, half=st.integers(0, 2), dilation=st.integers(1, 20), seed=seeds)
@quick
def test_depthwise_is_conv1d_with_as_many_groups_as_channels(time, channels, half, dilation, seed):
    kernel, x = 2 * half + 1, normal((2, time, channels), seed)
    fast = DepthwiseConv1D(channels, kernel, dilation, rng=seed)
    plain = Conv1D(channels, channels, kernel, dilation=dilation, groups=channels)
    plain.W[:, 0] = fast.W
    close(fast.forward(x), plain.forward(x))
    close(fast.backward(x), plain.backward(x))
    close(fast.dW, plain.dW[:, 0])
    close(fast.db, plain.db)
