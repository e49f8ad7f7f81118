"""Songs with their stems, in every layout that MUSDB18 comes in; what cannot be read is named and left out."""

from pathlib import Path

import numpy as np
import pytest

from audio_processing.audio_processing import AudioError, load, save
from audio_processing.tracks import SOURCES, readable, tracks
from tests.helpers import needs_ffmpeg, refused, stem_file


def rewritten(change):
    """What writes a file anew with another sound: `change` of its samples and sample rate."""
    return lambda path: save(path, *change(*load(path)))


def test_songs_and_stems_of_a_tree(tree):
    songs = tracks(tree)
    assert [song.name for song in songs] == ["Artist - Song 0", "Artist - Song 1"]
    assert songs[0].subset == "train" and songs[0].sample_rate == 16000
    stems = songs[0].stems()
    assert list(stems) == list(SOURCES)
    np.testing.assert_allclose(sum(stems.values()), songs[0].mixture(), atol=1e-6)
    assert songs[0].stems(8000, mono=True, sources=("bass",))["bass"].shape == (16000,)
    assert songs[0].annotations() == {}


def test_musdb_reads_the_same_tree(tree):
    musdb = pytest.importorskip("musdb")
    theirs = musdb.DB(root=str(tree), is_wav=True, subsets="train")
    ours = tracks(tree, "train")
    assert [track.name for track in theirs] == [song.name for song in ours]
    np.testing.assert_allclose(theirs[0].targets["bass"].audio.T, ours[0].stems()["bass"], atol=2e-5)  # it reads 16 bit


def test_a_folder_without_songs_is_named(tmp_path):
    refused("no songs in train", tracks, tmp_path, "train", error=FileNotFoundError)


def test_a_missing_stem_and_stems_of_different_length_are_named(tree):
    song = tracks(tree)[0]
    rewritten(lambda x, rate: (x[:, :-5], rate))(song.path / "bass.wav")
    refused("differ in length", song.stems, error=AudioError)
    (song.path / "bass.wav").unlink()
    refused("bass.wav: no such file", song.stems, error=AudioError)


def test_stem_files_of_musdb(shared):
    pytest.importorskip("stempeg")
    songs = tracks(shared / "musdb18-7s", "test")
    assert len(songs) == 50
    song = next(song for song in songs if not song.name.startswith("PR - "))
    stems, mixture = song.stems(), song.mixture()
    assert mixture.shape[0] == 2 and song.sample_rate == 44100
    assert np.abs(sum(stems.values()) - mixture).max() < 0.1  # coded with AAC one by one: they add up roughly


@needs_ffmpeg
def test_one_option_reads_wav_trees_and_stem_files(tree, tmp_path):
    wavs = tracks(tree)[0]
    stem_file(tmp_path / "mp4" / "train" / f"{wavs.name}.stem.mp4", wavs.path, options=("-ar", "44100"))
    (song,) = tracks(tmp_path / "mp4")
    assert song.name == wavs.name and song.subset == "train"
    assert readable([song]) == ([song], {})
    ours, theirs = song.stems(16000), wavs.stems()
    assert list(ours) == list(SOURCES)
    for source in SOURCES:  # coded with loss; drums are not bass
        error = ours[source][:, :32000] - theirs[source]
        assert np.mean(error**2) < 0.2 * np.mean(theirs[source] ** 2)


@needs_ffmpeg
def test_stem_files_read_as_stempeg_reads_them(tree, tmp_path):
    stempeg = pytest.importorskip("stempeg")
    path = stem_file(tmp_path / "train" / "a.stem.mp4", tracks(tree)[0].path, options=("-ar", "44100"))
    theirs, rate = stempeg.read_stems(str(path), stem_id=2)
    np.testing.assert_array_equal(tracks(tmp_path)[0].stems()["bass"], theirs.T.astype(np.float32))


