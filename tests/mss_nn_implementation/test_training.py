import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from audio_processing.audio_processing import AudioError, load, save
from audio_processing.tracks import SOURCES, tracks
from common.files import sha256_of
from mss_nn_implementation import datasets
from mss_nn_implementation import train as trainer
from mss_nn_implementation.convtas import ConvTasNet
from mss_nn_implementation.datasets import VALIDATION, RandomCrops, fixed_crops, load_songs, load_stems, songs_of
from mss_nn_implementation.parameters import Parameters, Training
from tests.conftest import ROOT, make_tree

TINY = Parameters(N=8, L=8, B=4, H=6, P=3, X=2, R=1, Sc=4)
SHORT = Training(seconds=0.25, batch_size=2, steps=12, steps_per_epoch=3, warmup=3)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("data"), seconds=1.0)


def test_batches_are_crops_of_the_songs_and_the_same_for_the_same_seed(songs):
    stems = load_stems(songs, "train", TINY.sources, 16000)
    assert len(stems) == 2 and stems[0].shape == (3, 16000)
    training = dataclasses.replace(SHORT, gain_db=0.0, remix=0.0)
    crops = RandomCrops(stems, 100, training)
    mixtures, targets = crops[0]
    assert mixtures.shape == (2, 100) and targets.shape == (2, 3, 100)
    np.testing.assert_allclose(targets.sum(axis=1), mixtures, atol=1e-6)
    drums = np.abs(targets[0, 0])  # a crop of one of the songs, up to its sign
    found = [i for song in stems for i in range(15901) if np.allclose(np.abs(song[0, i : i + 100]), drums, atol=1e-6)]
    assert len(found) == 1
    again = RandomCrops(stems, 100, training)
    np.testing.assert_array_equal(again[0][0], mixtures)
    assert not np.array_equal(again[1][0], mixtures)
    again.epoch = 1
    assert not np.array_equal(again[0][0], mixtures)


def test_songs_shorter_than_a_crop_are_refused_by_name(songs):
    with pytest.raises(ValueError, match="at least 100 samples"):
        RandomCrops([np.zeros((3, 99), np.float32)], 100, SHORT)
    with pytest.raises(ValueError, match="shorter than a crop of 1.5 s: Artist - Song 0, Artist - Song 1"):
        load_stems(songs, "train", TINY.sources, 16000, at_least=1.5)


def test_a_batch_costs_milliseconds():
    """A step of the shipped networks takes more than 100 ms on two cores, so 5 ms keep the wait under 5 %."""
    songs = [np.zeros((4, 7 * 16000), np.float32)] * 80
    crops = RandomCrops(songs, 32000, Training())
    for i in range(20):
        crops[i]
    assert 0 < crops.spent / 20 < 0.05  # ten times as much on a machine that has other things to do


def test_stereo_crops_keep_the_channels_and_swap_some():
    song = np.stack([np.full((2, 50), i + 1.0, np.float32) * [[1], [2]] for i in range(3)])  # right twice as loud
    plain = dataclasses.replace(SHORT, gain_db=0.0, swap=0.0, batch_size=50)
    mixtures, stems = RandomCrops([song], 10, plain)[0]
    assert mixtures.shape == (50, 2, 10) and stems.shape == (50, 3, 2, 10)
    np.testing.assert_allclose(np.abs(stems[:, :, 1]), 2 * np.abs(stems[:, :, 0]))
    _, swapped = RandomCrops([song], 10, dataclasses.replace(plain, swap=0.5))[0]
    louder_left = np.mean(np.abs(swapped[:, :, 0, 0]) > np.abs(swapped[:, :, 1, 0]))
    assert 0.3 < louder_left < 0.7


def test_stereo_songs_are_read_in_stereo_and_mono_ones_doubled(songs, tmp_path):
    stems = load_stems(songs, "train", SOURCES, 16000, channels=2)
    (drums, _) = load(songs / "train" / "Artist - Song 0" / "drums.wav")
    np.testing.assert_array_equal(stems[0][0], drums)
    mono = load_stems(make_tree(tmp_path, songs=1, channels=1), "train", SOURCES, 16000, channels=2)
    assert mono[0].shape == (4, 2, 32000)
    np.testing.assert_array_equal(mono[0][:, 0], mono[0][:, 1])


def test_speeds_change_length_and_pitch(tmp_path):
    t = np.arange(32000) / 16000
    for part in ("mixture", *SOURCES):
        save(tmp_path / "train" / "A - B" / f"{part}.wav", np.sin(2 * np.pi * 400 * t)[None].astype(np.float32), 16000)
    as_it_is, faster = load_stems(tmp_path, "train", ("drums",), 16000, speeds=(1.25,))
    assert as_it_is.shape == (1, 32000) and faster.shape == (1, 25600)
    assert np.abs(np.fft.rfft(faster[0, :16000])).argmax() == 500


