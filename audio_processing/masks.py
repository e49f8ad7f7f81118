r"""Masks: how well could a separator do that only scales the bins of the mixture's spectrogram?

An oracle is given the true stems :math:`s_j` and may use them to choose one mask :math:`M_j[k, t]` per source; the
estimate is the inverse STFT of :math:`M_j X`. A separator that must estimate the masks can hardly do better with the
same rule on the same STFT. The masks of the sources add up to one, so the estimates add up to the mixture. Shown in
`audio_processing/spectrogram_limits.ipynb`.

References
----------
.. [1] Wang, "On ideal binary mask as the computational goal of auditory scene analysis", in Speech Separation by Humans
       and Machines, 2005, doi:10.1007/0-387-22794-6_12.
.. [2] Liutkus & Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015,
       doi:10.1109/ICASSP.2015.7177973.
.. [3] Duong, Vincent & Gribonval, "Under-determined reverberant audio source separation using a full-rank spatial
       covariance model", IEEE TASLP 18(7), 2010, doi:10.1109/TASL.2010.2050716.
.. [4] Erdogan, Hershey, Watanabe & Le Roux, "Phase-sensitive and recognition-boosted speech separation using deep
       recurrent neural networks", ICASSP 2015, doi:10.1109/ICASSP.2015.7178061.
"""

import functools

import numpy as np
import scipy.fft

from audio_processing.audio_processing import fix_length, istft, resample, stft
from common.checks import expect

HOP_SECONDS = 0.0232  # hop of the masks of `masked_channels`, whose windows are four hops: 4,096 samples at 44.1 kHz
QUIET = 1e-9  # added to magnitudes before they are divided, so that silence is shared equally


def ratio_masks(magnitudes, power=1):
    r"""Give each source its share of every bin.

    .. math:: M_j[k, t] = \frac{|S_j[k, t]|^p}{\sum_i |S_i[k, t]|^p}

    Parameters
    ----------
    magnitudes : dict of str to np.ndarray, real, at least 0, all of one shape
    power : float
        the exponent p, above 0: 1 shares by magnitude, 2 by power (the Wiener filter of one channel); large powers
        approach the binary mask.

    Returns
    -------
    dict of str to np.ndarray
        masks from 0 to 1 that add up to 1; equal in bins in which every source is silent.
    """
    expect(power > 0, "power", "a number above 0", power)
    loudest = functools.reduce(np.maximum, magnitudes.values())
    audible = loudest > 0
    if power != 1:  # relative to the loudest, no power leaves the range of the numbers
        safe = np.where(audible, loudest, 1)
        magnitudes = {source: (value / safe) ** power for source, value in magnitudes.items()}
    safe = np.where(audible, sum(magnitudes.values()), 1)
    share = safe.dtype.type(1 / len(magnitudes))
    return {source: np.where(audible, value / safe, share) for source, value in magnitudes.items()}


def wiener_masks(spectra, power=1.0, floor=QUIET, axis=0):
    r"""Give each source its share of every bin, as `ratio_masks` does, for spectra in one array.

    .. math:: M_j = \frac{(|S_j| + \epsilon)^p}{\sum_i (|S_i| + \epsilon)^p}

    Parameters
    ----------
    spectra : np.ndarray, real, at least 0
        magnitudes of all sources.
    power : float
        the exponent p.
    floor : float
        what :math:`\epsilon` is: at 0, a bin in which all sources are silent has no masks.
    axis : int
        along which the sources lie.

    Returns
    -------
    np.ndarray
        masks of the shape of `spectra` that add up to 1.
    """
    raised = (spectra + floor) ** power
    return raised / raised.sum(axis=axis, keepdims=True)


def binary_masks(magnitudes):
    """Give every bin to the loudest source alone, the first of equally loud ones.

    Parameters
    ----------
    magnitudes : dict of str to np.ndarray, real, all of one shape

    Returns
    -------
    dict of str to np.ndarray
        masks of zeros and ones that add up to 1, of the dtype of the magnitudes.
    """
    winner = np.argmax(np.stack(list(magnitudes.values())), axis=0)
    return {source: (winner == j).astype(value.dtype) for j, (source, value) in enumerate(magnitudes.items())}


def irm(stems, *, n_fft=1024, hop_length=256, power=1, mixture=None):
    """Separate with the ideal ratio mask, computed for each channel by itself.

    Parameters
    ----------
    stems : dict of str to np.ndarray, (..., samples)
        the true sources, all of one shape.
    n_fft, hop_length : int
        of the STFT, in samples.
    power : float
        1 for magnitudes, 2 for power spectra; see `ratio_masks`.
    mixture : np.ndarray, (..., samples), optional
        what is separated; the sum of the stems if None.

    Returns
    -------
    dict of str to np.ndarray, (..., samples)
        estimates that add up to the mixture.

    Raises
    ------
    ValueError
        if a stem is empty, not finite or of another shape than the first one, or the STFT sizes allow no inverse.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> estimates = irm({"drums": rng.normal(size=999), "bass": np.zeros(999)})
    >>> float(np.abs(estimates["bass"]).max())
    0.0
    """
    return _filter(stems, mixture, n_fft, hop_length, lambda spectra, _: ratio_masks(_magnitudes(spectra), power))


