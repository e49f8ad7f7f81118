"""What a stranger does to separate.py: every file has one outcome, every failure one line, and nothing half-written."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import separate
from stress.hostile import CASES, HAS_FFMPEG, check, noise, run, sound, through_ffmpeg, tree
from tests.helpers import ROOT, Halves


@pytest.mark.parametrize("name", CASES)
def test_every_file_has_its_outcome(name, tmp_path, capfd):
    check(CASES[name], tmp_path)
    assert capfd.readouterr() == ("", "")  # nor do the decoders print anything by themselves


def test_stems_are_ordinary_files(tmp_path):
    song = sound("song.wav")(tmp_path)
    assert run(song, tmp_path / "out")[0] == 0
    (tmp_path / "folder").mkdir()
    folder = tmp_path / "out" / "song"
    assert folder.stat().st_mode == (tmp_path / "folder").stat().st_mode
    assert (folder / "rest.wav").stat().st_mode == song.stat().st_mode


def failed(song, out):
    """The one line that a run says which fails."""
    status, printed, (said,) = run(song, out)
    assert status == 2 and not printed, said
    return said


class Minutes(Halves):
    chunk_seconds = 30.0


def test_three_hours_in_memory_that_does_not_grow(tmp_path, add_separator):
    """The song is 43 MB as floats, and three stems come of it; what is held at once is a chunk of 30 s."""
    add_separator("halves", Minutes)
    seconds, rate = 3 * 3600, 1000
    minute = noise(1, 60 * rate)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", rate, 1, "PCM_16") as file:
        for i in range(seconds // 60):
            file.write(minute * (i + 1) / 200)
    sound("short.wav", minute, rate)(tmp_path)
    assert run(tmp_path / "short.wav", tmp_path / "out", "halves")[0] == 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(tmp_path / "long.wav", tmp_path / "out", "halves")[0] == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
    paths = sorted((tmp_path / "out" / "long").iterdir())
    assert [soundfile.info(path).frames for path in paths] == [seconds * rate] * 3
    here = {"start": 5000 * rate, "frames": rate}
    expected = soundfile.read(tmp_path / "long.wav", **here)[0]
    assert np.abs(sum(soundfile.read(path, **here)[0] for path in paths) - expected).max() < 1e-6


@pytest.fixture
def nobody():
    """Act as a user who may not read everything: tests often run as root, who may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_no_permission_to_read_or_to_write(open_folder, request):
    song = sound("song.wav")(open_folder)
    secret = sound("secret.wav")(open_folder)
    secret.chmod(0)
    (open_folder / "out").mkdir()
    (open_folder / "out").chmod(0o555)
    separate.separate(noise().T, 22050, "hps")  # compiled by a user who may keep what was compiled
    request.getfixturevalue("nobody")
    assert failed(secret, open_folder / "other") == f"separate.py: {secret}: no permission to read it"
    assert "no permission to write there" in failed(song, open_folder / "out") and tree(open_folder / "out") == []
    assert tree(open_folder) == ["out", "secret.wav", "song.wav"]


