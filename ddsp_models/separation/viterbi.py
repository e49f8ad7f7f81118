"""The most probable f0, given the probabilities of every pitch (Viterbi). Shown in `combined_report.ipynb`."""

import librosa
import numpy as np

LEAST_PROBABILITY = 1e-6  # of a pitch: no frame alone rules out a path


def transitions(n_pitches, glide=0.7, leap=7.0, begin=4.0, rest=5.0):
    """How likely one pitch follows another: near ones more than far ones, a leap always possible, rests in between.

    Parameters
    ----------
    n_pitches : int
    glide : float
        cost of a bin's distance, in nats, until it is a leap.
    leap, begin, rest : float
        cost of a leap, of the beginning of a rest, and of its end in any one pitch.

    Returns
    -------
    np.ndarray, (n_pitches + 1, n_pitches + 1)
        rows add up to 1; the last state is "no pitch".
    """
    distance = np.abs(np.subtract.outer(np.arange(n_pitches), np.arange(n_pitches)))
    logs = np.zeros((n_pitches + 1, n_pitches + 1))
    logs[:-1, :-1] = -np.minimum(glide * distance, leap)
    logs[:-1, -1], logs[-1, :-1] = -begin, -rest
    table = np.exp(logs)
    return table / table.sum(axis=1, keepdims=True)


def viterbi_f0(logits, lowest, per_semitone):
    """The f0 along the most probable path through a chunk (Viterbi), to a fraction of a bin.

    Parameters
    ----------
    logits : np.ndarray, (frames, bins + 1)
        of each pitch and, last, of none.
    lowest : float
        MIDI number of the first bin.
    per_semitone : int
        bins.

    Returns
    -------
    np.ndarray, float32, (frames,)
        in Hz, 0 for no pitch.
    """
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    probability = np.exp(shifted) + LEAST_PROBABILITY
    probability /= probability.sum(axis=-1, keepdims=True)
    n_pitches = probability.shape[1] - 1
    states = librosa.sequence.viterbi(probability.T, transitions(n_pitches))
    near = np.clip(states[:, None] + np.arange(-2, 3), 0, n_pitches - 1)
    weight = np.take_along_axis(probability, near, axis=1)
    position = np.sum(weight * near, axis=1) / weight.sum(axis=1)
    f0 = 440.0 * 2.0 ** ((lowest + position / per_semitone - 69.0) / 12.0)
    return np.where(states < n_pitches, f0, 0.0).astype(np.float32)
