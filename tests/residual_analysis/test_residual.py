"""The residual's instruments against SciPy, statsmodels, librosa, and what their definitions promise."""

from itertools import combinations

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa import stattools

from audio_processing.audio_processing import stft
from audio_processing.masks import irm
from residual_analysis import residual as ra
from tests.helpers import refused


def band(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return {source: rng.normal(size=shape).astype(np.float32) for source in ("drums", "bass", "vocals")}


def autoregression(size, coefficients, seed=0):
    return scipy.signal.lfilter([1], np.r_[1, -np.asarray(coefficients)], np.random.default_rng(seed).normal(size=size))


def energy(x):
    return np.sum(np.square(x, dtype=np.float64))


# --- scores -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), channels=st.integers(0, 2), gains=st.tuples(*[st.floats(-2, 2)] * 3))
def test_the_parts_of_an_estimate_are_orthogonal_and_add_up(seed, channels, gains):
    shape = (channels, 500) if channels else (500,)
    stems = band(*shape, seed=seed)
    estimate = sum(g * stem for g, stem in zip(gains, stems.values())) + band(*shape, seed=seed + 1)["bass"]
    parts = ra.decompose(stems, "bass", estimate)
    np.testing.assert_allclose(sum(parts), estimate, atol=1e-5)
    for first, second in combinations(parts, 2):
        assert abs(np.sum(first * second)) < 1e-6 * energy(estimate)


def test_leaked_stems_are_interference_and_noise_is_artefact():
    stems = band(2, 20000)
    only_leak = ra.scores(stems, "bass", stems["bass"] + 0.1 * stems["drums"])
    assert only_leak["si_sir"] == pytest.approx(20, abs=0.5) and only_leak["si_sar"] > 80
    only_noise = ra.scores(stems, "bass", stems["bass"] + 0.1 * band(2, 20000, seed=7)["bass"])
    assert only_noise["si_sar"] == pytest.approx(20, abs=0.5) and only_noise["si_sir"] > 50


def test_distortion_is_interference_and_artefacts_together():
    stems = band(3000)
    estimate = 0.7 * stems["vocals"] + 0.2 * stems["drums"] + 0.1 * band(3000, seed=3)["drums"]
    s = ra.scores(stems, "vocals", estimate)
    inverse = {name: 10 ** (-value / 10) for name, value in s.items()}
    assert inverse["si_sdr"] == pytest.approx(inverse["si_sir"] + inverse["si_sar"], rel=1e-4)


@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_level_costs_snr_and_sd_sdr_but_not_the_scale_invariant_ones(gain):
    stems = band(3000)
    estimate = stems["vocals"] + 0.2 * stems["drums"] + 0.1 * band(3000, seed=3)["bass"]
    one, other = ra.scores(stems, "vocals", estimate), ra.scores(stems, "vocals", gain * estimate)
    for name in ("si_sdr", "si_sir", "si_sar"):
        assert other[name] == pytest.approx(one[name], abs=1e-3)
    if gain != 1:
        assert other["snr"] < one["snr"] and other["sd_sdr"] < one["sd_sdr"]
    alpha = np.sum(estimate * stems["vocals"]) / energy(stems["vocals"]) * gain
    assert other["sd_sdr"] == pytest.approx(other["snr"] + 20 * np.log10(alpha), abs=1e-3)  # ref. 1, eq. 6


def test_a_perfect_estimate_and_a_silent_stem():
    stems = band(3000) | {"bass": np.zeros(3000, np.float32)}
    perfect = ra.scores(stems, "drums", stems["drums"])
    assert perfect["snr"] == np.inf and perfect["sd_sdr"] > 100 and perfect["si_sdr"] > 100
    assert all(np.isnan(value) for value in ra.scores(stems, "bass", stems["drums"]).values())


@pytest.mark.parametrize("spoilt, source, estimate, message", [
    ({}, "bass", np.zeros(2999), r"^estimate: expected the stem's shape \(3000,\)"),
    ({}, "bass", np.full(3000, np.nan), "^estimate: expected finite"),
    ({}, "guitar", np.zeros(3000), "^source: expected one of drums, bass, vocals, got 'guitar'"),
    ({"vocals": np.zeros(5)}, "bass", np.zeros(3000), r"^stems\['vocals'\]: expected the shape"),
    ({"drums": np.r_[np.ones(2999), np.nan]}, "bass", np.zeros(3000), r"^stems\['drums'\]: expected finite"),
])  # fmt: skip
def test_bad_stems_sources_and_estimates_are_refused_by_name(spoilt, source, estimate, message):
    refused(message, ra.scores, band(3000) | spoilt, source, estimate)


def test_one_sample():
    scored = ra.scores({"drums": np.ones(1), "bass": np.zeros(1)}, "drums", np.full(1, 0.5))
    assert scored["snr"] == pytest.approx(6.0206, abs=1e-3) and scored["si_sdr"] > 100


# --- phase ------------------------------------------------------------------------------------------------------------


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_phase_error_is_wrapped(one, other):
    error = ra.phase_error(np.exp(1j * one), np.exp(1j * other))
    assert -np.pi <= error <= np.pi
    assert np.exp(1j * error) == pytest.approx(np.exp(1j * (other - one)), abs=1e-9)


def test_weighted_phase_error_from_none_to_opposite():
    spectrum = stft(band(9000)["bass"], 512, 128)
    assert ra.weighted_phase_error(spectrum, 3 * spectrum) == pytest.approx(0, abs=1e-6)
    assert ra.weighted_phase_error(spectrum, -spectrum) == pytest.approx(np.pi, abs=1e-6)
    assert ra.weighted_phase_error(spectrum, 1j * spectrum) == pytest.approx(np.pi / 2, abs=1e-6)
    unrelated = stft(band(9000, seed=5)["bass"], 512, 128)
    assert ra.weighted_phase_error(spectrum, unrelated) == pytest.approx(np.pi / 2, abs=0.05)
    assert np.isnan(ra.weighted_phase_error(0 * spectrum, spectrum))


def test_loud_bins_count_for_more():
    true, other = np.array([100, 1.0 + 0j]), np.array([1, -1.0 + 0j])
    assert ra.weighted_phase_error(true, other) == pytest.approx(np.pi / 101)


def test_shares_by_phase_error_add_up_and_follow_the_formula():
    stems = band(20000)
    mixture = sum(stems.values())
    true, mixed = (stft(x, 512, 128) for x in (stems["bass"], mixture))
    residual = true - stft(irm(stems, n_fft=512, hop_length=128)["bass"], 512, 128)
    edges, stem_share, residual_share = ra.shares_by_phase_error(true, mixed, residual, classes=6)
    assert edges[0] == 0 and edges[-1] == pytest.approx(np.pi) and edges.size == 7
    assert stem_share.sum() == pytest.approx(1) and residual_share.sum() == pytest.approx(1)
    error = np.abs(ra.phase_error(true, mixed))
    inside = (error >= edges[2]) & (error < edges[3])
    assert residual_share[2] == pytest.approx(energy(np.abs(residual[inside])) / energy(np.abs(residual)), rel=1e-5)
    assert not ra.shares_by_phase_error(0 * true, mixed, residual)[1].any()


def test_exchange_gives_the_stem_back_where_nothing_is_exchanged():
    stem = band(2, 5000)["drums"]
    for signal in ra.exchange(stem, stem, n_fft=512, hop_length=128):
        assert signal.shape == stem.shape and np.abs(signal - stem).max() < 1e-5


def test_exchange_takes_the_level_from_one_and_the_phase_from_the_other():
    stem = band(9000)["drums"]
    magnitude, phase = ra.exchange(stem, -4 * stem, n_fft=512, hop_length=128)
    np.testing.assert_allclose(magnitude, -stem, atol=1e-5)
    np.testing.assert_allclose(phase, 4 * stem, atol=1e-4)


def test_exchange_of_a_silent_stem_and_of_one_sample():
    assert not ra.exchange(np.zeros(3000), band(3000)["bass"])[0].any()
    assert ra.exchange(np.ones(1), np.ones(1))[0] == pytest.approx(1)


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_griffin_lim_is_librosas(momentum):
    n = np.arange(6000)
    magnitude = np.abs(stft(np.sin(n * (0.1 + n / 60000)) + 0.1 * band(6000)["bass"], 512, 128))
    ours = ra.griffin_lim(magnitude, 128, length=6000, iterations=8, momentum=momentum)
    theirs = librosa.griffinlim(
        magnitude, n_iter=8, hop_length=128, length=6000, momentum=momentum, init=None, pad_mode="constant"
    )
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(ours).max()


def test_griffin_lim_comes_nearer_and_keeps_a_right_phase():
    audio = np.sin(np.arange(8000) * 0.2) * np.hanning(8000)
    spectrum = stft(audio, 512, 128)
    distance = [
        ra.spectral_convergence(np.abs(spectrum), ra.griffin_lim(np.abs(spectrum), 128, length=8000, iterations=i), 128)
        for i in (0, 4, 60)
    ]
    assert distance[0] > distance[1] > distance[2]
    exact = ra.griffin_lim(np.abs(spectrum), 128, length=8000, iterations=3, phase=np.angle(spectrum))
    assert np.abs(exact - audio).max() < 1e-9


@pytest.mark.parametrize("arguments, message", [
    ({"magnitude": -np.ones((9, 4))}, "^magnitude"), ({"magnitude": np.full((9, 4), np.nan)}, "^magnitude"),
    ({"magnitude": np.ones((9, 4)) * 1j}, "^magnitude"), ({"iterations": -1}, "^iterations"),
    ({"momentum": -0.5}, "^iterations, momentum"), ({"hop_length": 99}, "^hop_length"),
])  # fmt: skip
def test_griffin_lim_refuses_bad_arguments(arguments, message):
    refused(message, ra.griffin_lim, **{"magnitude": np.ones((9, 4)), "hop_length": 4} | arguments)


# --- spectra ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [2, 999, 1000])
def test_periodogram_is_scipys(samples):
    audio = np.random.default_rng(0).normal(size=samples)
    for ours, theirs in zip(ra.periodogram(audio, 8000), scipy.signal.periodogram(audio, 8000, detrend=False)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_periodogram_adds_up_to_the_mean_power():
    audio = np.random.default_rng(0).normal(size=1001)
    frequencies, density = ra.periodogram(audio, 16000)
    assert density.sum() * (frequencies[1] - frequencies[0]) == pytest.approx(np.mean(audio**2))


@pytest.mark.parametrize("samples, segment", [(5000, 512), (5000, 511), (512, 512), (4, 2)])
def test_welch_is_scipys(samples, segment):
    audio = np.random.default_rng(0).normal(size=samples) + 3
    for ours, theirs in zip(ra.welch(audio, 8000, segment), scipy.signal.welch(audio, 8000, nperseg=segment)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-18)


def test_coherence_is_scipys_and_knows_a_filter_from_a_stranger():
    x, stranger = np.random.default_rng(0).normal(size=(2, 40000))
    y = scipy.signal.lfilter([1, 0.5, -0.3], [1], x) + 0.3 * stranger
    for ours, theirs in zip(ra.coherence(x, y, 8000, 256), scipy.signal.coherence(x, y, 8000, nperseg=256)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)
    assert ra.coherence(x, 5 * x, 8000, 256)[1] == pytest.approx(1)
    segments = 2 * 40000 / 256 - 1
    assert ra.coherence(x, stranger, 8000, 256)[1].mean() == pytest.approx(1 / segments, rel=0.3)
    assert not ra.coherence(x, 0 * x, 8000, 256)[1].any()


@pytest.mark.parametrize("function, message", [
    (lambda x: ra.welch(x, 8000, 200), "^segment: expected from 2 to the 100 samples"),
    (lambda x: ra.welch(x, 8000, 1), "^segment: "),
    (lambda x: ra.coherence(x, x[:-1], 8000, 50), "^y: expected the shape"),
    (lambda x: ra.periodogram(x[:1], 8000), "^audio: expected a series of at least 2"),
    (lambda x: ra.periodogram(np.stack([x, x]), 8000), "^audio: expected a series"),
    (lambda x: ra.welch(x * np.nan, 8000, 50), "^audio: expected finite"),
    (lambda x: ra.phase_error(x, x[:-1]), "^other: expected the shape"),
    (lambda x: ra.ljung_box(x, 3, fitted=3), "^lags: expected more than the 3"),
])  # fmt: skip
def test_series_and_their_spectra_refuse_bad_arguments(function, message):
    refused(message, function, np.random.default_rng(0).normal(size=100))


# --- time series ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, lags", [(2, 1), (50, 49), (1000, 40)])
def test_acf_is_statsmodels(size, lags):
    series = autoregression(size, [0.6, -0.3]) + 5
    np.testing.assert_allclose(ra.acf(series, lags), stattools.acf(series, nlags=lags, fft=False), atol=1e-10)


@pytest.mark.parametrize("size, lags", [(50, 20), (3000, 30)])
def test_pacf_is_statsmodels(size, lags):
    series = autoregression(size, [0.6, -0.3])
    theirs = stattools.pacf(series, nlags=lags, method="ldbiased")
    np.testing.assert_allclose(ra.pacf(series, lags), theirs, atol=1e-9)


def test_pacf_of_an_autoregression_ends_at_its_order():
    partial = ra.pacf(autoregression(20000, [0.5, -0.4]), 12)
    assert partial[2] == pytest.approx(-0.4, abs=0.03) and np.abs(partial[3:]).max() < 0.03


def test_ljung_box_is_statsmodels_and_tells_noise_from_memory():
    memory, noise = autoregression(500, [0.5]), np.random.default_rng(1).normal(size=500)
    for series, fitted in ((memory, 0), (noise, 0), (noise, 3)):
        theirs = acorr_ljungbox(series, lags=[12], model_df=fitted)
        ours = ra.ljung_box(series, 12, fitted=fitted)
        np.testing.assert_allclose(ours, [theirs.lb_stat.iloc[0], theirs.lb_pvalue.iloc[0]], rtol=1e-8)
    assert ra.ljung_box(memory, 12)[1] < 1e-6 < 0.01 < ra.ljung_box(noise, 12)[1]


@pytest.mark.parametrize("function", [ra.acf, ra.pacf, ra.ljung_box])
@pytest.mark.parametrize("series, message", [
    (np.full(50, 0.1), "^series: expected values that vary"),
    (np.r_[1.0, np.nan, np.zeros(20)], "^series: expected finite"),
    (np.ones(1), "^series: expected a series of at least 2"), (np.arange(5.0), "^lags: expected from 0 to 4, got 10"),
])  # fmt: skip
def test_correlations_refuse_bad_series(function, series, message):
    refused(message, function, series, 10)


def test_seasonal_arima_finds_an_autoregression():
    forecast = ra.seasonal_arima(autoregression(800, [0.7]) + 10, 40, order=(1, 0, 0))
    assert forecast.coefficients["ar.L1"] == pytest.approx(0.7, abs=0.08) and forecast.converged
    assert forecast.mean.shape == forecast.low.shape == forecast.high.shape == (40,)
    assert forecast.mean[-1] == pytest.approx(10, abs=0.5)  # it forgets, and returns to the mean
    assert ra.ljung_box(forecast.innovations, 10, fitted=1)[1] > 0.01


def test_seasonal_arima_continues_a_season_inside_its_interval():
    series = np.resize([0, 3, -2, 1, 5, 1, 0, -4], 160) + 0.3 * np.random.default_rng(0).normal(size=160)
    forecast = ra.seasonal_arima(series[:136], 24, order=(0, 0, 0), season=8, seasonal_order=(1, 0, 0))
    assert np.corrcoef(forecast.mean, series[136:])[0, 1] > 0.95
    assert np.mean((series[136:] > forecast.low) & (series[136:] < forecast.high)) > 0.8
    np.testing.assert_array_equal(ra.seasonal_naive(series[:136], 10, 8), np.r_[series[128:136], series[128:130]])


@pytest.mark.parametrize("series, horizon, season, message", [
    (np.arange(20.0), 5, 8, "^series: expected a series of at least 24"),
    (np.ones(50), 5, 4, "^series: expected values that vary"),
    (np.r_[np.arange(40.0), np.nan], 5, 4, "^series: expected finite"),
    (np.arange(50.0), 0, 4, "^horizon: expected at least 1"),
])  # fmt: skip
def test_seasonal_arima_refuses_bad_arguments(series, horizon, season, message):
    refused(message, ra.seasonal_arima, series, horizon, season=season)
