import numpy as np
import pytest

from audio_processing.audio_processing import AudioError, load, save
from audio_processing.tracks import SOURCES, tracks


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
    with pytest.raises(FileNotFoundError, match="no songs in train"):
        tracks(tmp_path, "train")


def test_a_missing_stem_and_stems_of_different_length_are_named(tree):
    song = tracks(tree)[0]
    audio, rate = load(song.path / "bass.wav")
    save(song.path / "bass.wav", audio[:, :-5], rate)
    with pytest.raises(AudioError, match="differ in length"):
        song.stems()
    (song.path / "bass.wav").unlink()
    with pytest.raises(AudioError, match="bass.wav: no such file"):
        song.stems()


def test_stem_files_of_musdb(shared):
    pytest.importorskip("stempeg")
    songs = tracks(shared / "musdb18-7s", "test")
    assert len(songs) == 50
    song = next(song for song in songs if not song.name.startswith("PR - "))
    stems, mixture = song.stems(), song.mixture()
    assert mixture.shape[0] == 2 and song.sample_rate == 44100
    error = np.abs(sum(stems.values()) - mixture).max()
    assert error < 0.1  # coded with AAC one by one: they add up roughly
