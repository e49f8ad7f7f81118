"""Training that may be stopped at any moment: settings, checkpoints, log and best weights in one folder, a run's."""

import csv
import dataclasses
import json
import math
import shutil
import sys
import time
import zipfile

import h5py
import keras
import numpy as np

from common import results
from common.files import atomic_path, sha256_of


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


class Patience(keras.callbacks.Callback):
    """Ends a training whose last `looks` at the validation songs found nothing better; resumed runs count on.

    Parameters
    ----------
    looks : int
    log : Path
        of the run so far: `keras.callbacks.CSVLogger`'s.
    monitor : str
        the less the better.
    """

    def __init__(self, looks, log, monitor="val_loss"):
        super().__init__()
        self.looks, self.monitor = looks, monitor
        self.seen = [float(row[monitor]) for row in read_log(log)]
        self.idle = bool(self.seen) and self._is_idle()  # it had ended already

    def _is_idle(self):
        return len(self.seen) - 1 - int(np.argmin(self.seen)) >= self.looks

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(logs[self.monitor])
        self.model.stop_training = self._is_idle()


def read_log(path):
    """Rows of `keras.callbacks.CSVLogger`'s file, as dicts of text; none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class KeepBest(keras.callbacks.Callback):
    """Saves a model, or a part of it, whenever a look at the validation songs found the lowest value so far.

    Parameters
    ----------
    path : Path
        .keras file.
    monitor : str
    best : float
        the lowest value of earlier runs.
    part : str
        attribute of the model that is saved; "" for the model itself.
    """

    def __init__(self, path, monitor="val_loss", best=math.inf, part=""):
        super().__init__()
        self.path, self.monitor, self.best, self.part = path, monitor, best, part

    def on_epoch_end(self, epoch, logs=None):
        if logs[self.monitor] < self.best:
            self.best = logs[self.monitor]
            with atomic_path(self.path) as temporary:
                (getattr(self.model, self.part) if self.part else self.model).save(temporary)


def fit(model, crops, validation, training, run, *, monitor="val_loss", clock=Clock, part=""):
    """Train a compiled model, going on where its run was stopped or killed.

    Parameters
    ----------
    model : keras.Model
        built and compiled.
    crops : keras.utils.PyDataset
        whose `epoch` may be set; the same epoch has the same batches.
    validation : tuple
        inputs and targets.
    training : dataclass
        with `batch_size`, `steps`, `steps_per_epoch` and `patience`.
    run : Path
        folder of checkpoints, log and best weights.
    monitor : str
        which column of the log says what is best: its lowest value.
    clock : type
        the `Clock` to use.
    part : str
        attribute of the model that is kept; "" for the model itself.

    Returns
    -------
    Path
        of the best weights of the run.

    Raises
    ------
    ValueError
        where files of the run are damaged, and no other one can take their place.
    """
    best, log = run / "best.keras", run / "log.csv"
    mend_backup(run)
    go_back(run)
    lowest = min(
        (float(row[monitor]) for row in read_log(log)), default=math.inf
    )  # a resumed run must beat what was best before
    if lowest < math.inf and not readable(best):
        print(f"{best}: damaged; the best of the epochs to come takes its place", file=sys.stderr)
        lowest = math.inf
    patience = [Patience(training.patience, log, monitor)] if training.patience else []
    if not (patience and patience[0].idle):
        model.fit(
            crops,
            validation_data=validation,
            validation_batch_size=training.batch_size,
            shuffle=False,  # batches are random already, and a resumed run must see them in the same order
            epochs=training.steps // training.steps_per_epoch,
            callbacks=[
                clock(crops, run / "seconds.txt"),
                KeepBest(best, monitor, lowest, part),
                *patience,
                keras.callbacks.CSVLogger(log, append=log.exists()),
                # last: an epoch that it holds is in the log, too
                keras.callbacks.BackupAndRestore(run / "backup", double_checkpoint=True, delete_checkpoint=False),
            ],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    if not readable(best):
        raise ValueError(f"{best}: damaged, and no epoch is left; delete {run} to train anew")
    return best


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
    """Cut a run's log to the epochs that its backup holds: one that was killed in between does the last one again."""
    log, backup = run / "log.csv", run / "backup" / "training_metadata.json"
    if not log.exists():
        return
    try:
        epochs = json.loads(backup.read_text())["epoch"]
    except (OSError, ValueError, KeyError):
        epochs = 0
    rows = [row for row in read_log(log) if row["epoch"].isdigit() and int(row["epoch"]) < epochs]
    clocks = [run / f"{name}.txt" for name in ("seconds", "processor_seconds")]
    if not rows:
        for path in (log, *clocks):
            path.unlink(missing_ok=True)
        return
    with atomic_path(log) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for path in clocks:
        if path.stem in rows[-1]:
            with atomic_path(path) as temporary:
                temporary.write_text(rows[-1][path.stem])


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


def ship(title, model, record, run, weights, curve):
    """Write trained weights, their record, and the curve of the run that they are from.

    Parameters
    ----------
    title : str
        of the files.
    model : keras.Model
        not compiled: no optimiser's state is written.
    record : dict
        to which the weights' "sha256" is added, and what `keep_settings` kept of the run.
    run, weights : Path
        folder of the run, and where the weights go.
    curve : str
        name of the curve in results/training, without its ending.

    Returns
    -------
    list of Path
        the files.
    """
    kept = json.loads((run / "settings.json").read_text())
    record = {**record, "seconds": float((run / "seconds.txt").read_text())}
    record |= {key: kept[key] for key in ("changes", "start_sha256", "left_out") if key in kept}
    weights.mkdir(parents=True, exist_ok=True)
    files = [weights / f"{title}.keras", weights / f"{title}.json", results.RESULTS / "training" / f"{curve}.csv"]
    with atomic_path(files[0]) as temporary:
        model.save(temporary)
    record["sha256"] = sha256_of(files[0])
    with atomic_path(files[1]) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    with atomic_path(files[2]) as temporary:
        shutil.copyfile(run / "log.csv", temporary)
    return files
