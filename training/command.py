"""One command for every training: NAME --run DIR --export --force --data DIR --song DIR, and a flag for each setting.

A chapter lists its trainings as rows of `Recipe`; how networks of one kind are trained is a `Trainer`.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

from audio_processing.recorded_song import song_path
from audio_processing.tracks import tracks
from common import results
from common.checks import expect
from common.files import sha256_of
from common.places import HERE
from common.terminal import ended
from training.settings import Training, completed
from training.weights import export, files_of, find_weights

# Names in recipes of a copy of MUSDB18 and of the recorded song; any other one is a set of the virtual band.
MUSDB, AIR_TRAFFIC = "musdb", "air_traffic"


def sound_files(root, subset, *_):
    """The sound files of a set's songs."""
    return [path for song in tracks(root, subset) for path in song.files()]


@dataclass(frozen=True)
class Trainer:
    """How the networks of one kind are trained.

    Parameters
    ----------
    train : callable
        (training, config, songs, validation songs, run, start, **options) → the network with its best weights.
    load : callable
        (config, root, subset, …) → songs as `train` takes them.
    folder : Path
        where weights are exported to.
    title, curve : str
        names of the exported weights and of their curve, with {} for the name of the recipe.
    key : str
        of the configuration in the record; one of `weights.CONFIGURATIONS`.
    files : callable
        (root, subset, …) → the sound files that are read; a checksum over them tells whether data changed.
    also : callable
        (training, config, start) → files that a training learns from beside the sounds, such as decoders.
    flags : dict of str to dict
        options of `train`, with the arguments of `argparse`.
    """

    train: Callable
    load: Callable
    folder: Path
    title: str
    curve: str
    key: str
    files: Callable = sound_files
    also: Callable = lambda training, config, start: []
    flags: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One training.

    Parameters
    ----------
    name : str
    trainer : Trainer
    config : dataclass
        of the network.
    training : settings.Training
    songs, validation : tuple of str
        which songs: a set of the virtual band or MUSDB or AIR_TRAFFIC, its subset, and what `Trainer.load` takes; a
        setting `validation` of the training comes last.
    """

    name: str
    trainer: Trainer
    config: object
    training: Training
    songs: tuple
    validation: tuple

    @property
    def path(self):
        """Exported weights and record, without their endings."""
        return self.trainer.folder / self.trainer.title.format(self.name)

    @property
    def curve(self):
        """Name of the curve, and of the folder of the run."""
        return self.trainer.curve.format(self.name)

    def with_training(self, **changes):
        """The same with some settings changed."""
        return replace(self, training=replace(self.training, **changes))

    @property
    def sets(self):
        """Songs and validation songs, as `folder_of` takes them."""
        chosen = getattr(self.training, "validation", "")
        return [(*songs, chosen) if chosen else songs for songs in (self.songs, self.validation)]

    def start(self, places=HERE, advice="choose"):
        """The .keras file that the network is initialised from; None for random weights. `advice` as `find_weights`."""
        name, trainer = self.training.start_from, self.trainer
        if not name:
            return None
        exported = files_of(trainer.folder / trainer.title.format(name))[0]
        return find_weights(name, exported, places.runs / trainer.curve.format(name) / "best.keras", advice=advice)

    def checksum(self, where, start=None):
        """SHA-256 over the sounds and other files that the network learns from; `where` as `folder_of`."""
        sounds = (path for songs in self.sets for path in self.trainer.files(*where(songs)))
        return sha256_of(*self.trainer.also(self.training, self.config, start), *sounds)

    def is_up_to_date(self, data):
        """Whether the exported weights are intact and were trained with these settings, from the exported weights that
        these settings name, on data of this checksum."""
        weights, record_file = files_of(self.path)
        try:
            record = json.loads(record_file.read_text())
            intact = sha256_of(weights) == record["sha256"]
            kept = {"training": self.training, self.trainer.key: self.config}
            same = all(completed(record[key], now) == now.to_dict() for key, now in kept.items())
        except (OSError, ValueError, KeyError, AttributeError):
            return False
        before = files_of(self.trainer.folder / self.trainer.title.format(self.training.start_from))[0]
        if "start_sha256" in record and before.exists():
            same &= record["start_sha256"] == sha256_of(before)
        return intact and same and record.get("data") == data

    def export(self, model, run, data, places=HERE):
        """Write the best weights of a finished run, their record, and the curve; returns the files."""
        settings = self.training.to_dict()
        head = results.head(f"train {self.path.name}", config=settings, seed=self.training.seed, data=data)
        record = head | {self.trainer.key: self.config.to_dict(), "training": settings}  # head: cores and device, too
        return export(model, record, run, self.path, places.results / "training" / f"{self.curve}.csv")


def folder_of(songs, data=None, song=None, places=HERE):
    """The songs of a recipe with the folder they are in, in place of its name.

    Parameters
    ----------
    songs : tuple of str
        see `Recipe`.
    data, song : Path, optional
        folders of all sets of the virtual band, or of MUSDB18, and of the recorded song's stems; those of `places` by
        default.
    places : common.places.Places

    Raises
    ------
    FileNotFoundError
        if recorded music is not on this machine.
    """
    name, *rest = songs
    if name == AIR_TRAFFIC:
        return (song_path(song or places.air_traffic), *rest)
    if name == MUSDB and not (data or places.musdb):
        raise FileNotFoundError(
            "MUSDB_PATH: expected the folder of MUSDB18's train and test, got nothing; give --data or run `make musdb`"
        )
    return (data or places.musdb if name == MUSDB else (data or places.band) / name, *rest)


def parser_of(module, description, recipes):
    """The command line of a table of recipes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = {"default": next(iter(recipes)), "choices": recipes, "metavar": "NAME"}
    parser.add_argument("name", nargs="?", **names, help=f"{', '.join(recipes)} (default: %(default)s)")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/ and the name of the curve)")
    parser.add_argument("--data", type=Path, help="folder of the virtual band's sets, or of MUSDB18")
    parser.add_argument("--song", type=Path, help="folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)")
    parser.add_argument("--export", action="store_true", help="replace the weights, record and curve of the repository")
    parser.add_argument("--force", action="store_true", help="export again what is up to date")
    flags = {}
    for recipe in recipes.values():
        flags |= recipe.trainer.flags
        for each in fields(recipe.training):
            kind = {"type": float, "nargs": "*"} if isinstance(each.default, tuple) else {"type": type(each.default)}
            flags[each.name] = {**kind, "help": "a setting of the training (default: that of the recipe)"}
    for name, kind in flags.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **kind)
    return parser


