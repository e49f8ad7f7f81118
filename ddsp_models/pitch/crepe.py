r"""CREPE (Kim et al. 2018, https://doi.org/10.1109/ICASSP.2018.8461329): a network that estimates the pitch of a voice.

Notebook: ddsp_models/pitch_report.ipynb

Six convolutions over 1,024 samples of 16 kHz sound predict how likely each of 360 pitches is, 20 cents apart.
`load_model` loads the published weights (MIT licence); `decode`, `viterbi` and `decode_voicing` turn the activations
into an f0 track.
"""

import bz2
import hashlib
import importlib.util
import io
import os
import time
from pathlib import Path

import h5py
import keras
import librosa
import numpy as np
from keras import layers, ops

from common.checks import expect
from training.weights import WeightsError

SAMPLE_RATE = 16000  # Hz
WINDOW = 1024  # samples
BINS = 360
LOWEST_CENTS, CENTS_PER_BIN = 1997.3794084376191, 20.0  # pitch of bin 0 above 10 Hz (31.7 Hz), and of a step
SIZES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}  # widths of the published networks
CONVOLUTIONS = ((32, 512, 4), (4, 64, 1), (4, 64, 1), (4, 64, 1), (8, 64, 1), (16, 64, 1))  # width, taps, stride
MEAN_OVER = 4  # bins to either side of a peak whose mean is the pitch: the published decoder's


ADDRESS = "https://github.com/marl/crepe/raw/models/{file}"
RETRY = 300.0  # s in which a failed download is not tried again: a song has many chunks, each of which asks
UNREACHED = {}  # when the download of a file last failed, in s
# Names that git gives the published files (their SHA-1 behind a short header), from the branch `models`:
BLOBS = {
    "tiny": "c7ef4f8e4d120f32c62803322a279cc2b055ca35",
    "small": "c3506b614de4b4775378cbaa8916edffe3cad406",
    "medium": "4eaf75ea3c8ba97756b4509d9efabcb6f0b6a1b1",
    "large": "93d3dc39fe2364a24b9f0f95b37307fed3faf1d8",
    "full": "073f07dd696b851136d59c46b777c909502ad9a1",
}


def build(size="tiny"):
    """The network, untrained.

    Parameters
    ----------
    size : {"tiny", "small", "medium", "large", "full"}

    Returns
    -------
    keras.Model
        (batch, 1024) normalised samples in, (batch, 360) activations in [0, 1] out.

    Raises
    ------
    ValueError
        if there is no such size.
    """
    expect(size in SIZES, "size", f"one of {', '.join(SIZES)}", repr(size))
    x = keras.Input((WINDOW,), name="input")
    y = layers.Reshape((WINDOW, 1))(x)
    for i, (width, taps, stride) in enumerate(CONVOLUTIONS, 1):
        y = layers.Conv1D(width * SIZES[size], taps, stride, padding="same", activation="relu", name=f"conv{i}")(y)
        y = layers.BatchNormalization(name=f"conv{i}-BN")(y)
        y = layers.Dropout(0.25)(layers.MaxPooling1D(2)(y))  # (batch, 1024 / 2^(i + 2), filters)
    y = layers.Dense(BINS, activation="sigmoid", name="classifier")(layers.Flatten()(y))
    return keras.Model(x, y, name=f"crepe_{size}")


# --- weights ---------------------------------------------------------------------------------------------------------


def weights_path(size="tiny"):
    """The file on this machine that holds the published weights of a network.

    The first of these: the file, or the folder of files, that `CREPE_WEIGHTS` names; an installed `crepe`; Keras'
    cache, downloaded to it if need be and compared with the published file's checksum.

    Parameters
    ----------
    size : {"tiny", "small", "medium", "large", "full"}

    Returns
    -------
    Path
        of model-<size>.h5 or model-<size>.h5.bz2.

    Raises
    ------
    WeightsError
        if they are not here and cannot be downloaded.
    """
    expect(size in SIZES, "size", f"one of {', '.join(SIZES)}", repr(size))
    names = (f"model-{size}.h5", f"model-{size}.h5.bz2")
    given = os.environ.get("CREPE_WEIGHTS")
    places = [Path(given).expanduser()] if given else _installed()
    for path in [*places, *(folder / name for folder in places for name in names)]:
        if path.is_file():
            return path
    if given:
        raise WeightsError(f"CREPE_WEIGHTS: expected a file or a folder with {names[1]}, got {given}")
    return _download(names[1], BLOBS[size])


