"""Scores of what a stem sounds like, rather than of its samples: loudness, pitch, spectra, CREPE's activations.

Notebook: experiments/experiments_report.ipynb

A resynthesis has another phase than the stem it imitates, so that SI-SDR does not measure it. These scores compare
loudness, notes and spectra. Separated stems get them, too, so that both can be compared.

The f0 is estimated 50 times a second (every fifth frame of the annotations) by the tracker that is right most often on
that source (`features.PITCHED_SOURCES`): YIN for the bass, CREPE ("tiny") for vocals, pYIN without its weights. Five
times as many frames would change an average over a song by less than it differs from song to song, and cost five times
as much: a song of 20 s takes about three seconds of one core for all of this.
"""

import functools
import math
import os
from contextlib import suppress

import numpy as np
from keras import ops

from audio_processing.audio_processing import fix_length
from audio_processing.loudness import FRAME_RATE
from common.files import atomic_path
from ddsp_models.features import PITCHED_SOURCES, SAMPLE_RATE
from ddsp_models.loudness import loudness
from ddsp_models.pitch import crepe, tracking
from ddsp_models.spectral_loss import SCALES, spectral_loss
from experiments.catalogue import METRICS

EVERY = 5  # frames of the annotations from one estimate of the f0 to the next
HOP_LENGTH = EVERY * SAMPLE_RATE // FRAME_RATE  # samples from frame to frame here
EXAMPLE = 4.0  # seconds of an example of the spectral loss
BATCH = 8  # examples at a time: memory does not grow with a song's length
PIECE = 60 * SAMPLE_RATE // HOP_LENGTH  # frames at a time, for the same reason
MARGIN = 5  # frames on either side of a piece that are thrown away
# Confidence of a tracker above which its f0 of a true stem counts as the reference, if there is no annotation.
SURE = 0.5
LEAST_PROBABILITY = 1e-7  # Keras' own limit in cross-entropies

# --- loudness and spectra --------------------------------------------------------------------------------------------


