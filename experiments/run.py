"""Runs that score systems on test sets: what is up to date is kept, what was interrupted is resumed."""

import contextlib
import hashlib
import json
import shutil
import sys
import time
from collections import namedtuple
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import joblib
from joblib import Parallel, delayed
from tqdm import tqdm

from audio_processing.audio_processing import AudioError
from audio_processing.tracks import musdb_name, readable, reason
from common import results
from common.files import atomic_path, sha256_of
from common.places import HERE, Places
from experiments import provenance
from experiments.catalogue import METRICS, TEST_SETS
from experiments.scores import computed, score_song, summary, write_museval

ALWAYS_SCORED = ["si_sdr", "snr", "sdr"]  # metrics that the settings of a run do not name if there are no others


@dataclass(frozen=True)
class Options:
    """How to score.

    Parameters
    ----------
    places : common.places.Places
    jobs : int
        songs at a time, each in a process; -1 for one per core.
    cluster : str, optional
        address of a Dask scheduler whose workers score the songs.
    force : bool
        score again what is up to date.
    on_error : {"stop", "skip"}
        at a song that cannot be read.
    out : Path, optional
        folder for the result files; by default results/scores.
    museval : Path, optional
        folder for museval's files of every song.
    """

    places: Places = HERE
    jobs: int = 1
    cluster: str | None = None
    force: bool = False
    on_error: str = "stop"
    out: Path | None = None
    museval: Path | None = None

    def path(self, test_set, system):
        """The result file of a run."""
        path = results.score_path(test_set.name, system.name, self.places)
        return self.out / path.name if self.out else path


Music = namedtuple("Music", "songs checksum left_out")
"""The songs of a test set, a list; the SHA-256 of all their files; which are left out, and why, a dict."""


def test_sets_here(places=HERE):
    """Names of the test sets whose music is on this machine."""
    try:
        copy = places.musdb and musdb_name(places.musdb)
    except AudioError:  # no song can be read: scoring them says so
        copy = "musdb18_7s"
    known = {name: row for name, row in TEST_SETS.items() if row.place != "musdb" or name == copy}
    return [name for name, row in known.items() if row.folder(places) is not None]


def by_default(test_set, system):
    """Whether a system is scored on a test set by default: the catalogue says so, and its weights are here.

    If only the weights are missing, a line on standard error says that it is not computed.
    """
    scored = test_set.scores(system)
    gone = provenance.missing(system) if scored else []
    if gone:
        print(f"{test_set.name} {system.name}: not computed, {gone[0].name} is not there", file=sys.stderr)
    return scored and not gone


def read_music(test_set, on_error="stop", places=HERE):
    """The songs of a test set that are scored.

    Returns
    -------
    Music

    Raises
    ------
    AudioError
        for a song that cannot be read, if `on_error` is "stop".
    ValueError
        if excerpts are called whole songs, or the other way round.
    """
    on_error = "raise" if on_error == "stop" else on_error
    songs, left_out = readable(test_set.songs(places), on_error, test_set.sources)
    if test_set.place == "musdb" and (name := musdb_name(folder := test_set.folder(places))) != test_set.name:
        raise ValueError(f"{test_set.name}: {folder} holds the songs of {name}; choose --test-sets {name}")
    return Music(songs, sha256_of(*[path for song in songs for path in song.files()]), left_out)


def settings(test_set, system):
    """What decides the scores besides the songs, as plain types: a file with other settings is out of date."""
    needs = computed(test_set, system)
    metrics, listening = [metric.name for metric in METRICS.values() if metric.needs in needs], {}
    if "features" in needs:
        from experiments import feature_scores  # with Keras, which the other scores do not need

        listening = feature_scores.listening()
    return {
        "system": system.name,
        "sources": list(test_set.sources),
        "sample_rate": test_set.sample_rate,
        "mono": test_set.mono,
        "description": system.description or f"The separator {system.name!r} of separate.py.",
        **({} if metrics == ALWAYS_SCORED else {"metrics": metrics}),
        **({"frames": "of sdr, sir and sar: those in which every stem sounds"} if "filters" in needs else {}),
        **listening,
        **({"stereo": "along the principal axes"} if system.make and system.weights and not test_set.mono else {}),
        **({"weights": provenance.checksums(system)} if system.weights else {}),
    }


def is_up_to_date(path, config, data):
    """`results.is_up_to_date`; without CREPE's weights, scores that were made with them cannot be made again, and are
    up to date, too."""
    instead = {}
    if "listeners" in config:
        from experiments import feature_scores

        instead = {"listeners": config["listeners"]} if feature_scores.crepe_network() is None else {}
    return results.is_up_to_date(path, config, data, instead=instead)


def run(test_set, systems, options=Options(), music=None):
    """Score systems on one test set.

    Parameters
    ----------
    test_set : experiments.catalogue.TestSet
    systems : sequence of separate.System
    options : Options
    music : Music, optional
        by default as returned by `read_music`.

    Returns
    -------
    list of Path
        the files written; those that are up to date are not written again.

    Raises
    ------
    AudioError
        for a song that cannot be read, or if no song can.
    ValueError
        if trained weights are missing.
    """
    music = music or read_music(test_set, options.on_error, options.places)
    return [path for system in systems if (path := score_system(test_set, system, options, music))]


