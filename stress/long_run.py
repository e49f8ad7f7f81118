"""Fifty whole songs through `experiments.run`, killed midway: python -m stress.reliability long_run

A stand-in for MUSDB18's test set, as many songs and as long (3 h 28 min): stems of the virtual band, tiled to minutes,
in another combination for every song. They are mono at 22.05 kHz; --stereo makes them like MUSDB18's, at 44.1 kHz,
which takes four times as long, and 3 GB in the folder for temporary files.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import soundfile

from audio_processing.audio_processing import resample, to_mono
from audio_processing.tracks import SOURCES
from common import results
from common.places import ROOT, Places
from experiments.catalogue import SYSTEMS, TestSet
from experiments.scores import score_song

SONGS, SECONDS, JOBS = 50, 250.0, 2
GROWTH = 0.1
"""Share by which memory may be larger at the last songs than at the first."""
METRICS = ("si_sdr", "snr", "sdr")
COMMAND = """
import sys
from pathlib import Path
from common.places import Places
from experiments.catalogue import SYSTEMS
from experiments.run import Options, run
from stress.long_run import fifty
root, rate, jobs = Path(sys.argv[1]), *map(int, sys.argv[2:])
run(fifty(root, rate), [SYSTEMS["mixture"]], Options(Places(root), jobs, museval=root / "museval"))
"""
"""One run, in a process of its own."""


def fifty(root, rate):
    """The row of the catalogue that these songs are: mono, but stereo at 44.1 kHz."""
    mono = rate < 44100
    return TestSet("fifty", "fifty songs", root, sources=SOURCES, sample_rate=rate, mono=mono, filters=False)


def write_songs(root, songs=SONGS, seconds=SECONDS, rate=22050, tile=5.0):
    """Songs in MUSDB18-HQ layout: each another combination of three drums, basses, others and vocals, which are linked.

    Parameters
    ----------
    root : Path
    songs : int
        at most 81.
    seconds, tile : float
        length of a song, and of what it repeats.
    rate : int
        see `fifty`.
    """
    from virtual_band import dataset, render_song

    mono = fifty(root, rate).mono
    shape = round(seconds * rate), 1 if mono else 2
    stems = {}
    (root / "stems").mkdir(parents=True)
    for i, (artist, seed) in enumerate(dataset.songs_of("one_artist", 3)):
        band = render_song(artist, seed, tile)
        for source in SOURCES:
            audio = to_mono(band.stems[source])[None] if mono else band.stems[source]
            stems[source, i] = np.resize(resample(audio, band.sample_rate, rate).T, shape)  # repeats it
            soundfile.write(root / "stems" / f"{source} {i}.wav", stems[source, i], rate)
    for n, chosen in enumerate(itertools.islice(itertools.product(range(3), repeat=4), songs)):
        folder = root / "test" / f"Artist - Song {n:02d}"
        folder.mkdir(parents=True)
        for source, i in zip(SOURCES, chosen):
            (folder / f"{source}.wav").symlink_to(root / "stems" / f"{source} {i}.wav")
        soundfile.write(folder / "mixture.wav", sum(stems[key] for key in zip(SOURCES, chosen)), rate)


def watched(root, songs, status, *arguments):
    """Run `COMMAND` until so many songs are done, then kill all its processes at once, as a power cut does.

    Parameters
    ----------
    root : Path
    songs : int
    status : int
        how it should end: -SIGKILL, or 0 if it should finish before so many songs are done.
    *arguments : int
        of `COMMAND`.

    Returns
    -------
    done : dict
        songs that were done last: file name → when it was written.
    peaks : list of (int, float)
        songs done, and MB that all processes took together, several times a second.
    """
    command = [sys.executable, "-c", COMMAND, *map(str, (root, *arguments))]
    options = {"stderr": subprocess.STDOUT, "start_new_session": True, "cwd": ROOT}
    done, peaks = {}, []
    with open(root / "output", "w+") as output:
        process = psutil.Popen(command, stdout=output, **options)
        while process.poll() is None and len(done) < songs:
            with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):  # as the run ends
                tree = process, *process.children(recursive=True)
                peaks.append((len(done), sum(each.memory_info().rss for each in tree) / 1e6))
                files = (root / "runs" / "scores").glob("*/*.json")
                done = {path.name: path.stat().st_mtime_ns for path in files} or done
            time.sleep(0.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if (ended := process.wait()) != status:
            output.seek(0)
            raise RuntimeError(f"exit status: expected {status}, got {ended}: {output.read()[-2000:]}")
    return done, peaks


def run(songs=SONGS, seconds=SECONDS, jobs=JOBS, rate=22050):
    """Score the songs, kill the run when half are done, and let the next run finish.

    Returns
    -------
    dict
        "songs", "song_seconds", "jobs"; "scores" (expected), "right" (there exactly once, with the value that the song
        has by itself where it was computed again), "before" (songs done before the kill), "twice" (those of them that
        the second run scored again), "seconds" of both runs, "peak_mb" of all processes together, "growth" (largest
        memory while the last fifth of the songs was done, relative to that of the first fifth), "museval" (songs that
        museval reads).

    Raises
    ------
    RuntimeError
        where a run fails by itself.
    """
    import museval

    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        write_songs(root, songs, seconds, rate)
        start = time.monotonic()
        before, peaks = watched(root, songs // 2, -signal.SIGKILL, rate, jobs)
        after, later = watched(root, songs + 1, 0, rate, jobs)
        took = time.monotonic() - start
        test_set, places = fifty(root, rate), Places(root)
        records = results.read(results.score_path(test_set.name, "mixture", places))["records"]
        store = museval.EvalStore()
        store.add_eval_dir(root / "museval" / test_set.name / "mixture")
        tracks = test_set.songs(places)
        expected = list(itertools.product((track.name for track in tracks), SOURCES, METRICS))
        alone = [score_song(track, SYSTEMS["mixture"], test_set)["records"] for track in (tracks[0], tracks[-1])]
        right = count_right(records, expected, sum(alone, []))
    peaks, fifth = peaks + later, max(jobs, songs // 5)
    early = max(size for count, size in peaks if count <= fifth)
    late = max(size for count, size in peaks if count >= songs - fifth)
    return {
        "scores": len(expected),
        "right": right,
        "before": len(before),
        "twice": sum(after.get(name, when) != when for name, when in before.items()),
        "seconds": took,
        "peak_mb": max(size for _, size in peaks),
        "growth": late / early - 1,
        "museval": store.df["track"].nunique(),
        "songs": songs,
        "song_seconds": seconds,
        "jobs": jobs,
    }


def key(row):
    """Which score a record holds."""
    return row["track"], row["source"], row["metric"]


def count_right(records, expected, alone):
    """How many of the expected scores are there exactly once; less those that nobody expected, and those of songs that
    were scored `alone`, too, with another value."""
    times, values = Counter(map(key, records)), {key(row): row["value"] for row in records}
    other = sum(not abs(values.get(key(row), np.inf) - row["value"]) < 1e-4 for row in alone)
    return sum(times[each] == 1 for each in expected) - sum(each not in expected for each in times) - other
