"""The drums' synthesisers: compared with sums in float64, and their defining properties."""

import numpy as np
import pytest
from keras import ops

from ddsp_models import drums
from ddsp_models.spectral_loss import spectral_loss
from tests.helpers import array, gradients, noise, refused, tone, untrained


def test_modes_equal_a_float64_sum_and_stay_in_tune_for_a_minute():
    layer = untrained(drums.Modes, 5, 40.0, 900.0)
    frequencies = array(layer.frequencies).astype(np.float64)
    n_frames = 15_000  # a minute; only the last second is compared
    amplitudes = np.zeros((1, n_frames, 5), np.float32)
    amplitudes[:, -250:] = np.random.default_rng(0).random((1, 250, 5))
    sound = array(layer.signal(amplitudes, ops.convert_to_tensor(layer.frequencies)))[0, -16000:]
    n = np.arange(n_frames * 64 - 16000, n_frames * 64)
    ramp = (1 - np.cos(np.pi * (n % 64) / 64)) / 2
    last = amplitudes[0, -250:].astype(np.float64)
    now, after = last[(n // 64) - n_frames + 250], np.concatenate([last[1:], last[-1:]])[(n // 64) - n_frames + 250]
    envelope = now + ramp[:, None] * (after - now)
    expected = (envelope * np.sin(2 * np.pi * frequencies * n[:, None] / 16000)).sum(axis=1)
    assert np.abs(sound - expected).max() < 0.05  # of the sum of five


def test_modes_start_exactly():
    layer = untrained(drums.Modes, 1, 100.0, 200.0)
    sound = array(layer.signal(np.ones((1, 250, 1), np.float32), ops.convert_to_tensor([100.0])))[0]
    np.testing.assert_allclose(sound, np.sin(2 * np.pi * 100 * np.arange(16000) / 16000), atol=2e-4)


def test_resonances_are_the_tones_that_ring():
    sound = 0.01 * noise(5 * 16000) + sum(0.1 * tone(f, 5.0, harmonics=1) for f in (55.0, 180.0, 431.0))
    np.testing.assert_allclose(drums.resonances(sound, 3), [55, 180, 431], atol=2)
    assert len(drums.resonances(sound, 40)) == 40
    silent = drums.resonances(np.zeros(16000), 8)
    assert silent.shape == (8,) and np.isfinite(silent).all() and (np.diff(silent) >= 0).all()


@pytest.mark.parametrize("taps", [1, 64, 100, 300])
def test_one_shots_sound_at_their_gains(taps):
    layer = untrained(drums.Transients, 3, taps)
    rng = np.random.default_rng(1)
    gains = (rng.random((2, 40, 3)) * (rng.random((2, 40, 3)) < 0.2)).astype(np.float32)
    shots = array(layer.shots)
    expected = np.zeros((2, 40 * 64))
    for b in range(2):
        for i in range(3):
            impulses = np.zeros(40 * 64)
            impulses[::64] = gains[b, :, i]
            expected[b] += np.convolve(impulses, shots[i])[: 40 * 64]
    np.testing.assert_allclose(array(layer.signal(gains, ops.convert_to_tensor(shots))), expected, atol=1e-5)


def test_no_one_shot_without_an_onset():
    layer = drums.Transients(2, 100)
    onset = np.zeros((1, 10, 1), np.float32)
    assert np.abs(array(layer(np.zeros((1, 10, 2), np.float32), onset))).max() == 0
    onset[0, 5] = 1
    sound = array(layer(np.zeros((1, 10, 2), np.float32), onset))[0]
    assert np.abs(sound[: 5 * 64]).max() == 0 and np.abs(sound[5 * 64 :]).max() > 0


def test_gradients_reach_gains_and_amplitudes_and_stay_finite_in_silence():
    shots, modes = drums.Transients(2, 80), drums.Modes(3)
    gains, amplitudes = np.zeros((1, 6, 2), np.float32), np.zeros((1, 6, 3), np.float32)
    onset = np.ones((1, 6, 1), np.float32)
    target = 0.1 * noise(1, 384)
    for sound in (target, np.zeros_like(target)):

        def loss(g, a, o, sound=sound):
            return spectral_loss(sound, shots(g, o) + modes(a))

        assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in gradients(loss, gains, amplitudes, onset))


def test_layers_come_back_from_their_settings():
    for layer in (drums.Modes(7, 50.0, 700.0), drums.Transients(3, 99, seed=2)):
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        layer.build(None), again.build(None)
        np.testing.assert_array_equal(array(layer.weights[0]), array(again.weights[0]))


def test_impossible_sizes_are_refused():
    refused("Nyquist", drums.Modes, 3, 100.0, 9000.0)
    refused("at least 1", drums.Transients, 0)
    refused("gains", drums.Transients(2).signal, np.zeros((1, 0, 2), np.float32), np.zeros((2, 1024), np.float32))
