"""separate.py as a user meets it: files in, files out, and one clear line where that cannot be."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import separate
from audio_processing.audio_processing import load, save
from tests.helpers import ROOT, Halves, refused


@pytest.fixture
def halves(add_separator):
    return add_separator("halves", Halves)


def song(path, seconds=1.7, rate=22050, channels=2, seed=0):
    audio = 0.3 * np.random.default_rng(seed).standard_normal((channels, int(seconds * rate)))
    save(path, np.clip(audio, -1, 1).astype(np.float32), rate)
    return path


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("seconds", [0.001, 0.2, 0.5, 1.7])
def test_stems_have_the_songs_length_rate_and_channels_and_add_up_to_it(tmp_path, halves, ending, seconds):
    path = song(tmp_path / f"a song.{ending}", seconds)
    written = separate.separate_file(path, halves, tmp_path / "out", progress=False)
    mixture, rate = load(path)
    stems = {file.stem: load(file) for file in written}
    assert list(stems) == ["third", "half", "residual"]
    assert all(file.parent == tmp_path / "out" / "a song" for file in written)
    for audio, stem_rate in stems.values():
        assert audio.shape == mixture.shape and stem_rate == rate == 22050
    np.testing.assert_allclose(sum(audio for audio, _ in stems.values()), mixture, atol=1e-6)
    np.testing.assert_allclose(stems["third"][0], mixture / 3, atol=1e-6)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a song"]  # no temporary folder is left


def test_some_nan_samples_count_as_silence_and_are_reported(tmp_path, halves, capsys):
    audio = np.ones((1, 30000), np.float32) * 0.5
    audio[0, 100:110] = np.nan
    save(tmp_path / "some.wav", audio, 16000)
    assert separate.main([str(tmp_path / "some.wav"), "--model", halves, "--out", str(tmp_path)]) == 0
    assert "10 samples were NaN" in capsys.readouterr().err
    half, _ = load(tmp_path / "some" / "half.wav")
    assert np.isfinite(half).all() and half[0, 105] == 0 and half[0, 200] == pytest.approx(0.25)


def test_a_run_that_breaks_leaves_no_stem_behind(tmp_path, add_separator):
    class Breaks(Halves):
        chunks_left = 3

        def separate_chunk(self, chunk, sample_rate):
            self.chunks_left -= 1
            if not self.chunks_left:
                raise ValueError("broke in the middle")
            return super().separate_chunk(chunk, sample_rate)

    add_separator("breaks", Breaks)
    refused("middle", separate.separate_file, song(tmp_path / "s.wav"), "breaks", tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_function_checks_its_arguments(halves):
    for mixture, rate, model, words in [
        (np.zeros(0), 16000, halves, "mixture"),
        (np.zeros((1, 2, 3)), 16000, halves, "mixture"),
        (np.zeros(9), 0, halves, "sample_rate"),
        (np.zeros(9), 16000, "nonsense", "model: expected one of hps, .* got 'nonsense'"),
    ]:
        refused(words, separate.separate, mixture, rate, model)
    mixture = [0.0, np.nan, np.inf, 1e11, 0.6]
    assert separate.separate(mixture, 16000, halves)["half"].tolist() == pytest.approx([0, 0, 0, 0, 0.3])


def test_the_help_lists_every_separator_with_its_purpose(capsys):
    with pytest.raises(SystemExit):
        separate.main(["--help"])
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.split("models:\n")[1].splitlines())
    assert rows == {row.name: row.purpose for row in separate.SEPARATORS.values()}


@pytest.mark.slow
def test_the_command_separates_a_whole_recorded_song(shared, tmp_path):
    path = shared / "songs" / "Karissa Hobbs - Let's Go Fishin'.ogg"
    command = [sys.executable, str(ROOT / "separate.py"), str(path), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    mixture, rate = load(path)
    total, energies = 0, {}
    for file in (tmp_path / path.stem).iterdir():
        info = soundfile.info(file)
        assert (info.samplerate, info.channels, info.frames) == (rate, *mixture.shape)
        audio, _ = load(file)
        total, energies[file.stem] = total + audio, float(np.mean(audio**2))
    assert np.abs(total - mixture).max() < 1e-4
    assert set(energies) == {"drums", "bass", "other", "vocals", "residual"} and min(energies.values()) > 0
