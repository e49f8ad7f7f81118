"""How good is an estimate? Ratios in dB between a true stem and what is wrong in its estimate.

Every function takes any number of channels and compares all of them at once.
"""

import numpy as np


def _energy(signal):
    return np.sum(np.square(signal, dtype=np.float64))


def _ratio_db(numerator, denominator):
    if numerator == 0:
        return -np.inf if denominator > 0 else np.nan
    return np.inf if denominator == 0 else 10 * np.log10(numerator / denominator)


def _pair(reference, estimate):
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.shape != estimate.shape:
        raise ValueError(f"estimate: shape {estimate.shape} given, {reference.shape} (that of the reference) expected")
    return reference, estimate


def snr(reference, estimate):
    r"""Signal-to-noise ratio :math:`10\log_{10} \|s\|^2 / \|s - \hat s\|^2` (the "uSDR" of the MDX challenges).

    Parameters
    ----------
    reference, estimate : np.ndarray of one shape, (samples,) or (channels, samples)

    Returns
    -------
    float
        in dB; NaN where the reference is silent, inf where the two are equal.
    """
    reference, estimate = _pair(reference, estimate)
    energy = _energy(reference)
    return np.nan if energy == 0 else float(_ratio_db(energy, _energy(reference - estimate)))


def si_sdr(reference, estimate):
    r"""Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, https://doi.org/10.1109/ICASSP.2019.8683855).

    .. math:: \alpha = \frac{\langle \hat s, s\rangle}{\|s\|^2}, \qquad
              \mathrm{SI\text{-}SDR} = 10\log_{10}\frac{\|\alpha s\|^2}{\|\alpha s - \hat s\|^2}

    Parameters
    ----------
    reference, estimate : np.ndarray of one shape, (samples,) or (channels, samples)

    Returns
    -------
    float
        in dB; NaN where the reference is silent, -inf where the estimate holds nothing of it.
    """
    reference, estimate = _pair(reference, estimate)
    energy = _energy(reference)
    if energy == 0:
        return np.nan
    target = np.sum(reference * estimate) / energy * reference
    error = _energy(target - estimate)
    return -np.inf if _energy(target) == 0 else float(_ratio_db(_energy(target), error))


def frame_sdr(references, estimates, sample_rate):
    """SDR of museval v4 (the "cSDR" of SiSEC 2018 once its median is taken), frame by frame.

    In version 4 of BSS Eval the distortion is everything by which the estimate differs from the reference, so its SDR
    is the signal-to-noise ratio of frames of one second, and no distortion filter has to be found. A frame in which
    any reference or any estimate is silent counts for no source (Stöter, Liutkus & Ito 2018,
    https://doi.org/10.1007/978-3-319-93764-9_28).

    Parameters
    ----------
    references, estimates : np.ndarray of one shape, (sources, samples) or (sources, channels, samples)
        or lists of one array per source, which are not copied: memory grows by a frame.
    sample_rate : int
        in Hz: the length of a frame and of the hop. A signal of less than a frame is one frame.

    Returns
    -------
    np.ndarray, (sources, frames)
        in dB; NaN where the frame is dropped.
    """
    references, estimates = ([np.atleast_2d(signal) for signal in signals] for signals in (references, estimates))
    if (given := [x.shape for x in estimates]) != (expected := [x.shape for x in references]):
        raise ValueError(f"estimates: shapes {given} given, {expected} (those of the references) expected")
    samples = references[0].shape[-1]
    n_frames = max(1, samples // sample_rate)
    result = np.full((len(references), n_frames), np.nan)
    for frame in range(n_frames):
        part = slice(frame * sample_rate, (frame + 1) * sample_rate if samples > sample_rate else samples)
        true, guess = (np.stack([x[:, part] for x in found]).astype(np.float64) for found in (references, estimates))
        # museval calls a source silent where its channels add up to zero at every sample
        if any((signals.sum(axis=1) == 0).all(axis=-1).any() for signals in (true, guess)):
            continue
        result[:, frame] = [_ratio_db(_energy(s), _energy(s - e)) for s, e in zip(true, guess)]
    return result


def sdr(references, estimates, sample_rate):
    """Median over the counted frames of `frame_sdr`: one number in dB per source, NaN where no frame counts."""
    frames = frame_sdr(references, estimates, sample_rate)
    counted = ~np.isnan(frames).all(axis=0)
    return np.median(frames[:, counted], axis=1) if counted.any() else np.full(len(frames), np.nan)
