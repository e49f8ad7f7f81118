"""The picture on the README's first screen: python -m tools.picture

Spectrograms of the report's example song and of its stems as Conv-TasNet separates them.
"""

import sys

import matplotlib

matplotlib.use("Agg")

import soundfile

import display
from common import results
from common.files import atomic_path

PICTURE = results.RESULTS / "picture.png"


def main():
    folder = results.RESULTS / "audio" / "same_artist"
    index = results.read(folder / "index.json")
    clips = {}
    for row, files in index["rows"].items():
        for column, file in files.items():
            if row == "mixture" or column == "Conv-TasNet":
                clips["mixture" if row == "mixture" else f"{row}, separated"] = soundfile.read(folder / file)[0].T
    figure = display.spectrograms(clips, index["sample_rate"], columns=2, height=1.7)
    with atomic_path(PICTURE) as temporary:
        figure.savefig(temporary, dpi=90, format="png", metadata={"Software": None})
    print(f"wrote {PICTURE.relative_to(results.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
