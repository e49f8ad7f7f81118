"""Score systems on test sets: python -m experiments [--test-sets NAME …] [--systems NAME …] [--jobs N] [--force]

Each pair of test set and system is one file in results/scores/. A file that is intact and was made with the same
settings and weights on the same songs is left as it is. Songs that are done when a run is stopped are not scored again
by the next.

A copy of MUSDB18, MUSDB18-HQ or the 7 s excerpts (MUSDB_PATH, --musdb, or what `make musdb` fetched) is the test set
`musdb18` or `musdb18_7s`. A song that cannot be read stops the run; with --on-error skip it is named on standard error
and in the result file ("left_out"), and the others are scored.

Scores of pitch, loudness and spectrum (`feature_scores`) are computed on the test sets of `FEATURES_ON`, for the
systems that are not in `WITHOUT_FEATURES`. A system whose weights are not there is left out, and named. Where CREPE's
weights are not found, crepe_bce is absent (never 0), and pYIN takes CREPE's place as the vocals' pitch tracker.
"""

import argparse
import contextlib
import hashlib
import inspect
import json
import shutil
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import joblib
import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from audio_processing.audio_processing import AudioError
from audio_processing.recorded_song import AIR_TRAFFIC, RecordedSong
from audio_processing.tracks import SOURCES, musdb_name, musdb_root, readable, reason, tracks
from common import results
from common.files import atomic_path, sha256_of
from experiments import provenance
from experiments.scores import METRICS, score_frames, write_museval
from experiments.systems import SYSTEMS, TOLD_PITCH

BAND = results.ROOT / "data" / "virtual_band"
MUSDB = musdb_root()
TRIO = ("drums", "bass", "vocals")
TEST_SETS = {
    # name: (root, subset, sources, sample rate, mono); a root of None: not on this machine
    "same_artist": (BAND / "same_artist", "test", TRIO, 16000, True),
    "other_artist": (BAND / "other_artist", "test", TRIO, 16000, True),
    "extra_instrument": (BAND / "extra_instrument", "test", SOURCES, 16000, True),
    "musdb18_7s": (MUSDB, "test", SOURCES, 44100, False),
    "musdb18": (MUSDB, "test", SOURCES, 44100, False),
    "air_traffic": (AIR_TRAFFIC, "recorded", TRIO, 16000, True),
}
WIDE = ("irm@ddsp", "psm@4096")
"""Ceilings with the window of the DDSP masks, which are not run on MUSDB18."""
CEILINGS = ("mixture", "ibm", "ibm@sisec", "irm", "irm@4096", "irm@power", "psm", "mwf", *WIDE)
MUSDB_SETS = ("musdb18_7s", "musdb18")
"""Of these a copy of MUSDB18 is one: it holds the excerpts or whole songs."""
ONLY = {name: (*(x for x in CEILINGS if x not in WIDE), "hps", "musdb", "musdb@once") for name in MUSDB_SETS}
"""Test sets that only these systems are scored on by default."""
FEATURES_ON = ("same_artist", "other_artist", "air_traffic")
"""Test sets on which pitch, loudness and spectra are compared, too: mono at 16 kHz, and pitch is known or, in the
recorded song, that of one voice, which a tracker can follow."""
WITHOUT_FEATURES = ("ibm@sisec", "irm@4096", "irm@power", "psm", "mwf", *WIDE)
"""Ceilings whose stems sound like those of `ibm` and `irm`: they are scored by their samples alone, to save time."""
EXCLUDED = {"PR - Oh No": "its stems do not add up", "PR - Happy Daze": "stems are missing"}
"""Songs of MUSDB18's test set that are not scored, and why."""
SCORES = results.RESULTS / "scores"
UNFINISHED = results.ROOT / "runs" / "scores"
"""Songs that were scored in runs that were stopped."""
TARGETS = results.ROOT / "runs" / "targets"
"""What was heard in true stems: it is the same for all systems."""
FILTERS_UP_TO = 16000  # Hz: sir and sar of songs at 44.1 kHz would take hours
WEIGHTS = provenance.WEIGHTS


def test_sets(musdb=None):
    """Names of the test sets whose music is here; `musdb` is a folder of MUSDB18 that takes the usual one's place."""
    names = {name for name, (root, *_) in TEST_SETS.items() if root is not None} - set(MUSDB_SETS)
    if root := musdb or MUSDB:
        try:
            names.add(musdb_name(root))
        except AudioError:  # none of its songs can be read: scoring them says so
            names.add("musdb18_7s")
    return [name for name in TEST_SETS if name in names]


