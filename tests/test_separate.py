"""separate.py as a user meets it: files in, files out, and one clear line where that cannot be."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import separate
from audio_processing.audio_processing import load, save
from tests.helpers import ROOT, Halves, one_line, refused


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


def stems_in(folder):
    """Stem → sound of the files in a folder, whatever their format."""
    return {path.stem: load(path)[0] for path in sorted(folder.iterdir())}


def test_several_songs_and_folders_in_one_call(tmp_path, halves, capsys):
    first, second = song(tmp_path / "a" / "song.wav", seed=1), song(tmp_path / "b" / "SONG.flac", seed=2)
    song(tmp_path / "album" / "one.wav", seed=3)
    song(tmp_path / "album" / "disc 2" / "two.mp3", seed=4)
    (tmp_path / "album" / "cover.jpg").write_bytes(b"no sound")
    (tmp_path / "album" / ".hidden.wav").write_bytes(b"no sound")
    (tmp_path / "album" / "disc 2" / "._two.mp3").write_bytes(b"no sound")
    out = tmp_path / "album" / "out"  # below the folder that is separated: its stems are no songs
    again = str(tmp_path / "a" / ".." / "a" / "song.wav")
    arguments = ["-m", halves, str(first), str(second), "-o", str(out), again, str(tmp_path / "album")]
    for _ in range(2):
        assert separate.main(arguments) == 0
        said = capsys.readouterr()
        assert said.err == "" and len(said.out.splitlines()) == 12
        assert sorted(path.name for path in out.iterdir()) == ["SONG (2)", "one", "song", "two"]
    for path, folder in ((first, "song"), (second, "SONG (2)")):
        np.testing.assert_allclose(sum(stems_in(out / folder).values()), load(path)[0], atol=1e-6)


def test_what_cannot_be_separated_is_named_and_the_rest_is(tmp_path, halves, capsys):
    good = song(tmp_path / "good.wav")
    (tmp_path / "empty").mkdir()
    arguments = ["-m", halves, "-o", str(tmp_path / "out"), "-q", "", str(tmp_path / "empty"), str(good), "no.wav"]
    assert separate.main(arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert (
        len(said) == 3
        and "got an empty one" in said[0]
        and "empty: a folder without" in said[1]
        and "no.wav" in said[2]
    )
    assert len(stems_in(tmp_path / "out" / "good")) == 3


def test_a_song_that_changes_while_it_is_read_leaves_no_stems(tmp_path, add_separator, capsys):
    path = song(tmp_path / "song.wav", seconds=9)

    class Cuts(Halves):
        def separate_chunk(self, chunk, sample_rate):
            path.write_bytes(path.read_bytes()[:100_000])
            return super().separate_chunk(chunk, sample_rate)

    assert separate.main(["-m", add_separator("cuts", Cuts), "-o", str(tmp_path / "out"), str(path)]) == 2
    assert "changed while it was read" in one_line(capsys) and not any((tmp_path / "out").iterdir())


def test_a_song_that_is_no_good_does_not_keep_others_from_being_separated(tmp_path, halves, capsys):
    (tmp_path / "bad.wav").write_text("no sound")
    good = song(tmp_path / "good.wav")
    assert separate.main(["-m", halves, "-o", str(tmp_path / "out"), str(tmp_path / "bad.wav"), str(good), "-q"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "bad.wav: not a sound file" in said.err
    assert len(stems_in(tmp_path / "out" / "good")) == 3


@pytest.mark.parametrize("options, names", [
    ([], ["half", "residual", "third"]),
    (["--stems", "half"], ["half"]),
    (["--stems", "Residual, third,"], ["residual", "third"]),
    (["--stems", "residual", "--stems", "third"], ["residual", "third"]),
    (["--two-stems", "third"], ["no_third", "third"]),
    (["--two-stems", "half", "--format", "flac", "--bits", "16"], ["half", "no_half"]),
])  # fmt: skip
def test_the_stems_that_are_asked_for_and_their_rest(tmp_path, halves, options, names):
    path = song(tmp_path / "song.flac")
    assert separate.main(["-m", halves, "-o", str(tmp_path / "out"), str(path), *options]) == 0
    stems, mixture = stems_in(tmp_path / "out" / "song"), load(path)[0]
    assert sorted(stems) == names
    gains = {"half": 1 / 2, "third": 1 / 3, "residual": 1 / 6, "no_third": 2 / 3, "no_half": 1 / 2}
    for name in names:
        np.testing.assert_allclose(stems[name], gains[name] * mixture, atol=3e-5)
    if "--two-stems" in options:
        np.testing.assert_allclose(sum(stems.values()), mixture, atol=6e-8)


@pytest.mark.parametrize("options, words", [
    (["--stems", "voice"], "--stems: expected third, half, residual, which this model has, got 'voice'"),
    (["--stems", " ,"], "--stems: expected names such as drums,vocals, got none"),
    (["--stems", "half", "--two-stems", "half"], "--two-stems: expected without --stems, got both"),
    (["--two-stems", "residual"], "--two-stems: expected third, half, which this model has, got 'residual'"),
    (["--bits", "16", "--format", "mp3"], "--bits: expected none for mp3, got 16"),
    (["--stream", "3"], "expected a sound from 1 to 1, got --stream 3"),
])  # fmt: skip
def test_an_option_that_does_not_fit_is_refused_in_one_line(tmp_path, halves, capsys, options, words):
    path = song(tmp_path / "song.wav")
    assert separate.main(["-m", halves, "-o", str(tmp_path / "out"), str(path), *options]) == 2
    assert words in one_line(capsys) and not any((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("name, folder", [
    ("con.wav", "_con"), ("what?.wav", "what_"), ("a:b*c.wav", "a_b_c"), ("end..wav", "end_"), ("…ü 音.wav", "…ü 音"),
])  # fmt: skip
def test_folders_have_names_that_every_system_allows(name, folder):
    assert separate.folder_name(name) == folder


def test_models_are_listed_with_their_size_score_and_licence(capsys):
    with pytest.raises(SystemExit) as ended:
        separate.main(["--list-models"])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0 and [line.split()[0] for line in lines] == list(separate.SEPARATORS)
    assert all(row.purpose in line and row.licence in line for row, line in zip(separate.SEPARATORS.values(), lines))
    by_name = {line.split()[0]: line for line in lines}
    assert "no weights; SI-SDR" in by_name["hps"] and "academic use (MUSDB18)" in by_name["musdb@once"]
    assert "MB; SDR" in by_name["musdb@once"] and "dB on musdb18_7s" in by_name["musdb@once"]
    with pytest.raises(SystemExit) as ended:
        separate.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"separate.py {separate.VERSION}\n"


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
