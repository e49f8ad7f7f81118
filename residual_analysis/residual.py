r"""The residual of a separation, stem minus estimate, under the instruments of signal and time-series analysis.

What is the error made of (interference, artefacts, level)? Where in time and frequency is it, how far is the phase off
there, which frequencies does it hold, does its past predict its future, and do two sources make the same error?

References
----------
.. [1] Le Roux, Wisdom, Erdogan & Hershey, "SDR - half-baked or well done?", ICASSP 2019,
       doi:10.1109/ICASSP.2019.8683855.
.. [2] Griffin & Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984,
       doi:10.1109/TASSP.1984.1164317.
.. [3] Perraudin, Balazs & Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013, doi:10.1109/WASPAA.2013.6701851.
.. [4] Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio and
       Electroacoustics 15(2), 1967, doi:10.1109/TAU.1967.1161901.
.. [5] Ljung & Box, "On a measure of lack of fit in time series models", Biometrika 65(2), 1978,
       doi:10.1093/biomet/65.2.297.
.. [6] Box, Jenkins, Reinsel & Ljung, "Time Series Analysis: Forecasting and Control", 5th ed., Wiley 2015.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.stats

from audio_processing.audio_processing import istft, stft, window
from audio_processing.masks import checked
from audio_processing.metrics import si_sdr, snr

# --- how large, and of what kind --------------------------------------------------------------------------------------


def decompose(stems, source, estimate):
    r"""Split an estimate into what it should hold, what leaked in, and what neither explains [1]_.

    .. math:: \hat s = \underbrace{\alpha s}_{e_\text{target}} + e_\text{interference} + e_\text{artefact}, \qquad
              \alpha = \frac{\langle\hat s, s\rangle}{\|s\|^2}

    The interference is the part of :math:`\hat s - \alpha s` that a weighted sum of the true stems can explain (an
    orthogonal projection); the artefacts are the rest. All three are orthogonal to each other.

    Parameters
    ----------
    stems : dict of str to np.ndarray, (..., samples)
        the true sources.
    source : str
        which of them `estimate` is an estimate of.
    estimate : np.ndarray, (..., samples)

    Returns
    -------
    target, interference, artefact : np.ndarray, float64, (..., samples)
        they add up to `estimate`.

    Raises
    ------
    ValueError
        where the source is unknown, shapes differ, or samples are not finite.
    """
    if source not in stems:
        raise ValueError(f"source: one of {', '.join(stems)} expected, got {source!r}")
    checked(stems)
    estimate = np.asarray(estimate, np.float64)
    if estimate.shape != np.shape(stems[source]):
        raise ValueError(f"estimate: the shape {np.shape(stems[source])} of the stem expected, got {estimate.shape}")
    if not np.isfinite(estimate).all():
        raise ValueError("estimate: finite samples expected, got NaN or infinity")
    true = np.stack([np.ravel(stem) for stem in stems.values()]).astype(np.float64)  # (sources, values)
    stem, flat = np.asarray(stems[source], np.float64), estimate.ravel()
    energy = np.sum(stem**2)
    target = (flat @ stem.ravel() / energy if energy > 0 else 0) * stem.ravel()
    error = flat - target
    weights = np.linalg.pinv(true @ true.T, rcond=1e-12, hermitian=True) @ (true @ error)
    interference = weights @ true
    return tuple(part.reshape(estimate.shape) for part in (target, interference, error - interference))


def scores(stems, source, estimate):
    r"""Five ratios in dB that name different errors [1]_.

    - `si_sdr`: target against everything else, whatever the level.
    - `si_sir`: target against interference; `si_sar`: target against artefacts. As energy ratios,
      :math:`1/\text{SI-SDR} = 1/\text{SI-SIR} + 1/\text{SI-SAR}`.
    - `sd_sdr`: target against the whole difference :math:`s - \hat s`: a wrong level costs, too loud or too soft.
    - `snr`: stem against the whole difference.

    Arguments as for `decompose`.

    Returns
    -------
    dict of str to float
        NaN where the true stem is silent; inf where an error is absent.
    """
    target, interference, artefact = decompose(stems, source, estimate)
    stem = np.asarray(stems[source], np.float64)
    return {
        "si_sdr": si_sdr(stem, estimate),
        "si_sir": _decibels(target, interference),
        "si_sar": _decibels(target, artefact),
        "sd_sdr": _decibels(target, stem - estimate),
        "snr": snr(stem, estimate),
    }


def _decibels(signal, error):
    """Energy of `signal` over that of `error` in dB: NaN for a silent signal, inf for no error."""
    signal, error = np.sum(signal**2), np.sum(error**2)
    if signal == 0:
        return np.nan
    return float(10 * np.log10(signal / error)) if error > 0 else np.inf


# --- phase ------------------------------------------------------------------------------------------------------------


def phase_error(true, other):
    """Difference of phase in radians, wrapped to (-π, π], of two spectra of one shape.

    The angle of other · conj(true): no unwrapping, no jump at ±π. It is 0 where either spectrum is.
    """
    true, other = np.asarray(true), np.asarray(other)
    if true.shape != other.shape:
        raise ValueError(f"other: the shape {true.shape} of true expected, got {other.shape}")
    return np.angle(other * np.conj(true))


def weighted_phase_error(true, other):
    r"""Mean size of the phase error in radians, each bin weighted by the true magnitude.

    .. math:: \frac{\sum |S|\,|\Delta\varphi|}{\sum |S|}

    From 0 for equal phases to π for opposite ones; independent phases give π/2. NaN where `true` is silent.
    """
    weight = np.abs(true)
    total = weight.sum(dtype=np.float64)
    error = np.abs(phase_error(true, other))
    return float(np.sum(weight * error, dtype=np.float64) / total) if total > 0 else np.nan


def shares_by_phase_error(true, mixture, residual, *, classes=12):
    """Where the residual's energy and the phase error meet.

    Every bin is put into a class by the size of the mixture's phase error against the true stem.

    Parameters
    ----------
    true, mixture, residual : np.ndarray, complex, of one shape
        spectra of the true stem, the mixture and the residual.
    classes : int
        how many of equal width between 0 and π.

    Returns
    -------
    edges : np.ndarray, (classes + 1,)
        in radians.
    stem, residual : np.ndarray, (classes,)
        share of the stem's and of the residual's energy in each class; each adds up to 1 (or is all 0 for silence).
    """
    edges = np.linspace(0, np.pi, classes + 1)
    index = np.minimum((np.abs(phase_error(true, mixture)) / np.pi * classes).astype(int), classes - 1).ravel()
    shares = []
    for spectrum in (true, residual):
        energy = np.bincount(index, weights=(np.abs(spectrum) ** 2).ravel(), minlength=classes)
        shares.append(energy / max(energy.sum(), np.finfo(float).tiny))
    return edges, *shares


def exchange(stem, mixture, *, n_fft=2048, hop_length=512):
    """What is a stem's magnitude worth, and what its phase? Take one from the stem and the other from the mixture.

    Parameters
    ----------
    stem, mixture : np.ndarray, (..., samples)
    n_fft, hop_length : int

    Returns
    -------
    true_magnitude, true_phase : np.ndarray, (..., samples)
        resynthesised from (stem's magnitude, mixture's phase) and from (mixture's magnitude, stem's phase).
    """
    checked({"stem": stem}, mixture)
    length = np.shape(stem)[-1]
    true, mixed = stft(stem, n_fft, hop_length), stft(mixture, n_fft, hop_length)
    return (
        istft(np.abs(true) * _unit(mixed), hop_length, length=length),
        istft(np.abs(mixed) * _unit(true), hop_length, length=length),
    )


def _unit(spectrum):
    """The spectrum with every magnitude set to 1, its phases kept; 1 where it is zero."""
    size = np.abs(spectrum)
    return np.where(size > 0, spectrum / np.where(size > 0, size, 1), 1).astype(spectrum.dtype)


def griffin_lim(magnitude, hop_length=512, *, length=None, iterations=32, momentum=0.99, phase=None):
    r"""Find a signal whose STFT has these magnitudes, from nothing but them: alternate between two demands.

    .. math:: C = \operatorname{STFT}(\operatorname{ISTFT}(A e^{i\varphi})), \qquad
              \varphi \leftarrow \arg\Big(C_i - \frac{m}{1 + m} C_{i-1}\Big)

    Some magnitudes belong to no signal, so the result need not have them exactly [2]_; the momentum m speeds the
    search up [3]_.

    Parameters
    ----------
    magnitude : np.ndarray, real, at least 0, (..., frequencies, frames)
    hop_length : int
    length : int, optional
        samples to return; hop_length · (frames - 1) where it is None.
    iterations : int
    momentum : float
        m, at least 0; 0 is Griffin and Lim's algorithm.
    phase : np.ndarray, optional
        where to start, radians, of the shape of `magnitude`; 0 everywhere where it is None.

    Returns
    -------
    np.ndarray, (..., length)

    Raises
    ------
    ValueError
        where a magnitude is negative or not finite, or `iterations` or `momentum` is negative.
    """
    magnitude = np.asarray(magnitude)
    if np.iscomplexobj(magnitude) or not (np.isfinite(magnitude).all() and (magnitude >= 0).all()):
        raise ValueError("magnitude: real, finite numbers of at least 0 expected")
    if iterations < 0 or not momentum >= 0:
        raise ValueError(f"iterations, momentum: at least 0 expected, got {iterations} and {momentum}")
    n_fft = 2 * (magnitude.shape[-2] - 1)
    inner = hop_length * (magnitude.shape[-1] - 1) if length is None else length
    dtype = np.complex64 if magnitude.dtype == np.float32 else np.complex128
    direction = np.ones(magnitude.shape, dtype) if phase is None else np.exp(1j * np.asarray(phase)).astype(dtype)
    previous = 0
    for _ in range(iterations):
        consistent = stft(istft(magnitude * direction, hop_length, length=inner), n_fft, hop_length)
        direction = _unit(consistent - momentum / (1 + momentum) * previous)
        previous = consistent
    return istft(magnitude * direction, hop_length, length=inner)


def spectral_convergence(magnitude, audio, hop_length=512):
    """Distance of a signal's STFT magnitudes from those asked for, relative to them, in dB (lower is nearer)."""
    found = np.abs(stft(audio, 2 * (magnitude.shape[-2] - 1), hop_length))
    return float(20 * np.log10(np.linalg.norm(found - magnitude) / np.linalg.norm(magnitude)))


