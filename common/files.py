"""Files that are written whole or not at all."""

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process left behind stays until somebody deletes it
    fcntl = None

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]|[. ]+$')
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
"""What Windows refuses in the name of a file: characters, and names that are devices, with any ending."""
_own = set()  # folders that this process deletes when it ends early
PARTIAL = ".partial-"  # how the names of folders begin that hold what is not complete yet


@contextmanager
def partial_folder(parent):
    """Make a hidden folder in `parent` for files that are moved out of it when they are complete; delete it afterwards.

    A process that is killed cannot delete its own folder. Each is therefore locked while its process lives, and the
    next process that makes one beside it deletes those without a lock.

    Parameters
    ----------
    parent : str or Path
        made if it is missing.

    Yields
    ------
    Path
    """
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    delete_abandoned(parent)
    folder, lock = _locked_folder(parent)
    try:
        with _owned(folder):
            yield folder
    finally:
        if lock is not None:
            os.close(lock)


def delete_own():
    """Delete what this process has not completed: for one that ends at once."""
    for folder in list(_own):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder():
    """Make a folder for temporary files that is gone afterwards, however the process ends, unless it is killed.

    Yields
    ------
    Path
    """
    with _owned(Path(tempfile.mkdtemp(prefix="mss-"))) as folder:
        yield folder


@contextmanager
def _owned(folder):
    """Delete a folder afterwards, or in `delete_own`."""
    _own.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _own.discard(folder)


def _locked_folder(parent):
    """A new folder and the descriptor that holds its lock, or None if there are no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=PARTIAL))
        if fcntl is None:
            return folder, None
        with suppress(FileNotFoundError):  # another process deleted it as abandoned before it was locked
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def delete_abandoned(parent):
    """Delete the partial folders in `parent` whose processes are gone."""
    for folder in Path(parent).glob(f"{PARTIAL}*") if fcntl is not None else ():
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def atomic_path(path):
    """Give a temporary name near `path`; rename it to `path` if the block ends without an error, else delete it.

    A reader therefore sees the old file or the whole new one, never half of it, and no other file with that ending in
    the folder. Parent folders are created.

    Examples
    --------
    >>> with atomic_path("scores.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")

    Parameters
    ----------
    path : str or Path
        the file to write.

    Yields
    ------
    Path
        where to write: a file of the same name in a `partial_folder`.
    """
    path = Path(path)
    with partial_folder(path.parent) as folder:
        yield folder / path.name
        os.replace(folder / path.name, path)


def allowed_name(name):
    """The name of a file or folder as every system allows it.

    Parameters
    ----------
    name : str
        without folders.

    Returns
    -------
    str
        the same, with "_" for what Windows refuses: some characters, dots and spaces at the end, and the name of a
        device, which gets one in front. Never empty, "." or "..".

    Examples
    --------
    >>> allowed_name("Где?"), allowed_name("con.txt"), allowed_name("etc..")
    ('Где_', '_con.txt', 'etc__')
    """
    name = FORBIDDEN.sub(lambda found: "_" * len(found[0]), name) or "_"
    return f"_{name}" if DEVICES.match(name) else name


def sha256_of(*paths):
    """SHA-256 (hexadecimal) of the bytes of one file, or of several one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