def _installed():
    """Folders of an installed `crepe`, found without importing it (which would import another Keras)."""
    spec = importlib.util.find_spec("crepe")
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


def _download(name, blob):
    """The published file in Keras' cache, downloaded unless it is there."""
    address = ADDRESS.format(file=name)
    missing = WeightsError(
        f"{name}: not on this machine, and {address} cannot be reached; put the file anywhere and its path into"
        " CREPE_WEIGHTS"
    )
    if time.monotonic() - UNREACHED.get(name, -RETRY) < RETRY:
        raise missing
    try:
        path = Path(keras.utils.get_file(name, address, cache_subdir="crepe"))
    except Exception as error:  # Keras passes on whatever the network raises
        UNREACHED[name] = time.monotonic()
        raise missing from error
    if _git_blob(path.read_bytes()) != blob:
        path.unlink()
        raise WeightsError(f"{name}: downloaded a file other than the published one (its checksum differs); try again")
    return path


def _git_blob(content):
    """The name git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def load_weights(model, path):
    """Load published weights into a network of `build`.

    The files are those of Keras 2: HDF5, a group per layer whose attribute `weight_names` gives the order, perhaps
    compressed by bzip2. The published convolutions are two-dimensional with one column; that axis is dropped.

    Parameters
    ----------
    model : keras.Model
    path : str or Path
        .h5 or .h5.bz2

    Raises
    ------
    WeightsError
        if the file is not such a file, or of a network of another size.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        file = h5py.File(io.BytesIO(bz2.decompress(content) if content[:3] == b"BZh" else content))
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(f"{path}: expected an HDF5 file of CREPE's weights (.h5 or .h5.bz2)") from error
    with file:
        for layer in (layer for layer in model.layers if layer.weights):
            try:
                group = file[layer.name]
                arrays = [np.asarray(group[name]) for name in group.attrs["weight_names"]]
            except KeyError as error:
                raise WeightsError(f"{path}: expected CREPE's published weights, got no layer {layer.name}") from error
            arrays = [array[:, 0] if array.ndim == 4 else array for array in arrays]  # (taps, 1, in, out) -> 3-D
            shapes, expected = [a.shape for a in arrays], [tuple(w.shape) for w in layer.weights]
            if shapes != expected:
                raise WeightsError(
                    f"{path}: expected {layer.name} {expected[0]} for {model.name}, got {shapes[0]}, of another size"
                )
            layer.set_weights(arrays)


def load_model(size="tiny", path=None):
    """The network with its published weights.

    Parameters
    ----------
    size : {"tiny", "small", "medium", "large", "full"}
    path : str or Path, optional
        of the weights; by default `weights_path(size)`.

    Returns
    -------
    keras.Model

    Raises
    ------
    WeightsError
        if there are none, or they do not fit.
    """
    model = build(size)
    load_weights(model, path or weights_path(size))
    return model


# --- from sound to activations ---------------------------------------------------------------------------------------


