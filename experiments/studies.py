"""How much music, and how many parameters? python -m experiments.studies [--only NAME …] [--steps N] [--list]

Conv-TasNet and the parametric separator (whose masks are `ddsp_masked`) are trained with 1, 3, 10 and 30 minutes of the
training artist, with 3 minutes in three sizes, and, three times as long, with 3 minutes. Early stopping is the same for
both: eight epochs of 100 steps (250 in the long trainings) without a better validation pass, or the end of the learning
rate's schedule. With 3 minutes there are two seeds, which show the variation by chance. The refinement of the masks is
trained after them, on the same songs. The best weights on the validation songs are scored on `same_artist`, and on
`other_artist`, whose music neither was trained on; the masks have the window and exponent that were best on the
validation songs, as those that ship. Every training is one file in results/studies/. What is up to date is left as it
is, and an interrupted training resumes from its last epoch.

30 minutes need the set of that length: python -m virtual_band --sets one_artist_long
"""

import dataclasses
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.tracks import tracks
from common import command, results
from common.files import sha256_of
from common.places import HERE
from ddsp_models.separation import tune_masks
from ddsp_models.separation.separators import MaskedSeparator, RefinedSeparator
from ddsp_models.separation.train import RECIPES
from experiments.catalogue import TEST_SETS
from experiments.scores import score_track
from mss_nn_implementation.convtas import ConvTasNetSeparator
from mss_nn_implementation.train import RECIPES as CONV_TASNETS
from training.command import Recipe
from training.loop import read_log
from training.settings import completed

SCORED_ON = ("same_artist", "other_artist")
SONG_SECONDS = 20.0
SONGS = 40  # in the shorter of the two sets of the training artist
# Of all trainings, and of the long ones: three times as many steps, and two thousand of them without progress before
# one ends.
SHORT = {"steps": 2000, "steps_per_epoch": 100, "patience": 8, "start_from": ""}
LONG = {"steps": 6000, "steps_per_epoch": 250}
NATURAL = 10 / math.log(10)  # dB per unit of a loss that takes natural logarithms of energies


def tuned(model, training):
    """The masks of a parametric separator, with the window and exponent that are best on the validation songs."""
    trials = tune_masks.trials(model, tune_masks.validation_songs("one_artist", model.sizes))
    return MaskedSeparator(model, **tune_masks.best(trials))


@dataclass(frozen=True)
class Model:
    """A kind of network that is studied.

    Parameters
    ----------
    recipe : training.command.Recipe
        of the network that ships.
    separator : callable
        (trained network, settings of its training) → the separator that is scored.
    sizes : dict of str to dict
        size → what differs from the configuration that ships.
    monitor : str
        column of the log with the loss on the validation songs.
    decibels : float
        per unit of that column.
    start : str
        name of the model that it is initialised from; "" for random weights.
    """

    recipe: Recipe
    separator: Callable
    sizes: dict
    monitor: str = "val_loss"
    decibels: float = 1.0
    start: str = ""


MODELS = {
    "conv_tasnet": Model(
        CONV_TASNETS["trio"],
        lambda model, training: ConvTasNetSeparator(model, training.seconds),
        {"small": dict(N=128, B=48, H=96, Sc=48, X=6), "middle": {}, "large": dict(N=384, B=144, H=288, Sc=144)},
    ),
    "ddsp_masked": Model(
        RECIPES["one_artist"],
        tuned,
        {
            "small": dict(channels=48, hidden=40, filters=8),
            "middle": {},
            "large": dict(channels=160, hidden=160, filters=32),
        },
        "val_snr",
        NATURAL,
    ),
    "ddsp_masked@refined": Model(
        RECIPES["one_artist_refined"],
        lambda model, training: RefinedSeparator(model),
        {"middle": {}},
        decibels=NATURAL,
        start="ddsp_masked",
    ),
}


@dataclass(frozen=True)
class Study:
    """One training: which model, on how much music, how large, from which seed, and whether it is a long one."""

    model: str
    minutes: float = 3
    size: str = "middle"
    seed: int = 0
    long: bool = False

    @property
    def name(self):
        """Such as conv_tasnet-3min-middle-0: the name of its result file."""
        return f"{self.model}-{self.minutes:g}min-{self.size}-{self.seed}{'-long' if self.long else ''}"

    def settings(self, steps=None):
        """Configuration and training, in all of `steps` steps, by default of as many as the table has."""
        model = MODELS[self.model]
        changes = {"seed": self.seed, **SHORT, **(LONG if self.long else {})}
        if steps is not None:
            changes |= {"steps": steps, "steps_per_epoch": min(changes["steps_per_epoch"], steps)}
        recipe = model.recipe.with_training(**changes)
        return dataclasses.replace(recipe.config, **model.sizes[self.size]), recipe.training


BOTH, SEEDS = ("conv_tasnet", "ddsp_masked"), (0, 1)
# Every training, in the order in which they are done.
STUDIES = {
    study.name: study
    for study in (
        *(Study(model, seed=seed, long=long) for long in (False, True) for seed in SEEDS for model in BOTH),
        *(Study(model, minutes) for minutes in (1, 10, 30) for model in BOTH),
        *(Study(model, size=size, seed=seed) for size in ("small", "large") for seed in SEEDS for model in BOTH),
        Study("ddsp_masked@refined"),
    )
}


def training_set(study, places=HERE):
    """Folder of the songs that a study may use: the shorter set that has enough."""
    return places.band / ("one_artist" if study.minutes * 60 <= SONGS * SONG_SECONDS else "one_artist_long")


