"""Fifty whole songs through `python -m experiments`, killed midway: python -m tools.long_run [--songs N]

A stand-in for MUSDB18's test set (50 songs, 3 h 28 min): songs of the virtual band, tiled to minutes, in other
combinations of stems for every song. Stems are linked, mixtures written: 3 GB in the folder for temporary files.
"""

import argparse
import itertools
import json
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

from audio_processing import results
from audio_processing.tracks import SOURCES

SONGS, SECONDS = 50, 250.0
SYSTEM, JOBS = "mixture", 2
COMMAND = """
import sys
from pathlib import Path
from experiments import __main__ as experiments
experiments.UNFINISHED = Path(sys.argv.pop())
sys.exit(experiments.main(sys.argv[1:]))
"""
"""`python -m experiments` with a folder of its own for songs that are done."""


def write_songs(root, songs=SONGS, seconds=SECONDS, tile=5.0):
    """A copy of MUSDB18 in wav files: every song another combination of three drums, basses, others and vocals.

    Parameters
    ----------
    root : Path
    songs : int
        at most 81.
    seconds, tile : float
        length of a song, and of what it repeats.
    """
    from virtual_band import render_song
    from virtual_band.dataset import songs_of

    bands = [render_song(artist, seed, tile) for artist, seed in songs_of("one_artist", 3)]
    rate = bands[0].sample_rate
    samples = round(seconds * rate)
    tiled = [{s: np.resize(band.stems[s].T, (samples, 2)) for s in SOURCES} for band in bands]  # (samples, channels)
    (root / "stems").mkdir(parents=True)
    for i, band in enumerate(tiled):
        for source, audio in band.items():
            soundfile.write(root / "stems" / f"{source} {i}.wav", audio, rate)
    for n, chosen in enumerate(itertools.islice(itertools.product(range(3), repeat=4), songs)):
        folder = root / "test" / f"Artist - Song {n:02d}"
        folder.mkdir(parents=True)
        for source, i in zip(SOURCES, chosen):
            (folder / f"{source}.wav").symlink_to(root / "stems" / f"{source} {i}.wav")
        mixture = sum(tiled[i][source] for source, i in zip(SOURCES, chosen))
        soundfile.write(folder / "mixture.wav", mixture, rate)


class Run:
    """One run of the command in a session of its own, watched: what it holds in memory, and which songs are done."""

    def __init__(self, root, system, jobs):
        self.kept, self.peaks = root / "unfinished", []
        command = [sys.executable, "-c", COMMAND, "--test-sets", "musdb18", "--systems", system, "--jobs", str(jobs)]
        command += ["--musdb", root, "--out", root / "out", "--museval", root / "museval", self.kept]
        self.said = open(root / "said", "w+")
        options = {"stdout": self.said, "stderr": subprocess.STDOUT, "start_new_session": True, "cwd": results.ROOT}
        self.process = subprocess.Popen([str(word) for word in command], **options)

    def done(self):
        """Songs that are done: file name → when it was written."""
        found = {}
        for path in self.kept.glob("*/*.json"):
            try:
                found[path.name] = path.stat().st_mtime_ns
            except FileNotFoundError:  # the run has just finished
                continue
        return found

    def look(self):
        """Note (songs done, MB that all processes of the run hold together)."""
        total = 0
        try:
            main = psutil.Process(self.process.pid)
            for process in (main, *main.children(recursive=True)):
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            return
        self.peaks.append((len(self.done()), total / 1e6))

    def until(self, songs):
        """Let it run until so many songs are done, or to its end; returns what was done last."""
        last = self.done()
        while self.process.poll() is None and len(last) < songs:
            self.look()
            time.sleep(0.2)
            last = self.done() or last
        return last

    def kill(self):
        """As a power cut does it: all processes at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self):
        self.said.seek(0)
        return self.said.read()[-2000:]


def run(songs=SONGS, seconds=SECONDS, system=SYSTEM, jobs=JOBS):
    """Score the songs, kill it when half are done, and let the next run finish.

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
        write_songs(root, songs, seconds)
        begun = time.monotonic()
        first = Run(root, system, jobs)
        first.until(songs // 2)
        if first.process.poll() is not None:
            raise RuntimeError(f"the first run ended by itself: {first.last_words()}")
        first.kill()
        before = first.done()
        second = Run(root, system, jobs)
        after = second.until(songs + 1)
        if second.process.wait() != 0:
            raise RuntimeError(f"the second run failed: {second.last_words()}")
        took = time.monotonic() - begun
        records = results.read(root / "out" / f"musdb18-{system}.json")["records"]
        found = Counter((row["track"], row["source"], row["metric"]) for row in records)
        names = sorted(path.name for path in (root / "test").iterdir())
        expected = list(itertools.product(names, SOURCES, ("si_sdr", "snr", "sdr")))
        right = sum(found[key] == 1 for key in expected) - sum(key not in expected for key in found)
        right -= sum(not agree for agree in again(root, system, records, (names[0], names[-1])))
        store = museval.EvalStore()
        store.add_eval_dir(root / "museval" / "musdb18" / system)
        peaks = first.peaks + second.peaks
        early = max(size for count, size in peaks if count <= max(jobs, songs // 5))
        late = max(size for count, size in peaks if count >= songs - max(jobs, songs // 5))
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


def again(root, system, records, names):
    """Whether the scores of these songs are those that each has where it is scored by itself: one truth per score."""
    from experiments import __main__ as experiments

    _, _, sources, rate, mono = experiments.TEST_SETS["musdb18"]
    for song in experiments.songs_of("musdb18", root):
        if song.name in names:
            alone = experiments.score_song(song, system, sources, rate, mono)["records"]
            values = {(row["source"], row["metric"]): row["value"] for row in records if row["track"] == song.name}
            for row in alone:
                yield abs(values.get((row["source"], row["metric"]), np.inf) - row["value"]) < 1e-4


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.long_run", description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=SONGS, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each song (default: %(default)s)")
    parser.add_argument("--system", default=SYSTEM, help="of `python -m experiments` (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=JOBS, help="songs at a time (default: %(default)s)")
    options = parser.parse_args(arguments)
    found = run(options.songs, options.seconds, options.system, options.jobs)
    print(json.dumps(found))
    return 0 if passed(found) else 1


GROWTH = 0.1
"""Share by which memory may be larger at the last songs than at the first."""


def passed(found):
    """Whether nothing was lost, nothing done twice, and memory did not grow."""
    whole = found["right"] == found["scores"] and found["museval"] == found["songs"]
    return whole and found["twice"] == 0 and found["before"] > 0 and found["growth"] <= GROWTH


if __name__ == "__main__":
    sys.exit(main())
