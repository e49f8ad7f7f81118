"""The command `python -m virtual_band`."""

import argparse
import sys
from pathlib import Path

import soundfile

from virtual_band.dataset import SETS, build_set


def main(arguments=None):
    """Build the data sets and say what was written; exit status 2 and one line on standard error where that fails."""
    parser = argparse.ArgumentParser(prog="python -m virtual_band", description="Write the virtual band's data sets.")
    parser.add_argument(
        "--root", type=Path, default=Path("data/virtual_band"), help="folder of the sets (default: %(default)s)"
    )
    parser.add_argument(
        "--sets",
        nargs="+",
        metavar="SET",
        help=f"which to write: {', '.join(SETS)} (default: all that hold songs, but for those of "
        + ", ".join(name for name, plan in SETS.items() if plan.on_request)
        + ")",
    )
    parser.add_argument(
        "--songs", type=int, help="songs per set instead of " + ", ".join(f"{n} {p.songs}" for n, p in SETS.items())
    )
    parser.add_argument("--many", type=int, default=0, help="songs of many_artists (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a song (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        for name in options.sets or [name for name, plan in SETS.items() if not plan.on_request]:
            songs = options.songs
            if name == "many_artists" and (options.many or songs is None or not options.sets):
                songs = options.many
                if not songs:
                    continue
            folder, written = build_set(
                options.root, name, songs=songs, seconds=options.seconds, workers=options.workers
            )
            print(f"{folder}: " + (f"{written} songs written" if written else "up to date"))
    except (ValueError, OSError, soundfile.LibsndfileError) as error:
        print(f"virtual_band: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("virtual_band: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
