"""Soft harmonic-percussive masks of a minute at 44.1 kHz, 2048/512, against librosa, for several filter lengths."""

import librosa
import numpy as np

from audio_processing.audio_processing import stft
from benchmarks.stft_istft import minute
from benchmarks.timing import record
from mss_basic_implementation.hps import masks

KERNELS = (11, 31, 61, 101, 201)


def run():
    """A record for each kernel; 31, librosa's default, carries the benchmark's plain name."""
    magnitude = np.abs(stft(minute()))
    records = []
    for kernel in KERNELS:

        def ours(kernel=kernel):
            return masks(magnitude, kernel=kernel)

        def peer(kernel=kernel):
            return librosa.decompose.hpss(magnitude, kernel_size=kernel, mask=True)

        error = max(np.abs(one - other).max() for one, other in zip(ours(), peer()))
        name = "hpss_masks" if kernel == 31 else f"hpss_masks@kernel{kernel}"
        repeats = 7 if kernel == 31 else 1 if kernel > 100 else 3
        records.append(record(name, ours, peer, peer_name="librosa.decompose.hpss", max_error=error, repeats=repeats))
    return records
