"""Train a separator through the synthesisers: python -m ddsp_models.separation.train_through_decoders [NAME] [--steps N …]

The separator's features go to chapter 7's decoders, which stay as they are; the multi-scale spectral loss of what they
play goes back, through oscillators and filters, to the separator. Stopped at any moment, the same command goes on from
the last epoch. Weights and curve are kept as `train_separator` keeps its own. The models:

one_artist_played    one_artist goes on: what each decoder plays is to be like the stem (supervised)
one_artist_unplayed  the same without what is played: how much of a gain is that of more steps (supervised)
one_artist_mixtures  a new one, which never hears a stem: what all decoders play together is to be like the mixture,
                     whose pitches are given (unsupervised, as Schulze-Forster et al. 2023,
                     https://doi.org/10.1109/TASLP.2023.3252272)
"""

import math
import sys
from dataclasses import dataclass

import keras
from keras import ops

from audio_processing.loudness import LOUDNESS_FLOOR
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import HOP_LENGTH
from ddsp_models.separation.analysis_network import WEIGHTS_OF_TERMS, ParametricSeparator
from ddsp_models.separation.separators import load_decoders
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train import (
    THREE,
    HoldThenCosine,
    Training,
    command,
    start_from,
    training_songs,
    validation_examples,
)
from ddsp_models.spectral_loss import spectral_loss
from training.loop import check_settings, fit, keep_settings


@dataclass(frozen=True)
class Through(Training):
    """How a separator was trained through synthesisers; what is not named here as in `train_separator.Training`.

    Parameters
    ----------
    mode : {"supervised", "unsupervised"}
        whether what is played is compared with the stems, beside all that `train_separator` compares; or, summed, with
        the mixture, and nothing else.
    decoders : str
        whose decoders play.
    spectral_weight : float
        of the spectral loss, mean over the sources, where it is not alone.
    feature_weight : float
        of the distance of the features there: a decoder has nothing else to go by.
    """

    mode: str = "supervised"
    decoders: str = "band"
    spectral_weight: float = 0.1
    feature_weight: float = 0.5
    seconds: float = 1.0
    steps_per_epoch: int = 50
    gain_db: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        if self.mode not in ("supervised", "unsupervised"):
            raise ValueError(f"mode: {self.mode!r} found, 'supervised' or 'unsupervised' expected")


SETS = ("one_artist", "train"), ("validation", "test")
MODELS = {
    # name: sizes, training, training songs, validation songs
    "one_artist_played": (
        THREE,
        Through(steps=400, learning_rate=1e-3, taught_until=0.0, start_from="one_artist"),
        *SETS,
    ),
    "one_artist_unplayed": (
        THREE,
        Through(steps=400, learning_rate=1e-3, taught_until=0.0, start_from="one_artist", spectral_weight=0.0),
        *SETS,
    ),
    "one_artist_mixtures": (
        THREE,
        Through(mode="unsupervised", steps=1000, steps_per_epoch=100, learning_rate=2e-3, taught_until=1.0),
        *SETS,
    ),
}


