"""Sound files, opened and read in blocks: what may be wrong with a file is found and named here.

Notebook: audio_processing/spectrogram_report.ipynb
"""

import json
import os
import re
import shutil
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import soundfile

from common.files import scratch_folder
from common.terminal import silenced


class AudioError(ValueError):
    """A sound file that cannot be used. The message is one line that names the file and the reason."""


RATES = (1000, 768_000)
"""Lowest and highest sample rate in Hz of a file; others come from a damaged header."""
CHANNELS = 64
"""Most channels of a file."""
BLOCK = 2**17
"""Samples that are decoded at a time where only their number is asked for."""
TAIL = 128
"""Bytes that may follow the sound, such as a tag, without a doubt that there is more of it."""
EXACT = re.compile("PCM|FLOAT|DOUBLE|ULAW|ALAW")
"""Sample formats whose number of samples follows from the size of the file."""
TRUSTED = re.compile(f"{EXACT.pattern}|ALAC|VORBIS|OPUS|MPEG")
"""Sample formats that libsndfile decodes as ffmpeg does; of its ADPCM the last bits differ."""
OURS = "wav, flac, ogg, opus, mp3, aiff, au, caf, w64"
THEIRS = "m4a, mp4, webm, wma, aac, ac3, dts, ape, wv, tta, spx, avi, flv, mkv, ts"
"""The best known formats that libsndfile reads, and ffmpeg."""
DEMUXERS = (
    "aac,ac3,eac3,adx,aiff,amr,amrnb,amrwb,ape,apc,asf,asf_o,ast,au,avi,avr,bit,caf,dff,dsf,iff,dts,dtshd,flac,flv,gsm,g722,ircam,"
    "loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,mlp,truehd,mxf,nut,ogg,oma,paf,pvf,qcp,rm,shn,sox,swf,svx,tak,tta,"
    "voc,vqf,w64,wav,wsd,wtv,wv,xwma"
)
"""ffmpeg's formats that hold their sound themselves: none may name other files or addresses, as playlists do."""
# From Vorbis' order of channels, which Opus shares, to that of wav files; by the number of channels.
WAV_ORDER = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
# Which loudspeakers these channels are, as wav files say it: a bit for each (WAVEFORMATEXTENSIBLE's dwChannelMask).
SPEAKERS = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}


class Sound:
    """An open sound file, which gives its samples from first to last.

    Attributes
    ----------
    samplerate, channels : int
    announced : int
        how many samples its header tells of; more than it has if it was cut off.
    mask : int
        which loudspeakers the channels are for, as a wav file says it; 0 if it is not known.
    remarks : list of str
        of how the file was opened, a line each.
    """

    def __init__(self, path, file, samples, announced, notes=(), folder=None):
        self.path, self._file, self._samples, self._folder = path, file, samples, folder
        self.samplerate, self.channels = file.samplerate, file.channels
        self.announced, self.remarks = announced, [*notes]
        self._order = WAV_ORDER.get(self.channels) if file.format == "OGG" else None
        mask = re.search(r"Channel Mask *: 0x([0-9A-Fa-f]+)", file.extra_info)
        usual = SPEAKERS.get(self.channels, 0) if file.format in ("OGG", "FLAC") else 0
        self.mask = int(mask[1], 16) if mask else usual
        self._read = 0

    @property
    def notes(self):
        """What a reader should know of how the file was read, a line each."""
        samples = self.announced, len(self)
        numbers = [f"{each / self.samplerate:.1f} s" for each in samples]
        if numbers[0] == numbers[1]:
            numbers = [f"{each} samples" for each in samples]
        cut = f"{self.path}: truncated: expected {numbers[0]} as its header says, got {numbers[1]}"
        return [*self.remarks, *([cut] if samples[0] > samples[1] else [])]

    def __len__(self):
        """The number of samples that decode."""
        return self._samples

    def read(self, samples):
        """The next samples, in the order of a wav file's channels: np.ndarray, float32, (channels, at most `samples`).

        Raises
        ------
        AudioError
            if the sound is damaged.
        """
        asked = min(samples, self._samples - self._read)
        try:
            with silenced():
                block = self._file.read(asked, dtype="float32", always_2d=True).T
            self._file.bytes.check()
        except (soundfile.SoundFileError, OSError) as error:
            seconds, reason = self._read / self.samplerate, f"{error}".strip().partition("\n")[0].rstrip(".")
            raise AudioError(f"{self.path}: the sound is damaged after {seconds:.1f} s ({reason})") from error
        self._read += block.shape[-1]
        if block.shape[-1] < asked:
            if self._file.bytes.has_changed():
                raise AudioError(f"{self.path}: the file changed while it was read")
            self.announced, self._samples = max(self.announced, self._samples), self._read
        return block if self._order is None else block[list(self._order)]

    def close(self):
        self._file.close()
        if self._folder is not None:
            self._folder.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class _Forward(soundfile.SoundFile):
    """A file that is read from its beginning to its end and knows where its bytes are.

    A `SoundFile` moves to where it is after each block, which makes the mp3 decoder lose what it carries over. And it
    takes an ending such as .raw for the format of what is inside.
    """

    def __init__(self, path):
        self.bytes = _Bytes(path)
        try:
            super().__init__(self.bytes)
        except BaseException:
            self.bytes.close()
            raise

    def seekable(self):
        return False

    def close(self):
        super().close()
        self.bytes.close()


