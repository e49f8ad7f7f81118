"""From a sound file to a spectrogram and back: load, save, resample, STFT, inverse STFT, decibels.

Arrays follow librosa's convention: the last axis is time, a spectrogram is (..., frequencies, frames).

Notebook: audio_processing/spectrogram_report.ipynb
"""

import math
import sys
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import soundfile
import soxr

from audio_processing.sound_files import BLOCK, AudioError, open_audio
from common.checks import expect
from common.files import atomic_path

CACHED = 2**18
"""Samples that are transformed at a time: they stay in the processor's cache."""


def load(path, *, sample_rate=None, mono=False):
    """Read a sound file.

    Parameters
    ----------
    path : str or Path
        wav, flac, ogg or mp3, or a format that `open_audio` decodes with ffmpeg; any sample rate, any number of
        channels.
    sample_rate : int, optional
        resample to this rate in Hz; keep the file's own rate if None.
    mono : bool
        average the channels.

    Returns
    -------
    audio : np.ndarray, float32, (channels, samples), or (samples,) if `mono`
        full scale is [-1, 1].
    sample_rate : int
        in Hz.

    Raises
    ------
    AudioError
        if the file is missing, empty, not audio, zero samples long, damaged, or holds no finite sample.

    See Also
    --------
    save : writes a sound file.
    tracks.tracks : the songs of a dataset.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(f"{folder}/tone.wav", np.sin(np.arange(44100) / 10), 44100)
    ...     audio, sample_rate = load(f"{folder}/tone.wav", sample_rate=16000, mono=True)
    >>> audio.shape, sample_rate
    ((16000,), 16000)
    """
    with open_audio(path) as sound:
        rate, blocks = sound.samplerate, []
        while (block := sound.read(BLOCK)).shape[-1]:  # (channels, samples)
            blocks.append(block)
        audio = np.concatenate(blocks, axis=-1)
        for note in sound.notes:
            print(note, file=sys.stderr)
    if not np.isfinite(audio).any():
        raise AudioError(f"{path}: every sample is NaN or infinite")
    to_rate = rate if sample_rate is None else sample_rate
    return np.ascontiguousarray(resample(to_mono(audio) if mono else audio, rate, to_rate)), to_rate


def save(path, audio, sample_rate, *, subtype="FLOAT"):
    """Write a sound file under a temporary name and rename it when it is complete.

    Parameters
    ----------
    path : str or Path
        its ending chooses the format: .wav, .flac, .ogg, .mp3.
    audio : np.ndarray, (samples,) or (channels, samples)
    sample_rate : int
        in Hz.
    subtype : str
        libsndfile's name of the sample format. 32-bit float keeps samples beyond full scale; it exists for wav alone.

    See Also
    --------
    load : reads it again, with an example.
    """
    with atomic_path(path) as temporary:
        subtype = subtype if Path(path).suffix.lower() == ".wav" else None
        soundfile.write(temporary, np.asarray(audio).T, sample_rate, subtype=subtype)


def to_mono(audio):
    """Average the channels: (channels, samples) → (samples,). A mono array stays as it is.

    Examples
    --------
    >>> to_mono([[1.0, 0.0], [0.0, 0.0]])
    array([0.5, 0. ])
    """
    audio = np.asarray(audio)
    return audio if audio.ndim == 1 else audio.mean(axis=-2)


def resample(audio, from_rate, to_rate):
    """Change the sample rate (polyphase filters of the soxr library, its high-quality setting).

    Parameters
    ----------
    audio : np.ndarray, (..., samples)
    from_rate, to_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, (..., round(samples · to_rate / from_rate))
        at least one sample long; of the dtype of `audio`.

    See Also
    --------
    resampled_length : the number of samples alone.

    Examples
    --------
    >>> resample(np.zeros((2, 44100)), 44100, 16000).shape
    (2, 16000)
    """
    audio = np.asarray(audio)
    if from_rate == to_rate:
        return audio
    length = resampled_length(audio.shape[-1], from_rate, to_rate)
    rows = audio.reshape(-1, audio.shape[-1])
    flat = np.stack([soxr.resample(np.ascontiguousarray(row), from_rate, to_rate) for row in rows])
    return fix_length(flat, length).reshape(*audio.shape[:-1], length)


def resampled_length(samples, from_rate, to_rate):
    """The number of samples that `resample` returns for `samples` at `from_rate`."""
    return max(1, round(samples * to_rate / from_rate))


def fix_length(audio, length):
    """Cut the last axis to `length` samples, or pad it with zeros."""
    audio = audio[..., :length]
    missing = length - audio.shape[-1]
    return audio if missing == 0 else np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, missing)])


def window(name, length):
    """Sample a window: periodic, so that shifted copies add up evenly (`scipy.signal.get_window`)."""
    return scipy.signal.get_window(name, length, fftbins=True)


