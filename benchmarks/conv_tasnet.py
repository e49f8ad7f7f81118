"""Conv-TasNet of chapter 6, training and inference, against Asteroid's in PyTorch, eager and compiled.

Both networks have the sizes of `PRESETS["laptop"]`, the same weights, and batches of 4 crops of 2 s. Asteroid (Pariente
et al. 2020, https://doi.org/10.21437/Interspeech.2020-1673) is installed with

    pip install torch huggingface_hub && pip install --no-deps asteroid asteroid-filterbanks

Where it is missing, the runner leaves the benchmark out.
"""

import contextlib
import math
from functools import partial
from importlib import metadata

import keras
import numpy as np

from benchmarks.timing import record
from mss_nn_implementation.convtas import ConvTasNet
from mss_nn_implementation.loss import NegativeSNR
from mss_nn_implementation.parameters import PRESETS, Training
from mss_nn_implementation.train import computing, make_optimizer
from training.compiled import compiled

SIZES = PRESETS["laptop"]
TRAINING = Training(optimizer="adam", steps=10_000)
REPEATS = 15


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
    peer = Peer(
        len(p.sources), n_filters=p.N, kernel_size=p.L, stride=p.hop, n_blocks=p.X, n_repeats=p.R, bn_chan=p.B,
        hid_chan=p.H, skip_chan=p.Sc, conv_kernel_size=p.P, norm_type="gLN", mask_act=p.mask,
        encoder_activation="relu", sample_rate=p.sample_rate,
    )  # fmt: skip

    def give(module, *weights):
        """Set a module's parameters, in their order; PyTorch's kernels are the transpose of Keras's."""
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            transposed = np.transpose(keras.ops.convert_to_numpy(weight))
            parameter.data = torch.tensor(np.ascontiguousarray(np.reshape(transposed, parameter.shape)))

    give(peer.encoder, model.encoder.kernel)
    give(peer.decoder, np.transpose(keras.ops.convert_to_numpy(model.decoder.kernel)))
    give(peer.masker.bottleneck, *model.norm.weights, *model.bottleneck.weights)
    for block, layer in zip(peer.masker.TCN, model.blocks):
        give(
            block.shared_block,
            *layer.widen.weights,
            layer.activation_1.slope,
            *layer.norm_1.weights,
            *layer.depthwise.weights,
            layer.activation_2.slope,
            *layer.norm_2.weights,
        )
        kernel, bias = layer.outputs.get_weights()
        if kernel.shape[1] > p.Sc:  # the last block of ours has no residual output; Asteroid's is not read
            give(block.res_conv, kernel[:, : p.B], bias[: p.B])
        give(block.skip_conv, kernel[:, -p.Sc :], bias[-p.Sc :])
    give(peer.masker.mask_net, model.activation.slope, *model.masks.weights)
    return peer


def crops():
    """Mixtures (batch, samples), at a root mean square of 1, and their stems (batch, sources, samples)."""
    shape = TRAINING.batch_size, len(SIZES.sources), round(TRAINING.seconds * SIZES.sample_rate)
    stems = np.random.default_rng(0).normal(size=shape).astype(np.float32)
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


def problem():
    """What both benchmarks compare: mixtures, stems, our network, Asteroid's, and the error of their outputs."""
    (mixtures, stems), model = crops(), ours()
    peer = asteroids(model)
    return mixtures, stems, model, peer, output_error(model, peer, mixtures)


def name_of(how):
    """What the peer is called."""
    return f"asteroid.models.ConvTasNet (PyTorch {metadata.version('torch').split('+')[0]}, {how})"


def conv_tasnet_train():
    """Forward, backward and update: the loss is the negative SNR, gradients are clipped to a common norm, Adam.

    The error is that of the outputs, before any step. In the variant "@bfloat16" both compute in that format, with
    weights in float32.
    """
    import torch

    mixtures, stems, model, peer, error = problem()
    step = partial(torch_step, peer, mixtures, stems)
    for variant, how, network, theirs in (
        ("", "eager", model, step()),
        ("@compile", "torch.compile", model, step(torch.compile(peer))),
        ("@bfloat16", "autocast", ours("mixed_bfloat16"), step(half=True)),
    ):
        mine = partial(network.train_on_batch, mixtures, stems)
        yield record("conv_tasnet_train" + variant, mine, name_of(how), theirs, max_error=error, repeats=REPEATS)


def conv_tasnet_inference():
    """Separating 4 windows of 2 s. Ours includes the level that it takes out of each window and puts back."""
    import torch

    mixtures, _, model, peer, error = problem()
    separate, given = compiled(partial(model, training=False)), keras.ops.convert_to_tensor(mixtures)
    peer.eval()
    for variant, how, forward in (("", "eager", peer), ("@compile", "torch.compile", torch.compile(peer))):
        mine, theirs = partial(separate, given), torch.inference_mode()(partial(forward, torch.tensor(mixtures)))
        yield record("conv_tasnet_inference" + variant, mine, name_of(how), theirs, max_error=error, repeats=REPEATS)
