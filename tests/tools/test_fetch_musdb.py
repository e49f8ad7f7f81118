"""`make musdb` against a stand-in for the server: files on this machine."""

import shutil
import zipfile

import pytest

if shutil.which("ffmpeg") is None:
    pytest.skip("the musdb package needs ffmpeg", allow_module_level=True)
pytest.importorskip("musdb")

import musdb

from common.files import sha256_of
from tools import fetch_musdb as command

SONGS = {"train": 2, "test": 1}
NAMES = ("train/a.stem.mp4", "train/b.stem.mp4", "test/c.stem.mp4")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A zip file that the musdb package takes for the one to download; returns its path and the checksum expected."""
    contents = {name: bytes(name, "ascii") * 100 for name in NAMES}
    archive = tmp_path / "excerpts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    (tmp_path / "joined").write_bytes(b"".join(contents.values()))
    download = musdb.DB.download
    monkeypatch.setattr(musdb.DB, "load_mus_tracks", lambda self, **options: [])

    def from_here(self, **options):
        self.url = archive.as_uri()
        download(self, progress=False)

    monkeypatch.setattr(musdb.DB, "download", from_here)
    return archive, sha256_of(tmp_path / "joined")


def test_excerpts_appear_when_all_are_there_and_are_fetched_once(server, tmp_path):
    _, sha256 = server
    folder = tmp_path / "data" / "musdb18-7s"
    assert command.fetch(folder, SONGS, sha256) is True
    assert [(folder / name).exists() for name in NAMES] == [True] * 3
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["musdb18-7s"]
    server[0].unlink()  # it is not asked again
    assert command.fetch(folder, SONGS, sha256) is False
    (folder / NAMES[0]).write_text("changed")
    with pytest.raises(ValueError, match="not those that were published"):
        command.fetch(folder, SONGS, sha256)
    (folder / NAMES[0]).unlink()
    with pytest.raises(ValueError, match="1 songs in train, 2 expected"):
        command.fetch(folder, SONGS, sha256)


@pytest.mark.parametrize("what", ["no server", "no archive", "other files", "missing files"])
def test_a_download_that_fails_is_one_line_and_leaves_nothing(what, server, tmp_path, monkeypatch, capsys):
    archive, sha256 = server
    if what == "no server":
        archive.unlink()
    elif what == "no archive":
        archive.write_bytes(archive.read_bytes()[:50])
    songs = {"train": 2, "test": 5} if what == "missing files" else SONGS
    fetch = command.fetch
    monkeypatch.setattr(
        command, "fetch", lambda folder: fetch(folder, songs, "0" * 64 if what == "other files" else sha256)
    )
    assert command.main(["--to", str(tmp_path / "data" / "excerpts")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0].startswith("downloading") and len(said) == 2 and said[1].startswith("musdb: ")
    words = {"other files": "not those that were published", "missing files": "1 songs in test, 5 expected"}
    assert words.get(what, "could not be downloaded") in said[1]
    assert list((tmp_path / "data").iterdir()) == []
