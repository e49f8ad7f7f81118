"""Ablation of the separator: python -m ddsp_models.separation.ablations [--steps N --seeds N]

The earlier report's network ("mini Conv-TasNet": one f0 head for all sources, which reads each source's part of the
mixture, divided by a softmax; f0 in Hz over all frames; 0.1 of its distance plus 0.9 of that of loudness in dB) becomes
this chapter's in seven steps. Every variant is trained alike, for as many steps, on the same crops. Finished ones are
kept in runs/ablations-separator, so the command resumes after the last of them. The table goes to
results/ablations-separator.json. Shown in `combined_report.ipynb`.
"""

import dataclasses
import json
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import keras
import numpy as np
from keras import ops

from audio_processing.audio_processing import istft
from audio_processing.masks import wiener_masks
from audio_processing.metrics import si_sdr
from common import results
from common.checks import expect
from common.command import command
from common.files import atomic_path
from common.places import HERE
from ddsp_models.separation.analysis_network import FLOOR, ParametricSeparator
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train import RECIPES
from ddsp_models.separation.train_separator import SeparatorTraining, band_songs, validation_examples
from training import loop
from training.command import folder_of
from training.schedule import adam, hold_then_cosine
from training.settings import check_choices


@dataclasses.dataclass(frozen=True)
class Variant:
    """Which parts of the earlier report's separator a separator keeps.

    Parameters
    ----------
    heads : {"own", "shared"}
        a pitch head for each source, or one for all that reads each source's part of the mixture.
    pitch : {"bins", "hertz"}
        classes and cross-entropy on voiced frames, or a number and its distance in Hz over all frames.
    voicing : bool
        whether "no pitch" is a class.
    masks : {"spectra", "softmax"}
        of the synthesisers' spectra, or a softmax over the sources in each of `Sizes.bands` mel bands.
    earlier_weights : bool
        of the losses: 0.1 for each Hz of f0 and 0.9 for each dB of loudness; otherwise this chapter's.
    aligned : bool
        classes of pitch are read from the map whose harmonics lie on top of each other (`analysis_network.PitchHead`),
        or from the context alone by a matrix.
    told : bool
        the masks are conditioned on the f0 (`ParametricSeparator.condition`).
    """

    heads: str = "own"
    pitch: str = "bins"
    voicing: bool = True
    masks: str = "spectra"
    earlier_weights: bool = False
    aligned: bool = True
    told: bool = True

    def __post_init__(self):
        check_choices(self, heads=("own", "shared"), pitch=("bins", "hertz"), masks=("spectra", "softmax"))
        bins, spectra = self.pitch == "bins", self.masks == "spectra"
        expect(self.heads == "own" or not (bins or spectra), "heads", "pitch='hertz', masks='softmax' if shared", self)
        expect(
            not spectra or (bins and self.voicing and self.told),
            "masks",
            "pitch='bins', voicing and told with spectra",
            self,
        )
        expect(
            bins or not (self.voicing or self.aligned or self.told),
            "pitch",
            "no voicing, aligned or told with hertz",
            self,
        )


OLD = {"pitch": "hertz", "voicing": False, "masks": "softmax", "aligned": False, "told": False}
# Each variant has one more change than the one before; the last is `ParametricSeparator`.
VARIANTS = {
    "earlier report": Variant("shared", **OLD, earlier_weights=True),
    "own heads": Variant(**OLD, earlier_weights=True),
    "own weights": Variant(**OLD),
    "pitch bins": Variant(**{**OLD, "pitch": "bins"}),
    "aligned harmonics": Variant(voicing=False, masks="softmax", told=False),
    "voicing": Variant(masks="softmax", told=False),
    "told the pitch": Variant(masks="softmax"),
    "spectra": Variant(),
}


