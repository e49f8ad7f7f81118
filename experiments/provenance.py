"""What follows from the trained files of a system: checksums, parameters, and what its training took.

The files themselves are named in the rows of `separate.SEPARATORS`. Beside each lies a record of its training.
"""

import json

import numpy as np

from common import results
from common.files import sha256_of
from common.places import ROOT

# Window and exponent that were best for the masks of each separator; without it they use their defaults.
MASKS = ROOT / "ddsp_models" / "trained" / "masks.json"


def files(system):
    """Paths of the trained files of a system (`separate.System`)."""
    return [ROOT / name for name in system.weights]


def missing(system):
    """The trained files of a system that do not exist."""
    return [path for path in files(system) if not path.exists()]


def checksums(system):
    """SHA-256 of each trained file of a system, by name, and the settings of its masks."""
    sums = {path.name: sha256_of(path) for path in files(system)}
    chosen = results.read(MASKS)["chosen"] if MASKS.exists() else {}
    masks = [settings for name, settings in chosen.items() if f"separator-{name}.keras" in sums]
    return sums | ({"masks": {key: masks[-1][key] for key in ("n_fft", "power")}} if masks else {})


def facts(system):
    """What a system is made of.

    Returns
    -------
    dict
        "parameters": trained numbers, those of its decoders included. "training_minutes": of music, the most that one
        of its networks was trained on; None if a record does not say. "training_seconds": of all its networks one after
        the other, and of those that they were initialised from, if these ship, too, each once; None if a record does
        not say.
    """
    parameters, minutes, seconds = 0, [], {}
    for path in files(system):
        record = _record(path)
        if path.suffix == ".json":  # the parameters are in the file itself
            parameters += np.size(record["shares"]) + np.size(record.get("table", []))
            continue
        parameters += _array_parameters(path) if path.suffix == ".npz" else record["weights"]
        minutes.append(record.get("training_minutes"))
        seconds |= _training_seconds(path, record)
    return {
        "parameters": int(parameters),
        "training_minutes": None if None in minutes else max(minutes, default=0.0),
        "training_seconds": None if None in seconds.values() else round(sum(seconds.values()), 1),
    }


def _record(path):
    path = path.with_suffix(".json")
    return json.loads(path.read_text()) if path.exists() else {}


def _array_parameters(path):
    with np.load(path, allow_pickle=False) as arrays:
        return sum(array.size for array in arrays.values() if np.issubdtype(array.dtype, np.floating))


def _training_seconds(path, record):
    """Seconds of training of a network and of those it was initialised from, as far back as there are records."""
    seconds = {path.stem: record.get("seconds")}
    training = record.get("training", {})
    if start := training.get("start") or training.get("start_from"):
        for before in (path.with_stem(start), path.with_stem(f"separator-{start}")):
            if earlier := _record(before):
                return seconds | _training_seconds(before, earlier)
    return seconds
