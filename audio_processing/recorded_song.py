"""The recorded song as a test set of one: what is left of it after the part that networks are trained on."""

from collections import namedtuple
from pathlib import Path

from audio_processing.audio_processing import fix_length
from audio_processing.tracks import SOURCES, TRIO, load_usable
from common.places import HERE

# Of the recorded song: from which second to which.
SONG_PARTS = {"train": (0, 106), "validation": (106, 120), "test": (120, None)}


def song_path(path=None):
    """The folder of the recorded song: `path`, by default the one that AIR_TRAFFIC_PATH names.

    Raises
    ------
    FileNotFoundError
        if neither is a folder with stems.
    """
    path = path or HERE.air_traffic
    if not path or not any(Path(path).glob("vocals.*")):
        raise FileNotFoundError(
            f"AIR_TRAFFIC_PATH: expected a folder with drums.*, bass.* and vocals.*, got {path or 'nothing'}"
        )
    return Path(path)


class RecordedSong(namedtuple("RecordedSong", "path name", defaults=("Clara Berry And Wooldog - Air Traffic",))):
    """The test part of a recorded song, with the methods of `audio_processing.tracks.Track` that scoring calls.

    Parameters
    ----------
    path : str or Path
        folder of the stems.
    name : str
    """

    def stems(self, sample_rate, mono=True, sources=SOURCES):
        """The true stems, from the second on at which training and validation end, in the order of `sources`."""
        read = (load_usable(path, sample_rate, mono) for path in self._files(sources))
        stems = [audio[..., SONG_PARTS["test"][0] * rate :] for audio, rate in read]
        longest = max(stem.shape[-1] for stem in stems)  # files may end some samples apart
        return {source: fix_length(stem, longest) for source, stem in zip(sources, stems)}

    def files(self):
        """The sound files of its three sources."""
        return self._files(TRIO)

    def check(self, sources=SOURCES):
        """Raises FileNotFoundError if the file of a source is missing."""
        self._files(sources)

    def annotations(self):
        """It has none."""
        return {}

    def _files(self, sources):
        folder = song_path(self.path)
        paths = [next(iter(sorted(folder.glob(f"{source}.*"))), None) for source in sources]
        if None in paths:
            raise FileNotFoundError(f"{folder}: expected {sources[paths.index(None)]}.*, got no such file")
        return paths
