"""Build the data sets of the report: trees in MUSDB18-HQ layout that appear only when they are complete.

    <root>/<set>/<train or test>/<artist - title>/{mixture,drums,bass,other,vocals}.wav, annotations.npz, score.mid

A set is built in `<root>/<set>.partial` and renamed when its last song is written, and so is every song inside it. An
interrupted build leaves a `.partial` tree, which the next build goes on with.
"""

import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import soundfile
from tqdm import tqdm

from common.files import PARTIAL, atomic_path
from virtual_band.annotations import midi_file
from virtual_band.mix import SOURCES
from virtual_band.song import SAMPLE_RATE, render_song

VERSION = 3  # of the generator: raise it whenever the sound changes, so that old trees are rebuilt
TRAINING_ARTIST = 3
OTHER_ARTISTS = (41, 42, 43, 44, 45, 46, 47, 48)
MANIFEST = "band.json"
FILES = (*(f"{name}.wav" for name in ("mixture", *SOURCES)), "annotations.npz", "score.mid")


@dataclass(frozen=True)
class SetPlan:
    """One data set: where it goes, how many songs, who plays, and the number of its first song.

    Ranges of song numbers do not meet, so no two sets share a score. A set `on_request` is built where it is named, not
    with all others.
    """

    subset: str
    songs: int
    artists: tuple[int, ...]
    first_song: int
    other: bool = False
    on_request: bool = False


SETS = {
    "one_artist": SetPlan("train", 40, (TRAINING_ARTIST,), 0),
    "one_artist_long": SetPlan("train", 90, (TRAINING_ARTIST,), 7_000_000, on_request=True),
    "validation": SetPlan("test", 6, (TRAINING_ARTIST,), 1_000_000),
    "same_artist": SetPlan("test", 10, (TRAINING_ARTIST,), 2_000_000),
    "other_artist": SetPlan("test", 8, OTHER_ARTISTS, 3_000_000),
    "extra_instrument": SetPlan("test", 8, (TRAINING_ARTIST,), 4_000_000, other=True),
    "many_artists": SetPlan("train", 0, tuple(range(100, 900)), 5_000_000, other=True),
    "many_validation": SetPlan("test", 12, tuple(range(60, 72)), 6_000_000, other=True),
}


def songs_of(name, songs=None):
    """The songs of a set.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    songs : int, optional
        How many; the set's own number where it is None.

    Returns
    -------
    list of (int, int)
        Artist and song number of each.
    """
    if name not in SETS:
        raise ValueError(f"set: no set is called {name!r}; expected one of {', '.join(SETS)}")
    plan = SETS[name]
    count = plan.songs if songs is None else songs
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
        raise ValueError(f"songs: found {count!r}, expected a whole number, 0 or more")
    return [(plan.artists[i % len(plan.artists)], plan.first_song + i) for i in range(count)]


def build_set(root, name, *, songs=None, seconds=20.0, workers=1):
    """Build one set, or go on with one that was interrupted; a set that is complete is left alone.

    Parameters
    ----------
    root : str or Path
        Folder of the sets; made where it is missing.
    name : str
        A key of `SETS`.
    songs : int, optional
        How many songs.
    seconds : float
        Length of a song.
    workers : int
        Processes.

    Returns
    -------
    (Path, int)
        The set's folder and how many songs had to be written.

    Raises
    ------
    ValueError
        for an unknown set or a wrong number.
    OSError
        where the folder cannot be written.
    """
    wanted = songs_of(name, songs)
    if not 0.5 <= seconds <= 3600:
        raise ValueError(f"seconds: found {seconds!r}, expected a length from 0.5 to 3600")
    if workers < 1:
        raise ValueError(f"workers: found {workers!r}, expected 1 or more")
    plan = SETS[name]
    sound = {"version": VERSION, "subset": plan.subset, "seconds": float(seconds), "other": plan.other}
    manifest = {"set": name, **sound, "songs": [list(song) for song in wanted]}
    folder, partial = Path(root) / name, Path(root) / f"{name}.partial"
    old = _manifest(folder)
    if old == manifest and _present(folder / plan.subset, wanted)[0].keys() == set(wanted):
        return folder, 0
    for present in (folder, partial):
        files = [path for path in present.rglob("*") if path.is_file() and PARTIAL not in path.parent.name]
        if _manifest(present) is None and files:  # a manifest that was being written when the build was killed is ours
            raise ValueError(f"{present}: was not written by this program; move it away or choose another --root")
    if folder.exists():
        shutil.rmtree(partial, ignore_errors=True)
        folder.rename(partial)
    begun = _manifest(partial)
    if begun is not None and {key: begun.get(key) for key in sound} != sound:
        shutil.rmtree(partial)
    subset = partial / plan.subset
    subset.mkdir(parents=True, exist_ok=True)
    with atomic_path(partial / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest))

    present, others = _present(subset, wanted)
    for child in others:  # half-written, or of a longer set
        shutil.rmtree(child)
    todo = [key for key in wanted if key not in present]
    jobs = (joblib.delayed(write_song)(subset, who, seed, seconds, plan.other) for who, seed in todo)
    done = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)
    for _ in tqdm(done, total=len(todo), desc=name, unit="song", leave=False):
        pass
    partial.rename(folder)
    return folder, len(todo)


def write_song(folder, artist, seed, seconds, other):
    """Render one song and write its folder, which appears when it is complete.

    Parameters
    ----------
    folder : Path
        The subset's folder.
    artist, seed, seconds, other
        See `song.render_song`.

    Returns
    -------
    Path
    """
    song = render_song(artist, seed, seconds, other=other)
    target = Path(folder) / f"{song.name} {seed % 1_000_000 + 1:02d}"
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.mkdir()
    for name, audio in [("mixture", song.mixture), *song.stems.items()]:
        soundfile.write(partial / f"{name}.wav", audio.T, SAMPLE_RATE, subtype="PCM_24")
    np.savez_compressed(partial / "annotations.npz", **song.annotations, identity=np.array([song.artist.seed, seed]))
    midi_file(song.score, seconds).save(partial / "score.mid")
    partial.rename(target)
    return target


def _manifest(folder):
    """The manifest of a tree, or None where there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _present(subset, wanted):
    """Folders of the wanted songs that are complete, by (artist, song number), and all other folders."""
    present, others = {}, []
    for child in subset.iterdir() if subset.is_dir() else ():
        key = _identity(child)
        if key in wanted:
            present[key] = child
        else:
            others.append(child)
    return present, others


def _identity(folder):
    """(artist, song number) of a finished song folder, or None."""
    if not all((folder / name).is_file() for name in FILES):
        return None
    try:
        with np.load(folder / "annotations.npz") as known:
            return tuple(int(v) for v in known["identity"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