# --- spectra ----------------------------------------------------------------------------------------------------------


def periodogram(audio, sample_rate):
    r"""Power spectral density of the whole signal at once: all its detail, and a spread as large as its value.

    .. math:: P[k] = \frac{2}{f_s N} \Big|\sum_n x[n] e^{-2\pi i k n / N}\Big|^2

    (without the 2 at zero and at half the sample rate), so that its sum times the bin width is the mean power.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : float
        in Hz.

    Returns
    -------
    frequencies, density : np.ndarray, (1 + samples // 2,)
        in Hz and in units² per Hz.
    """
    audio = _series("audio", audio)
    return _density(audio[None], np.ones(audio.size), sample_rate)


def welch(audio, sample_rate, segment=2048):
    """Power spectral density as the mean over windowed segments, each half over the next [4]_.

    Averaging trades detail in frequency (sample_rate / segment) for an estimate that settles down.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : float
        in Hz.
    segment : int
        samples, at least 2 and at most those of `audio`.

    Returns
    -------
    frequencies, density : np.ndarray, (1 + segment // 2,)
        in Hz and in units² per Hz.
    """
    return _density(_segments("audio", audio, segment), window("hann", segment), sample_rate)


def coherence(x, y, sample_rate, segment=2048):
    r"""How much of one signal a fixed filter could make from the other, per frequency: 0 nothing, 1 all of it.

    .. math:: C_{xy} = \frac{|P_{xy}|^2}{P_{xx} P_{yy}}

    with Welch averages P. With K segments, unrelated noises still show about 1/K.

    Parameters
    ----------
    x, y : np.ndarray, (samples,)
    sample_rate : float
        in Hz.
    segment : int

    Returns
    -------
    frequencies, coherence : np.ndarray, (1 + segment // 2,)
        0 where one of the signals has no power.
    """
    if np.shape(x) != np.shape(y):
        raise ValueError(f"y: the shape {np.shape(x)} of x expected, got {np.shape(y)}")
    weights = window("hann", segment)
    spectra = [np.fft.rfft(_segments(name, each, segment) * weights) for name, each in (("x", x), ("y", y))]
    power_x, power_y = (np.mean(np.abs(spectrum) ** 2, axis=0) for spectrum in spectra)
    cross = np.abs(np.mean(spectra[0].conj() * spectra[1], axis=0)) ** 2
    power = power_x * power_y
    return np.fft.rfftfreq(segment, 1 / sample_rate), np.where(power > 0, cross / np.where(power > 0, power, 1), 0)


