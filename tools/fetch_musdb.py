"""Fetch MUSDB18's 7 s excerpts: python -m tools.fetch_musdb [--out FOLDER], or `make musdb`.

The `musdb` package downloads them (about 140 MB) from where the authors of MUSDB18 put them; they are free for academic
use. The folder appears only when the download is complete and its checksum is right.
"""

import contextlib
import io
import os
import sys
import zipfile
from pathlib import Path

from audio_processing.tracks import tracks
from common import command, results
from common.files import partial_folder, sha256_of
from common.places import HERE

SONGS = {"train": 94, "test": 50}
"""Number of songs in each subset."""
SHA256 = "9fab770b3b8750d6c0aabd8a0ad64d626334f549cd7b0751560d2eead66bd59a"
"""Of all files, one after the other: train before test, sorted by name."""


def fetch(folder=HERE.excerpts):
    """Download the excerpts, unless the folder holds them.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    bool
        whether anything was downloaded.

    Raises
    ------
    OSError
        if the download fails, or the folder holds no songs.
    ValueError
        if songs are missing or files differ; a new download is deleted then.
    """
    folder = Path(folder)
    if folder.exists():
        check(folder)
        return False
    with partial_folder(folder.parent) as partial:
        whole = partial / folder.name
        print("downloading the 7 s excerpts of MUSDB18", file=sys.stderr)
        try:
            import musdb  # it needs ffmpeg

            with contextlib.redirect_stdout(io.StringIO()):
                musdb.DB(root=str(whole), download=True)
        except (ImportError, OSError, RuntimeError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).splitlines())
            raise OSError(f"the excerpts could not be downloaded ({reason}); MUSDB_PATH may name a copy") from error
        check(whole)
        os.rename(whole, folder)
    return True


def check(folder):
    """Raise an error where a folder does not hold the published excerpts: `SONGS` of them, with `SHA256`."""
    files = []
    for subset, expected in SONGS.items():
        songs = tracks(folder, subset)
        if len(songs) != expected:
            raise ValueError(
                f"{folder}: expected {expected} songs in {subset}, got {len(songs)}; "
                "move the folder away and fetch again"
            )
        files += [path for song in songs for path in song.files()]
    if (sha256 := sha256_of(*files)) != SHA256:
        raise ValueError(f"{folder}: expected the published files (sha256 {SHA256[:12]}…), got {sha256[:12]}…")


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 where the excerpts could not be fetched."""
    folder = command.options_of(
        "tools.fetch_musdb",
        __doc__,
        {"--out": dict(type=Path, default=HERE.excerpts, help="folder (default: data/musdb18-7s)")},
        arguments,
    ).out
    return results.report("musdb", lambda: [folder] if fetch(folder) else [])


if __name__ == "__main__":
    sys.exit(main())
