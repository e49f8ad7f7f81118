"""A song that is read, and its stems as files that add up to it: wav, flac or mp3, written together, block by block."""

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unicodedata import normalize

import numpy as np
import soundfile

from audio_processing.chunks import LOUDEST, usable
from audio_processing.sound_files import OURS, THEIRS, AudioError
from common.files import allowed_name
from common.terminal import note, reason, silenced

BITS = {"wav": ("float", "16", "24"), "flac": ("24", "16"), "mp3": ("",)}
"""Formats of files, and the sample formats that each has, the usual one first."""
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
SUBTYPES = {"float": "FLOAT", "16": "PCM_16", "24": "PCM_24", "": "MPEG_LAYER_III"}
MADE_BY = "mss-separate"  # the comment in a file, by which a stem is known
BEST_MP3 = {"bitrate_mode": "VARIABLE", "compression_level": 0.1}  # LAME's V1: about 220 kbit/s


# --- songs -----------------------------------------------------------------------------------------------------------


def folder_name(song):
    """Name of the folder of a song's stems: the file's without its ending, as every system allows it."""
    song = Path(song)
    return allowed_name(song.stem if song.stem.strip(".") else song.name)


def songs_in(paths):
    """The songs that a command is to separate, with the names of their folders.

    Parameters
    ----------
    paths : sequence of str
        files; and folders, of which all sound files are taken, but hidden ones and stems that this program wrote.

    Returns
    -------
    songs : dict of Path to str
        song → name of its folder; of songs of one name the second gets " (2)", and so on.
    problems : list of str
        what cannot be separated, a line each.
    """
    songs, seen, names, problems = {}, set(), set(), []
    for path in paths:
        found = sounds_below(Path(path), problems) if path and os.path.isdir(path) else [Path(path)]
        if not path:
            problems.append("song: expected the path of a file or a folder, got an empty one")
        for song in found if path else ():
            if (place := os.path.realpath(song)) in seen:
                continue
            seen.add(place)
            name = folder_name(song)
            every = (name if i == 1 else f"{name} ({i})" for i in range(1, len(songs) + 2))
            songs[song] = next(each for each in every if _alike(each) not in names)
            names.add(_alike(songs[song]))
    return songs, problems


def _alike(name):
    """What names have in common that are one file on some system."""
    return normalize("NFC", name).casefold()


def sounds_below(folder, problems):
    """The sound files in a folder and those below, sorted; a line is added to `problems` for what cannot be read."""
    endings = {f".{name}" for name in f"{OURS}, {THEIRS}, oga, aif, mka, mov, 3gp, mp2, amr".split(", ")}
    found, before = [], len(problems)
    for place, folders, files in os.walk(
        folder, onerror=lambda error: problems.append(reason(error)), followlinks=True
    ):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place, name) for name in sorted(files) if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in endings and not is_ours(path)]
        if len(Path(place).parts) - len(folder.parts) > 40:  # links in a circle
            folders.clear()
    if not found and len(problems) == before:
        problems.append(f"{folder}: a folder without a sound file, stems of an earlier run aside")
    return found


def is_ours(path):
    """Whether a file is a stem that this program wrote: its header says so."""
    with (
        suppress(soundfile.SoundFileError, OSError, TypeError),
        silenced(),
        soundfile.SoundFile(os.fsencode(path)) as file,
    ):
        return file.comment == MADE_BY
    return False


class SongReader:
    """Reads an open sound file in blocks (channels, samples), and keeps the song until it is taken with its stems.

    Samples that are not `usable` are replaced by 0 and counted.
    """

    def __init__(self, sound, song, progress):
        self.sound, self.song, self.progress = sound, song, progress
        self.samples = self.unusable = 0
        self.kept = []

    def __call__(self, samples):
        block = self.sound.read(samples)
        good = usable(block)
        self.samples += block.shape[-1]
        self.unusable += block.size - int(good.sum())
        self.progress.update(block.shape[-1] / self.sound.samplerate)
        self.kept.append(block if good.all() else np.where(good, block, np.float32(0)))
        return self.kept[-1]

    def take(self, samples):
        """The next `samples` samples (channels, samples) that were read and not taken yet."""
        kept = np.concatenate(self.kept, axis=-1)
        self.kept = [kept[:, samples:]]
        return kept[:, :samples]

    def check(self):
        """Refuse a song that turned out to hold no sound."""
        if self.samples == 0:
            raise AudioError(f"{self.song}: the sound is zero samples long")
        if self.unusable == self.samples * self.sound.channels:
            raise AudioError(f"{self.song}: every sample is NaN, infinite or beyond {LOUDEST:.0e}")

    def notes(self):
        """A line on the samples that were not usable, if there are some."""
        if self.unusable:
            yield f"{self.song}: {self.unusable} samples were NaN or infinite and count as silence"


