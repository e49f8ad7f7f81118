"""Hard knocks, many of them: python -m stress.reliability [CHECK …], or `make stress` → results/reliability.json

files       every file of stress/hostile.py through separate.py
mutants     1,000 damaged files through separate.py
kills       SIGKILL at 100 random moments of data set, separation, results and training
long_run    50 songs of 250 s through `python -m experiments`, killed midway and finished by the next run
properties  length, level, silence, sum, chunks and order of songs, for every separator whose weights are here
margins     oracle > model > mixture, from results/scores
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from common import results

PATH = results.RESULTS / "reliability.json"
MUTANTS, KILLS = 200, 25  # of each kind of file; of each task
SEED = 0


def record(check, case, tried, passed, figure, worst, unit):
    """One row of the results: what was tried, how often it held, and the worst that was seen."""
    return {
        "check": check,
        "case": case,
        "tried": int(tried),
        "passed": int(passed),
        "figure": figure,
        "worst": float(worst),
        "unit": unit,
    }


def files():
    """Every hostile file has its outcome."""
    from stress.hostile import CASES, check

    worst, passed = 0.0, 0
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst = max(worst, check(case, Path(folder)))
                passed += 1
            except AssertionError as error:
                print(f"files: {name}: {error}", file=sys.stderr)
    yield record("files", "hostile files", len(CASES), passed, "stems + residual - song", worst, "of the peak")


def mutants():
    """Damaged files end in stems or in one line."""
    from stress.mutants import kinds, run

    for kind in kinds():
        found = run(kind, MUTANTS, SEED)
        for name, wrong in found["failures"].items():
            print(f"mutants: {name}: {wrong}", file=sys.stderr)
        yield record("mutants", kind, found["tried"], found["passed"], "slowest file", found["worst"], "s")


def kills():
    """A task that was killed finishes as ever."""
    from stress.kills import TASKS, run

    for task in TASKS:
        found = run(task, KILLS, SEED)
        for name, wrong in found["failures"].items():
            print(f"kills: {task}: {name}: {wrong}", file=sys.stderr)
        yield record("kills", task, found["tried"], found["passed"], "kills before it finished", found["worst"], "")


def long_run():
    """As many songs as MUSDB18's test set has, and as long: nothing lost, nothing done twice, memory that stays."""
    from stress.long_run import GROWTH, run

    found = run()
    hours, songs = found["songs"] * found["song_seconds"] / 3600, found["songs"]
    case = f"{songs} songs, {hours:.1f} h, mono at 22.05 kHz, killed when {found['before']} were done"
    yield record("long_run", f"{case}: scores", found["scores"], found["right"], "seconds", found["seconds"], "s")
    done, twice = found["before"], found["twice"]
    yield record("long_run", "songs that were done are kept", done, done - twice, "scored twice", twice, "songs")
    yield record("long_run", "files that museval reads", songs, found["museval"], "seconds", found["seconds"], "s")
    good = found["growth"] <= GROWTH
    yield record(
        "long_run", f"memory, {found['jobs']} songs at a time", 1, good, "peak of all processes", found["peak_mb"], "MB"
    )
    figure = f"growth from first to last songs, at most {GROWTH:g}"
    yield record("long_run", "memory that does not grow", 1, good, figure, found["growth"], "")