def files(study, places=HERE):
    """The sound files that are read: training, validation and test songs.

    Raises
    ------
    FileNotFoundError
        if there is not enough music.
    """
    count, folder = round(study.minutes * 60 / SONG_SECONDS), training_set(study, places)
    songs = tracks(folder, "train")[:count]
    if len(songs) < count:
        raise FileNotFoundError(f"{folder}: expected {count} songs for {study.minutes:g} minutes, got {len(songs)}")
    songs += tracks(places.band / "validation", "test")
    songs += [song for name in SCORED_ON for song in TEST_SETS[name].songs(places)]
    return [path for song in songs for path in song.files()]


def train(study, config, training, places=HERE):
    """Train what is missing of a study, in the folder of its run; returns the network with its best weights."""
    model, start = MODELS[study.model], None
    songs = model.recipe.trainer.load(config, training_set(study, places), "train")
    validation = model.recipe.trainer.load(config, places.band / "validation", "test")
    if model.start:
        earlier = dataclasses.replace(study, model=model.start)
        train(earlier, *earlier.settings(), places)
        start = run_folder(earlier, places) / "best.keras"
    training = dataclasses.replace(training, minutes=study.minutes)
    return model.recipe.trainer.train(training, config, songs, validation, run_folder(study, places), start)


def run_folder(study, places=HERE):
    """Where the run of a study keeps its checkpoints and its log."""
    return places.runs / "studies" / study.name


def scores(separator, study, places=HERE):
    """Records of a separator on the test sets, as those of `experiments`, with the study's facts."""
    records = []
    for test_set in SCORED_ON:
        facts = {
            "test_set": test_set,
            "system": f"{study.model}@{study.minutes:g}min",
            "size": study.size,
            "seed": study.seed,
        }
        for song in tqdm(TEST_SETS[test_set].songs(places), desc=study.name, unit="song", leave=False):
            stems = song.stems(separator.sample_rate, True, separator.sources)
            found, _ = score_track(stems, separator.separate(sum(stems.values())), separator.sample_rate)
            records += [{**facts, "track": song.name, **record} for record in found]
    return records


def run(study, *, steps=None, force=False, places=HERE):
    """Do one study, or resume it.

    Parameters
    ----------
    study : Study
    steps : int, optional
        fewer than its model has.
    force : bool
        from the beginning, even if it is up to date.
    places : common.places.Places

    Returns
    -------
    Path
        the file written; None if it is up to date.
    """
    config, training = study.settings(steps)
    tunes = study.model == "ddsp_masked"
    key = {
        **dataclasses.asdict(study),
        "sizes": config.to_dict(),
        "training": training.to_dict(),
        "test_sets": list(SCORED_ON),
        **({"windows": list(tune_masks.WINDOWS), "powers": list(tune_masks.POWERS)} if tunes else {}),
    }
    data, path = sha256_of(*files(study, places)), places.results / "studies" / f"{study.name}.json"
    if force:
        shutil.rmtree(run_folder(study, places), ignore_errors=True)
    elif is_up_to_date(path, key, data, config, training):
        return None
    network, start = train(study, config, training, places), MODELS[study.model].start
    separator = MODELS[study.model].separator(network, training)
    content = {
        "parameters": network.count_params(),
        **course(study, training, places),
        **({"begun_with": dataclasses.replace(study, model=start).name} if start else {}),
        "records": scores(separator, study, places),
        **({"masks": {"n_fft": separator.n_fft, "power": separator.power}} if tunes else {}),
    }
    results.write(path, results.head(f"study {study.name}", config=key, seed=study.seed, data=data) | content)
    return path


def is_up_to_date(path, key, data, config, training):
    """Whether a result file is intact and of these settings and songs; older files lack the fields that were added."""
    try:
        stored = results.read(path)["config"]
        added = {"sizes": completed(stored["sizes"], config), "training": completed(stored["training"], training)}
    except (results.ResultsError, KeyError):
        return False
    return results.is_up_to_date(path, key, data, instead=added)


def course(study, training, places=HERE):
    """How a training went: its steps, why it ended, every validation loss (in dB), and what it took."""
    model, log = MODELS[study.model], read_log(run_folder(study, places) / "log.csv")
    losses = [float(row[model.monitor]) * model.decibels for row in log]
    ends = [int(row["step"]) for row in log]
    return {
        "steps": ends[-1],
        "best_step": ends[int(np.argmin(losses))],
        "ended_by": "patience" if ends[-1] < training.steps else "schedule",
        "validation": losses,
        "training_seconds": float(log[-1]["seconds"]),
        "processor_seconds": float(log[-1]["processor_seconds"]),
    }


def main(arguments=None, places=HERE):
    options = command.options_of(
        "experiments.studies",
        __doc__,
        {
            "--only": dict(nargs="+", default=list(STUDIES), choices=STUDIES, metavar="NAME"),
            "--steps": dict(type=int, help="train shorter than the table has it"),
            "--force": dict(action="store_true", help="train again what is up to date"),
            "--list": dict(action="store_true", help="print the names and do nothing"),
        },
        arguments,
    )
    if options.list:
        print("\n".join(options.only))
        return 0

    def write():
        for name in options.only:
            if path := run(STUDIES[name], steps=options.steps, force=options.force, places=places):
                yield path
            keras.utils.clear_session()

    return results.report("experiments.studies", write)


if __name__ == "__main__":
    raise SystemExit(main())
