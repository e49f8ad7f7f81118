"""Songs with their stems: folders in MUSDB18-HQ layout, or MUSDB18's own .stem.mp4 files, whole or its 7 s excerpts."""

import os
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import soundfile

from audio_processing.audio_processing import load, resample, to_mono
from audio_processing.chunks import LOUDEST, usable
from audio_processing.sound_files import AudioError, open_audio, open_stream, streams
from common.checks import expect

SOURCES = ("drums", "bass", "other", "vocals")  # MUSDB's four stems, in MUSDB's order
TRIO = ("drums", "bass", "vocals")  # the stems of songs without other instruments, in the same order
# Songs of MUSDB18's test set that are not scored, and why.
EXCLUDED = {"PR - Oh No": "its stems do not add up", "PR - Happy Daze": "stems are missing"}
PARTS = ("mixture", *SOURCES)  # the sounds of a .stem.mp4 file, in their order there
EXCERPT_SECONDS = 10.0  # songs of MUSDB18 last longer than this, its excerpts do not


class Track(namedtuple("Track", "name path subset")):
    """One song of a dataset.

    Parameters
    ----------
    name : str
        "Artist - Title".
    path : Path
        a folder of wav files, or a .stem.mp4 file.
    subset : str
        "train" or "test".
    """

    def _read(self, part, sample_rate, mono):
        if self.path.is_dir():
            return load_usable(self.path / f"{part}.wav", sample_rate, mono)
        with open_stream(self.path, 1 + PARTS.index(part)) as sound:
            audio, rate = sound.read(len(sound)), sound.samplerate
        return _converted(audio, rate, f"{self.path}: {part}", sample_rate, mono)

    @property
    def sample_rate(self):
        """Sample rate of the files in Hz."""
        return soundfile.info(self.path / "mixture.wav").samplerate if self.path.is_dir() else 44100

    def mixture(self, sample_rate=None, mono=False):
        """The mixture: float32, (channels, samples), or (samples,) where `mono`; at `sample_rate` if given."""
        return self._read("mixture", sample_rate, mono)[0]

    def stems(self, sample_rate=None, mono=False, sources=SOURCES):
        """The true stems as a dict in the order of `sources`, each shaped like `mixture`.

        Raises
        ------
        AudioError
            if a stem is missing, damaged or not all `usable`, or stems differ in length.
        """
        stems = {source: self._read(source, sample_rate, mono)[0] for source in sources}
        lengths = {source: stem.shape[-1] for source, stem in stems.items()}
        if len(set(lengths.values())) > 1:
            raise AudioError(f"{self.path}: the stems differ in length ({lengths})")
        return stems

    def check(self, sources=SOURCES):
        """Compare the headers of mixture and stems; the sound itself is not decoded.

        Raises
        ------
        AudioError
            if one is missing, damaged or cut off, or they differ in length, rate or channels: the message names the
            track and the stem.
        """
        headers = self._headers(("mixture", *sources))
        _, mixture = next(headers)
        for part, header in headers:
            for field, value in header.items():
                if value != mixture[field]:
                    raise AudioError(f"{self.path}: {field} of {part} is {value}, that of the mixture {mixture[field]}")

    def _headers(self, parts):
        """Yield each part's name and {"sample rate", "channels", "length"}."""
        return self._wav_headers(parts) if self.path.is_dir() else self._stem_headers(parts)

    def _wav_headers(self, parts):
        for part in parts:
            path = self.path / f"{part}.wav"
            with open_audio(path) as sound:
                length = len(sound)
                if sound.announced > length:
                    raise AudioError(f"{path}: cut off, {length} of {sound.announced} samples are there")
                yield part, {"sample rate": sound.samplerate, "channels": sound.channels, "length": length}

    def _stem_headers(self, parts):
        sounds = _streams(self.path)
        for part in parts:
            index = PARTS.index(part)
            if index >= len(sounds):
                raise AudioError(f"{self.path}: holds {len(sounds)} sounds, {part} would be number {index + 1}")
            sound, length = sounds[index], int(sounds[index].get("duration_ts", 0))
            yield part, {"sample rate": int(sound["sample_rate"]), "channels": sound["channels"], "length": length}

    def files(self):
        """The sound files of the song, sorted: what a checksum of the data covers."""
        return sorted(self.path.glob("[!.]*.wav")) if self.path.is_dir() else [self.path]

    def annotations(self):
        """F0, voicing and loudness of a song of the virtual band, arrays by name; {} for recorded music."""
        path = self.path / "annotations.npz"
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise AudioError(f"{path}: damaged; `make dataset` writes the virtual band's songs again") from error