def properties(models=None):
    """Every separator keeps what is promised of all; `models` are measured, by default all whose weights are here."""
    from separate import separator
    from stress import properties as measured

    for model in measured.available() if models is None else models:
        rng = np.random.default_rng(SEED)
        chosen = separator(model)
        seconds = 1.3 * getattr(chosen, "chunk_seconds", chosen.window_seconds)
        lengths = [(int(n), int(c), int(r)) for n, c, r in zip(
            rng.integers(1, 9000, 20), rng.integers(1, 4, 20), rng.choice([8000, 16000, 22050, 44100], 20)
        )]  # fmt: skip
        errors = {
            "length in = length out": [measured.length_error(model, measured.song(*w), w[2]) for w in lengths],
            "silence gives silence": [measured.loudest_of_silence(model, c, n, r) for n, c, r in lengths[:5]],
            "order of songs": [measured.order_error(model, [measured.song(n) for n in (4000, 9000, 100)], 16000)],
        }
        for case, values in errors.items():
            good = sum(value == 0 for value in values)
            yield record("properties", f"{case}, {model}", len(values), good, "largest error", np.max(values), "")
        yield loudness(model)
        sums, chunks = measured.file_errors(model, measured.song(int(seconds * 8000)), 8000)
        yield record("properties", f"stems + residual = song, {model}", 1, sums < 1e-6, "largest error", sums, "")
        limit = measured.CHUNKED.get(model, measured.CHUNKED_OTHERS)
        figure = f"difference, at most {limit:g}"
        yield record("properties", f"chunks = whole, {model}", 1, chunks <= limit, figure, chunks, "dB of the song")


def loudness(model):
    """What a louder song does to a separator's stems."""
    from stress import properties as measured

    case, error, largest, allowed, unit = measured.gain_promise(model)
    gains = np.linspace(-largest, largest, 10)
    values = [
        error(model, measured.song(16000, seed=i), 16000, np.float32(10 ** (g / 20))) for i, g in enumerate(gains)
    ]
    good, figure = sum(value <= allowed for value in values), f"largest error, at most {allowed:g}"
    return record("properties", f"{case}, {model}", len(values), good, figure, np.max(values), unit)


def margins():
    """On the shipped test songs every stem of a separator is better than the mixture, and no better than an oracle."""
    from stress import properties as measured

    for test_set in measured.SETS:
        for model in (*measured.MASKS, *measured.UNBOUND):
            above, below = measured.margins(test_set, model)
            for case, found in ((f"{model} > mixture", above), (f"{measured.CEILING} > {model}", below)):
                good = sum(value > 0 for value in found)
                if found:
                    yield record(
                        "margins", f"{case}, {test_set}", len(found), good, "smallest distance", min(found), "dB"
                    )


CHECKS = {check.__name__: check for check in (files, mutants, kills, long_run, properties, margins)}


def stays(row, models):
    """Whether a row of `properties` is of another model than those that are measured again."""
    return bool(models) and row["check"] == "properties" and row["case"].rsplit(", ", 1)[1] not in models


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m stress.reliability", description=__doc__.split("\n")[0])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)} (default: all)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="of properties: these, others stay (default: all)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.checks if name not in CHECKS]:
        print(f"reliability: {unknown[0]!r} is none of {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    wanted = options.checks or list(CHECKS)
    again = {"properties": partial(properties, options.models)} if options.models else {}
    rows, seconds = [], {}
    for name in wanted:
        begun = time.monotonic()
        for row in again.get(name, CHECKS[name])():
            rows.append(row)
            print(
                f"{name}: {row['case']}: {row['passed']} of {row['tried']}, {row['figure']} {row['worst']:.3g}",
                flush=True,
            )
        seconds[name] = round(time.monotonic() - begun, 1)
    try:  # now: another check may have been written while this one ran
        before = results.read(PATH)
    except results.ResultsError:
        before = {"records": [], "check_seconds": {}}
    kept = [row for row in before["records"] if row["check"] not in wanted or stays(row, options.models)]
    seconds = {**before["check_seconds"], **seconds}
    content = results.head("reliability", config={"mutants": MUTANTS, "kills": KILLS}, seed=SEED)
    content["seconds"] = round(sum(seconds.values()), 1)
    content["check_seconds"] = seconds
    content["records"] = sorted(kept + rows, key=lambda row: list(CHECKS).index(row["check"]))
    results.write(PATH, content)
    print("wrote", PATH.relative_to(results.ROOT))
    return 1 if any(row["passed"] < row["tried"] for row in content["records"]) else 0


if __name__ == "__main__":
    sys.exit(main())