def ibm(stems, *, n_fft=1024, hop_length=256, threshold=None, mixture=None):
    """Separate with the ideal binary mask [1]_. Other arguments and the result as for `irm`.

    Parameters
    ----------
    threshold : float, optional
        if given, a source gets each bin in which it has at least this share of the mixture's magnitude: the
        rule of the SiSEC evaluations, with 0.5. Several sources may then have a bin, or none, and the estimates need
        not add up.
    """

    def masks_of(spectra, mixed):
        magnitudes = _magnitudes(spectra)
        if threshold is None:
            return binary_masks(magnitudes)
        least = threshold * np.abs(mixed)
        return {source: ((value > 0) & (value >= least)).astype(value.dtype) for source, value in magnitudes.items()}

    return _filter(stems, mixture, n_fft, hop_length, masks_of)


def psm(stems, *, n_fft=1024, hop_length=256, limits=(0.0, 1.0), mixture=None):
    r"""Separate with the phase-sensitive mask: the real mask that brings each bin nearest to the true one [4]_.

    .. math:: M_j = \operatorname{Re}\frac{S_j}{X} = \frac{|S_j|}{|X|} \cos(\varphi_{S_j} - \varphi_X)

    What is left, :math:`|S_j| \sin(\varphi_{S_j} - \varphi_X)`, no real mask can reach. Other arguments and the result
    as for `irm`.

    Parameters
    ----------
    limits : (float, float) or None
        the mask is cut to this range; within (0, 1) it is the best of all masks of that range. With None it is not cut,
        and the masks add up to 1.
    """

    def masks_of(spectra, mixed):
        power = np.abs(mixed) ** 2
        safe = np.where(power > 0, power, 1)
        real = {source: (spectrum * mixed.conj()).real / safe for source, spectrum in spectra.items()}
        return real if limits is None else {source: np.clip(mask, *limits) for source, mask in real.items()}

    return _filter(stems, mixture, n_fft, hop_length, masks_of)


