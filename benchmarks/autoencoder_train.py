"""A training step of the autoencoder, features to update, against ddsp 3.7.0: batch 4 x 4 s.

Both sides make the same sound from the same features: stacks, GRU and sizes of the paper's solo instrument, 60
harmonics, 65 bands, a trainable room of 3 s, six-scale spectral loss, gradients clipped to a common norm, Adam. The
noise in them differs, so the sounds cannot be compared; what is compared is that the loss is finite and the networks
are equally large: `max_error` is the relative difference in trained weights. The variant "@conv" is the decoder that
the course ships, which has another network, against the same peer; there it says how much smaller ours is.
"""

import dataclasses
import sys

import keras
import numpy as np

from benchmarks import ddsp_peer
from benchmarks.timing import record
from ddsp_models.autoencoder import PRESETS, Decoder, ResynthesisLoss
from ddsp_models.features import CHANNELS
from ddsp_models.spectral_loss import SpectralLoss

REPEATS = 5
VARIANTS = {
    # benchmark: settings, loss
    "autoencoder_train": (dataclasses.replace(PRESETS["solo"], room_taps=ddsp_peer.ROOM), SpectralLoss),
    "autoencoder_train@conv": (PRESETS["conv"], ResynthesisLoss),
}


def step(settings, loss):
    """A compiled decoder and a function that trains it for one step, as `model.fit` does; it gives the loss.

    Parameters
    ----------
    settings : autoencoder.Settings
    loss : class
        of a Keras loss.
    """
    arrays = ddsp_peer.problem()
    rng = np.random.default_rng(1)
    features = {"f0": arrays["f0"], "loudness": arrays["decibels"]}
    for name in set(settings.inputs) - set(features):
        features[name] = rng.uniform(-60, -20, (*arrays["f0"].shape[:2], CHANNELS[name])).astype(np.float32)
    features = {name: features[name] for name in settings.inputs}
    keras.utils.set_random_seed(0)
    model = Decoder(settings)
    model.build({name: array.shape for name, array in features.items()})
    optimizer = keras.optimizers.Adam(1e-4, global_clipnorm=3.0)
    model.compile(optimizer=optimizer, loss=loss(), jit_compile=keras.backend.backend() != "torch")
    return model, lambda: [np.asarray(model.train_on_batch(features, arrays["target"]))]


def run():
    """autoencoder_train, and autoencoder_train@conv against the same peer."""
    if ddsp_peer.python() is None:
        print("autoencoder_train: no environment with ddsp 3.7.0 (`make parity` builds one); left out", file=sys.stderr)
        return []
    found = []
    for name, (settings, loss) in VARIANTS.items():
        model, ours = step(settings, loss)
        with ddsp_peer.Peer(ddsp_peer.python()) as peer:
            theirs, weights = peer.results("autoencoder_train")
            if not np.isfinite([*ours(), theirs]).all():
                raise RuntimeError(f"{name}: losses {ours()[0]} and {theirs} found, finite ones expected")
            size = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
            found.append(
                record(
                    name,
                    ours,
                    peer.run("autoencoder_train"),
                    peer_name="ddsp.training.models.Autoencoder 3.7.0, solo_instrument",
                    max_error=abs(size / int(weights) - 1),
                    repeats=REPEATS,
                    peer_peak=lambda peer=peer: peer.peak_mb("autoencoder_train"),
                )
            )
    return found
