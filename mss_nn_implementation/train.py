"""Train a Conv-TasNet: python -m mss_nn_implementation.train [trio] [--steps N …]

Stopped at any moment, the same command goes on from the last epoch. The best weights on the validation songs go to
`training_final_full/`, the curve to `results/training/`.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from pathlib import Path

import keras

from audio_processing import results
from audio_processing.files import atomic_path, sha256_of
from audio_processing.tracks import tracks
from mss_nn_implementation.convtas import WEIGHTS, ConvTasNet
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_stems
from mss_nn_implementation.loss import NegativeSNR
from mss_nn_implementation.parameters import PRESETS, Training

BAND = results.ROOT / "data" / "virtual_band"
TRIO = Training(optimizer="muon", learning_rate=2e-3, steps=7000, steps_per_epoch=250)
MODELS = {
    # name: sizes, training, training songs, validation songs
    "trio": (PRESETS["laptop"], TRIO, (BAND / "one_artist", "train"), (BAND / "validation", "test")),
}


def make_optimizer(training):
    """The optimiser and its schedule that a `Training` asks for."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, training.steps - training.warmup, warmup_target=training.learning_rate, warmup_steps=training.warmup
    )
    if training.optimizer == "adam":
        return keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm)
    if training.optimizer == "muon":
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
    """Tells the dataset which epoch begins, and writes seconds of training into the log, resumed runs included."""

    def __init__(self, dataset, path):
        super().__init__()
        self.dataset, self.path = dataset, path

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        before = float(self.path.read_text()) if self.path.exists() and epoch else 0.0
        logs["seconds"] = before + time.monotonic() - self.begun
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
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
    saved = json.loads(path.read_text())
    wanted = json.loads(json.dumps([sizes.to_dict(), training.to_dict()]))
    if saved["sizes"] != wanted[0] or {**saved["training"], "steps": training.steps} != wanted[1]:
        raise SystemExit(f"train: {path.parent} holds a run with other settings; delete it or choose another --run")
    changes = saved.get("changes", [])
    if saved["training"]["steps"] != training.steps:
        log = path.parent / "log.csv"
        done = sum(1 for _ in open(log)) - 1 if log.exists() else 0
        changes = [*changes, {"epochs": done, "steps": saved["training"]["steps"]}]
    return changes


def train(name, training, sizes, train_songs, validation_songs, run):
    """Fit one network, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    name : str
    training : Training
    sizes : Parameters
    train_songs, validation_songs : (str or Path, str)
        root and subset of a dataset.
    run : Path
        folder of this run: checkpoints, log, best weights.

    Returns
    -------
    ConvTasNet
        with the best weights on the validation songs.
    """
    run.mkdir(parents=True, exist_ok=True)
    changes = check_settings(run / "settings.json", sizes, training)
    with atomic_path(run / "settings.json") as temporary:
        settings = {"sizes": sizes.to_dict(), "training": training.to_dict(), "changes": changes}
        temporary.write_text(json.dumps(settings, indent=1))

    keras.utils.set_random_seed(training.seed)
    samples = round(training.seconds * sizes.sample_rate)
    crops = RandomCrops(load_stems(*train_songs, sizes.sources, sizes.sample_rate), samples, training)
    validation = fixed_crops(load_stems(*validation_songs, sizes.sources, sizes.sample_rate), samples)
    model = ConvTasNet(sizes)
    model.compile(
        optimizer=make_optimizer(training),
        loss=NegativeSNR(),
        jit_compile=keras.backend.backend() != "torch",
    )
    model.build((None, samples))
    best = run / "best.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True)
    log = run / "log.csv"
    if log.exists() and best.exists():  # a resumed run must beat what was best before
        import csv

        with open(log) as file:
            checkpoint.best = min((float(row["val_loss"]) for row in csv.DictReader(file)), default=float("inf"))
    model.fit(
        crops,
        validation_data=validation,
        validation_batch_size=training.batch_size,
        epochs=training.steps // training.steps_per_epoch,
        callbacks=[
            keras.callbacks.BackupAndRestore(run / "backup", delete_checkpoint=False),
            Clock(crops, run / "seconds.txt"),
            checkpoint,
            keras.callbacks.CSVLogger(log, append=log.exists()),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    return keras.saving.load_model(best, compile=False)


def checksum(*songs):
    """SHA-256 over the sound files of several (root, subset)."""
    return sha256_of(*[path for root, subset in songs for song in tracks(root, subset) for path in song.files()])


def is_current(name, training, sizes, train_songs, validation_songs, weights=WEIGHTS):
    """Whether the shipped weights are intact and were trained with these settings on these songs."""
    try:
        record = json.loads((weights / f"{name}.json").read_text())
        intact = sha256_of(weights / f"{name}.keras") == record["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = json.loads(json.dumps([training.to_dict(), sizes.to_dict()]))
    same = [record.get("training"), record.get("parameters")] == wanted
    return intact and same and record.get("data") == checksum(train_songs, validation_songs)


def publish(name, training, sizes, train_songs, validation_songs, run, weights=WEIGHTS):
    """Copy the best weights of a finished run beside their record, and its curve into the results."""
    data = checksum(train_songs, validation_songs)
    record = results.head(f"train {name}", config=training.to_dict(), seed=training.seed, data=data)
    record |= {
        "parameters": sizes.to_dict(),
        "training": training.to_dict(),
        "weights": ConvTasNet.count(sizes),
        "changes": json.loads((run / "settings.json").read_text())["changes"],
        "seconds": float((run / "seconds.txt").read_text()),
    }
    with atomic_path(weights / f"{name}.keras") as temporary:  # without the optimiser's state, twice the weights
        keras.saving.load_model(run / "best.keras", compile=False).save(temporary)
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


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m mss_nn_implementation.train", description=__doc__)
    parser.add_argument("name", nargs="?", default="trio", choices=MODELS, help="which model (default: trio)")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/conv_tasnet-NAME)")
    parser.add_argument("--data", type=Path, help="folder of the virtual band's sets (default: data/virtual_band)")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--dry", action="store_true", help="train, but leave the shipped weights and results alone")
    for field in dataclasses.fields(Training):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, help=f"(default: {field.default})")
    options = parser.parse_args(arguments)
    sizes, training, train_songs, validation_songs = MODELS[options.name]
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(Training)}
    training = dataclasses.replace(training, **{key: value for key, value in given.items() if value is not None})
    if options.data:
        train_songs, validation_songs = (
            (options.data / root.name, subset) for root, subset in MODELS[options.name][2:]
        )
    run = options.run or results.ROOT / "runs" / f"conv_tasnet-{options.name}"
    job = (options.name, training, sizes, train_songs, validation_songs, run)
    try:
        if not (options.dry or options.force) and is_current(
            options.name, training, sizes, train_songs, validation_songs
        ):
            print(f"{options.name}: current")
            return 0
        train(*job)
    except FileNotFoundError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    written = [run / "best.keras"] if options.dry else publish(*job)
    print("wrote", ", ".join(os.path.relpath(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
