"""The depthwise convolution of chapter 5, forward and backward, at Conv-TasNet's sizes, against Keras and PyTorch.

Eight layers of H = 128 channels and P = 3 taps with dilations 1 to 128, as in one repeat of a Conv-TasNet, each on a
batch of 4 examples of K = 1,000 frames, one after the other. "Forward and backward" computes the output and, from a
given gradient of it, those of input, weights and biases; the arrays of a layer are let go before the next one is
computed, on all sides. Keras runs its own layer as a compiled graph, and the shifted multiply-adds under XLA; PyTorch,
where it is installed, its grouped convolution. NumPy computes this on one core; the peers use as many as they like, and
one core in the variant that says so.
"""

import importlib.util
import os
import sys

import numpy as np

from benchmarks.timing import record
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D

BATCH, FRAMES, CHANNELS, TAPS = 4, 1000, 128, 3
DILATIONS = tuple(2**i for i in range(8))


def problem():
    """Layers with random weights, an input and a gradient of the output, both (BATCH, FRAMES, CHANNELS)."""
    rng = np.random.default_rng(0)
    layers = [DepthwiseConv1D(CHANNELS, TAPS, dilation, rng=rng) for dilation in DILATIONS]
    x, dy = rng.normal(size=(2, BATCH, FRAMES, CHANNELS)).astype(np.float32)
    return layers, x, dy


def ours(layers, x, dy):
    """One function per layer, without arguments, that returns y, dx, dW and db."""
    return [lambda layer=layer: (layer.forward(x), layer.backward(dy), layer.dW, layer.db) for layer in layers]


def keras_peer(layers, x, dy, shifted):
    """The same with Keras on TensorFlow: its DepthwiseConv1D, or shifted multiply-adds under XLA."""
    import keras
    import tensorflow as tf

    theirs = [keras.layers.DepthwiseConv1D(TAPS, padding="same", dilation_rate=d) for d in DILATIONS]
    for layer, ours in zip(theirs, layers):
        layer.build(x.shape)
        layer.kernel.assign(ours.W[..., None])
        layer.bias.assign(ours.b)
    x, dy = tf.constant(x), tf.constant(dy)

    def output(layer, d, x):
        if not shifted:
            return layer(x)
        padded = keras.ops.pad(x, ((0, 0), (d, d), (0, 0)))
        return layer.bias + sum(padded[:, p * d : p * d + FRAMES] * layer.kernel[p, :, 0] for p in range(TAPS))

    def compiled(layer, d):
        @tf.function(jit_compile=shifted)
        def forward_and_backward(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = output(layer, d, x)
            return y, *tape.gradient(y, [x, layer.kernel.value, layer.bias.value], output_gradients=dy)

        return lambda: forward_and_backward(x, dy)

    return [compiled(layer, d) for layer, d in zip(theirs, DILATIONS)]


def torch_peer(layers, x, dy, threads=None):
    """The same with PyTorch's Conv1d(groups=channels), which wants the channels before the frames; see `keras_peer`."""
    import torch

    theirs = [torch.nn.Conv1d(CHANNELS, CHANNELS, TAPS, dilation=d, padding=d, groups=CHANNELS) for d in DILATIONS]
    for layer, ours in zip(theirs, layers):
        layer.weight.data = torch.tensor(np.ascontiguousarray(ours.W.T[:, None]))
        layer.bias.data = torch.tensor(ours.b)
    x, dy = (torch.tensor(np.ascontiguousarray(a.swapaxes(1, 2)), requires_grad=a is x) for a in (x, dy))

    def forward_and_backward(layer):
        torch.set_num_threads(threads or os.cpu_count())
        y = layer(x)
        dx, dW, db = torch.autograd.grad(y, [x, layer.weight, layer.bias], dy)
        return y.detach().numpy().swapaxes(1, 2), dx.numpy().swapaxes(1, 2), dW[:, 0].numpy().T, db.numpy()

    return [lambda layer=layer: forward_and_backward(layer) for layer in theirs]


def error(functions, others):
    """Largest difference of outputs and gradients, relative to the largest value of each."""
    return max(
        np.abs(a - np.reshape(b, a.shape)).max() / max(1.0, np.abs(b).max())  # reshape also turns tensors into arrays
        for one, other in zip(functions, others)
        for a, b in zip(one(), other())
    )


def all_of(functions):
    """A function that calls each of `functions` and keeps nothing."""

    def call():
        for function in functions:
            function()

    return call


def run():
    """A record per peer; Keras's own layer carries the benchmark's plain name."""
    layers, x, dy = problem()
    peers = {
        "depthwise_conv": ("keras.layers.DepthwiseConv1D (TensorFlow graph)", keras_peer(layers, x, dy, False)),
        "depthwise_conv@xla": ("keras.ops shifted multiply-adds (TensorFlow, XLA)", keras_peer(layers, x, dy, True)),
    }
    if importlib.util.find_spec("torch"):
        peers["depthwise_conv@torch"] = ("torch.nn.Conv1d(groups=128)", torch_peer(layers, x, dy))
        peers["depthwise_conv@torch1"] = ("torch.nn.Conv1d(groups=128), 1 thread", torch_peer(layers, x, dy, 1))
    else:
        print("depthwise_conv: PyTorch is not installed, that comparison is left out", file=sys.stderr)
    mine = ours(layers, x, dy)
    return [
        record(name, all_of(mine), all_of(peer), peer_name=peer_name, max_error=error(mine, peer), repeats=21)
        for name, (peer_name, peer) in peers.items()
    ]
