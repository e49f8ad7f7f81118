"""Measure speed against peers: python -m benchmarks [NAME ...]

Results go to results/benchmarks.json; records of benchmarks that are not run now stay as they are.
"""

import argparse
import importlib
import pkgutil
import sys

import benchmarks
from common import results

PATH = results.RESULTS / "benchmarks.json"


def names():
    """Names of the benchmarks: the modules of this package that have a `run`."""
    modules = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in modules if name not in ("__main__", "timing", "ddsp_peer"))


def merged(old, new):
    """Old records with those of the same benchmark and variant replaced by new ones; sorted by name.

    A variant that was not run today, its peer not being installed, keeps what was measured when it was.
    """
    return sorted({record["benchmark"]: record for record in [*old, *new]}.values(), key=lambda r: r["benchmark"])


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 for an unknown name or a result file that was changed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(names())}")
    parser.add_argument("--dry-run", action="store_true", help="measure and print, write nothing")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(names())):
        print(f"benchmarks: NAME: {unknown[0]!r} is none of {', '.join(names())}", file=sys.stderr)
        return 2
    try:
        old = results.read(PATH)["records"] if PATH.exists() else []
    except results.ResultsError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    new = []
    for name in options.names or names():
        for record in importlib.import_module(f"benchmarks.{name}").run():
            print(
                f"{record['benchmark']:28} {record['ours_s']:8.4f} s  {record['peer']} {record['peer_s']:8.4f} s  "
                f"{record['ratio']:6.2f} x  max error {record['max_error']:.1e}  {record['peak_mb']:.0f} MB",
                flush=True,
            )
            new.append(record)
    if options.dry_run:
        return 0
    results.write(PATH, results.head("benchmarks") | {"records": merged(old, new)})
    print(f"wrote {PATH.relative_to(results.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
