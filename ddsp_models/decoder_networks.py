"""The two networks of a decoder: the paper's recurrent one, and one of dilated convolutions.

Notebook: ddsp_models/autoencoder_report.ipynb

The recurrent network processes a thousand frames one after the other. The convolutional one sees half a second to
either side, all frames at once.
"""

from keras import Sequential, layers, ops, saving

from ddsp_models.features import CHANNELS
from ddsp_models.framing import Configured
from ddsp_models.gru import gru

LEAK = 0.2  # slope of the activations below 0


def _stack(channels, depth, name):
    """Dense, normalised, leaky ReLU; `depth` times: the paper's "MLP" (Engel et al. 2020, appendix B.2)."""
    return Sequential(
        [
            layer
            for _ in range(depth)
            for layer in (layers.Dense(channels), layers.LayerNormalization(), layers.LeakyReLU(LEAK))
        ],
        name=name,
    )


@saving.register_keras_serializable("mss")
class RecurrentNetwork(Configured, layers.Layer):
    """The paper's: a stack per input, a GRU over all of them, and a last stack over their outputs and the GRU's.

    Parameters
    ----------
    inputs : tuple of str
        keys of `features.CHANNELS`.
    channels, depth : int
        of every stack.
    """

    def __init__(self, inputs, channels, depth, **kwargs):
        super().__init__({"inputs": tuple(inputs), "channels": channels, "depth": depth}, **kwargs)
        self.stacks = [_stack(channels, depth, name) for name in self.inputs]
        self.gru = layers.GRU(channels, return_sequences=True, name="gru")
        self.last = _stack(channels, depth, "last")

    def build(self, shapes):
        for name, stack in zip(self.inputs, self.stacks):
            stack.build((None, None, CHANNELS[name]))
        self.gru.build((None, None, len(self.inputs) * self.channels))
        self.last.build((None, None, (len(self.inputs) + 1) * self.channels))

    def call(self, features):
        stacked = [stack(features[name]) for name, stack in zip(self.inputs, self.stacks)]
        states = gru(ops.concatenate(stacked, axis=-1), *self.gru.weights)  # (batch, frames, channels)
        return self.last(ops.concatenate([*stacked, states], axis=-1))


@saving.register_keras_serializable("mss")
class ConvolutionalNetwork(Configured, layers.Layer):
    """Residual dilated convolutions: every frame sees 2^depth frames to either side (3 taps).

    Parameters
    ----------
    inputs : tuple of str
        keys of `features.CHANNELS`.
    channels, depth, taps : int
    """

    def __init__(self, inputs, channels, depth, taps=3, **kwargs):
        super().__init__({"inputs": tuple(inputs), "channels": channels, "depth": depth, "taps": taps}, **kwargs)
        self.first = _stack(channels, 2, "first")
        self.convolutions = [
            layers.Conv1D(channels, taps, dilation_rate=2**i, padding="same", name=f"convolution_{i}")
            for i in range(depth)
        ]
        self.norms = [layers.LayerNormalization(name=f"norm_{i}") for i in range(depth)]
        self.activation = layers.LeakyReLU(LEAK, name="activation")
        self.last = _stack(channels, 1, "last")

    def build(self, shapes):
        self.first.build((None, None, sum(CHANNELS[name] for name in self.inputs)))
        for layer in (*self.convolutions, *self.norms, self.last):
            layer.build((None, None, self.channels))

    def call(self, features):
        x = self.first(ops.concatenate([features[name] for name in self.inputs], axis=-1))
        for convolution, norm in zip(self.convolutions, self.norms):
            x = x + self.activation(norm(convolution(x)))  # (batch, frames, channels)
        return self.last(x)