def with_settings(recipe, options):
    """The recipe with the settings that the command line gives.

    Raises
    ------
    ValueError
        if a setting is none of this recipe's, if its value makes no sense, or if the warm-up takes all steps.
    """
    flags, known = recipe.trainer.flags, {each.name for each in fields(recipe.training)}
    given = {name: value for name, value in options.items() if value is not None and name not in flags}
    if unknown := given.keys() - known:
        raise ValueError(f"--{unknown.pop().replace('_', '-')}: no setting of {recipe.name}")
    recipe = recipe.with_training(**given)
    steps, warmup = recipe.training.steps, recipe.training.warmup
    expect(steps > warmup, "--steps", f"more than the warm-up of {warmup}", f"{steps}; choose also --warmup")
    return recipe


def command(module, description, recipes, arguments=None, places=HERE):
    """Train one of several networks, resuming its run. With --export its best weights replace those of the repository,
    and nothing is trained if these are up to date.

    Parameters
    ----------
    module : str
        that is run as a command.
    description : str
        what `--help` says.
    recipes : dict of str to Recipe
        the first one is the default.
    arguments : list of str, optional
    places : common.places.Places

    Returns
    -------
    int
        exit status, as `terminal.ended` gives it: 2 if an argument is no good, or if songs are missing.
    """
    options = vars(parser_of(module, description, recipes).parse_args(arguments))
    train = partial(_train, module, recipes, options, places)
    return ended(module.rpartition(".")[2], train, "interrupted; the same command resumes from the last checkpoint")


def _train(module, recipes, options, places):
    name, run, data, song, force, ships = map(options.pop, ("name", "run", "data", "song", "force", "export"))
    recipe = recipes[name]
    run, where = run or places.runs / recipe.curve, partial(folder_of, data=data, song=song, places=places)
    recipe = with_settings(recipe, options)
    before = recipe.training.start_from
    start = recipe.start(places, f"run `python -m {module} {before}`, or choose" if before in recipes else "choose")
    if start == Path(before):  # a file: records hold names
        recipe = recipe.with_training(start_from=start.stem)
    if ships and not force and recipe.is_up_to_date(recipe.checksum(where, start)):
        print(f"{recipe.name}: up to date")
        return
    flags = {name: options[name] for name in recipe.trainer.flags}
    songs = [recipe.trainer.load(recipe.config, *where(each)) for each in recipe.sets]
    model = recipe.trainer.train(recipe.training, recipe.config, *songs, run, start, **flags)
    files, more = [run / "best.keras"], f"; --export replaces {recipe.path.name} of the repository"
    if ships:
        files, more = recipe.export(model, run, recipe.checksum(where, start), places), ""
    print("wrote", ", ".join(os.path.relpath(path) for path in files) + more)