# --- their stems -----------------------------------------------------------------------------------------------------


def check_options(kind, bits=""):
    """Check that a format has these bits; returns them, or the usual ones for "".

    Raises
    ------
    ValueError
        the message names the option that has to change.
    """
    if kind not in BITS:
        raise ValueError(f"--format: expected one of {', '.join(BITS)}, got {kind}")
    if bits and str(bits) not in BITS[kind]:
        raise ValueError(f"--bits: expected {' or '.join(filter(None, BITS[kind])) or 'none'} for {kind}, got {bits}")
    return str(bits) or BITS[kind][0]


def check_format(kind, bits, sound):
    """Check that a format can hold a sound.

    Parameters
    ----------
    kind, bits : str
        a key of `BITS`, and one of its values; "" for the first of them.
    sound : sound_files.Sound

    Returns
    -------
    str
        the sample format.

    Raises
    ------
    ValueError
        the message names the song and the option that has to change.
    """
    rate, channels = sound.samplerate, sound.channels
    limits = {
        "mp3": (channels <= 2 and rate in MP3_RATES, "1 or 2 channels and a common rate of at most 48000 Hz"),
        "flac": (channels <= 8 and rate <= 655_350, "at most 8 channels and 655350 Hz"),
    }
    fits, limit = limits.get(kind, (True, ""))
    if not fits:
        got = f"{channels} channels at {rate} Hz"
        raise ValueError(f"{sound.path}: --format {kind}: expected {limit}, got {got}; --format wav takes any song")
    return check_options(kind, bits)


