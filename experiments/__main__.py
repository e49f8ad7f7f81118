"""Score systems on test sets: python -m experiments [--test-sets NAME …] [--systems NAME …] [--jobs N] [--force]

Each pair of test set and system is one file in results/scores/. A file that is intact and was made with the same
settings and weights on the same songs is up to date and left as it is. An interrupted run is resumed: songs that have
scores are not scored again.

A copy of MUSDB18, MUSDB18-HQ or the 7 s excerpts (MUSDB_PATH, --musdb, or what `make musdb` fetched) is the test set
`musdb18` or `musdb18_7s`. A song that cannot be read stops the run; with --on-error skip it is named on standard error
and in the result file ("left_out"), and the others are scored.

A system whose weights are missing is left out, and named. Without CREPE's weights, crepe_bce is absent (never 0), and
pYIN takes CREPE's place as the vocals' pitch tracker.
"""

import dataclasses
from pathlib import Path

from common.command import command
from common.places import HERE
from experiments.catalogue import SYSTEMS, TEST_SETS
from experiments.run import Options, by_default, print_left_out, read_music, run, test_sets_here

FLAGS = {
    "--test-sets": dict(nargs="+", choices=TEST_SETS, metavar="NAME", help="(default: all that is here)"),
    "--systems": dict(nargs="+", choices=SYSTEMS, metavar="NAME", help="(default: see the catalogue)"),
    "--musdb": dict(type=Path, metavar="FOLDER", help="MUSDB18, MUSDB18-HQ or excerpts, for MUSDB_PATH"),
    "--on-error": dict(choices=("stop", "skip"), default="stop", help="at a song that cannot be read"),
    "--jobs": dict(type=int, default=1, help="songs at a time, each in a process; -1: one per core"),
    "--dask": dict(metavar="ADDRESS", dest="cluster", help="let the workers of this Dask scheduler score the songs"),
    "--force": dict(action="store_true", help="score again what is up to date"),
    "--out": dict(type=Path, metavar="FOLDER", help="for the result files (default: results/scores)"),
    "--museval": dict(type=Path, metavar="FOLDER", help="write museval's files of every song there, too"),
}


def write(test_sets, systems, musdb, **options):
    """Score systems on test sets, both by name; the other options are those of `run.Options`."""
    options = Options(dataclasses.replace(HERE, musdb=musdb or HERE.musdb), **options)
    test_sets = [TEST_SETS[name] for name in test_sets or test_sets_here(options.places)]
    music = {test_set.name: read_music(test_set, options.on_error, options.places) for test_set in test_sets}
    for name, songs in music.items():
        print_left_out(name, songs.left_out)
    # one system on all test sets, then the next: a process keeps a network that it has loaded and compiled
    return [
        path
        for system in map(SYSTEMS.get, systems or SYSTEMS)
        for test_set in test_sets
        if systems or by_default(test_set, system)
        for path in run(test_set, [system], options, music[test_set.name])
    ]


raise SystemExit(command("experiments", __doc__, write, FLAGS))