def test_a_limit_on_file_sizes_is_met_in_one_line(tmp_path):
    song = sound("song.wav", noise(samples=100_000))(tmp_path)
    old = sound("song.wav", noise(samples=5))((tmp_path / "out" / "song").mkdir(parents=True) or tmp_path / "out")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for allowed in (150_000, 799_000, 799_999):  # in the middle of the sound; in its last samples
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, limits[1]))
        try:
            said = failed(song, tmp_path / "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "could not be written" in said
        assert tree(tmp_path / "out") == ["song", "song.wav"] and old.exists()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root and its capabilities")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_met_in_one_line(small_disk, tmp_path):
    song = sound("song.wav", noise(samples=100_000))(tmp_path)
    assert "could not be written" in failed(song, small_disk / "out") and tree(small_disk / "out") == []
    assert run(sound("short.wav", noise(samples=5000))(tmp_path), small_disk / "out")[0] == 0


def test_earlier_stems_are_replaced_and_other_files_stay(tmp_path):
    song = sound("song.wav")(tmp_path)
    assert run(song, tmp_path / "out")[0] == 0
    folder = tmp_path / "out" / "song"
    (folder / "notes.txt").write_text("mine")
    sound("vocals.wav", noise(samples=7))(folder)
    assert run(sound("song.flac", noise(samples=7))(tmp_path), tmp_path / "out")[0] == 0  # the same folder
    assert soundfile.info(folder / "rest.wav").frames == 7
    status, _, said = run(song, tmp_path / "out")
    assert status == 0 and said == [f"{folder}: also holds vocals.wav, not of this run"]
    assert (folder / "notes.txt").read_text() == "mine" and soundfile.info(folder / "vocals.wav").frames == 7
    assert soundfile.info(folder / "rest.wav").frames == 11025 and tree(tmp_path / "out")[0] == "song"


def test_what_is_in_the_way_is_named_before_anything_is_computed(tmp_path, monkeypatch):
    song = sound("song.wav")(tmp_path)
    monkeypatch.setattr(separate, "_write_stems", None)  # nothing may be computed
    (tmp_path / "file").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "song").touch()
    (tmp_path / "b" / "song" / "rest.wav").mkdir(parents=True)
    (tmp_path / "c" / "song").mkdir(parents=True)
    sound("rest.wav")(tmp_path / "c" / "song")
    (tmp_path / "drums").mkdir()
    drums = sound("drums.wav")(tmp_path / "drums")
    for path, out, words in [
        (song, tmp_path / "file", "file"),
        (song, tmp_path / "a", "exists and is not a folder; choose another --out"),
        (song, tmp_path / "b", "exists and is a folder; choose another --out"),
        (song, tmp_path / "c", "rest.wav: exists and is no stem of an earlier run; choose another --out"),
        (drums, tmp_path, "a stem would overwrite the song"),
    ]:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert words in failed(path, out)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_two_runs_into_one_folder_at_a_time(tmp_path, monkeypatch):
    """Both reach their last line together, again and again; what is found in between is always whole."""
    song, out = sound("song.wav")(tmp_path), tmp_path / "out"
    separate.separator("hps")
    seen, done = set(), threading.Event()

    def watch():
        while not done.is_set():
            for path in out.glob("song/*.wav"):
                seen.add(soundfile.info(path).frames)
            time.sleep(0.001)

    def work(_):
        return [len(separate.separate_file(song, "hps", out, progress=False)) for _ in range(3)]

    with ThreadPoolExecutor(3) as threads:
        watching = threads.submit(watch)
        results = list(threads.map(work, range(2)))
        done.set()
    assert results == [[3] * 3] * 2 and watching.result() is None and seen <= {11025}
    assert tree(out) == ["song", "song/drums.wav", "song/residual.wav", "song/rest.wav"]


def test_reading_m4a_without_ffmpeg_is_said(tmp_path, monkeypatch):
    (tmp_path / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setenv("PATH", "/nowhere")
    assert "needs ffmpeg" in failed(tmp_path / "phone.m4a", tmp_path / "out")


@pytest.mark.skipif(not HAS_FFMPEG, reason="needs ffmpeg")
def test_a_playlist_that_pretends_to_be_a_phone_recording_reads_no_other_file(tmp_path):
    secret = through_ffmpeg("secret.m4a")(tmp_path)
    for name, content in [
        ("list.m4a", f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n"),
        ("concat.m4a", f"ffconcat version 1.0\nfile {secret}\n"),
        ("mov.m4a", "\0\0\0\x20ftypM4A " + f"#EXTM3U\nfile://{secret}\n"),
    ]:
        (tmp_path / name).write_text(content)
        assert name in failed(tmp_path / name, tmp_path / "out")


@pytest.mark.slow
def test_the_command_itself(tmp_path):
    """Through a shell: a name that looks like an option, a name that is no UTF-8 on an ASCII terminal, Ctrl-C."""
    song = CASES["name that is no UTF-8"].make(tmp_path)
    command = [sys.executable, ROOT / "separate.py", "--model", "hps", "--out", tmp_path / "out"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([*command, song], capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "") and "caf\\udce9" in done.stdout
    done = subprocess.run([*command, "--", "--none.wav"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (2, "separate.py: --none.wav: no such file\n")
