"""Resumable training. A run folder holds settings, checkpoints, the log and the best weights."""

import csv
import json
import math
import shutil
import sys
import time
import zipfile

import h5py
import keras

from common.checks import expect
from common.files import atomic_path, sha256_of
from training.settings import completed

# Whether training steps are compiled by XLA. A few steps of a tiny network take less time than compiling.
JIT = keras.backend.backend() != "torch"
# Columns of the log that add up over epochs, resumed runs included. Other programs do not lengthen the second.
CLOCKS = {"seconds": time.monotonic, "processor_seconds": time.process_time}


class Clock(keras.callbacks.Callback):
    """Tells the dataset which epoch begins, ends the training after its last step or at a loss that is not finite, and
    logs steps, time and rate.

    "data_share" is the fraction of an epoch in which batches were made: an upper limit of how long training waits for
    data, since batches are made while the step before is computed.

    Parameters
    ----------
    dataset : crops.SeededCrops
    steps : int
        gradient steps in all.
    rows : list of dict
        of the log so far (`read_log`). A column that an older log lacks is not added to it.
    monitor : str
        column of the log that must be finite after every epoch.

    Raises
    ------
    ValueError
        at the first step, or after the first epoch, whose loss is not finite.
    """

    def __init__(self, dataset, steps, rows=(), monitor="loss"):
        super().__init__()
        self.dataset, self.steps, self.monitor = dataset, steps, monitor
        self.columns = set(rows[0]) if rows else None
        self.before = {name: float(rows[-1].get(name) or 0.0) if rows else 0.0 for name in CLOCKS}
        self.done = int(rows[-1].get("step") or len(rows) * len(dataset)) if rows else 0  # older epochs were all whole

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = self.epoch = epoch
        self.start = {name: clock() for name, clock in CLOCKS.items()}
        self.spent = self.dataset.spent

    def expect_finite(self, loss, name="loss"):
        """Raise a ValueError for a loss that is not: this epoch is neither logged nor kept."""
        expect(
            math.isfinite(loss),
            name,
            "a finite number",
            f"{loss} at step {self.done}, after {self.epoch} whole epochs, which are kept; choose a lower "
            "--learning-rate and another --run",
        )

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        self.expect_finite(logs["loss"])
        if self.done >= self.steps:  # also in the middle of an epoch
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.expect_finite(logs[self.monitor], self.monitor)
        took = {name: clock() - self.start[name] for name, clock in CLOCKS.items()}
        self.before = {name: self.before[name] + took[name] for name in CLOCKS}
        added = {
            **self.before,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "step": self.done,
            "data_share": (self.dataset.spent - self.spent) / took["seconds"],
        }
        logs |= {name: value for name, value in added.items() if self.columns is None or name in self.columns}


class BestEpoch(keras.callbacks.Callback):
    """Saves a model, or a part of it, after its best epoch, and ends the training if no better one comes.

    Parameters
    ----------
    path : Path
        .keras file.
    patience : int
        epochs without a lower value than before, after which training ends; those from before a resume count.
    rows : list of dict
        of the log so far (`read_log`).
    monitor : str
        column of the log; the lower, the better.
    best : float
        the lowest value of earlier runs.
    part : str
        attribute of the model that is saved; "" for the model itself.
    """

    def __init__(self, path, patience, rows=(), monitor="val_loss", best=math.inf, part=""):
        super().__init__()
        self.path, self.patience, self.monitor, self.best, self.part = path, patience, monitor, best, part
        self.values = [float(row[monitor]) for row in rows]

    @property
    def exhausted(self):
        """Whether so many epochs have passed since the best one."""
        return bool(self.values) and len(self.values) - 1 - self.values.index(min(self.values)) >= self.patience

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(logs[self.monitor])
        if logs[self.monitor] < self.best:
            self.best = logs[self.monitor]
            with atomic_path(self.path) as temporary:
                (getattr(self.model, self.part) if self.part else self.model).save(temporary)
        if self.exhausted:
            self.model.stop_training = True


