"""Measure speed against peers: python -m benchmarks [NAME ...]

Results go to results/benchmarks.json; records of benchmarks that are not run now stay as they are.
"""

import importlib
import sys
from itertools import chain

from common import command, results
from common.places import HERE

BENCHMARKS = {
    # name: the module that holds its function
    "autoencoder_train": "ddsp",
    "band_render": "songs",
    "conv_tasnet_inference": "conv_tasnet",
    "conv_tasnet_train": "conv_tasnet",
    "depthwise_conv": "depthwise_conv",
    "filtered_noise": "ddsp",
    "harmonic_synthesis": "ddsp",
    "hpss_masks": "spectra",
    "long_synthesis": "songs",
    "separate_song": "songs",
    "spectral_loss": "ddsp",
    "stft_istft": "spectra",
}
LINE = "{benchmark:28} {ours_s:8.4f} s  {peer} {peer_s:8.4f} s  {ratio:6.2f} x  error {max_error:.1e}  {peak_mb:.0f} MB"


def records(name):
    """Run a benchmark: yields its records, up to the first peer that is not installed."""
    try:
        yield from getattr(importlib.import_module(f"benchmarks.{BENCHMARKS[name]}"), name)()
    except ImportError as error:
        print(f"{name}: {error}; that comparison is left out", file=sys.stderr)


def merged(old, new):
    """Old records with those of the same benchmark and variant replaced by new ones; sorted by name.

    A variant that was not run today, its peer not being installed, keeps what was measured when it was.
    """
    return sorted({record["benchmark"]: record for record in [*old, *new]}.values(), key=lambda r: r["benchmark"])


def main(arguments=None, places=HERE):
    """The command. Returns its exit status: 0, or 2 for a result file that was changed."""
    names = ("all", *BENCHMARKS)
    options = command.options_of(
        "benchmarks",
        __doc__,
        {
            "names": dict(nargs="*", default="all", metavar="NAME", choices=names, help=f"of {', '.join(names)}"),
            "--dry-run": dict(action="store_true", help="measure and print, write nothing"),
        },
        arguments,
    )
    path = places.results / "benchmarks.json"
    try:
        old = results.read(path)["records"] if path.exists() else []
    except results.ResultsError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    new = []
    for record in chain.from_iterable(map(records, BENCHMARKS if "all" in options.names else options.names)):
        print(LINE.format(**record), flush=True)
        new.append(record)
    if not options.dry_run:
        results.write(path, results.head("benchmarks") | {"records": merged(old, new)})
        print("wrote", places.shown(path))
    return 0
