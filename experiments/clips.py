"""Short clips of the virtual band for the report: python -m experiments.clips

One example song per test set: the mixture, and each stem true and estimated, at one common gain. The song is the one
for which the first system's score is the median of the test set, so that the example is neither the best nor the worst.
"""

import argparse
import sys

import numpy as np
import soundfile

from audio_processing.tracks import tracks
from common import results
from common.files import atomic_path, sha256_of
from experiments.__main__ import TEST_SETS, WEIGHTS, is_current
from experiments.statistics import read_scores
from experiments.systems import SYSTEMS

SECONDS = 6.0
HEARD = {"conv_tasnet": "Conv-TasNet", "ddsp_masked": "DDSP masks", "ddsp_resynthesis": "DDSP resynthesis"}
"""Systems whose estimates are heard beside the true stems, and how they are called there."""
MAY_BE_HEARD = ("same_artist", "other_artist", "extra_instrument")
"""Test sets whose clips may be stored: those of the virtual band."""


def typical_song(test_set, system):
    """Name of the song whose si_sdr, averaged over its stems, is the median of the test set (the lower one of two)."""
    scores = {}
    for record in read_scores(test_set, [system]):
        if record["metric"] == "si_sdr":
            scores.setdefault(record["track"], []).append(record["value"])
    ranked = sorted(scores, key=lambda song: np.mean(scores[song]))
    return ranked[(len(ranked) - 1) // 2]


def loudest_part(mixture, samples):
    """Where the `samples` samples of most energy begin, on a grid of a tenth of them."""
    energy = np.concatenate([[0], np.cumsum(np.square(mixture, dtype=np.float64))])
    starts = np.arange(0, max(1, len(mixture) - samples + 1), max(1, samples // 10))
    ends = np.minimum(starts + samples, len(mixture))
    return int(starts[np.argmax(energy[ends] - energy[starts])])


def clips_intact(folder):
    """Whether the clips beside an index are those that it was written with."""
    return results.read(folder / "index.json")["files_sha256"] == sha256_of(*sorted(folder.glob("*.mp3")))


def write_clips(test_set, systems=HEARD):
    """Write results/audio/<test set>/ unless it is current; returns the path of its index if it was written."""
    root, subset, sources, sample_rate, _ = TEST_SETS[test_set]
    name = typical_song(test_set, next(iter(systems)))
    song = next(song for song in tracks(root, subset) if song.name == name)
    folder = results.RESULTS / "audio" / test_set
    config = {"song": name, "systems": dict(systems), "seconds": SECONDS}
    config["weights"] = {system: sha256_of(*WEIGHTS[system]) for system in systems if system in WEIGHTS}
    data = sha256_of(*song.files())
    if is_current(folder / "index.json", config, data) and clips_intact(folder):
        return None
    stems = song.stems(sample_rate, mono=True, sources=sources)
    mixture = sum(stems.values())
    estimates = {system: SYSTEMS[system](mixture, stems, sample_rate) for system in systems}
    start = loudest_part(mixture, int(SECONDS * sample_rate))
    part = slice(start, start + int(SECONDS * sample_rate))
    columns = {"true": stems} | estimates
    clips = {"mixture": {"true": mixture}}
    clips |= {source: {column: found[source] for column, found in columns.items()} for source in sources}
    peak = max(np.abs(clip[part]).max() for row in clips.values() for clip in row.values())
    gain = 0.9 / max(peak, 1e-9)
    rows = {}
    for row, columns in clips.items():
        rows[row] = {}
        for column, clip in columns.items():
            file = f"{row}-{column}.mp3"
            with atomic_path(folder / file) as temporary:
                soundfile.write(temporary, gain * clip[part], sample_rate, format="MP3")
            rows[row][systems.get(column, column)] = file
    index = results.head(f"clips {test_set}", config=config, data=data)
    index |= {"sample_rate": sample_rate, "start": start / sample_rate, "gain_db": float(20 * np.log10(gain))}
    index["caption"] = f"“{name}”, {SECONDS:.0f} s from {start / sample_rate:.1f} s on; one gain for all"
    index["rows"] = rows
    index["files_sha256"] = sha256_of(*sorted(folder.glob("*.mp3")))
    results.write(folder / "index.json", index)
    return folder / "index.json"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m experiments.clips", description=__doc__)
    parser.add_argument("--test-sets", nargs="+", default=["same_artist"], choices=MAY_BE_HEARD, metavar="NAME")
    options = parser.parse_args(arguments)
    try:
        written = [path for test_set in options.test_sets if (path := write_clips(test_set))]
    except (FileNotFoundError, ValueError) as error:
        print(f"experiments.clips: {error}", file=sys.stderr)
        return 2
    print(
        "wrote " + ", ".join(str(path.parent.relative_to(results.ROOT)) for path in written)
        if written
        else "all current"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
