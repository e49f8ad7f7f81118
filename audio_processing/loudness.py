"""Loudness in frames: 250 per second, frame k centred on k / 250 s, as for every annotation of a song.

FFT frames are centred, with zeros before the first sample and after the last, so that all quantities line up.
"""

import librosa
import numpy as np

from audio_processing.audio_processing import resample, stft

FRAME_RATE = 250
LOUDNESS_RATE = 16000  # Hz
LOUDNESS_FFT = 512
LOUDNESS_FLOOR = -80.0  # dB


def frame_times(n_samples, sample_rate):
    """Centres of the frames of a signal, in seconds: k / 250 for every k that lies within it.

    Returns
    -------
    np.ndarray, shape (frames,)
    """
    return np.arange(int(n_samples * FRAME_RATE // sample_rate)) / FRAME_RATE


def loudness(audio, sample_rate):
    """Loudness as DDSP defines it (Engel et al. 2020): A-weighted power, mean over frequency, in dB.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,)
    sample_rate : int
        Hz; the signal is resampled to 16 kHz first.

    Returns
    -------
    np.ndarray, shape (frames,), float32
        dB, not below -80; frame k is centred on k / 250 s.
    """
    frames = frame_times(audio.shape[-1], sample_rate).size
    audio = resample(np.asarray(audio, dtype=np.float32), sample_rate, LOUDNESS_RATE)
    spectrum = stft(audio, LOUDNESS_FFT, LOUDNESS_RATE // FRAME_RATE)  # (frequencies, frames)
    frequency = librosa.fft_frequencies(sr=LOUDNESS_RATE, n_fft=LOUDNESS_FFT)
    with np.errstate(divide="ignore"):  # 0 Hz weighs nothing: -inf dB, floored at -80
        weight = 10.0 ** (librosa.A_weighting(frequency) / 10.0)
    power = np.mean(weight[:, None] * np.abs(spectrum) ** 2, axis=0)
    decibels = 10.0 * np.log10(np.maximum(power, 10.0 ** (LOUDNESS_FLOOR / 10.0)))
    return decibels[:frames].astype(np.float32)
