"""Train a parametric separator: python -m ddsp_models.separation.train [NAME] [--steps N …]

Stopped at any moment, the same command goes on from the last epoch. The best weights on the validation songs go to
`ddsp_models/trained/`, the curve to `results/training/`. The models:

one_artist    drums, bass, vocals of the virtual band's training artist
many_artists  the same of many: `python -m virtual_band --sets many_artists many_validation --many 240`
many_four     drums, bass, other, vocals of many artists
air_traffic   the four of a recorded song, its first two minutes; AIR_TRAFFIC_PATH or --song names its folder
"""

import argparse
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from audio_processing.audio_processing import load
from audio_processing.recorded_song import SONG_PARTS, song_path
from audio_processing.tracks import SOURCES, tracks
from common import results
from common.files import sha256_of
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import LISTENING, N_BANDS, SAMPLE_RATE, heard, pitched_features
from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes
from ddsp_models.separation.song_crops import SongCrops, described, examples, load_songs, resampled
from training.loop import check_settings, completed, fit, keep_settings, ship

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
    patience : int
        training ends after so many looks at the validation songs that found nothing better; 0 for never.
    start_from : str
        name of the trained separator that this one starts from (`start_from`); "" for random weights.
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
    patience: int = 0
    start_from: str = ""

    def __post_init__(self):
        object.__setattr__(self, "speeds", tuple(self.speeds))  # a list once it has been through JSON
        for name in ("seconds", "batch_size", "steps", "steps_per_epoch", "learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: more than 0 expected, got {getattr(self, name)}")
        for name in ("minutes", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: at least 0 expected, got {getattr(self, name)}")
        for speed in self.speeds:
            if not 0.5 <= speed <= 2:
                raise ValueError(f"speeds: from 0.5 to 2 expected, got {speed:g}")

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)