@pytest.mark.parametrize("part, spoil, words", [
    ("bass", Path.unlink, "bass.wav: no such file"),
    ("mixture", Path.unlink, "mixture.wav: no such file"),
    ("bass", lambda path: path.write_text("nothing"), "bass.wav: not a sound file"),
    ("bass", lambda path: path.write_bytes(path.read_bytes()[:-10000]), "bass.wav: cut off, 30750 of 32000 samples"),
    ("bass", rewritten(lambda x, rate: (x[:, :-5], rate)), "length of bass is 31995, that of the mixture 32000"),
    ("bass", rewritten(lambda x, rate: (x, 22050)), "sample rate of bass is 22050, that of the mixture 16000"),
    ("bass", rewritten(lambda x, rate: (x[:1], rate)), "channels of bass is 1, that of the mixture 2"),
])  # fmt: skip
def test_a_song_that_cannot_be_read_is_left_out_or_stops_the_run(tree, part, spoil, words):
    bad, good = tracks(tree)
    spoil(bad.path / f"{part}.wav")
    kept, left_out = readable(tracks(tree), "skip")
    assert kept == [good] and list(left_out) == [bad.name] and words in left_out[bad.name]
    assert left_out[bad.name].startswith(bad.name) and "\n" not in left_out[bad.name]
    assert bad.name in refused(words, readable, tracks(tree), "raise", error=AudioError)
    spoil(good.path / f"{part}.wav")
    refused("none of 2 songs can be read", readable, tracks(tree), "skip", error=AudioError)
    refused("on_error", readable, [], "ignore")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e11])
@pytest.mark.parametrize("part, mono", [("drums", True), ("vocals", False), ("mixture", True)])
def test_a_sound_that_is_not_finite_is_named(tree, part, mono, value):
    song = tracks(tree)[0]
    sound, rate = load(song.path / f"{part}.wav")
    sound[0, 100:200] = value
    save(song.path / f"{part}.wav", sound, rate)
    read = song.mixture if part == "mixture" else song.stems
    refused(f"{part}.wav: holds NaN .*100 of 64000", read, 8000, mono, error=AudioError)
    assert song.stems(sources=("bass",))["bass"].shape == (2, 32000)


def test_what_macos_writes_beside_songs_is_no_song(tree):
    songs, folder = tracks(tree), tree / "train"
    for name in ("._a.stem.mp4", "._Artist - Song 0/mixture.wav", "Notes/._mixture.wav", "Artist - Song 0/._drums.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7")
    assert tracks(tree) == songs and len(songs[0].files()) == 5


def test_stems_that_are_not_asked_for_may_be_missing(tree):
    song = tracks(tree)[0]
    (song.path / "other.wav").unlink()
    assert readable([song], sources=("drums", "bass", "vocals")) == ([song], {})


@needs_ffmpeg
def test_stem_files_that_cannot_be_read_are_named(tree, tmp_path, monkeypatch):
    folder, root = tracks(tree)[0].path, tmp_path / "mp4"
    stem_file(root / "test" / "good.stem.mp4", folder)
    stem_file(root / "test" / "few.stem.mp4", folder, sources=("mixture", "drums", "bass"))
    content = (root / "test" / "good.stem.mp4").read_bytes()
    (root / "test" / "half.stem.mp4").write_bytes(content[: len(content) // 2])
    songs = tracks(root)
    kept, left_out = readable(songs, "skip")
    assert [song.name for song in kept] == ["good"]
    assert left_out == {
        "few": "few.stem.mp4: holds 3 sounds, other would be number 4",
        "half": left_out["half"],
    }
    assert left_out["half"].startswith("half.stem.mp4: not a sound file that can be read")
    refused("few.stem.mp4: expected a sound from 1 to 3, got .* 4", songs[0].stems, error=AudioError)
    refused("half.stem.mp4: not a sound file that can be read", songs[2].stems, error=AudioError)
    monkeypatch.setenv("PATH", "/nowhere")
    refused("good.stem.mp4: reading .* needs ffmpeg", readable, kept, error=AudioError)
    refused("good.stem.mp4: .* needs ffmpeg", kept[0].mixture, error=AudioError)
