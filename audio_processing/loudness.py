"""Loudness in frames: 250 per second, frame k centred on k / 250 s, as for every annotation of a song.

FFT frames are centred, with zeros before the first sample and after the last, so that all quantities line up.

Notebook: virtual_band/dataset_report.ipynb
"""

import librosa
import numpy as np

from audio_processing.audio_processing import resample, stft

FRAME_RATE = 250
LOUDNESS_RATE = 16000  # Hz
LOUDNESS_FFT = 512
LOUDNESS_FLOOR = -80.0  # dB


def frame_times(n_samples, sample_rate):
    """Centres of a signal's frames.

    Parameters
    ----------
    n_samples : int
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, (frames,)
        in seconds: k / 250 for every k that lies within the signal.

    Examples
    --------
    >>> frame_times(1000, sample_rate=44100)
    array([0.   , 0.004, 0.008, 0.012, 0.016])
    """
    return np.arange(int(n_samples * FRAME_RATE // sample_rate)) / FRAME_RATE


def a_weights(sample_rate, n_fft):
    """Weights of power by the A-curve, (n_fft / 2 + 1,). librosa floors the curve at -80 dB, 0 Hz included."""
    with np.errstate(divide="ignore"):  # the curve's logarithm at 0 Hz
        return 10.0 ** (librosa.A_weighting(librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft)) / 10.0)


def loudness(audio, sample_rate):
    """Loudness as DDSP defines it (Engel et al. 2020): A-weighted power, mean over frequency, in dB.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz; the signal is resampled to 16 kHz first.

    Returns
    -------
    np.ndarray, float32, (frames,)
        in dB, not below -80; frame k is centred on k / 250 s.

    See Also
    --------
    ddsp_models.loudness : the same for batches, with a gradient.

    Examples
    --------
    >>> loudness(np.zeros(1600), sample_rate=16000)[:3]
    array([-80., -80., -80.], dtype=float32)
    """
    frames = frame_times(audio.shape[-1], sample_rate).size
    audio = resample(np.asarray(audio, dtype=np.float32), sample_rate, LOUDNESS_RATE)
    spectrum = stft(audio, LOUDNESS_FFT, LOUDNESS_RATE // FRAME_RATE)  # (frequencies, frames)
    power = np.mean(a_weights(LOUDNESS_RATE, LOUDNESS_FFT)[:, None] * np.abs(spectrum) ** 2, axis=0)
    decibels = 10.0 * np.log10(np.maximum(power, 10.0 ** (LOUDNESS_FLOOR / 10.0)))
    return decibels[:frames].astype(np.float32)
