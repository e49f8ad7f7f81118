"""Does the past of a residual predict its future? Correlations, a test for white noise, a seasonal model.

Notebook: residual_analysis/residual_analysis.ipynb

References
----------
.. [1] Ljung & Box, "On a measure of lack of fit in time series models", Biometrika 65(2), 1978,
       doi:10.1093/biomet/65.2.297.
.. [2] Box, Jenkins, Reinsel & Ljung, "Time Series Analysis: Forecasting and Control", 5th ed., Wiley 2015.
"""

import warnings
from collections import namedtuple

import numpy as np
import scipy.stats

from common.checks import expect


def check_series(name, values, at_least=2, *, varying=False):
    """Check a one-dimensional, finite series of some length, not constant if `varying`; return it as float64."""
    values = np.asarray(values, np.float64)
    long_enough = values.ndim == 1 and values.size >= at_least
    expect(long_enough, name, f"a series of at least {at_least} values", f"shape {values.shape}")
    expect(np.isfinite(values).all(), name, "finite values", "NaN or infinity")
    expect(not varying or np.ptp(values) > 0, name, "values that vary", "a constant")
    return values


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
        if the series is constant, too short, or not finite.

    See Also
    --------
    pacf : without what passes through the lags between.

    Examples
    --------
    >>> acf([1.0, -1.0, 1.0, -1.0], lags=2).round(6)
    array([ 1.  , -0.75,  0.5 ])
    """
    series = check_series("series", series, varying=True)
    expect(0 <= lags < series.size, "lags", f"from 0 to {series.size - 1}", lags)
    centred = series - series.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(centred, 2 * series.size)) ** 2)[: lags + 1]  # padded: no wrap-around
    return products / products[0]


def pacf(series, lags):
    r"""Partial autocorrelation at lags 0 to `lags`: what lag k adds once the lags before it are known.

    The last coefficient of autoregressions of growing order, by the Durbin-Levinson recursion on `acf`.
    An autoregression of order p has none beyond lag p. Parameters, result and errors are those of `acf`.
    """
    r = acf(series, lags)
    partial = np.r_[1.0, np.zeros(lags)]
    weights, variance = np.zeros(0), 1.0
    for k in range(1, lags + 1):
        partial[k] = (r[k] - weights @ r[k - 1 : 0 : -1]) / variance
        weights = np.r_[weights - partial[k] * weights[::-1], partial[k]]
        variance *= 1 - partial[k] ** 2
    return partial


def ljung_box(series, lags, *, fitted=0):
    r"""Test whether a series is white noise [1]_.

    .. math:: Q = N (N + 2) \sum_{k=1}^{h} \frac{r_k^2}{N - k}

    is chi-squared with h degrees of freedom, less `fitted` if the series is the residual of a model with so many
    coefficients.

    Parameters
    ----------
    series : np.ndarray, (N,)
    lags : int
        h, above `fitted`.
    fitted : int
        coefficients of the model.

    Returns
    -------
    statistic, p_value : float
        a small p-value: not white noise.
    """
    expect(lags > fitted >= 0, "lags", f"more than the {fitted} fitted coefficients", lags)
    r = acf(series, lags)
    size = len(series)
    statistic = size * (size + 2) * np.sum(r[1:] ** 2 / (size - np.arange(1, lags + 1)))
    return float(statistic), float(scipy.stats.chi2.sf(statistic, lags - fitted))


class Forecast(namedtuple("Forecast", "mean low high innovations coefficients aic converged")):
    """A forecast and its diagnostics.

    Parameters
    ----------
    mean, low, high : np.ndarray, (horizon,)
        expected values and the bounds of the 95 % interval.
    innovations : np.ndarray
        standardised one-step errors on the fitted series, without those of the first two seasons.
    coefficients : dict of str to float
    aic : float
        Akaike's information criterion: lower is better, for one series.
    converged : bool
    """


def seasonal_arima(series, horizon, *, order=(2, 0, 1), season=1, seasonal_order=(1, 0, 0), iterations=100):
    r"""Fit a seasonal ARIMA model by maximum likelihood and continue the series with it [2]_.

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
        s, steps; 1 if there is none (`seasonal_order` is not used then).
    iterations : int
        of the optimiser, at most.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError
        if the series is shorter than three seasons, constant or not finite.
    """
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    series = check_series("series", series, at_least=max(10, 3 * season), varying=True)
    expect(horizon >= 1, "horizon", "at least 1 step", horizon)
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
    series = check_series("series", series, at_least=season)
    return np.resize(series[-season:], horizon)
