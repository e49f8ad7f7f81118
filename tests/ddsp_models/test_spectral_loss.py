"""The multi-scale spectral loss: its definitions, silence, finite gradients."""

import keras
import numpy as np
import pytest
import scipy.signal
from keras import ops

from ddsp_models.spectral_loss import SCALES, SpectralLoss, magnitudes, spectral_loss
from tests.helpers import array, gradients, noise, refused


@pytest.mark.parametrize("samples", [4096, 5001])
def test_magnitudes_equal_scipy(samples):
    audio = 0.1 * noise(1, samples)
    got = array(magnitudes(audio, 256))[0]
    window = scipy.signal.get_window("hann", 256)
    padded = np.pad(audio[0], (0, 256))
    frames = np.stack([padded[k * 64 : k * 64 + 256] * window for k in range(-(-samples // 64))])
    np.testing.assert_allclose(got, np.abs(np.fft.rfft(frames)), atol=1e-5)


def test_loss_of_equal_sounds_is_zero_and_it_ignores_polarity():
    audio = 0.1 * noise(2, 8000)
    for definition in ("ddsp", "per_bin"):
        assert float(spectral_loss(audio, audio, definition)) == 0
        assert float(spectral_loss(audio, -audio, definition)) < 1e-4
        assert float(spectral_loss(audio, 0.1 * noise(2, 8000, seed=1), definition)) > 0.1


def test_the_two_definitions_are_what_their_names_say():
    target, audio = 0.1 * noise(2, 4096), 0.1 * noise(2, 4096, seed=1)
    per_scale = [float(spectral_loss(target, audio, "ddsp", (n,))) for n in SCALES]
    assert float(spectral_loss(target, audio)) == pytest.approx(sum(per_scale), rel=1e-5)
    bins = [np.prod(magnitudes(target, n).shape[1:]) for n in SCALES]
    assert float(spectral_loss(target, audio, "per_bin")) == pytest.approx(
        np.average(per_scale, weights=bins), rel=1e-4
    )
    assert float(spectral_loss(target, audio, "per_bin", (256,))) == pytest.approx(per_scale[3], rel=1e-5)


def test_gradients_are_finite_even_in_silence():
    silence = np.zeros((1, 4096), np.float32)
    for audio in (silence, 0.1 * noise(1, 4096)):
        (gradient,) = gradients(lambda x: spectral_loss(ops.convert_to_tensor(silence), x), audio)
        assert np.isfinite(gradient).all()


def test_the_loss_object_is_the_function_and_can_be_saved():
    target, audio = 0.1 * noise(2, 4096), 0.1 * noise(2, 4096, seed=1)
    for definition in ("ddsp", "per_bin"):
        loss = SpectralLoss(definition)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert float(again(target, audio)) == pytest.approx(float(spectral_loss(target, audio, definition)), rel=1e-5)


def test_wrong_shapes_are_named():
    refused("audio: expected target's shape", spectral_loss, 0.1 * noise(2, 4096), 0.1 * noise(2, 4095))
    refused("target: expected shape", spectral_loss, 0.1 * noise(2, 0), 0.1 * noise(2, 0))
    refused("definition: .* got 'mine'", spectral_loss, 0.1 * noise(2, 64), 0.1 * noise(2, 64), "mine")
