"""The picture on the README's first screen: python -m tools.picture

Spectrograms of the report's example song and of its stems as Conv-TasNet separates them.
"""

import matplotlib

matplotlib.use("Agg")

import soundfile

import display
from common import results
from common.files import atomic_path
from common.places import HERE

PICTURE = HERE.results / "picture.png"


def main():
    folder = HERE.results / "audio" / "same_artist"
    index = results.read(folder / "index.json")
    files = {"mixture": next(iter(index["rows"].pop("mixture").values()))} | {
        f"{source}, separated": row["Conv-TasNet"] for source, row in index["rows"].items()
    }
    clips = {title: soundfile.read(folder / file)[0].T for title, file in files.items()}
    figure = display.spectrograms(clips, index["sample_rate"], columns=2, height=1.7)
    with atomic_path(PICTURE) as temporary:
        figure.savefig(temporary, dpi=90, format="png", metadata={"Software": None})
    return [PICTURE]


if __name__ == "__main__":
    raise SystemExit(results.report("tools.picture", main))
