"""Stress tests: python -m stress.reliability [CHECK …], or `make stress` → results/reliability.json

files       every file of stress/hostile.py through separate.py
formats     every kind of sound file that ffmpeg writes, against ffmpeg's decoding; HPS of each
mutants     1,000 damaged files through separate.py
kills       SIGKILL at 100 random moments of data set, separation, results and training
long_run    50 songs of 250 s through `experiments.run`, killed midway and finished by the next run
properties  length, level, silence, sum, chunks and order of songs, for every separator whose weights are here
stereo      scores of recorded songs whose stereo image is inverted, swapped or turned
promises    the tests that stress/README.md names
margins     oracle > model > mixture, from results/scores
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from common import command, results
from common.places import HERE, ROOT
from stress import formats, hostile, kills, long_run, mutants, properties, stereo

MUTANTS, KILLS, SEED = 200, 25, 0
"""Damaged files of each kind; kills of each task; the seed of both."""


def record(check, case, tried, passed, figure, worst, unit):
    """One row of the results: what was tried, how often it passed, and the worst that was measured."""
    return {
        "check": check,
        "case": case,
        "tried": int(tried),
        "passed": int(passed),
        "figure": figure,
        "worst": float(worst),
        "unit": unit,
    }


def within(check, case, errors, limit, figure, unit=""):
    """The row of errors that may be at most `limit`."""
    return record(check, case, len(errors), sum(error <= limit for error in errors), figure, np.max(errors), unit)


def counted(check, case, outcome, figure, unit):
    """The row of what `mutants.run` or `kills.run` returns; names failures on standard error."""
    for name, reason in outcome["failures"].items():
        print(f"{check}: {case}: {name}: {reason}", file=sys.stderr)
    return record(check, case, outcome["tried"], outcome["passed"], figure, outcome["worst"], unit)


def check_files(options):
    """Every hostile file has its outcome."""
    worst, failures, tried = [0.0], {}, len(hostile.CASES)
    for name, case in hostile.CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst.append(hostile.check(case, Path(folder)))
            except AssertionError as error:
                failures[name] = error
    outcome = {"tried": tried, "passed": tried - len(failures), "failures": failures, "worst": max(worst)}
    yield counted("files", "hostile files", outcome, "stems + residual - song", "of the peak")


def check_formats(options):
    """Every kind of sound file is read as ffmpeg decodes it, and separated."""
    if not hostile.HAS_FFMPEG:
        return
    found, sums = {True: [], False: []}, []
    for ending in formats.KINDS:
        with tempfile.TemporaryDirectory() as folder:
            path = formats.write(Path(folder), ending)
            found[ending in formats.LOSSLESS].append(formats.difference(path))
            sums.append(formats.sum_error(path, "hps"))
    yield within("formats", "every kind, hps", sums, properties.SUM_LIMIT, "stems + residual - song", "of full scale")
    figure = "largest difference from ffmpeg's samples"
    yield within("formats", "without losses", found[True], 0.0, figure)
    yield within("formats", "with losses", found[False], formats.LOSSY_LIMIT, figure)
    for model in options.only or properties.available():
        with tempfile.TemporaryDirectory() as folder:
            paths = [formats.write(Path(folder), ending) for ending in ("vbr.mp3", "m4a", "5.1.ogg")]
            errors = [formats.sum_error(path, model) for path in paths]
        figure = "stems + residual - song"
        yield within(
            "formats", f"vbr.mp3, m4a, 5.1.ogg, {model}", errors, properties.SUM_LIMIT, figure, "of full scale"
        )


def check_stereo(options):
    """A recorded song has the same scores whichever way its stereo image lies."""
    for model in options.only or stereo.MODELS if stereo.songs() else ():
        for case, values in stereo.changes(model).items():
            figure = f"largest change of sdr and snr, at most {stereo.SDR_LIMIT:g}"
            yield within("stereo", f"{case}, {model}", values, stereo.SDR_LIMIT, figure, "dB")


def check_mutants(options):
    """Damaged files end in stems or in one line."""
    for kind in options.only or mutants.kinds():
        yield counted("mutants", kind, mutants.run(kind, MUTANTS, SEED), "slowest file", "s")


def check_kills(options):
    """A task that was killed finishes as ever."""
    for task in options.only or kills.TASKS:
        yield counted("kills", task, kills.run(task, options.kills, options.seed), "kills before it finished", "")


def check_long_run(options):
    """As many songs as MUSDB18's test set has, and as long: nothing lost, nothing done twice, memory that stays."""
    run = long_run.run(options.songs, options.seconds, rate=44100 if options.stereo else 22050)
    done, hours = run["before"], run["songs"] * run["song_seconds"] / 3600
    sound = "stereo at 44.1 kHz" if options.stereo else "mono at 22.05 kHz"
    case = f"{run['songs']} songs, {hours:.1f} h, {sound}, killed when {done} were done: scores"
    rows = [
        (case, run["scores"], run["right"], "seconds", run["seconds"], "s"),
        ("songs that were done are kept", done, done - run["twice"], "scored twice", run["twice"], "songs"),
        ("files that museval reads", run["songs"], run["museval"], "seconds", run["seconds"], "s"),
        (f"memory, {run['jobs']} songs at a time", 1, 1, "peak of all processes", run["peak_mb"], "MB"),
    ]
    yield from (record("long_run", *row) for row in rows)
    figure = f"growth from first to last songs, at most {long_run.GROWTH:g}"
    yield within("long_run", "memory that does not grow", [run["growth"]], long_run.GROWTH, figure)


