"""Two estimates together: shares per source and band, found by least squares."""

import numpy as np
import pytest

from audio_processing.metrics import si_sdr
from ddsp_models.separation import ensemble


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
    monkeypatch.setattr(ensemble.Ensemble.load.__func__, "__defaults__", (tmp_path, None))
    assert ensemble.main([]) == 2
    assert "make train" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 700])
def test_sounds_shorter_than_a_window(size):
    first, second = np.random.default_rng(0).standard_normal((2, 1, size)).astype(np.float32)
    assert ensemble.combine(first, second, np.full((1, 24), 0.3), 16000).shape == (1, size)


def test_a_table_knows_under_which_circumstances_an_estimate_is_right():
    rng = np.random.default_rng(3)
    true = np.stack([np.repeat(rng.random(40) > 0.5, 800), np.repeat(rng.random(40) > 0.5, 800)])
    true = true * rng.standard_normal((2, 32000))
    mixture = true.sum(axis=0)
    first = true + 0.7 * rng.standard_normal(true.shape) * (np.abs(true) > 0)  # errs where the source sounds
    second = np.where(np.abs(true) > 0, true, 0.4 * mixture)  # errs where it is silent
    table = ensemble.best_table([(true, first, second)])
    together = ensemble.combine_by_table(first, second, table, mixture, 16000)
    shares = ensemble.combine(first, second, ensemble.best_shares([(true, first, second)]), 16000)
    for i in range(2):
        assert si_sdr(true[i], together[i]) > 0.5 + si_sdr(true[i], shares[i])


def test_a_table_of_halves_is_the_mean_at_any_rate_and_shape():
    rng = np.random.default_rng(0)
    for shape, rate in (((5001,), 16000), ((2, 9000), 44100), ((100,), 8000)):
        first, second = rng.standard_normal((2, 2, *shape)).astype(np.float32)
        table = np.full((2, ensemble.N_BANDS, 25, 2), 0.5)
        mean = ensemble.combine_by_table(first, second, table, first.sum(axis=0), rate)
        np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-5)


def test_what_is_compared_was_not_found_on_the_same_songs():
    songs = []
    for seed in range(4):  # what is right in even songs is wrong in odd ones
        true = coloured(seed)
        wrong = true + coloured(seed + 10)
        songs.append((true, true, wrong) if seed % 2 else (true, wrong, true))
    rows = ensemble.compare(songs)
    score = {kind: np.mean([row["si_sdr"] for row in rows if row["kind"] == kind]) for kind in ensemble.KINDS}
    assert score["shares"] < score["mean"] - 3 and score["table"] < score["mean"]
    assert len(rows) == 4 * 2 * 5
