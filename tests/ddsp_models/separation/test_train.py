"""Training a separator: crops, resuming, and initial weights from another one."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from audio_processing.audio_processing import save
from ddsp_models import train_decoder
from ddsp_models.separation import train, train_separator
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.train_separator import SeparatorTraining
from tests.helpers import ANALYSIS, make_song, refused, trio
from training import loop

SMALL = Sizes(**ANALYSIS)
SHORT = SeparatorTraining(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1, seed=3)


def built(sizes, seed=0):
    keras.utils.set_random_seed(seed)
    return train_separator.initialised(sizes)


@pytest.mark.slow
def test_a_run_resumes_and_keeps_its_best_separator(tmp_path, uncompiled):
    songs = [make_song(), make_song()], [make_song(80.0, 300.0)]
    training = dataclasses.replace(SHORT, minutes=0.02, speeds=(1.5,))
    train_separator.train(training, SMALL, *songs, tmp_path)
    longer = dataclasses.replace(training, steps=3)
    best = train_separator.train(longer, SMALL, *songs, tmp_path, monitor="val_snr")
    assert [row["epoch"] for row in loop.read_log(tmp_path / "log.csv")] == ["0", "1", "2"]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["changes"] == [{"epochs": 2, "steps": 2}]
    assert settings["training_minutes"] == pytest.approx(2 / 60)  # of the first song; not of its other speed
    assert best.count_params() == built(SMALL).count_params()


def test_another_separators_weights_go_to_the_sources_of_the_same_name(tmp_path):
    three = built(SMALL, 1)
    three.outlines.bias.assign(np.random.default_rng(0).standard_normal(three.outlines.bias.shape))
    three.save(tmp_path / "three.keras")
    four = built(dataclasses.replace(SMALL, sources=("drums", "bass", "other", "vocals")), 2)
    train_separator.start_from(four, tmp_path / "three.keras")
    mixture = {"mixture": np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)}
    before, after = three(mixture), four(mixture)
    same = [0, 1, 3]
    np.testing.assert_allclose(np.asarray(after["spectra"])[:, same], np.asarray(before["spectra"]), atol=1e-4)
    for name in ("loudness", "bands"):
        values = np.asarray(after["features"][name])[:, :, same]
        np.testing.assert_allclose(values, np.asarray(before["features"][name]), atol=1e-3)
    np.testing.assert_allclose(np.asarray(after["features"]["onset"]), np.asarray(before["features"]["onset"]))
    refused(
        "three.keras: expected channels 16, got 12",
        train_separator.start_from,
        built(dataclasses.replace(SMALL, channels=16)),
        tmp_path / "three.keras",
    )


def test_a_recorded_songs_f0_is_tracked(tmp_path, monkeypatch):
    frames = np.full((250, 1), 110.0)
    monkeypatch.setattr(train_separator, "features_of", lambda *_: {"f0": frames, "voiced": frames > 0})
    monkeypatch.setattr(train_decoder, "SONG_PARTS", {"validation": (1, 2)})
    for source, stem in trio(seconds=2.0).items():
        save(tmp_path / f"{source}.wav", stem, 16000)
    [song] = train_separator.recorded_songs(SMALL, tmp_path, "validation")
    assert song.stems.shape == (3, 16000) and (song.f0 == 110).all()
    refused(
        "expected a file other.*, got none",
        train_separator.recorded_songs,
        train.FOUR,
        tmp_path,
        "validation",
        error=FileNotFoundError,
    )
