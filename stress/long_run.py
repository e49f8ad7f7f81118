"""Fifty whole songs through `python -m experiments`, killed midway: python -m stress.long_run [--songs N]

A stand-in for MUSDB18's test set, as many songs and as long (3 h 28 min): stems of the virtual band, tiled to minutes,
in another combination for every song. They are mono at 22.05 kHz; --stereo makes them like MUSDB18's, at 44.1 kHz,
which takes four times as long, and 3 GB in the folder for temporary files.
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

from audio_processing.audio_processing import resample, to_mono
from audio_processing.tracks import SOURCES, tracks
from common import results

SONGS, SECONDS = 50, 250.0
SYSTEM, JOBS = "mixture", 2
TEST_SET = "fifty"
COMMAND = """
import sys
from pathlib import Path
from experiments import __main__ as experiments
from stress.long_run import TEST_SET, test_set
root, stereo = Path(sys.argv[1]), sys.argv[2] == "stereo"
experiments.TEST_SETS[TEST_SET] = test_set(root, stereo)
experiments.UNFINISHED = root / "unfinished"
sys.exit(experiments.main(sys.argv[3:]))
"""
"""`python -m experiments` with one more test set, and a folder of its own for songs that are done."""


def test_set(root, stereo):
    """The row of `experiments.TEST_SETS`."""
    return root, "test", SOURCES, 44100 if stereo else 22050, not stereo


test_set.__test__ = False  # of pytest


def write_songs(root, songs=SONGS, seconds=SECONDS, stereo=False, tile=5.0):
    """Songs in MUSDB18-HQ layout: each another combination of three drums, basses, others and vocals, which are linked.

    Parameters
    ----------
    root : Path
    songs : int
        at most 81.
    seconds, tile : float
        length of a song, and of what it repeats.
    stereo : bool
        at 44.1 kHz, too; else mono at 22.05 kHz, which is above `experiments.FILTERS_UP_TO`.
    """
    from virtual_band import render_song
    from virtual_band.dataset import songs_of

    bands = [render_song(artist, seed, tile) for artist, seed in songs_of("one_artist", 3)]
    _, _, _, rate, mono = test_set(root, stereo)
    samples, channels = round(seconds * rate), 1 if mono else 2

    def tiled_stem(band, source):
        audio = resample(to_mono(band.stems[source])[None] if mono else band.stems[source], band.sample_rate, rate)
        return np.resize(audio.T, (samples, channels))  # repeats it

    tiled = [{source: tiled_stem(band, source) for source in SOURCES} for band in bands]
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

    def __init__(self, root, system, jobs, stereo):
        self.kept, self.peaks = root / "unfinished", []
        command = [sys.executable, "-c", COMMAND, root, "stereo" if stereo else "mono", "--test-sets", TEST_SET]
        command += ["--systems", system, "--jobs", jobs, "--out", root / "out", "--museval", root / "museval"]
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


def run(songs=SONGS, seconds=SECONDS, system=SYSTEM, jobs=JOBS, stereo=False):
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
        write_songs(root, songs, seconds, stereo)
        begun = time.monotonic()
        first = Run(root, system, jobs, stereo)
        first.until(songs // 2)
        if first.process.poll() is not None:
            raise RuntimeError(f"the first run ended by itself: {first.last_words()}")
        first.kill()
        before = first.done()
        second = Run(root, system, jobs, stereo)
        after = second.until(songs + 1)
        if second.process.wait() != 0:
            raise RuntimeError(f"the second run failed: {second.last_words()}")
        took = time.monotonic() - begun
        records = results.read(root / "out" / f"{TEST_SET}-{system}.json")["records"]
        found = Counter((row["track"], row["source"], row["metric"]) for row in records)
        names = sorted(path.name for path in (root / "test").iterdir())
        expected = list(itertools.product(names, SOURCES, ("si_sdr", "snr", "sdr")))
        right = sum(found[key] == 1 for key in expected) - sum(key not in expected for key in found)
        right -= sum(not agree for agree in again(root, system, stereo, records, (names[0], names[-1])))
        store = museval.EvalStore()
        store.add_eval_dir(root / "museval" / TEST_SET / system)
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


def again(root, system, stereo, records, names):
    """Whether the scores of these songs are those that each has where it is scored by itself: one truth per score."""
    from experiments import __main__ as experiments

    _, subset, sources, rate, mono = test_set(root, stereo)
    for song in tracks(root, subset):
        if song.name in names:
            alone = experiments.score_song(song, system, sources, rate, mono)["records"]
            values = {(row["source"], row["metric"]): row["value"] for row in records if row["track"] == song.name}
            for row in alone:
                yield abs(values.get((row["source"], row["metric"]), np.inf) - row["value"]) < 1e-4


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m stress.long_run", description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=SONGS, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each song (default: %(default)s)")
    parser.add_argument("--system", default=SYSTEM, help="of `python -m experiments` (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=JOBS, help="songs at a time (default: %(default)s)")
    parser.add_argument("--stereo", action="store_true", help="as MUSDB18's songs are: stereo at 44.1 kHz")
    options = parser.parse_args(arguments)
    found = run(options.songs, options.seconds, options.system, options.jobs, options.stereo)
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
