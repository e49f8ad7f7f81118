"""A training step of Conv-TasNet: forward, backward and update, against Asteroid's in PyTorch, eager and compiled.

Both networks have the sizes of `PRESETS["laptop"]`, the same weights, batches of 4 crops of 2 s, the negative SNR as
their loss, gradients clipped to a common norm, and Adam. The error is that of the outputs, before any step. Asteroid
(Pariente et al. 2020, https://doi.org/10.21437/Interspeech.2020-1673) is installed with

    pip install torch huggingface_hub && pip install --no-deps asteroid asteroid-filterbanks

Where it is missing nothing is measured. In the variant "@bfloat16" both compute in that format, weights in float32.
"""

import contextlib
import importlib.util
import math
import sys

import keras
import numpy as np

from benchmarks.timing import record
from mss_nn_implementation.convtas import ConvTasNet
from mss_nn_implementation.loss import NegativeSNR
from mss_nn_implementation.parameters import PRESETS, Training
from mss_nn_implementation.train import computing, make_optimizer

SIZES = PRESETS["laptop"]
TRAINING = Training(optimizer="adam", steps=10_000)
REPEATS = 15


def have_peer(benchmark):
    """Whether PyTorch and Asteroid are installed; says what is left out where they are not."""
    missing = [name for name in ("torch", "asteroid") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{benchmark}: {' and '.join(missing)} not installed, that comparison is left out", file=sys.stderr)
    return not missing


def ours(precision="float32"):
    """A compiled network of ours."""
    keras.utils.set_random_seed(0)
    with computing(precision):
        model = ConvTasNet(SIZES)
        model.build((None, None))
        model.compile(optimizer=make_optimizer(TRAINING), loss=NegativeSNR(), jit_compile=True)
    return model


def asteroids(model):
    """Asteroid's network with the sizes and the weights of ours."""
    import torch
    from asteroid.models import ConvTasNet as Peer

    p = model.sizes
    sizes = {"n_filters": p.N, "kernel_size": p.L, "stride": p.hop, "n_blocks": p.X, "n_repeats": p.R, "bn_chan": p.B}
    sizes |= {"hid_chan": p.H, "skip_chan": p.Sc, "conv_kernel_size": p.P, "norm_type": "gLN"}
    peer = Peer(len(p.sources), **sizes, mask_act=p.mask, encoder_activation="relu", sample_rate=p.sample_rate)

    def give(parameter, value):
        parameter.data = torch.tensor(np.ascontiguousarray(np.reshape(value, parameter.shape)))

    def give_dense(convolution, kernel, bias):
        give(convolution.weight, kernel.T)
        give(convolution.bias, bias)

    def give_norm(theirs, layer):
        give(theirs.gamma, layer.gamma)
        give(theirs.beta, layer.beta)

    give(peer.encoder.filterbank._filters, model.encoder.kernel.numpy().T)
    give(peer.decoder.filterbank._filters, model.decoder.kernel)
    give_norm(peer.masker.bottleneck[0], model.norm)
    give_dense(peer.masker.bottleneck[1], *model.bottleneck.get_weights())
    for block, layer in zip(peer.masker.TCN, model.blocks):
        widen, activation_1, norm_1, depthwise, activation_2, norm_2 = block.shared_block
        give_dense(widen, *layer.widen.get_weights())
        give_dense(depthwise, *layer.depthwise.get_weights())
        for theirs, own in ((activation_1, layer.activation_1), (activation_2, layer.activation_2)):
            give(theirs.weight, own.slope)
        for theirs, own in ((norm_1, layer.norm_1), (norm_2, layer.norm_2)):
            give_norm(theirs, own)
        kernel, bias = layer.outputs.get_weights()
        if kernel.shape[1] > p.Sc:  # the last block of ours has no residual output; Asteroid's is not read
            give_dense(block.res_conv, kernel[:, : p.B], bias[: p.B])
        give_dense(block.skip_conv, kernel[:, -p.Sc :], bias[-p.Sc :])
    give(peer.masker.mask_net[0].weight, model.activation.slope)
    give_dense(peer.masker.mask_net[1], *model.masks.get_weights())
    return peer


def crops():
    """Mixtures (batch, samples), at a root mean square of 1, and their stems (batch, sources, samples)."""
    rng = np.random.default_rng(0)
    samples = round(TRAINING.seconds * SIZES.sample_rate)
    stems = rng.normal(size=(TRAINING.batch_size, len(SIZES.sources), samples)).astype(np.float32)
    stems /= np.sqrt(np.mean(stems.sum(axis=1) ** 2, axis=-1))[:, None, None]
    return stems.sum(axis=1), stems


def output_error(model, peer, mixtures):
    """Largest difference of the two networks' outputs.

    Ours puts half a frame of zeros around the sound, so that all of it lies in two frames; the peer is given them.
    """
    import torch

    hop = SIZES.hop
    padded = np.pad(mixtures, ((0, 0), (hop, hop + -mixtures.shape[1] % hop)))
    with torch.inference_mode():
        theirs = peer(torch.tensor(padded)).numpy()[..., hop : hop + mixtures.shape[1]]
    return np.abs(keras.ops.convert_to_numpy(model(mixtures)) - theirs).max()


def torch_step(peer, mixtures, stems, forward=None, half=False):
    """A function that takes one training step with the PyTorch network."""
    import torch

    forward = peer if forward is None else forward  # a compiled network has no truth value
    optimizer = torch.optim.Adam(peer.parameters(), TRAINING.learning_rate)
    loss, x, y = NegativeSNR(), torch.tensor(mixtures), torch.tensor(stems)

    def negative_snr(true, estimate):  # as our loss has it
        energy, error = true.square().sum(-1), (true - estimate).square().sum(-1)
        leak = loss.sigma * true.sum(1, keepdim=True).square().sum(-1) + 1e-8
        ratio = torch.log(error + loss.tau * energy + leak) - torch.log(energy + leak)
        return ratio.mean() * (10 / math.log(10))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            estimate = forward(x)
        value = negative_snr(y, estimate.float())
        value.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), TRAINING.clip_norm)
        optimizer.step()
        return float(value.detach())

    return step


def run():
    """A record per way to run the PyTorch network."""
    if not have_peer("conv_tasnet_train"):
        return []
    import torch

    mixtures, stems = crops()
    model = ours()
    peer = asteroids(model)
    error = output_error(model, peer, mixtures)
    half = ours("mixed_bfloat16")
    name = f"asteroid.models.ConvTasNet (PyTorch {torch.__version__.split('+')[0]}"
    compiled = torch.compile(peer)
    peers = {
        "conv_tasnet_train": (f"{name}, eager)", model, torch_step(peer, mixtures, stems)),
        "conv_tasnet_train@compile": (f"{name}, torch.compile)", model, torch_step(peer, mixtures, stems, compiled)),
        "conv_tasnet_train@bfloat16": (f"{name}, autocast)", half, torch_step(peer, mixtures, stems, half=True)),
    }
    return [
        record(
            benchmark,
            lambda network=network: network.train_on_batch(mixtures, stems),
            step,
            peer_name=peer_name,
            max_error=error,
            repeats=REPEATS,
        )
        for benchmark, (peer_name, network, step) in peers.items()
    ]
