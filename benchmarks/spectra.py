"""The short-time Fourier transform and median filters at 44.1 kHz, 2048/512, float32, against librosa."""

from functools import partial

import librosa
import numpy as np

from audio_processing import audio_processing
from benchmarks.timing import largest_error, record
from mss_basic_implementation.hps import masks

RATE, SECONDS = 44100, 60
KERNELS = (31, 11, 61, 101, 201)
"""Lengths of the median filters; the first is librosa's default, and has the whole minute."""


def minute():
    """A minute of decaying tones over noise, a different one every half second: float32, (samples,)."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE * SECONDS) / RATE
    pitch = np.repeat(110 * 2 ** (rng.integers(0, 36, 2 * SECONDS) / 12), RATE // 2)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-6 * (time % 0.5))
    return (0.3 * tone + 0.03 * rng.normal(size=time.size)).astype(np.float32)


def stft_istft():
    """A minute to its spectrogram and back; the error is that of the spectrograms or of the sounds."""
    audio = minute()

    def there_and_back(of):
        return of.istft(of.stft(audio), length=audio.size)

    ours, peer = partial(there_and_back, audio_processing), partial(there_and_back, librosa)
    error = max(largest_error([audio_processing.stft(audio)], [librosa.stft(audio)]), largest_error([ours()], [peer()]))
    yield record("stft_istft", ours, "librosa.stft + librosa.istft", peer, max_error=error, repeats=15)


def hpss_masks():
    """Soft harmonic-percussive masks: a minute at kernel 31, 10 s at the others."""
    audio = minute()
    for kernel in KERNELS:
        plain = kernel == KERNELS[0]
        magnitude = np.abs(audio_processing.stft(audio if plain else audio[: 10 * RATE]))
        yield record(
            "hpss_masks" + ("" if plain else f"@kernel{kernel}"),
            partial(masks, magnitude, kernel=kernel),
            "librosa.decompose.hpss",
            partial(librosa.decompose.hpss, magnitude, kernel_size=kernel, mask=True),
            repeats=5,
        )