def songs_of(test_set, musdb=None):
    """The songs of a test set that are scored."""
    root, subset, *_ = TEST_SETS[test_set]
    root = musdb if musdb and test_set in MUSDB_SETS else root
    if root is None:
        variable = "AIR_TRAFFIC_PATH" if subset == "recorded" else "MUSDB_PATH"
        raise ValueError(f"{test_set}: {variable} is not set; it names the folder that holds the music")
    if subset == "recorded":
        return [RecordedSong(root)]
    return [song for song in tracks(root, subset) if song.name not in EXCLUDED]


def systems_of(test_set):
    """Systems that are scored on a test set by default: what was made for one song is not tried on others."""
    names = [name for name in ONLY.get(test_set, SYSTEMS) if name in SYSTEMS]
    if test_set not in MUSDB_SETS:
        names = [name for name in names if not name.startswith("musdb")]  # it may have heard a bit of the recorded song
    if test_set != "air_traffic":
        names = [name for name in names if not name.endswith("@air_traffic")]
    if test_set not in ("same_artist", "other_artist"):
        names = [name for name in names if name not in TOLD_PITCH]
    return names


def wanted(test_set, system):
    """Whether a system is scored on a test set by default: it makes sense there, and its weights are here.

    Where the weights alone are missing, a line on standard error says that it is not computed.
    """
    if system not in systems_of(test_set):
        return False
    gone = provenance.missing(system)
    if gone:
        print(f"{test_set} {system}: not computed, {gone[0].name} is not there", file=sys.stderr)
    return not gone


def has_features(test_set, system):
    """Whether pitch, loudness and spectra of a system's estimates are compared on a test set."""
    return test_set in FEATURES_ON and system not in WITHOUT_FEATURES


def metrics_of(source, filters, features, crepe):
    """Names of the metrics that an estimate of a source gets where all are defined."""
    names = list(METRICS if filters else METRICS[:3])
    if features:
        names += ["spectral_loss", "spectral_loss_per_bin", "loudness_l1"]
        if source in ("bass", "vocals"):
            names += ["raw_pitch_accuracy", "f0_confidence", "f0_l1_cents", "f0_l1_hz"]
            names += ["crepe_bce"] if crepe else []
    return names


def kept_target(data, source):
    """File of what is heard in a true stem of a song with these files (their checksum)."""
    return TARGETS / f"{data[:16]}-{source}-{'-'.join(feature_scores().listeners().values())}.npz"


def feature_scores():
    """The module of that name, imported where it is needed: it brings Keras."""
    from experiments import feature_scores as module

    return module


def score_song(song, system, sources, sample_rate, mono, features=False):
    """Score one system on one song.

    Returns
    -------
    dict
        "records"; "seconds" that separating took; "audio_seconds", the song's length; "dropped" frames, those that sdr
        could not count; "silent", the sources whose true stem is silent, which are not scored; "absent", how many
        scores of each metric are not defined for this song's other stems; "frames", what `scores.write_museval` writes.
    """
    stems = song.stems(sample_rate, mono, sources)
    mixture = sum(stems.values())
    told = (song.annotations(),) if system in TOLD_PITCH else ()
    begun = time.perf_counter()
    estimates = SYSTEMS[system](mixture, stems, sample_rate, *told)
    seconds = time.perf_counter() - begun
    if "rest" in estimates:  # drums against everything else
        stems = {**stems, "rest": mixture - stems["drums"]}
    filters = sample_rate <= FILTERS_UP_TO
    records, dropped, frames = score_frames(stems, estimates, sample_rate, filters=filters)
    if features:
        named = {source: stem for source, stem in stems.items() if source != "rest"}
        keep = partial(kept_target, sha256_of(*song.files()))
        records += feature_scores().score_features(named, estimates, song.annotations(), keep)
    crepe = features and feature_scores().crepe_network() is not None
    there = {(record["source"], record["metric"]) for record in records}
    sounding = [source for source in stems if source in estimates and np.any(stems[source])]
    wanted = [(s, metric) for s in sounding for metric in metrics_of(s, filters, features and s != "rest", crepe)]
    return {
        "records": [{"track": song.name, "system": system, **record} for record in records],
        "seconds": seconds,
        "audio_seconds": mixture.shape[-1] / sample_rate,
        "dropped": dropped,
        "silent": [source for source in stems if source in estimates and source not in sounding],
        "absent": Counter(metric for source, metric in wanted if (source, metric) not in there),
        "frames": frames,
    }


def score_and_keep(path, on_error, song, *arguments):
    """`score_song`, kept in a file, so that it is done once even if two workers are told to or the run is stopped.

    A song whose sound turns out to be damaged stops the run, or, where `on_error` is "skip", is only "left_out": why.
    """
    with contextlib.suppress(OSError, ValueError):
        return song.name, json.loads(path.read_text())
    try:
        found = score_song(song, *arguments)
    except AudioError as error:
        if on_error == "stop":
            raise
        return song.name, {"left_out": reason(song, error)}
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


