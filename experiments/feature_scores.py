"""Scores of what a stem sounds like, rather than of its samples: loudness, pitch, spectra, CREPE's activations.

A resynthesis has another phase than the stem it imitates, and its SI-SDR says nothing. These scores say whether it is
as loud, plays the same notes and has the same spectrum. Separated stems get them, too, so that both can be compared.

Pitch is looked at 50 times a second (every fifth frame of the annotations) by the tracker that is right most often on
that source (`features.LISTENING`): YIN for the bass, CREPE ("tiny") for vocals, pYIN where CREPE has no weights. Five
times as many looks would change an average over a song by less than it differs from song to song, and cost five times
as much: a song of 20 s takes about three seconds of one core for all of this.
"""

import functools
import math

import numpy as np
from keras import ops

from audio_processing.audio_processing import fix_length
from audio_processing.loudness import FRAME_RATE
from common.files import atomic_path
from ddsp_models.features import LISTENING, SAMPLE_RATE
from ddsp_models.loudness import loudness
from ddsp_models.pitch import crepe, tracking
from ddsp_models.spectral_loss import SCALES, spectral_loss

EVERY = 5
"""Frames of the annotations from one look at the pitch to the next."""
HOP_LENGTH = EVERY * SAMPLE_RATE // FRAME_RATE  # samples from look to look
EXAMPLE = 4.0
"""Seconds of an example of the spectral loss."""
PIECE = 60 * SAMPLE_RATE // HOP_LENGTH  # looks at a time: memory does not grow with a song's length
MARGIN = 5  # looks on either side of a piece that are thrown away
UNITS = {
    "spectral_loss": "sum over 6 scales",
    "spectral_loss_per_bin": "mean over bins",
    "loudness_l1": "dB",
    "f0_l1_cents": "cents",
    "f0_l1_hz": "Hz",
    "f0_confidence": "0-1",
    "raw_pitch_accuracy": "0-1",
    "crepe_bce": "nats per bin",
}


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
    true, played = (x[: len(x) // size * size].reshape(-1, size) for x in (stem, sound))
    sums = [0.0, 0.0]
    for start in range(0, len(true), 8):  # a few examples at a time: memory
        part = slice(start, start + 8)
        # one pass for both definitions: a mean per scale, added up; the same, weighted by the scales' bins
        means = [float(spectral_loss(true[part], played[part], scales=(n_fft,))) for n_fft in SCALES]
        bins = [-(-size // (n_fft // 4)) * (n_fft // 2 + 1) for n_fft in SCALES]
        many = len(true[part])
        sums[0] += many * sum(means)
        sums[1] += many * float(np.average(means, weights=bins))
    return {
        "spectral_loss": sums[0] / len(true),
        "spectral_loss_per_bin": sums[1] / len(true),
        "loudness_l1": loudness_l1(ops.convert_to_numpy(loudness(stem)), sound),
    }


def loudness_l1(decibels, sound):
    """Mean distance in dB between a course of loudness, (frames,) at 250 a second, and that of a sound at 16 kHz."""
    return float(np.mean(np.abs(ops.convert_to_numpy(loudness(sound)) - decibels)))


# --- pitch -----------------------------------------------------------------------------------------------------------


@functools.cache
def crepe_network():
    """CREPE with its published weights, or None where this machine has none."""
    try:
        return crepe.load_model("tiny", crepe_path())
    except crepe.WeightsError:
        return None


@functools.cache
def crepe_path():
    """Where CREPE's weights are; raises `crepe.WeightsError` where they are not."""
    return crepe.weights_path("tiny")


def listeners():
    """Who judges the pitch of each pitched source on this machine: source → method."""
    fallback = "pyin" if crepe_network() is None else "crepe"
    return {source: fallback if how["method"] == "crepe" else how["method"] for source, how in LISTENING.items()}


def listen(sound, source):
    """What a tracker and CREPE hear in a sound, 50 times a second.

    Parameters
    ----------
    sound : np.ndarray, (samples,)
        at 16 kHz, at least one look long.
    source : str
        which says who listens, and in which range.

    Returns
    -------
    dict of np.ndarray
        "f0" in Hz, 0 in silence, and "confidence" in [0, 1], (looks,); "salience", (looks, 360), where CREPE's weights
        are here. Look k is centred on k / 50 s.
    """
    how, method = LISTENING[source], listeners()[source]
    n_looks = len(sound) // HOP_LENGTH
    found = []
    for start in range(0, n_looks, PIECE):
        first = max(0, start - MARGIN)
        last = min(n_looks, start + PIECE + MARGIN)
        piece = sound[first * HOP_LENGTH : last * HOP_LENGTH]
        heard = {}
        if (network := crepe_network()) is not None:
            salience, level = crepe.activations(network, piece, HOP_LENGTH)
            heard["salience"] = salience * (level > tracking.SILENCE)[:, None]  # noise that nobody hears has no pitch
        if method == "crepe":
            heard["f0"], heard["confidence"] = _line(heard["salience"], how["fmin"], how["fmax"])
        else:
            line = tracking.track_pitch(piece, SAMPLE_RATE, method, fmin=how["fmin"], fmax=how["fmax"], every=EVERY)
            heard["f0"], heard["confidence"] = line.f0[::EVERY], line.confidence[::EVERY]
        inner = slice(start - first, min(start + PIECE, n_looks) - first)
        found.append({name: x[inner] for name, x in heard.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _line(salience, fmin, fmax):
    """A line of pitch in Hz, 0 in silence, and its confidence, from CREPE's activations."""
    hertz = crepe.cents_to_hz(crepe.bin_cents())
    salience = salience * ((hertz >= fmin) & (hertz <= fmax))
    confidence = salience.max(axis=1)
    return np.where(confidence > 0, crepe.decode(salience, crepe.viterbi(salience)), 0.0), confidence


def pitch_scores(truth, heard):
    """What was heard in a sound, against the true pitch, over the frames that truly are voiced.

    Parameters
    ----------
    truth : np.ndarray, (looks,)
        in Hz, 0 = unvoiced.
    heard : dict of np.ndarray
        of `listen`.

    Returns
    -------
    dict of float
        A frame in which nothing is heard is wrong for "raw_pitch_accuracy", and left out of the distances.
        "f0_confidence" is the tracker's own, over the voiced frames. Nothing where no frame is voiced.
    """
    counts = truth > 0
    if not counts.any():
        return {}
    f0 = heard["f0"]
    scores = {
        "raw_pitch_accuracy": tracking.raw_pitch_accuracy(truth, f0),
        "f0_confidence": float(np.mean(heard["confidence"][counts])),
    }
    both = counts & (f0 > 0)
    if both.any():
        scores["f0_l1_cents"] = float(np.mean(np.abs(1200 * np.log2(f0[both] / truth[both]))))
        scores["f0_l1_hz"] = float(np.mean(np.abs(f0[both] - truth[both])))
    return scores


def crepe_bce(target, estimate):
    r"""Binary cross-entropy between CREPE's activations of a stem and of its estimate.

    .. math:: -\frac{1}{360 K} \sum_{k,b} \big( y_{kb} \ln \hat y_{kb} + (1 - y_{kb}) \ln (1 - \hat y_{kb}) \big)

    with the activations y of the stem and ŷ of the estimate, which are kept between 1e-7 and 1 - 1e-7 (Keras' own
    limit). Its least value is not 0 but the entropy of y: what a perfect estimate scores.

    Parameters
    ----------
    target, estimate : np.ndarray, (looks, 360)

    Returns
    -------
    float
        in nats, mean over bins and looks.
    """
    y, guess = np.asarray(target, np.float64), np.clip(np.asarray(estimate, np.float64), 1e-7, 1 - 1e-7)
    return float(np.mean(-(y * np.log(guess) + (1 - y) * np.log(1 - guess))))


# --- a song ----------------------------------------------------------------------------------------------------------


def heard_in_target(stem, source, path=None):
    """`listen`, kept in a file: a song's true stem is listened to once, not once per system.

    Parameters
    ----------
    stem : np.ndarray, (samples,)
    source : str
    path : Path, optional
        of the file, whose name must tell what was listened to, and by whom.
    """
    if path is not None:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError):
            pass
    heard = {name: np.asarray(x, np.float32) for name, x in listen(stem, source).items()}
    if path is not None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **heard)
    return heard


def true_pitch(annotations, source, heard):
    """The pitch that counts, 50 times a second: the song's own annotation, or what the tracker hears in the true stem.

    Of a song without annotations, the frames count in which the tracker is sure of itself (confidence above a half).
    """
    if f"f0_{source}" in annotations:
        known = annotations[f"f0_{source}"] * annotations[f"voiced_{source}"]
        return fix_length(known[::EVERY], len(heard["f0"]))
    return np.where(heard["confidence"] > 0.5, heard["f0"], 0.0)


def score_features(stems, estimates, annotations, keep=None):
    """Records of all the scores of this module.

    Parameters
    ----------
    stems, estimates : dict of np.ndarray, (samples,)
        at 16 kHz, mono. Sources without an estimate, and silent stems, are not scored.
    annotations : dict of np.ndarray
        what the song knows of itself: f0_<source>, voiced_<source>.
    keep : callable, optional
        source → path of a file for what is heard in the true stem.

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
        if source in LISTENING:
            target, heard = heard_in_target(stem, source, keep and keep(source)), listen(estimate, source)
            scores |= pitch_scores(true_pitch(annotations, source, target), heard)
            if "salience" in heard and "salience" in target:
                scores["crepe_bce"] = crepe_bce(target["salience"], heard["salience"])
        records += [
            {"source": source, "metric": metric, "unit": UNITS[metric], "value": float(value)}
            for metric, value in scores.items()
            if math.isfinite(value)
        ]
    return records