class StemFiles:
    """Files of stems that are open for writing. One of them may be the rest: what is left of the mixture.

    With whole numbers the rest is the mixture's number less the stems' numbers, so that the files of 16 or 24 bits add
    up exactly, as long as the rest itself is not clipped. A file of floats holds what is beyond full scale.

    Parameters
    ----------
    paths : dict of str to Path
        name of each stem that is written → its file.
    sound : sound_files.Sound
        whose rate, channels and loudspeakers the files get.
    kind, bits : str
        see `check_format`.
    rest : str
        name of the rest; "" for none.
    taken : sequence of str
        names of the stems that the mixture loses to become the rest.

    Attributes
    ----------
    clipped : dict of str to int
        name of a stem → samples beyond full scale, which were clipped.
    """

    def __init__(self, paths, sound, kind="wav", bits="", *, rest="", taken=()):
        self.paths, self.sound, self.kind, self.rest, self.taken = paths, sound, kind, rest, taken
        self.bits = check_format(kind, bits, sound)
        self.mask = sound.mask if kind == "wav" and sound.channels > 2 else 0
        self.scale = 2 ** (int(self.bits) - 1) if self.bits.isdigit() else 0
        self.clipped = dict.fromkeys(paths, 0)

    def __enter__(self):
        with ExitStack() as stack:
            self._files = {name: stack.enter_context(self._open(path)) for name, path in self.paths.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)
        if error[0] is None and self.kind == "wav":
            for path in self.paths.values():
                _settle_header(path, self.mask)

    def _open(self, path):
        sound, kind = self.sound, self.kind.upper()
        if kind == "WAV":
            kind = "WAVEX" if self.mask else kind
            size = {"float": 4, "16": 2, "24": 3}[self.bits] * sound.channels * len(sound)
            kind = "RF64" if size > 2**32 - 2**20 else kind
        options = BEST_MP3 if self.kind == "mp3" else {}
        subtype = SUBTYPES[self.bits]
        shape = sound.samplerate, sound.channels, subtype, None, kind
        file = soundfile.SoundFile(os.fsencode(path), "w", *shape, **options)
        file.comment = MADE_BY
        return file

    def write(self, stems, mixture):
        """Write the next samples.

        Parameters
        ----------
        stems : dict of str to np.ndarray, (channels, samples)
            of all sources, whether they are written or not.
        mixture : np.ndarray, (channels, samples)
        """
        names = {*self.taken, *self.paths} - {self.rest}
        parts = {name: self._clipped(name, self._numbers(stems[name])) for name in names}
        if self.rest:
            left = self._numbers(mixture) - sum(parts[name] for name in self.taken)
            parts[self.rest] = self._clipped(self.rest, left)
        for name, file in self._files.items():
            numbers = parts[name].T
            file.write((numbers * (2**31 // self.scale)).astype(np.int32) if self.scale else numbers)

    def _numbers(self, samples):
        """Samples as the files count them: floats, or whole numbers that are not clipped yet."""
        return np.rint(samples * np.float64(self.scale)).astype(np.int64) if self.scale else samples

    def _clipped(self, name, part):
        if self.bits == "float":
            return part
        low, high = (-self.scale, self.scale - 1) if self.scale else (-1.0, 1.0)
        inside = np.clip(part, low, high)
        if name in self.clipped:
            self.clipped[name] += int(np.count_nonzero(inside != part))
        return inside

    def check_lengths(self, samples):
        """Make sure that every file is whole: closing a file on a full disk raises nothing."""
        for path in self.paths.values():
            if soundfile.info(os.fsencode(path)).frames != samples:
                raise soundfile.SoundFileRuntimeError(f"{path.name} is not complete")

    def notes(self):
        """A line for each stem of which samples were clipped."""
        for name, count in self.clipped.items():
            if count:
                file = self.paths[name].name
                advice = "--bits float" if self.kind == "wav" else "--format wav"
                yield f"{file}: {count} samples are beyond full scale and were clipped; {advice} keeps them"


def _settle_header(path, mask):
    """Make the header of a wav file the same in each run, and let it name the loudspeakers of its channels.

    libsndfile writes the time into the chunk PEAK, and a usual guess for the loudspeakers.
    """
    with open(path, "r+b") as file:
        head = file.read(4096)
        if (peak := head.find(b"PEAK")) > 0:
            file.seek(peak + 12)  # after its name, size and version
            file.write(bytes(4))
        if mask and (start := head.find(b"fmt ")) > 0 and head[start + 8 : start + 10] == b"\xfe\xff":
            file.seek(start + 28)  # after its name and size, the 18 bytes of every format, the size and bits of this
            file.write(mask.to_bytes(4, "little"))


# --- the folder of the stems -----------------------------------------------------------------------------------------


def check_targets(targets, song):
    """Refuse, before anything is computed, targets that are folders, or files that are no stems of an earlier run."""
    folder = targets[0].parent
    for place in (folder.parent, folder):
        if place.exists() and not place.is_dir():
            raise AudioError(f"{place}: exists and is not a folder; choose another --out")
        if place.is_dir() and not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise AudioError(f"{place}: no permission to write there; choose another --out")
    for target in targets:
        if target.is_dir():
            raise AudioError(f"{target}: exists and is a folder; choose another --out")
        if target.exists() and target.samefile(song):
            raise AudioError(f"{song}: a stem would overwrite the song; choose another --out")
        if target.exists() and not is_ours(target):
            raise AudioError(f"{target}: exists and is no stem of an earlier run; choose another --out")


def publish(complete, targets):
    """Move a folder of finished stems to its place: at once if nothing is there, else file by file."""
    folder = targets[0].parent
    umask = os.umask(0)
    os.umask(umask)
    complete.chmod(0o777 & ~umask)
    try:
        os.rename(complete, folder)
    except OSError:  # the folder is there and not empty
        for target in targets:
            os.replace(complete / target.name, target)
    others = sorted(path.name for path in folder.iterdir() if path.suffix[1:] in BITS and path not in targets)
    if others:
        note(f"{folder}: also holds {', '.join(others)}, not of this run")


@contextmanager
def full_disk_named(out):
    """Turn libsndfile's failures to write, which give no reason, into one that tells how much room is left."""
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
        free = shutil.disk_usage(out).free / 1e6
        raise OSError(f"{out}: the stems could not be written, {free:.0f} MB are free there") from error