def stft(audio, n_fft=2048, hop_length=512, *, window_name="hann"):
    r"""Short-time Fourier transform, frames centred on multiples of the hop.

    .. math:: X[k, t] = \sum_{n=0}^{N-1} w[n]\, x[n + tH - N/2]\, e^{-2\pi i k n / N}

    with :math:`N` = n_fft, :math:`H` = hop_length and zeros outside the signal, as in `librosa.stft`.

    Parameters
    ----------
    audio : np.ndarray, (..., samples)
        float32 gives complex64; any other type is computed as float64 and gives complex128.
    n_fft : int
        window and transform length in samples; even.
    hop_length : int
        samples from frame to frame, from 1 to n_fft / 2.
    window_name : str
        a window of `scipy.signal.get_window`.

    Returns
    -------
    np.ndarray, complex, (..., 1 + n_fft // 2, 1 + samples // hop_length)

    Raises
    ------
    ValueError
        if the signal is empty or not finite, or the sizes do not allow an inverse.

    See Also
    --------
    istft : the inverse.
    amplitude_to_db : the logarithm of its magnitudes.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)  # 1 kHz, one second
    >>> spectrum = stft(tone, n_fft=1024, hop_length=256)
    >>> spectrum.shape  # (frequencies, frames)
    (513, 63)
    >>> int(np.abs(spectrum[:, 30]).argmax())  # bin 64 is at 64 · 16000 / 1024 = 1000 Hz
    64
    """
    _check_sizes(n_fft, hop_length)
    audio = np.asarray(audio)
    audio = audio.astype(np.float32 if audio.dtype == np.float32 else np.float64, copy=False)
    expect(audio.ndim and audio.shape[-1], "audio", "at least one sample", f"shape {audio.shape}")
    expect(np.isfinite(audio).all(), "audio", "finite samples", "NaN or infinity (numpy.nan_to_num replaces them)")
    half = n_fft // 2
    padded = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(half, half)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[..., ::hop_length, :]
    weights = window(window_name, n_fft).astype(audio.dtype)
    n_frames = frames.shape[-2]
    dtype = np.complex64 if audio.dtype == np.float32 else np.complex128
    spectrum = np.empty((*audio.shape[:-1], n_frames, 1 + half), dtype)  # (..., frames, frequencies)
    block = max(1, CACHED // n_fft)  # frames at a time
    for start in range(0, n_frames, block):
        part = slice(start, start + block)
        spectrum[..., part, :] = scipy.fft.rfft(frames[..., part, :] * weights, axis=-1, overwrite_x=True)
    return np.swapaxes(spectrum, -1, -2)  # (..., frequencies, frames)


def istft(spectrum, hop_length=512, *, length=None, window_name="hann"):
    r"""Inverse of `stft`: overlap-add, divided by the summed squared windows (Griffin & Lim 1984, eq. 6).

    .. math:: x[n] = \frac{\sum_t w[n - tH]\, y_t[n - tH]}{\sum_t w^2[n - tH]}

    Parameters
    ----------
    spectrum : np.ndarray, complex, (..., 1 + n_fft // 2, frames)
    hop_length : int
        the hop that `stft` used.
    length : int, optional
        samples to return; hop_length · (frames - 1) if None.
    window_name : str
        the window that `stft` used.

    Returns
    -------
    np.ndarray, (..., length)
        float32 for complex64, otherwise float64. With a Hann window and a hop of at most n_fft / 4 it equals the input
        of `stft` within 1e-6 of full scale, its last sample included; at a hop of n_fft / 2 only the end of one window
        covers the very last samples, and they need float64.

    See Also
    --------
    stft : the transform.

    Examples
    --------
    >>> audio = np.random.default_rng(0).uniform(-1, 1, 5000)
    >>> again = istft(stft(audio, 1024, 256), 256, length=5000)
    >>> bool(np.abs(again - audio).max() < 1e-12)
    True
    """
    n_fft = 2 * (spectrum.shape[-2] - 1)
    _check_sizes(n_fft, hop_length)
    *shape, _, n_frames = spectrum.shape
    real = np.float32 if spectrum.dtype == np.complex64 else np.float64
    weights = window(window_name, n_fft).astype(real)
    overlap = math.ceil(n_fft / hop_length)  # windows over one sample
    segments = n_frames + overlap - 1  # hops covered by all frames
    total = np.zeros((*shape, segments, hop_length), real)
    power = np.zeros((segments, hop_length), real)
    squares = fix_length(weights**2, overlap * hop_length).reshape(overlap, hop_length)
    for j in range(overlap):
        power[j : j + n_frames] += squares[j]
    by_frame = np.swapaxes(spectrum, -1, -2)  # (..., frames, frequencies)
    block = max(1, CACHED // n_fft)
    for start in range(0, n_frames, block):
        frames = scipy.fft.irfft(by_frame[..., start : start + block, :], n_fft, axis=-1)
        frames *= weights
        count = frames.shape[-2]
        pieces = fix_length(frames, overlap * hop_length).reshape(*shape, count, overlap, hop_length)
        for j in range(overlap):
            total[..., start + j : start + j + count, :] += pieces[..., j, :]
    total /= np.where(power > np.finfo(real).tiny, power, 1)
    signal = total.reshape(*shape, segments * hop_length)[..., n_fft // 2 :]
    return np.ascontiguousarray(fix_length(signal, hop_length * (n_frames - 1) if length is None else length))


def _check_sizes(n_fft, hop_length):
    expect(n_fft >= 2 and n_fft % 2 == 0, "n_fft", "an even number of at least 2", n_fft)
    expect(1 <= hop_length <= n_fft // 2, "hop_length", f"between 1 and n_fft / 2 = {n_fft // 2}", hop_length)


def amplitude_to_db(amplitude, *, reference=1.0, floor=-100.0):
    """20·log10(amplitude / reference), never below `floor` dB; silence gives the floor, not -inf.

    Examples
    --------
    >>> amplitude_to_db([1.0, 0.1, 0.0])
    array([   0.,  -20., -100.])
    """
    return 20 * np.log10(np.maximum(np.abs(amplitude) / reference, 10 ** (floor / 20)))
