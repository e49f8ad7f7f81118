"""The command `python -m virtual_band`."""

import argparse
import sys
from pathlib import Path

import soundfile

from common import terminal
from common.places import HERE
from virtual_band.dataset import SETS, build_set


def main(arguments=None):
    """Build the data sets and print what was written; returns the exit status."""
    named = ", ".join(name for name, plan in SETS.items() if plan.on_request)
    counts = ", ".join(f"{name} {plan.songs}" for name, plan in SETS.items())
    parser = argparse.ArgumentParser(prog="python -m virtual_band", description="Write the virtual band's data sets.")
    parser.add_argument("--data", type=Path, default=HERE.band, help="folder of the sets (default: data/virtual_band)")
    parser.add_argument(
        "--sets", nargs="+", metavar="SET", help=f"of {', '.join(SETS)} (default: all but many_artists, {named})"
    )
    parser.add_argument("--songs", type=int, help=f"songs per set (default: {counts})")
    parser.add_argument("--many", type=int, default=0, help="songs of many_artists (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a song (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="songs at a time, each in a process (default: %(default)s)")
    options = parser.parse_args(arguments)
    resumes = "interrupted; the same command resumes here"
    return terminal.ended("virtual_band", lambda: build(**vars(options)), resumes)


def build(data, sets, songs, many, seconds, jobs):
    """Build the sets that were asked for, and say what was written."""
    for name in sets or [name for name, plan in SETS.items() if not plan.on_request]:
        count = songs
        if name == "many_artists":
            count = many or (songs if sets else 0)
            if not count:
                continue
        try:
            folder, written = build_set(data, name, songs=count, seconds=seconds, jobs=jobs)
        except soundfile.LibsndfileError as error:
            raise OSError(f"{data}: {error}") from error
        print(f"{HERE.shown(folder)}: " + (f"{written} songs written" if written else "up to date"))


if __name__ == "__main__":
    sys.exit(main())
