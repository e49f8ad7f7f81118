"""The local page: separates what is uploaded, refuses the rest in one line, keeps nothing, and is reached from this
machine only."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="the page needs gradio (requirements-dev.txt)")

import gradio_client
import httpx

import app
from audio_processing.audio_processing import AudioError
from tests.helpers import ROOT, hearing_ctrl_c, needs_ffmpeg, noise, one_line, refused


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """The folder in which the page keeps uploads and stems."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def page(uploads):
    launched = app.build()
    launched.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, max_file_size="1mb")
    yield launched
    launched.close(verbose=False)


@pytest.fixture(scope="module")
def client(page, tmp_path_factory):
    return gradio_client.Client(page.local_url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.fixture
def song(tmp_path):
    soundfile.write(tmp_path / "söng.wav", 0.1 * noise(22050, 2), 22050)
    return tmp_path / "söng.wav"


@pytest.fixture
def said(monkeypatch):
    """What the page tells its user, beside refusals."""
    lines = []
    monkeypatch.setattr(app.gr, "Info", lines.append)
    return lines


def separate(client, path, model="hps"):
    """Upload a file and separate it; returns what the page shows: players, picture, files."""
    *players, picture, files = client.predict(gradio_client.handle_file(path), model, api_name="/separate")
    return players, picture, files


def kept(folder):
    """Names of the files below a folder, but those of gradio that are empty."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", *map(str, arguments)], check=True)


def test_an_uploaded_song_comes_back_as_stems_that_add_up(client, song, said):
    players, picture, files = separate(client, song)
    mixture, _ = soundfile.read(song)
    stems = [soundfile.read(path)[0] for path in files]
    assert len(stems) == 3 and np.abs(sum(stems) - mixture).max() < 1e-4
    shown = [player for player in players if isinstance(player, str) or (player or {}).get("value")]
    assert len(shown) == 3 and picture and not said


def test_what_is_no_sound_is_refused_in_one_line(client, tmp_path, uploads, capfd):
    (tmp_path / "text.wav").write_text("no sound")
    before = kept(uploads)
    words = refused("^text.wav: ", separate, client, tmp_path / "text.wav", error=gradio_client.exceptions.AppError)
    assert "\n" not in words and kept(uploads) == before
    refused("Choose a song first", client.predict, None, "hps", api_name="/separate", error=Exception)
    assert "Traceback" not in capfd.readouterr().err


def test_the_song_is_deleted_once_separated_and_its_stems_when_the_next_are_there(client, song, uploads):
    stems = ["drums.wav", "residual.wav", "rest.wav"]
    others = gradio_client.Client(client.src, verbose=False, download_files=client.output_dir)  # another tab
    separate(client, song)
    assert kept(uploads) == stems
    separate(others, song)
    assert kept(uploads) == sorted(2 * stems)
    soundfile.write(song, noise(4000), 16000)
    separate(client, song)
    assert kept(uploads) == sorted(2 * stems)
    song.write_text("no sound")
    refused("^söng.wav: ", separate, client, song, error=gradio_client.exceptions.AppError)
    assert kept(uploads) == sorted(2 * stems)  # the page still shows those of before
    others.close()


def test_the_page_forgets_what_nobody_uses(page, tmp_path):
    every, age = page.delete_cache
    assert every < age and app.PATIENCE < age <= 24 * 60 * 60
    (tmp_path / "stems").mkdir()
    (state,) = (block for block in page.blocks.values() if isinstance(block, app.gr.State))
    state.delete_callback(str(tmp_path / "stems"))  # the tab was closed
    state.delete_callback(None)
    assert not (tmp_path / "stems").exists()
    (song,) = (block for block in page.blocks.values() if getattr(block, "label", None) == "song")
    emptied = [event for event in page.config["dependencies"] if event["outputs"] == [song._id]]
    events = [(event["trigger_only_on_success"], event["trigger_only_on_failure"]) for event in emptied]
    assert events == [(True, False), (False, True)]  # what was separated or refused can't be chosen again


@needs_ffmpeg
def test_an_mp4_is_separated_and_the_page_says_which_of_its_sounds(client, song, tmp_path, said, uploads):
    ffmpeg("-i", song, "-i", song, "-map", 0, "-map", 1, "-c:a", "aac", tmp_path / "two.mp4")
    _, _, files = separate(client, tmp_path / "two.mp4")
    assert soundfile.info(files[0]).duration == pytest.approx(1.0, abs=0.1) and "two.mp4" not in kept(uploads)
    assert said == ["two.mp4: holds 2 sounds, number 1 is read; `python separate.py --stream N` chooses another"]


@needs_ffmpeg
def test_an_mp3_with_a_wrong_length_is_as_long_as_it_sounds(client, tmp_path, said, monkeypatch):
    soundfile.write(tmp_path / "a.wav", 0.1 * noise(12 * 22050), 22050)
    ffmpeg("-i", tmp_path / "a.wav", "-q:a", 2, tmp_path / "a.mp3")
    content = bytearray((tmp_path / "a.mp3").read_bytes())
    at = content.index(b"Xing") + 8
    content[at : at + 4] = (100).to_bytes(4, "big")  # frames, of 460
    (tmp_path / "a.mp3").write_bytes(content)
    _, _, files = separate(client, tmp_path / "a.mp3")
    assert soundfile.info(files[0]).duration == pytest.approx(12, abs=0.1)
    (line,) = said
    assert line.startswith("a.mp3: its header leads to ") and "ffmpeg decoded 12." in line
    refused("at most 0 minutes", app.checked, tmp_path / "a.mp3", longest=11, error=AudioError)


def test_a_path_that_was_not_uploaded_is_never_read(page, song):
    for path in ("/etc/passwd", str(song), f"{song.parent}/../{song.parent.name}/{song.name}"):
        refused("uploaded", app.own_upload, path, error=AudioError)
        file = {"path": path, "orig_name": "a.wav", "meta": {"_type": "gradio.FileData"}}
        address = f"{page.local_url}gradio_api/call/separate"
        asked = httpx.post(address, json={"data": [file, "hps"]})  # as anybody on this machine might ask
        said = httpx.get(f"{address}/{asked.json()['event_id']}", timeout=60).text
        assert "event: error" in said and "event: complete" not in said and "root:" not in said


def test_files_too_large_or_songs_too_long_are_refused(client, tmp_path, song):
    soundfile.write(tmp_path / "large.wav", np.zeros(900_000), 44100)
    refused(
        "(?i)size|large|413",
        client.predict,
        gradio_client.handle_file(tmp_path / "large.wav"),
        "hps",
        error=Exception,
        api_name="/separate",
    )
    refused("expected at most 0 minutes, got 0", app.checked, song, error=AudioError, longest=0.5)


def test_a_separation_that_takes_too_long_is_stopped(client, song, monkeypatch, tmp_path):
    monkeypatch.setattr(app, "PATIENCE", 0)
    refused(
        "not separated in 0 s, which is the limit",
        client.predict,
        gradio_client.handle_file(song),
        "hps",
        error=gradio_client.exceptions.AppError,
        api_name="/separate",
    )
    refused("the limit", app.separate_file, song, "hps", tmp_path / "out", error=AudioError, progress=False, limit=0)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["/etc/passwd", "README.md", "app.py", str(app.Path(app.__file__).resolve())])
def test_no_file_of_this_machine_is_served(page, name):
    """Gradio has an address for files; it gives those that it made or got itself, and no others."""
    answer = httpx.get(f"{page.local_url}gradio_api/file={name}")
    assert answer.status_code in (403, 404) and "root:" not in answer.text and "import" not in answer.text


def test_the_page_listens_on_loopback_alone(page, monkeypatch):
    assert page.local_url.startswith("http://127.0.0.1:") and not page.share_url
    asked = {}
    monkeypatch.setattr(app.gr.Blocks, "launch", lambda self, **options: asked.update(options) or (self, "address", ""))
    assert app.launch() == "address"
    assert asked["server_name"] == "127.0.0.1" and asked["share"] is False and asked["max_file_size"] == "300mb"


@pytest.mark.parametrize("port", ["0", "-1", "99999"])
def test_a_port_that_there_is_not_is_refused_in_one_line(port, capsys):
    assert app.main(["--port", port]) == 2
    assert one_line(capsys) == f"app.py: --port: expected a number from 1 to 65535, got {port}\n"


def test_a_port_in_use_is_refused_in_one_line(capsys, monkeypatch):
    with socket.create_server((app.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert app.main(["--port", str(port)]) == 2
        assert one_line(capsys) == f"app.py: --port: {port} is in use; choose another or leave it out\n"
        monkeypatch.setattr(app, "PORTS", range(port, port + 1))
        assert app.main([]) == 2
        assert one_line(capsys) == f"app.py: --port: {port} to {port} are in use; choose another\n"
    assert app.free_port() == port


@contextmanager
def served(folder):
    """The program, with `folder` for temporary files: the process and the address that it names."""
    environment = {**os.environ, "TMPDIR": str(folder)} | dict.fromkeys(["GRADIO_TEMP_DIR"], "")
    command, pipe = [sys.executable, "app.py"], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=hearing_ctrl_c, **pipe)
    try:
        yield process, next(word for word in process.stdout.readline().split() if word.startswith("http://127.0.0.1:"))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("ending, running", [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)])
def test_at_the_end_of_the_program_everything_of_it_is_gone(tmp_path, song, ending, running):
    folder = tmp_path / "tmp"
    folder.mkdir()
    with served(folder) as (process, address):
        client = gradio_client.Client(address, verbose=False, download_files=tmp_path / "downloads")
        separate(client, song)
        assert kept(folder) == ["drums.wav", "residual.wav", "rest.wav"]
        if running:
            soundfile.write(song, noise(16000 * 600), 16000, subtype="PCM_U8", format="WAV")
            job = client.submit(gradio_client.handle_file(song), "hps", api_name="/separate")
            while not list(folder.rglob("stems-*/.partial*")):
                assert not job.done()
        process.send_signal(ending)
        _, words = process.communicate(timeout=20)
    assert process.returncode == 130 and not list(folder.iterdir())
    assert words.splitlines()[-1] == "app.py: ended; uploads and stems are deleted" and "Traceback" not in words
