"""How a separator is trained through the synthesisers; `python -m ddsp_models.separation.train` lists the trainings.

The separator's features go to chapter 7's decoders, whose weights do not change; the gradient of the multi-scale
spectral loss of their sounds goes back, through oscillators and filters, to the separator. With stems (supervised) the
loss compares the sound of each decoder with its stem; without (unsupervised, as Schulze-Forster et al. 2023,
https://doi.org/10.1109/TASLP.2023.3252272) the sum of the sounds with the mixture, and the f0 are given.
"""

import math
from dataclasses import dataclass
from itertools import product

import keras
from keras import ops

from audio_processing.loudness import LOUDNESS_FLOOR
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import HOP_LENGTH
from ddsp_models.separation.analysis_network import WEIGHTS_OF_TERMS
from ddsp_models.separation.separators import SILENT_BELOW_MIXTURE, load_decoders
from ddsp_models.separation.train_separator import SeparatorTraining, initialised
from ddsp_models.spectral_loss import spectral_loss
from training import loop
from training.schedule import adam, hold_then_cosine
from training.settings import check_choices


@dataclass(frozen=True)
class Through(SeparatorTraining):
    """How a separator is trained through synthesisers; what is not named here as in `SeparatorTraining`.

    Parameters
    ----------
    mode : {"supervised", "unsupervised"}
        the sounds are compared with the stems, beside all that `train_separator` compares; or their sum with the
        mixture, and nothing else.
    decoders : str
        family of the decoders.
    spectral_weight : float
        of the spectral loss, mean over the sources, beside other terms.
    feature_weight : float
        of the distance of the features there: a decoder has no other inputs.
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
        check_choices(self, mode=("supervised", "unsupervised"))

    @property
    def f0_given(self):
        """Whether the true f0 is given in validation, too."""
        return self.mode == "unsupervised"


class ThroughSynthesisers(keras.Model):
    """A separator and the decoders that synthesise from its features, as one model.

    Parameters
    ----------
    separator : analysis_network.ParametricSeparator
    decoders : dict of autoencoder.Decoder
        by source; they are not trained.
    training : Through
    """

    def __init__(self, separator, decoders, training, **kwargs):
        super().__init__(**kwargs)
        self.separator, self.decoders, self.settings = separator, decoders, training
        for decoder in decoders.values():
            decoder.trainable = False
        terms = () if training.mode == "unsupervised" else WEIGHTS_OF_TERMS
        self.terms = {name: keras.metrics.Mean(name=name) for name in ("stems", *terms)}

    def build(self, shape=None):
        self.built = True  # its parts are

    def call(self, inputs):
        """The outputs of `ParametricSeparator.call`, and the decoders' "sounds" (batch, sources, samples)."""
        outputs = self.separator(inputs)
        level = 20.0 / math.log(10.0) * ops.log(self.separator.level(inputs["mixture"]))[..., None]  # dB, (batch, 1, 1)
        frames = inputs["mixture"].shape[1] // HOP_LENGTH
        described = for_decoders(outputs["features"], outputs["f0"], level, self.separator.sizes, frames)
        sounds = [decoder(described[source], training=False) for source, decoder in self.decoders.items()]
        return outputs | {"sounds": ops.stack(sounds, axis=1)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of the mode; the metric "stems" is the spectral loss of the stems in both, minimised or not."""
        sounds, samples = y_pred["sounds"], y_pred["sounds"].shape[-1]
        unsupervised = self.settings.mode == "unsupervised"
        flat = ops.reshape(ops.stop_gradient(sounds) if unsupervised else sounds, (-1, samples))
        apart = spectral_loss(ops.reshape(y["stems"][..., :samples], (-1, samples)), flat)
        self.terms["stems"].update_state(apart)
        if unsupervised:
            return spectral_loss(x["mixture"][:, :samples], ops.sum(sounds, axis=1))
        terms = self.separator.errors(x, y, y_pred)
        for name, value in terms.items():
            self.terms[name].update_state(value)
        weights = WEIGHTS_OF_TERMS | {"features": self.settings.feature_weight}
        return self.settings.spectral_weight * apart + sum(weights[name] * terms[name] for name in terms)


def for_decoders(features, f0, level, sizes, frames):
    """A separator's features as inputs of decoders, as tensors: `MaskedSeparator.describe` that passes gradients.

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
        of the result, 250 a second.

    Returns
    -------
    dict of dict of tensor, (batch, frames, channels)
    """
    absolute, described = {}, {}
    for name, over in (("loudness", level), ("bands", level[..., None])):
        decibels = features[name][:, :frames] + over
        audible = decibels > ops.maximum(over - SILENT_BELOW_MIXTURE, LOUDNESS_FLOOR)
        absolute[name] = ops.where(audible, decibels, LOUDNESS_FLOOR)
    for i, source in enumerate(sizes.sources):
        described[source] = {"loudness": absolute["loudness"][..., i : i + 1], "bands": absolute["bands"][:, :, i]}
        if source in sizes.pitched:
            line = ops.repeat(f0[..., sizes.pitched.index(source)], 2, axis=1)[:, :frames]
            described[source] |= {"f0": held(line)[..., None], "voiced": ops.cast(line > 0, "float32")[..., None]}
        if source == "drums":
            described[source]["onset"] = features["onset"][:, :frames]
    return described


def held(f0):
    """f0 without gaps: each value is held until the next one, the first one from the beginning; (batch, frames)."""
    reaches = [2**i for i in range((f0.shape[1] - 1).bit_length())]  # twice as far each time
    for forward, reach in product((True, False), reaches):
        gap = ops.zeros_like(f0[:, :reach])
        moved = ops.concatenate([gap, f0[:, :-reach]] if forward else [f0[:, reach:], gap], axis=1)
        f0 = ops.where(f0 > 0, f0, moved)
    return f0


def through_decoders(training, config, start, decoders=None):
    """A separator and the decoders, by default the exported ones, built and compiled for a training."""
    separator = initialised(config, start)  # first: it gets the random weights of the seed
    model = ThroughSynthesisers(separator, decoders or load_decoders(training.decoders, config.sources), training)
    model.build()
    return loop.compiled(model, adam(training, hold_then_cosine))


def decoder_files(training, config, start=None):
    """Weights of the decoders that a separator is trained through."""
    return [WEIGHTS / f"{training.decoders}-{source}.keras" for source in config.sources]
