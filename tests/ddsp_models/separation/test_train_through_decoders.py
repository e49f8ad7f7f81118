"""Training through the synthesisers: the decoders' sounds train the separator, with stems and without."""

import dataclasses
import json
from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

from audio_processing.tracks import TRIO
from ddsp_models.separation import song_crops, train, train_through_decoders
from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes
from ddsp_models.separation.train_separator import validation_examples
from ddsp_models.separation.train_through_decoders import Through, ThroughSynthesisers
from tests.helpers import ANALYSIS, array, curve, make_song, small_decoder, untrained

SMALL = Sizes(**ANALYSIS)
SHORT = Through(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1)


@pytest.fixture(scope="module")
def decoders():
    return {source: small_decoder(source, seed=i) for i, source in enumerate(TRIO)}


def wrapped(decoders, mode, **settings):
    separator = untrained(ParametricSeparator, SMALL)
    model = ThroughSynthesisers(separator, decoders, dataclasses.replace(SHORT, mode=mode, **settings))
    model.build()
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    return model


def weights_of(layer):
    return [array(w).copy() for w in layer.weights]


@pytest.mark.slow
def test_mixtures_alone_train_the_features_through_the_decoders(decoders):
    model = wrapped(decoders, "unsupervised")
    inputs, targets = song_crops.SongCrops([make_song()], SHORT, SMALL.hop)[0]
    inputs["taught"][:] = 1.0
    features, pitch = weights_of(model.separator.features), weights_of(model.separator.pitch_heads[0])
    frozen = [weights_of(decoder) for decoder in decoders.values()]
    silent = {**targets, "stems": np.zeros_like(targets["stems"])}  # the stems do not matter
    losses = [model.train_on_batch(inputs, silent, return_dict=True)["loss"] for _ in range(6)]
    assert losses[-1] < losses[0] - 0.1
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(features, weights_of(model.separator.features)))
    assert all(np.array_equal(a, b) for a, b in zip(pitch, weights_of(model.separator.pitch_heads[0])))
    for before, decoder in zip(frozen, decoders.values()):
        assert all(np.array_equal(a, b) for a, b in zip(before, weights_of(decoder)))


@pytest.mark.slow
def test_stems_train_everything(decoders):
    model = wrapped(decoders, "supervised", spectral_weight=0.3)
    inputs, targets = song_crops.SongCrops([make_song()], SHORT, SMALL.hop)[0]
    first, *_, last = [model.train_on_batch(inputs, targets, return_dict=True) for _ in range(7)]
    assert last["stems"] < first["stems"] and last["pitch"] < first["pitch"]
    assert set(last) == {"loss", "stems", "pitch", "magnitude", "outline", "snr", "features"}


@pytest.mark.slow
def test_a_run_resumes_and_keeps_a_separator(decoders, tmp_path, uncompiled):
    network = partial(train_through_decoders.through_decoders, decoders=decoders)
    songs = [make_song()], [make_song(80.0, 300.0, seconds=0.5)]
    for steps in (1, 2):
        training = dataclasses.replace(SHORT, steps=steps)
        best = train.THROUGH.train(training, SMALL, *songs, tmp_path, network=network)
    assert len(curve(tmp_path)) == 2
    assert json.loads((tmp_path / "settings.json").read_text())["training"]["mode"] == "supervised"
    assert isinstance(best, ParametricSeparator)


def test_the_true_f0_is_given_in_validation_if_there_are_no_stems():
    assert Through(mode="unsupervised").f0_given and not Through().f0_given
    inputs, _ = validation_examples([make_song()], 8000, SMALL.hop, f0_given=True)
    assert inputs["taught"].shape == (4, 1) and inputs["taught"].all()


def test_a_held_f0_has_no_gaps():
    line = np.array([[0.0, 0.0, 110.0, 0.0, 0.0, 0.0, 220.0, 0.0], np.zeros(8)], np.float32)
    held = array(train_through_decoders.held(ops.convert_to_tensor(line)))
    np.testing.assert_array_equal(held[0], [110, 110, 110, 110, 110, 110, 220, 220])
    assert not held[1].any()
