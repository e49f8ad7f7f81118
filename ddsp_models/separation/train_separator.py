"""How a parametric separator is trained; `python -m ddsp_models.separation.train` lists the trainings."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from audio_processing.tracks import SOURCES, tracks
from common.checks import expect
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import N_BANDS, SAMPLE_RATE, features_of, whole_frames
from ddsp_models.separation.analysis_network import ParametricSeparator
from ddsp_models.separation.mask_refinement import RefinedMasks
from ddsp_models.separation.song_crops import Song, SongCrops, examples, resampled
from ddsp_models.train_decoder import recorded_stem
from training import loop
from training.command import Trainer
from training.schedule import adam, hold_then_cosine
from training.settings import CropTraining
from training.weights import initialise_from


@dataclass(frozen=True)
class SeparatorTraining(CropTraining):
    """How a separator is trained; what is not named here as in `training.settings`.

    Parameters
    ----------
    taught_until : float
        fraction of the steps with teacher forcing (the true f0).
    own_pitch : float
        fraction of the crops conditioned on the predicted f0 after that.
    """

    steps: int = 4000
    taught_until: float = 0.25
    own_pitch: float = 0.6
    f0_given = False  # in validation: a network usually predicts it


# --- initial weights -------------------------------------------------------------------------------------------------


def source_columns(model):
    """The outputs of two layers that belong to each source (and of the features, to all): for `initialise_from`."""
    sources, n = model.sizes.sources, len(model.sizes.sources)
    ends = np.cumsum([sum(model.sizes.envelopes(source).values()) for source in sources])

    moments = np.array([[0], [model.n_features]])  # two moments to a frame
    features = {"onset": (moments + n).ravel()}
    for i, source in enumerate(sources):
        bands = n + 1 + i * N_BANDS + np.arange(N_BANDS)
        features[source] = (moments + np.append(i, bands)).ravel()
    return {"outlines": dict(zip(sources, np.split(np.arange(ends[-1]), ends[:-1]))), "features": features}


# initialises a separator from another one of its sizes and pitched sources: (model, .keras file)
start_from = partial(initialise_from, may_differ=("sources", "power", "heard_as"), columns=source_columns)


# --- songs -----------------------------------------------------------------------------------------------------------


def band_songs(config, root, subset):
    """Songs with annotated pitch, such as the virtual band's.

    Parameters
    ----------
    config : Sizes
    root : str or Path
        a tree in MUSDB18-HQ layout with annotations.
    subset : {"train", "test"}

    Returns
    -------
    list of song_crops.Song
    """
    songs = []
    for track in tqdm(tracks(root, subset), desc=f"reading {subset} songs", unit="song", leave=False):
        stems = np.stack(list(track.stems(SAMPLE_RATE, mono=True, sources=config.sources).values()))
        known = track.annotations()
        f0 = np.stack([known[f"f0_{source}"] * known[f"voiced_{source}"] for source in config.pitched], axis=-1)
        songs.append(Song.from_stems(stems, f0, config.sources, config.pitched, config.heard_as))
    return songs


def recorded_songs(config, folder, part):
    """A part of the recorded song, its f0 as the trackers estimate it: a list of one `song_crops.Song`.

    Parameters
    ----------
    config : Sizes
    folder : Path
        of its stems.
    part : {"train", "validation"}
    """
    stems = {source: whole_frames(recorded_stem(folder, part, source), SAMPLE_RATE) for source in config.sources}
    estimates = [features_of(source, stems[source], SAMPLE_RATE) for source in config.pitched]
    f0 = np.concatenate([estimate["f0"] * estimate["voiced"] for estimate in estimates], axis=1)
    stems = np.stack(list(stems.values()))
    return [Song.from_stems(stems, f0, config.sources, config.pitched, config.heard_as)]


def recorded_files(folder, part):
    """The sound files of the recorded song's stems."""
    return sorted(path for path in folder.iterdir() if path.stem in SOURCES)


def validation_examples(songs, samples, hop, f0_given=False):
    """Consecutive crops of the songs as they are; the network predicts their f0, or is given it."""
    crops = [
        [(song, start, 0.0, 1) for _ in song.sources]
        for song in songs
        for start in range(0, song.stems.shape[1] - samples + 1, samples)
    ]
    return examples(crops, samples, hop, taught=np.full((len(crops), 1), f0_given))


# --- training --------------------------------------------------------------------------------------------------------


def initialised(config, start=None):
    """A separator with random weights, or with those of the .keras file `start`."""
    model = ParametricSeparator(config)
    model.build(None)
    if start is not None:
        start_from(model, start)
    return model


def separator(training, config, start):
    """The network of `train`, built and compiled for a training."""
    return loop.compiled(initialised(config, start), adam(training, hold_then_cosine))


def refinement(training, config, start):
    """The refinement of the separator in the file `start`, which is not trained, built and compiled for a training."""
    expect(start is not None, "start_from", "a separator, whose masks are refined", "none")
    model = RefinedMasks(config)
    model.build()
    start_from(model.separator, start)
    # on a processor XLA's convolutions over two axes are slower
    return loop.compiled(model, adam(training, hold_then_cosine), by_xla=False)


def train(training, config, songs, validation, run, start=None, *, network=separator, **options):
    """Fit one separator, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : SeparatorTraining
    config : Sizes
    songs, validation : list of song_crops.Song
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path, optional
        .keras file of the separator that it is initialised from.
    network : callable
        (training, config, start) → what is trained, built and compiled: the separator, or a network around it.
    **options
        of `loop.train`: `monitor` and `part`.

    Returns
    -------
    keras.Model
        with the best weights on the validation songs.
    """
    seconds = [song.stems.shape[1] / SAMPLE_RATE for song in songs]
    count = training.songs_within(seconds)
    songs = songs[:count] + [resampled(song, speed) for speed in training.speeds for song in songs[:count]]
    crops = SongCrops(songs, training, config.hop)
    held_out = validation_examples(validation, crops.samples, config.hop, training.f0_given)
    options |= {"start": start, "training_minutes": sum(seconds[:count]) / 60}
    return loop.train(partial(network, training, config, start), config, training, crops, held_out, run, **options)


SEPARATOR = Trainer(
    partial(train, monitor="val_snr"),
    load=band_songs,
    folder=WEIGHTS,
    title="separator-{}",
    curve="ddsp-separator-{}",
    key="sizes",
)
