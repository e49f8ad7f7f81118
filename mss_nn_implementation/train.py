"""Train a Conv-TasNet: python -m mss_nn_implementation.train [NAME] [--steps N …]

A stopped training resumes from its last checkpoint. With --export the best weights on the validation songs go to
`training_final_full/`, the curve to `results/training/`. The networks:

trio        drums, bass, vocals of the virtual band's training artist
many        drums, bass, other, vocals of many artists, whom `python -m virtual_band --sets many_artists
            many_validation --many 240` renders
many_trio   drums, bass, vocals of many artists; initialised from `many`
musdb       drums, bass, other, vocals of MUSDB18's training songs, in the folder that MUSDB_PATH or --data names:
            MUSDB18, MUSDB18-HQ or the 7 s excerpts; initialised from `many`. Songs of your own, in such a folder,
            need --validation: a share such as 0.1, the names of validation songs, or another folder

A song that cannot be read, or holds NaN, stops the training. With --on-error skip it is left out, and the record
names it.
"""

import dataclasses
import inspect
import sys
from contextlib import contextmanager
from functools import partial

import keras
import numpy as np

from audio_processing.tracks import SOURCES
from common.checks import expect
from common.places import HERE
from mss_nn_implementation.convtas import WEIGHTS, ConvTasNet
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_songs, songs_of
from mss_nn_implementation.loss import LOSSES
from mss_nn_implementation.parameters import PRESETS, Training
from training import loop
from training.command import MUSDB, Recipe, Trainer, command
from training.schedule import adam, cosine
from training.weights import initialise_from


@dataclasses.dataclass(frozen=True)
class SongsTraining(Training):
    """Training on one folder of songs; what is not named here as in `parameters.Training`.

    Parameters
    ----------
    validation : str
        which of them are validation songs: see `datasets.songs_of`.
    """

    validation: str = ""


def make_optimizer(training):
    """The optimiser that a `Training` asks for, with its schedule."""
    if training.optimizer == "adam":
        return adam(training, cosine)
    known = inspect.signature(keras.optimizers.Muon.__init__).parameters
    expect("adam_weight_decay" in known, "optimizer", "Keras 3.13 or newer for 'muon'", f"Keras {keras.__version__}")
    return keras.optimizers.Muon(
        cosine(training),
        exclude_layers=["encoder", "masks", "decoder", "depthwise"],  # filters and outputs, not maps between layers
        adam_lr_ratio=0.5,
        weight_decay=None,
        adam_weight_decay=0.0,
        global_clipnorm=training.clip_norm,
    )


def mask_columns(model):
    """The outputs of the mask layer that belong to each source, as `initialise_from` takes them."""
    N = model.sizes.N
    return {"masks": {source: np.arange(i * N, (i + 1) * N) for i, source in enumerate(model.sizes.sources)}}


# initialises a Conv-TasNet from another one of its sizes, (model, .keras file); masks by the names of the sources
start_from = partial(initialise_from, may_differ=("sources", "sample_rate", "mask", "consistent"), columns=mask_columns)


@contextmanager
def computing(precision="float32", devices=1):
    """What networks that are made inside compute with, and on how many devices; each takes its part of a batch.

    Parameters
    ----------
    precision : str
        see `parameters.Training`.
    devices : int
        of those that `keras.distribution.list_devices()` lists. Keras distributes with JAX as its backend.
    """
    before, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    try:
        keras.config.set_dtype_policy(precision)
        if devices > 1:
            backend = keras.backend.backend()
            expect(backend == "jax", "devices", "JAX (KERAS_BACKEND=jax) for more than one", backend)
            here = keras.distribution.list_devices()
            expect(len(here) >= devices, "devices", devices, f"{len(here)} ({', '.join(here)})")
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=here[:devices]))
        yield
    finally:
        keras.config.set_dtype_policy(before)
        keras.distribution.set_distribution(distribution)


def network(training, config, start=None):
    """A network, built and compiled for a training, with random weights or those of the .keras file `start`."""
    model = loop.compiled(ConvTasNet(config), make_optimizer(training), LOSSES[training.loss]())
    model.build((None, round(training.seconds * config.sample_rate)))
    if start is not None:
        start_from(model, start)
    return model


