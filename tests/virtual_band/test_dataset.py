"""The data sets on disk: complete or not there, resumable, readable by MUSDB's own tools."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from audio_processing.tracks import SOURCES, tracks
from tests.helpers import one_line, refused
from virtual_band import dataset
from virtual_band.__main__ import main

FILES = {"mixture.wav", "drums.wav", "bass.wav", "other.wav", "vocals.wav", "annotations.npz", "score.mid"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("band")
    dataset.build_set(root, "extra_instrument", songs=2, seconds=1.2)
    dataset.build_set(root, "same_artist", songs=1, seconds=1.2)
    return root


def test_layout(tree):
    songs = list((tree / "extra_instrument" / "test").iterdir())
    assert len(songs) == 2
    for song in songs:
        assert {path.name for path in song.iterdir()} == FILES
        assert " - " in song.name
    assert not list(tree.glob("*.partial"))


def test_files_add_up_to_the_mixture(tree):
    for folder in tree.glob("*/test/*"):
        audio = {name: soundfile.read(folder / f"{name}.wav")[0] for name in ("mixture", *SOURCES)}
        assert audio["mixture"].shape == (52920, 2)
        assert np.abs(sum(audio[source] for source in SOURCES) - audio["mixture"]).max() < 1e-6


def test_the_trio_has_a_silent_fourth_stem(tree):
    (folder,) = (tree / "same_artist" / "test").iterdir()
    assert not soundfile.read(folder / "other.wav")[0].any()
    with np.load(folder / "annotations.npz") as known:
        assert (known["loudness_other"] == -80).all()


def test_the_report_s_own_reader_finds_songs_and_annotations(tree):
    (first, _) = tracks(tree / "extra_instrument", "test")
    assert first.stems(16000, mono=True)["bass"].shape == (19200,)
    assert first.annotations()["f0_vocals"].shape == (300,)


def test_musdb_and_museval_run_on_the_tree(tree):
    musdb, museval = pytest.importorskip("musdb"), pytest.importorskip("museval")
    try:
        database = musdb.DB(root=str(tree / "extra_instrument"), is_wav=True, subsets=["test"])
        track = database[0]
        audio = track.audio
    except Exception as error:  # stempeg reads through ffmpeg
        pytest.skip(f"musdb cannot read audio here: {error}")
    assert len(database) == 2 and audio.shape == (52920, 2) and track.rate == 44100
    assert track.artist == "Dario Dorn"
    targets = {source: track.targets[source].audio for source in SOURCES}
    assert np.abs(sum(targets.values()) - audio).max() < 2e-4  # musdb reads 16 bits
    estimates = {source: targets[source] + 0.1 * audio for source in ("vocals", "bass")}
    scores = museval.eval_mus_track(track, estimates)
    assert {target["name"] for target in scores.scores["targets"]} == {"vocals", "bass"}


def test_songs_of_different_sets_share_no_score():
    numbers = [{seed for _, seed in dataset.songs_of(name, 1000)} for name in dataset.SETS]
    assert sum(map(len, numbers)) == len(set().union(*numbers))
    trainers = {artist for artist, _ in dataset.songs_of("one_artist")}
    strangers = {artist for artist, _ in dataset.songs_of("other_artist", 8)}
    many = {artist for artist, _ in dataset.songs_of("many_artists", 1000)}
    assert len(trainers) == 1 and len(strangers) == 8
    assert not (trainers | many) & strangers
    long = dataset.songs_of("one_artist_long")
    assert len(long) * 20 == 30 * 60 and {artist for artist, _ in long} == trainers  # half an hour of the same artist


def test_a_complete_set_is_left_alone_and_a_longer_one_goes_on(tmp_path):
    folder, written = dataset.build_set(tmp_path, "validation", songs=1, seconds=0.5)
    assert written == 1
    (song,) = (folder / "test").iterdir()
    before = song.stat().st_mtime_ns
    assert dataset.build_set(tmp_path, "validation", songs=1, seconds=0.5)[1] == 0
    assert dataset.build_set(tmp_path, "validation", songs=2, seconds=0.5)[1] == 1
    assert song.stat().st_mtime_ns == before and len(list((folder / "test").iterdir())) == 2
    assert dataset.build_set(tmp_path, "validation", songs=1, seconds=0.5)[1] == 0
    assert len(list((folder / "test").iterdir())) == 1
    assert dataset.build_set(tmp_path, "validation", songs=1, seconds=0.6)[1] == 1  # another length: all anew


def test_an_interrupted_build_is_resumed_and_never_looks_complete(tmp_path, monkeypatch):
    real, written = dataset.write_song, []

    def fails_at_third(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(real(*arguments))
        return written[-1]

    monkeypatch.setattr(dataset, "write_song", fails_at_third)
    with pytest.raises(KeyboardInterrupt):
        dataset.build_set(tmp_path, "validation", songs=3, seconds=0.5)
    assert not (tmp_path / "validation").exists()
    partial = tmp_path / "validation.partial" / "test"
    assert len(list(partial.iterdir())) == 2
    half = partial / ".Dario Dorn - Half.123"  # a song that was being written
    half.mkdir()
    (half / "mixture.wav").write_bytes(b"RIFF")
    monkeypatch.setattr(dataset, "write_song", real)
    folder, count = dataset.build_set(tmp_path, "validation", songs=3, seconds=0.5)
    assert count == 1
    assert all({path.name for path in song.iterdir()} == FILES for song in (folder / "test").iterdir())
    assert len(list((folder / "test").iterdir())) == 3


@pytest.mark.parametrize("place, lost", [("validation", "score.mid"), ("validation.partial", "bass.wav")])
def test_a_song_that_lost_a_file_is_written_again(tmp_path, place, lost):
    """In a set that was complete, and in one whose build was interrupted."""
    folder, _ = dataset.build_set(tmp_path, "validation", songs=2, seconds=0.5)
    folder.rename(tmp_path / place)
    victim = sorted((tmp_path / place / "test").iterdir())[0]
    (victim / lost).unlink()
    assert dataset.build_set(tmp_path, "validation", songs=2, seconds=0.5)[1] == 1
    assert (folder / "test" / victim.name / lost).exists()


def test_two_processes_write_the_same_tree_as_one(tmp_path):
    trees = []
    for jobs in (1, 2):
        folder, _ = dataset.build_set(tmp_path / str(jobs), "validation", songs=2, seconds=0.5, jobs=jobs)
        trees.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.wav")})
    assert trees[0] == trees[1]


@pytest.mark.parametrize("folder", ["validation", "validation.partial"])
def test_a_folder_of_somebody_else_is_not_touched(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("mine")
    refused("expected a set that this program wrote", dataset.build_set, tmp_path, "validation", songs=1, seconds=0.5)
    assert (tmp_path / folder / "thesis.txt").read_text() == "mine"


def test_an_interrupt_ends_the_command_with_a_word(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("virtual_band.__main__.build_set", interrupted)
    assert main(["--data", str(tmp_path)]) == 130
    assert "resumes here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--sets", "nonsense"], "set: expected one of one_artist, one_artist_long"),
        (["--seconds", "0"], "got 0.0"),
        (["--seconds", "-3"], "seconds: expected a length from 0.5 to 3600, got -3.0"),
        (["--seconds", "nan"], "got nan"),
        (["--songs", "-1"], "songs: expected a whole number, 0 or more, got -1"),
        (["--jobs", "0"], "jobs: expected 1 or more, got 0"),
    ],
)
def test_the_command_names_a_bad_option_and_writes_nothing(arguments, words, tmp_path, capsys):
    assert main(["--data", str(tmp_path / "new"), *arguments]) == 2
    assert words in one_line(capsys)
    assert not (tmp_path / "new").exists()


def test_the_command_says_where_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--data", str(tmp_path / "file"), "--sets", "validation", "--songs", "1"]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_command_writes_and_names_what_it_wrote(tmp_path, capsys):
    command = [sys.executable, "-m", "virtual_band", "--data", str(tmp_path), "--sets", "many_artists"]
    done = subprocess.run([*command, "--many", "2", "--seconds", "0.5"], capture_output=True, text=True, check=True)
    assert f"{tmp_path / 'many_artists'}: 2 songs written" in done.stdout
    assert len(list((tmp_path / "many_artists" / "train").iterdir())) == 2
    manifest = json.loads((tmp_path / "many_artists" / "band.json").read_text())
    assert manifest["version"] == dataset.VERSION
    assert main([*command[3:], "--many", "2", "--seconds", "0.5"]) == 0
    assert "up to date" in capsys.readouterr().out
