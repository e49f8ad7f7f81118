"""Train a parametric separator: python -m ddsp_models.train_separator NAME [--steps N …]

NAME is one_artist (the virtual band's training artist) or many_artists. Stopped at any moment, the same command goes on
from the last epoch. The best weights on the validation songs go to `ddsp_models/trained/`, the curve to
`results/training/`.
"""

import argparse
import csv
import dataclasses
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from audio_processing import results
from audio_processing.files import atomic_path, sha256_of
from audio_processing.tracks import tracks
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.parametric import ParametricSeparator, Sizes
from ddsp_models.song_crops import SongCrops, examples, load_songs, resampled
from mss_nn_implementation.train import Clock, check_settings

BAND = results.ROOT / "data" / "virtual_band"


@dataclass(frozen=True)
class Training:
    """How a separator was trained; saved beside its weights.

    Parameters
    ----------
    seconds : float
        length of a training crop.
    batch_size : int
        crops in a step.
    steps, steps_per_epoch : int
        gradient steps in all, and between two looks at the validation songs (and two checkpoints).
    learning_rate : float
        of Adam: after a linear warm-up it stays for 40 % of the steps, then a cosine leads away from it.
    warmup : int
        steps of the warm-up.
    clip_norm : float
        longest gradient, over all weights together.
    remix : float
        share of crops whose stems come from different songs and moments.
    gain_db : float
        each stem is made up to this many dB louder or softer.
    taught_until : float
        share of the steps in which the true pitch is given.
    own_pitch : float
        share of the crops that get the network's own pitch afterwards.
    speeds : tuple of float
        the songs are also used at these speeds, as a tape would play them.
    minutes : float
        of music that are used; 0 for all.
    seed : int
        of weights, crops and their order.
    """

    seconds: float = 2.0
    batch_size: int = 4
    steps: int = 4000
    steps_per_epoch: int = 250
    learning_rate: float = 2e-3
    warmup: int = 50
    clip_norm: float = 5.0
    remix: float = 0.7
    gain_db: float = 5.0
    taught_until: float = 0.25
    own_pitch: float = 0.6
    speeds: tuple = ()
    minutes: float = 0.0
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "speeds", tuple(self.speeds))  # a list once it has been through JSON

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)


MODELS = {
    # name: sizes, training, training songs, validation songs
    "one_artist": (Sizes(), Training(), ("one_artist", "train"), ("validation", "test")),
}


