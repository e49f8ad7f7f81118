"""Result files: what was measured, by which command, on which data, from which commit; read only if intact."""

import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from common.files import atomic_path
from common.places import HERE, ROOT
from common.terminal import ended

SCHEMA = 1
RESULTS = HERE.results


def score_path(test_set, system, places=HERE):
    """The result file with the scores of a system on a test set, both by name."""
    return places.results / "scores" / f"{test_set}-{system}.json"


class ResultsError(ValueError):
    """A result file that cannot be used. The message is one line that names the file and a remedy."""


def head(name, *, config=None, seed=None, data=None):
    """The head of every result file.

    Parameters
    ----------
    name : str
        of the run.
    config : dict, optional
        its settings, in plain types.
    seed : int, optional
    data : str, optional
        SHA-256 of what was read (`files.sha256_of`).

    Returns
    -------
    dict
        with the keys schema, name, command, commit, config, seed, data, environment.
    """
    return {
        "schema": SCHEMA,
        "name": name,
        "command": _command(),
        "commit": _commit(),
        "config": config or {},
        "seed": seed,
        "data": data,
        "environment": environment(),
    }


def environment():
    """Versions of Python and of what computes, cores, and Keras's backend and device, as a dict."""
    versions = {}
    for package in ("numpy", "scipy", "librosa", "keras", "tensorflow", "jax", "torch", "numba", "musdb", "museval"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    backend = device = None
    if "keras" in sys.modules:  # asking must not load a backend that the run does not use
        import keras

        try:
            device = ", ".join(keras.distribution.list_devices()) or "cpu"
        except AttributeError:  # Keras cannot list PyTorch's
            device = "cpu"
        backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "backend": backend,
        "device": device,
        "versions": versions,
    }


def _command():
    """The command line, with this repository's folder and the interpreter's left out."""
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [_relative(sys.argv[0])]
    return shlex.join(["python", *program, *map(_relative, sys.argv[1:])])


def _relative(word):
    if not os.path.isabs(word):
        return word
    return os.path.relpath(word, ROOT) if Path(word).is_relative_to(ROOT) else Path(word).name


def _commit():
    """The checked-out commit, with "+" if tracked files differ from it; None outside a git checkout."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"]).returncode != 0
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def write(path, content):
    """Write a result file: plain JSON with a checksum of its own content, under a temporary name, then renamed.

    Numbers that JSON cannot hold (NaN, infinities) raise a ValueError: a record without a defined value is left out.

    Parameters
    ----------
    path : str or Path
    content : dict
        `head(...)` and what the run measured.
    """
    bad = [
        record
        for record in content.get("records", [])
        if any(isinstance(value, float) and not math.isfinite(value) for value in record.values())
    ]
    if bad:
        raise ValueError(f"records: {len(bad)} of them are not finite, the first is {bad[0]}; leave such records out")
    content = {**content, "sha256": _checksum(content)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read(path):
    """Read a result file that `write` made.

    Raises
    ------
    ResultsError
        if it is missing, not JSON, of another schema, or was changed since it was written.
    """
    path = Path(path)
    name = HERE.shown(path)
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ResultsError(f"{name}: no such file; `make results` writes it") from error
    except ValueError as error:
        raise ResultsError(f"{name}: not JSON; `make results` writes it again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ResultsError(f"{name}: expected schema {SCHEMA}, got another; `make results` writes it again")
    if content.get("sha256") != _checksum(content):
        raise ResultsError(f"{name}: changed since it was written (its checksum differs); `make results` restores it")
    return content


def is_up_to_date(path, config, data, *, missing=(), instead=()):
    """Whether a result file is intact and holds these settings and the checksum of this data.

    Parameters
    ----------
    path : str or Path
    config : dict
        in plain types.
    data : str
    missing, instead : dict
        settings that a file has if they are not in it, and that take the place of those in it.
    """
    try:
        content = read(path)
    except ResultsError:
        return False
    stored = {**dict(missing), **content["config"], **dict(instead)}
    return stored == config and content["data"] == data


def report(name, write):
    """What a command does that writes files: name them, or in one line on standard error the reason why not.

    Parameters
    ----------
    name : str
        of the command.
    write : callable
        () → list of Path, empty if all is up to date.

    Returns
    -------
    int
        exit status, as `terminal.ended` gives it: 0, or 2 for an error.
    """

    def named():
        written = [str(HERE.shown(path)) for path in write()]
        print("wrote " + ", ".join(written) if written else "all up to date")

    return ended(name, named)


def _checksum(content):
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode()).hexdigest()
