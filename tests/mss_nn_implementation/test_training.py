import csv
import dataclasses

import numpy as np
import pytest

from mss_nn_implementation import train as trainer
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_stems
from mss_nn_implementation.parameters import Parameters, Training
from tests.conftest import make_tree

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


def test_songs_shorter_than_a_crop_are_refused():
    with pytest.raises(ValueError, match="at least 100 samples"):
        RandomCrops([np.zeros((3, 99), np.float32)], 100, SHORT)


def test_validation_crops_are_the_songs_in_order():
    song = np.arange(3 * 10, dtype=np.float32).reshape(3, 10)
    mixtures, stems = fixed_crops([song], 4)
    assert stems.shape == (2, 3, 4)
    np.testing.assert_array_equal(stems[1], song[:, 4:8])
    np.testing.assert_array_equal(mixtures, stems.sum(axis=1))


def curve(run):
    with open(run / "log.csv") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_with_the_same_curve(songs, tmp_path, monkeypatch):
    job = ("tiny", SHORT, TINY, (songs, "train"), (songs, "train"))
    trainer.train(*job, tmp_path / "whole")

    class Stop(Exception):
        pass

    begin = trainer.Clock.on_epoch_begin

    def stop_at_third(self, epoch, logs=None):
        if epoch == 2:
            raise Stop
        begin(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(trainer.Clock, "on_epoch_begin", stop_at_third)
        trainer.train(*job, tmp_path / "stopped")
    assert len(curve(tmp_path / "stopped")) == 2
    trainer.train(*job, tmp_path / "stopped")
    np.testing.assert_allclose(curve(tmp_path / "stopped"), curve(tmp_path / "whole"), atol=1e-3)
    assert len(curve(tmp_path / "whole")) == 4


@pytest.mark.slow
def test_published_weights_load_and_are_current_until_settings_change(songs, tmp_path, monkeypatch):
    from audio_processing import results
    from mss_nn_implementation.convtas import load_model

    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    job = ("tiny", dataclasses.replace(SHORT, steps=6), TINY, (songs, "train"), (songs, "train"))
    trainer.train(*job, tmp_path / "run")
    written = trainer.publish(*job, tmp_path / "run", weights=tmp_path / "weights")
    assert all(path.exists() for path in written)
    model, record = load_model("tiny", tmp_path / "weights")
    assert record["weights"] == model.count_params() and record["seconds"] > 0
    assert trainer.is_current(*job, weights=tmp_path / "weights")
    changed = dataclasses.replace(job[1], seed=9)
    assert not trainer.is_current("tiny", changed, *job[2:], weights=tmp_path / "weights")
    with pytest.raises(SystemExit, match="other settings"):
        trainer.train("tiny", changed, *job[2:], tmp_path / "run")