def settings(test_set, system):
    """What decides the numbers besides the songs, as plain types: it is compared to see whether a file is current."""
    _, _, sources, sample_rate, mono = TEST_SETS[test_set]
    config = {"system": system, "sources": list(sources), "sample_rate": sample_rate, "mono": mono}
    config["description"] = inspect.getdoc(SYSTEMS[system]).split("\n")[0]
    if sample_rate <= FILTERS_UP_TO:
        config["metrics"] = list(METRICS)
        config["frames"] = "of sdr, sir and sar: those in which every stem sounds"
    if has_features(test_set, system):
        config["metrics"] += list(feature_scores().UNITS)
        config["listeners"] = feature_scores().listeners()
        config["looks_per_second"] = feature_scores().SAMPLE_RATE / feature_scores().HOP_LENGTH
    if system in WEIGHTS:
        config["weights"] = provenance.checksums(system)
    return config


def is_current(path, config, data):
    """Whether a result file is intact and holds these settings and songs.

    Scores that were made with CREPE are current where CREPE's weights are not there to make them again, too.
    """
    try:
        content = results.read(path)
    except results.ResultsError:
        return False
    found = content["config"]
    if "listeners" in config and feature_scores().crepe_network() is None:
        found = {**found, "listeners": config["listeners"]}
    return found == config and content["data"] == data


def songs_and_checksum(test_set, on_error="stop", musdb=None):
    """The songs of a test set that are scored, the SHA-256 of all their files, and which are left out, and why.

    Raises
    ------
    AudioError
        for a song that cannot be read, where `on_error` is "stop".
    ValueError
        where excerpts are called whole songs, or the other way round.
    """
    songs, left_out = songs_of(test_set, musdb), {}
    _, subset, sources, *_ = TEST_SETS[test_set]
    if subset != "recorded":
        songs, left_out = readable(songs, "raise" if on_error == "stop" else on_error, sources)
    if test_set in MUSDB_SETS and (found := musdb_name(root := songs[0].path.parent.parent)) != test_set:
        raise ValueError(f"{test_set}: {root} holds the songs of {found}; choose --test-sets {found}")
    return songs, sha256_of(*[path for song in songs for path in song.files()]), left_out


def museval_is_current(folder, path, made_of):
    """Whether a folder of museval's files holds all songs that have scores in the result file, made of the same."""
    with contextlib.suppress(OSError, ValueError):
        names = {record["track"] for record in results.read(path)["records"]}
        return all(json.loads((folder / f"{name}.json").read_text())["made_of"] == made_of for name in names)
    return False


def write_all_museval(folder, scored, made_of):
    """One file per scored song, as museval writes them; those of songs that are not among them any more are deleted."""
    for path in folder.glob("*.json"):
        if path.stem not in scored and "made_of" in json.loads(path.read_text()):
            path.unlink()
    for name, song in scored.items():
        if song["frames"]:
            write_museval(folder / f"{name}.json", name, song["frames"], made_of)


def run(
    test_set, systems=None, *, jobs=1, cluster=None, force=False, data=None, on_error="stop", out=None, museval=None
):
    """Score systems on one test set.

    Parameters
    ----------
    test_set : str
    systems : sequence of str, optional
        by default those of `systems_of` whose weights are there.
    jobs : int
        songs at a time, each in a process of its own; -1 for as many as there are cores.
    cluster : str, optional
        address of a Dask scheduler, whose workers see the same files, instead of processes of this machine.
    force : bool
        also where results are current.
    data : (list, str, dict), optional
        of `songs_and_checksum`, where it is known already.
    on_error : {"stop", "skip"}
        what a song does that cannot be read: stops the run, or is left out and named.
    out : Path, optional
        folder of the result files; `SCORES` where it is None.
    museval : Path, optional
        write museval's own files, too: <test set>/<system>/test/<song>.json in this folder.

    Returns
    -------
    list of Path
        the files written.

    Raises
    ------
    AudioError
        for a song that cannot be read, or where no song can.
    """
    _, _, sources, sample_rate, mono = TEST_SETS[test_set]
    songs, data, unreadable = data or songs_and_checksum(test_set, on_error)
    written = []
    for system in [name for name in systems_of(test_set) if wanted(test_set, name)] if systems is None else systems:
        if gone := provenance.missing(system):
            raise ValueError(f"{system}: {gone[0].name} expected in {gone[0].parent.name}; `make train` writes it")
        path = (out or SCORES) / f"{test_set}-{system}.json"
        config = settings(test_set, system)
        key = hashlib.sha256(json.dumps([config, data, "frames"]).encode()).hexdigest()[:16]
        folder = museval and museval / test_set / system / "test"
        current = not force and is_current(path, config, data) and left_out_as(path, unreadable, on_error)
        kept = UNFINISHED / f"{test_set}-{system}-{key}"
        current &= museval is None or museval_is_current(folder, path, key)
        if force or current:  # what is left of a run that was killed when its file was written
            shutil.rmtree(kept, ignore_errors=True)
        if current:
            continue
        begun = time.perf_counter()
        how = (system, sources, sample_rate, mono, has_features(test_set, system))
        work = (delayed(score_and_keep)(kept / f"{i}.json", on_error, song, *how) for i, song in enumerate(songs))
        with workers(cluster):
            scored = Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
            scored = dict(tqdm(scored, total=len(songs), desc=f"{test_set} {system}", unit="song", leave=False))
        scored = {song.name: scored[song.name] for song in songs}
        damaged = {name: song["left_out"] for name, song in scored.items() if "left_out" in song}
        scored = {name: song for name, song in scored.items() if name not in damaged}
        if not scored:
            raise AudioError(f"{test_set}: none of {len(songs)} songs can be read; {next(iter(damaged.values()))}")
        name_left_out(test_set, damaged)
        content = results.head(f"{test_set} {system}", config=config, data=data)
        content["seconds"] = round(time.perf_counter() - begun, 3)
        content |= told_of(scored.values())
        content["excluded"] = EXCLUDED if test_set.startswith("musdb18") else {}
        if left_out := {**unreadable, **damaged}:
            content["left_out"] = left_out
        content["network"] = provenance.facts(system)
        records = [{"test_set": test_set, **record} for song in scored.values() for record in song["records"]]
        results.write(path, {**content, "records": records})
        if museval is not None:
            write_all_museval(folder, scored, key)
        shutil.rmtree(kept, ignore_errors=True)
        written.append(path)
    return written


