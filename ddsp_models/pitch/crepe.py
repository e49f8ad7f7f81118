r"""CREPE (Kim et al. 2018, https://doi.org/10.1109/ICASSP.2018.8461329): a network that hears the pitch of one voice.

Six convolutions look at 1,024 samples of 16 kHz sound and say for 360 pitches, 20 cents apart, how likely each is.
`load_model` puts the published weights (MIT licence) into it; `decode` and `decode_voicing` turn its answers into one
line of pitch.
"""

import bz2
import hashlib
import io
import os
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

SAMPLE_RATE = 16000  # Hz
WINDOW = 1024  # samples
BINS = 360
CENTS_PER_BIN = 20.0
LOWEST_CENTS = 1997.3794084376191
"""Pitch of bin 0, in cents above 10 Hz: 31.7 Hz."""

SIZES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
"""How many times the unit width each published network is."""

ADDRESS = "https://github.com/marl/crepe/raw/models/{file}"
BLOBS = {
    "tiny": "c7ef4f8e4d120f32c62803322a279cc2b055ca35",
    "small": "c3506b614de4b4775378cbaa8916edffe3cad406",
    "medium": "4eaf75ea3c8ba97756b4509d9efabcb6f0b6a1b1",
    "large": "93d3dc39fe2364a24b9f0f95b37307fed3faf1d8",
    "full": "073f07dd696b851136d59c46b777c909502ad9a1",
}
"""Names that git gives the published files (their SHA-1 behind a short header), from the branch `models`."""


