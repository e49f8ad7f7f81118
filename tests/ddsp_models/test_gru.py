"""The recurrent unit: states as Keras's, gradients as those of automatic differentiation."""

import keras
import numpy as np
import pytest
from keras import ops

from ddsp_models.gru import gru
from tests.helpers import array, gradients, noise


def weights(inputs=5, size=7):
    layer = keras.layers.GRU(size, return_sequences=True, bias_initializer="glorot_normal")
    layer.build((None, None, inputs))
    return layer, [array(w) for w in layer.weights]


@pytest.mark.parametrize("frames", [1, 2, 40])
def test_states_equal_those_of_keras(frames):
    layer, given = weights()
    x = noise(3, frames, 5)
    np.testing.assert_allclose(array(gru(ops.convert_to_tensor(x), *given)), array(layer(x)), atol=1e-6)


def test_gradients_equal_those_of_automatic_differentiation():
    layer, given = weights()
    x, upstream = noise(2, 12, 5), noise(2, 12, 7, seed=1)

    def ours(*tensors):
        return ops.sum(gru(*tensors) * ops.convert_to_tensor(upstream))

    def plain(x, kernel, recurrent, bias):
        state, total = ops.zeros((2, 7)), 0.0
        for t in range(12):
            a, b = ops.matmul(x[:, t], kernel) + bias[0], ops.matmul(state, recurrent) + bias[1]
            z, r = ops.sigmoid(a[:, :7] + b[:, :7]), ops.sigmoid(a[:, 7:14] + b[:, 7:14])
            state = z * state + (1 - z) * ops.tanh(a[:, 14:] + r * b[:, 14:])
            total = total + ops.sum(state * ops.convert_to_tensor(upstream[:, t]))
        return total

    for gradient, expected in zip(gradients(ours, x, *given), gradients(plain, x, *given), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