def _series(name, values, at_least=2):
    """Check a one-dimensional, finite series of some length; return it as float64."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or values.size < at_least:
        raise ValueError(f"{name}: a series of at least {at_least} values expected, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: finite values expected, got NaN or infinity")
    return values


def _segments(name, audio, segment):
    """Cut a series into rows of `segment` samples, each half over the next, their means removed."""
    audio = _series(name, audio)
    if not 2 <= segment <= audio.size:
        raise ValueError(f"segment: from 2 to the {audio.size} samples of {name} expected, got {segment}")
    rows = np.lib.stride_tricks.sliding_window_view(audio, segment)[:: segment - segment // 2]
    return rows - rows.mean(axis=-1, keepdims=True)


def _density(rows, weights, sample_rate):
    """One-sided power spectral density, averaged over rows (segments, samples)."""
    size = weights.size
    density = np.mean(np.abs(np.fft.rfft(rows * weights)) ** 2, axis=0) / (sample_rate * np.sum(weights**2))
    density[1 : (size + 1) // 2] *= 2  # the negative frequencies; zero and Nyquist have no partner
    return np.fft.rfftfreq(size, 1 / sample_rate), density


# --- does the past predict the future? --------------------------------------------------------------------------------


def acf(series, lags):
    r"""Autocorrelation at lags 0 to `lags`.

    .. math:: r_k = \frac{\sum_{n=k}^{N-1} (x_n - \bar x)(x_{n-k} - \bar x)}{\sum_n (x_n - \bar x)^2}

    Parameters
    ----------
    series : np.ndarray, (N,)
    lags : int
        below N.

    Returns
    -------
    np.ndarray, (lags + 1,)
        from -1 to 1. For white noise, 95 % of those beyond lag 0 are within ±1.96/√N.

    Raises
    ------
    ValueError
        where the series is constant, too short, or not finite.
    """
    series = _series("series", series)
    if not 0 <= lags < series.size:
        raise ValueError(f"lags: from 0 to {series.size - 1} expected, got {lags}")
    if np.ptp(series) == 0:
        raise ValueError("series: values that vary expected, got a constant")
    centred = series - series.mean()
    power = np.abs(np.fft.rfft(centred, 2 * series.size)) ** 2  # padded: no wrap-around
    products = np.fft.irfft(power)[: lags + 1]
    return products / products[0]


def pacf(series, lags):
    r"""Partial autocorrelation at lags 0 to `lags`: what lag k adds once the lags before it are known.

    The last coefficient of autoregressions of growing order, by the Durbin-Levinson recursion on `acf`.
    An autoregression of order p has none beyond lag p.

    Arguments, result and errors as for `acf`.
    """
    r = acf(series, lags)
    partial = np.zeros(lags + 1)
    partial[0] = 1
    weights, variance = np.zeros(0), 1.0
    for k in range(1, lags + 1):
        partial[k] = (r[k] - weights @ r[k - 1 : 0 : -1]) / variance
        weights = np.r_[weights - partial[k] * weights[::-1], partial[k]]
        variance *= 1 - partial[k] ** 2
    return partial


def ljung_box(series, lags, *, fitted=0):
    r"""Test whether a series is white noise [5]_.

    .. math:: Q = N (N + 2) \sum_{k=1}^{h} \frac{r_k^2}{N - k}

    is chi-squared with h degrees of freedom, less `fitted` where the series is what a model with so many coefficients
    left over.

    Parameters
    ----------
    series : np.ndarray, (N,)
    lags : int
        h, above `fitted`.
    fitted : int

    Returns
    -------
    statistic, p_value : float
        a small p-value: not white noise.
    """
    if not lags > fitted >= 0:
        raise ValueError(f"lags: more than the {fitted} fitted coefficients expected, got {lags}")
    r = acf(series, lags)
    size = len(series)
    statistic = size * (size + 2) * np.sum(r[1:] ** 2 / (size - np.arange(1, lags + 1)))
    return float(statistic), float(scipy.stats.chi2.sf(statistic, lags - fitted))


@dataclass(frozen=True)
class Forecast:
    """A forecast with what is needed to judge it.

    Parameters
    ----------
    mean, low, high : np.ndarray, (horizon,)
        expected values and the bounds of the 95 % interval.
    innovations : np.ndarray
        standardised one-step errors on the series it was fitted to, without those of the first two seasons.
    coefficients : dict of str to float
    aic : float
        Akaike's information criterion: lower is better, for one series.
    converged : bool
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    innovations: np.ndarray
    coefficients: dict
    aic: float
    converged: bool