def test_the_cache_holds_what_was_decoded_and_mends_itself(songs, tmp_path, capsys):
    arguments = (songs, "train", TINY.sources, 16000)
    expected = load_stems(*arguments, speeds=(1.1,))
    first = load_stems(*arguments, speeds=(1.1,), cache=tmp_path)
    assert len(first) == 4 and all(isinstance(song, np.memmap) for song in first)
    for ours, true in zip(first, expected):
        np.testing.assert_array_equal(ours, true)
    files = sorted(tmp_path.glob("*.npy"))
    written = [path.stat().st_mtime_ns for path in files]
    load_stems(*arguments, speeds=(1.1,), cache=tmp_path)
    assert [path.stat().st_mtime_ns for path in files] == written  # nothing is decoded twice
    first = None
    files[0].write_bytes(files[0].read_bytes()[:-8])  # truncated
    changed = bytearray(files[1].read_bytes())
    changed[-5] ^= 1  # one bit of the sound
    files[1].write_bytes(changed)
    files[2].with_suffix(".sha256").unlink()  # killed between the two files
    (tmp_path / ".partial-x.npy").write_bytes(b"half")  # killed while it wrote
    for ours, true in zip(load_stems(*arguments, speeds=(1.1,), cache=tmp_path), expected):
        np.testing.assert_array_equal(ours, true)
    assert capsys.readouterr().err.count("damaged, decoding") == 3
    half = load_stems(*arguments, cache=tmp_path, dtype="float16")
    assert half[0].dtype == np.float16
    np.testing.assert_allclose(half[0], expected[0], rtol=1e-3, atol=1e-6)
    other = load_stems(*arguments[:3], 8000, cache=tmp_path)  # another rate is another file
    assert other[0].shape == (3, 8000)


def test_validation_songs_are_the_musdb_packages(tmp_path):
    import musdb
    import yaml

    config = yaml.safe_load(open(os.path.join(os.path.dirname(musdb.__file__), "configs", "mus.yaml")))
    assert sorted(VALIDATION) == sorted(config["validation_tracks"])
    root = make_tree(tmp_path, songs=2, seconds=0.1)
    with pytest.raises(FileNotFoundError, match="none of MUSDB18's 14 validation songs"):
        songs_of(root, "train", "valid")
    (root / "train" / "Artist - Song 1").rename(root / "train" / VALIDATION[3])
    assert [song.name for song in songs_of(root, "train", "valid")] == [VALIDATION[3]]
    assert [song.name for song in songs_of(root, "train", "train")] == ["Artist - Song 0"]


def test_musdb_is_split_into_80_and_14_and_never_sees_a_test_song(shared):
    root = shared / "musdb18-7s"
    train, valid, test = (
        {song.name for song in found}
        for found in (songs_of(root, "train", "train"), songs_of(root, "train", "valid"), tracks(root, "test"))
    )
    assert len(train) == 80 and len(valid) == 14 and not (train | valid) & test


