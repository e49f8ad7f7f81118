"""The analysis network: its spectrum, its pitch classes, what it learns, and the stems that its masks give."""

import keras
import numpy as np
import pytest
from keras import ops

from ddsp_models.separation import separators
from ddsp_models.separation.analysis_network import WEIGHTS_OF_TERMS, ParametricSeparator, Sizes
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train_separator import SeparatorTraining
from tests.helpers import ANALYSIS, export, make_song, refused, tone
from training.weights import WeightsError

SMALL = Sizes(**ANALYSIS)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = ParametricSeparator(SMALL)
    model.build(None)
    return model


@pytest.fixture(scope="module")
def separator(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return separators.MaskedSeparator.load("small", export(model, folder, "separator-small"))


def test_white_noise_has_variance_one_in_every_bin(model):
    noise = np.random.default_rng(0).standard_normal((2, 64000)).astype(np.float32)
    real, imaginary = (ops.convert_to_numpy(x) for x in model.spectrum(noise))
    assert abs(np.mean(real**2 + imaginary**2) - 1.0) < 0.03


def test_classes_add_up_and_peak_at_the_pitch():
    model = ParametricSeparator(Sizes())
    f0 = np.array([[0.0, 110.0, 146.83]], np.float32)
    target = ops.convert_to_numpy(model.pitch_target(f0, 0))
    np.testing.assert_allclose(target.sum(axis=-1), 1.0, atol=1e-5)
    assert target[0, 0, -1] == 1.0 and (target[0, 1:, -1] == 0).all()
    assert target[0].argmax(axis=-1).tolist() == [124, (45 - 26) * 4, (50 - 26) * 4]
    decoded = ops.convert_to_numpy(
        model.decode([np.log(target + 1e-9), np.log(ops.convert_to_numpy(model.pitch_target(2 * f0, 1)) + 1e-9)])
    )
    assert decoded[0, 0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(decoded[0, 1:, 0], [110.0, 146.83], rtol=2e-3)
    np.testing.assert_allclose(decoded[0, 1:, 1], [220.0, 293.66], rtol=2e-3)


def test_viterbi_bridges_a_gap_and_ignores_a_leap_of_one_frame():
    logits = np.full((40, 61), -8.0)
    logits[:, 20] = 4.0
    logits[18, 20], logits[18, 55] = 3.0, 5.0  # one frame that sounds like another pitch
    logits[30:, 60] = 9.0  # and a rest
    line = separators.viterbi_f0(logits, 40.0, 4)
    np.testing.assert_allclose(line[:29], 440 * 2 ** ((45.0 - 69) / 12), rtol=1e-2)
    assert (line[31:] == 0).all()


@pytest.mark.parametrize("shape, rate", [((1,), 16000), ((700,), 16000), ((40001,), 16000), ((2, 150001), 44100)])
def test_stems_have_the_mixtures_shape_and_add_up_to_it(separator, shape, rate):
    mixture = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    stems = separator.separate(mixture, rate)
    assert tuple(stems) == ("drums", "bass", "vocals")
    assert all(stem.shape == shape and stem.dtype == np.float32 for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5


def test_silence_gives_silence_and_a_louder_song_louder_stems(separator):
    assert all(not np.any(stem) for stem in separator.separate(np.zeros(20000, np.float32)).values())
    mixture = tone(110.0, 2.0) / 20
    quiet, loud = separator.separate(mixture), separator.separate(8 * mixture)
    for source in quiet:
        np.testing.assert_allclose(loud[source], 8 * quiet[source], atol=2e-4)
    features = [separator.analyse(np.resize(g * mixture, 128000))["features"] for g in (1, 8)]
    np.testing.assert_allclose(features[1]["loudness"] - features[0]["loudness"], 20 * np.log10(8), atol=1e-2)
    np.testing.assert_allclose(features[1]["onset"], features[0]["onset"], atol=1e-3)


def test_weights_that_are_missing_are_named(tmp_path):
    refused("separator-small.keras: no such file", separators.load_separator, "small", tmp_path, error=WeightsError)


@pytest.mark.slow
def test_it_learns_what_one_batch_holds():
    keras.utils.set_random_seed(0)
    model = ParametricSeparator(SMALL)
    model.build(None)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    batch = SongCrops([make_song()], SeparatorTraining(seconds=0.5, batch_size=2), 128)[0]
    first = model.train_on_batch(*batch, return_dict=True)
    for _ in range(12):
        last = model.train_on_batch(*batch, return_dict=True)
    assert last["loss"] < first["loss"] - 0.5 and last["pitch"] < first["pitch"]
    assert set(last) == {"loss", *WEIGHTS_OF_TERMS}
    assert all(np.isfinite(value) for value in last.values())
