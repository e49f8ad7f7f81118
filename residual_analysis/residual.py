r"""The residual of a separation, stem minus estimate: its kinds of error, its phase, its spectrum.

What is the error made of (interference, artefacts, level)? Where in time and frequency is it, how far is the phase off
there, which frequencies does it hold, and do two sources make the same error? Does its past predict its future? For
that question see `time_series`, whose functions are here, too.

Notebook: residual_analysis/residual_analysis.ipynb

References
----------
.. [1] Le Roux, Wisdom, Erdogan & Hershey, "SDR - half-baked or well done?", ICASSP 2019,
       doi:10.1109/ICASSP.2019.8683855.
.. [2] Griffin & Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984,
       doi:10.1109/TASSP.1984.1164317.
.. [3] Perraudin, Balazs & Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013, doi:10.1109/WASPAA.2013.6701851.
.. [4] Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio and
       Electroacoustics 15(2), 1967, doi:10.1109/TAU.1967.1161901.
"""

import numpy as np

from audio_processing.audio_processing import istft, stft, window
from audio_processing.masks import checked
from audio_processing.metrics import energy_ratio, si_sdr, snr
from common.checks import expect
from residual_analysis.time_series import (  # noqa: F401 - the notebook finds all its instruments in this module
    Forecast,
    acf,
    check_series,
    ljung_box,
    pacf,
    seasonal_arima,
    seasonal_naive,
)

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
        the references.
    source : str
        the one that `estimate` estimates.
    estimate : np.ndarray, (..., samples)

    Returns
    -------
    target, interference, artefact : np.ndarray, float64, (..., samples)
        they add up to `estimate`.

    Raises
    ------
    ValueError
        if the source is unknown, shapes differ, or samples are not finite.

    See Also
    --------
    scores : the three parts as ratios.
    """
    expect(source in stems, "source", f"one of {', '.join(stems)}", repr(source))
    checked(stems)
    estimate = np.asarray(estimate, np.float64)
    shape = np.shape(stems[source])
    expect(estimate.shape == shape, "estimate", f"the stem's shape {shape}", estimate.shape)
    expect(np.isfinite(estimate).all(), "estimate", "finite samples", "NaN or infinity")
    references = np.stack([np.ravel(stem) for stem in stems.values()]).astype(np.float64)  # (sources, values)
    stem, flat = np.asarray(stems[source], np.float64), estimate.ravel()
    energy = np.sum(stem**2)
    target = (flat @ stem.ravel() / energy if energy > 0 else 0) * stem.ravel()
    error = flat - target
    weights = np.linalg.pinv(references @ references.T, rcond=1e-12, hermitian=True) @ (references @ error)
    interference = weights @ references
    return tuple(part.reshape(estimate.shape) for part in (target, interference, error - interference))


def scores(stems, source, estimate):
    r"""Five ratios in dB that name different errors [1]_.

    - `si_sdr`: target against everything else, whatever the level.
    - `si_sir`: target against interference; `si_sar`: target against artefacts. As energy ratios,
      :math:`1/\text{SI-SDR} = 1/\text{SI-SIR} + 1/\text{SI-SAR}`.
    - `sd_sdr`: target against the whole difference :math:`s - \hat s`: a wrong level costs, too loud or too soft.
    - `snr`: stem against the whole difference.

    Parameters
    ----------
    stems, source, estimate
        as for `decompose`.

    Returns
    -------
    dict of str to float
        NaN if the reference is silent; inf if an error is absent.

    Examples
    --------
    >>> drums, bass = np.eye(2)
    >>> leaky = scores({"drums": drums, "bass": bass}, "drums", drums + 0.1 * bass)
    >>> {name: round(leaky[name], 6) for name in ("si_sdr", "si_sir")}
    {'si_sdr': 20.0, 'si_sir': 20.0}
    """
    target, interference, artefact = decompose(stems, source, estimate)
    stem = np.asarray(stems[source], np.float64)
    return {
        "si_sdr": si_sdr(stem, estimate),
        "si_sir": energy_ratio(target, interference),
        "si_sar": energy_ratio(target, artefact),
        "sd_sdr": energy_ratio(target, stem - estimate),
        "snr": snr(stem, estimate),
    }


# --- phase ------------------------------------------------------------------------------------------------------------


def phase_error(true, other):
    """Difference of phase in radians, wrapped to (-π, π], of two spectra of one shape.

    The angle of other · conj(true): no unwrapping, no jump at ±π; 0 in bins where either spectrum is 0.
    """
    true, other = np.asarray(true), np.asarray(other)
    expect(true.shape == other.shape, "other", f"the shape {true.shape} of true", other.shape)
    return np.angle(other * np.conj(true))


def weighted_phase_error(true, other):
    r"""Mean size of the phase error in radians, each bin weighted by the true magnitude.

    .. math:: \frac{\sum |S|\,|\Delta\varphi|}{\sum |S|}

    From 0 for equal phases to π for opposite ones; independent phases give π/2. NaN if `true` is silent.
    """
    weight, error = np.abs(true), np.abs(phase_error(true, other))
    total = weight.sum(dtype=np.float64)
    return float(np.sum(weight * error, dtype=np.float64) / total) if total > 0 else np.nan


def shares_by_phase_error(true, mixture, residual, *, classes=12):
    """How much of the residual's energy lies in bins with a large phase error.

    Every bin is put into a class by the size of the mixture's phase error against the reference.

    Parameters
    ----------
    true, mixture, residual : np.ndarray, complex, of one shape
        spectra of the reference, the mixture and the residual.
    classes : int
        their number; all have the same width between 0 and π.

    Returns
    -------
    edges : np.ndarray, (classes + 1,)
        in radians.
    stem, residual : np.ndarray, (classes,)
        fraction of the reference's and of the residual's energy in each class; both add up to 1 (or are 0 for
        silence).
    """
    edges = np.linspace(0, np.pi, classes + 1)
    index = np.minimum((np.abs(phase_error(true, mixture)) / np.pi * classes).astype(int), classes - 1).ravel()
    energies = [np.bincount(index, (np.abs(spectrum) ** 2).ravel(), classes) for spectrum in (true, residual)]
    return edges, *(energy / max(energy.sum(), np.finfo(float).tiny) for energy in energies)


def exchange(stem, mixture, *, n_fft=2048, hop_length=512):
    """Combine a stem's magnitude with the mixture's phase, and the mixture's magnitude with the stem's phase.

    Parameters
    ----------
    stem, mixture : np.ndarray, (..., samples)
    n_fft, hop_length : int
        in samples.

    Returns
    -------
    true_magnitude, true_phase : np.ndarray, (..., samples)
        the signals with the stem's magnitude, and with its phase.
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
    r"""Find a signal whose STFT has these magnitudes, and phases that fit them.

    Alternates between the magnitudes and what an STFT of a signal can be:

    .. math:: C = \operatorname{STFT}(\operatorname{ISTFT}(A e^{i\varphi})), \qquad
              \varphi \leftarrow \arg\Big(C_i - \frac{m}{1 + m} C_{i-1}\Big)

    Some magnitudes belong to no signal, so the result need not have them exactly [2]_; the momentum m speeds the
    search up [3]_.

    Parameters
    ----------
    magnitude : np.ndarray, real, at least 0, (..., frequencies, frames)
    hop_length : int
    length : int, optional
        samples to return; hop_length · (frames - 1) if None.
    iterations : int
    momentum : float
        m, at least 0; 0 is Griffin and Lim's algorithm.
    phase : np.ndarray, optional
        the first phase in radians, of the shape of `magnitude`; 0 everywhere if None.

    Returns
    -------
    np.ndarray, (..., length)

    Raises
    ------
    ValueError
        if a magnitude is negative or not finite, or `iterations` or `momentum` is negative.

    See Also
    --------
    spectral_convergence : how near the result comes.
    """
    magnitude = np.asarray(magnitude)
    possible = not np.iscomplexobj(magnitude) and np.isfinite(magnitude).all() and (magnitude >= 0).all()
    expect(possible, "magnitude", "real, finite numbers of at least 0", "others")
    expect(iterations >= 0 and momentum >= 0, "iterations, momentum", "at least 0", f"{iterations} and {momentum}")
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
    """Distance of a signal's STFT magnitudes from given ones, relative to these, in dB (lower is nearer)."""
    error = np.abs(stft(audio, 2 * (magnitude.shape[-2] - 1), hop_length)) - magnitude
    return float(20 * np.log10(np.linalg.norm(error) / np.linalg.norm(magnitude)))


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
    audio = check_series("audio", audio)
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
    r"""Part of one signal's power that a fixed filter can predict from the other, per frequency, 0 to 1.

    .. math:: C_{xy} = \frac{|P_{xy}|^2}{P_{xx} P_{yy}}

    with Welch averages P. With K segments, unrelated noises still show about 1/K.

    Parameters
    ----------
    x, y : np.ndarray, (samples,)
    sample_rate : float
        in Hz.
    segment : int
        samples.

    Returns
    -------
    frequencies, coherence : np.ndarray, (1 + segment // 2,)
        0 at frequencies where one of the signals has no power.
    """
    expect(np.shape(x) == np.shape(y), "y", f"the shape {np.shape(x)} of x", np.shape(y))
    weights = window("hann", segment)
    spectra = [np.fft.rfft(_segments(name, each, segment) * weights) for name, each in (("x", x), ("y", y))]
    power_x, power_y = (np.mean(np.abs(spectrum) ** 2, axis=0) for spectrum in spectra)
    cross = np.abs(np.mean(spectra[0].conj() * spectra[1], axis=0)) ** 2
    power = power_x * power_y
    return np.fft.rfftfreq(segment, 1 / sample_rate), np.where(power > 0, cross / np.where(power > 0, power, 1), 0)


def _segments(name, audio, segment):
    """Cut a series into rows of `segment` samples, each half over the next, their means removed."""
    audio = check_series(name, audio)
    expect(2 <= segment <= audio.size, "segment", f"from 2 to the {audio.size} samples of {name}", segment)
    rows = np.lib.stride_tricks.sliding_window_view(audio, segment)[:: segment - segment // 2]
    return rows - rows.mean(axis=-1, keepdims=True)


def _density(rows, weights, sample_rate):
    """One-sided power spectral density, averaged over rows (segments, samples)."""
    size = weights.size
    density = np.mean(np.abs(np.fft.rfft(rows * weights)) ** 2, axis=0) / (sample_rate * np.sum(weights**2))
    density[1 : (size + 1) // 2] *= 2  # the negative frequencies; zero and Nyquist have no partner
    return np.fft.rfftfreq(size, 1 / sample_rate), density