def frames(audio, hop_length):
    """Cut a sound into the network's inputs, frame k centred on sample k · hop_length.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        at 16 kHz.
    hop_length : int

    Returns
    -------
    frames : np.ndarray, (n, 1024), float32
        each of mean 0 and variance 1, silent ones 0; n = samples // hop_length.
    level : np.ndarray, (n,)
        standard deviation of each before it was normalised.
    """
    padded = np.pad(np.asarray(audio, np.float32), WINDOW // 2)
    cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(audio) // hop_length * hop_length : hop_length]
    cut = cut - cut.mean(axis=1, keepdims=True)
    level = cut.std(axis=1)
    return cut / np.maximum(level, 1e-8)[:, None], level


def activations(model, audio, hop_length, batch_size=256):
    """The network's activations for each frame of a sound.

    Parameters
    ----------
    model : keras.Model
        as returned by `load_model`.
    audio : np.ndarray, (samples,)
        at 16 kHz.
    hop_length : int
    batch_size : int
        frames at a time: memory is that of one batch.

    Returns
    -------
    salience : np.ndarray, (frames, 360)
    level : np.ndarray, (frames,)
        standard deviation of each frame's samples.
    """
    cut, level = frames(audio, hop_length)
    parts = []
    for part in np.split(cut, range(batch_size, len(cut), batch_size)):
        full = np.pad(part, ((0, batch_size - len(part)), (0, 0)))  # one shape, one compilation
        parts.append(ops.convert_to_numpy(model.predict_on_batch(full))[: len(part)])
    return np.concatenate(parts), level


# --- from activations to pitch ---------------------------------------------------------------------------------------


def bin_cents():
    """Pitch of each bin in cents above 10 Hz, (360,)."""
    return LOWEST_CENTS + CENTS_PER_BIN * np.arange(BINS)


def cents_to_hz(cents):
    """From cents above 10 Hz to Hz."""
    return 10.0 * 2.0 ** (np.asarray(cents) / 1200)


def target(f0):
    """The network's training target: a Gaussian of 25 cents around the pitch (the paper's equation 3).

    Parameters
    ----------
    f0 : np.ndarray, (...,)
        in Hz, 0 in unvoiced frames, whose target is all zeros.

    Returns
    -------
    np.ndarray, (..., 360)
    """
    f0 = np.asarray(f0, np.float64)[..., None]
    distance = bin_cents() - 1200 * np.log2(np.where(f0 > 0, f0, 1.0) / 10.0)
    return np.where(f0 > 0, np.exp(-(distance**2) / (2 * 25.0**2)), 0.0)


def decode(salience, path=None):
    """One pitch per frame: the mean of the pitches around a bin, weighted by their activations.

    Parameters
    ----------
    salience : np.ndarray, (frames, 360)
    path : np.ndarray of int, (frames,), optional
        the bins, such as those of `viterbi`; those of the largest activations if None.

    Returns
    -------
    np.ndarray, (frames,)
        in Hz.
    """
    path = salience.argmax(axis=1) if path is None else path
    near = path[:, None] + np.arange(-MEAN_OVER, MEAN_OVER + 1)  # (frames, 9)
    inside = (near >= 0) & (near < BINS)
    near = np.clip(near, 0, BINS - 1)
    weights = np.take_along_axis(salience, near, axis=1) * inside + 1e-12 * (near == path[:, None])
    return cents_to_hz(np.sum(weights * bin_cents()[near], axis=1) / weights.sum(axis=1))


def viterbi(salience, reach=12):
    """The most probable path of bins if pitch may not leap (Viterbi 1967, https://doi.org/10.1109/TIT.1967.1054010).

    A step of d bins between frames is as likely as max(reach - |d|, 0), and a bin in a frame as its activation.

    Parameters
    ----------
    salience : np.ndarray, (frames, bins)
    reach : int
        bins; 240 cents in the published decoder, too.

    Returns
    -------
    np.ndarray of int, (frames,)

    Notes
    -----
    `librosa.sequence.viterbi` finds the same path in six times the time, since it does not know that steps are short.
    """
    emission = np.log(np.maximum(salience, 1e-6)).astype(np.float64)
    n_frames, bins = emission.shape
    steps = np.arange(-reach + 1, reach)
    from_bin = np.arange(bins)[:, None] + steps  # (bins, steps): where a path may come from
    inside = (from_bin >= 0) & (from_bin < bins)
    from_bin = np.clip(from_bin, 0, bins - 1)
    leaving = np.where(inside, reach - np.abs(steps), 0).sum(axis=1)  # each bin's steps add up to a probability of 1
    step = np.where(inside, np.log((reach - np.abs(steps)) / leaving[from_bin]), -np.inf)
    score, origin = emission[0], np.zeros((n_frames, bins), np.int32)
    for k in range(1, n_frames):
        candidates = score[from_bin] + step  # (bins, steps)
        best = candidates.argmax(axis=1)
        origin[k] = from_bin[np.arange(bins), best]
        score = candidates[np.arange(bins), best] + emission[k]
    path = np.empty(n_frames, np.int64)
    path[-1] = score.argmax()
    for k in range(n_frames - 1, 0, -1):
        path[k - 1] = origin[k, path[k]]
    return path


def decode_voicing(confidence, threshold=0.5, stay=0.99):
    """Voiced frames: the most probable path (Viterbi) through two states that seldom change.

    Parameters
    ----------
    confidence : np.ndarray, (frames,)
        largest activation, in [0, 1].
    threshold : float
        confidence at which both states are equally likely.
    stay : float
        probability that a frame is like the one before it.

    Returns
    -------
    np.ndarray of bool, (frames,)
    """
    confidence = np.clip(confidence, 1e-3, 1 - 1e-3)
    evidence = np.stack([(1 - confidence) * threshold, confidence * (1 - threshold)])  # (unvoiced and voiced, frames)
    changes = librosa.sequence.transition_loop(2, stay)
    return librosa.sequence.viterbi(evidence / evidence.sum(axis=0), changes).astype(bool)
