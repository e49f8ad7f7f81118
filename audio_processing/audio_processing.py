"""From a sound file to a spectrogram and back: load, save, resample, STFT, inverse STFT, decibels.

Arrays follow librosa's convention: the last axis is time, a spectrogram is (..., frequencies, frames).
"""

import math
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import soundfile
import soxr

from audio_processing.files import atomic_path


class AudioError(ValueError):
    """A sound file that cannot be used. The message is one line that names the file and the reason."""


def open_audio(path):
    """Open a sound file for reading in blocks (wav, flac, ogg, mp3: whatever libsndfile reads).

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    soundfile.SoundFile
        positioned at its first sample; close it, or use it in a `with` statement.

    Raises
    ------
    AudioError
        where the file is missing, a folder, empty, not audio, or holds no samples.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise AudioError(f"{path}: a folder, not a sound file")
        if path.exists() and not path.is_file():
            raise AudioError(f"{path}: not a regular file; save the sound to a file first")
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)")
    except OSError as error:  # a loop of links, a name too long, no permission on a parent
        raise AudioError(f"{path}: {error.strerror or error}") from error
    try:
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        if not _readable(path):
            raise AudioError(f"{path}: no permission to read it") from error
        raise AudioError(f"{path}: not a sound file that can be read (wav, flac, ogg or mp3 expected)") from error
    if len(sound) == 0:
        sound.close()
        raise AudioError(f"{path}: the sound is zero samples long")
    return sound


def _readable(path):
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def load(path, *, sample_rate=None, mono=False):
    """Read a sound file.

    Parameters
    ----------
    path : str or Path
        wav, flac, ogg or mp3, any sample rate, any number of channels.
    sample_rate : int, optional
        resample to this rate in Hz; the file's own rate where it is None.
    mono : bool
        average the channels.

    Returns
    -------
    audio : np.ndarray, float32, (channels, samples), or (samples,) where `mono`
        full scale is [-1, 1].
    sample_rate : int
        in Hz.

    Raises
    ------
    AudioError
        where the file is missing, empty, not audio, zero samples long, damaged, or holds no finite sample.

    Examples
    --------
    >>> audio, sample_rate = load("song.ogg", sample_rate=16000, mono=True)  # doctest: +SKIP
    """
    with open_audio(path) as sound:
        rate = sound.samplerate
        try:
            audio = sound.read(dtype="float32", always_2d=True).T  # (channels, samples)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: the sound is damaged ({error})") from error
    if audio.shape[-1] == 0:
        raise AudioError(f"{path}: the sound is zero samples long")
    if not np.isfinite(audio).any():
        raise AudioError(f"{path}: every sample is NaN or infinite")
    if mono:
        audio = to_mono(audio)
    if sample_rate is not None:
        audio = resample(audio, rate, sample_rate)
        rate = sample_rate
    return np.ascontiguousarray(audio), rate


def save(path, audio, sample_rate, *, subtype="FLOAT"):
    """Write a sound file under a temporary name and rename it when it is complete.

    Parameters
    ----------
    path : str or Path
        the ending chooses the format: .wav, .flac, .ogg, .mp3.
    audio : np.ndarray, (samples,) or (channels, samples)
    sample_rate : int
        in Hz.
    subtype : str
        libsndfile's name of the sample format. 32-bit float keeps samples beyond full scale; it exists for wav alone.
    """
    with atomic_path(path) as temporary:
        subtype = subtype if Path(path).suffix.lower() == ".wav" else None
        soundfile.write(temporary, np.asarray(audio).T, sample_rate, subtype=subtype)


def to_mono(audio):
    """Average the channels: (channels, samples) → (samples,). A mono array stays as it is."""
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
    """
    audio = np.asarray(audio)
    if from_rate == to_rate:
        return audio
    length = resampled_length(audio.shape[-1], from_rate, to_rate)
    flat = audio.reshape(-1, audio.shape[-1])
    flat = np.stack([soxr.resample(np.ascontiguousarray(row), from_rate, to_rate) for row in flat])
    return fix_length(flat, length).reshape(*audio.shape[:-1], length)


