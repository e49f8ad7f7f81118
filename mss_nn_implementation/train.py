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
import csv
import dataclasses
import inspect
import json
import math
import os
import shutil
import sys
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import h5py
import keras

from audio_processing import results
from audio_processing.files import atomic_path, sha256_of
from audio_processing.tracks import SOURCES, musdb_root
from mss_nn_implementation.convtas import WEIGHTS, ConvTasNet
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_stems, songs_of
from mss_nn_implementation.loss import LOSSES
from mss_nn_implementation.parameters import PRESETS, Training

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


class Clock(keras.callbacks.Callback):
    """Tells the dataset which epoch begins, and writes seconds of training into the log, resumed runs included.

    Where the dataset knows the seconds that it has `spent` on batches, their share of an epoch is written, too: an
    upper limit of how long training waits for data, since batches are made while the step before is computed.
    """

    def __init__(self, dataset, path):
        super().__init__()
        self.dataset, self.path = dataset, path

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch
        self.begun, self.spent = time.monotonic(), getattr(self.dataset, "spent", None)

    def on_epoch_end(self, epoch, logs=None):
        before = float(self.path.read_text()) if self.path.exists() and epoch else 0.0
        logs["seconds"] = before + time.monotonic() - self.begun
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        log = self.path.parent / "log.csv"
        older = log.exists() and log.stat().st_size and "data_share" not in log.read_text().split("\n")[0]
        if self.spent is not None and not older:  # a log from before there was this column keeps its columns
            logs["data_share"] = (self.dataset.spent - self.spent) / (time.monotonic() - self.begun)
        with atomic_path(self.path) as temporary:
            temporary.write_text(str(logs["seconds"]))


def check_settings(path, sizes, training):
    """Compare a run's saved settings with those it is to go on with.

    The number of steps may change, which bends the rest of the learning rate; everything else must be as it was.

    Returns
    -------
    list of dict
        every change of the number of steps so far: "steps", and how many "epochs" were done before it.
    """
    if not path.exists():
        return []
    try:
        saved = json.loads(path.read_text())
        was = [completed(saved["sizes"], sizes), completed({**saved["training"], "steps": training.steps}, training)]
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"train: {path} is damaged; delete {path.parent} or choose another --run") from error
    if was != json.loads(json.dumps([sizes.to_dict(), training.to_dict()])):
        raise SystemExit(f"train: {path.parent} holds a run with other settings; delete it or choose another --run")
    changes = saved.get("changes", [])
    if saved["training"]["steps"] != training.steps:
        log = path.parent / "log.csv"
        done = sum(1 for _ in open(log)) - 1 if log.exists() else 0
        changes = [*changes, {"epochs": done, "steps": saved["training"]["steps"]}]
    return changes


def keep_settings(run, sizes, training, changes, start=None, left_out=None):
    """Write what a run is made with into its folder: sizes, training, changes to it so far, what it starts from, and
    the songs that are left out, and why."""
    run.mkdir(parents=True, exist_ok=True)
    with atomic_path(run / "settings.json") as temporary:
        settings = {"sizes": sizes.to_dict(), "training": training.to_dict(), "changes": changes}
        if start is not None:
            settings["start_sha256"] = sha256_of(start)
        if left_out:
            settings["left_out"] = left_out
        temporary.write_text(json.dumps(settings, indent=1))


def completed(saved, settings):
    """Settings read from a file, and the defaults of the fields that `settings` has got since then."""
    fields = dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ()
    defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    return json.loads(json.dumps({**defaults, **saved}))


