"""Sound files, opened and read in blocks: what may be wrong with a file is found and named here.

Notebook: audio_processing/spectrogram_report.ipynb
"""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import soundfile


class AudioError(ValueError):
    """A sound file that cannot be used. The message is one line that names the file and the reason."""


RATES = (1000, 768_000)
"""Lowest and highest sample rate in Hz of a file; others come from a damaged header."""
CHANNELS = 64
"""Most channels of a file."""
ENDLESS = 2**62
"""A header with more samples than this does not know their number: FLAC that was written to a pipe. ffmpeg counts them,
libsndfile fails at their end."""
CONTAINERS = {
    # first bytes of the file, after so many others: ffmpeg's name of the format
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
        if the file is missing, a folder, empty, not audio, holds no samples, or has an impossible header.

    See Also
    --------
    load : the whole sound at once.
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
        raise AudioError(f"{path}: not a sound file that can be read (expected wav, flac, ogg or mp3)") from error
    rate, channels = sound.samplerate, sound.channels
    problems = {
        "the sound is zero samples long": len(sound) == 0,
        f"expected a sample rate of {RATES[0]} to {RATES[1]} Hz, got {rate}": not RATES[0] <= rate <= RATES[1],
        f"expected at most {CHANNELS} channels, got {channels}": channels > CHANNELS,
    }
    if any(problems.values()):
        sound.close()
        raise AudioError(f"{path}: {next(problem for problem, there in problems.items() if there)}")
    return sound


def _open(path):
    """Open by descriptor: the content decides, not the file's ending (.raw is a format of libsndfile's)."""
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
        ffmpeg's name of the file's format. It is given, not guessed: ffmpeg must not follow a playlist to other files.
    stream : int
        number of the sound, from 0.

    Returns
    -------
    soundfile.SoundFile
        of a file without a name, which disappears when it is closed.

    Raises
    ------
    AudioError
        if ffmpeg is missing, cannot decode the file, or finds no such sound.
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
    """Keep the messages of libsndfile's mp3 decoder off standard error.

    Several threads may be inside: the first to enter closes standard error, the last to leave opens it again.
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
    """The number of samples in an open file's header, which is too large for a file that was cut off.

    Parameters
    ----------
    sound : soundfile.SoundFile

    Returns
    -------
    int
        `len(sound)` if the header holds no number, or an impossible one.
    """
    sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    announced, present = map(int, sizes.groups()) if sizes else (0, 0)
    if present and present < announced < 2**31 - 2**16:  # beyond: written to a pipe, whose length was not known
        return round(len(sound) * announced / present)
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
        if the sound is damaged.
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