class _Bytes:
    """An open file without a name."""

    def __init__(self, path):
        file = open(path, "rb")
        self.file, self.failure, self.stamp = file, None, _stamp(file)
        self.seek, self.tell, self.close, self.read = file.seek, file.tell, file.close, file.read

    def readinto(self, block):
        """As a file's; libsndfile takes what is raised in here for the end of the file, so it is kept."""
        try:
            return self.file.readinto(block)
        except BaseException as error:
            self.failure = error
            return 0

    def has_changed(self):
        """Whether the file has another size or date than when it was opened."""
        return _stamp(self.file) != self.stamp

    def check(self):
        """Raise what `readinto` could not."""
        if self.failure is not None:
            raise self.failure

    def write(self, content):
        raise OSError("opened for reading")


def _stamp(file):
    status = os.stat(file.fileno())
    return status.st_size, status.st_mtime_ns


def open_audio(path, stream=None):
    """Open a sound file for reading in blocks.

    libsndfile reads wav, flac, ogg, mp3 and more, whatever the file's ending. Where ffmpeg is installed, it decodes
    what libsndfile cannot, into a file that is gone when it is closed. It also decodes a file of which libsndfile reads
    a part only, such as an mp3 whose header tells of less; `Sound.notes` say so.

    Parameters
    ----------
    path : str or Path
    stream : int, optional
        which sound of a file that holds several, from 1; by default the one that players choose.

    Returns
    -------
    Sound
        at its first sample; close it, or use it in a `with` statement.

    Raises
    ------
    AudioError
        if the file is missing, a folder, empty, not audio, holds no samples, has no such stream, or an impossible
        header.

    See Also
    --------
    load : the whole sound at once.
    """
    path = Path(path)
    _check_regular(path)
    try:
        with silenced():
            sound = _by_libsndfile(path) if stream in (None, 1) else None
            if sound is None:
                sound = open_stream(path, stream)
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
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