def train(training, config, songs, validation, run, start=None, *, devices=1, cache=None, on_error="stop"):
    """Train one network, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : Training
    config : Parameters
    songs, validation : tuple of str or Path
        of a dataset: what `datasets.songs_of` takes.
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path, optional
        .keras file that the network is initialised from.
    devices : int
        how many share a batch.
    cache : str or Path, optional
        folder of decoded songs (`datasets.load_songs`).
    on_error : {"stop", "skip"}
        what a song does that cannot be read: stops the run, or is left out and named.

    Returns
    -------
    ConvTasNet
        with the best weights on the validation songs, in float32.
    """
    fits = devices > 0 and training.batch_size % devices == 0
    expect(fits, "devices", f"a divisor of the batch size, {training.batch_size}", devices)
    samples = round(training.seconds * config.sample_rate)
    left_out = {} if on_error == "skip" else None
    load = partial(load_songs, sources=config.sources, sample_rate=config.sample_rate, channels=config.channels)
    load = partial(load, cache=cache, at_least=training.seconds, left_out=left_out)
    found = [songs_of(*which) for which in (songs, validation)]  # before any is decoded
    stems, held_out = (load(each, speeds=speeds) for each, speeds in zip(found, (training.speeds, ())))
    versions = 1 + len(training.speeds)
    seconds = [song.shape[-1] / config.sample_rate for song in stems[::versions]]
    count = training.songs_within(seconds)
    for song, why in (left_out or {}).items():
        print(f"train: {song} is left out: {why}", file=sys.stderr)

    facts = {"training_minutes": sum(seconds[:count]) / 60, **({"left_out": left_out} if left_out else {})}
    with computing(training.precision, devices):
        crops = RandomCrops(stems[: count * versions], samples, training)
        build = partial(network, training, config, start)
        model = loop.train(build, config, training, crops, fixed_crops(held_out, samples), run, start=start, **facts)
    return model.copy()


CONV_TASNET = Trainer(
    train,
    load=lambda config, *songs: songs,
    files=lambda *songs: [path for song in songs_of(*songs) for path in song.files()],
    folder=WEIGHTS,
    title="{}",
    curve="conv_tasnet-{}",
    key="parameters",
    flags={
        "cache": {"help": "folder for decoded songs; without it they are held in memory"},
        "on_error": {"choices": ("stop", "skip"), "default": "stop", "help": "at a song that cannot be read"},
        "devices": {"type": int, "default": 1, "help": "how many share a batch (default: %(default)s)"},
    },
)
FOUR = dataclasses.replace(PRESETS["laptop"], sources=SOURCES)
TRIO = Training(optimizer="muon", learning_rate=2e-3, steps=7000, steps_per_epoch=250)
SEMITONES = (0.89, 0.94, 1.06, 1.12)  # speeds that change the pitch by two semitones and by one, down and up
ONE = ("one_artist", "train"), ("validation", "test")
MANY = ("many_artists", "train"), ("many_validation", "test")
REAL = (MUSDB, "train", "train"), (MUSDB, "train", "valid")
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("trio", CONV_TASNET, PRESETS["laptop"], TRIO, *ONE),
        Recipe(
            "many_trio", CONV_TASNET, PRESETS["laptop"], dataclasses.replace(TRIO, steps=2000, start_from="many"), *MANY
        ),
        Recipe("many", CONV_TASNET, FOUR, dataclasses.replace(TRIO, steps=3000), *MANY),
        Recipe(
            "musdb",
            CONV_TASNET,
            FOUR,
            SongsTraining(**vars(TRIO) | {"steps": 6000, "remix": 0.8, "speeds": SEMITONES, "start_from": "many"}),
            *REAL,
        ),
    )
}


def main(arguments=None, places=HERE):
    return command("mss_nn_implementation.train", __doc__, RECIPES, arguments, places)


if __name__ == "__main__":
    sys.exit(main())