def score_system(test_set, system, options, music):
    """Score one system on one test set; returns the path of the result file, None if it is up to date."""
    if gone := provenance.missing(system):
        raise ValueError(f"{system.name}: expected {gone[0].name} in {gone[0].parent.name}; `make train` writes it")
    path, config = options.path(test_set, system), settings(test_set, system)
    key = hashlib.sha256(json.dumps([config, music.checksum, "frames"]).encode()).hexdigest()[:16]
    finished = options.places.runs / "scores" / f"{test_set.name}-{system.name}-{key}"
    museval_folder = options.museval and options.museval / test_set.name / system.name / "test"
    current = (
        not options.force
        and is_up_to_date(path, config, music.checksum)
        and _left_out_alike(path, music, options)
        and (museval_folder is None or _museval_is_up_to_date(museval_folder, path, key))
    )
    if options.force or current:  # what is left of a run that was killed after it had written its file
        shutil.rmtree(finished, ignore_errors=True)
    if current:
        return None
    start = time.perf_counter()
    scored, damaged = score_songs(test_set, system, options, music, finished)
    left_out = music.left_out | damaged
    content = {
        "seconds": round(time.perf_counter() - start, 3),
        **summary(scored.values()),
        "excluded": test_set.excluded,
        **({"left_out": left_out} if left_out else {}),
        "network": provenance.facts(system),
        "records": [{"test_set": test_set.name, **row} for song in scored.values() for row in song["records"]],
    }
    results.write(path, results.head(f"{test_set.name} {system.name}", config=config, data=music.checksum) | content)
    if museval_folder is not None:
        _write_all_museval(museval_folder, scored, key)
    shutil.rmtree(finished, ignore_errors=True)
    return path


def score_songs(test_set, system, options, music, finished):
    """Score all songs of a test set, in parallel.

    Parameters
    ----------
    test_set : experiments.catalogue.TestSet
    system : separate.System
    options : Options
    music : Music
    finished : Path
        folder that keeps the scores of each song until all have theirs.

    Returns
    -------
    scored : dict
        song → what `score_song` returns.
    damaged : dict of str to str
        song → why it is left out.

    Raises
    ------
    AudioError
        if no song can be read, or one cannot and `options.on_error` is "stop".
    """
    job = delayed(partial(_score_and_keep, options.on_error, system, test_set, options.places.runs / "targets"))
    work = [job(finished / f"{i}.json", song) for i, song in enumerate(music.songs)]
    name = f"{test_set.name} {system.name}"
    with _workers(options.cluster):
        scores = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(work)
        scores = dict(tqdm(scores, total=len(work), desc=name, unit="song", leave=False))
    damaged = {song.name: why for song in music.songs if (why := scores[song.name].get("left_out"))}
    scored = {song.name: scores[song.name] for song in music.songs if song.name not in damaged}
    if not scored:
        raise AudioError(f"{name}: none of {len(work)} songs can be read; {next(iter(damaged.values()))}")
    print_left_out(test_set.name, damaged)
    return scored, damaged


def _score_and_keep(on_error, system, test_set, targets, path, song):
    """`score_song`, kept in a file, so that it is done once even if the run is interrupted or two workers get it.

    A song whose sound turns out to be damaged stops the run, or, if `on_error` is "skip", is "left_out".
    """
    with contextlib.suppress(OSError, ValueError):
        return song.name, json.loads(path.read_text())
    try:
        scores = score_song(song, system, test_set, targets)
    except AudioError as error:
        if on_error == "stop":
            raise
        return song.name, {"left_out": reason(song, error)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(scores))
    return song.name, scores


@contextlib.contextmanager
def _workers(cluster):
    """Where songs are scored: in processes of this machine, or by the Dask cluster at an address."""
    if cluster is None:
        yield
        return
    try:
        from distributed import Client

        client = Client(cluster, timeout="10s")
    except ImportError as error:
        raise ValueError("--dask: needs the package `distributed` (pip install distributed)") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"--dask: no Dask scheduler answers at {cluster}") from error
    with client, joblib.parallel_config("dask", wait_for_workers_timeout=30):
        yield


def _left_out_alike(path, music, options):
    """Whether an intact result file left out what has to be left out: nothing if an error stops the run."""
    left_out = results.read(path).get("left_out", {})
    return not left_out if options.on_error == "stop" else music.left_out.items() <= left_out.items()


def print_left_out(name, left_out):
    """One line on standard error for each song of a test set that is left out."""
    for song, why in left_out.items():
        print(f"{name}: {song} is left out: {why}", file=sys.stderr)


def _museval_is_up_to_date(folder, path, made_of):
    """Whether a folder of museval's files holds all songs that have scores in the result file, made of the same."""
    with contextlib.suppress(OSError, ValueError):
        names = {record["track"] for record in results.read(path)["records"]}
        return all(json.loads((folder / f"{name}.json").read_text())["made_of"] == made_of for name in names)
    return False


def _write_all_museval(folder, scored, made_of):
    """One file per scored song, as museval writes them; those of songs that are not among them any more are deleted."""
    for path in folder.glob("*.json"):
        if path.stem not in scored and "made_of" in json.loads(path.read_text()):
            path.unlink()
    for name, song in scored.items():
        if song["frames"]:
            write_museval(folder / f"{name}.json", name, song["frames"], made_of)