@keras.saving.register_keras_serializable("mss")
class VariantSeparator(ParametricSeparator):
    """A parametric separator that keeps parts of the earlier report's.

    Parameters
    ----------
    sizes : Sizes
    variant : Variant
        or the dict of its fields.
    """

    def __init__(self, sizes, variant, **kwargs):
        super().__init__(sizes, **kwargs)
        self.variant = variant if isinstance(variant, Variant) else Variant(**variant)
        s = self.sizes
        triangles = self.triangles[s.bands].T
        self.to_bands = triangles / (triangles.sum(axis=0) + 1e-6)
        self.shares = keras.layers.Dense(len(s.sources) * s.bands, name="shares")
        self.hidden_head = keras.layers.Dense(s.channels, activation="relu", name="hidden_head")
        self.classes_of = [s.pitch_bins(i) + 1 for i in range(len(s.pitched))]
        n_out = 3 if self.variant.heads == "shared" else len(s.pitched)  # f0 and two moments' loudness, or f0s
        n_out = sum(self.classes_of) if self.variant.pitch == "bins" else n_out
        self.number_head = keras.layers.Dense(n_out, name="number_head")

    def build(self, shape):
        s, v = self.sizes, self.variant
        self.shares.build((None, None, s.channels))
        self.hidden_head.build((None, None, s.bands if v.heads == "shared" else s.channels))
        self.number_head.build((None, None, s.channels))
        super().build(shape)

    def call(self, inputs):
        s, v = self.sizes, self.variant
        if v.masks == "spectra":
            return super().call(inputs)
        real, imaginary = self.spectrum(inputs["mixture"] / self.level(inputs["mixture"]))
        magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12)
        maps, context = self.encode(magnitude)
        if v.pitch == "bins":
            logits = self.pitches(maps, context) if v.aligned else self.classes(context)
        elif v.heads == "own":
            outputs = self.number_head(self.hidden_head(self.context_norm(context)))
            logits = [100.0 * ops.softplus(outputs[..., i]) for i in range(len(s.pitched))]
        if v.told:
            context = self.condition(maps, context, self.taught(logits, inputs))
        # (batch, frames, sources, bands):
        shares = ops.softmax(ops.reshape(self.shares(context), (-1, context.shape[1], len(s.sources), s.bands)), axis=2)
        features = self._features(self.features(context))
        if v.heads == "shared":
            parts = ops.matmul(magnitude, self.to_bands)[:, :, None] * shares
            outputs = self.number_head(self.hidden_head(0.4 * ops.log(parts + FLOOR)))  # (batch, frames, sources, 3)
            logits = [100.0 * ops.softplus(outputs[:, :, s.sources.index(source), 0]) for source in s.pitched]
            moments = ops.transpose(10.0 * outputs[..., 1:] - 30.0, (0, 1, 3, 2))
            features["loudness"] = ops.reshape(moments, (-1, 2 * context.shape[1], len(s.sources)))
        return {
            "logits": logits,
            "f0": ops.stop_gradient(self.decode(logits)),
            "spectra": ops.transpose(ops.matmul(shares, self.triangles[s.bands]), (0, 2, 1, 3)),
            "features": features,
            "real": real,
            "imaginary": imaginary,
        }

    def classes(self, context):
        """Logits of every pitch and of none, as `pitches` gives them, from the context alone."""
        outputs = self.number_head(self.hidden_head(self.context_norm(context)))
        return ops.split(outputs, np.cumsum(self.classes_of)[:-1].tolist(), axis=-1)

    def decode(self, logits):
        if self.variant.pitch == "hertz":
            return ops.stack(logits, axis=-1)
        if not self.variant.voicing:  # a pitch, always
            logits = [ops.concatenate([x[..., :-1], ops.full_like(x[..., :1], -1e4)], axis=-1) for x in logits]
        return super().decode(logits)

    def losses_of(self, outputs, stems, f0):
        terms = super().losses_of(outputs, stems, f0)
        counts = 1.0 if self.variant.masks == "spectra" else 0.0  # masks are no magnitudes
        return terms | {"outline": counts * terms["outline"]}

    def pitch_error(self, logits, f0):
        if self.variant.pitch == "hertz":  # every frame counts, also those without pitch: 0 Hz
            return 0.1 / 0.3 * ops.mean(ops.abs(ops.stack(logits, axis=-1) - f0))
        if self.variant.voicing:
            return super().pitch_error(logits, f0)
        error = 0.0
        for i, scores in enumerate(logits):
            voiced = ops.cast(f0[..., i] > 0, "float32")
            right = self.pitch_target(f0[..., i], i)[..., :-1] * ops.log_softmax(scores[..., :-1], axis=-1)
            error = error + ops.sum(-ops.sum(right, axis=-1) * voiced) / (ops.sum(voiced) + 1.0)
        return error

    def feature_error(self, features, true, level):
        error = super().feature_error(features, true, level)
        if self.variant.earlier_weights:  # 0.9 per dB; the term's own weight is 0.1, its unit 10 dB
            error = error + (9.0 - 0.1) / 0.1 * super().feature_error({"loudness": features["loudness"]}, true, level)
        return error

    def get_config(self):
        return {**super().get_config(), "variant": dataclasses.asdict(self.variant)}


