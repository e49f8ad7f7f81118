"""How systems estimate stems: from the mixture alone, given the true stems (oracles), or given the true f0."""

from functools import partial

import numpy as np

from audio_processing import masks
from audio_processing.audio_processing import fix_length
from separate import separate, separator

WIDE = (4096, 128)  # STFT size and hop of the DDSP masks, in samples


def estimates(system, mixture, stems, sample_rate, annotations=None):
    """What a system estimates.

    Parameters
    ----------
    system : separate.System
    mixture : np.ndarray, (samples,) or (channels, samples)
    stems : dict of np.ndarray
        the true ones, each shaped like `mixture`; only oracles read them.
    sample_rate : int
        in Hz.
    annotations : dict of np.ndarray, optional
        of the song; only systems that are given the true f0 read them.

    Returns
    -------
    dict of np.ndarray
    """
    if system.estimate:
        return system.estimate(mixture, stems, sample_rate)
    if system.true_f0_of:
        return given_true_f0(system.true_f0_of, mixture, sample_rate, annotations or {})
    return separate(mixture, sample_rate, system.name)


def mixture_as_estimate(mixture, stems, sample_rate):
    """Baseline: the unprocessed mixture as the estimate of every source."""
    return {source: mixture for source in stems}


def stft_sizes(sample_rate):
    """STFT size and hop of oracles, in samples: 1024/256 up to 16 kHz, 2048/512 above."""
    return (1024, 256) if sample_rate <= 16000 else (2048, 512)


def oracle(mask, *sizes):
    """An oracle by one of `audio_processing.masks`, with an STFT of these sizes, by default those of `stft_sizes`."""
    return partial(_by_mask, mask, sizes)


def _by_mask(mask, sizes, mixture, stems, sample_rate):
    n_fft, hop_length = sizes or stft_sizes(sample_rate)
    return mask(stems, n_fft=n_fft, hop_length=hop_length, mixture=mixture)


def ibm_as_in_sisec(mixture, stems, sample_rate):
    """The binary mask of SiSEC 2018: a bin for all sources with half of the mixture's magnitude, hop n_fft / 2."""
    n_fft, _ = stft_sizes(sample_rate)
    return masks.ibm(stems, mixture=mixture, threshold=0.5, n_fft=n_fft, hop_length=n_fft // 2)


def given_true_f0(name, mixture, sample_rate, annotations):
    """The stems of a masked separator that is given the annotated f0 of the song.

    Raises
    ------
    ValueError
        if the mixture is not mono at the sample rate of the network, or the song has no annotation of an f0.
    """
    from ddsp_models.separation.separators import true_f0  # with Keras, which only some systems need

    masked = separator(name)
    config = masked.model.sizes
    if np.ndim(mixture) != 1 or sample_rate != config.sample_rate:
        raise ValueError(
            f"mixture: expected mono at {config.sample_rate} Hz for {name} with the true f0, "
            f"got {np.ndim(mixture)} axes at {sample_rate} Hz"
        )
    whole = fix_length(mixture, -(-len(mixture) // config.hop) * config.hop)
    stems = masked.analyse(whole, true_f0(annotations, config, len(whole)))["stems"]
    return dict(zip(config.sources, stems[:, : len(mixture)]))
