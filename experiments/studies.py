"""How much music, and how many parameters? python -m experiments.studies [--only NAME …] [--steps N] [--list]

Conv-TasNet and the parametric separator (whose masks are `ddsp_masked`) are trained with 1, 3, 10 and 30 minutes of the
training artist, with 3 minutes in three sizes, and, three times as long, with 3 minutes. Both are trained by the same
rule: until eight looks at the validation songs in a row, one every 100 steps (250 of the long trainings), have found
nothing better, or the learning rate has reached its end. With 3 minutes there are two seeds, which show what luck is
worth. What corrects the masks (`refined`) is trained after them, on the same songs, by the same rule. The
weights that were best on the validation songs are scored on `same_artist`, and on `other_artist`, whose music neither
has heard; the masks have the window and exponent that were best on the validation songs, as those that ship. Every
training is one file in results/studies/. What is current is left as it is, and what was stopped goes on from its last
look.

30 minutes want the set of that length: python -m virtual_band --sets one_artist_long
"""

import argparse
import dataclasses
import json
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.tracks import tracks
from common import results
from common.files import atomic_path, sha256_of
from ddsp_models.separation import train, train_refinement, tune_masks
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.mask_refinement import RefinedSizes
from ddsp_models.separation.separators import MaskedSeparator, RefinedSeparator
from ddsp_models.separation.song_crops import load_songs
from experiments.scores import score_track
from mss_nn_implementation import train as train_conv_tasnet
from mss_nn_implementation.convtas import ConvTasNetSeparator
from mss_nn_implementation.parameters import PRESETS
from mss_nn_implementation.parameters import Training as ConvTasNetTraining
from training.loop import completed

BAND = results.ROOT / "data" / "virtual_band"
RUNS = results.ROOT / "runs" / "studies"
FOLDER = results.RESULTS / "studies"
TEST_SETS = ("same_artist", "other_artist")
SONG_SECONDS = 20.0
PATIENCE = 8
"""Looks at the validation songs that may find nothing better before a training ends."""
LOOK = {"steps_per_epoch": 100}
LAPTOP = PRESETS["laptop"]
SIZES = {
    "conv_tasnet": {
        "small": dataclasses.replace(LAPTOP, N=128, B=48, H=96, Sc=48, X=6),
        "middle": LAPTOP,
        "large": dataclasses.replace(LAPTOP, N=384, B=144, H=288, Sc=144),
    },
    "ddsp_masked": {
        "small": Sizes(channels=48, hidden=40, filters=8),
        "middle": Sizes(),
        "large": Sizes(channels=160, hidden=160, filters=32),
    },
    "ddsp_masked@refined": {"middle": RefinedSizes()},
}
BOTH = ("conv_tasnet", "ddsp_masked")
TRAINING = {
    "conv_tasnet": ConvTasNetTraining(optimizer="muon", learning_rate=2e-3, steps=2000, patience=PATIENCE, **LOOK),
    "ddsp_masked": train.Training(steps=2000, patience=PATIENCE, **LOOK),
    "ddsp_masked@refined": train.Training(steps=2000, learning_rate=3e-3, taught_until=0.0, patience=PATIENCE, **LOOK),
}
"""As the shipped networks were trained, but with more looks."""
LONG = {"steps": 6000, "steps_per_epoch": 250}
"""Of the long trainings: three times as many steps, and two thousand of them without progress before one ends."""


@dataclass(frozen=True)
class Study:
    """One training: which model, on how much music, how large, from which seed, and whether it is a long one."""

    model: str
    minutes: int = 3
    size: str = "middle"
    seed: int = 0
    long: bool = False

    @property
    def name(self):
        """Such as conv_tasnet-3min-middle-0: the name of its result file."""
        return f"{self.model}-{self.minutes}min-{self.size}-{self.seed}{'-long' if self.long else ''}"