def _check_regular(path):
    """Raise an AudioError for what is no regular file with bytes in it that may be read."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: a folder, not a sound file")
        if path.exists() and not path.is_file():
            raise AudioError(f"{path}: not a regular file; save the sound to a file first")
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)")
        with open(path, "rb"):
            pass
    except PermissionError as error:
        raise AudioError(f"{path}: no permission to read it") from error
    except OSError as error:  # a loop of links, a name too long
        raise AudioError(f"{path}: {error.strerror or error}") from error


def _by_libsndfile(path):
    """Open what libsndfile reads, or what ffmpeg reads more of; None for what libsndfile does not know."""
    try:
        file = _Forward(path)
    except (soundfile.SoundFileError, TypeError):  # also raw samples without a header
        return None
    trusted = TRUSTED.match(file.subtype) and file.format != "VOC"  # it takes blocks of that format for samples
    if trusted and EXACT.match(file.subtype) and file.format != "FLAC" and len(file):
        return Sound(path, file, len(file), announced_samples(file))
    announced = file.frames if trusted and _knows_its_length(path, file) else 0
    file.close()
    samples, left, whole = _decodable(path)
    size, notes = path.stat().st_size, []
    if not (trusted and whole and left <= TAIL and samples >= announced) and shutil.which("ffmpeg"):
        with suppress(AudioError):
            more = open_stream(path)
            if len(more) < announced:
                more.announced = announced
            elif trusted and len(more) > samples:
                seconds = [f"{count / more.samplerate:.1f} s" for count in (samples, len(more))]
                more.remarks.append(
                    f"{path}: its header leads to {seconds[0]}; ffmpeg decoded {seconds[1]}, which are used"
                )
            if not trusted or len(more) > samples:
                return more
            more.close()
    elif left > 0.02 * size:
        notes.append(f"{path}: {left / size:.0%} of the file were not read; with ffmpeg installed they would be")
    if samples == 0 and not whole:
        raise AudioError(f"{path}: the sound is damaged from its first sample on")
    return Sound(path, _Forward(path), samples, max(samples, announced), notes)


def _knows_its_length(path, file):
    """Whether the number of samples in a header is no guess: an mp3 has one only in a Xing or Info tag."""
    if file.format != "MP3" and not file.subtype.startswith("MPEG"):
        return file.frames < 2**40  # FLAC that was written to a pipe has none
    with open(path, "rb") as sound:
        head = sound.read(10)
        if head.startswith(b"ID3"):
            sound.seek(10 + sum(byte << 7 * place for place, byte in zip((3, 2, 1, 0), head[6:10])))
        begin = sound.read(4096)
    return b"Xing" in begin or b"Info" in begin


def _decodable(path):
    """How much of a file libsndfile decodes.

    Returns
    -------
    samples : int
    left : int
        bytes behind the last ones that were read.
    whole : bool
        whether it came to the end without an error.
    """
    samples = 0
    for block in (BLOCK, 2**11, 2**5, 1):  # after an error the next smaller blocks tell where it is
        with _Forward(path) as file:
            try:
                for skipped in range(0, samples, BLOCK):
                    file.read(min(BLOCK, samples - skipped), dtype="float32")
                while count := len(file.read(block, dtype="float32", always_2d=True)):
                    samples += count
                file.bytes.check()
                return samples, path.stat().st_size - file.bytes.tell(), True
            except soundfile.SoundFileError:
                continue
    return samples, 0, False


def open_stream(path, stream=None):
    """Open one of the sounds of a file that ffmpeg reads, decoded to 32-bit floats.

    Parameters
    ----------
    path : Path
    stream : int, optional
        number of the sound, from 1; by default the one that the file marks as such, else the first.

    Returns
    -------
    Sound

    Raises
    ------
    AudioError
        if ffmpeg is missing, cannot decode the file, or finds no such sound.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"{path}: not a sound file that libsndfile reads ({OURS}); reading others ({THEIRS}) needs ffmpeg"
        )
    every = streams(path)
    if stream is not None and not 1 <= stream <= len(every):
        raise AudioError(f"{path}: expected a sound from 1 to {len(every)}, got --stream {stream}")
    default = next((i for i, each in enumerate(every, 1) if each.get("disposition", {}).get("default")), 1)
    chosen, notes = stream or default, []
    if len(every) > 1 and stream is None:
        notes = [f"{path}: holds {len(every)} sounds, number {chosen} is read; --stream N chooses another"]
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        file = _decoded(path, ffmpeg, chosen, folder / "sound.wav")
        with suppress(OSError):  # a file that is open can be deleted, except on Windows
            (folder / "sound.wav").unlink()
        return Sound(path, file, file.frames, file.frames, notes, stack.pop_all())


def _decoded(path, ffmpeg, chosen, wav):
    """Let ffmpeg decode one of the sounds of a file into a wav file, and open that."""
    target = ["-map", f"0:a:{chosen - 1}", "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav", wav]  # beyond 4 GB: RF64
    allowed = 25 + path.stat().st_size / 250_000  # s; a slow machine decodes a megabyte in a second
    try:
        command = [ffmpeg, "-v", "error", "-nostdin", *_source(path), *target]
        said = subprocess.run(command, timeout=allowed, capture_output=True).stderr
        if b"No space left" in said:
            raise AudioError(f"{path}: no space to decode it to in {wav.parent}")
        return _Forward(wav)
    except subprocess.TimeoutExpired as error:
        raise AudioError(f"{path}: ffmpeg did not decode it within {allowed:.0f} s") from error
    except (soundfile.SoundFileError, FileNotFoundError) as error:
        raise AudioError(f"{path}: not a sound file that ffmpeg can decode") from error


def _source(path):
    """ffmpeg's options for a file that may name no others."""
    return ["-protocol_whitelist", "file", "-format_whitelist", DEMUXERS, "-i", f"file:{path}"]


def streams(path):
    """What ffprobe reports of each sound in a file, a list of dicts; an AudioError if it knows no sound there."""
    command = [shutil.which("ffprobe") or "ffprobe", "-v", "error", *_source(path), "-select_streams", "a"]
    try:
        done = subprocess.run([*command, "-show_streams", "-of", "json"], capture_output=True, timeout=60, check=True)
        found = json.loads(done.stdout)["streams"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise AudioError(f"{path}: not a sound file that can be read ({OURS}; by ffmpeg {THEIRS})") from error
    if not found:
        raise AudioError(f"{path}: holds no sound")
    return found


def announced_samples(file):
    """The number of samples in an open wav file's header, which is too large for a file that was cut off; `len(file)`
    if the header holds no number, or an impossible one."""
    sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    frame = re.search(r"Block Align *: (\d+)", file.extra_info)
    announced, present = map(int, sizes.groups()) if sizes else (0, 0)
    if frame and int(frame[1]) and present < announced < 2**31 - 2**16:  # beyond: written to a pipe of unknown length
        return max(len(file), announced // int(frame[1]))
    return len(file)
