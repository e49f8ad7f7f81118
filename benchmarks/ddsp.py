"""Synthesisers, spectral loss and autoencoder of chapter 7 against ddsp 3.7.0: batch 4 x 4 s, forward and backward."""

import dataclasses
from functools import partial

import keras
import numpy as np

from benchmarks import ddsp_peer
from benchmarks.timing import largest_error, record
from ddsp_models import spectral_loss as losses
from ddsp_models import synthesisers as ds
from ddsp_models.autoencoder import PRESETS, Decoder, ResynthesisLoss
from ddsp_models.features import CHANNELS

REPEATS = 5
AUTOENCODERS = {
    # variant of autoencoder_train: settings, loss
    "": (dataclasses.replace(PRESETS["solo"], room_taps=ddsp_peer.ROOM), losses.SpectralLoss),
    "@conv": (PRESETS["conv"], ResynthesisLoss),
}


def filtered(magnitudes, noise):
    """Filtered noise from a decoder's outputs, as late as ddsp's."""
    return ds.fir_filter(noise, ds.exp_sigmoid(magnitudes - 5.0), latency=2)


def compared(name, signal, peer_name, truth=None):
    """Records of a signal and of its gradient (_grad), each against a graph of ddsp and against it under XLA (@xla).

    Parameters
    ----------
    name : str
        a key of `ddsp_peer.SIGNALS`.
    signal : callable
        ours; compiled as `model.fit` does.
    peer_name : str
    truth : str, optional
        the variant of the peer that `max_error` is measured from; by default the one that is timed.
    """
    arrays, (arguments, given, upstream) = ddsp_peer.problem(), ddsp_peer.SIGNALS[name]
    with ddsp_peer.Peer() as peer:
        for asked, gradient in ((name, None), (f"{name}_grad", upstream)):
            ours = ddsp_peer.compiled(arrays, signal, arguments, given=given, upstream=gradient, xla=True)
            for variant, compiler in (("", ""), ("@xla", ", XLA")):
                yield record(
                    asked + variant,
                    ours,
                    peer_name + compiler,
                    partial(peer.ask, "run", asked + variant),
                    max_error=largest_error(ours(), peer.results(asked + (truth or variant)), least=1e-12),
                    peer_peak=partial(peer.peak_mb, asked + variant),
                )


def filtered_noise():
    """65 bands, the same noise for both."""
    return compared("filtered_noise", filtered, "ddsp.core.frequency_filter 3.7.0")


def harmonic_synthesis():
    """60 harmonics. Errors are those against ddsp in float64: its float32 phases drift, as `make parity` measures."""
    return compared("harmonic_synthesis", ds.Harmonic(), "ddsp.synths.Harmonic 3.7.0", truth="@exact")


def spectral_loss():
    """The loss between two sounds at six scales."""
    return compared(
        "spectral_loss", lambda audio, target: losses.spectral_loss(target, audio), "ddsp.losses.SpectralLoss 3.7.0"
    )


def step(settings, loss):
    """A compiled decoder and a function that trains it for one step, as `model.fit` does; it gives the loss.

    Parameters
    ----------
    settings : autoencoder.Settings
    loss : class
        of a Keras loss.
    """
    arrays, rng = ddsp_peer.problem(), np.random.default_rng(1)
    known, frames = {"f0": arrays["f0"], "loudness": arrays["decibels"]}, arrays["f0"].shape[:2]
    features = {
        name: known[name] if name in known else rng.uniform(-60, -20, (*frames, CHANNELS[name])).astype(np.float32)
        for name in settings.inputs
    }
    keras.utils.set_random_seed(0)
    model = Decoder(settings)
    model.build({name: array.shape for name, array in features.items()})
    optimizer = keras.optimizers.Adam(1e-4, global_clipnorm=3.0)
    model.compile(optimizer=optimizer, loss=loss(), jit_compile=keras.backend.backend() != "torch")
    return model, lambda: [np.asarray(model.train_on_batch(features, arrays["target"]))]


def autoencoder_train():
    """A training step of the autoencoder, features to update.

    Both sides make the same sound from the same features: stacks, GRU and sizes of the paper's solo instrument, 60
    harmonics, 65 bands, a trainable reverb of 3 s, six-scale spectral loss, gradients clipped to a common norm, Adam.
    The noise in them differs, so the sounds cannot be compared; compared are that the loss is finite and the networks
    are equally large: `max_error` is the relative difference in trained weights. The variant "@conv" is the decoder
    that the course ships, which has another network, against the same peer; there it says how much smaller ours is.
    """
    for variant, (settings, loss) in AUTOENCODERS.items():
        name = "autoencoder_train" + variant
        with ddsp_peer.Peer() as peer:
            model, ours = step(settings, loss)
            theirs, weights = peer.results("autoencoder_train")
            if not np.isfinite([*ours(), theirs]).all():
                raise RuntimeError(f"{name}: expected finite losses, got {ours()[0]} and {theirs}")
            size = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
            yield record(
                name,
                ours,
                "ddsp.training.models.Autoencoder 3.7.0, solo_instrument",
                partial(peer.ask, "run", "autoencoder_train"),
                max_error=abs(size / int(weights) - 1),
                repeats=REPEATS,
                peer_peak=partial(peer.peak_mb, "autoencoder_train"),
            )
