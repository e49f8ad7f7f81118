"""Decoder training examples: features estimated from mixtures, paired with the true sound of the source.

Features that are estimated from a mixture are blurred, too soft at their peaks and too loud in pauses. A decoder that
is trained with the true features alone turns these errors into sound. One that is trained to make the true sound from
estimated features learns to undo them, as far as the features allow.
"""

import dataclasses
from functools import partial

import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import fix_length
from audio_processing.tracks import TRIO, tracks
from common.files import atomic_path, sha256_of
from common.places import HERE
from ddsp_models import features as feature
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.separators import MaskedSeparator
from ddsp_models.train_decoder import BAND, CONFIGS, ONE, DecoderTraining, recipes_of, train
from training.command import sound_files

ESTIMATOR = "one_artist_played"  # the separator whose features the decoders are given
# Mixtures of stems from different songs, per training song, beside its own: the separator was trained on its own
# mixtures, of which the estimates are better than of new songs.
REMIXES = 4


def mixtures(songs, sources, remixes):
    """Stems of songs as they are, and in new combinations.

    Parameters
    ----------
    songs : list of dict of np.ndarray, (samples,)
        stems by source.
    sources : tuple of str
        three: drums, bass, vocals.
    remixes : int
        new mixtures per song.

    Yields
    ------
    dict of np.ndarray
        stems by source, as long as the shortest of them.
    """
    for remix in range(remixes + 1):
        for i in range(len(songs)):
            steps = (0, 7 * remix, 17 * remix)  # how many songs further on the bass and the voice are taken from
            stems = {s: songs[(i + step) % len(songs)][s] for s, step in zip(sources, steps)}
            yield {s: x[: min(map(len, stems.values()))] for s, x in stems.items()}


def estimated_examples(root, subset, source, remixes=0, estimator=ESTIMATOR, weights=WEIGHTS, places=HERE):
    """Features of one source, estimated from the mixtures of a set, with that source's true sound.

    The features of all sources are kept in the folder `runs/heard`: estimating takes longer than training a decoder.

    Parameters
    ----------
    root, subset
        of the songs, as `audio_processing.tracks.tracks` takes them.
    source : str
    remixes : int
        new mixtures per song, beside its own.
    estimator : str
        a parametric separator of `weights`.
    weights : str or Path
        its folder.
    places : common.places.Places

    Returns
    -------
    list of (dict of np.ndarray, np.ndarray)
        per mixture the features, (frames, channels), and the sound, (frames · 64,).
    """
    key = sha256_of(weights / f"separator-{estimator}.keras", *sound_files(root, subset))[:16]
    path = places.runs / "heard" / f"{key}-{remixes}.npz"
    if not path.exists():
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **_estimated(tracks(root, subset), remixes, MaskedSeparator.load(estimator, weights)))
    examples = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            i, s, name = key.split("/")
            if s == source:
                examples.setdefault(int(i), {})[name] = arrays[key]
    return [({n: x for n, x in one.items() if n != "sound"}, one["sound"]) for _, one in sorted(examples.items())]


def _estimated(songs, remixes, separator):
    """Features and sounds of all sources in all mixtures, by "number/source/name"."""
    stems = [song.stems(feature.SAMPLE_RATE, mono=True, sources=separator.sources) for song in songs]
    many, total = mixtures(stems, separator.sources, remixes), len(stems) * (remixes + 1)
    arrays = {}
    for i, parts in enumerate(tqdm(many, total=total, desc="estimating", unit="mixture", leave=False)):
        for s, features in separator.describe(sum(parts.values())).items():
            sound = feature.whole_frames(parts[s], feature.SAMPLE_RATE)
            features["sound"] = fix_length(sound, len(features["loudness"]) * feature.HOP_LENGTH)
            arrays |= {f"{i}/{s}/{name}": x.astype(np.float32) for name, x in features.items()}
    return arrays


def load(config, root, subset, source):
    """`estimated_examples` of training songs, also remixed, or of validation songs as they are."""
    return estimated_examples(root, subset, source, REMIXES if subset == "train" else 0)


HEARD = dataclasses.replace(
    BAND,
    train=partial(train, versions=1 + REMIXES),
    load=load,
    files=sound_files,
    also=lambda *about: [*BAND.also(*about), WEIGHTS / f"separator-{ESTIMATOR}.keras"],
)
RECIPES = recipes_of(
    "heard",
    HEARD,
    CONFIGS,
    ONE,
    {s: DecoderTraining(steps=5000, steps_per_epoch=500, learning_rate=2e-3, start_from=f"band-{s}") for s in TRIO},
)
