"""Result files: what was measured, by which command, on which data, from which commit; read back only if intact."""

import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from common.files import atomic_path

SCHEMA = 1
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"


class ResultsError(ValueError):
    """A result file that cannot be used. The message is one line that names the file and says what to do."""


def head(name, *, config=None, seed=None, data=None):
    """What every result file begins with.

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
    """Python, Keras, its backend and device, and the versions of what computes, as a dict of strings."""
    versions = {}
    for package in ("numpy", "scipy", "librosa", "keras", "tensorflow", "jax", "torch", "numba", "musdb", "museval"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
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
    main = sys.modules.get("__main__")
    module = getattr(getattr(main, "__spec__", None), "name", None)
    words = list(sys.argv[1:])
    if module:
        return shlex.join(["python", "-m", module.removesuffix(".__main__"), *map(_relative, words)])
    return shlex.join(["python", *map(_relative, [sys.argv[0], *words])])


def _relative(word):
    if not os.path.isabs(word):
        return word
    return os.path.relpath(word, ROOT) if Path(word).is_relative_to(ROOT) else Path(word).name


def _commit():
    """The checked-out commit, with "+" where tracked files differ from it; None outside a git checkout."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"]).returncode != 0
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def write(path, content):
    """Write a result file: plain JSON with a checksum of its own content, under a temporary name, then renamed.

    Numbers that JSON cannot hold (NaN, infinities) are refused: a record whose value is not defined is left out.

    Parameters
    ----------
    path : str or Path
    content : dict
        `head(...)` and what the run measured.
    """
    if bad := [record for record in content.get("records", []) if not _finite(record)]:
        raise ValueError(f"records: {len(bad)} of them are not finite, the first is {bad[0]}; leave such records out")
    content = {**content, "sha256": _checksum(content)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read(path):
    """Read a result file that `write` made.

    Raises
    ------
    ResultsError
        where it is missing, not JSON, of another schema, or was changed since it was written.
    """
    path = Path(path)
    name = path.relative_to(ROOT) if path.is_absolute() and path.is_relative_to(ROOT) else path
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ResultsError(f"{name}: no such file; `make results` writes it") from error
    except ValueError as error:
        raise ResultsError(f"{name}: not JSON; `make results` writes it anew") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ResultsError(f"{name}: schema {SCHEMA} expected; `make results` writes it anew")
    if content.get("sha256") != _checksum(content):
        raise ResultsError(f"{name}: changed since it was written (its checksum differs); `make results` restores it")
    return content


def _checksum(content):
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _finite(record):
    return all(not isinstance(value, float) or math.isfinite(value) for value in record.values())