def seasonal_arima(series, horizon, *, order=(2, 0, 1), season=1, seasonal_order=(1, 0, 0), iterations=100):
    r"""Fit a seasonal ARIMA model by maximum likelihood and continue the series with it [6]_.

    .. math:: \phi(B)\,\Phi(B^s)\,(1 - B)^d (1 - B^s)^D x_n = \theta(B)\,\Theta(B^s)\,\varepsilon_n

    where B shifts by one step, :math:`\phi, \theta` have orders p and q, :math:`\Phi, \Theta` orders P and Q, and s is
    the season. Done by statsmodels.

    Parameters
    ----------
    series : np.ndarray, (N,)
        its mean is removed for the fit and put back.
    horizon : int
        steps to forecast.
    order, seasonal_order : (int, int, int)
        (p, d, q) and (P, D, Q).
    season : int
        s, steps; 1 where there is none (`seasonal_order` is not used then).
    iterations : int
        at most so many steps of the optimiser.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        where the series is shorter than three seasons, constant or not finite.
    """
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    series = _series("series", series, at_least=max(10, 3 * season))
    if horizon < 1:
        raise ValueError(f"horizon: at least 1 step expected, got {horizon}")
    if np.ptp(series) == 0:
        raise ValueError("series: values that vary expected, got a constant")
    offset, scale = series.mean(), series.std()
    model = SARIMAX(
        (series - offset) / scale,
        order=order,
        seasonal_order=(*seasonal_order, season) if season > 1 else (0, 0, 0, 0),
        enforce_stationarity=False,
        enforce_invertibility=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stops early is reported as `converged`
        fit = model.fit(disp=False, maxiter=iterations)
    predicted = fit.get_forecast(horizon)
    bounds = np.asarray(predicted.conf_int(alpha=0.05)) * scale + offset
    return Forecast(
        mean=np.asarray(predicted.predicted_mean) * scale + offset,
        low=bounds[:, 0],
        high=bounds[:, 1],
        innovations=np.asarray(fit.standardized_forecasts_error[0])[2 * season :],
        coefficients=dict(zip(fit.param_names, map(float, fit.params))),
        aic=float(fit.aic),
        converged=bool(fit.mle_retvals["converged"]),
    )


def seasonal_naive(series, horizon, season):
    """The forecast to beat: the last season, repeated for `horizon` steps."""
    series = _series("series", series, at_least=season)
    return np.resize(series[-season:], horizon)
