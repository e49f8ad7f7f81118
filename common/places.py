"""Where things are on this machine: one object, which functions take as an argument and tests replace."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # the checkout: code and shipped weights


@dataclass(eq=False)  # one is equal to itself alone, and may be a default
class Places:
    """Folders that programs read and write.

    Parameters
    ----------
    root : Path
        `results`, `runs` and `data` lie in it.
    musdb : Path, optional
        a copy of MUSDB18, MUSDB18-HQ or the 7 s excerpts; None if there is none on this machine.
    air_traffic : Path, optional
        the recorded song's stems as sound files, each named after its source; None if it is not on this machine.
    """

    root: Path = ROOT
    musdb: Path | None = None
    air_traffic: Path | None = None

    @classmethod
    def named_by(cls, environment, root=ROOT):
        """The places that MUSDB_PATH and AIR_TRAFFIC_PATH name; without the first, the excerpts that `make musdb`
        fetched."""
        named = (environment.get(name) for name in ("MUSDB_PATH", "AIR_TRAFFIC_PATH"))
        musdb, air_traffic = (Path(path) if path else None for path in named)
        excerpts = cls(root).excerpts
        return cls(root, musdb or (excerpts if excerpts.is_dir() else None), air_traffic)

    @property
    def results(self):
        """What runs wrote and the repository keeps."""
        return self.root / "results"

    @property
    def runs(self):
        """What runs keep for themselves: checkpoints, logs, songs that are scored already."""
        return self.root / "runs"

    @property
    def band(self):
        """The sets of the virtual band."""
        return self.root / "data" / "virtual_band"

    @property
    def excerpts(self):
        """Where `make musdb` puts MUSDB18's 7 s excerpts."""
        return self.root / "data" / "musdb18-7s"

    def shown(self, path):
        """A path as messages show it: relative to `root` if it lies inside."""
        path = Path(path)
        return path.relative_to(self.root) if path.is_relative_to(self.root) else path


HERE = Places.named_by(os.environ)  # the places of this process