def resampled_length(samples, from_rate, to_rate):
    """How many samples `resample` returns for `samples` at `from_rate`."""
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

    with :math:`N` = n_fft, :math:`H` = hop_length and zeros outside the signal, as `librosa.stft` has it.

    Parameters
    ----------
    audio : np.ndarray, (..., samples)
        float32 gives complex64; anything else is computed as float64 and gives complex128.
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
        where the signal is empty or not finite, or the sizes do not allow an inverse.

    See Also
    --------
    istft : the inverse.
    """
    _check_sizes(n_fft, hop_length)
    audio = np.asarray(audio)
    audio = audio.astype(np.float32 if audio.dtype == np.float32 else np.float64, copy=False)
    if audio.ndim == 0 or audio.shape[-1] == 0:
        raise ValueError(f"audio: at least one sample expected, got shape {audio.shape}")
    if not np.isfinite(audio).all():
        raise ValueError("audio: NaN or infinite samples; replace them first (numpy.nan_to_num)")
    half = n_fft // 2
    padded = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(half, half)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[..., ::hop_length, :]
    weights = window(window_name, n_fft).astype(audio.dtype)
    n_frames = frames.shape[-2]
    dtype = np.complex64 if audio.dtype == np.float32 else np.complex128
    spectrum = np.empty((*audio.shape[:-1], n_frames, 1 + half), dtype)  # (..., frames, frequencies)
    block = max(1, 2**18 // n_fft)  # frames at a time: the windowed copy stays in the processor's cache
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
        samples to return; hop_length · (frames - 1) where it is None.
    window_name : str
        the window that `stft` used.

    Returns
    -------
    np.ndarray, (..., length)
        float32 for complex64, otherwise float64. With a Hann window and a hop of at most n_fft / 4 it returns the
        signal that `stft` was given within 1e-6 of full scale, its last sample included; at a hop of n_fft / 2 the
        very last samples are covered by the end of one window alone and need float64.
    """
    n_fft = 2 * (spectrum.shape[-2] - 1)
    _check_sizes(n_fft, hop_length)
    n_frames = spectrum.shape[-1]
    real = np.float32 if spectrum.dtype == np.complex64 else np.float64
    weights = window(window_name, n_fft).astype(real)
    half = n_fft // 2
    if length is None:
        length = hop_length * (n_frames - 1)
    overlap = math.ceil(n_fft / hop_length)  # windows over one sample
    segments = n_frames + overlap - 1  # hops covered by all frames
    shape = spectrum.shape[:-2]
    total = np.zeros((*shape, segments, hop_length), real)
    power = np.zeros((segments, hop_length), real)
    squares = fix_length(weights**2, overlap * hop_length).reshape(overlap, hop_length)
    for j in range(overlap):
        power[j : j + n_frames] += squares[j]
    by_frame = np.swapaxes(spectrum, -1, -2)  # (..., frames, frequencies)
    block = max(1, 2**18 // n_fft)
    for start in range(0, n_frames, block):
        frames = scipy.fft.irfft(by_frame[..., start : start + block, :], n_fft, axis=-1)
        frames *= weights
        count = frames.shape[-2]
        pieces = fix_length(frames, overlap * hop_length).reshape(*shape, count, overlap, hop_length)
        for j in range(overlap):
            total[..., start + j : start + j + count, :] += pieces[..., j, :]
    total /= np.where(power > np.finfo(real).tiny, power, 1)
    signal = total.reshape(*shape, segments * hop_length)[..., half:]
    return np.ascontiguousarray(fix_length(signal, length))


def _check_sizes(n_fft, hop_length):
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft: an even number of at least 2 expected, got {n_fft}")
    if not 1 <= hop_length <= n_fft // 2:
        raise ValueError(f"hop_length: between 1 and n_fft / 2 = {n_fft // 2} expected, got {hop_length}")


def magnitude(spectrum):
    """|X|: the modulus of each bin, of the same shape as `spectrum`."""
    return np.abs(spectrum)


def phase(spectrum):
    """The angle of each bin in radians, in (-π, π]."""
    return np.angle(spectrum)


def amplitude_to_db(amplitude, *, reference=1.0, floor=-100.0):
    """20·log10(amplitude / reference), never below `floor` dB; silence gives the floor, not -inf."""
    smallest = 10 ** (floor / 20)
    return 20 * np.log10(np.maximum(np.abs(amplitude) / reference, smallest))


def db_to_amplitude(decibels, *, reference=1.0):
    """Inverse of `amplitude_to_db`: reference · 10^(dB / 20)."""
    return reference * 10 ** (np.asarray(decibels) / 20)
