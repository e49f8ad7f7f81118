"""From a sound file to a spectrogram and back: load, save, resample, STFT, inverse STFT, decibels.

Arrays follow librosa's convention: the last axis is time, a spectrogram is (..., frequencies, frames).
"""

import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import soundfile
import soxr

from common.files import atomic_path


class AudioError(ValueError):
    """A sound file that cannot be used. The message is one line that names the file and the reason."""


RATES = (1000, 768_000)
"""Lowest and highest sample rate in Hz of a file: what lies beyond is a damaged header."""
CHANNELS = 64
"""Most channels of a file."""
ENDLESS = 2**62
"""A file that says it has more samples than this does not say how many it has: FLAC that was written to a pipe. ffmpeg
finds their number, libsndfile's reading fails at their end."""
CONTAINERS = {
    # how the file begins, after so many bytes: what ffmpeg calls its format
    (b"ftyp", 4): "mov",  # m4a, mp4, 3gp: what phones record
    (b"\x1aE\xdf\xa3", 0): "matroska",  # webm, mka
    (b"0&\xb2u\x8ef\xcf\x11", 0): "asf",  # wma
    (b"\xff\xf1", 0): "aac",
    (b"\xff\xf9", 0): "aac",
    (b"#!AMR", 0): "amr",
}


def open_audio(path):
    """Open a sound file for reading in blocks.

    libsndfile reads wav, flac, ogg, mp3 and more, whatever the file's ending. Where ffmpeg is installed, it decodes
    m4a, webm, wma, aac, amr and flac of unknown length into a file that has no name and is gone when it is closed.

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
        where the file is missing, a folder, empty, not audio, holds no samples, or has a header that makes no sense.
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
        with open(path, "rb") as file:
            begin = file.read(16)
    except PermissionError as error:
        raise AudioError(f"{path}: no permission to read it") from error
    except OSError as error:  # a loop of links, a name too long
        raise AudioError(f"{path}: {error.strerror or error}") from error
    container = [name for (mark, at), name in CONTAINERS.items() if begin[at:].startswith(mark)]
    try:
        with quiet_decoder():
            sound = open_stream(path, container[0]) if container else _open(path)
            if len(sound) > ENDLESS:
                sound.close()
                sound = open_stream(path, "flac")
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path}: not a sound file that can be read (wav, flac, ogg or mp3 expected)") from error
    wrong = None
    if len(sound) == 0:
        wrong = "the sound is zero samples long"
    elif not RATES[0] <= sound.samplerate <= RATES[1]:
        wrong = f"a sample rate of {sound.samplerate} Hz, {RATES[0]} to {RATES[1]} expected"
    elif sound.channels > CHANNELS:
        wrong = f"{sound.channels} channels, at most {CHANNELS} expected"
    if wrong:
        sound.close()
        raise AudioError(f"{path}: {wrong}")
    return sound


def _open(path):
    """Open by descriptor: what the file holds decides, not its ending (.raw is a format of libsndfile's)."""
    file = os.open(path, os.O_RDONLY)
    try:
        return soundfile.SoundFile(file, closefd=True)
    except BaseException:
        os.close(file)
        raise


def open_stream(path, container, stream=0):
    """Open one of the sounds of a file that ffmpeg reads, decoded to 32-bit floats.

    Parameters
    ----------
    path : Path
    container : str
        what ffmpeg calls the file's format: it is given, not guessed, so that a playlist that names other files is not
        followed.
    stream : int
        which sound, from 0.

    Returns
    -------
    soundfile.SoundFile
        of a file that has no name and is gone when it is closed.

    Raises
    ------
    AudioError
        where ffmpeg is missing, cannot decode the file, or finds no such sound.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(f"{path}: reading this format needs ffmpeg; install it, or save the sound as wav or flac")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "sound.wav"
        source = ["-protocol_whitelist", "file", "-f", container, "-i", f"file:{path}"]
        target = ["-map", f"0:a:{stream}", "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav", wav]  # beyond 4 GB: RF64
        allowed = 25 + path.stat().st_size / 250_000  # s; a slow machine decodes a megabyte in a second
        try:
            command = [ffmpeg, "-v", "error", "-nostdin", *source, *target]
            subprocess.run(command, check=True, timeout=allowed, capture_output=True)
            return _open(wav)
        except subprocess.TimeoutExpired as error:
            raise AudioError(f"{path}: ffmpeg did not decode it within {allowed:.0f} s") from error
        except subprocess.CalledProcessError as error:
            missing = b"matches no streams" in error.stderr
            wrong = f"holds no sound number {stream + 1}" if missing else "not a sound file that ffmpeg can decode"
            raise AudioError(f"{path}: {wrong}") from error


_quiet = {"users": 0, "standard error": None}
_quiet_lock = threading.Lock()


@contextmanager
def quiet_decoder():
    """Keep what libsndfile's mp3 decoder prints by itself off standard error; our messages say what matters.

    Several threads may be inside: the first one to come closes standard error, the last one to go opens it again.
    """
    with _quiet_lock:
        _quiet["users"] += 1
        if _quiet["users"] == 1:
            with suppress(OSError):  # there may be no standard error
                _quiet["standard error"] = os.dup(2)
                silent = os.open(os.devnull, os.O_WRONLY)
                os.dup2(silent, 2)
                os.close(silent)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet["users"] -= 1
            if _quiet["users"] == 0 and _quiet["standard error"] is not None:
                os.dup2(_quiet["standard error"], 2)
                os.close(_quiet["standard error"])
                _quiet["standard error"] = None


def announced_samples(sound):
    """How many samples an open file says it holds, which is more than there are where it was cut off.

    Parameters
    ----------
    sound : soundfile.SoundFile

    Returns
    -------
    int
        `len(sound)` where the header says nothing, or something that cannot be.
    """
    found = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    said, there = map(int, found.groups()) if found else (0, 0)
    if there and there < said < 2**31 - 2**16:  # beyond: written to a pipe, whose length was not known
        return round(len(sound) * said / there)
    return len(sound)


def read_block(sound, samples, name):
    """Read the next samples of an open file.

    Parameters
    ----------
    sound : soundfile.SoundFile
    samples : int
    name : str or Path
        of the file, for messages.

    Returns
    -------
    np.ndarray, float32, (channels, at most `samples`)

    Raises
    ------
    AudioError
        where the sound is damaged.
    """
    before = sound.tell()
    try:
        with quiet_decoder():
            return sound.read(samples, dtype="float32", always_2d=True).T
    except soundfile.SoundFileError as error:
        seconds = before / sound.samplerate
        raise AudioError(f"{name}: the sound is damaged after {seconds:.1f} s ({_reason(error)})") from error


def _reason(error):
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def load(path, *, sample_rate=None, mono=False):
    """Read a sound file.

    Parameters
    ----------
    path : str or Path
        wav, flac, ogg or mp3, or what `open_audio` decodes with ffmpeg; any sample rate, any number of channels.
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
        rate, blocks = sound.samplerate, []
        size = min(len(sound), 2**22)  # a damaged header may announce more than any memory holds
        while (block := read_block(sound, size, path)).shape[-1]:  # (channels, samples)
            blocks.append(block)
        audio = np.concatenate(blocks, axis=-1) if blocks else np.empty((sound.channels, 0), np.float32)
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
