"""SIGKILL at random moments: python -m stress.kills [TASK …] [--kills N]

Each task runs once undisturbed. Then it is killed again and again, at moments spread evenly over that time, before it
may finish; what it leaves must equal what the undisturbed run left, and after every kill what a reader finds is either
not there or complete.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import soundfile

from audio_processing.tracks import SOURCES
from common import results


def visible(folder, pattern):
    """The files of a folder that match, but for those in hidden folders: what is not complete lies there."""
    paths = [path for path in Path(folder).rglob(pattern) if path.is_file()]
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def write_songs(root, songs=3, seconds=1.0, sample_rate=16000):
    """A tiny data set of noise in MUSDB18-HQ layout."""
    from audio_processing.audio_processing import save

    rng = np.random.default_rng(0)
    for i in range(songs):
        stems = 0.1 * rng.standard_normal((4, 1, int(seconds * sample_rate))).astype(np.float32)
        for name, audio in zip(("mixture", *SOURCES), (stems.sum(axis=0), *stems)):
            save(root / "test" / f"Artist - Song {i}" / f"{name}.wav", audio, sample_rate)


class Dataset:
    """Two songs of the virtual band; a song's folder, and the set's, appear when they are complete."""

    def prepare(self, folder):
        import virtual_band.dataset  # noqa: F401 - imported once, before the runs

    def work(self, folder):
        from virtual_band.dataset import build_set

        build_set(folder, "same_artist", songs=3, seconds=1.0)

    def found(self, folder):
        """Content of what a reader finds: sounds and scores by their bytes, annotations by their arrays."""
        content = {}
        for path in visible(folder, "*.*"):
            name = str(path.relative_to(folder)).replace("same_artist.partial", "same_artist")
            if path.suffix == ".npz":
                with np.load(path) as arrays:
                    content[name] = {key: arrays[key].tobytes() for key in arrays}
            else:
                content[name] = path.read_bytes()
        return content


class Separation:
    """A song of noise through separate.py: stems, and with them their folder, appear when all are complete."""

    def prepare(self, folder):
        import separate

        self.song = folder / "song.wav"
        audio = 0.2 * np.random.default_rng(0).standard_normal((200_000, 2)).clip(-3, 3)
        soundfile.write(self.song, audio, 44100)
        separate.separate(audio.T[:, :5000], 44100, "hps")  # compiled once, before the runs

    def work(self, folder):
        import separate

        separate.separate_file(self.song, "hps", folder / "out", progress=False)

    def found(self, folder):
        """Samples of what a reader finds: the files hold the second in which they were written, too."""
        return {path.name: soundfile.read(path)[0].tobytes() for path in visible(folder, "*.wav")}


class Scores:
    """Two systems on three songs: songs that are done are not scored again, and a result file is whole."""

    def prepare(self, folder):
        from experiments import __main__ as experiments

        write_songs(folder / "songs")
        experiments.TEST_SETS["tiny"] = (folder / "songs", "test", SOURCES, 16000, True)
        experiments.FILTERS_UP_TO = 0  # sir and sar take a hundred times as long

    def work(self, folder):
        from experiments import __main__ as experiments

        experiments.SCORES, experiments.UNFINISHED = folder / "scores", folder / "unfinished"
        experiments.run("tiny", ["mixture", "irm"])

    def found(self, folder):
        return {path.name: results.read(path)["records"] for path in visible(folder / "scores", "*.json")}


class Training:
    """Four epochs of a tiny Conv-TasNet: a run goes on from its last epoch, and its curve is the same."""

    def prepare(self, folder):
        import keras  # its backend starts when it computes, after the fork

        from mss_nn_implementation import train
        from mss_nn_implementation.parameters import Parameters, Training

        write_songs(folder / "songs", songs=2)
        train.JIT = False  # compiling would take longer than training
        songs = (folder / "songs", "test")
        sizes = Parameters(N=8, L=8, B=4, H=6, P=3, X=2, R=1, Sc=4)
        short = Training(seconds=0.25, batch_size=2, steps=12, steps_per_epoch=3, warmup=3)
        self.job = ("tiny", short, sizes, songs, songs)
        self.version = keras.__version__

    def work(self, folder):
        from mss_nn_implementation import train

        train.train(*self.job, folder / "run")

    def found(self, folder):
        """The curve, row by row; of a run that is not finished nothing is promised to readers."""
        import csv

        if not (folder / "run" / "log.csv").exists():
            return {}
        with open(folder / "run" / "log.csv", newline="") as file:
            rows = [(row["epoch"], row["loss"], row["val_loss"]) for row in csv.DictReader(file)]
        return {epoch: (round(float(loss), 5), round(float(other), 5)) for epoch, loss, other in rows if other}


TASKS = {"dataset": Dataset, "separation": Separation, "results": Scores, "training": Training}


def attempt(work, seconds=None):
    """Run `work()` in a process of its own, forked from this one; kill it after so many seconds.

    Returns
    -------
    bool
        whether it finished.

    Raises
    ------
    RuntimeError
        where it failed by itself, with what it printed.
    """
    with tempfile.TemporaryFile() as said:
        process = os.fork()
        if process == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        end = None if seconds is None else time.monotonic() + seconds
        done, status = (0, 0) if end is not None else os.waitpid(process, 0)
        while not done and time.monotonic() < end:
            time.sleep(0.001)
            done, status = os.waitpid(process, os.WNOHANG)
        if not done:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return False
        if status:
            said.seek(0)
            raise RuntimeError(f"a run failed: {said.read().decode(errors='replace')[-2000:]}")
        return True


def run(name, kills, seed=0):
    """Kill one task so many times.

    Parameters
    ----------
    name : str
        a key of `TASKS`.
    kills, seed : int

    Returns
    -------
    dict
        "tried" (kills), "passed" (those after which readers found nothing half-written and the task finished as ever),
        "worst" (most kills in a row before it could finish) and "failures" (which).
    """
    rng = np.random.default_rng([seed, list(TASKS).index(name)])
    task, failures, killed, longest = TASKS[name](), {}, 0, 0
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        task.prepare(root)
        (root / "whole").mkdir()
        begun = time.monotonic()
        attempt(lambda: task.work(root / "whole"))
        seconds = time.monotonic() - begun
        whole, files = task.found(root / "whole"), names(root / "whole")
        rounds = 0
        while killed < kills:
            folder = root / f"killed {rounds}"
            folder.mkdir()
            rounds += 1
            here, wrong = 0, []
            for _ in range(min(kills - killed, int(rng.integers(1, 5)))):
                if attempt(lambda: task.work(folder), rng.uniform(0, seconds)):  # noqa: B023 - used at once
                    break
                here += 1
                try:
                    wrong += [key for key, value in task.found(folder).items() if whole.get(key) != value]
                except Exception as error:  # a reader that stumbles over half of a file
                    wrong.append(f"{type(error).__name__}: {error}")
            attempt(lambda: task.work(folder))  # noqa: B023
            if task.found(folder) != whole:
                wrong.append("another outcome")
            if names(folder) != files:
                wrong.append(f"other files: {sorted(set(names(folder)) ^ set(files))}")
            killed, longest = killed + here, max(longest, here)
            if wrong:
                failures[f"round {rounds}, after {here} kills"] = wrong
    lost = sum(int(key.split()[-2]) for key in failures)
    return {"tried": killed, "passed": killed - lost, "worst": longest, "failures": failures}


def names(folder):
    """All files in a folder, hidden ones, too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m stress.kills", description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)} (default: all)")
    parser.add_argument("--kills", type=int, default=25, help="of each task (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.tasks if name not in TASKS]:
        print(f"kills: {unknown[0]!r} is none of {', '.join(TASKS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in options.tasks or TASKS:
        found = run(name, options.kills, options.seed)
        failed += found["tried"] - found["passed"]
        print(json.dumps({"task": name, **found}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
