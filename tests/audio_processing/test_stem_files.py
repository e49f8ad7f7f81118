"""Stems as files: they add up, exactly where the format counts in whole numbers, and two runs write the same bytes."""

import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audio_processing.sound_files import open_audio
from audio_processing.stem_files import BITS, StemFiles, check_format, check_options, is_ours
from stress import formats
from tests.helpers import needs_ffmpeg, refused

FORMATS = [(kind, bits) for kind, every in BITS.items() for bits in every]


def written(folder, song, kind="wav", bits="", gains=(0.3, 0.4), block=5000):
    """Files of two stems, which are the song times a gain, and the rest."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.{kind}" for name in ("a", "b", "residual")}
    with open_audio(song) as sound, StemFiles(paths, sound, kind, bits, rest="residual", taken=("a", "b")) as files:
        while (x := sound.read(block)).shape[-1]:
            files.write(dict(zip("ab", (np.float32(gain) * x for gain in gains))), x)
    files.check_lengths(len(sound))
    return paths, files


def song(folder, channels=2, peak=0.9):
    audio = formats.song(channels) / 2**15
    soundfile.write(folder / "song.wav", audio * peak / np.abs(audio).max(), 44100, subtype="PCM_16")
    return folder / "song.wav"


@pytest.mark.parametrize("kind, bits", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_files_of_a_16_bit_song_add_up_to_it(tmp_path, kind, bits, channels):
    mixture, _ = soundfile.read(path := song(tmp_path, channels))
    paths, files = written(tmp_path / "out", path, kind, bits)
    total = sum(soundfile.read(each)[0] for each in paths.values())
    limit = {"float": 1e-7, "16": 0, "24": 0, "": 0.3 * mixture.std()}[bits]
    assert np.std(total - mixture) < limit if kind == "mp3" else np.abs(total - mixture).max() <= limit
    info = soundfile.info(paths["a"])
    assert (info.format, info.frames) == (kind.upper(), len(mixture)) and not list(files.notes())


@pytest.mark.parametrize("kind, bits", FORMATS)
def test_what_is_beyond_full_scale_is_clipped_aloud_or_kept(tmp_path, kind, bits):
    mixture, _ = soundfile.read(path := song(tmp_path))
    paths, files = written(tmp_path / "out", path, kind, bits, gains=(2.0, -0.5))
    largest = 1 - 2.0 ** (1 - int(bits)) if bits.isdigit() else 1.0
    notes, beyond = list(files.notes()), int(np.sum((2 * mixture > largest) | (2 * mixture < -1)))
    total = sum(soundfile.read(each)[0] for each in paths.values())
    if bits == "float":
        assert not notes and np.abs(soundfile.read(paths["a"])[0]).max() == pytest.approx(1.8, abs=1e-3)
        return
    advice = "--bits float" if kind == "wav" else "--format wav"
    assert notes == [f"a.{kind}: {beyond} samples are beyond full scale and were clipped; {advice} keeps them"]
    if bits:
        assert np.abs(total - mixture).max() == 0  # the rest has what the clipped stem lost


@pytest.mark.parametrize("kind, bits", FORMATS)
def test_two_runs_write_the_same_bytes_whatever_the_blocks(tmp_path, kind, bits):
    path = song(tmp_path)
    first, _ = written(tmp_path / "one", path, kind, bits)
    time.sleep(1.1 if bits == "float" else 0)  # libsndfile writes the second into the headers of floats
    second, _ = written(tmp_path / "two", path, kind, bits, block=5000 if kind == "mp3" else 7777)
    for name in first:
        assert is_ours(first[name]) and not is_ours(path)
        assert first[name].read_bytes() == second[name].read_bytes()


@needs_ffmpeg
@pytest.mark.parametrize(
    "ending, layout", [("5.1.ogg", "5.1"), ("5.1.opus", "5.1"), ("5.0.ogg", "5.0"), ("5.1.ac3", "5.1(side)")]
)
def test_channels_keep_their_loudspeakers(tmp_path, ending, layout):
    path = formats.write(tmp_path, ending)
    paths, _ = written(tmp_path / "out", path)
    asked = ["ffprobe", "-v", "error", "-show_entries", "stream=channel_layout", "-of", "csv=p=0", paths["a"]]
    assert subprocess.run(asked, capture_output=True, text=True).stdout.strip() == layout
    total = sum(soundfile.read(each, dtype="float32")[0] for each in paths.values()).T
    assert np.abs(total - formats.decoded(path, len(total))).max() < formats.LOSSY_LIMIT


def test_a_format_that_cannot_hold_the_song_is_refused():
    for options, words in [
        (("ogg",), "--format: expected one of wav, flac, mp3, got ogg"),
        (("flac", "float"), "--bits: expected 24 or 16 for flac, got float"),
        (("mp3", "16"), "--bits: expected none for mp3, got 16"),
    ]:
        refused(words, check_options, *options)
    assert check_options("wav", 16) == "16" and check_options("flac") == "24"
    for kind, rate, channels, words in [
        ("mp3", 96000, 2, "a.wav: --format mp3: expected .* got 2 channels at 96000 Hz; --format wav takes any song"),
        ("mp3", 44100, 6, "--format mp3"),
        ("flac", 44100, 9, "--format flac: expected at most 8 channels"),
    ]:
        refused(words, check_format, kind, "", SimpleNamespace(path="a.wav", samplerate=rate, channels=channels))
