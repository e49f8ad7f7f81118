"""Songs with their stems: folders in MUSDB18-HQ layout, or MUSDB18's own .stem.mp4 files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audio_processing.audio_processing import AudioError, load, resample, to_mono

SOURCES = ("drums", "bass", "other", "vocals")
"""MUSDB's four stems, in MUSDB's order."""


@dataclass(frozen=True)
class Track:
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

    name: str
    path: Path
    subset: str

    def _read(self, part, sample_rate, mono):
        if self.path.is_dir():
            return load(self.path / f"{part}.wav", sample_rate=sample_rate, mono=mono)
        audio, rate = _read_stem_file(self.path, ("mixture", *SOURCES).index(part))
        audio = to_mono(audio) if mono else audio
        return (audio, rate) if sample_rate is None else (resample(audio, rate, sample_rate), sample_rate)

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
            where a stem is missing or damaged, or where stems differ in length.
        """
        stems = {source: self._read(source, sample_rate, mono)[0] for source in sources}
        lengths = {source: stem.shape[-1] for source, stem in stems.items()}
        if len(set(lengths.values())) > 1:
            raise AudioError(f"{self.path}: the stems differ in length ({lengths})")
        return stems

    def files(self):
        """The sound files of the song, sorted: what a checksum of the data covers."""
        return sorted(self.path.glob("*.wav")) if self.path.is_dir() else [self.path]

    def annotations(self):
        """What the virtual band knows of the song (f0, voicing, loudness; arrays by name), or {} for recorded music."""
        path = self.path / "annotations.npz"
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)


def _read_stem_file(path, index):
    """Stream `index` of a .stem.mp4 (0 is the mixture) as (channels, samples) float32 and its rate; needs ffmpeg."""
    try:
        import stempeg
    except (ImportError, RuntimeError) as error:
        raise AudioError(f"{path}: reading .stem.mp4 needs ffmpeg and the stempeg package ({error})") from error
    try:
        audio, rate = stempeg.read_stems(str(path), stem_id=index)
    except Exception as error:  # stempeg raises whatever ffmpeg's failure made of its pipes
        raise AudioError(f"{path}: not a stem file that can be read ({str(error).splitlines()[0][:80]})") from error
    return np.ascontiguousarray(audio.T, dtype=np.float32), int(rate)


def tracks(root, subset=None):
    """List the songs of a dataset, sorted by name.

    Parameters
    ----------
    root : str or Path
        the folder that holds `train` and/or `test`.
    subset : str, optional
        "train" or "test"; both where it is None.

    Returns
    -------
    list of Track

    Raises
    ------
    FileNotFoundError
        where the folder holds no song; the message says which folder and what it should hold.
    """
    root = Path(root)
    found = []
    for name in ("train", "test") if subset is None else (subset,):
        folder = root / name
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.is_dir() and (path / "mixture.wav").exists():
                found.append(Track(path.name, path, name))
            elif path.name.endswith(".stem.mp4"):
                found.append(Track(path.name.removesuffix(".stem.mp4"), path, name))
    if not found:
        wanted = "train or test" if subset is None else subset
        raise FileNotFoundError(
            f"{root}: no songs in {wanted}/<artist - title>/mixture.wav or {wanted}/*.stem.mp4; "
            "`make dataset` builds the virtual band, MUSDB_PATH names a copy of MUSDB18"
        )
    return found