def mwf(stems, *, n_fft=1024, hop_length=256, mixture=None):
    r"""Separate with the multichannel Wiener filter: the mask is a matrix over the channels.

    Source j is a Gaussian vector with covariance :math:`v_j[k, t]\,R_j[k]`, a power spectrum times a spatial
    covariance, both fitted to the true stem by one round of alternating maximum likelihood: :math:`v_j` starts as the
    mean power of the C channels, :math:`R_j` is the average over frames of :math:`S_j S_j^H / v_j`, and then
    :math:`v_j = \operatorname{tr}(R_j^{-1} S_j S_j^H) / C`. The estimate is

    .. math:: \hat S_j = v_j R_j \Big(\sum_i v_i R_i\Big)^{-1} X

    which for one channel is the ratio mask of power 2. Arguments and result as for `irm`, with stems of shape
    (samples,) or (channels, samples).

    Notes
    -----
    The model and its updates are those of Duong et al. 2010, with true stems in place of what EM infers [3]_. A small
    multiple of the identity, the same for every source, keeps the inverses finite where channels are equal or silent,
    and the sum of the filters at 1.
    """
    stems, mixture = checked(stems, mixture)
    expect(mixture.ndim <= 2, "stems", "shape (samples,) or (channels, samples)", mixture.shape)
    mixed = stft(np.atleast_2d(mixture), n_fft, hop_length)  # (channels, frequencies, frames)
    spectra = np.stack([stft(np.atleast_2d(stem), n_fft, hop_length) for stem in stems.values()])
    estimates = np.empty_like(spectra)  # (sources, channels, frequencies, frames)
    step = max(1, 2**18 // (mixed.shape[-1] * mixed.shape[0] ** 2))  # frequencies at a time
    for start in range(0, mixed.shape[-2], step):
        part = slice(start, start + step)
        estimates[..., part, :] = _wiener(spectra[..., part, :], mixed[..., part, :])
    return {
        source: istft(estimate, hop_length, length=mixture.shape[-1]).reshape(mixture.shape)
        for source, estimate in zip(stems, estimates)
    }


def _wiener(spectra, mixed):
    """Filter (channels, F, T) into (sources, channels, F, T) with covariances of the true (sources, channels, F, T)."""
    sources, channels = spectra.shape[:2]
    true = np.moveaxis(spectra.astype(np.complex128), 1, -1)  # (sources, F, T, channels)
    observed = np.moveaxis(mixed.astype(np.complex128), 0, -1)[..., None]  # (F, T, channels, 1)
    identity = np.eye(channels)
    power = np.mean(np.abs(true) ** 2, axis=-1)  # (sources, F, T)
    audible = power > 0
    direction = true / np.sqrt(np.where(audible, power, 1))[..., None]
    spatial = np.einsum("jftc,jftd->jfcd", direction, direction.conj())
    spatial /= np.maximum(audible.sum(axis=-1), 1)[..., None, None]  # trace = channels
    spatial += 1e-9 * identity  # equal channels have no inverse
    inverse = np.linalg.inv(spatial)
    scale = np.einsum("jftc,jfcd,jftd->jft", true.conj(), inverse, true, optimize=True).real / channels
    # (sources, F, T, channels, channels), the power spectrum times the spatial covariance
    covariance = scale[..., None, None] * spatial[:, :, None]
    total = covariance.sum(axis=0)
    level = np.trace(total, axis1=-2, axis2=-1).real[..., None, None]
    floor = np.where(level > 0, 1e-9 * level, 1) / sources * identity
    whitened = np.linalg.solve(total + sources * floor, observed)  # (F, T, channels, 1)
    return np.moveaxis(((covariance + floor) @ whitened)[..., 0], -1, 1)


def _filter(stems, mixture, n_fft, hop_length, masks_of):
    """Multiply the mixture's STFT, channel by channel, by `masks_of(spectra of the stems, spectrum of the mixture)`."""
    stems, mixture = checked(stems, mixture)
    mixed = stft(mixture, n_fft, hop_length)
    masks = masks_of({source: stft(stem, n_fft, hop_length) for source, stem in stems.items()}, mixed)
    return {source: istft(mask * mixed, hop_length, length=mixture.shape[-1]) for source, mask in masks.items()}


def _magnitudes(spectra):
    return {source: np.abs(spectrum) for source, spectrum in spectra.items()}


def checked(stems, mixture=None):
    """Return the stems as finite arrays of one shape, and the mixture (their sum if None).

    Raises
    ------
    ValueError
        if a stem is empty, not finite or of another shape than the first one.
    """
    expect(stems, "stems", "at least one source", "none")
    stems = {source: np.asarray(stem) for source, stem in stems.items()}
    named = {f"stems[{source!r}]": stem for source, stem in stems.items()}
    if mixture is not None:
        named["mixture"] = mixture = np.asarray(mixture)
    first, shape = next((name, stem.shape) for name, stem in named.items())
    for name, audio in named.items():
        expect(audio.ndim and audio.shape[-1], name, "at least one sample", f"shape {audio.shape}")
        expect(audio.shape == shape, name, f"the shape {shape} of {first}", audio.shape)
        expect(np.isfinite(audio).all(), name, "finite samples", "NaN or infinity")
    return stems, sum(stems.values()) if mixture is None else mixture


def masked_channels(channels, parts, sample_rate, band_rate, parts_rate=None, keep=None):
    """Divide a song's own channels among parts that were separated in mono and in a lower band.

    Every channel gets the parts as they are. The rest of a channel, which is all above the band and its difference from
    the other channels below, is divided bin by bin: below in proportion to the parts' powers there, above, frame by
    frame, to their magnitudes in the highest quarter of the band.

    Parameters
    ----------
    channels : np.ndarray, (channels, samples)
        at `sample_rate`.
    parts : np.ndarray, (parts, samples)
        at `parts_rate`, nothing above band_rate / 2.
    sample_rate, band_rate : int
        in Hz.
    parts_rate : int, optional
        in Hz; `sample_rate` if None.
    keep : int, optional
        return only so many of the parts, from the first.

    Returns
    -------
    np.ndarray, (parts, channels, samples)
        which add up to `channels`.
    """
    length = channels.shape[-1]
    parts = fix_length(resample(parts, parts_rate or sample_rate, sample_rate), length).astype(np.float32, copy=False)
    hop = scipy.fft.next_fast_len(max(1, round(HOP_SECONDS * sample_rate)))  # in windows of four hops
    left = stft(channels.astype(np.float32, copy=False) - parts.sum(axis=0), 4 * hop, hop)
    masks = np.stack([np.abs(stft(part, 4 * hop, hop)) for part in parts])  # (parts, frequencies, frames)
    top = min(masks.shape[1], int(0.45 * band_rate / sample_rate * 4 * hop))  # 7.2 kHz of 8: filters end above
    upper = np.sqrt(np.sum(np.square(masks[:, 3 * top // 4 : top]), axis=1)) + QUIET  # (parts, frames)
    masks[:, top:] = upper[:, None]
    masks[:, :top] = np.square(masks[:, :top]) + QUIET
    masks /= masks.sum(axis=0)
    stems = np.empty((len(masks[:keep]), *channels.shape), np.float32)
    for stem, part, mask in zip(stems, parts, masks):  # one at a time: spectra are larger than sounds
        stem[:] = part + istft(mask * left, hop, length=length)
    return stems
