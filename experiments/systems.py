"""What is compared: floors, ceilings that know the true stems, and separators that hear only the mixture.

Every system is a function of (mixture, stems, sample rate) that returns estimates as a dict. Only a ceiling may look at
the stems. Those of `TOLD_PITCH` get the song's annotations as a fourth argument.
"""

from functools import partial

import numpy as np

from audio_processing import masks
from audio_processing.audio_processing import fix_length
from separate import SEPARATORS, separate, separator


def mixture_as_estimate(mixture, stems, sample_rate):
    """The floor: the mixture itself, offered as every stem, at its own level."""
    return {source: mixture for source in stems}


def sizes(sample_rate):
    """STFT sizes of the ceilings: (n_fft, hop length), 1024/256 up to 16 kHz, 2048/512 above."""
    return (1024, 256) if sample_rate <= 16000 else (2048, 512)


def _oracle(mask, words):
    def system(mixture, stems, sample_rate):
        n_fft, hop_length = sizes(sample_rate)
        return mask(stems, n_fft=n_fft, hop_length=hop_length, mixture=mixture)

    system.__doc__ = f"A ceiling: the {words}, STFT 1024/256 up to 16 kHz, 2048/512 above."
    return system


def ibm_as_in_sisec(mixture, stems, sample_rate):
    """A ceiling: the binary mask of SiSEC 2018: a bin for all with half of the mixture's magnitude, hop n_fft / 2."""
    n_fft, _ = sizes(sample_rate)
    return masks.ibm(stems, mixture=mixture, threshold=0.5, n_fft=n_fft, hop_length=n_fft // 2)


def irm_as_wide(mixture, stems, sample_rate):
    """A ceiling: the ideal ratio mask of magnitudes with the window that the DDSP masks have, STFT 4096/128."""
    return masks.irm(stems, n_fft=4096, hop_length=128, mixture=mixture)


def irm_by_the_same_rule(mixture, stems, sample_rate):
    """A ceiling: the ideal ratio mask with the window and the exponent of the DDSP masks, STFT 4096/128, p = 1.6."""
    return masks.irm(stems, n_fft=4096, hop_length=128, power=1.6, mixture=mixture)


def psm_as_wide(mixture, stems, sample_rate):
    """A ceiling: the phase-sensitive mask with the window that the DDSP masks have, STFT 4096/128."""
    return masks.psm(stems, n_fft=4096, hop_length=128, mixture=mixture)


def _separator(name):
    def system(mixture, stems, sample_rate):
        return separate(mixture, sample_rate, name)

    system.__doc__ = f"The separator {name!r} of separate.py."
    return system


def _with_true_pitch(name):
    def system(mixture, stems, sample_rate, annotations):
        masked = separator(name)
        sizes = masked.model.sizes
        if np.ndim(mixture) != 1 or sample_rate != sizes.sample_rate:
            raise ValueError(f"mixture: mono at {sizes.sample_rate} Hz expected by {name} with the true pitch")
        if unknown := [s for s in sizes.pitched if f"f0_{s}" not in annotations]:
            raise ValueError(f"annotations: f0_{unknown[0]} expected by {name} with the true pitch, none found")
        whole = fix_length(mixture, -(-len(mixture) // sizes.hop) * sizes.hop)
        every = 250 * sizes.hop // sizes.sample_rate  # of the annotations' frames
        lines = [(annotations[f"f0_{s}"] * annotations[f"voiced_{s}"])[::every] for s in sizes.pitched]
        f0 = fix_length(np.stack(lines).astype(np.float32), len(whole) // sizes.hop + 1).T  # (frames, pitched)
        found = masked.analyse(whole, f0)["stems"][:, : len(mixture)]
        return dict(zip(sizes.sources, found))

    system.__doc__ = f"Oracle substitution: {name!r} is told the true pitch of every source."
    return system


TOLD_PITCH = {
    told: name
    for told, name in {
        "ddsp_masked@true_f0": "ddsp_masked",
        "ddsp_masked@refined_true_f0": "ddsp_masked@refined",
        "ddsp_masked@many_true_f0": "ddsp_masked@many",
    }.items()
    if name in SEPARATORS
}
"""Separators that are told the true pitch, by the name that they have then."""

SYSTEMS = {
    "mixture": mixture_as_estimate,
    "ibm": _oracle(masks.ibm, "ideal binary mask"),
    "ibm@sisec": ibm_as_in_sisec,
    "irm": _oracle(masks.irm, "ideal ratio mask of magnitudes"),
    "irm@4096": irm_as_wide,
    "irm@ddsp": irm_by_the_same_rule,
    "irm@power": _oracle(partial(masks.irm, power=2), "ideal ratio mask of powers"),
    "psm": _oracle(masks.psm, "phase-sensitive mask"),
    "psm@4096": psm_as_wide,
    "mwf": _oracle(masks.mwf, "multichannel Wiener filter with the true spectra and covariances"),
    **{name: _separator(name) for name in SEPARATORS},
    **{told: _with_true_pitch(name) for told, name in TOLD_PITCH.items()},
}
