"""What each change to the earlier report's separator is worth: python -m ddsp_models.separation.ablations [--steps N --seeds N]

That report's network ("mini Conv-TasNet": one f0 head for all sources, which reads each source's share of the mixture,
divided by a softmax; f0 in Hz over all frames; 0.1 of its distance plus 0.9 of that of loudness in dB) becomes this
chapter's in seven steps. Every variant is trained alike, for as many steps, on the same crops; every one that is done
is kept in runs/ablations-separator, so the command goes on where it was stopped. The table goes to
results/ablations-separator.json.
"""

import argparse
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from audio_processing.audio_processing import istft
from audio_processing.metrics import si_sdr
from common import results
from common.files import atomic_path
from ddsp_models.separation.analysis_network import FLOOR, ParametricSeparator
from ddsp_models.separation.song_crops import SongCrops, load_songs
from ddsp_models.separation.train import BAND, MODELS, HoldThenCosine, Training, checksum, validation_examples


@dataclass(frozen=True)
class Variant:
    """Which of the earlier report's ways a separator keeps.

    Parameters
    ----------
    heads : {"own", "shared"}
        a pitch head for each source, or one for all that reads each source's share of the mixture.
    pitch : {"bins", "hertz"}
        classes and cross-entropy on voiced frames, or a number and its distance in Hz over all frames.
    voicing : bool
        whether "no pitch" is a class.
    masks : {"spectra", "softmax"}
        of the synthesisers' spectra, or a softmax over the sources in each of `Sizes.bands` mel bands.
    earlier_weights : bool
        of the losses: 0.1 for each hertz of f0 and 0.9 for each decibel of loudness; otherwise this chapter's.
    aligned : bool
        classes of pitch are read from the map whose harmonics lie on top of each other (`parametric.PitchHead`), or
        from the context alone by a matrix.
    told : bool
        what divides the mixture is told the pitch first (`ParametricSeparator.told_pitch`).
    """

    heads: str = "own"
    pitch: str = "bins"
    voicing: bool = True
    masks: str = "spectra"
    earlier_weights: bool = False
    aligned: bool = True
    told: bool = True

    def __post_init__(self):
        known = {"heads": ("own", "shared"), "pitch": ("bins", "hertz"), "masks": ("spectra", "softmax")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}: {getattr(self, name)!r} found, {' or '.join(map(repr, values))} expected")
        if self.heads == "shared" and (self.pitch, self.masks) != ("hertz", "softmax"):
            raise ValueError("heads: a shared head reads softmax shares and says hertz; pitch='hertz', masks='softmax'")
        if self.masks == "spectra" and not (self.pitch == "bins" and self.voicing and self.told):
            raise ValueError("masks: spectra need pitch='bins', voicing and told")
        if self.pitch == "hertz" and (self.voicing or self.aligned or self.told):
            raise ValueError("pitch: hertz go without voicing, aligned and told")


OLD = {"pitch": "hertz", "voicing": False, "masks": "softmax", "aligned": False, "told": False}
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
"""Each with one change more than the one before; the last is `ParametricSeparator`."""


