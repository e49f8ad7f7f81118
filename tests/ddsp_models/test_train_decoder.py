"""Training of decoders: what a batch is, that a stopped run goes on, and what publishing writes."""

import csv
import dataclasses

import numpy as np
import pytest

from audio_processing import recorded_song
from audio_processing.audio_processing import save
from ddsp_models import features as feature
from ddsp_models import train_decoder as trainer
from ddsp_models.autoencoder import Settings, load_decoder
from tests.conftest import make_tree

SMALL = Settings(
    inputs=feature.STRUCK, n_harmonics=0, channels=8, depth=2, n_bands=9, n_modes=2, n_shots=2, shot_taps=90,
    room_taps=50, noise_samples=0,
)  # fmt: skip
SHORT = trainer.Training(seconds=0.2, batch_size=2, steps=8, steps_per_epoch=2, warmup=2)


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    folder = tmp_path_factory.mktemp("band")
    make_tree(folder / "one_artist", seconds=1.0)
    make_tree(folder / "validation", songs=1, seconds=4.0, subset="test", seed=1)
    return folder


def test_batches_are_crops_of_the_songs_and_the_same_for_the_same_seed(band):
    songs = trainer.examples("band-drums", "train", band)
    assert len(songs) == 2
    crops = trainer.Crops(songs, SMALL.inputs, SHORT)
    features, sound = crops[0]
    assert features["bands"].shape == (2, 50, feature.N_BANDS) and sound.shape == (2, 3200)
    k = [i for _, whole in songs for i in range(201) if np.array_equal(whole[i * 64 : i * 64 + 3200], sound[0])]
    assert len(k) == 1  # and it begins with a frame
    found = [np.array_equal(f["bands"][k[0] : k[0] + 50], features["bands"][0]) for f, _ in songs]
    assert sum(found) == 1  # features and sound of the same moment
    again = trainer.Crops(songs, SMALL.inputs, SHORT)
    np.testing.assert_array_equal(again[0][1], sound)
    assert not np.array_equal(again[1][1], sound)
    again.epoch = 1
    assert not np.array_equal(again[0][1], sound)
    with pytest.raises(ValueError, match="too short"):
        trainer.Crops(songs, SMALL.inputs, dataclasses.replace(SHORT, seconds=2.0))


def test_a_recorded_song_is_divided_in_time_and_must_be_there(tmp_path, monkeypatch):
    monkeypatch.delenv("AIR_TRAFFIC_PATH", raising=False)
    with pytest.raises(FileNotFoundError, match="AIR_TRAFFIC_PATH"):
        trainer.song_examples("drums", "train")
    rng = np.random.default_rng(0)
    for source in ("drums", "bass", "vocals"):
        save(tmp_path / f"{source}.wav", (0.1 * rng.standard_normal(16000 * 130)).astype(np.float32), 16000)
    lengths = {}
    for part in recorded_song.SONG_PARTS:
        [(features, sound)] = trainer.song_examples("drums", part, tmp_path)
        assert len(sound) == 64 * len(features["onset"])
        lengths[part] = len(sound) / 16000
    assert lengths == {"train": 106, "validation": 14, "test": 10}
    monkeypatch.setenv("AIR_TRAFFIC_PATH", str(tmp_path))
    assert recorded_song.song_path() == tmp_path
    assert len(trainer.checksum("air_traffic-drums")) == 64


def curve(run):
    with open(run / "log.csv") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setitem(trainer.MODELS, "band-drums", ("drums", SMALL, SHORT))
    return "band-drums", SMALL, SHORT


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_with_the_same_curve(band, job, tmp_path, monkeypatch):
    trainer.train(*job, tmp_path / "whole", band)

    class Stop(Exception):
        pass

    begin = trainer.Clock.on_epoch_begin

    def stop_at_third(self, epoch, logs=None):
        if epoch == 2:
            raise Stop
        begin(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(trainer.Clock, "on_epoch_begin", stop_at_third)
        trainer.train(*job, tmp_path / "stopped", band)
    assert len(curve(tmp_path / "stopped")) == 2
    trainer.train(*job, tmp_path / "stopped", band)
    assert len(curve(tmp_path / "whole")) == 4
    np.testing.assert_allclose(
        curve(tmp_path / "stopped"), curve(tmp_path / "whole"), rtol=2e-3
    )  # noise begins elsewhere
    with pytest.raises(SystemExit, match="other settings"):
        trainer.train(job[0], job[1], dataclasses.replace(SHORT, seed=5), tmp_path / "whole", band)


@pytest.mark.slow
def test_what_is_published_loads_and_is_current_until_settings_or_songs_change(band, job, tmp_path, monkeypatch):
    from common import results

    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    trainer.train(*job, tmp_path / "run", band)
    written = trainer.publish(*job, tmp_path / "run", band, weights=tmp_path / "weights")
    assert all(path.exists() for path in written)
    assert written[2] == tmp_path / "results" / "training" / "ddsp-band-drums.csv"
    model, record = load_decoder("band-drums", tmp_path / "weights")
    assert model.sizes == SMALL and record["weights"] == model.count_params() and record["seconds"] > 0
    assert trainer.is_current(*job, band, weights=tmp_path / "weights")
    other = dataclasses.replace(SHORT, seed=9)
    assert not trainer.is_current("band-drums", SMALL, other, band, weights=tmp_path / "weights")
    save(sorted(band.glob("one_artist/train/*/drums.wav"))[0], np.zeros((2, 16000), np.float32), 16000)
    assert not trainer.is_current(*job, band, weights=tmp_path / "weights")


def test_the_command_says_in_one_line_what_is_missing(tmp_path, capsys):
    assert trainer.main(["band-bass", "--data", str(tmp_path), "--run", str(tmp_path / "run"), "--dry"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("train: ") and error.count("\n") == 1 and "make dataset" in error