def scores(model, inputs, targets, batch_size=4):
    """How well a separator estimates f0 and loudness, and how well its masks separate, without teacher forcing.

    Parameters
    ----------
    model : ParametricSeparator
    inputs, targets : dict of np.ndarray
        of `song_crops.examples`.
    batch_size : int

    Returns
    -------
    list of dict
        records: "source", "metric" (raw_pitch_accuracy, f0_l1_hz on voiced frames, f0_l1_hz@all on all, loudness_l1,
        si_sdr), "unit", "value": means over the examples; SI-SDR over those in which the source sounds.
    """
    config = model.sizes
    batches = [
        estimates(model, {name: x[i : i + batch_size] for name, x in inputs.items()})
        for i in range(0, len(inputs["mixture"]), batch_size)
    ]
    stems, f0, loudness = (np.concatenate(parts) for parts in zip(*batches))
    # loudness 60 dB below the mixture counts as silence:
    floor = 20 * np.log10(np.sqrt(np.mean(inputs["mixture"] ** 2, axis=1)) + 1e-8)[:, None] - 60
    records = []
    for i, source in enumerate(config.sources):
        target = np.maximum(targets["loudness"][..., i], floor)

        pairs = [pair for pair in zip(targets["stems"][:, i], stems[:, i]) if np.mean(pair[0] ** 2) > 1e-7]  # audible
        values = {
            "loudness_l1": ("dB", np.mean(np.abs(target - np.maximum(loudness[:, : target.shape[1], i], floor)))),
            "si_sdr": ("dB", np.mean([si_sdr(*pair) for pair in pairs])),
        }
        if source in config.pitched:
            true, line = (x[..., config.pitched.index(source)] for x in (targets["f0"], f0))
            voiced = true > 0
            cents = 1200 * np.abs(np.log2(np.maximum(line[voiced], 1.0) / true[voiced]))
            values |= {
                "raw_pitch_accuracy": ("1", np.mean(cents < 50)),
                "f0_l1_hz": ("Hz", np.mean(np.abs(line - true)[voiced])),
                "f0_l1_hz@all": ("Hz", np.mean(np.abs(line - true))),
            }
        records += [
            {"source": source, "metric": metric, "unit": unit, "value": float(value)}
            for metric, (unit, value) in values.items()
        ]
    return records


def estimates(model, inputs):
    """A batch of stems (batch, sources, samples), f0 (batch, frames, pitched) in Hz and loudness (batch, frames,
    sources) in dB."""
    outputs = keras.tree.map_structure(ops.convert_to_numpy, model(inputs))
    level = ops.convert_to_numpy(model.level(inputs["mixture"]))[..., None]
    spectrum = (outputs["real"] + 1j * outputs["imaginary"]) * (level * model.window_norm)  # (batch, frames, bins)
    bins = wiener_masks(outputs["spectra"], axis=1) * spectrum[:, None]  # (batch, sources, frames, bins)
    stems = istft(np.swapaxes(bins, 2, 3), model.sizes.hop, length=inputs["mixture"].shape[1])
    return stems, outputs["f0"], outputs["features"]["loudness"] + 20 * np.log10(level)


