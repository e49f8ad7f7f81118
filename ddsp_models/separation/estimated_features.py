"""What a listener hears in mixtures, as examples for decoders: features as they will be, sounds as they should be.

Features that are estimated from a mixture are blurred, too soft at their peaks and too loud in pauses. A decoder that
has only met true ones plays these faults. One that learns to make the true sound of the estimated features learns, as
far as that can be known, to undo them.
"""

import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import fix_length
from audio_processing.tracks import tracks
from common import results
from common.files import atomic_path, sha256_of
from ddsp_models import features as feature
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.separators import MaskedSeparator

LISTENER = "one_artist_played"
"""The parametric separator whose features are played."""
REMIXES = 4
"""Mixtures of stems from different songs, per training song, beside its own: in its own the listener, which learned
from these songs, hears better than it will in new ones."""
STRIDES = (7, 17)
"""How many songs further on the bass and the voice of a remix are taken from; times the number of the remix."""
KEPT = results.ROOT / "runs" / "heard"
"""What was heard once is kept here: a listener takes longer to hear all songs than a decoder to load them."""


def mixtures(songs, sources, remixes):
    """Stems of songs as they are, and in new company.

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
            steps = (0, *(remix * stride for stride in STRIDES))
            stems = {s: songs[(i + step) % len(songs)][s] for s, step in zip(sources, steps)}
            length = min(map(len, stems.values()))
            yield {s: x[:length] for s, x in stems.items()}


def heard_examples(source, root, subset, remixes=0, listener=LISTENER, weights=WEIGHTS, kept=None):
    """What a listener hears of one source in the mixtures of a set, with that source's true sound.

    Parameters
    ----------
    source : str
    root, subset
        of the songs, as `audio_processing.tracks.tracks` takes them.
    remixes : int
        new mixtures per song, beside its own.
    listener : str
        a parametric separator of `weights`.
    weights : str or Path
        its folder.
    kept : str or Path, optional
        folder of what was heard before (default: `KEPT`).

    Returns
    -------
    list of (dict of np.ndarray, np.ndarray)
        per mixture the features, (frames, channels), and the sound, (frames · 64,).
    """
    separator = MaskedSeparator(listener, weights)
    found = tracks(root, subset)
    files = [path for song in found for path in song.files()]
    heard = sha256_of(weights / f"separator-{listener}.keras", *files)[:16]
    path = (KEPT if kept is None else kept) / f"{heard}-{remixes}.npz"
    if not path.exists():
        stems = [song.stems(feature.SAMPLE_RATE, mono=True, sources=separator.sources) for song in found]
        arrays = {}
        total = len(stems) * (remixes + 1)
        many = mixtures(stems, separator.sources, remixes)
        for i, parts in enumerate(tqdm(many, total=total, desc="listening", unit="mixture", leave=False)):
            for s, said in separator.describe(sum(parts.values())).items():
                arrays |= {f"{i}/{s}/{name}": x.astype(np.float32) for name, x in said.items()}
                frames = len(said["loudness"])
                sound = feature.heard(parts[s], feature.SAMPLE_RATE)
                arrays[f"{i}/{s}/sound"] = fix_length(sound, frames * feature.HOP_LENGTH).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
    examples = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            i, s, name = key.split("/")
            if s == source:
                examples.setdefault(int(i), {})[name] = arrays[key]
    return [({n: x for n, x in one.items() if n != "sound"}, one["sound"]) for _, one in sorted(examples.items())]
