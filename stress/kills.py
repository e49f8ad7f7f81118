"""SIGKILL at random moments: python -m stress.reliability kills

Each task runs once undisturbed. Then it is killed again and again, at moments spread evenly over that time, before it
may finish. It must leave what the undisturbed run left, and after every kill each visible file is either absent or
complete.
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from audio_processing.audio_processing import save
from audio_processing.tracks import SOURCES
from common import results
from common.places import Places


def visible(folder, pattern):
    """The files of a folder that match, except those in hidden folders, which hold what is not complete."""
    return sorted(
        path
        for path in Path(folder).rglob(pattern)
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def write_songs(root, songs=3, seconds=1.0, sample_rate=16000):
    """A tiny data set of noise in MUSDB18-HQ layout."""
    rng = np.random.default_rng(0)
    for i in range(songs):
        stems = 0.1 * rng.standard_normal((4, 1, int(seconds * sample_rate))).astype(np.float32)
        for name, audio in zip(("mixture", *SOURCES), (stems.sum(axis=0), *stems)):
            save(root / "test" / f"Artist - Song {i}" / f"{name}.wav", audio, sample_rate)


# Each task prepares what it needs in a folder, before the runs, and returns two functions of a run's folder: one that
# does the work, and one that returns what a reader finds there, name → content.


def dataset(root):
    """Two songs of the virtual band; a song's folder, and the set's, appear when they are complete."""
    from virtual_band.dataset import build_set

    def content(folder):
        """Sounds and scores by their bytes, annotations by their arrays."""
        return {
            str(path.relative_to(folder)).replace("same_artist.partial", "same_artist"): (
                {key: array.tobytes() for key, array in np.load(path).items()}
                if path.suffix == ".npz"
                else path.read_bytes()
            )
            for path in visible(folder, "*.*")
        }

    return lambda folder: build_set(folder, "same_artist", songs=3, seconds=1.0), content


def separation(root):
    """A song of noise through separate.py: stems, and with them their folder, appear when all are complete."""
    from separate import separate, separate_file

    audio = 0.2 * np.random.default_rng(0).standard_normal((200_000, 2)).clip(-3, 3)
    soundfile.write(root / "song.wav", audio, 44100)
    separate(audio.T[:, :5000], 44100, "hps")  # compiled once, before the runs

    def content(folder):
        """Samples: the files hold the second in which they were written, too."""
        return {path.name: soundfile.read(path)[0].tobytes() for path in visible(folder, "*.wav")}

    return lambda folder: separate_file(root / "song.wav", "hps", folder / "out", progress=False), content


def scores(root):
    """Two systems on three songs: songs that are done are not scored again, and a result file is whole."""
    from experiments.catalogue import SYSTEMS, TestSet
    from experiments.run import Options, run

    write_songs(root / "songs")
    test_set = TestSet("tiny", "songs of noise", root / "songs", sources=SOURCES, filters=False)
    systems = [SYSTEMS["mixture"], SYSTEMS["irm"]]

    def content(folder):
        return {path.name: results.read(path)["records"] for path in visible(Places(folder).results, "*.json")}

    return lambda folder: run(test_set, systems, Options(Places(folder))), content


def training(root):
    """Four epochs of a tiny Conv-TasNet: a run resumes from its last checkpoint, and its curve is the same."""
    from mss_nn_implementation.parameters import Parameters, Training
    from mss_nn_implementation.train import train
    from training import loop

    write_songs(root / "songs", songs=2)
    loop.JIT = False  # compiling would take longer than training
    songs = (root / "songs", "test")
    sizes = Parameters(N=8, L=8, B=4, H=6, P=3, X=2, R=1, Sc=4)
    short = Training(seconds=0.25, batch_size=2, steps=12, steps_per_epoch=3, warmup=3)

    def content(folder):
        """The curve, epoch by epoch; of a run that is not finished nothing else is promised to readers."""
        whole = (row for row in loop.read_log(folder / "run" / "log.csv") if row["val_loss"])
        return {row["epoch"]: [round(float(row[name]), 5) for name in ("loss", "val_loss")] for row in whole}

    return lambda folder: train(short, sizes, songs, songs, folder / "run"), content


TASKS = {"dataset": dataset, "separation": separation, "results": scores, "training": training}


def attempt(work, seconds=None):
    """Run `work()` in a process of its own, forked from this one; kill it after so many seconds.

    Returns
    -------
    bool
        whether it finished.

    Raises
    ------
    RuntimeError
        if it failed by itself, with what it printed.
    """
    with tempfile.TemporaryFile() as output:

        def captured():
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            work()

        process = multiprocessing.get_context("fork").Process(target=captured)
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
        process.join()
        if process.exitcode > 0:
            output.seek(0)
            raise RuntimeError(f"a run failed: {output.read().decode(errors='replace')[-2000:]}")
        return process.exitcode == 0


def wrong(task, folder, expected):
    """What a reader finds in a run's folder that differs from what belongs there: list of names or errors."""
    try:
        return [name for name, content in task[1](folder).items() if expected.get(name) != content]
    except Exception as error:  # a reader that stumbles over half of a file
        return [f"{type(error).__name__}: {error}"]


def kill(task, folder, expected, files, moments):
    """One round: kill a task at these moments after its start, then let it finish.

    Returns
    -------
    kills : int
        how often it was killed; less than asked for if it finished before.
    errors : list of str
    """
    kills, errors = 0, []
    for seconds in moments:
        if attempt(lambda: task[0](folder), seconds):
            break
        kills += 1
        errors += wrong(task, folder, expected)
    attempt(lambda: task[0](folder))
    if task[1](folder) != expected:
        errors.append("another outcome")
    if other := set(names(folder)) ^ set(files):
        errors.append(f"other files: {sorted(other)}")
    return kills, errors


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
        "tried" (kills), "passed" (those of rounds in which no visible file was half-written and the task finished as
        ever), "worst" (most kills in a row before it could finish) and "failures" (round → errors).
    """
    rng = np.random.default_rng([seed, list(TASKS).index(name)])
    rounds = []
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        task, whole = TASKS[name](root), Path(tempfile.mkdtemp(dir=root))
        start = time.monotonic()
        attempt(lambda: task[0](whole))
        seconds = time.monotonic() - start
        expected, files = task[1](whole), names(whole)
        while (left := kills - sum(here for here, _ in rounds)) > 0:
            folder = Path(tempfile.mkdtemp(dir=root))
            moments = (rng.uniform(0, seconds) for _ in range(min(left, int(rng.integers(1, 5)))))
            rounds.append(kill(task, folder, expected, files, moments))
    return {
        "tried": sum(here for here, _ in rounds),
        "passed": sum(here for here, errors in rounds if not errors),
        "worst": max(here for here, _ in rounds),
        "failures": {f"round {i}, after {here} kills": errors for i, (here, errors) in enumerate(rounds, 1) if errors},
    }


def names(folder):
    """All files in a folder, hidden ones, too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
