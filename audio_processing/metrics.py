"""How good is an estimate? Ratios in dB between a reference (the true stem) and the error of its estimate.

Every function takes any number of channels and compares all of them at once.

Notebook: audio_processing/spectrogram_limits.ipynb
"""

import numpy as np

from common.checks import expect


def _energy(signal):
    return np.sum(np.square(signal, dtype=np.float64))


def energy_ratio(signal, error):
    """Energy of a signal over that of its error, in dB: NaN for a silent signal, inf for no error."""
    signal, error = _energy(signal), _energy(error)
    if signal == 0:
        return np.nan
    return np.inf if error == 0 else float(10 * np.log10(signal / error))


def _pair(reference, estimate):
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    expect(reference.shape == estimate.shape, "estimate", f"the reference's shape {reference.shape}", estimate.shape)
    return reference, estimate


def snr(reference, estimate):
    r"""Signal-to-noise ratio :math:`10\log_{10} \|s\|^2 / \|s - \hat s\|^2` (the "uSDR" of the MDX challenges).

    Parameters
    ----------
    reference, estimate : np.ndarray, (samples,) or (channels, samples)
        of one shape.

    Returns
    -------
    float
        in dB; NaN if the reference is silent, inf if the two are equal.

    See Also
    --------
    si_sdr : ignores the level of the estimate.
    sdr : the median over frames.

    Examples
    --------
    >>> snr([1.0, 0.0, 0.0], [1.0, 0.1, 0.0])
    20.0
    >>> snr([1.0, 0.0, 0.0], [0.0, 0.0, 0.0])  # silence is as good as its level
    0.0
    """
    reference, estimate = _pair(reference, estimate)
    return energy_ratio(reference, reference - estimate)


def si_sdr(reference, estimate):
    r"""Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, https://doi.org/10.1109/ICASSP.2019.8683855).

    .. math:: \alpha = \frac{\langle \hat s, s\rangle}{\|s\|^2}, \qquad
              \mathrm{SI\text{-}SDR} = 10\log_{10}\frac{\|\alpha s\|^2}{\|\alpha s - \hat s\|^2}

    Parameters
    ----------
    reference, estimate : np.ndarray, (samples,) or (channels, samples)
        of one shape.

    Returns
    -------
    float
        in dB; NaN if the reference is silent, -inf if the estimate holds nothing of it.

    See Also
    --------
    snr : counts a wrong level as an error.
    mss_nn_implementation.loss.NegativeSISDR : the loss.

    Examples
    --------
    >>> si_sdr([1.0, 0.0, 0.0], [1.0, 0.1, 0.0])
    20.0
    >>> si_sdr([1.0, 0.0, 0.0], [0.5, 0.05, 0.0])  # half as loud: as good
    20.0
    """
    reference, estimate = _pair(reference, estimate)
    energy = _energy(reference)
    if energy == 0:
        return np.nan
    target = np.sum(reference * estimate) / energy * reference
    return -np.inf if _energy(target) == 0 else energy_ratio(target, target - estimate)


def frame_sdr(references, estimates, sample_rate):
    """SDR of museval v4 (the "cSDR" of SiSEC 2018 once its median is taken), frame by frame.

    In version 4 of BSS Eval the distortion is everything by which the estimate differs from the reference, so its SDR
    is the signal-to-noise ratio of frames of one second, and no distortion filter has to be found. A frame in which
    any reference or any estimate is silent counts for no source (Stöter, Liutkus & Ito 2018,
    https://doi.org/10.1007/978-3-319-93764-9_28).

    Parameters
    ----------
    references, estimates : np.ndarray, (sources, samples) or (sources, channels, samples)
        of one shape; or lists of one array per source, which are not copied: memory grows by a frame.
    sample_rate : int
        in Hz: the length of a frame and of the hop. A signal of less than a frame is one frame.

    Returns
    -------
    np.ndarray, (sources, frames)
        in dB; NaN if the frame is dropped.
    """
    references, estimates = ([np.atleast_2d(signal) for signal in signals] for signals in (references, estimates))
    expected, shapes = ([x.shape for x in signals] for signals in (references, estimates))
    expect(shapes == expected, "estimates", f"the references' shapes {expected}", shapes)
    samples = references[0].shape[-1]
    n_frames = max(1, samples // sample_rate)
    result = np.full((len(references), n_frames), np.nan)
    for frame in range(n_frames):
        part = slice(frame * sample_rate, (frame + 1) * sample_rate if samples > sample_rate else samples)
        pair = [np.stack([x[:, part] for x in signals]).astype(np.float64) for signals in (references, estimates)]
        # museval calls a source silent if its channels add up to zero at every sample
        if not any((signals.sum(axis=1) == 0).all(axis=-1).any() for signals in pair):
            result[:, frame] = [energy_ratio(reference, reference - estimate) for reference, estimate in zip(*pair)]
    return result


def sdr(references, estimates, sample_rate):
    """Median over the counted frames of `frame_sdr`: one number in dB per source, NaN if no frame counts.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> references = rng.normal(size=(2, 30))  # two sources, three frames
    >>> sdr(references, references + 0.1 * references[::-1], sample_rate=10).shape
    (2,)
    """
    frames = frame_sdr(references, estimates, sample_rate)
    counted = ~np.isnan(frames).all(axis=0)
    return np.median(frames[:, counted], axis=1) if counted.any() else np.full(len(frames), np.nan)