@keras.saving.register_keras_serializable("mss")
class VariantSeparator(ParametricSeparator):
    """A parametric separator that keeps some of the earlier report's ways.

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
        n_out = 3 if self.variant.heads == "shared" else len(s.pitched)  # f0 and two moments' loudness, or f0s
        if self.variant.pitch == "bins":
            n_out = sum(s.pitch_bins(i) + 1 for i in range(len(s.pitched)))
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
        maps, context = self.listen(magnitude)
        if v.pitch == "bins":
            logits = self.pitches(maps, context) if v.aligned else self.classes(context)
        elif v.heads == "own":
            said = self.number_head(self.hidden_head(self.context_norm(context)))
            logits = [100.0 * ops.softplus(said[..., i]) for i in range(len(s.pitched))]
        if v.told:
            f0 = ops.stop_gradient(self.decode(logits))
            if "f0" in inputs:
                f0 = ops.where(inputs["taught"][..., None] > 0, inputs["f0"], f0)
            context = self.told_pitch(maps, context, f0)
        shape = (-1, context.shape[1], len(s.sources), s.bands)
        shares = ops.softmax(ops.reshape(self.shares(context), shape), axis=2)  # (batch, frames, sources, bands)
        features = self._features(self.features(context))
        if v.heads == "shared":
            heard = ops.matmul(magnitude, self.to_bands)[:, :, None] * shares
            said = self.number_head(self.hidden_head(0.4 * ops.log(heard + FLOOR)))  # (batch, frames, sources, 3)
            logits = [100.0 * ops.softplus(said[:, :, s.sources.index(source), 0]) for source in s.pitched]
            moments = ops.transpose(10.0 * said[..., 1:] - 30.0, (0, 1, 3, 2))
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
        said = self.number_head(self.hidden_head(self.context_norm(context)))
        ends = np.cumsum([self.sizes.pitch_bins(i) + 1 for i in range(len(self.sizes.pitched))])
        return [said[..., end - self.sizes.pitch_bins(i) - 1 : end] for i, end in enumerate(ends)]

    def decode(self, logits):
        if self.variant.pitch == "hertz":
            return ops.stack(logits, axis=-1)
        if not self.variant.voicing:  # a pitch, always
            logits = [ops.concatenate([x[..., :-1], ops.full_like(x[..., :1], -1e4)], axis=-1) for x in logits]
        return super().decode(logits)

    def losses_of(self, found, stems, f0):
        terms = super().losses_of(found, stems, f0)
        if self.variant.masks == "softmax":
            terms["outline"] = 0.0 * terms["outline"]  # shares are no magnitudes
        return terms

    def pitch_error(self, logits, f0):
        if self.variant.pitch == "hertz":  # every frame counts, also those without pitch: 0 Hz
            return 0.1 / 0.3 * ops.mean(ops.abs(ops.stack(logits, axis=-1) - f0))
        if self.variant.voicing:
            return super().pitch_error(logits, f0)
        error = 0.0
        for i, scores in enumerate(logits):
            voiced = ops.cast(f0[..., i] > 0, "float32")
            target = self.pitch_target(f0[..., i], i)[..., :-1]
            each = -ops.sum(target * ops.log_softmax(scores[..., :-1], axis=-1), axis=-1)
            error = error + ops.sum(each * voiced) / (ops.sum(voiced) + 1.0)
        return error

    def feature_error(self, found, true, level):
        error = super().feature_error(found, true, level)
        if self.variant.earlier_weights:  # 0.9 per dB; the term's own weight is 0.1, its unit 10 dB
            only = {"loudness": found["loudness"]}
            error = error + (9.0 - 0.1) / 0.1 * super().feature_error(only, true, level)
        return error

    def get_config(self):
        return {**super().get_config(), "variant": dataclasses.asdict(self.variant)}


def scores(model, inputs, targets, batch_size=4):
    """What a separator hears and how well its masks divide, on examples whose pitch it is not told.

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
    s = model.sizes
    found = {"f0": [], "loudness": [], "stems": []}
    for start in range(0, len(inputs["mixture"]), batch_size):
        part = {name: x[start : start + batch_size] for name, x in inputs.items()}
        y = model(part)
        masks = ops.convert_to_numpy(y["spectra"])
        masks = (masks + 1e-9) / (masks + 1e-9).sum(axis=1, keepdims=True)
        level = ops.convert_to_numpy(model.level(part["mixture"]))[..., None]
        spectrum = ops.convert_to_numpy(y["real"]) + 1j * ops.convert_to_numpy(y["imaginary"])
        spectrum = spectrum * (level * model.window_norm)  # (batch, frames, frequencies)
        bins = np.swapaxes(masks * spectrum[:, None], 2, 3)
        found["stems"].append(istft(bins, s.hop, length=part["mixture"].shape[1]))
        found["f0"].append(ops.convert_to_numpy(y["f0"]))
        found["loudness"].append(ops.convert_to_numpy(y["features"]["loudness"]) + 20 * np.log10(level))
    found = {name: np.concatenate(x) for name, x in found.items()}
    floor = 20 * np.log10(np.sqrt(np.mean(inputs["mixture"] ** 2, axis=1)) + 1e-8)[:, None] - 60
    records = []
    for i, source in enumerate(s.sources):
        wanted = np.maximum(targets["loudness"][..., i], floor)
        heard = np.maximum(found["loudness"][:, : wanted.shape[1], i], floor)
        values = {"loudness_l1": ("dB", np.mean(np.abs(wanted - heard)))}
        pairs = [(true[i], estimate[i]) for true, estimate in zip(targets["stems"], found["stems"])]
        values["si_sdr"] = ("dB", np.mean([si_sdr(*pair) for pair in pairs if np.mean(pair[0] ** 2) > 1e-7]))
        if source in s.pitched:
            j = s.pitched.index(source)
            true, line = targets["f0"][..., j], found["f0"][..., j]
            voiced = true > 0
            cents = 1200 * np.abs(np.log2(np.maximum(line[voiced], 1.0) / true[voiced]))
            values["raw_pitch_accuracy"] = ("1", np.mean(cents < 50))
            values["f0_l1_hz"] = ("Hz", np.mean(np.abs(line - true)[voiced]))
            values["f0_l1_hz@all"] = ("Hz", np.mean(np.abs(line - true)))
        records += [
            {"source": source, "metric": metric, "unit": unit, "value": float(value)}
            for metric, (unit, value) in values.items()
        ]
    return records