def go_back(run):
    """Cut a run's log to the epochs that its backup holds: one that was killed in between does the last one again.

    Returns
    -------
    float
        the lowest validation loss so far; infinite in a new run.
    """
    log, backup = run / "log.csv", run / "backup" / "training_metadata.json"
    if not log.exists():
        return math.inf
    try:
        epochs = json.loads(backup.read_text())["epoch"]
    except (OSError, ValueError, KeyError):
        epochs = 0
    with open(log) as file:
        rows = [row for row in csv.DictReader(file) if row["epoch"].isdigit() and int(row["epoch"]) < epochs]
    if not rows:
        log.unlink()
        (run / "seconds.txt").unlink(missing_ok=True)
        return math.inf
    with atomic_path(log) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(run / "seconds.txt") as temporary:
        temporary.write_text(rows[-1]["seconds"])
    return min(float(row["val_loss"]) for row in rows)


def mend_backup(run):
    """Put the backup before the last one in its place, where a run was killed while it wrote the last.

    Raises
    ------
    ValueError
        where neither can be read.
    """
    latest, before = (
        [run / "backup" / f"{name}{end}" for name in ("latest.weights.h5", "training_metadata.json")]
        for end in ("", ".bkp")
    )
    if not latest[0].exists() or readable(latest[0]):
        return
    if not readable(before[0]):
        raise ValueError(f"{latest[0]}: damaged; delete {run} to train anew")
    for source, target in zip(before, latest):
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def readable(path):
    """Whether a file of weights (.h5) or a network (.keras, whose checksums are compared) is there and complete."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        with h5py.File(path) as file:
            return len(file) > 0
    except (OSError, zipfile.BadZipFile):
        return False


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
    callbacks=(),
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
    callbacks : sequence of keras.callbacks.Callback
        such as one that ends a training early.
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
        best, log = run / "best.keras", run / "log.csv"
        checkpoint = keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True)
        mend_backup(run)
        checkpoint.best = go_back(run)  # a resumed run must beat what was best before
        if checkpoint.best < math.inf and not readable(best):
            print(f"{best}: damaged; the best of the epochs to come takes its place", file=sys.stderr)
            checkpoint.best = math.inf
        model.fit(
            crops,
            validation_data=validation,
            validation_batch_size=training.batch_size,
            shuffle=False,  # batches are random already, and a resumed run must see them in the same order
            epochs=training.steps // training.steps_per_epoch,
            callbacks=[
                Clock(crops, run / "seconds.txt"),
                checkpoint,
                *callbacks,
                keras.callbacks.CSVLogger(log, append=log.exists()),
                # last: an epoch that it holds is in the log, too
                keras.callbacks.BackupAndRestore(run / "backup", double_checkpoint=True, delete_checkpoint=False),
            ],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    if not readable(best):
        raise ValueError(f"{best}: damaged, and no epoch is left; delete {run} to train anew")
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
    settings = json.loads((run / "settings.json").read_text())
    record = results.head(f"train {name}", config=training.to_dict(), seed=training.seed, data=data)
    log = [row for row in csv.DictReader((run / "log.csv").read_text().splitlines()) if row.get("data_share")]
    record |= {
        "parameters": sizes.to_dict(),
        "training": training.to_dict(),
        "weights": ConvTasNet.count(sizes),
        "changes": settings["changes"],
        "seconds": float((run / "seconds.txt").read_text()),
    }
    if log:  # the largest share of an epoch's time in which batches were made
        record["data_share"] = max(float(row["data_share"]) for row in log)
    if "start_sha256" in settings:
        record["start_sha256"] = settings["start_sha256"]
    if "left_out" in settings:
        record["left_out"] = settings["left_out"]
    model = keras.saving.load_model(run / "best.keras", compile=False).copy()  # as `Parameters` has them, in float32
    with atomic_path(weights / f"{name}.keras") as temporary:
        model.save(temporary)
    record["sha256"] = sha256_of(weights / f"{name}.keras")
    with atomic_path(weights / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    with atomic_path(results.RESULTS / "training" / f"conv_tasnet-{name}.csv") as temporary:
        shutil.copyfile(run / "log.csv", temporary)
    return [
        weights / f"{name}.keras",
        weights / f"{name}.json",
        results.RESULTS / "training" / f"conv_tasnet-{name}.csv",
    ]


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
