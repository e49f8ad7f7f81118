"""The local page: separates what is uploaded, refuses the rest in one line, and is reached from this machine only."""

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="the page needs gradio (requirements-dev.txt)")

import gradio_client
import httpx

import app
from audio_processing.audio_processing import AudioError
from tests.helpers import refused


@pytest.fixture(scope="module")
def page():
    launched = app.build()
    launched.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, max_file_size="1mb")
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def client(page):
    return gradio_client.Client(page.local_url, verbose=False)


@pytest.fixture
def song(tmp_path):
    audio = 0.1 * np.random.default_rng(0).standard_normal((22050, 2))
    soundfile.write(tmp_path / "söng.wav", audio, 22050)
    return tmp_path / "söng.wav"


def test_an_uploaded_song_comes_back_as_stems_that_add_up(client, song):
    *players, picture, files = client.predict(gradio_client.handle_file(song), "hps", api_name="/separate")
    mixture, _ = soundfile.read(song)
    stems = [soundfile.read(path)[0] for path in files]
    assert len(stems) == 3 and np.abs(sum(stems) - mixture).max() < 1e-4
    shown = [player for player in players if isinstance(player, str) or (player or {}).get("value")]
    assert len(shown) == 3 and picture


def test_what_is_no_sound_is_refused_in_one_line(client, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(gradio_client.exceptions.AppError, match="text.wav") as refusal:
        client.predict(gradio_client.handle_file(tmp_path / "text.wav"), "hps", api_name="/separate")
    assert str(tmp_path) not in str(refusal.value) and "\n" not in str(refusal.value)


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
    monkeypatch.setattr(app.gr.Blocks, "launch", lambda self, **options: asked.update(options))
    app.launch()
    assert asked["server_name"] == "127.0.0.1" and asked["share"] is False and asked["max_file_size"] == "300mb"
