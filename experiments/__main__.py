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

import argparse
import dataclasses
import sys
from pathlib import Path

from common.places import HERE
from common.results import report
from experiments.catalogue import SYSTEMS, TEST_SETS
from experiments.run import Options, by_default, print_left_out, read_music, run, test_sets_here


def main(arguments=None):
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__, formatter_class=raw)
    parser.add_argument("--test-sets", nargs="+", choices=TEST_SETS, metavar="NAME", help="(default: all that is here)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, metavar="NAME", help="(default: see the catalogue)")
    parser.add_argument("--musdb", type=Path, metavar="FOLDER", help="MUSDB18, MUSDB18-HQ or excerpts, for MUSDB_PATH")
    parser.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="at a song that cannot be read")
    parser.add_argument("--jobs", type=int, default=1, help="songs at a time, each in a process; -1: one per core")
    parser.add_argument("--dask", metavar="ADDRESS", help="let the workers of this Dask scheduler score the songs")
    parser.add_argument("--force", action="store_true", help="score again what is up to date")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the result files (default: results/scores)")
    parser.add_argument("--museval", type=Path, metavar="FOLDER", help="write museval's files of every song there, too")
    given = parser.parse_args(arguments)
    places = dataclasses.replace(HERE, musdb=given.musdb or HERE.musdb)
    options = Options(places, given.jobs, given.dask, given.force, given.on_error, given.out, given.museval)

    def write():
        test_sets = [TEST_SETS[name] for name in given.test_sets or test_sets_here(places)]
        music = {test_set.name: read_music(test_set, options.on_error, places) for test_set in test_sets}
        for name, songs in music.items():
            print_left_out(name, songs.left_out)
        # one system on all test sets, then the next: a process keeps a network that it has loaded and compiled
        return [
            path
            for system in map(SYSTEMS.get, given.systems or SYSTEMS)
            for test_set in test_sets
            if given.systems or by_default(test_set, system)
            for path in run(test_set, [system], options, music[test_set.name])
        ]

    return report("experiments", write)


if __name__ == "__main__":
    sys.exit(main())