def read_log(path):
    """Rows of `keras.callbacks.CSVLogger`'s file, as dicts of text; none if there is no file."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def train(build, config, training, crops, validation, run, *, start=None, monitor="val_loss", part="", **facts):
    """Train one network, resuming what its run folder holds.

    Parameters
    ----------
    build : callable
        () → the network, built and compiled; called with the random seed of the training.
    config : dataclass
        of the network.
    training : settings.Training
    crops : crops.SeededCrops
    validation : tuple
        inputs and targets.
    run : Path
        folder of checkpoints, log and best weights.
    start : Path, optional
        .keras file that the network is initialised from.
    monitor : str
        column of the log; the epoch with its lowest value is the best.
    part : str
        attribute of the model that is kept; "" for the model itself.
    **facts
        to keep in the run's settings, and in the record of its weights.

    Returns
    -------
    keras.Model
        with the best weights on the validation songs.

    Raises
    ------
    ValueError
        if the run has other settings, if its files are damaged and no other ones can take their place, or if a loss is
        not finite.
    """
    keep_settings(run, config, training, start, facts)
    keras.utils.set_random_seed(training.seed)
    best = fit(build(), crops, validation, training, run, monitor=monitor, part=part)
    return keras.saving.load_model(best, compile=False)


def compiled(model, optimizer, loss=None, by_xla=True):
    """The model, compiled for training."""
    model.compile(optimizer=optimizer, loss=loss, jit_compile=by_xla and JIT)
    return model


def fit(model, crops, validation, training, run, *, monitor="val_loss", part=""):
    """Fit a compiled model, resuming from the last checkpoint: the path of its best weights. As `train`."""
    best, log = run / "best.keras", run / "log.csv"
    repair_backup(run)
    rows = cut_log(run)
    if not rows:  # a checkpoint without a log is none of this run's epochs
        shutil.rmtree(run / "backup", ignore_errors=True)
    lowest = min((float(row[monitor]) for row in rows), default=math.inf)  # a resumed run must beat it
    if lowest < math.inf and not readable(best):
        print(f"{best}: {damage(best)}; the best of the epochs to come takes its place", file=sys.stderr)
        lowest = math.inf
    clock = Clock(crops, training.steps, rows, monitor)
    keep = BestEpoch(best, training.patience or math.inf, rows, monitor, lowest, part)
    if clock.done < training.steps and not keep.exhausted:
        model.fit(
            crops,
            validation_data=validation,
            validation_batch_size=training.batch_size,
            shuffle=False,  # batches are random already, and a resumed run must see them in the same order
            epochs=len(rows) + math.ceil((training.steps - clock.done) / training.steps_per_epoch),
            callbacks=[
                clock,
                keep,
                keras.callbacks.CSVLogger(log, append=log.exists()),
                # last: an epoch that it holds is in the log, too
                keras.callbacks.BackupAndRestore(run / "backup", double_checkpoint=True, delete_checkpoint=False),
            ],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    if not readable(best):
        raise ValueError(f"{best}: {damage(best)}, and no epoch is left; delete {run} to train again")
    return best


def keep_settings(run, config, training, start=None, facts=()):
    """Write what a run is made with into its folder, or check that it is the same as before.

    The number of steps may change, which bends the rest of the learning rate; everything else must be as it was.

    Parameters
    ----------
    run : Path
    config, training : dataclass
        of the network, and of its training.
    start : Path, optional
        .keras file that the network is initialised from.
    facts : dict
        what else to keep.

    Raises
    ------
    ValueError
        if the run has other settings, or if the file is damaged.
    """
    path, changes = run / "settings.json", []
    if path.exists():
        try:
            saved = json.loads(path.read_text())
            before, steps = completed(saved["training"], training), saved["training"]["steps"]
            same = completed(saved["sizes"], config) == config.to_dict()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: damaged; delete {run} or choose another --run") from error
        if not same or {**before, "steps": training.steps} != training.to_dict():
            raise ValueError(f"{run}: holds a run with other settings; delete it or choose another --run")
        changes = saved.get("changes", [])
        if steps != training.steps:
            changes = [*changes, {"epochs": len(read_log(run / "log.csv")), "steps": steps}]
    settings = {"sizes": config.to_dict(), "training": training.to_dict(), "changes": changes}
    if start is not None:
        settings["start_sha256"] = sha256_of(start)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**settings, **dict(facts)}, indent=1))


def cut_log(run):
    """Drop log rows newer than the last checkpoint, so that an interrupted epoch is repeated; returns the others."""
    log, backup = run / "log.csv", run / "backup" / "training_metadata.json"
    try:
        epochs = json.loads(backup.read_text())["epoch"]
    except (OSError, ValueError, KeyError):
        epochs = 0
    header, *lines = (log.read_text() if log.exists() else "").splitlines(keepends=True) or [""]
    lines = [line for line in lines if (epoch := line.split(",")[0]).isdigit() and int(epoch) < epochs]
    if not lines:
        log.unlink(missing_ok=True)
        return []
    with atomic_path(log) as temporary:
        temporary.write_text(header + "".join(lines))
    return read_log(log)


def repair_backup(run):
    """Put the checkpoint before the last one in its place, if a run was killed while it wrote the last.

    Raises
    ------
    ValueError
        if neither can be read.
    """
    latest, before = (
        [run / "backup" / f"{name}{end}" for name in ("latest.weights.h5", "training_metadata.json")]
        for end in ("", ".bkp")
    )
    if not latest[0].exists() or readable(latest[0]):
        return
    if not readable(before[0]):
        raise ValueError(f"{latest[0]}: damaged; delete {run} to train again")
    for source, target in zip(before, latest):
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def damage(path):
    """What is wrong with a file that is not `readable`."""
    return "damaged" if path.exists() else "missing"


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
