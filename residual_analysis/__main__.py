"""What phases are worth on recorded music: python -m residual_analysis [--musdb FOLDER]

Reads the test songs of MUSDB18 (MUSDB_PATH, or the option), writes results/residual_musdb18_7s.json.
"""

import argparse
import math
import sys

import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import stft
from audio_processing.masks import irm
from audio_processing.metrics import si_sdr
from audio_processing.tracks import musdb_root, tracks
from common import results
from common.files import sha256_of
from residual_analysis.residual import exchange, scores, weighted_phase_error

PATH = results.RESULTS / "residual_musdb18_7s.json"
SIZES = {"n_fft": 2048, "hop_length": 512}
EXCLUDED = ("PR - Oh No", "PR - Happy Daze")
"""Songs whose stems do not add up, or are missing."""


def measure(stems):
    """Scores of one song's ratio masks by power, and of signals that put true and wrong halves together.

    Parameters
    ----------
    stems : dict of str to np.ndarray, (channels, samples)

    Returns
    -------
    list of dict
        records with system, source, metric, unit, value. Systems: irm@power; true_magnitude (with the mixture's phase),
        true_phase (with the mixture's magnitude), mask_true_phase (the mask's magnitude with the true phase). A silent
        stem has no records.
    """
    mixture = sum(stems.values())
    mixed = stft(mixture, **SIZES)
    records = []

    def note(system, source, metric, value, unit="dB"):
        if math.isfinite(value):
            record = {"system": system, "source": source, "metric": metric, "unit": unit, "value": float(value)}
            records.append(record)

    for source, estimate in irm(stems, power=2, **SIZES).items():
        stem = stems[source]
        for metric, value in scores(stems, source, estimate).items():
            note("irm@power", source, metric, value)
        error = weighted_phase_error(stft(stem, **SIZES), mixed)
        note("mixture", source, "phase_error", np.degrees(error), "degrees")
        true_magnitude, true_phase = exchange(stem, mixture, **SIZES)
        note("true_magnitude", source, "si_sdr", si_sdr(stem, true_magnitude))
        note("true_phase", source, "si_sdr", si_sdr(stem, true_phase))
        note("mask_true_phase", source, "si_sdr", si_sdr(stem, exchange(stem, estimate, **SIZES)[1]))
    return records


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 where the songs cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m residual_analysis", description=__doc__.split("\n")[0])
    parser.add_argument("--musdb", default=musdb_root(), help="folder that holds test (MUSDB_PATH)")
    options = parser.parse_args(arguments)
    if options.musdb is None:
        print("residual_analysis: --musdb: a folder expected, or MUSDB_PATH set to one; found neither", file=sys.stderr)
        return 2
    try:
        songs = [song for song in tracks(options.musdb, "test") if song.name not in EXCLUDED]
        records = []
        for song in tqdm(songs, desc="residuals", unit="song", leave=False):
            records += [{"test_set": "musdb18_7s", "track": song.name, **r} for r in measure(song.stems())]
        data = sha256_of(*[path for song in songs for path in song.files()])
    except (FileNotFoundError, ValueError) as error:
        print(f"residual_analysis: {error}", file=sys.stderr)
        return 2
    content = results.head("residuals on musdb18_7s", config={**SIZES, "power": 2}, data=data)
    results.write(PATH, content | {"songs": len(songs), "records": records})
    print(f"wrote {PATH.relative_to(results.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