def run(name, seed, training, config, songs, validation):
    """Train one variant and score it: a dict of "parameters", "seconds" and the "records" of `scores`."""
    training = dataclasses.replace(training, seed=seed)
    keras.utils.set_random_seed(seed)
    model = VariantSeparator(config, VARIANTS[name])
    model.build(None)
    loop.compiled(model, adam(training, hold_then_cosine))
    crops, start = SongCrops(songs, training, config.hop), time.monotonic()
    model.fit(
        crops,
        epochs=-(-training.steps // training.steps_per_epoch),
        callbacks=[loop.Clock(crops, training.steps)],
        verbose=2,
    )
    return {
        "seconds": time.monotonic() - start,
        "parameters": parameters_used(model),
        "records": scores(model, *validation),
    }


def parameters_used(model):
    """How many weights take part in the outputs of a variant."""
    v, numbers = model.variant, [model.hidden_head, model.number_head]
    if v.masks == "spectra":
        idle = [model.shares, *numbers]
    else:
        idle = [model.outlines] if v.told else [model.outlines, model.told, *model.later_blocks]
        idle += numbers if v.aligned else model.pitch_heads
    return model.count_params() - sum(layer.count_params() for layer in idle)


def kept(path, settings):
    """The content of a run's file; None if the run has other settings, or has not finished."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if settings.items() <= content.items():
            return content
    return None


def write(steps, seeds, only=None, data=None, places=HERE):
    """Train and score the variants that are not done yet, and write the table; returns its file, as a list."""
    recipe, where = RECIPES["one_artist"], partial(folder_of, data=data, places=places)
    training = SeparatorTraining(seconds=1.0, steps=steps, steps_per_epoch=min(100, steps), taught_until=0.5)
    settings = {"data": recipe.checksum(where), "sizes": recipe.config.to_dict(), "training": training.to_dict()}
    sets, variants, records = None, {}, []
    for seed, name in product(range(seeds), only or VARIANTS):
        path = places.runs / "ablations-separator" / f"{name.replace(' ', '_')}-{seed}-{steps}.json"
        content = kept(path, settings)
        if content is None:
            print(f"{name}, seed {seed}", flush=True)
            if sets is None:
                songs, held_out = (
                    band_songs(recipe.config, *where(each)) for each in (recipe.songs, recipe.validation)
                )
                samples = round(training.seconds * recipe.config.sample_rate)
                sets = songs, validation_examples(held_out, samples, recipe.config.hop)
            content = settings | run(name, seed, training, recipe.config, *sets)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(content))
            keras.utils.clear_session()
        about = {"parameters": content["parameters"], "seconds": round(content["seconds"])}
        variants[name] = dataclasses.asdict(VARIANTS[name]) | about
        row = {"test_set": "validation", "track": "all", "system": name, "seed": seed}
        records += [row | record for record in content["records"]]
    path = places.results / "ablations-separator.json"
    head = results.head("ablations of the separator", config=training.to_dict(), seed=seeds, data=settings["data"])
    results.write(path, head | {"variants": variants, "records": records})
    return [places.shown(path)]


def main(arguments=None, places=HERE):
    return command(
        "ddsp_models.separation.ablations",
        __doc__,
        partial(write, places=places),
        {
            "--steps": {"type": int, "default": 600, "help": "of each variant (default: %(default)s)"},
            "--seeds": {"type": int, "default": 2, "help": "runs of each variant (default: %(default)s)"},
            "--only": {"nargs": "*", "choices": VARIANTS, "help": "these variants alone"},
            "--data": {"type": Path, "help": "folder of the virtual band's sets"},
        },
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