class ThroughSynthesisers(keras.Model):
    """A separator and the decoders that it tells what to play, as one model.

    Parameters
    ----------
    separator : parametric.ParametricSeparator
    decoders : dict of autoencoder.Decoder
        by source; they are not trained.
    training : Through
    """

    def __init__(self, separator, decoders, training, **kwargs):
        super().__init__(**kwargs)
        self.separator, self.decoders, self.settings = separator, decoders, training
        for decoder in decoders.values():
            decoder.trainable = False
        names = ["stems"] if training.mode == "unsupervised" else ["stems", *WEIGHTS_OF_TERMS]
        self.terms = {name: keras.metrics.Mean(name=name) for name in names}

    def build(self, shape=None):
        self.built = True  # its parts are

    def call(self, inputs):
        """What `ParametricSeparator.call` finds, and the "sounds" (batch, sources, samples) they make of it."""
        found = self.separator(inputs)
        level = 20.0 / math.log(10.0) * ops.log(self.separator.level(inputs["mixture"]))[..., None]  # dB, (batch, 1, 1)
        frames = inputs["mixture"].shape[1] // HOP_LENGTH
        described = for_decoders(found["features"], found["f0"], level, self.separator.sizes, frames)
        sounds = [decoder(described[source], training=False) for source, decoder in self.decoders.items()]
        return found | {"sounds": ops.stack(sounds, axis=1)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The spectral loss of the mode; the metric "stems" is that of the stems in either, trained with or not."""
        sounds, samples = y_pred["sounds"], y_pred["sounds"].shape[-1]
        stems = ops.reshape(y["stems"][..., :samples], (-1, samples))
        if self.settings.mode == "unsupervised":
            apart = spectral_loss(stems, ops.stop_gradient(ops.reshape(sounds, (-1, samples))))
            self.terms["stems"].update_state(apart)
            return spectral_loss(x["mixture"][:, :samples], ops.sum(sounds, axis=1))
        apart = spectral_loss(stems, ops.reshape(sounds, (-1, samples)))
        self.terms["stems"].update_state(apart)
        level = self.separator.level(x["mixture"])
        terms = self.separator.losses_of(y_pred, y["stems"] / level[..., None], y["f0"])
        terms["features"] = self.separator.feature_error(y_pred["features"], y, level[..., None])
        for name, value in terms.items():
            self.terms[name].update_state(value)
        weights = WEIGHTS_OF_TERMS | {"features": self.settings.feature_weight}
        return self.settings.spectral_weight * apart + sum(weights[name] * terms[name] for name in terms)


def for_decoders(features, f0, level, sizes, frames):
    """A separator's features as decoders are told them, as tensors: `MaskedSeparator.describe` that passes gradients.

    Parameters
    ----------
    features : dict of tensor
        of `ParametricSeparator.controls`.
    f0 : tensor, (batch, frames / 2, pitched sources)
        in Hz, 0 = none.
    level : tensor, (batch, 1, 1)
        of the mixture, in dB.
    sizes : Sizes
    frames : int
        to be given, 250 a second.

    Returns
    -------
    dict of dict of tensor, (batch, frames, channels)
    """
    silent = ops.maximum(level - 57.0, LOUDNESS_FLOOR)
    heard = {}
    for name in ("loudness", "bands"):
        over = level if name == "loudness" else level[..., None]
        quiet = silent if name == "loudness" else silent[..., None]
        decibels = features[name][:, :frames] + over
        heard[name] = ops.where(decibels > quiet, decibels, LOUDNESS_FLOOR)
    described = {}
    for i, source in enumerate(sizes.sources):
        described[source] = {"loudness": heard["loudness"][..., i : i + 1], "bands": heard["bands"][:, :, i]}
        if source in sizes.pitched:
            line = ops.repeat(f0[..., sizes.pitched.index(source)], 2, axis=1)[:, :frames]
            voiced = ops.cast(line > 0, "float32")
            described[source] |= {"f0": held(line)[..., None], "voiced": voiced[..., None]}
        if source == "drums":
            described[source]["onset"] = features["onset"][:, :frames]
    return described


def held(f0):
    """A line of pitch without holes: each goes on until the next one begins; (batch, frames) in and out."""
    frames = f0.shape[1]
    for forward in (True, False):
        reach = 1
        while reach < frames:  # twice as far each time
            if forward:
                moved = ops.pad(f0[:, :-reach], ((0, 0), (reach, 0)))
            else:
                moved = ops.pad(f0[:, reach:], ((0, 0), (0, reach)))
            f0 = ops.where(f0 > 0, f0, moved)
            reach *= 2
    return f0


def train(training, sizes, train_songs, validation_songs, run, start=None, decoders=None):
    """Fit one separator through the decoders, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : Through
    sizes : Sizes
    train_songs, validation_songs : list of song_crops.Song
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path, optional
        .keras file of the separator to start from.
    decoders : dict of autoencoder.Decoder, optional
        the shipped ones by default.

    Returns
    -------
    ParametricSeparator
        with the best weights on the validation songs.
    """
    keep_settings(run, sizes, training, check_settings(run / "settings.json", sizes, training), start)
    keras.utils.set_random_seed(training.seed)
    crops = SongCrops(training_songs(train_songs, training), training, sizes.hop)
    inputs, targets = validation_examples(validation_songs, crops.samples, sizes.hop)
    if training.mode == "unsupervised":
        inputs["taught"][:] = 1.0
    separator = ParametricSeparator(sizes)
    separator.build(None)
    if start is not None:
        start_from(separator, start)
    decoders = decoders or load_decoders(training.decoders, sizes.sources)
    model = ThroughSynthesisers(separator, decoders, training)
    model.build()
    schedule = HoldThenCosine(training.learning_rate, training.warmup, training.steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm),
        jit_compile=keras.backend.backend() != "torch",
    )
    best = fit(model, crops, (inputs, targets), training, run, part="separator")
    return keras.saving.load_model(best, compile=False)


def decoder_files(training, sizes):
    """Weights of the decoders that a separator is trained through."""
    return [WEIGHTS / f"{training.decoders}-{source}.keras" for source in sizes.sources]


def main(arguments=None):
    return command("end_to_end", __doc__, MODELS, Through, train, arguments, teachers=decoder_files)


if __name__ == "__main__":
    sys.exit(main())