def load_usable(path, sample_rate=None, mono=False):
    """As `load`, but a sound with a sample that is not `usable` raises an AudioError."""
    return _converted(*load(path), path, sample_rate, mono)


def _converted(audio, rate, name, sample_rate, mono):
    if wrong := audio.size - np.count_nonzero(usable(audio)):
        raise AudioError(
            f"{name}: holds NaN or infinite samples, or some beyond {LOUDEST:.0e} ({wrong} of {audio.size})"
        )
    audio = to_mono(audio) if mono else audio
    return (audio, rate) if sample_rate is None else (resample(audio, rate, sample_rate), sample_rate)


def _streams(path):
    """What ffprobe reports of each sound in a .stem.mp4 file, as a list of dicts."""
    if shutil.which("ffprobe") is None:
        raise AudioError(f"{path}: reading .stem.mp4 needs ffmpeg; install it, or use the wav files of MUSDB18-HQ")
    return streams(path)


def readable(songs, on_error="raise", sources=SOURCES):
    """Leave out the songs that cannot be read, or stop at the first of them.

    Parameters
    ----------
    songs : list of Track
    on_error : str
        "skip" leaves such songs out, "raise" stops.
    sources : sequence of str
        which stems are needed.

    Returns
    -------
    songs : list of Track
        those whose mixture and stems exist, of one length, rate and number of channels.
    left_out : dict of str to str
        name of the song → the reason, one line.

    Raises
    ------
    AudioError
        for the first song that cannot be read if `on_error` is "raise"; if none is left with "skip".
    ValueError
        if `on_error` is neither.
    """
    expect(on_error in ("raise", "skip"), "on_error", "'raise' or 'skip'", repr(on_error))
    good, left_out = [], {}
    for song in songs:
        try:
            song.check(sources)
            good.append(song)
        except (AudioError, OSError) as error:
            if on_error == "raise":
                raise
            left_out[song.name] = reason(song, error)
    if songs and not good:
        raise AudioError(f"none of {len(songs)} songs can be read; the first: {next(iter(left_out.values()))}")
    return good, left_out


def reason(song, error):
    """Why a song is left out, in one line that names the file inside its dataset."""
    return str(error).replace(f"{song.path.parent}{os.sep}", "").replace("\n", " ")


def musdb_name(root, subset="test"):
    """What the songs of a copy of MUSDB18 are called in results: "musdb18_7s" for the excerpts, else "musdb18".

    Parameters
    ----------
    root : str or Path
    subset : str

    Raises
    ------
    AudioError
        if none of its mixtures can be read; the message is that of the first.
    FileNotFoundError
        if it holds no song.
    """
    first = None
    for song in tracks(root, subset):
        try:
            ((_, header),) = song._headers(("mixture",))
            return "musdb18_7s" if header["length"] <= EXCERPT_SECONDS * header["sample rate"] else "musdb18"
        except (AudioError, OSError) as error:
            first = first or error
    raise AudioError(str(first))


def tracks(root, subset=None):
    """List the songs of a dataset, sorted by name.

    Parameters
    ----------
    root : str or Path
        the folder that holds `train` and/or `test`.
    subset : str, optional
        "train" or "test"; by default both.

    Returns
    -------
    list of Track

    Raises
    ------
    FileNotFoundError
        if the folder holds no song; the message names the folder and what it should hold.
    """
    songs = []
    for name in ("train", "test") if subset is None else (subset,):
        folder = Path(root) / name
        for path in sorted(folder.glob("[!.]*")):  # macOS writes "._song.stem.mp4" beside a song
            whole = path.is_dir() and any(path.glob("[!.]*.wav"))
            if whole or path.name.endswith(".stem.mp4"):
                songs.append(Track(path.name if whole else path.name.removesuffix(".stem.mp4"), path, name))
    if not songs:
        expected = "train or test" if subset is None else subset
        raise FileNotFoundError(
            f"{root}: no songs in {expected}/<artist - title>/mixture.wav or {expected}/*.stem.mp4; "
            "`make dataset` builds the virtual band, MUSDB_PATH names a copy of MUSDB18"
        )
    return songs
