"""The value of phases on recorded music: python -m residual_analysis [--musdb FOLDER]

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
from audio_processing.tracks import EXCLUDED, tracks
from common import results
from common.checks import expect
from common.files import sha256_of
from common.places import HERE
from residual_analysis.residual import exchange, scores, weighted_phase_error

PATH = HERE.results / "residual_musdb18_7s.json"
SIZES = {"n_fft": 2048, "hop_length": 512}


def measure(stems):
    """Score one song's ratio masks by power, and signals with the true magnitudes or the true phases.

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
    rows = []
    for source, estimate in irm(stems, power=2, **SIZES).items():
        stem = stems[source]
        error = weighted_phase_error(stft(stem, **SIZES), mixed)
        true_magnitude, true_phase = exchange(stem, mixture, **SIZES)
        rows += [
            *(("irm@power", source, metric, "dB", value) for metric, value in scores(stems, source, estimate).items()),
            ("mixture", source, "phase_error", "degrees", float(np.degrees(error))),
            ("true_magnitude", source, "si_sdr", "dB", si_sdr(stem, true_magnitude)),
            ("true_phase", source, "si_sdr", "dB", si_sdr(stem, true_phase)),
            ("mask_true_phase", source, "si_sdr", "dB", si_sdr(stem, exchange(stem, estimate, **SIZES)[1])),
        ]
    return [dict(zip(("system", "source", "metric", "unit", "value"), row)) for row in rows if math.isfinite(row[-1])]


def write(musdb):
    """Measure the songs in a folder, and write the result file; returns its path in a list."""
    expect(musdb is not None, "--musdb", "a folder, or MUSDB_PATH set to one", "neither")
    songs = [song for song in tracks(musdb, "test") if song.name not in EXCLUDED]
    records = []
    for song in tqdm(songs, desc="residuals", unit="song", leave=False):
        records += [{"test_set": "musdb18_7s", "track": song.name, **record} for record in measure(song.stems())]
    data = sha256_of(*(path for song in songs for path in song.files()))
    head = results.head("residuals on musdb18_7s", config={**SIZES, "power": 2}, data=data)
    results.write(PATH, head | {"songs": len(songs), "records": records})
    return [PATH]


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 if the songs cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m residual_analysis", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--musdb", default=HERE.musdb, help="folder that holds test (default: $MUSDB_PATH)")
    options = parser.parse_args(arguments)
    return results.report("residual_analysis", lambda: write(options.musdb))


if __name__ == "__main__":
    sys.exit(main())
