"""`make musdb` against a stand-in for the server: files on this machine."""

import shutil
import zipfile

import pytest

if shutil.which("ffmpeg") is None:
    pytest.skip("the musdb package needs ffmpeg", allow_module_level=True)
pytest.importorskip("musdb")

import musdb

from common.files import sha256_of
from tests.helpers import refused
from tools import fetch_musdb

NAMES = ("train/a.stem.mp4", "train/b.stem.mp4", "test/c.stem.mp4")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A zip file that the musdb package takes for the one to download; these songs and their checksum are expected."""
    archive, contents = tmp_path / "excerpts.zip", {name: bytes(name, "ascii") * 100 for name in NAMES}
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    (tmp_path / "joined").write_bytes(b"".join(contents.values()))
    download = musdb.DB.download

    def from_here(self, **options):
        self.url = archive.as_uri()
        download(self, progress=False)

    monkeypatch.setattr(musdb.DB, "load_mus_tracks", lambda self, **options: [])
    monkeypatch.setattr(musdb.DB, "download", from_here)
    monkeypatch.setattr(fetch_musdb, "SONGS", {"train": 2, "test": 1})
    monkeypatch.setattr(fetch_musdb, "SHA256", sha256_of(tmp_path / "joined"))
    return archive


def test_excerpts_appear_when_all_are_there_and_are_fetched_once(server, tmp_path):
    folder = tmp_path / "data" / "musdb18-7s"
    assert fetch_musdb.fetch(folder) is True
    assert [(folder / name).exists() for name in NAMES] == [True] * 3
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["musdb18-7s"]
    server.unlink()  # it is not asked again
    assert fetch_musdb.fetch(folder) is False
    (folder / NAMES[0]).write_text("changed")
    refused("expected the published files", fetch_musdb.fetch, folder)
    (folder / NAMES[0]).unlink()
    refused("expected 2 songs in train, got 1", fetch_musdb.fetch, folder)


@pytest.mark.parametrize(
    "what, words",
    [
        ("no server", "could not be downloaded"),
        ("no archive", "could not be downloaded"),
        ("other files", "expected the published files"),
        ("missing files", "expected 5 songs in test, got 1"),
    ],
)
def test_a_download_that_fails_is_one_line_and_leaves_nothing(what, words, server, tmp_path, monkeypatch, capsys):
    if what == "no server":
        server.unlink()
    elif what == "no archive":
        server.write_bytes(server.read_bytes()[:50])
    elif what == "other files":
        monkeypatch.setattr(fetch_musdb, "SHA256", "0" * 64)
    else:
        monkeypatch.setattr(fetch_musdb, "SONGS", {"train": 2, "test": 5})
    assert fetch_musdb.main(["--out", str(tmp_path / "data" / "excerpts")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0].startswith("downloading") and len(lines) == 2 and lines[1].startswith("musdb: ")
    assert words in lines[1] and list((tmp_path / "data").iterdir()) == []