class WeightsError(ValueError):
    """CREPE's weights cannot be had or used. The message is one line that says where to put them."""


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
        for another size.
    """
    if size not in SIZES:
        raise ValueError(f"size: {size!r} found, one of {', '.join(SIZES)} expected")
    x = keras.Input((WINDOW,), name="input")
    y = layers.Reshape((WINDOW, 1))(x)
    widths, taps, strides = (32, 4, 4, 4, 8, 16), (512, 64, 64, 64, 64, 64), (4, 1, 1, 1, 1, 1)
    for i in range(6):
        convolution = layers.Conv1D(
            widths[i] * SIZES[size],
            taps[i],
            strides[i],
            padding="same",
            activation="relu",
            name=f"conv{i + 1}",
        )
        y = layers.BatchNormalization(name=f"conv{i + 1}-BN")(convolution(y))
        y = layers.MaxPooling1D(2)(y)
        y = layers.Dropout(0.25)(y)  # (batch, 1024 / 2^(i + 3), filters)
    y = layers.Dense(BINS, activation="sigmoid", name="classifier")(layers.Flatten()(y))
    return keras.Model(x, y, name=f"crepe_{size}")


# --- weights ---------------------------------------------------------------------------------------------------------


def weights_path(size="tiny"):
    """Where this machine has the published weights of a network.

    In this order: the file, or the folder of files, that `CREPE_WEIGHTS` names; an installed `crepe`; Keras' cache,
    downloaded to it if need be and compared with the published file's checksum.

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
        where they are nowhere and cannot be downloaded.
    """
    if size not in SIZES:
        raise ValueError(f"size: {size!r} found, one of {', '.join(SIZES)} expected")
    names = (f"model-{size}.h5", f"model-{size}.h5.bz2")
    if given := os.environ.get("CREPE_WEIGHTS"):
        given = Path(given).expanduser()
        found = [given] if given.is_file() else [given / name for name in names if (given / name).is_file()]
        if not found:
            raise WeightsError(f"CREPE_WEIGHTS: {given} found, a file or a folder with {names[1]} expected")
        return found[0]
    for folder in _installed():
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return _download(names[1], BLOBS[size])


def _installed():
    """Folders of an installed `crepe`, found without importing it (which would import another Keras)."""
    from importlib.util import find_spec

    spec = find_spec("crepe")
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


UNREACHED = {}
"""When the download of a file last failed, in s; it is not tried again for `RETRY` seconds."""
RETRY = 300.0


def _download(name, blob):
    address = ADDRESS.format(file=name)
    missing = WeightsError(
        f"{name}: not on this machine, and {address} cannot be reached; put the file anywhere and its path into"
        " CREPE_WEIGHTS"
    )
    if time.monotonic() - UNREACHED.get(name, -RETRY) < RETRY:  # a song has many windows, each of which asks
        raise missing
    try:
        path = Path(keras.utils.get_file(name, address, cache_subdir="crepe"))
    except Exception as error:  # Keras passes on whatever the network raises
        UNREACHED[name] = time.monotonic()
        raise missing from error
    if _git_blob(path.read_bytes()) != blob:
        path.unlink()
        raise WeightsError(f"{name}: what was downloaded is not the published file (its checksum differs); try again")
    return path


def _git_blob(content):
    """The name git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def load_weights(model, path):
    """Put published weights into a network of `build`.

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
        where the file is not such a file, or of a network of another size.
    """
    import h5py

    path = Path(path)
    try:
        content = path.read_bytes()
        file = h5py.File(io.BytesIO(bz2.decompress(content) if content[:3] == b"BZh" else content))
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(f"{path}: not an HDF5 file of CREPE's weights (.h5 or .h5.bz2)") from error
    with file:
        for layer in model.layers:
            if not layer.weights:
                continue
            try:
                group = file[layer.name]
                arrays = [np.asarray(group[name]) for name in group.attrs["weight_names"]]
            except KeyError as error:
                raise WeightsError(f"{path}: has no layer {layer.name}; CREPE's published weights expected") from error
            arrays = [array[:, 0] if array.ndim == 4 else array for array in arrays]  # (taps, 1, in, out) -> 3-D
            found, expected = [a.shape for a in arrays], [tuple(w.shape) for w in layer.weights]
            if found != expected:
                raise WeightsError(
                    f"{path}: layer {layer.name} is {found[0]} there and {expected[0]} in {model.name}; another size?"
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
        where there are none, or they do not fit.
    """
    model = build(size)
    load_weights(model, path or weights_path(size))
    return model


# --- from sound to activations ---------------------------------------------------------------------------------------


def frames(audio, hop_length):
    """Cut a sound into what the network looks at, frame k centred on sample k · hop_length.

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
        standard deviation of each before that.
    """
    padded = np.pad(np.asarray(audio, np.float32), WINDOW // 2)
    n = len(audio) // hop_length
    cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: n * hop_length : hop_length]
    cut = cut - cut.mean(axis=1, keepdims=True)
    level = cut.std(axis=1)
    return cut / np.maximum(level, 1e-8)[:, None], level


def activations(model, audio, hop_length, batch_size=256):
    """What the network says about each frame.

    Parameters
    ----------
    model : keras.Model
        of `load_model`.
    audio : np.ndarray, (samples,)
        at 16 kHz.
    hop_length : int
    batch_size : int
        frames at a time: memory is that of one batch.

    Returns
    -------
    salience : np.ndarray, (frames, 360)
    level : np.ndarray, (frames,)
        standard deviation of the samples that each frame saw.
    """
    cut, level = frames(audio, hop_length)
    parts = []
    for start in range(0, len(cut), batch_size):
        part = cut[start : start + batch_size]
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


def hz_to_cents(hertz):
    """From Hz, which must be positive, to cents above 10 Hz."""
    return 1200 * np.log2(np.asarray(hertz) / 10.0)


def target(f0):
    """What the network is trained to say of a pitch: a Gaussian of 25 cents around it (the paper's equation 3).

    Parameters
    ----------
    f0 : np.ndarray, (...,)
        in Hz; all zeros where it is 0 (unvoiced).

    Returns
    -------
    np.ndarray, (..., 360)
    """
    f0 = np.asarray(f0, np.float64)[..., None]
    distance = bin_cents() - hz_to_cents(np.where(f0 > 0, f0, 1.0))
    return np.where(f0 > 0, np.exp(-(distance**2) / (2 * 25.0**2)), 0.0)


def decode(salience, path=None):
    """One pitch per frame: the mean of the pitches around a bin, weighted by their activations.

    Parameters
    ----------
    salience : np.ndarray, (frames, 360)
    path : np.ndarray of int, (frames,), optional
        the bins; by default those of the largest activations. `viterbi` gives a line without leaps.

    Returns
    -------
    np.ndarray, (frames,)
        in Hz.
    """
    path = salience.argmax(axis=1) if path is None else path
    near = path[:, None] + np.arange(-4, 5)  # (frames, 9)
    inside = (near >= 0) & (near < BINS)
    near = np.clip(near, 0, BINS - 1)
    weights = np.take_along_axis(salience, near, axis=1) * inside + 1e-12 * (near == path[:, None])
    return cents_to_hz(np.sum(weights * bin_cents()[near], axis=1) / weights.sum(axis=1))


def viterbi(salience, reach=12):
    """The likeliest line of bins when pitch may not leap (Viterbi 1967).

    A step of d bins between frames is as likely as max(reach - |d|, 0), and a bin in a frame as its activation.

    Parameters
    ----------
    salience : np.ndarray, (frames, bins)
    reach : int
        bins; the published decoder's 12, 240 cents.

    Returns
    -------
    np.ndarray of int, (frames,)
    """
    emission = np.log(np.maximum(salience, 1e-6)).astype(np.float64)
    n_frames, bins = emission.shape
    steps = np.arange(-reach + 1, reach)
    from_bin = np.arange(bins)[:, None] + steps  # (bins, steps): where a line may come from
    inside = (from_bin >= 0) & (from_bin < bins)
    from_bin = np.clip(from_bin, 0, bins - 1)
    likely = reach - np.abs(np.arange(bins)[:, None] - np.arange(bins))
    leaving = np.maximum(likely, 0).sum(axis=1)  # each bin's steps add up to a probability of 1
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
    """Where there is a voice: the likeliest course of two states that seldom change.

    Parameters
    ----------
    confidence : np.ndarray, (frames,)
        largest activation, in [0, 1].
    threshold : float
        confidence at which voice and none are equally likely.
    stay : float
        probability that a frame is like the one before it.

    Returns
    -------
    np.ndarray of bool, (frames,)
    """
    evidence = np.clip(confidence, 1e-3, 1 - 1e-3)
    odds = np.log(evidence / (1 - evidence)) - np.log(threshold / (1 - threshold))  # for a voice, (frames,)
    change = np.log((1 - stay) / stay)
    score, came_by_change = np.array([0.0, odds[0]]), np.zeros((len(odds), 2), bool)  # states: none, voice
    for k in range(1, len(odds)):
        came_by_change[k] = score[::-1] + change > score
        score = np.maximum(score, score[::-1] + change) + np.array([0.0, odds[k]])
    voiced = np.empty(len(odds), bool)
    state = int(score.argmax())
    for k in range(len(odds) - 1, -1, -1):
        voiced[k] = state
        state ^= int(came_by_change[k, state])
    return voiced
