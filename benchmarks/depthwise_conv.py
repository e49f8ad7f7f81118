"""The depthwise convolution of chapter 5, forward and backward, at Conv-TasNet's sizes, against Keras and PyTorch.

Eight layers of H = 128 channels and P = 3 taps with dilations 1 to 128, as in one repeat of a Conv-TasNet, each on a
batch of 4 examples of K = 1,000 frames, one after the other. "Forward and backward" computes the output and, from a
given gradient of it, those of input, weights and biases; the arrays of a layer are let go before the next one is
computed, on all sides. Keras runs its own layer as a compiled graph, and the shifted multiply-adds under XLA; PyTorch,
where it is installed, its grouped convolution. NumPy computes this on one core; the peers use as many as they like, and
one core in the variant that says so.
"""

import os
from functools import partial

import numpy as np

from benchmarks.ddsp_peer import compiled
from benchmarks.timing import largest_error, record
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
    """The same with Keras on TensorFlow: its own layer, or chapter 6's shifted multiply-adds under XLA."""
    import keras

    from mss_nn_implementation.layer import DepthwiseConvolution

    graphs = []
    for ours, d in zip(layers, DILATIONS):
        own = keras.layers.DepthwiseConv1D(TAPS, padding="same", dilation_rate=d)
        layer, kernel = (DepthwiseConvolution(TAPS, d), ours.W) if shifted else (own, ours.W[..., None])
        layer.build(x.shape)
        arrays = {"x": x, "kernel": kernel, "bias": ours.b, "dy": dy}
        signal = partial(lambda layer, x, *weights: layer.stateless_call(weights, [], x)[0], layer)
        graphs.append(compiled(arrays, signal, ("x", "kernel", "bias"), upstream="dy", xla=shifted))
    return graphs


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


def call(functions):
    """Call each of `functions` and keep nothing."""
    for function in functions:
        function()


def results(functions):
    """Outputs and gradients of all layers, as a list of arrays."""
    return [array for function in functions for array in function()]


def depthwise_conv():
    """A record per peer; Keras's own layer carries the benchmark's plain name."""
    layers, x, dy = problem()
    mine = ours(layers, x, dy)
    for variant, name, make in (  # PyTorch may be missing: then the runner leaves the rest out
        ("", "keras.layers.DepthwiseConv1D (TensorFlow graph)", partial(keras_peer, shifted=False)),
        ("@xla", "keras.ops shifted multiply-adds (TensorFlow, XLA)", partial(keras_peer, shifted=True)),
        ("@torch", "torch.nn.Conv1d(groups=128)", torch_peer),
        ("@torch1", "torch.nn.Conv1d(groups=128), 1 thread", partial(torch_peer, threads=1)),
    ):
        theirs = make(layers, x, dy)
        both = partial(call, mine), name, partial(call, theirs)
        yield record(
            "depthwise_conv" + variant, *both, max_error=largest_error(results(mine), results(theirs)), repeats=21
        )
