"""Fetch MUSDB18's 7 s excerpts: python -m tools.fetch_musdb [--to FOLDER], or `make musdb`.

The `musdb` package downloads them (about 140 MB) from where the authors of MUSDB18 put them; they are free for academic
use. They appear in the folder only when all are there and their checksum is right.
"""

import argparse
import contextlib
import io
import os
import sys
import zipfile
from pathlib import Path

from audio_processing.tracks import EXCERPTS, tracks
from common.files import partial_folder, sha256_of

SONGS = {"train": 94, "test": 50}
SHA256 = "9fab770b3b8750d6c0aabd8a0ad64d626334f549cd7b0751560d2eead66bd59a"
"""Of all files, one after the other: train before test, sorted by name."""


def fetch(folder=EXCERPTS, songs=SONGS, sha256=SHA256):
    """Download the excerpts, unless the folder holds them.

    Parameters
    ----------
    folder : str or Path
    songs : dict of str to int
        how many each subset must hold.
    sha256 : str
        of their files.

    Returns
    -------
    bool
        whether there was anything to do.

    Raises
    ------
    OSError
        where the folder is something else, or the download fails.
    ValueError
        where what came is not what should have come; nothing is kept of it then.
    """
    folder = Path(folder)
    if folder.exists():
        check(folder, songs, sha256)
        return False
    with partial_folder(folder.parent) as partial:
        whole = partial / folder.name
        print("downloading the 7 s excerpts of MUSDB18", file=sys.stderr)
        try:
            import musdb  # which wants ffmpeg

            with contextlib.redirect_stdout(io.StringIO()):
                musdb.DB(root=str(whole), download=True)
        except (ImportError, OSError, RuntimeError, zipfile.BadZipFile) as error:
            reason = str(error).replace("\n", " ")
            raise OSError(f"the excerpts could not be downloaded ({reason}); MUSDB_PATH may name a copy") from error
        check(whole, songs, sha256)
        os.rename(whole, folder)
    return True


def check(folder, songs=SONGS, sha256=SHA256):
    """Compare a folder of excerpts with what it should hold.

    Raises
    ------
    ValueError
        where songs are missing or files differ.
    """
    for subset, count in songs.items():
        try:
            found = len(tracks(folder, subset))
        except FileNotFoundError:
            found = 0
        if found != count:
            raise ValueError(f"{folder}: {found} songs in {subset}, {count} expected; move it away and fetch again")
    now = sha256_of(*[path for subset in songs for song in tracks(folder, subset) for path in song.files()])
    if now != sha256:
        raise ValueError(
            f"{folder}: its files are not those that were published (sha256 {now[:12]}…, not {sha256[:12]}…)"
        )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.fetch_musdb", description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=EXCERPTS, help="folder (default: data/musdb18-7s)")
    options = parser.parse_args(arguments)
    try:
        fetched = fetch(options.to)
    except (OSError, ValueError) as error:
        print(f"musdb: {error}", file=sys.stderr)
        return 2
    print("wrote" if fetched else "up to date:", os.path.relpath(options.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
