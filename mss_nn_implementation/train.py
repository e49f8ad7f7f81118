"""Train a Conv-TasNet: python -m mss_nn_implementation.train [trio] [--steps N …]

Stopped at any moment, the same command goes on from the last epoch. The best weights on the validation songs go to
`training_final_full/`, the curve to `results/training/`. The models:

trio        drums, bass, vocals of the virtual band's training artist
many        drums, bass, other, vocals of many artists, whom `python -m virtual_band --sets many_artists
            many_validation --many 240` renders
many_trio   drums, bass, vocals of many artists; starts from `many`
musdb       drums, bass, other, vocals of MUSDB18's training songs, in the folder that MUSDB_PATH or --data names:
            MUSDB18, MUSDB18-HQ or the 7 s excerpts

A song that cannot be read stops it; with --on-error skip it is named on standard error and in the record, and the
others are trained on.
"""

import argparse
import dataclasses
import inspect
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import keras

from audio_processing.tracks import SOURCES, musdb_root
from common import results
from common.files import sha256_of
from mss_nn_implementation.convtas import WEIGHTS, ConvTasNet
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_stems, songs_of
from mss_nn_implementation.loss import LOSSES
from mss_nn_implementation.parameters import PRESETS, Training
from training.loop import check_settings, completed, fit, keep_settings, read_log, ship

BAND = results.ROOT / "data" / "virtual_band"
TRIO = Training(optimizer="muon", learning_rate=2e-3, steps=7000, steps_per_epoch=250)
JIT = keras.backend.backend() != "torch"  # compiled by XLA, which fuses the shifted sums of the depthwise convolutions
MUSDB = Path("MUSDB_PATH")  # stands for the folder that this variable names
FOUR = dataclasses.replace(PRESETS["laptop"], sources=SOURCES)
SEMITONES = (0.89, 0.94, 1.06, 1.12)
"""Speeds that change the pitch by two semitones and by one, down and up."""
REAL = dataclasses.replace(TRIO, steps=6000, remix=0.8, speeds=SEMITONES, start_from="many")
MANY = (BAND / "many_artists", "train"), (BAND / "many_validation", "test")
MODELS = {
    # name: sizes, training, training songs, validation songs: root, subset and which side of a split
    "trio": (PRESETS["laptop"], TRIO, (BAND / "one_artist", "train"), (BAND / "validation", "test")),
    "many_trio": (PRESETS["laptop"], dataclasses.replace(TRIO, steps=2000, start_from="many"), *MANY),
    "many": (FOUR, dataclasses.replace(TRIO, steps=3000), *MANY),
    "musdb": (FOUR, REAL, (MUSDB, "train", "train"), (MUSDB, "train", "valid")),
}