def sound_scores(stem, sound):
    """Spectral losses over examples of 4 s, and the distance in loudness over the whole.

    Parameters
    ----------
    stem, sound : np.ndarray, (samples,)
        at 16 kHz. What is left after the last whole example does not count for the spectral losses; a sound shorter
        than an example is one.

    Returns
    -------
    dict of float
        "spectral_loss" is the earlier report's and ddsp's, a sum over six scales; "spectral_loss_per_bin" a mean.
    """
    size = min(round(EXAMPLE * SAMPLE_RATE), len(stem))
    reference, estimate = (x[: len(x) // size * size].reshape(-1, size) for x in (stem, sound))
    bins = [-(-size // (n_fft // 4)) * (n_fft // 2 + 1) for n_fft in SCALES]
    sums = np.zeros(2)
    for start in range(0, len(reference), BATCH):
        part = slice(start, start + BATCH)
        # one pass for both definitions: a mean per scale, added up; the same, weighted by the scales' bins
        means = [float(spectral_loss(reference[part], estimate[part], scales=(n_fft,))) for n_fft in SCALES]
        sums += len(reference[part]) * np.array([sum(means), np.average(means, weights=bins)])
    per_scale, per_bin = (sums / len(reference)).tolist()
    return {
        "spectral_loss": per_scale,
        "spectral_loss_per_bin": per_bin,
        "loudness_l1": loudness_l1(ops.convert_to_numpy(loudness(stem)), sound),
    }


def loudness_l1(decibels, sound):
    """Mean distance in dB between a loudness, (frames,) at 250 frames/s, and the loudness of a sound at 16 kHz."""
    return float(np.mean(np.abs(ops.convert_to_numpy(loudness(sound)) - decibels)))


# --- pitch -----------------------------------------------------------------------------------------------------------


def crepe_network():
    """CREPE with its published weights; None if this machine has none."""
    return _crepe_network(os.environ.get("CREPE_WEIGHTS"))


@functools.cache
def _crepe_network(named):  # once for every place that the variable names
    try:
        return crepe.load_model("tiny", crepe.weights_path("tiny"))
    except crepe.WeightsError:
        return None


def trackers():
    """The pitch tracker of each source with an f0 on this machine: source → method."""
    fallback = "pyin" if crepe_network() is None else "crepe"
    return {source: fallback if how["method"] == "crepe" else how["method"] for source, how in PITCHED_SOURCES.items()}


def listening():
    """What decides scores of pitch besides the sounds: the trackers, and how often a second they look."""
    return {"listeners": trackers(), "looks_per_second": SAMPLE_RATE / HOP_LENGTH}


def available(source):
    """Which scores an estimate of a source can have here, as `experiments.catalogue.Metric.needs` names them."""
    if source not in PITCHED_SOURCES:
        return {"features"}
    return {"features", "f0"} if crepe_network() is None else {"features", "f0", "crepe"}


def track(sound, source):
    """F0 track and CREPE's activations of a sound, at 50 frames/s.

    Parameters
    ----------
    sound : np.ndarray, (samples,)
        at 16 kHz, at least one frame long.
    source : str
        selects the tracker and its range.

    Returns
    -------
    dict of np.ndarray
        "f0" in Hz, 0 in silence, and "confidence" in [0, 1], (frames,); "salience", (frames, 360), if CREPE's weights
        are here. Frame k is centred on k / 50 s.
    """
    n_frames = len(sound) // HOP_LENGTH
    parts = []
    for start in range(0, n_frames, PIECE):
        first, last = max(0, start - MARGIN), min(n_frames, start + PIECE + MARGIN)
        piece = _track_piece(sound[first * HOP_LENGTH : last * HOP_LENGTH], source)
        inner = slice(start - first, min(start + PIECE, n_frames) - first)
        parts.append({name: x[inner] for name, x in piece.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _track_piece(sound, source):
    tracked, method = {}, trackers()[source]
    limits = {name: PITCHED_SOURCES[source][name] for name in ("fmin", "fmax")}
    if (network := crepe_network()) is not None:
        salience, level = crepe.activations(network, sound, HOP_LENGTH)
        tracked["salience"] = salience * (level > tracking.SILENCE)[:, None]  # inaudible noise has no pitch
    if method == "crepe":
        return tracked | _crepe_f0(tracked["salience"], **limits)
    pitch = tracking.track_pitch(sound, SAMPLE_RATE, method, every=EVERY, **limits)
    return tracked | {"f0": pitch.f0[::EVERY], "confidence": pitch.confidence[::EVERY]}


def _crepe_f0(salience, fmin, fmax):
    """The f0 in Hz, 0 in silence, and its confidence, from CREPE's activations."""
    hertz = crepe.cents_to_hz(crepe.bin_cents())
    salience = salience * ((hertz >= fmin) & (hertz <= fmax))
    confidence = salience.max(axis=1)
    decoded = crepe.decode(salience, crepe.viterbi(salience))
    return {"f0": np.where(confidence > 0, decoded, 0.0), "confidence": confidence}


def pitch_scores(reference, tracked):
    """The f0 track of a sound against the reference, over the frames in which the reference is voiced.

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        in Hz, 0 = unvoiced.
    tracked : dict of np.ndarray
        as returned by `track`.

    Returns
    -------
    dict of float
        A frame without an estimate is wrong for "raw_pitch_accuracy", and left out of the distances. "f0_confidence"
        is the tracker's own, over the voiced frames. Empty if no frame is voiced.
    """
    voiced = reference > 0
    if not voiced.any():
        return {}
    f0 = tracked["f0"]
    scores = {
        "raw_pitch_accuracy": tracking.raw_pitch_accuracy(reference, f0),
        "f0_confidence": float(np.mean(tracked["confidence"][voiced])),
    }
    both = voiced & (f0 > 0)
    if both.any():
        scores["f0_l1_cents"] = float(np.mean(np.abs(1200 * np.log2(f0[both] / reference[both]))))
        scores["f0_l1_hz"] = float(np.mean(np.abs(f0[both] - reference[both])))
    return scores


def crepe_bce(target, estimate):
    r"""Binary cross-entropy between CREPE's activations of a stem and of its estimate.

    .. math:: -\frac{1}{360 K} \sum_{k,b} \big( y_{kb} \ln \hat y_{kb} + (1 - y_{kb}) \ln (1 - \hat y_{kb}) \big)

    with the activations y of the stem and ŷ of the estimate, which are kept between 1e-7 and 1 - 1e-7. Its least value
    is not 0 but the entropy of y: what a perfect estimate scores.

    Parameters
    ----------
    target, estimate : np.ndarray, (frames, 360)

    Returns
    -------
    float
        in nats, mean over bins and frames.
    """
    y, guess = np.asarray(target, np.float64), np.asarray(estimate, np.float64)
    guess = np.clip(guess, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return float(np.mean(-(y * np.log(guess) + (1 - y) * np.log(1 - guess))))


def f0_scores(reference, tracked, target):
    """`pitch_scores` of a sound and, where CREPE's weights are here, its `crepe_bce`.

    Parameters
    ----------
    reference : np.ndarray, (frames,)
        the f0 in Hz, 0 = unvoiced.
    tracked, target : dict of np.ndarray
        as returned by `track`, of the sound and of the true stem.
    """
    scores = pitch_scores(reference, tracked)
    if "salience" in tracked and "salience" in target:
        scores["crepe_bce"] = crepe_bce(target["salience"], tracked["salience"])
    return scores


# --- a song ----------------------------------------------------------------------------------------------------------


def target_path(folder, data, source):
    """File for the f0 track of a true stem of a song, by the checksum of the song's files."""
    return folder / f"{data[:16]}-{source}-{'-'.join(trackers().values())}.npz"


def track_target(stem, source, path=None):
    """`track`, kept in a file: a true stem is tracked once, not once per system.

    Parameters
    ----------
    stem : np.ndarray, (samples,)
    source : str
    path : Path, optional
        of the file, whose name must identify the stem and the trackers (`target_path`).
    """
    if path is not None:
        with suppress(OSError, ValueError, EOFError), np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    tracked = {name: np.asarray(x, np.float32) for name, x in track(stem, source).items()}
    if path is not None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **tracked)
    return tracked


def reference_f0(annotations, source, tracked):
    """The reference f0 at 50 frames/s: the song's own annotation, or the f0 track of the true stem.

    Of a song without annotations, the frames count in which the tracker's confidence is above `SURE`.
    """
    if f"f0_{source}" in annotations:
        f0 = annotations[f"f0_{source}"] * annotations[f"voiced_{source}"]
        return fix_length(f0[::EVERY], len(tracked["f0"]))
    return np.where(tracked["confidence"] > SURE, tracked["f0"], 0.0)


def score_features(stems, estimates, annotations, keep=None):
    """Records of all the scores of this module.

    Parameters
    ----------
    stems, estimates : dict of np.ndarray, (samples,)
        at 16 kHz, mono. Sources without an estimate, and silent stems, are not scored.
    annotations : dict of np.ndarray
        of the song: f0_<source>, voiced_<source>; empty for recorded music.
    keep : callable, optional
        source → path of a file for the f0 track of the true stem.

    Returns
    -------
    list of dict
        "source", "metric", "unit", "value"; values that are not defined are left out.
    """
    records = []
    for source, stem in stems.items():
        if source not in estimates or not np.any(stem) or len(stem) < HOP_LENGTH:
            continue
        stem, estimate = (np.asarray(x, np.float32) for x in (stem, estimates[source]))
        scores = sound_scores(stem, estimate)
        if source in PITCHED_SOURCES:
            target, tracked = track_target(stem, source, keep and keep(source)), track(estimate, source)
            scores |= f0_scores(reference_f0(annotations, source, target), tracked, target)
        records += as_records({name: float(x) for name, x in scores.items() if math.isfinite(x)}, source=source)
    return records


def as_records(scores, **names):
    """Scores by the names of metrics as records, which begin with these names."""
    return [{**names, "metric": name, "unit": METRICS[name].unit, "value": value} for name, value in scores.items()]
