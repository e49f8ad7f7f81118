"""Build the data sets of the report: trees in MUSDB18-HQ layout that appear only when they are complete.

    <root>/<set>/<train or test>/<artist - title>/{mixture,drums,bass,other,vocals}.wav, annotations.npz, score.mid

A set is built in `<root>/<set>.partial` and renamed when its last song is written. A song, too, is renamed when its
last file is written. An interrupted build leaves a `.partial` tree; the next build resumes from it.

Notebook: virtual_band/dataset_report.ipynb
"""

import json
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import joblib
import numpy as np
import soundfile
from tqdm import tqdm

from audio_processing.tracks import PARTS
from common.checks import expect
from common.files import PARTIAL, atomic_path, partial_folder
from virtual_band.annotations import midi_file
from virtual_band.song import SAMPLE_RATE, check_count, check_seconds, render_song

VERSION = 3  # of the generator: raise it whenever the sound changes, so that old trees are rebuilt
TRAINING_ARTIST = 3
OTHER_ARTISTS = (41, 42, 43, 44, 45, 46, 47, 48)
MANIFEST = "band.json"
FILES = (*(f"{part}.wav" for part in PARTS), "annotations.npz", "score.mid")


class SetPlan(namedtuple("SetPlan", "subset songs artists first_song other on_request", defaults=(False, False))):
    """One data set: its subset, how many songs, who plays in turn, the number of its first song, and if chords play.

    Ranges of song numbers do not overlap, so no two sets share a score. A set `on_request` is built only if it is
    named.
    """


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
        a key of `SETS`.
    songs : int, optional
        how many; the set's own number if None.

    Returns
    -------
    list of (int, int)
        artist and song number of each.

    Raises
    ------
    ValueError
        if the set is unknown or the number negative.
    """
    expect(name in SETS, "set", f"one of {', '.join(SETS)}", repr(name))
    plan = SETS[name]
    count = plan.songs if songs is None else songs
    check_count("songs", count)
    return [(plan.artists[i % len(plan.artists)], plan.first_song + i) for i in range(count)]


def build_set(root, name, *, songs=None, seconds=20.0, jobs=1):
    """Build one set, or resume an interrupted build; a complete set is left alone.

    Parameters
    ----------
    root : str or Path
        folder of the sets.
    name : str
        a key of `SETS`.
    songs : int, optional
        how many; the set's own number if None.
    seconds : float
        length of each song.
    jobs : int
        songs at a time, each in a process.

    Returns
    -------
    folder : Path
        the set's.
    written : int
        songs that had to be written.

    Raises
    ------
    ValueError
        if the set is unknown or a number wrong.
    OSError
        if the folder cannot be written.
    """
    keys = songs_of(name, songs)
    expect(jobs >= 1, "jobs", "1 or more", jobs)
    plan = SETS[name]
    sound = {"version": VERSION, "subset": plan.subset, "seconds": check_seconds(seconds), "other": plan.other}
    manifest = {"set": name, **sound, "songs": [list(key) for key in keys]}
    folder, partial = Path(root) / name, Path(root) / f"{name}.partial"
    if _manifest(folder) == manifest and set(keys) <= set(_songs(folder / plan.subset).values()):
        return folder, 0
    _resume(folder, partial, sound)
    subset = partial / plan.subset
    subset.mkdir(parents=True, exist_ok=True)
    with atomic_path(partial / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest))
    complete = _songs(subset)
    for child, key in complete.items():
        if key not in keys:  # half-written, or of a longer set
            shutil.rmtree(child)
    missing = [key for key in keys if key not in complete.values()]
    work = (joblib.delayed(write_song)(subset, *key, seconds, plan.other) for key in missing)
    done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
    written = len(list(tqdm(done, total=len(missing), desc=name, unit="song", leave=False)))
    partial.rename(folder)
    return folder, written


def _resume(folder, partial, sound):
    """Move what there is of a set to `partial`, and delete it there if it was built with another sound."""
    for present in (folder, partial):
        # a manifest that was being written when the build was killed is ours
        files = any(path.is_file() and PARTIAL not in path.parent.name for path in present.rglob("*"))
        ours = not files or _manifest(present) is not None
        expect(ours, present, "a set that this program wrote", "files to move away; or choose another --data")
    if folder.exists():
        shutil.rmtree(partial, ignore_errors=True)
        folder.rename(partial)
    started = _manifest(partial)
    if started is not None and not sound.items() <= started.items():
        shutil.rmtree(partial)


def write_song(folder, artist, seed, seconds, other):
    """Render one song and write its folder, which appears when it is complete.

    Parameters
    ----------
    folder : Path
        the subset's folder.
    artist, seed, seconds, other
        as for `song.render_song`.

    Returns
    -------
    Path
    """
    song = render_song(artist, seed, seconds, other=other)
    target = Path(folder) / f"{song.name} {seed % 1_000_000 + 1:02d}"
    with partial_folder(folder) as partial:
        (partial / target.name).mkdir()
        for name, audio in {"mixture": song.mixture, **song.stems}.items():
            soundfile.write(partial / target.name / f"{name}.wav", audio.T, SAMPLE_RATE, subtype="PCM_24")
        identity = np.array([song.artist.seed, seed])
        np.savez_compressed(partial / target.name / "annotations.npz", **song.annotations, identity=identity)
        midi_file(song.score, seconds).save(partial / target.name / "score.mid")
        (partial / target.name).rename(target)
    return target


def _manifest(folder):
    """The manifest of a tree, or None if there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _songs(subset):
    """Folders of songs → (artist, song number), or None if a folder is not complete."""
    return {folder: _identity(folder) for folder in subset.iterdir()} if subset.is_dir() else {}


def _identity(folder):
    """(artist, song number) of a complete song folder, or None."""
    if not all((folder / name).is_file() for name in FILES):
        return None
    try:
        with np.load(folder / "annotations.npz") as annotations:
            return tuple(int(v) for v in annotations["identity"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
