"""Losses: known values, what scale does to them, finite gradients where something is silent."""

import keras
import numpy as np
import pytest

from audio_processing.metrics import si_sdr, snr
from mss_nn_implementation.loss import L1, LOSSES, MultiScaleSpectral, NegativeSISDR, NegativeSNR
from tests.helpers import array, gradients, noise


def gradient(loss, true, estimate):
    """Of the loss with respect to the estimate."""
    return gradients(lambda x: loss(true, x), estimate)[0]


@pytest.mark.parametrize("shape", [(2, 3, 4000), (2, 3, 2, 2000)])
def test_ratios_are_those_of_the_metrics_where_their_limits_do_not_matter(shape):
    true = noise(*shape)
    estimate = 0.5 * true + 0.2 * noise(*shape, seed=1)
    for loss, metric in [(NegativeSNR(tau=0, sigma=0), snr), (NegativeSISDR(tau=0, sigma=0), si_sdr)]:
        expected = -np.mean([metric(t, e) for t, e in zip(true.reshape(6, -1), estimate.reshape(6, -1))])
        assert float(loss(true, estimate)) == pytest.approx(expected, abs=2e-3)


def test_known_values():
    true = np.ones((1, 2, 800), np.float32)
    half = {"snr": -10 * np.log10(4), "si_sdr": -30, "l1": 0.5}
    for name, value in half.items():  # 1 - 1/2 leaves an error of 1/4 of the energy; the shape is perfect
        limits = {"tau": 0, "sigma": 0} if name == "snr" else {}
        assert float(LOSSES[name](**limits)(true, true / 2)) == pytest.approx(value, abs=0.02), name
    # half as loud: half of every magnitude is missing, and every logarithm is off by ln 2
    sound = noise(1, 2, 800)
    spectral = MultiScaleSpectral(scales=(256, 64))
    magnitudes = np.mean([np.mean(spectral._magnitudes(keras.ops.convert_to_tensor(sound), n)) for n in (256, 64)])
    assert float(spectral(sound, sound / 2)) == pytest.approx(magnitudes / 2 + np.log(2), rel=1e-3)
    for name, loss in LOSSES.items():
        best = {"snr": 10 * np.log10(1e-3 + 2e-3), "si_sdr": -30, "l1": 0, "spectral": 0}  # two stems, equally loud
        assert float(loss()(sound, sound)) == pytest.approx(best[name], abs=0.3 if name == "snr" else 0.02), name


def test_limits_of_the_ratios():
    true, other = noise(1, 1, 4000), noise(1, 1, 4000, seed=3)
    other -= np.sum(true * other) / np.sum(true**2) * true  # nothing of the true stem in it
    assert float(NegativeSISDR()(true, other)) == pytest.approx(30, abs=0.1)
    assert float(NegativeSNR(sigma=0)(true, true + 1e-6 * other)) == pytest.approx(-30, abs=0.1)


@pytest.mark.parametrize("name", LOSSES)
def test_scale(name):
    true = noise(1, 2, 1500)
    estimate = true + 0.3 * noise(1, 2, 1500, seed=1)
    loss = LOSSES[name]()
    value, both, louder = (float(loss(a * true, b * estimate)) for a, b in [(1, 1), (10, 10), (1, 10)])
    if name in ("snr", "si_sdr"):  # ratios: one gain on both changes nothing
        assert both == pytest.approx(value, abs=1e-3)
    if name == "l1":
        assert both == pytest.approx(10 * value, rel=1e-4)
    if name == "si_sdr":
        assert louder == pytest.approx(value, abs=1e-3)
    else:
        assert louder > value + 1


@pytest.mark.parametrize("name", LOSSES)
def test_silence_gives_finite_values_and_gradients(name):
    loss = LOSSES[name]()
    sound = noise(1, 2, 600)
    half_silent = sound.copy()
    half_silent[:, 1] = 0
    for true in (sound, half_silent, 0 * sound):
        for estimate in (sound, half_silent, 0 * sound, 1e-4 * sound):
            assert np.isfinite(float(loss(true, estimate)))
            assert np.isfinite(gradient(loss, true, estimate)).all()


def test_a_silent_stem_wants_silence_or_does_not_count():
    true = noise(1, 2, 1000)
    true[:, 1] = 0
    quiet, loud = true.copy(), true.copy()
    quiet[:, 1], loud[:, 1] = 1e-3, 0.3 * noise(1000, seed=2)
    best, worse, worst = (float(NegativeSNR()(true, estimate)) for estimate in (true, quiet, loud))
    assert best < worse < worst - 1 and worst > best + 3
    assert float(NegativeSISDR()(true, loud)) == pytest.approx(float(NegativeSISDR()(true[:, :1], true[:, :1])))


def test_gradients_point_downhill():
    true, estimate = noise(2, 2, 600), noise(2, 2, 600, seed=1)
    for name, make in LOSSES.items():
        loss = make()
        slope = gradient(loss, true, estimate)
        step = 1e-3 / np.sqrt(np.mean(slope**2))
        assert float(loss(true, estimate - step * slope)) < float(loss(true, estimate)), name


def test_spectra_of_the_spectral_loss_are_those_of_scipy():
    import scipy.signal

    x = noise(1, 1, 1000)
    ours = array(MultiScaleSpectral()._magnitudes(keras.ops.convert_to_tensor(x), 256))[0, 0]
    padded = np.pad(x[0, 0], (192, 216))
    theirs = scipy.signal.stft(padded, nperseg=256, noverlap=192, boundary=None, padded=False)[2]
    np.testing.assert_allclose(ours, np.abs(theirs).T, atol=2e-5)


def test_losses_are_saved_with_their_settings():
    for loss in (NegativeSNR(tau=0.1), NegativeSISDR(sigma=0.2), L1(), MultiScaleSpectral(scales=(64,))):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
