"""Loudness and the multi-scale loss: definitions, silence, alignment, finite gradients."""

import keras
import numpy as np
import pytest
import scipy.signal
from keras import ops
from tests.ddsp_models.test_synthesisers import array, gradients

from audio_processing import loudness as annotations
from ddsp_models.loudness import loudness, unit_loudness
from ddsp_models.spectral_loss import SCALES, SpectralLoss, magnitudes, spectral_loss


def noise(samples, seed=0, batch=2):
    return 0.1 * np.random.default_rng(seed).standard_normal((batch, samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [16000, 16001, 16063])
def test_loudness_equals_the_virtual_bands(samples):
    audio = noise(samples)
    ours = array(loudness(audio))
    theirs = np.stack([annotations.loudness(channel, 16000) for channel in audio])
    assert ours.shape == (2, 250)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    np.testing.assert_allclose(array(loudness(audio[0])), theirs[0], atol=1e-3)


def test_silence_is_as_quiet_as_it_gets_and_gain_adds_decibels():
    assert (array(loudness(np.zeros((1, 6400), np.float32))) == -80).all()
    quiet, loud = array(loudness(noise(8000))), array(loudness(2 * noise(8000)))
    np.testing.assert_allclose(loud - quiet, 20 * np.log10(2), atol=1e-3)


def test_a_click_is_loudest_in_the_frame_centred_on_it():
    for frame in (3, 40, 99):
        audio = np.zeros(100 * 64, np.float32)
        audio[frame * 64] = 1
        assert array(loudness(audio)).argmax() == frame


def test_the_a_curve_prefers_what_ears_prefer():
    t = np.arange(16000) / 16000
    level = {f: array(loudness(np.sin(2 * np.pi * f * t).astype(np.float32)))[125] for f in (200, 1000, 2500)}
    assert level[1000] - level[200] == pytest.approx(10.9, abs=0.7)  # IEC 61672: -10.9 dB at 200 Hz
    assert level[2500] > level[1000]


def test_loudness_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="audio: 0 samples found"):
        loudness(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="sample_rate: 22051 found"):
        loudness(np.zeros(22051, np.float32), 22051)
    with pytest.raises(ValueError, match="decibels: 1 NaN found"):
        unit_loudness([-10.0, np.nan])


def test_unit_loudness_has_a_floor():
    np.testing.assert_allclose(unit_loudness([-np.inf, -100.0, -80.0, -40.0, 0.0]), [0, 0, 0, 0.5, 1])


@pytest.mark.parametrize("samples", [4096, 5001])
def test_magnitudes_equal_scipy(samples):
    audio = noise(samples, batch=1)
    got = array(magnitudes(audio, 256))[0]
    window = scipy.signal.get_window("hann", 256)
    padded = np.pad(audio[0], (0, 256))
    frames = np.stack([padded[k * 64 : k * 64 + 256] * window for k in range(-(-samples // 64))])
    np.testing.assert_allclose(got, np.abs(np.fft.rfft(frames)), atol=1e-5)


def test_loss_of_equal_sounds_is_zero_and_it_ignores_polarity():
    audio = noise(8000)
    for definition in ("ddsp", "per_bin"):
        assert float(spectral_loss(audio, audio, definition)) == 0
        assert float(spectral_loss(audio, -audio, definition)) < 1e-4
        assert float(spectral_loss(audio, noise(8000, seed=1), definition)) > 0.1


def test_the_two_definitions_are_what_their_names_say():
    target, audio = noise(4096), noise(4096, seed=1)
    per_scale = [float(spectral_loss(target, audio, "ddsp", (n,))) for n in SCALES]
    assert float(spectral_loss(target, audio)) == pytest.approx(sum(per_scale), rel=1e-5)
    bins = [np.prod(magnitudes(target, n).shape[1:]) for n in SCALES]
    assert float(spectral_loss(target, audio, "per_bin")) == pytest.approx(
        np.average(per_scale, weights=bins), rel=1e-4
    )
    assert float(spectral_loss(target, audio, "per_bin", (256,))) == pytest.approx(per_scale[3], rel=1e-5)


def test_gradients_are_finite_even_in_silence():
    silence = np.zeros((1, 4096), np.float32)
    for audio in (silence, noise(4096, batch=1)):
        (gradient,) = gradients(lambda x: spectral_loss(ops.convert_to_tensor(silence), x), audio)
        assert np.isfinite(gradient).all()
        (gradient,) = gradients(lambda x: ops.mean(loudness(x)), audio)
        assert np.isfinite(gradient).all()


def test_the_loss_object_is_the_function_and_can_be_saved():
    target, audio = noise(4096), noise(4096, seed=1)
    for definition in ("ddsp", "per_bin"):
        loss = SpectralLoss(definition)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert float(again(target, audio)) == pytest.approx(float(spectral_loss(target, audio, definition)), rel=1e-5)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="audio: shape"):
        spectral_loss(noise(4096), noise(4095))
    with pytest.raises(ValueError, match="target: shape"):
        spectral_loss(noise(0), noise(0))
    with pytest.raises(ValueError, match="definition: 'mine' found"):
        spectral_loss(noise(64), noise(64), "mine")