def run(name, seed, training, sizes, songs, validation):
    """Train one variant and score it: a dict of "parameters", "seconds" and the "records" of `scores`."""
    training = dataclasses.replace(training, seed=seed)
    keras.utils.set_random_seed(seed)
    model = VariantSeparator(sizes, VARIANTS[name])
    model.build(None)
    model.compile(
        optimizer=keras.optimizers.Adam(
            HoldThenCosine(training.learning_rate, training.warmup, training.steps), global_clipnorm=training.clip_norm
        ),
        jit_compile=keras.backend.backend() != "torch",
    )
    crops = SongCrops(songs, training, sizes.hop)
    begun = time.monotonic()

    epochs = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(crops, "epoch", epoch))
    model.fit(crops, epochs=training.steps // training.steps_per_epoch, callbacks=[epochs], verbose=2)
    return {
        "parameters": parameters_used(model),
        "seconds": time.monotonic() - begun,
        "records": scores(model, *validation),
    }


def parameters_used(model):
    """Weights that take part in what a variant says."""
    v, numbers = model.variant, [model.hidden_head, model.number_head]
    if v.masks == "spectra":
        idle = [model.shares, *numbers]
    else:
        idle = [model.outlines] if v.told else [model.outlines, model.told, *model.later_blocks]
        idle += numbers if v.aligned else model.pitch_heads
    return model.count_params() - sum(layer.count_params() for layer in idle)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m ddsp_models.separation.ablations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=600, help="of each variant (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant (default: %(default)s)")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, help="these variants alone")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    options = parser.parse_args(arguments)
    sizes, _, *sets = MODELS["one_artist"]
    folder = results.ROOT / "runs" / "ablations-separator"
    try:
        training = Training(seconds=1.0, steps=options.steps, steps_per_epoch=min(100, options.steps), taught_until=0.5)
        data = checksum(sets, options.data)
        chosen = options.only or list(VARIANTS)
        jobs = [(name, seed) for seed in range(options.seeds) for name in chosen]
        places = {job: folder / f"{job[0].replace(' ', '_')}-{job[1]}-{options.steps}.json" for job in jobs}
        wanted = {"data": data, "sizes": sizes.to_dict(), "training": training.to_dict()}
        left = [job for job in jobs if not _done(places[job], wanted)]
        if left:
            songs, held_out = (load_songs(options.data / a, b, sizes.sources, sizes.pitched) for a, b in sets)
            validation = validation_examples(held_out, round(training.seconds * sizes.sample_rate), sizes.hop)
        for name, seed in left:
            print(f"{name}, seed {seed}", flush=True)
            content = wanted | run(name, seed, training, sizes, songs, validation)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(places[name, seed]) as temporary:
                temporary.write_text(json.dumps(content))
            keras.utils.clear_session()
    except (OSError, ValueError) as error:
        print(f"ablations: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    content = results.head("ablations of the separator", config=training.to_dict(), seed=options.seeds, data=data)
    content |= {"variants": {}, "records": []}
    for name, seed in jobs:
        found = json.loads(places[name, seed].read_text())
        described = dataclasses.asdict(VARIANTS[name]) | {"parameters": found["parameters"]}
        content["variants"][name] = described | {"seconds": round(found["seconds"])}
        row = {"test_set": "validation", "track": "all", "system": name, "seed": seed}
        content["records"] += [row | record for record in found["records"]]
    path = results.RESULTS / "ablations-separator.json"
    results.write(path, content)
    print(f"wrote {path.relative_to(results.ROOT)}")
    return 0


def _done(path, wanted):
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return {name: found.get(name) for name in wanted} == json.loads(json.dumps(wanted))


if __name__ == "__main__":
    sys.exit(main())
