"""Sound files of every kind: as many samples as decode, as ffmpeg decodes them, and a line about what is odd."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from audio_processing import audio_processing as ap
from audio_processing import sound_files
from audio_processing.sound_files import open_audio
from stress import formats
from tests.helpers import needs_ffmpeg, refused, tone

SONG = 0.1 * np.stack([tone(440, 0.5), tone(300, 0.5)])


def streamed(path, audio, rate):
    """FLAC as it is written to a pipe: its header does not say how many samples there are."""
    soundfile.write(path, audio.T, rate)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("path", ["/nowhere", None])
def test_a_file_that_does_not_say_how_long_it_is_is_read_to_its_end(tmp_path, monkeypatch, path):
    if path:
        monkeypatch.setenv("PATH", path)
    file = streamed(tmp_path / "a.flac", SONG, 16000)
    with open_audio(file) as sound:
        assert len(sound) == 8000 and sound.notes == []
    np.testing.assert_allclose(ap.load(file)[0], SONG, atol=1e-4)


@pytest.mark.parametrize("ending, left, decoded", [("wav", 0.75, 6000), ("flac", 0.6, None), ("wav", 0.9999, 7999)])
def test_a_file_that_ends_early_is_read_to_its_end(tmp_path, ending, left, decoded):
    path = tmp_path / f"a.{ending}"
    audio = SONG if ending == "wav" else np.tile(SONG, 20)
    ap.save(path, audio, 16000, subtype="PCM_16")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: round(44 + left * (size - 44))])
    with open_audio(path) as sound:
        assert sound.announced == audio.shape[1] > len(sound)
        assert decoded in (None, len(sound)) and len(sound) > 0.5 * left * audio.shape[1]
        (note,) = sound.notes
        expected, got = note.partition("expected ")[2].split(" as its header says, got ")
        assert "truncated" in note and expected != got
        length = len(sound)
    np.testing.assert_allclose(ap.load(path)[0], audio[:, :length], atol=1e-4)


def test_a_file_that_is_damaged_from_its_first_sample_on_is_named(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, SONG.T, 16000)
    path.write_bytes(path.read_bytes()[:150] + bytes(3000))
    refused("a.flac: ", ap.load, path, error=sound_files.AudioError)


@needs_ffmpeg
@pytest.mark.slow
@pytest.mark.parametrize("ending", formats.KINDS)
def test_every_kind_is_read_as_ffmpeg_decodes_it(tmp_path, ending):
    assert formats.difference(formats.write(tmp_path, ending)) <= formats.limit(ending)


def mp3(folder, *options):
    path = folder / "song.mp3"
    soundfile.write(folder / "song.wav", formats.song(2, 12), 44100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", folder / "song.wav", *options, path], check=True)
    return path


def to_a_pipe(path):
    with open(path.with_name("pipe.mp3"), "wb") as pipe:
        command = ["ffmpeg", "-v", "error", "-i", path.with_suffix(".wav"), "-q:a", "2", "-f", "mp3", "-"]
        subprocess.run(command, check=True, stdout=pipe)
    shutil.move(path.with_name("pipe.mp3"), path)


def twice(path):
    path.write_bytes(2 * path.read_bytes())


def a_wrong_count(path):
    content = bytearray(path.read_bytes())
    at = content.index(b"Xing") + 8
    content[at : at + 4] = (100).to_bytes(4, "big")
    path.write_bytes(content)


def without_its_beginning(path):
    path.write_bytes(path.read_bytes()[5000:])


def with_a_tag_behind(path):
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))


@needs_ffmpeg
@pytest.mark.parametrize("spoil, options, words", [
    (None, ("-q:a", "2"), None),
    (None, ("-q:a", "2", "-write_xing", "0"), "ffmpeg decoded 12.0 s"),
    (to_a_pipe, (), "ffmpeg decoded 12.0 s"),
    (twice, ("-q:a", "2"), "ffmpeg decoded 24."),
    (a_wrong_count, ("-q:a", "2"), "ffmpeg decoded 12."),
    (without_its_beginning, ("-q:a", "2"), None),
    (with_a_tag_behind, ("-q:a", "2"), None),
])  # fmt: skip
def test_an_mp3_is_as_long_as_what_decodes_whatever_its_header_says(tmp_path, capsys, spoil, options, words):
    path = mp3(tmp_path, *options)
    if spoil:
        spoil(path)
    assert formats.difference(path) < formats.LOSSY_LIMIT
    said = capsys.readouterr().err
    assert said.count("\n") == (words is not None) and (words or "") in said


@needs_ffmpeg
def test_without_ffmpeg_the_rest_of_such_an_mp3_is_missed_aloud(tmp_path, monkeypatch):
    path = mp3(tmp_path, "-q:a", "2", "-write_xing", "0")
    monkeypatch.setenv("PATH", "/nowhere")
    with open_audio(path) as sound:
        (note,) = sound.notes
    assert "% of the file were not read; with ffmpeg installed they would be" in note


@needs_ffmpeg
def test_of_several_sounds_the_default_one_is_read_and_said(tmp_path):
    for name, frequency in (("a", 440), ("b", 300)):
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * tone(frequency, 1.0, 44100, 1), 44100)
    inputs = [word for name in "ab" for word in ("-i", tmp_path / f"{name}.wav")]
    which = ["-map", "0", "-map", "1", "-disposition:a:0", "0", "-disposition:a:1", "default"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *which, tmp_path / "two.mka"], check=True)
    for stream, frequency, notes in ((None, 300, 1), (1, 440, 0), (2, 300, 0)):
        with open_audio(tmp_path / "two.mka", stream) as sound:
            audio = sound.read(44100)[0]
            assert ["number 2 is read; --stream N" in note for note in sound.notes] == [True] * notes
        assert np.argmax(np.abs(np.fft.rfft(audio, 44100))) == frequency
    refused("expected a sound from 1 to 2, got --stream 3", open_audio, tmp_path / "two.mka", 3)
    refused("expected a sound from 1 to 1, got --stream 2", open_audio, tmp_path / "a.wav", 2)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "webm", "wma", "aac"])
def test_what_ffmpeg_decodes_is_the_sound_that_was_coded(tmp_path, suffix):
    ap.save(tmp_path / "a.wav", np.stack([tone(440, 0.5, 48000, 1) / 2, np.zeros(24000)]), 48000)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-b:a", "128k", tmp_path / f"a.{suffix}"]
    subprocess.run(command, check=True)
    audio, rate = ap.load(tmp_path / f"a.{suffix}")
    assert rate == 48000 and audio.shape[0] == 2 and abs(audio.shape[1] - 24000) < 4096
    middle = audio[:, 6000:18000]
    assert np.sqrt(2 * np.mean(middle[0] ** 2)) == pytest.approx(0.5, rel=0.05)
    assert np.abs(middle[1]).max() < 0.05
    assert np.argmax(np.abs(np.fft.rfft(middle[0]))) == 110  # 440 Hz