def check_properties(options):
    """Every separator keeps what is promised of all."""
    for model in options.only or properties.available():
        rng = np.random.default_rng(SEED)
        drawn = rng.integers(1, 9000, 20), rng.integers(1, 4, 20), rng.choice([8000, 16000, 22050, 44100], 20)
        lengths = [tuple(map(int, row)) for row in zip(*drawn)]
        three = [properties.song(n) for n in (4000, 9000, 100)]
        for case, values in {
            "length in = length out": [properties.length_error(model, properties.song(*w), w[2]) for w in lengths],
            "silence gives silence": [properties.loudest_of_silence(model, c, n, r) for n, c, r in lengths[:5]],
            "order of songs": [properties.order_error(model, three, 16000)],
            "a silent channel stays silent": [properties.ghosts(model, silent) for silent in (0, 1, 2)],
        }.items():
            yield within("properties", f"{case}, {model}", values, 0, "largest error")
        yield loudness(model)
        figure, errors = (
            "largest error, at most 0.002",
            [properties.turn_error(model, turn) for turn in properties.TURNS],
        )
        yield within("properties", f"stereo image in = out, {model}", errors, properties.GAIN_LIMIT, figure)
        sums, chunks = properties.file_errors(model, properties.longer_than_a_chunk(model), 8000)
        yield within("properties", f"stems + residual = song, {model}", [sums], properties.SUM_LIMIT, "largest error")
        limit, figure = properties.CHUNK_LIMIT, f"difference, at most {properties.CHUNK_LIMIT:g}"
        yield within("properties", f"chunks = whole, {model}", [chunks], limit, figure, "dB of the song")


def loudness(model):
    """What a louder song does to a separator's stems."""
    case, error, largest, limit, unit = properties.gain_promise(model)
    gains = 10 ** (np.linspace(-largest, largest, 10) / 20)
    errors = [error(model, properties.song(16000, seed=i), 16000, np.float32(g)) for i, g in enumerate(gains)]
    return within("properties", f"{case}, {model}", errors, limit, f"largest error, at most {limit:g}", unit)


