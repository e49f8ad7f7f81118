"""What is compared: floors, ceilings that know the true stems, and separators that hear only the mixture.

Every system is a function of (mixture, stems, sample rate) that returns estimates as a dict. Only a ceiling may look at
the stems.
"""

from audio_processing import masks
from separate import SEPARATORS, separate


def mixture_as_estimate(mixture, stems, sample_rate):
    """The floor: the mixture itself, offered as every stem, at its own level."""
    return {source: mixture for source in stems}


def irm(mixture, stems, sample_rate):
    """A ceiling: the ideal ratio mask of magnitudes, STFT 1024/256 up to 16 kHz, 2048/512 above."""
    n_fft, hop_length = (1024, 256) if sample_rate <= 16000 else (2048, 512)
    return masks.irm(stems, n_fft=n_fft, hop_length=hop_length, mixture=mixture)


def _separator(name):
    def system(mixture, stems, sample_rate):
        return separate(mixture, sample_rate, name)

    system.__doc__ = f"The separator {name!r} of separate.py."
    return system


SYSTEMS = {
    "mixture": mixture_as_estimate,
    "irm": irm,
    **{name: _separator(name) for name in SEPARATORS},
}