@keras.saving.register_keras_serializable("mss")
class HoldThenCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then the full rate until `hold` of all steps are done, then half a cosine down to 0.

    Parameters
    ----------
    rate : float
    warmup, steps : int
    hold : float
    """

    def __init__(self, rate, warmup, steps, hold=0.4):
        self.rate, self.warmup, self.steps, self.hold = rate, warmup, steps, hold

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        done = keras.ops.clip((step / self.steps - self.hold) / (1.0 - self.hold), 0.0, 1.0)
        rising = keras.ops.minimum(1.0, (step + 1.0) / max(1, self.warmup))
        return self.rate * rising * 0.5 * (1.0 + keras.ops.cos(np.pi * done))

    def get_config(self):
        return {"rate": self.rate, "warmup": self.warmup, "steps": self.steps, "hold": self.hold}


def training_songs(songs, training):
    """The songs that a training uses: its first minutes, at all its speeds."""
    if training.minutes:
        kept, left = [], training.minutes * 60
        for song in songs:
            if left > 0:
                kept.append(song)
            left -= song.stems.shape[1] / 16000
        songs = kept
    return songs + [resampled(song, speed) for speed in training.speeds for song in songs]


def validation_examples(songs, samples, hop):
    """Consecutive crops of the songs as they are; the network finds their pitch itself."""
    crops = [
        [(song, start, 0.0, 1) for _ in song.sources]
        for song in songs
        for start in range(0, song.stems.shape[1] - samples + 1, samples)
    ]
    return examples(crops, samples, hop, taught=np.zeros((len(crops), 1), bool))


def train(training, sizes, train_songs, validation_songs, run):
    """Fit one separator, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : Training
    sizes : Sizes
    train_songs, validation_songs : list of song_crops.Song
    run : Path
        folder of this run: checkpoints, log, best weights.
    """
    run.mkdir(parents=True, exist_ok=True)
    changes = check_settings(run / "settings.json", sizes, training)
    with atomic_path(run / "settings.json") as temporary:
        settings = {"sizes": sizes.to_dict(), "training": training.to_dict(), "changes": changes}
        temporary.write_text(json.dumps(settings, indent=1))
    keras.utils.set_random_seed(training.seed)
    crops = SongCrops(training_songs(train_songs, training), training, sizes.hop)
    validation = validation_examples(validation_songs, crops.samples, sizes.hop)
    model = ParametricSeparator(sizes)
    model.build(None)
    schedule = HoldThenCosine(training.learning_rate, training.warmup, training.steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm),
        jit_compile=keras.backend.backend() != "torch",
    )
    best = run / "best.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(best, monitor="val_snr", mode="min", save_best_only=True)
    log = run / "log.csv"
    if log.exists() and best.exists():  # a resumed run must beat what was best before
        with open(log) as file:
            checkpoint.best = min((float(row["val_snr"]) for row in csv.DictReader(file)), default=float("inf"))
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


def checksum(songs, folder=BAND):
    """SHA-256 over the sound files of several (set, subset)."""
    return sha256_of(*[p for name, subset in songs for song in tracks(folder / name, subset) for p in song.files()])


def is_current(name, training, sizes, data, weights=WEIGHTS):
    """Whether the shipped weights are intact and were trained with these settings on data of this checksum."""
    try:
        record = json.loads((weights / f"separator-{name}.json").read_text())
        intact = sha256_of(weights / f"separator-{name}.keras") == record["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = json.loads(json.dumps([training.to_dict(), sizes.to_dict()]))
    return intact and [record.get("training"), record.get("sizes")] == wanted and record.get("data") == data


def publish(name, training, sizes, data, run, weights=WEIGHTS):
    """Copy the best weights of a finished run beside their record, and its curve into the results."""
    title = f"separator-{name}"
    model = keras.saving.load_model(run / "best.keras", compile=False)
    record = results.head(f"train {title}", config=training.to_dict(), seed=training.seed, data=data)
    record |= {
        "sizes": sizes.to_dict(),
        "training": training.to_dict(),
        "weights": model.count_params(),
        "changes": json.loads((run / "settings.json").read_text())["changes"],
        "seconds": float((run / "seconds.txt").read_text()),
    }
    weights.mkdir(exist_ok=True)
    with atomic_path(weights / f"{title}.keras") as temporary:  # without the optimiser's state
        model.save(temporary)
    record["sha256"] = sha256_of(weights / f"{title}.keras")
    with atomic_path(weights / f"{title}.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    curve = results.RESULTS / "training" / f"ddsp-{title}.csv"
    with atomic_path(curve) as temporary:
        shutil.copyfile(run / "log.csv", temporary)
    return [weights / f"{title}.keras", weights / f"{title}.json", curve]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.train_separator", description=__doc__)
    parser.add_argument("name", nargs="?", default="one_artist", choices=MODELS, help="(default: one_artist)")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/separator-NAME)")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--dry", action="store_true", help="train, but leave the shipped weights and results alone")
    for field in dataclasses.fields(Training):
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "speeds":
            parser.add_argument(option, type=float, nargs="*", help="(default: none)")
        else:
            parser.add_argument(option, type=type(field.default), help=f"(default: {field.default})")
    options = parser.parse_args(arguments)
    sizes, training, train_songs, validation_songs = MODELS[options.name]
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(Training)}
    training = dataclasses.replace(training, **{key: value for key, value in given.items() if value is not None})
    run = options.run or results.ROOT / "runs" / f"separator-{options.name}"
    try:
        data = checksum((train_songs, validation_songs), options.data)
        if not (options.dry or options.force) and is_current(options.name, training, sizes, data):
            print(f"{options.name}: current")
            return 0
        loaded = [
            load_songs(options.data / name, subset, sizes.sources, sizes.pitched)
            for name, subset in (train_songs, validation_songs)
        ]
        train(training, sizes, *loaded, run)
    except (FileNotFoundError, ValueError) as error:
        print(f"train_separator: {error}", file=sys.stderr)
        return 2
    written = [run / "best.keras"] if options.dry else publish(options.name, training, sizes, data, run)
    print("wrote", ", ".join(os.path.relpath(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
