"""Score systems on test sets: python -m experiments [--test-sets NAME …] [--systems NAME …] [--jobs N] [--force]

Each pair of test set and system is one file in results/scores/. A file that is intact and was made with the same
settings on the same songs is left as it is. Songs that are done when a run is stopped are not scored again by the next.
"""

import argparse
import contextlib
import hashlib
import inspect
import json
import os
import shutil
import sys
import time

import joblib
from joblib import Parallel, delayed
from tqdm import tqdm

from audio_processing import results
from audio_processing.files import atomic_path, sha256_of
from audio_processing.tracks import SOURCES, tracks
from experiments.scores import score_track
from experiments.systems import SYSTEMS

BAND = results.ROOT / "data" / "virtual_band"
MUSDB = os.environ.get("MUSDB_PATH")
TEST_SETS = {
    # name: (root, subset, sources, sample rate, mono); a root of None: not on this machine
    "same_artist": (BAND / "same_artist", "test", ("drums", "bass", "vocals"), 16000, True),
    "other_artist": (BAND / "other_artist", "test", ("drums", "bass", "vocals"), 16000, True),
    "extra_instrument": (BAND / "extra_instrument", "test", SOURCES, 16000, True),
    "musdb18_7s": (MUSDB, "test", SOURCES, 44100, False),
}
EXCLUDED = {"PR - Oh No": "its stems do not add up", "PR - Happy Daze": "stems are missing"}
"""Songs of MUSDB18's test set that are not scored, and why."""
SCORES = results.RESULTS / "scores"
UNFINISHED = results.ROOT / "runs" / "scores"
"""Songs that were scored in runs that were stopped."""
FILTERS_UP_TO = 16000  # Hz: sir and sar of songs at 44.1 kHz would take hours
WEIGHTS = {
    "conv_tasnet": results.ROOT / "mss_nn_implementation" / "training_final_full" / "trio.keras",
    "numpy_cnn": results.ROOT / "neural_network_basics" / "drums_mask.npz",
}


def score_song(song, system, sources, sample_rate, mono):
    """Score one system on one song.

    Returns
    -------
    dict
        "records"; "seconds" that separating took; "dropped" frames, those that sdr could not count.
    """
    stems = song.stems(sample_rate, mono, sources)
    mixture = sum(stems.values())
    begun = time.perf_counter()
    estimates = SYSTEMS[system](mixture, stems, sample_rate)
    seconds = time.perf_counter() - begun
    if "rest" in estimates:  # drums against everything else
        stems = {**stems, "rest": mixture - stems["drums"]}
    records, dropped = score_track(stems, estimates, sample_rate, filters=sample_rate <= FILTERS_UP_TO)
    records = [{"track": song.name, "system": system, **record} for record in records]
    return {"records": records, "seconds": seconds, "dropped": dropped}


def score_and_keep(path, song, *arguments):
    """`score_song`, kept in a file, so that it is done once even if two workers are told to or the run is stopped."""
    with contextlib.suppress(OSError, ValueError):
        return song.name, json.loads(path.read_text())
    found = score_song(song, *arguments)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(found))
    return song.name, found


@contextlib.contextmanager
def workers(cluster):
    """Where the songs are worked on: in processes of this machine, or by the Dask cluster at an address."""
    if cluster is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("--dask: needs the package `distributed` (pip install distributed)") from error
    try:
        client = Client(cluster, timeout="10s")
    except (OSError, ValueError) as error:
        raise ValueError(f"--dask: no Dask scheduler answers at {cluster}") from error
    with client, joblib.parallel_config("dask", wait_for_workers_timeout=30):
        yield


def settings(system, sources, sample_rate, mono):
    """What decides the numbers besides the songs, as plain types: it is compared to see whether a file is current."""
    config = {"system": system, "sources": list(sources), "sample_rate": sample_rate, "mono": mono}
    config["description"] = inspect.getdoc(SYSTEMS[system]).split("\n")[0]
    if sample_rate <= FILTERS_UP_TO:
        config["metrics"] = ["si_sdr", "snr", "sdr", "sir", "sar"]
    if system in WEIGHTS:
        config["weights"] = sha256_of(WEIGHTS[system])
    return config


def is_current(path, config, data):
    """Whether a result file is intact and holds these settings and songs."""
    try:
        content = results.read(path)
    except results.ResultsError:
        return False
    return content["config"] == config and content["data"] == data


def run(test_set, systems, *, jobs=1, cluster=None, force=False):
    """Score systems on one test set.

    Parameters
    ----------
    test_set : str
    systems : sequence of str
    jobs : int
        songs at a time, each in a process of its own; -1 for as many as there are cores.
    cluster : str, optional
        address of a Dask scheduler, whose workers see the same files, instead of processes of this machine.
    force : bool
        also where results are current.

    Returns
    -------
    list of Path
        the files written.
    """
    root, subset, sources, sample_rate, mono = TEST_SETS[test_set]
    if root is None:
        raise ValueError(f"{test_set}: MUSDB_PATH is not set; it names the folder that holds train and test")
    songs = [song for song in tracks(root, subset) if song.name not in EXCLUDED]
    data = sha256_of(*[path for song in songs for path in song.files()])
    written = []
    for system in systems:
        path = SCORES / f"{test_set}-{system}.json"
        config = settings(system, sources, sample_rate, mono)
        if not force and is_current(path, config, data):
            continue
        key = hashlib.sha256(json.dumps([config, data]).encode()).hexdigest()[:16]
        kept = UNFINISHED / f"{test_set}-{system}-{key}"
        if force:
            shutil.rmtree(kept, ignore_errors=True)
        begun = time.perf_counter()
        work = (
            delayed(score_and_keep)(kept / f"{i}.json", song, system, sources, sample_rate, mono)
            for i, song in enumerate(songs)
        )
        with workers(cluster):
            scored = Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
            scored = dict(tqdm(scored, total=len(songs), desc=f"{test_set} {system}", unit="song", leave=False))
        scored = [scored[song.name] for song in songs]
        content = results.head(f"{test_set} {system}", config=config, data=data)
        content["seconds"] = round(time.perf_counter() - begun, 3)
        content["separation_seconds"] = round(sum(song["seconds"] for song in scored), 3)
        content["songs"] = len(songs)
        content["excluded"] = EXCLUDED if test_set.startswith("musdb18") else {}
        content["dropped_frames"] = sum(song["dropped"] for song in scored)
        content["records"] = [{"test_set": test_set, **record} for song in scored for record in song["records"]]
        results.write(path, content)
        shutil.rmtree(kept, ignore_errors=True)
        written.append(path)
    return written


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    there = [name for name, (root, *_) in TEST_SETS.items() if root is not None]
    parser.add_argument("--test-sets", nargs="+", default=there, choices=TEST_SETS, metavar="NAME")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="songs at a time, each in a process of its own")
    parser.add_argument("--dask", metavar="ADDRESS", help="let the workers of this Dask scheduler score the songs")
    parser.add_argument("--force", action="store_true", help="score again what is current")
    options = parser.parse_args(arguments)
    try:
        written = [
            path
            for name in options.test_sets
            for path in run(name, options.systems, jobs=options.jobs, cluster=options.dask, force=options.force)
        ]
    except (FileNotFoundError, ValueError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    print("wrote " + ", ".join(str(path.relative_to(results.ROOT)) for path in written) if written else "all current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
