"""The analysis network: its spectrum, its pitch classes, what it learns, and the stems that its masks give."""

import keras
import numpy as np
import pytest

from ddsp_models.separation import separators
from ddsp_models.separation.analysis_network import WEIGHTS_OF_TERMS, ParametricSeparator, Sizes
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train_separator import SeparatorTraining
from tests.helpers import ANALYSIS, array, export, make_song, noise, refused, stacked, tone, untrained
from training.weights import WeightsError

SMALL = Sizes(**ANALYSIS)


@pytest.fixture(scope="module")
def separator(tmp_path_factory):
    folder = export(untrained(ParametricSeparator, SMALL), tmp_path_factory.mktemp("weights"), "separator-small")
    return separators.MaskedSeparator.load("small", folder)


def test_white_noise_has_variance_one_in_every_bin(separator):
    real, imaginary = map(array, separator.model.spectrum(noise(2, 64000)))
    assert abs(np.mean(real**2 + imaginary**2) - 1.0) < 0.03


def test_classes_add_up_and_peak_at_the_pitch():
    model = ParametricSeparator(Sizes())
    f0 = np.array([[0.0, 110.0, 146.83]], np.float32)
    target = array(model.pitch_target(f0, 0))
    np.testing.assert_allclose(target.sum(axis=-1), 1.0, atol=1e-5)
    assert target[0, 0, -1] == 1.0 and (target[0, 1:, -1] == 0).all()
    assert target[0].argmax(axis=-1).tolist() == [124, (45 - 26) * 4, (50 - 26) * 4]
    logits = [np.log(array(model.pitch_target(k * f0, k - 1)) + 1e-9) for k in (1, 2)]
    decoded = array(model.decode(logits))
    assert decoded[0, 0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(decoded[0, 1:], [[110.0, 220.0], [146.83, 293.66]], rtol=2e-3)


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
    mixture = 0.1 * noise(*shape)
    stems = separator.separate(mixture, rate)
    assert tuple(stems) == ("drums", "bass", "vocals")
    assert all(stem.shape == shape and stem.dtype == np.float32 for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5


def test_silence_gives_silence_and_a_louder_song_louder_stems(separator):
    assert all(not np.any(stem) for stem in separator.separate(np.zeros(20000, np.float32)).values())
    mixture = tone(110.0, 2.0) / 20
    quiet, loud = (stacked(separator.separate(g * mixture)) for g in (1, 8))
    np.testing.assert_allclose(loud, 8 * quiet, atol=2e-4)
    features = [separator.analyse(np.resize(g * mixture, 128000))["features"] for g in (1, 8)]
    np.testing.assert_allclose(features[1]["loudness"] - features[0]["loudness"], 20 * np.log10(8), atol=1e-2)
    np.testing.assert_allclose(features[1]["onset"], features[0]["onset"], atol=1e-3)


def test_weights_that_are_missing_are_named(tmp_path):
    refused(
        "separator-small.keras: no such file", separators.MaskedSeparator.load, "small", tmp_path, error=WeightsError
    )


@pytest.mark.slow
def test_it_learns_what_one_batch_holds():
    model = untrained(ParametricSeparator, SMALL, seed=0)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    batch = SongCrops([make_song()], SeparatorTraining(seconds=0.5, batch_size=2), 128)[0]
    first, *_, last = [model.train_on_batch(*batch, return_dict=True) for _ in range(13)]
    assert last["loss"] < first["loss"] - 0.5 and last["pitch"] < first["pitch"]
    assert set(last) == {"loss", *WEIGHTS_OF_TERMS}
    assert all(np.isfinite(value) for value in last.values())
