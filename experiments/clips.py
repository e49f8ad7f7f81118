"""Short clips of test songs for the report: python -m experiments.clips [--test-sets NAME …]

One example song per test set: the mixture, and each stem true and estimated, at one common gain. The song is the one
for which the first system's score is the median of the test set, so that the example is neither the best nor the worst.
Only test sets whose songs may be published have clips.
"""

import numpy as np
import soundfile

from common import results
from common.command import command
from common.files import atomic_path, sha256_of
from common.places import HERE
from experiments import provenance
from experiments.catalogue import SYSTEMS, TEST_SETS
from experiments.statistics import read_scores
from experiments.systems import estimates

SECONDS = 6.0
PEAK = 0.9  # largest sample of all clips of a folder
PLAYED = ("conv_tasnet", "ddsp_masked", "ddsp_resynthesis")  # systems whose estimates stand beside the true stems


def typical_song(test_set, system):
    """Name of the song whose si_sdr, averaged over its stems, is the median of the test set (the lower one of two)."""
    records = [record for record in read_scores(test_set, [system]) if record["metric"] == "si_sdr"]
    scores = {song: [r["value"] for r in records if r["track"] == song] for song in (r["track"] for r in records)}
    ranked = sorted(scores, key=lambda song: np.mean(scores[song]))
    return ranked[(len(ranked) - 1) // 2]


def loudest_part(mixture, samples):
    """Where the `samples` samples of most energy start, on a grid of a tenth of them."""
    energy = np.concatenate([[0], np.cumsum(np.square(mixture, dtype=np.float64))])
    starts = np.arange(0, max(1, len(mixture) - samples + 1), max(1, samples // 10))
    ends = np.minimum(starts + samples, len(mixture))
    return int(starts[np.argmax(energy[ends] - energy[starts])])


def intact(folder):
    """Whether the clips beside an index are those that it was written with."""
    return results.read(folder / "index.json")["files_sha256"] == sha256_of(*sorted(folder.glob("*.mp3")))


def write_folder(folder, clips, sample_rate, index):
    """Write clips at one common gain, and their index.

    Parameters
    ----------
    folder : Path
    clips : dict of dict of (str, np.ndarray)
        row → column → file name and samples.
    sample_rate : int
        in Hz.
    index : dict
        head, "caption" and "start" of the clips.

    Returns
    -------
    Path
        the index.
    """
    every = [clip for row in clips.values() for clip in row.values()]
    gain = PEAK / max(1e-9, *(np.abs(audio).max() for _, audio in every))
    for file, audio in every:
        with atomic_path(folder / file) as temporary:
            soundfile.write(temporary, gain * audio, sample_rate, format="MP3")
    about = {
        "sample_rate": sample_rate,
        "gain_db": float(20 * np.log10(gain)),
        "rows": {row: {column: file for column, (file, _) in columns.items()} for row, columns in clips.items()},
        "files_sha256": sha256_of(*sorted(folder.glob("*.mp3"))),
    }
    results.write(folder / "index.json", index | about)
    return folder / "index.json"


def write_clips(test_set, systems, places=HERE):
    """Write results/audio/<test set>/ unless it is up to date.

    Parameters
    ----------
    test_set : experiments.catalogue.TestSet
    systems : list of separate.System
    places : common.places.Places

    Returns
    -------
    Path
        the index that was written; None if it is up to date.
    """
    rate, name = test_set.sample_rate, typical_song(test_set.name, systems[0].name)
    song = next(song for song in test_set.songs(places) if song.name == name)
    masks = {"masks": {s.name: provenance.checksums(s).get("masks") for s in systems}}  # older files do not have them
    config = {
        "song": name,
        "systems": {s.name: s.label for s in systems},
        "seconds": SECONDS,
        "weights": {s.name: sha256_of(*provenance.files(s)) for s in systems if s.weights},
        **masks,
    }
    data = sha256_of(*song.files())
    folder = places.results / "audio" / test_set.name
    if results.is_up_to_date(folder / "index.json", config, data, missing=masks) and intact(folder):
        return None
    stems = song.stems(rate, mono=True, sources=test_set.sources)
    mixture = sum(stems.values())
    columns = {"true": ("true", stems)} | {s.label: (s.name, estimates(s, mixture, stems, rate)) for s in systems}
    start = loudest_part(mixture, int(SECONDS * rate))
    part = slice(start, start + int(SECONDS * rate))
    clips = {"mixture": {"true": ("mixture-true.mp3", mixture[part])}} | {
        source: {label: (f"{source}-{file}.mp3", sounds[source][part]) for label, (file, sounds) in columns.items()}
        for source in test_set.sources
    }
    index = results.head(f"clips {test_set.name}", config=config, data=data) | {
        "start": start / rate,
        "caption": f"“{name}”, {SECONDS:.0f} s from {start / rate:.1f} s on; one gain for all",
    }
    return write_folder(folder, clips, rate, index)


def write(test_sets):
    """Write the clips of test sets, by name; returns the folders."""
    systems = [SYSTEMS[name] for name in PLAYED]
    return [path.parent for name in test_sets if (path := write_clips(TEST_SETS[name], systems))]


def main(arguments=None):
    names = {"default": ["same_artist"], "choices": [name for name, row in TEST_SETS.items() if row.publishable]}
    return command(
        "experiments.clips", __doc__, write, {"--test-sets": dict(nargs="+", metavar="NAME", **names)}, arguments
    )


if __name__ == "__main__":
    raise SystemExit(main())
