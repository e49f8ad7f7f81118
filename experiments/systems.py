"""What is compared: floors, ceilings that know the true stems, and separators that hear only the mixture.

Every system is a function of (mixture, stems, sample rate) that returns estimates as a dict. Only a ceiling may look at
the stems.
"""

from functools import partial

from audio_processing import masks
from separate import SEPARATORS, separate


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


def _separator(name):
    def system(mixture, stems, sample_rate):
        return separate(mixture, sample_rate, name)

    system.__doc__ = f"The separator {name!r} of separate.py."
    return system


SYSTEMS = {
    "mixture": mixture_as_estimate,
    "ibm": _oracle(masks.ibm, "ideal binary mask"),
    "ibm@sisec": ibm_as_in_sisec,
    "irm": _oracle(masks.irm, "ideal ratio mask of magnitudes"),
    "irm@power": _oracle(partial(masks.irm, power=2), "ideal ratio mask of powers"),
    "mwf": _oracle(masks.mwf, "multichannel Wiener filter with the true spectra and covariances"),
    **{name: _separator(name) for name in SEPARATORS},
}