def test_a_network_starts_from_another_ones_weights_by_the_names_of_its_sources(tmp_path):
    four = ConvTasNet(dataclasses.replace(TINY, sources=SOURCES))
    three = ConvTasNet(TINY)
    for model in (four, three):
        model.build((None, None))
    four.save(tmp_path / "four.keras")
    trainer.start_from(three, tmp_path / "four.keras")
    np.testing.assert_array_equal(three.encoder.kernel, four.encoder.kernel)
    np.testing.assert_array_equal(three.blocks[1].outputs.kernel, four.blocks[1].outputs.kernel)
    x = np.random.default_rng(0).standard_normal((1, 200)).astype(np.float32)
    ours, theirs = (keras.ops.convert_to_numpy(model(x)) for model in (three, four))
    np.testing.assert_allclose(ours, theirs[:, [0, 1, 3]], atol=1e-6)
    other = ConvTasNet(dataclasses.replace(TINY, H=7))
    other.build((None, None))
    with pytest.raises(ValueError, match="four.keras has H 6, 7 expected"):
        trainer.start_from(other, tmp_path / "four.keras")
    (tmp_path / "four.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="four.keras is no trained network"):
        trainer.start_from(three, tmp_path / "four.keras")


def test_songs_that_cannot_be_read_stop_a_training_or_are_left_out(tmp_path, monkeypatch, capsys):
    """One stem is missing, another one is damaged behind its header: named, and the other songs are trained on."""
    make_tree(tmp_path / "tiny", songs=3)
    make_tree(tmp_path / "tiny", songs=1, subset="test")
    gone, damaged, good = tracks(tmp_path / "tiny", "train")
    (gone.path / "bass.wav").unlink()
    stems = gone.__class__.stems

    def read(song, *arguments, **options):
        if song == damaged:
            raise AudioError(f"{song.path}: the sound is damaged after 1.0 s")
        return stems(song, *arguments, **options)

    monkeypatch.setattr("audio_processing.tracks.Track.stems", read)
    left_out = {}
    arguments = (tmp_path / "tiny", "train", SOURCES, 16000)
    (found,) = load_stems(*arguments, left_out=left_out, at_least=1.0)
    np.testing.assert_array_equal(found, np.stack(list(good.stems(16000, mono=True).values())))
    assert left_out == {
        gone.name: f"{gone.name}/bass.wav: no such file",
        damaged.name: f"{damaged.name}: the sound is damaged after 1.0 s",
    }
    with pytest.raises(AudioError, match="bass.wav: no such file"):
        load_stems(*arguments)
    short = Training(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1, warmup=1)
    songs = [(tmp_path / "tiny", part) for part in ("train", "test")]
    with pytest.raises(AudioError, match="bass.wav: no such file"):
        trainer.train("tiny", short, TINY, *songs, tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists()
    monkeypatch.setattr(trainer, "JIT", False)
    monkeypatch.setattr(trainer, "MODELS", {"tiny": (TINY, short, *songs)})
    assert trainer.main(["tiny", "--run", str(tmp_path / "run"), "--dry", "--on-error", "skip"]) == 0
    assert f"train: {gone.name} is left out: {gone.name}/bass.wav: no such file" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["left_out"] == left_out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["musdb"], "MUSDB_PATH: not set"),
        (["musdb", "--data", "nowhere", "--start-from", ""], "nowhere: no songs in train"),
        (["many", "--data", "nowhere"], "many_artists: no songs in train"),
        (["trio", "--start-from", "nothing"], "start_from: nothing is neither"),
        (["trio", "--speeds", "3"], "speeds: from 0.5 to 2 expected, got 3"),
        (["trio", "--batch-size", "0"], "batch_size: more than 0"),
        (["trio", "--devices", "3"], "devices: a divisor of the batch size, 4, expected, got 3"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MUSDB_PATH", raising=False)
    monkeypatch.setattr("audio_processing.tracks.EXCERPTS", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    assert trainer.main([*arguments, "--run", "run", "--force"]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_settings_from_before_a_field_was_added_are_those_settings(tmp_path):
    path = tmp_path / "settings.json"
    new = ("norm", "causal", "skip", "mask", "channels", "consistent")
    sizes = {name: value for name, value in TINY.to_dict().items() if name not in new}
    old = ("seconds", "batch_size", "steps", "steps_per_epoch", "learning_rate", "warmup", "clip_norm", "remix")
    training = {name: value for name, value in SHORT.to_dict().items() if name in (*old, "gain_db", "seed")}
    path.write_text(json.dumps({"sizes": sizes, "training": training}))
    assert trainer.check_settings(path, TINY, SHORT) == []
    with pytest.raises(SystemExit, match="other settings"):
        trainer.check_settings(path, TINY, dataclasses.replace(SHORT, loss="l1"))
    for damaged in ("", "{}", "[1]"):
        path.write_text(damaged)
        with pytest.raises(SystemExit, match="settings.json is damaged"):
            trainer.check_settings(path, TINY, SHORT)


def test_validation_crops_are_the_songs_in_order():
    song = np.arange(3 * 10, dtype=np.float32).reshape(3, 10)
    mixtures, stems = fixed_crops([song], 4)
    assert stems.shape == (2, 3, 4)
    np.testing.assert_array_equal(stems[1], song[:, 4:8])
    np.testing.assert_array_equal(mixtures, stems.sum(axis=1))


def curve(run):
    with open(run / "log.csv") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


KILLED = """
import os, signal, sys
from pathlib import Path
import keras
from mss_nn_implementation import train as trainer
from tests.mss_nn_implementation.test_training import SHORT, TINY

class Log(keras.callbacks.CSVLogger):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch == 2:  # the row is written, the backup is not
            os.kill(os.getpid(), signal.SIGKILL)

keras.callbacks.CSVLogger, trainer.JIT = Log, False
songs = (Path(sys.argv[1]), "train")
trainer.train("tiny", SHORT, TINY, songs, songs, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_the_same_curve(songs, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "JIT", False)  # compiling would take longer than training
    job = ("tiny", SHORT, TINY, (songs, "train"), (songs, "train"))
    trainer.train(*job, tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, str(songs), str(tmp_path / "killed")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    assert len(curve(tmp_path / "killed")) == 3
    trainer.train(*job, tmp_path / "killed")
    np.testing.assert_allclose(curve(tmp_path / "killed"), curve(tmp_path / "whole"), atol=1e-5)
    assert len(curve(tmp_path / "whole")) == 4
    with open(tmp_path / "whole" / "log.csv") as file:
        assert all(0 < float(row["data_share"]) < 1 for row in csv.DictReader(file))


@pytest.mark.slow
def test_a_run_whose_files_were_cut_goes_on_or_says_what_to_do(songs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "JIT", False)
    run = tmp_path / "run"
    job = ("tiny", SHORT, TINY, (songs, "train"), (songs, "train"), run)
    trainer.train(*job)
    whole, backup, best = curve(run), run / "backup" / "latest.weights.h5", run / "best.keras"

    def cut(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    cut(backup)  # the last epoch is done again, from the backup before
    trainer.train(*job)
    np.testing.assert_allclose(curve(run), whole, atol=1e-5)
    (run / "backup" / "training_metadata.json").write_text('{"epoch": 3}')
    cut(best)
    model = trainer.train(*job)
    assert model.sizes == TINY and "best.keras: damaged; the best of the epochs to come" in capsys.readouterr().err
    changed = bytearray(best.read_bytes())
    changed[len(changed) // 2] ^= 1  # one bit; no epoch is left to replace it
    best.write_bytes(changed)
    with pytest.raises(ValueError, match="best.keras: damaged, and no epoch is left; delete"):
        trainer.train(*job)
    cut(backup)
    backup.with_name("latest.weights.h5.bkp").write_bytes(b"")
    with pytest.raises(ValueError, match="latest.weights.h5: damaged; delete"):
        trainer.train(*job)


@pytest.mark.slow
def test_a_causal_network_trains_when_it_is_compiled():
    """XLA compiles the cumulative sums and their gradient, too: the same losses as without it."""
    sizes = dataclasses.replace(TINY, norm="cLN", causal=True)
    stems = np.random.default_rng(0).standard_normal((2, 3, 800)).astype(np.float32)
    losses = []
    for jit in (trainer.JIT, False):
        keras.utils.set_random_seed(0)
        model = ConvTasNet(sizes)
        model.compile(optimizer=trainer.make_optimizer(SHORT), loss=trainer.LOSSES["snr"](), jit_compile=jit)
        losses.append([float(model.train_on_batch(stems.sum(axis=1), stems)) for _ in range(4)])
    assert np.isfinite(losses).all() and losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, atol=1e-3)


def test_stem_files_of_musdb_are_decoded_once(shared, tmp_path, monkeypatch):
    few = songs_of(shared / "musdb18-7s", "train", "valid")[:2]
    first = load_songs(few, SOURCES, 16000, cache=tmp_path, at_least=2.0)
    assert [song.shape[0] for song in first] == [4, 4] and all(np.abs(song).max() > 0.01 for song in first)
    np.testing.assert_allclose(
        np.array(first[0]), np.stack(list(few[0].stems(16000, mono=True).values())), atol=1e-7
    )  # what reading the file gives
    monkeypatch.setattr(datasets, "_decode", None)  # what is there needs no decoding
    for ours, theirs in zip(load_songs(few, SOURCES, 16000, cache=tmp_path), first):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_training_in_half_precision_stays_finite(songs, tmp_path, monkeypatch):
    pytest.importorskip("keras", minversion="3.13", reason="Muon needs Keras 3.13 or newer")
    monkeypatch.setattr(trainer, "JIT", False)
    training = dataclasses.replace(SHORT, steps=6, precision="mixed_float16", loss="si_sdr", swap=0.5, optimizer="muon")
    sizes = dataclasses.replace(TINY, channels=2, mask="softmax", skip=False)
    model = trainer.train("tiny", training, sizes, (songs, "train"), (songs, "train"), tmp_path / "run")
    assert np.isfinite(curve(tmp_path / "run")).all() and len(curve(tmp_path / "run")) == 2
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_published_weights_load_and_are_current_until_settings_change(songs, tmp_path, monkeypatch):
    from common import results
    from mss_nn_implementation.convtas import load_model

    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    job = ("tiny", dataclasses.replace(SHORT, steps=6), TINY, (songs, "train"), (songs, "train"))
    trainer.train(*job, tmp_path / "run")
    written = trainer.publish(*job, tmp_path / "run", weights=tmp_path / "weights")
    assert all(path.exists() for path in written)
    model, record = load_model("tiny", tmp_path / "weights")
    assert record["weights"] == model.count_params() and record["seconds"] > 0
    assert record["sha256"] == sha256_of(tmp_path / "weights" / "tiny.keras")
    assert trainer.is_current(*job, weights=tmp_path / "weights")
    changed = dataclasses.replace(job[1], seed=9)
    assert not trainer.is_current("tiny", changed, *job[2:], weights=tmp_path / "weights")
    with pytest.raises(SystemExit, match="other settings"):
        trainer.train("tiny", changed, *job[2:], tmp_path / "run")