def check_promises(options):
    """The tests that keep what stress/README.md promises, file by file."""
    text = (ROOT / "stress" / "README.md").read_text()
    for path in options.only or sorted(set(re.findall(r"tests/[\w/]+\.py", text))):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-q", path, f"--junitxml={report}"]
            subprocess.run(command, cwd=ROOT, stdout=sys.stderr)
            cases = list(ElementTree.parse(report).getroot().iter("testcase"))
        outcome = [{child.tag for child in case} for case in cases]
        tried = sum("skipped" not in tags for tags in outcome)
        passed = sum(not tags & {"skipped", "failure", "error"} for tags in outcome)
        slowest = max(float(case.get("time")) for case in cases)
        yield record("promises", path, tried, passed, "slowest test", slowest, "s")


def check_margins(options):
    """On the virtual test songs every stem of a separator is better than the mixture, and a mask's below the oracle."""
    for test_set, model in properties.compared():
        above, below = properties.margins(test_set, model)
        for case, distances in ((f"{model} > mixture", above), (f"{properties.ORACLE} > {model}", below)):
            if distances:
                tried, passed = len(distances), sum(distance > 0 for distance in distances)
                yield record("margins", f"{case}, {test_set}", tried, passed, "smallest distance", min(distances), "dB")


CHECKS = {
    "files": check_files,
    "formats": check_formats,
    "mutants": check_mutants,
    "kills": check_kills,
    "long_run": check_long_run,
    "properties": check_properties,
    "stereo": check_stereo,
    "promises": check_promises,
    "margins": check_margins,
}


def stays(row, checks, only):
    """Whether an earlier row stays: it is of another check, or its case is not among those that are checked again."""
    return row["check"] not in checks or bool(only) and row["case"].rsplit(", ", 1)[-1] not in only


def main(arguments=None, places=HERE, checks=CHECKS):
    """The command. Returns its exit status: 0, or 1 if anything failed."""
    names = ("all", *checks)
    options = command.options_of(
        "stress.reliability",
        __doc__,
        {
            "checks": dict(nargs="*", default="all", metavar="CHECK", choices=names, help=", ".join(names)),
            "--only": dict(
                nargs="+", metavar="NAME", help="separators of properties, tasks of kills, kinds of mutants"
            ),
            "--kills": dict(type=int, default=KILLS, help="of each task (default: %(default)s)"),
            "--seed": dict(type=int, default=SEED, help="of the kills (default: %(default)s)"),
            "--songs": dict(type=int, default=long_run.SONGS, help="of the long run (default: %(default)s)"),
            "--seconds": dict(type=float, default=long_run.SECONDS, help="of each song (default: %(default)s)"),
            "--stereo": dict(action="store_true", help="songs of the long run in stereo at 44.1 kHz"),
            "--dry-run": dict(action="store_true", help="check and print, write nothing"),
        },
        arguments,
    )
    chosen = [name for name in checks if name in options.checks or "all" in options.checks]
    rows, seconds = [], {}
    for name in chosen:
        start = time.monotonic()
        for row in checks[name](options):
            rows.append(row)
            print("{check}: {case}: {passed} of {tried}, {figure} {worst:.3g}".format(**row), flush=True)
        seconds[name] = round(time.monotonic() - start, 1)
    path = places.results / "reliability.json"
    if not options.dry_run:
        try:  # now: another check may have been written while this one ran
            before = results.read(path)
        except results.ResultsError:
            before = {"records": [], "check_seconds": {}}
        rows = [row for row in before["records"] if stays(row, chosen, options.only)] + rows
        seconds = {**before["check_seconds"], **seconds}
        content = results.head("reliability", config={"mutants": MUTANTS, "kills": KILLS}, seed=SEED) | {
            "seconds": round(sum(seconds.values()), 1),
            "check_seconds": seconds,
            "records": sorted(rows, key=lambda row: list(checks).index(row["check"])),
        }
        results.write(path, content)
        print("wrote", places.shown(path))
    return 1 if any(row["passed"] < row["tried"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
