"""Soft harmonic-percussive masks at 44.1 kHz, 2048/512, against librosa: a minute at kernel 31, 10 s at the others."""

import librosa
import numpy as np

from audio_processing.audio_processing import stft
from benchmarks.stft_istft import RATE, minute
from benchmarks.timing import record
from mss_basic_implementation.hps import masks

KERNELS = (31, 11, 61, 101, 201)


def run():
    """A record for each kernel; 31, librosa's default, has the minute and the benchmark's plain name."""
    audio = minute()
    return [compare(kernel, audio if kernel == 31 else audio[: 10 * RATE]) for kernel in KERNELS]


def compare(kernel, audio):
    """The record of one kernel."""
    magnitude = np.abs(stft(audio))

    def ours():
        return masks(magnitude, kernel=kernel)

    def peer():
        return librosa.decompose.hpss(magnitude, kernel_size=kernel, mask=True)

    error = max(np.abs(one - other).max() for one, other in zip(ours(), peer()))
    name = "hpss_masks" if kernel == 31 else f"hpss_masks@kernel{kernel}"
    return record(name, ours, peer, peer_name="librosa.decompose.hpss", max_error=error, repeats=5)
