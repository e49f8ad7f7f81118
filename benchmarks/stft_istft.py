"""STFT and its inverse of a minute at 44.1 kHz, 2048/512, float32, against librosa."""

import librosa
import numpy as np

from audio_processing.audio_processing import istft, stft
from benchmarks.timing import record

RATE, SECONDS = 44100, 60


def minute():
    """A minute of decaying tones over noise, a different one every half second: float32, (samples,)."""
    rng = np.random.default_rng(0)
    samples = RATE * SECONDS
    time = np.arange(samples) / RATE
    pitch = np.repeat(110 * 2 ** (rng.integers(0, 36, 2 * SECONDS) / 12), RATE // 2)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-6 * (time % 0.5))
    return (0.3 * tone + 0.03 * rng.normal(size=samples)).astype(np.float32)


def run():
    """One record: there and back."""
    audio = minute()

    def ours():
        return istft(stft(audio), length=audio.size)

    def peer():
        return librosa.istft(librosa.stft(audio), length=audio.size)

    spectra = stft(audio), librosa.stft(audio)
    error = max(np.abs(spectra[0] - spectra[1]).max() / np.abs(spectra[1]).max(), np.abs(ours() - peer()).max())
    del spectra
    name = "librosa.stft + librosa.istft"
    return [record("stft_istft", ours, peer, peer_name=name, max_error=error, repeats=15)]