def left_out_as(path, unreadable, on_error):
    """Whether an intact result file left out what has to be left out: nothing, where an error stops the run."""
    left_out = results.read(path).get("left_out", {})
    return not left_out if on_error == "stop" else unreadable.items() <= left_out.items()


def name_left_out(test_set, left_out):
    """One line on standard error for each song that is left out."""
    for name, why in left_out.items():
        print(f"{test_set}: {name} is left out: {why}", file=sys.stderr)


def told_of(scored):
    """Facts about a run from those about its songs.

    Returns
    -------
    dict
        "separation_seconds" of all songs, "realtime", the middle song's seconds of separation per second of music (so
        that loading and compiling in the first song do not count); "songs"; "dropped_frames"; "silent_stems", which
        were not scored, by source; "absent", scores that are not defined, by metric.
    """
    absent = sum((Counter(song["absent"]) for song in scored), Counter())
    return {
        "separation_seconds": round(sum(song["seconds"] for song in scored), 3),
        "realtime": round(float(np.median([song["seconds"] / song["audio_seconds"] for song in scored])), 5),
        "songs": len(scored),
        "dropped_frames": sum(song["dropped"] for song in scored),
        "silent_stems": dict(Counter(source for song in scored for source in song["silent"])),
        "absent": dict(absent),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("--test-sets", nargs="+", choices=TEST_SETS, metavar="NAME", help="(default: all that is here)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, metavar="NAME")
    parser.add_argument("--musdb", type=Path, metavar="FOLDER", help="MUSDB18, MUSDB18-HQ or excerpts, for MUSDB_PATH")
    parser.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="at a song that cannot be read")
    parser.add_argument("--jobs", type=int, default=1, help="songs at a time, each in a process; -1: one per core")
    parser.add_argument("--dask", metavar="ADDRESS", help="let the workers of this Dask scheduler score the songs")
    parser.add_argument("--force", action="store_true", help="score again what is current")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the result files (default: results/scores)")
    parser.add_argument("--museval", type=Path, metavar="FOLDER", help="write museval's files of every song there, too")
    options = parser.parse_args(arguments)
    try:
        names = options.test_sets or test_sets(options.musdb)
        data = {name: songs_and_checksum(name, options.on_error, options.musdb) for name in names}
        for name, (_, _, left_out) in data.items():
            name_left_out(name, left_out)
        how = {"jobs": options.jobs, "cluster": options.dask, "force": options.force, "on_error": options.on_error}
        how |= {"out": options.out, "museval": options.museval}
        # one system on all test sets, then the next: a process keeps a network that it has loaded and compiled
        written = [
            path
            for system in options.systems or SYSTEMS
            for name in names
            if options.systems or wanted(name, system)
            for path in run(name, [system], data=data[name], **how)
        ]
    except (OSError, ValueError) as error:
        print(f"experiments: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    written = [path.relative_to(results.ROOT) if path.is_relative_to(results.ROOT) else path for path in written]
    print("wrote " + ", ".join(map(str, written)) if written else "all current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
