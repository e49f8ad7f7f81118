"""Settings of trainings: what is refused, what survives JSON, how many songs are used."""

import dataclasses
import json

import numpy as np
import pytest

from ddsp_models.separation.train_separator import SeparatorTraining
from ddsp_models.separation.train_through_decoders import Through
from ddsp_models.train_decoder import DecoderTraining
from mss_nn_implementation.parameters import Training as ConvTasNetTraining
from training.settings import CropTraining, completed

KINDS = (ConvTasNetTraining, DecoderTraining, SeparatorTraining, Through)


@pytest.mark.parametrize(
    "kind, wrong, words",
    [
        *((kind, {"steps": 0}, "steps: expected more than 0, got 0") for kind in KINDS),
        (DecoderTraining, {"patience": -1}, "patience: expected at least 0, got -1"),
        *((kind, {"seconds": value}, f"seconds: .* got {value}") for kind in KINDS for value in (np.nan, np.inf, -1.0)),
        (DecoderTraining, {"learning_rate": -0.1}, "learning_rate: expected more than 0, got -0.1"),
        (DecoderTraining, {"loudness_weight": np.nan}, "loudness_weight: expected at least 0, got nan"),
        (CropTraining, {"gain_db": np.inf}, "gain_db: expected at least 0, got inf"),
        (SeparatorTraining, {"taught_until": 2.0}, "taught_until: expected 0 to 1, got 2"),
        (ConvTasNetTraining, {"seed": -1}, "seed: expected at least 0, got -1"),
        (CropTraining, {"speeds": (3.0,)}, "speeds: expected 0.5 to 2, got 3"),
        (CropTraining, {"remix": 1.5}, "remix: expected 0 to 1, got 1.5"),
        (ConvTasNetTraining, {"loss": "l7"}, "loss: expected one of 'snr', .*, got 'l7'"),
        (ConvTasNetTraining, {"precision": "int8"}, "precision: expected one of 'float32'"),
        (Through, {"mode": "both"}, "mode: expected one of 'supervised', 'unsupervised', got 'both'"),
    ],
)
def test_settings_that_no_training_can_have_are_named(kind, wrong, words):
    with pytest.raises(ValueError, match=words):
        kind(**wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_plain_and_read_back(kind):
    changed = {"speeds": (0.9, 1.1)} if issubclass(kind, CropTraining) else {}
    training = kind(seed=3, **changed)
    saved = training.to_dict()
    assert json.loads(json.dumps(saved)) == saved and kind(**saved) == training
    older = {name: value for name, value in saved.items() if name not in ("patience", "start_from")}
    assert completed(older, training) == saved
    assert completed({**older, "start": "a"}, training) == dataclasses.replace(training, start_from="a").to_dict()


def test_the_first_minutes_of_songs_are_used():
    assert CropTraining(minutes=0).songs_within([20.0] * 5) == 5
    assert CropTraining(minutes=1).songs_within([20.0] * 5) == 3
    assert CropTraining(minutes=1.1).songs_within([20.0] * 5) == 4
    assert CropTraining(minutes=9).songs_within([20.0] * 5) == 5
