"""What turning a song's stereo image does to its scores: it should do nothing, since the same music is there."""

import numpy as np

from audio_processing.tracks import readable, tracks
from common.places import HERE
from experiments.scores import score_track
from mss_nn_implementation.datasets import VALIDATION
from separate import separate

MODELS = ("musdb@once", "musdb", "hps")
"""Separators that recorded songs are for."""
SDR_LIMIT = 0.3
"""By how many dB the `sdr` and the `snr` of a song may change, in the mean over its stems."""
HALF, LONG = 0.5, np.sqrt(0.75)  # sine and cosine of 30 degrees
TURNS = {
    "one side inverted": np.diag([1.0, -1.0]),
    "sides swapped": np.eye(2)[::-1],
    "image turned by 30 degrees": np.array([[LONG, -HALF], [HALF, LONG]]),
}
"""What is done to a song: its left and right channel are multiplied by an orthogonal matrix."""


def songs(places=HERE):
    """The 14 songs of MUSDB18's training set that everybody keeps for validation; [] where there is no MUSDB18."""
    if not places.musdb:
        return []
    return readable([song for song in tracks(places.musdb, "train") if song.name in VALIDATION])[0]


def scores(model, stems, sample_rate, turn=None):
    """Scores of a song whose image is turned, each the mean over the stems that the model and the song have.

    Parameters
    ----------
    model : str
    stems : dict of np.ndarray, (2, samples)
    sample_rate : int
    turn : np.ndarray, (2, 2), optional

    Returns
    -------
    dict of str to float
        "sdr" and "snr" in dB. museval takes a stem whose channels cancel for a silent one: then there is no sdr.
    """
    true = {source: stem if turn is None else (turn @ stem).astype(np.float32) for source, stem in stems.items()}
    estimates = separate(sum(true.values()), sample_rate, model)
    known = {source: estimate for source, estimate in estimates.items() if source in true}
    rows, _ = score_track(true, known, sample_rate)
    return {name: np.mean([row["value"] for row in rows if row["metric"] == name] or np.nan) for name in ("sdr", "snr")}


def changes(model, places=HERE):
    """How much the scores of the validation songs change under each turn.

    Returns
    -------
    dict of str to list of float
        turn → for each song the larger change of its sdr and snr, in dB.
    """
    found = {name: [] for name in TURNS}
    for song in songs(places):
        stems = song.stems()
        before = scores(model, stems, song.sample_rate)
        for name, turn in TURNS.items():
            after = scores(model, stems, song.sample_rate, turn)
            found[name].append(float(np.nanmax([abs(after[metric] - before[metric]) for metric in before])))
    return found
