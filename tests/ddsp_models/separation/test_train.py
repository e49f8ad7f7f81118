"""Training a separator: it resumes, it ends when nothing gets better, it starts from another one's weights."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest
from tests.ddsp_models.separation.test_analysis_network import SMALL, make_song

from common.files import sha256_of
from ddsp_models.separation import train
from ddsp_models.separation.analysis_network import ParametricSeparator
from ddsp_models.separation.train import Training
from training.loop import Patience

SHORT = Training(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1, seed=3)


def built(sizes, seed=0):
    keras.utils.set_random_seed(seed)
    model = ParametricSeparator(sizes)
    model.build(None)
    return model


@pytest.fixture
def uncompiled(monkeypatch):
    """Three steps take less than compiling one."""

    def compile(self, **settings):
        keras.Model.compile(self, **{**settings, "jit_compile": False, "run_eagerly": True})

    monkeypatch.setattr(ParametricSeparator, "compile", compile)


def test_a_run_goes_on_where_it_stopped(tmp_path, uncompiled):
    songs = [make_song()], [make_song(80.0, 300.0)]
    train.train(SHORT, SMALL, *songs, tmp_path)
    longer = dataclasses.replace(SHORT, steps=3)
    train.train(longer, SMALL, *songs, tmp_path)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["changes"] == [{"epochs": 2, "steps": 2}]
    best = keras.saving.load_model(tmp_path / "best.keras", compile=False)
    assert best.count_params() == built(SMALL).count_params()
    with pytest.raises(SystemExit, match="other settings"):
        train.train(dataclasses.replace(SHORT, seed=4), SMALL, *songs, tmp_path)


def test_patience_counts_looks_since_the_best_also_those_before_a_resumption(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,val_snr\n0,-1.0\n1,-2.0\n2,-1.5\n")
    patience = Patience(2, log, "val_snr")
    assert not patience.idle and Patience(1, log, "val_snr").idle
    patience.set_model(keras.Sequential())
    patience.on_epoch_end(3, {"val_snr": -2.5})
    assert not patience.model.stop_training
    for epoch, ended in ((4, False), (5, True)):
        patience.on_epoch_end(epoch, {"val_snr": -2.4})
        assert patience.model.stop_training == ended


def test_another_separators_weights_go_to_the_sources_of_the_same_name(tmp_path):
    three = built(SMALL, 1)
    three.outlines.bias.assign(np.random.default_rng(0).standard_normal(three.outlines.bias.shape))
    three.save(tmp_path / "three.keras")
    four = built(dataclasses.replace(SMALL, sources=("drums", "bass", "other", "vocals")), 2)
    train.start_from(four, tmp_path / "three.keras")
    mixture = {"mixture": np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)}
    before, after = three(mixture), four(mixture)
    same = [0, 1, 3]
    np.testing.assert_allclose(np.asarray(after["spectra"])[:, same], np.asarray(before["spectra"]), atol=1e-4)
    for name in ("loudness", "bands"):
        found = np.asarray(after["features"][name])[:, :, same]
        np.testing.assert_allclose(found, np.asarray(before["features"][name]), atol=1e-3)
    np.testing.assert_allclose(np.asarray(after["features"]["onset"]), np.asarray(before["features"]["onset"]))


def test_what_cannot_be_started_from_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="start_from: nobody"):
        train.find_weights("nobody", tmp_path)
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="no trained separator"):
        train.start_from(built(SMALL), tmp_path / "broken.keras")
    built(dataclasses.replace(SMALL, channels=16)).save(tmp_path / "wide.keras")
    with pytest.raises(ValueError, match="has channels 16, 12 expected"):
        train.start_from(built(SMALL), tmp_path / "wide.keras")


def test_settings_that_no_training_can_have_are_named(capsys):
    for wrong, words in (({"steps": 0}, "steps: more"), ({"patience": -1}, "patience: at least 0"),
                         ({"speeds": (3.0,)}, "speeds: from 0.5 to 2")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            Training(**wrong)
    assert train.main(["one_artist", "--steps", "0"]) == 2
    assert capsys.readouterr().err.startswith("train_separator: steps: more than 0 expected")
    assert train.main(["one_artist", "--start-from", "nobody"]) == 2


def test_weights_from_before_a_setting_existed_are_current(tmp_path):
    built(SMALL).save(tmp_path / "separator-old.keras")
    training, sizes = SHORT.to_dict(), SMALL.to_dict()
    del training["patience"], training["start_from"]
    record = {"training": training, "sizes": sizes, "data": "d"}
    record["sha256"] = sha256_of(tmp_path / "separator-old.keras")
    (tmp_path / "separator-old.json").write_text(json.dumps(record))
    assert train.is_current("old", SHORT, SMALL, "d", tmp_path)
    assert not train.is_current("old", dataclasses.replace(SHORT, patience=3), SMALL, "d", tmp_path)
    assert not train.is_current("old", SHORT, SMALL, "other data", tmp_path)
    assert not train.is_current("old", SHORT, SMALL, "d", tmp_path, tmp_path / "separator-old.keras")
