"""Files that are either there in full or not at all."""

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path):
    """Give a temporary name beside `path`; rename it to `path` when the block ends well, delete it when it does not.

    A reader therefore sees the old file or the whole new one, never half of it. Parent folders are created.

    Parameters
    ----------
    path : str or Path
        the file to write.

    Yields
    ------
    Path
        where to write; its ending is that of `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; these are ordinary ones
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(*paths):
    """SHA-256 (hexadecimal) of the bytes of one file, or of several one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