RECORDED = "air_traffic"
"""Stands for a recorded song, whose "train" and "validation" are the parts of it that `train.SONG_PARTS` names."""
THREE, FOUR = Sizes(heard_as="decoders"), Sizes(sources=SOURCES, heard_as="decoders")
MANY = ("many_artists", "train"), ("many_validation", "test")
MODELS = {
    # name: sizes, training, training songs, validation songs
    "one_artist": (Sizes(), Training(), ("one_artist", "train"), ("validation", "test")),
    "many_artists": (THREE, Training(steps=3000, taught_until=0.1, start_from="one_artist"), *MANY),
    "many_four": (FOUR, Training(steps=1000, learning_rate=1e-3, taught_until=0.0, start_from="many_artists"), *MANY),
    "air_traffic": (
        FOUR,
        Training(
            steps=800,
            steps_per_epoch=100,
            learning_rate=1e-3,
            taught_until=0.0,
            speeds=(0.84, 0.92, 1.09, 1.19),
            patience=3,
            start_from="many_four",
        ),
        (RECORDED, "train"),
        (RECORDED, "validation"),
    ),
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


def find_weights(name, weights=WEIGHTS):
    """The file of a trained separator: shipped under that name, of a run of that name, or a .keras file itself."""
    run = results.ROOT / "runs" / f"separator-{name}"
    for path in (Path(name), weights / f"separator-{name}.keras", run / "best.keras"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"start_from: {name} is neither a .keras file nor a separator trained here")


def start_from(model, path):
    """Give a separator the weights of another one; what belongs to a source, by its name.

    Parameters
    ----------
    model : ParametricSeparator
        sources that the other one lacks keep their random weights.
    path : str or Path
        .keras file of one with the same sizes and pitched sources.

    Raises
    ------
    ValueError
        where the file is no separator, or one of other sizes.
    """
    try:
        other = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged archive made of its parts
        raise ValueError(f"start_from: {path} is no trained separator ({str(error).splitlines()[0][:80]})") from error
    for field in dataclasses.fields(model.sizes):
        ours, theirs = (getattr(getattr(each, "sizes", None), field.name, None) for each in (model, other))
        if ours != theirs and field.name not in ("sources", "power", "heard_as"):
            raise ValueError(f"start_from: {path} has {field.name} {theirs}, {ours} expected")
    by_source = {id(variable) for layer in (model.outlines, model.features) for variable in layer.weights}
    for variable, value in zip(model.weights, other.weights):
        if id(variable) not in by_source:
            variable.assign(value)
    for name in ("outlines", "features"):
        here, there = getattr(model, name), getattr(other, name)
        columns = _columns(model, name), _columns(other, name)
        for variable, value in zip(here.weights, there.weights):
            ours, theirs = (keras.ops.convert_to_numpy(each).copy() for each in (variable, value))
            for part, places in columns[0].items():
                if part in columns[1]:
                    ours[..., places] = theirs[..., columns[1][part]]
            variable.assign(ours)


def _columns(model, layer):
    """Which outputs of a layer belong to which source (and, of the features, to all)."""
    s, found, at = model.sizes, {}, 0
    if layer == "outlines":
        for source in s.sources:
            many = s.harmonic_bands + s.noise_bands if source in s.pitched else s.bands
            found[source] = np.arange(at, at + many)
            at += many
        return found
    n, both = len(s.sources), np.array([[0], [model.n_features]])  # two moments to a frame
    for i, source in enumerate(s.sources):
        bands = n + 1 + i * N_BANDS + np.arange(N_BANDS)
        found[source] = (both + np.concatenate([[i], bands])).ravel()
    return found | {"onset": (both + n).ravel()}


def recorded_songs(part, sizes, path=None):
    """A part of the recorded song, its pitch as the trackers hear it: a list of one `song_crops.Song`.

    Parameters
    ----------
    part : {"train", "validation"}
    sizes : Sizes
    path : str or Path, optional
        folder of its stems; what AIR_TRAFFIC_PATH names where it is None.
    """
    folder, (start, stop) = song_path(path), SONG_PARTS[part]
    stems, lines = [], []
    for source in sizes.sources:
        found = sorted(folder.glob(f"{source}.*"))
        if not found:
            raise FileNotFoundError(f"{folder}: {source}.* expected, no such file found")
        audio, rate = load(found[0], sample_rate=SAMPLE_RATE, mono=True)
        stems.append(heard(audio[start * rate : stop * rate], rate))
        if source in sizes.pitched:
            known = pitched_features(stems[-1], rate, **LISTENING[source])
            lines.append((known["f0"] * known["voiced"])[:, 0])
    return [described(np.stack(stems), np.stack(lines, axis=-1), sizes.sources, sizes.pitched, sizes.heard_as)]


def songs_of(which, sizes, data=BAND, song=None):
    """The songs that `MODELS` names: (set of the virtual band, subset), or (`RECORDED`, part)."""
    name, part = which
    if name == RECORDED:
        return recorded_songs(part, sizes, song)
    return load_songs(data / name, part, sizes.sources, sizes.pitched, sizes.heard_as)


def training_songs(songs, training):
    """The songs that a training uses: its first minutes, at all its speeds."""
    if training.minutes:
        kept, left = [], training.minutes * 60
        for song in songs:
            if left > 0:
                kept.append(song)
            left -= song.stems.shape[1] / SAMPLE_RATE
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


def train(training, sizes, train_songs, validation_songs, run, start=None):
    """Fit one separator, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : Training
    sizes : Sizes
    train_songs, validation_songs : list of song_crops.Song
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path, optional
        .keras file of the separator to start from.

    Returns
    -------
    ParametricSeparator
        with the best weights on the validation songs.
    """
    keep_settings(run, sizes, training, check_settings(run / "settings.json", sizes, training), start)
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
    if start is not None:
        start_from(model, start)
    best = fit(model, crops, validation, training, run, monitor="val_snr")
    return keras.saving.load_model(best, compile=False)


def checksum(songs, folder=BAND, recorded=None, also=()):
    """SHA-256 over the sound files of several (set, subset), or of the recorded song, and over other files."""
    files = [*also]
    for name, part in songs:
        if name == RECORDED:
            files += sorted(path for path in song_path(recorded).iterdir() if path.stem in SOURCES)
        else:
            files += [path for song in tracks(folder / name, part) for path in song.files()]
    return sha256_of(*files)


def is_current(name, training, sizes, data, weights=WEIGHTS, start=None):
    """Whether the shipped weights are intact and were trained with these settings, from these weights (the .keras file
    `start`), on data of this checksum."""
    try:
        record = json.loads((weights / f"separator-{name}.json").read_text())
        intact = sha256_of(weights / f"separator-{name}.keras") == record["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = json.loads(json.dumps([training.to_dict(), sizes.to_dict()]))
    same = [completed(record.get("training", {}), training), completed(record.get("sizes", {}), sizes)] == wanted
    begun = record.get("start_sha256") == (None if start is None else sha256_of(start))
    return intact and same and begun and record.get("data") == data


def publish(name, training, sizes, data, run, weights=WEIGHTS):
    """Copy the best weights of a finished run beside their record, and its curve into the results."""
    title = f"separator-{name}"
    model = keras.saving.load_model(run / "best.keras", compile=False)
    record = results.head(f"train {title}", config=training.to_dict(), seed=training.seed, data=data)
    record |= {"sizes": sizes.to_dict(), "training": training.to_dict(), "weights": model.count_params()}
    return ship(title, model, record, run, weights, f"ddsp-{title}")


def command(module, description, models, kind, trained, arguments=None, *, teachers=None):
    """A command that trains one of several models, goes on with what was begun, and skips what is current.

    Parameters
    ----------
    module : str
        name of the module that is run, without its package.
    description : str
        what `--help` says.
    models : dict
        name → sizes, training, training songs, validation songs; the first one is the default.
    kind : type
        of the trainings: a dataclass, whose fields become options.
    trained : callable
        (training, sizes, training songs, validation songs, run, start) trains.
    arguments : list of str, optional
    teachers : callable, optional
        (training, sizes) → files that a training also learns from, such as decoders.

    Returns
    -------
    int
        exit status: 2 where an argument is no good or songs are missing.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m ddsp_models.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default=next(iter(models)), choices=models, help="(default: %(default)s)")
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/separator-NAME)")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    parser.add_argument("--song", type=Path, help="folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--dry", action="store_true", help="train, but leave the shipped weights and results alone")
    for field in dataclasses.fields(kind):
        takes = {"type": float, "nargs": "*"} if field.name == "speeds" else {"type": type(field.default)}
        parser.add_argument(f"--{field.name.replace('_', '-')}", **takes, help="(default: that of the model)")
    options = parser.parse_args(arguments)
    sizes, training, *songs = models[options.name]
    run = options.run or results.ROOT / "runs" / f"separator-{options.name}"
    try:
        given = {f.name: getattr(options, f.name) for f in dataclasses.fields(kind)}
        training = dataclasses.replace(training, **{key: value for key, value in given.items() if value is not None})
        start = find_weights(training.start_from) if training.start_from else None
        also = teachers(training, sizes) if teachers else ()
        data = checksum(songs, options.data, options.song, also)
        if not (options.dry or options.force) and is_current(options.name, training, sizes, data, start=start):
            print(f"{options.name}: current")
            return 0
        trained(training, sizes, *(songs_of(which, sizes, options.data, options.song) for which in songs), run, start)
    except (OSError, ValueError) as error:
        print(f"{module}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    written = [run / "best.keras"] if options.dry else publish(options.name, training, sizes, data, run)
    print("wrote", ", ".join(os.path.relpath(path) for path in written))
    return 0


def main(arguments=None):
    return command("train_separator", __doc__, MODELS, Training, train, arguments)


if __name__ == "__main__":
    sys.exit(main())