def make_optimizer(training):
    """The optimiser and its schedule that a `Training` asks for."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, training.steps - training.warmup, warmup_target=training.learning_rate, warmup_steps=training.warmup
    )
    if training.optimizer == "adam":
        return keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm)
    if training.optimizer == "muon":
        if "adam_weight_decay" not in inspect.signature(keras.optimizers.Muon.__init__).parameters:
            raise ValueError(f"optimizer: 'muon' needs Keras 3.13 or newer, {keras.__version__} found")
        return keras.optimizers.Muon(
            schedule,
            exclude_layers=["encoder", "masks", "decoder", "depthwise"],  # filters and outputs, not maps between layers
            adam_lr_ratio=0.5,
            weight_decay=None,
            adam_weight_decay=0.0,
            global_clipnorm=training.clip_norm,
        )
    raise ValueError(f"optimizer: {training.optimizer!r} found, 'adam' or 'muon' expected")


def find_weights(name):
    """The file of a trained network: shipped under that name, of a run of that name, or a .keras file itself."""
    places = [Path(name), WEIGHTS / f"{name}.keras", results.ROOT / "runs" / f"conv_tasnet-{name}" / "best.keras"]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"start_from: {name} is neither a .keras file nor a network trained here")


def start_from(model, path):
    """Give a network the weights of another one of its sizes; those of the masks by the names of the sources.

    Raises
    ------
    ValueError
        where the file is no network, or one of other sizes.
    """
    try:
        other = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged archive made of its parts
        raise ValueError(f"start_from: {path} is no trained network ({str(error).splitlines()[0][:80]})") from error
    for field in dataclasses.fields(model.sizes):
        ours, theirs = (getattr(each.sizes, field.name, None) for each in (model, other))
        if ours != theirs and field.name not in ("sources", "sample_rate", "mask", "consistent"):
            raise ValueError(f"start_from: {path} has {field.name} {theirs}, {ours} expected")
    masks = {id(variable) for variable in model.masks.weights}
    for variable, value in zip(model.weights, other.weights):
        if id(variable) not in masks:
            variable.assign(value)
    N = model.sizes.N
    for variable, value in zip(model.masks.weights, other.masks.weights):
        columns, theirs = (keras.ops.convert_to_numpy(each).copy() for each in (variable, value))
        for i, source in enumerate(model.sizes.sources):
            if source in other.sizes.sources:
                j = other.sizes.sources.index(source)
                columns[..., i * N : (i + 1) * N] = theirs[..., j * N : (j + 1) * N]
        variable.assign(columns)


@contextmanager
def computing(precision="float32", devices=1):
    """What networks that are made inside compute with, and on how many devices; each takes its part of a batch.

    Parameters
    ----------
    precision : str
        see `parameters.Training`.
    devices : int
        of those that `keras.distribution.list_devices()` finds. Keras distributes with JAX as its backend.
    """
    before, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    try:
        keras.config.set_dtype_policy(precision)
        if devices > 1:
            found = keras.distribution.list_devices()
            if keras.backend.backend() != "jax":
                raise ValueError(
                    f"devices: Keras distributes on JAX (KERAS_BACKEND=jax), not {keras.backend.backend()}"
                )
            if len(found) < devices:
                raise ValueError(f"devices: {devices} asked for, {len(found)} found ({', '.join(found)})")
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=found[:devices]))
        yield
    finally:
        keras.config.set_dtype_policy(before)
        keras.distribution.set_distribution(distribution)


def train(
    name,
    training,
    sizes,
    train_songs,
    validation_songs,
    run,
    *,
    start=None,
    devices=1,
    cache=None,
    on_error="stop",
):
    """Fit one network, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    name : str
    training : Training
    sizes : Parameters
    train_songs, validation_songs : (str or Path, str) or (str or Path, str, str)
        root, subset and split of a dataset (`datasets.songs_of`).
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path, optional
        .keras file of the network to start from.
    devices : int
        how many share a batch.
    cache : str or Path, optional
        folder of decoded songs (`datasets.load_stems`).
    on_error : {"stop", "skip"}
        what a song does that cannot be read: stops the run, or is left out and named.

    Returns
    -------
    ConvTasNet
        with the best weights on the validation songs.
    """
    changes = check_settings(run / "settings.json", sizes, training)
    if training.batch_size % devices:
        raise ValueError(f"devices: a divisor of the batch size, {training.batch_size}, expected, got {devices}")
    samples = round(training.seconds * sizes.sample_rate)
    left_out = {} if on_error == "skip" else None
    options = {"channels": sizes.channels, "cache": cache, "at_least": training.seconds, "left_out": left_out}
    songs = load(train_songs, sizes, speeds=training.speeds, **options)
    crops, validation = (
        RandomCrops(songs, samples, training),
        fixed_crops(load(validation_songs, sizes, **options), samples),
    )

    for song, why in (left_out or {}).items():
        print(f"train: {song} is left out: {why}", file=sys.stderr)
    keep_settings(run, sizes, training, changes, start, left_out)

    keras.utils.set_random_seed(training.seed)
    with computing(training.precision, devices):
        model = ConvTasNet(sizes)
        model.compile(
            optimizer=make_optimizer(training),
            loss=LOSSES[training.loss](),
            jit_compile=JIT,
        )
        model.build((None, samples))
        if start is not None:
            start_from(model, start)
        best = fit(model, crops, validation, training, run)
    return keras.saving.load_model(best, compile=False)


def load(songs, sizes, **options):
    """`load_stems` of (root, subset) or (root, subset, split), as a network of these sizes hears them."""
    root, subset, *split = songs
    return load_stems(root, subset, sizes.sources, sizes.sample_rate, split=split[0] if split else None, **options)


def checksum(*songs):
    """SHA-256 over the sound files of several (root, subset)."""
    return sha256_of(*[path for which in songs for song in songs_of(*which) for path in song.files()])


def is_current(name, training, sizes, train_songs, validation_songs, weights=WEIGHTS):
    """Whether the shipped weights are intact and were trained with these settings on these songs."""
    try:
        record = json.loads((weights / f"{name}.json").read_text())
        intact = sha256_of(weights / f"{name}.keras") == record["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = json.loads(json.dumps([training.to_dict(), sizes.to_dict()]))
    same = [completed(record.get("training", {}), training), completed(record.get("parameters", {}), sizes)] == wanted
    return intact and same and record.get("data") == checksum(train_songs, validation_songs)


def publish(name, training, sizes, train_songs, validation_songs, run, weights=WEIGHTS):
    """Copy the best weights of a finished run beside their record, and its curve into the results."""
    data = checksum(train_songs, validation_songs)
    record = results.head(f"train {name}", config=training.to_dict(), seed=training.seed, data=data)
    record |= {"parameters": sizes.to_dict(), "training": training.to_dict(), "weights": ConvTasNet.count(sizes)}
    shares = [float(row["data_share"]) for row in read_log(run / "log.csv") if row.get("data_share")]
    if shares:  # the largest share of an epoch's time in which batches were made
        record["data_share"] = max(shares)
    model = keras.saving.load_model(run / "best.keras", compile=False).copy()  # as `Parameters` has them, in float32
    return ship(name, model, record, run, weights, f"conv_tasnet-{name}")


def at(songs, data):
    """Songs of `MODELS` where the user has them: `data`, else MUSDB_PATH or the virtual band's own folder."""
    root, *rest = songs
    if root != MUSDB:
        return (data / root.name if data else root), *rest
    root = data or musdb_root()
    if not root:
        raise FileNotFoundError(
            "MUSDB_PATH: not set; the folder that holds MUSDB18's train and test expected, or --data, or `make musdb`"
        )
    return Path(root), *rest


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m mss_nn_implementation.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default="trio", choices=MODELS, help="which model (default: trio)")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/conv_tasnet-NAME)")
    parser.add_argument(
        "--data", type=Path, help="the virtual band's folder of sets, or MUSDB18's (default: MUSDB_PATH)"
    )
    parser.add_argument("--cache", type=Path, help="folder for decoded songs; without it they are held in memory")
    parser.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="at a song that cannot be read")
    parser.add_argument("--devices", type=int, default=1, help="how many share a batch (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--dry", action="store_true", help="train, but leave the shipped weights and results alone")
    for field in dataclasses.fields(Training):
        kind = {"type": float, "nargs": "*"} if field.type in (tuple, "tuple") else {"type": type(field.default)}
        if field.name == "loss":
            kind["choices"] = LOSSES
        parser.add_argument(f"--{field.name.replace('_', '-')}", **kind, help=f"(default: {field.default})")
    options = parser.parse_args(arguments)
    run = options.run or results.ROOT / "runs" / f"conv_tasnet-{options.name}"
    try:
        sizes, training, *songs = MODELS[options.name]
        given = {f.name: getattr(options, f.name) for f in dataclasses.fields(Training)}
        training = dataclasses.replace(training, **{key: value for key, value in given.items() if value is not None})
        train_songs, validation_songs = (at(which, options.data) for which in songs)
        start = find_weights(training.start_from) if training.start_from else None
        training = dataclasses.replace(training, start_from=Path(training.start_from).stem if start else "")
        job = (options.name, training, sizes, train_songs, validation_songs, run)
        if not (options.dry or options.force) and is_current(
            options.name, training, sizes, train_songs, validation_songs
        ):
            print(f"{options.name}: current")
            return 0
        train(*job, start=start, devices=options.devices, cache=options.cache, on_error=options.on_error)
    except (OSError, ValueError) as error:
        print(f"train: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    written = [run / "best.keras"] if options.dry else publish(*job)
    print("wrote", ", ".join(os.path.relpath(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