SEEDS = (0, 1)
THREE_MINUTES = [Study(model, seed=seed, long=long) for long in (False, True) for seed in SEEDS for model in BOTH]
DATA_STUDY = [Study(model, minutes) for minutes in (1, 10, 30) for model in BOTH]
SIZE_STUDY = [Study(model, size=size, seed=seed) for size in ("small", "large") for seed in SEEDS for model in BOTH]
REFINED = [Study("ddsp_masked@refined")]
STUDIES = {study.name: study for study in [*THREE_MINUTES, *DATA_STUDY, *SIZE_STUDY, *REFINED]}
"""Every training, in the order in which they are done."""


def training_set(study):
    """Root of the songs that a study may use: the shorter set that has enough."""
    return BAND / ("one_artist" if study.minutes * 60 <= 40 * SONG_SECONDS else "one_artist_long")


def training_songs(study):
    """The songs that a study is trained on: the first ones of its set, by name."""
    count = round(study.minutes * 60 / SONG_SECONDS)
    songs = tracks(training_set(study), "train")
    if len(songs) < count:
        raise FileNotFoundError(
            f"{training_set(study)}: {len(songs)} songs found, {count} expected for {study.minutes} minutes"
        )
    return songs[:count]


def linked_set(study):
    """A tree of links to the songs of `training_songs`, for programs that use all they find."""
    songs = training_songs(study)
    root = RUNS / "songs" / f"{training_set(study).name}-{len(songs)}"
    for song in songs:
        link = root / "train" / song.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(song.path.resolve(), target_is_directory=True)
    return root


def settings(study, steps=None):
    """Sizes and training of a study."""
    training = dataclasses.replace(TRAINING[study.model], seed=study.seed, **(LONG if study.long else {}))
    if steps is not None:
        look = min(training.steps_per_epoch, steps)
        training = dataclasses.replace(training, steps=steps, steps_per_epoch=look)
    return SIZES[study.model][study.size], training


def begun_with(study):
    """The study whose separator gets its masks corrected by this one."""
    return dataclasses.replace(study, model="ddsp_masked")


def fit(study, sizes, training, run):
    """Train what is missing of a study, in its run's folder; returns a separator with its best weights."""
    validation = (BAND / "validation", "test")
    if study.model == "conv_tasnet":
        songs = (linked_set(study), "train")
        model = train_conv_tasnet.train(study.name, training, sizes, songs, validation, run)
        return ConvTasNetSeparator.of(model, training.seconds)
    songs = [load_songs(root, part, sizes.sources, sizes.pitched) for root, part in
             ((linked_set(study), "train"), validation)]  # fmt: skip
    if study.model == "ddsp_masked@refined":
        start = begun_with(study)
        sizes_before, training_before = settings(start)
        train.train(training_before, sizes_before, *songs, RUNS / start.name)  # what of it is not done yet
        model = train_refinement.train(training, sizes, *songs, run, RUNS / start.name / "best.keras")
        return RefinedSeparator.of(model)
    model = train.train(training, sizes, *songs, run)
    chosen = tune_masks.best(tune_masks.trials(model, tune_masks.validation_songs("one_artist", sizes, BAND)))
    return MaskedSeparator.of(model, **chosen)


def scores(separator, study):
    """Records of a separator on the test sets, as those of `experiments`, with the study's facts."""
    records = []
    for test_set in TEST_SETS:
        about = {"test_set": test_set, "system": f"{study.model}@{study.minutes}min"}
        about |= {"size": study.size, "seed": study.seed}
        for song in tqdm(tracks(BAND / test_set, "test"), desc=study.name, unit="song", leave=False):
            stems = song.stems(separator.sample_rate, True, separator.sources)
            found, _ = score_track(stems, separator.separate(sum(stems.values())), separator.sample_rate)
            records += [{**about, "track": song.name, **record} for record in found]
    return records


