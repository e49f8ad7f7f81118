"""The recorded song as a test set of one: what is left of it after the part that networks are trained on."""

import os
from dataclasses import dataclass
from pathlib import Path

from audio_processing.audio_processing import fix_length, load
from audio_processing.tracks import SOURCES

AIR_TRAFFIC = os.environ.get("AIR_TRAFFIC_PATH") or None
"""Folder of the recorded song's stems as sound files, each named after its source; None where it is not here."""


SONG_PARTS = {"train": (0, 106), "validation": (106, 120), "test": (120, None)}
"""Of a single recorded song: from which second to which."""


def song_path(path=None):
    """The folder of the recorded song: what is given, or what AIR_TRAFFIC_PATH names.

    Raises
    ------
    FileNotFoundError
        where neither is a folder with stems.
    """
    path = path or os.environ.get("AIR_TRAFFIC_PATH")
    if not path or not any(Path(path).glob("vocals.*")):
        raise FileNotFoundError(
            f"AIR_TRAFFIC_PATH: {path or 'nothing'} found, a folder with drums.*, bass.* and vocals.* expected"
        )
    return Path(path)


@dataclass(frozen=True)
class RecordedSong:
    """The test part of a recorded song; as `audio_processing.tracks.Track` for what scores it.

    Parameters
    ----------
    path : str or Path
        folder of the stems.
    name : str
    """

    path: Path
    name: str = "Clara Berry And Wooldog - Air Traffic"

    def stems(self, sample_rate, mono=True, sources=SOURCES):
        """The true stems, from the second on at which training and validation end, in the order of `sources`."""
        start, _ = SONG_PARTS["test"]
        stems = {}
        for source, path in zip(sources, self._files(sources)):
            audio, rate = load(path, sample_rate=sample_rate, mono=mono)
            stems[source] = audio[..., start * rate :]
        longest = max(stem.shape[-1] for stem in stems.values())  # files may end some samples apart
        return {source: fix_length(stem, longest) for source, stem in stems.items()}

    def files(self):
        """The sound files of its three voices."""
        return self._files(("drums", "bass", "vocals"))

    def annotations(self):
        """Nothing is known of it but its sound."""
        return {}

    def _files(self, sources):
        folder = song_path(self.path)
        found = {source: sorted(folder.glob(f"{source}.*")) for source in sources}
        for source, paths in found.items():
            if not paths:
                raise FileNotFoundError(f"{folder}: {source}.* expected, no such file found")
        return [paths[0] for paths in found.values()]
