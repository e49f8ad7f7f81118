"""Two estimates together: shares per source and band, found by least squares."""

import numpy as np
import pytest

from audio_processing.metrics import si_sdr
from ddsp_models import ensemble


def coloured(seed, n=32000):
    noise = np.random.default_rng(seed).standard_normal((2, n))
    return np.stack([np.convolve(row, kernel, "same") for row, kernel in zip(noise, ([1, 0.9], [1, -0.9]))])


def test_equal_shares_are_the_mean_at_any_rate_and_shape():
    rng = np.random.default_rng(0)
    for shape, rate in (((2, 5001), 16000), ((2, 2, 9000), 44100), ((1, 100), 8000)):
        first, second = rng.standard_normal((2, *shape)).astype(np.float32)
        mean = ensemble.combine(first, second, np.full((shape[0], 24), 0.5), rate)
        np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-5)
        np.testing.assert_allclose(ensemble.combine(first, second, np.ones((shape[0], 24)), rate), first, atol=1e-5)


def test_shares_above_the_network_go_on():
    shares = np.linspace(0, 1, 24)[None]
    weight = ensemble.shares_over_frequency(shares, 4096, 44100)[0]
    frequency = np.arange(2049) * 44100 / 4096
    assert np.all(np.diff(weight) >= -1e-6) and np.allclose(weight[frequency > 8000], 1.0)


def test_the_better_of_two_is_found_band_by_band():
    true = coloured(0)
    low = np.fft.irfft(np.where(np.arange(16001) < 2000, 1, 0) * np.fft.rfft(coloured(1)), 32000)
    high = np.fft.irfft(np.where(np.arange(16001) > 6000, 1, 0) * np.fft.rfft(coloured(2)), 32000)
    first, second = true + low, true + high  # one errs below 1 kHz, the other above 3 kHz
    shares = ensemble.best_shares([(true, first, second)])
    assert (shares[:, :3] < 0.05).all() and (shares[:, -3:] > 0.95).all()
    together = ensemble.combine(first, second, shares, 16000)
    for i in range(2):
        assert si_sdr(true[i], together[i]) > 10 + max(si_sdr(true[i], x[i]) for x in (first, second))


def test_estimates_that_are_alike_count_the_same():
    true = coloured(0)
    assert np.all(ensemble.best_shares([(true, true + 1, true + 1)]) == 0.5)


def test_without_weights_the_command_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(ensemble, "WEIGHTS", tmp_path)
    monkeypatch.setattr(ensemble.Ensemble.__init__, "__defaults__", (None, tmp_path))
    assert ensemble.main([]) == 2
    assert "make train" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 700])
def test_sounds_shorter_than_a_window(size):
    first, second = np.random.default_rng(0).standard_normal((2, 1, size)).astype(np.float32)
    assert ensemble.combine(first, second, np.full((1, 24), 0.3), 16000).shape == (1, size)