def checksum(study):
    """SHA-256 of all that is read: training, validation and test songs."""
    songs = [*training_songs(study), *tracks(BAND / "validation", "test")]
    songs += [song for test_set in TEST_SETS for song in tracks(BAND / test_set, "test")]
    return sha256_of(*[path for song in songs for path in song.files()])


def run(name, *, steps=None, force=False):
    """Do one study, or go on with it.

    Parameters
    ----------
    name : str
        of `STUDIES`.
    steps : int, optional
        fewer than the table has.
    force : bool
        from the beginning, also where it is current.

    Returns
    -------
    Path
        the file written; None where it is current.
    """
    study = STUDIES[name]
    sizes, training = settings(study, steps)
    config = {**dataclasses.asdict(study), "sizes": sizes.to_dict(), "training": training.to_dict()}
    config["test_sets"] = TEST_SETS
    if study.model == "ddsp_masked":
        config |= {"windows": tune_masks.WINDOWS, "powers": tune_masks.POWERS}
    config = json.loads(json.dumps(config))
    data, path, folder = checksum(study), FOLDER / f"{name}.json", RUNS / name
    if force:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        try:
            content = results.read(path)
            was = content["config"]
            was |= {"sizes": completed(was["sizes"], sizes), "training": completed(was["training"], training)}
            if was == config and content["data"] == data:
                return None
        except (results.ResultsError, KeyError):
            pass
    folder.mkdir(parents=True, exist_ok=True)
    log, spent = folder / "log.csv", folder / "processor_seconds.txt"
    before = log.read_bytes() if log.exists() and spent.exists() else None
    begun = time.process_time()
    separator = fit(study, sizes, training, folder)
    if log.read_bytes() != before:  # otherwise it was trained already, and is only to be scored again
        processor = time.process_time() - begun + (float(spent.read_text()) if spent.exists() else 0.0)
        with atomic_path(spent) as temporary:
            temporary.write_text(str(processor))
    looks = losses(log, "val_snr" if study.model == "ddsp_masked" else "val_loss")
    if study.model != "conv_tasnet":
        looks = [look * 10 / math.log(10) for look in looks]  # its loss takes natural logarithms of energies
    content = results.head(f"study {name}", config=config, seed=study.seed, data=data)
    content |= {
        "parameters": getattr(separator, "refined", separator.model).count_params(),
        "steps": len(looks) * training.steps_per_epoch,
        "best_step": (int(np.argmin(looks)) + 1) * training.steps_per_epoch,
        "ended_by": "patience" if len(looks) * training.steps_per_epoch < training.steps else "schedule",
        "validation": looks,
        "training_seconds": float((folder / "seconds.txt").read_text()),
        "processor_seconds": float(spent.read_text()),
        **({"begun_with": begun_with(study).name} if study.model == "ddsp_masked@refined" else {}),
        "records": scores(separator, study),
    }
    if study.model == "ddsp_masked":
        content["masks"] = {"n_fft": separator.n_fft, "power": separator.power}
    results.write(path, content)
    return path


def losses(log, name):
    """A column of a training's log: what each look at the validation songs found."""
    with open(log) as file:
        header, *rows = (line.strip().split(",") for line in file)
    return [float(row[header.index(name)]) for row in rows]


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m experiments.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", default=list(STUDIES), choices=STUDIES, metavar="NAME")
    parser.add_argument("--steps", type=int, help="train shorter than the table has it")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--list", action="store_true", help="print the names and do nothing")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(options.only))
        return 0
    written = []
    try:
        if options.steps is not None and options.steps < 1:
            raise ValueError(f"--steps: at least 1 expected, got {options.steps}")
        for name in options.only:
            if path := run(name, steps=options.steps, force=options.force):
                written.append(path)
                print("wrote", os.path.relpath(path), flush=True)
            keras.utils.clear_session()
    except (OSError, ValueError) as error:
        print(f"experiments.studies: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    if not written:
        print("all current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
