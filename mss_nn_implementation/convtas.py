"""Conv-TasNet (Luo & Mesgarani 2019, https://doi.org/10.1109/TASLP.2019.2915167) and the separator made of it."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import scipy.fft
from keras import ops

from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from audio_processing.chunks import array_reader, by_windows, even_window
from common.files import sha256_of
from mss_nn_implementation.layer import NORMS, Block, ScalarPReLU, mixture_consistent, overlap_add, overlapping_frames
from mss_nn_implementation.parameters import Parameters

WEIGHTS = Path(__file__).parent / "training_final_full"


@keras.saving.register_keras_serializable("mss")
class ConvTasNet(keras.Model):
    """A mixture's waveform in, the waveform of each source out.

    An encoder turns frames of the waveform into coefficients, a stack of dilated convolutions finds one mask per source
    over them, a decoder turns the masked coefficients back into frames. The mixture is brought to a root mean square
    of 1 first and the estimates back to its level: a louder song gives louder stems, nothing else.

    Parameters
    ----------
    parameters : Parameters
        or the dict of its fields.

    Notes
    -----
    Called with (batch, samples), any number of samples, returns (batch, sources, samples); a network of several
    channels turns (batch, channels, samples) into (batch, sources, channels, samples).

    A causal network leaves the level alone, which it could know only at the end: its encoder has no offsets and cLN
    follows, so that its masks do not depend on the level either. An output sample waits for the frames that hold it:
    it depends on nothing that comes L samples later or after.
    """

    def __init__(self, parameters, **kwargs):
        super().__init__(**kwargs)
        p = parameters if isinstance(parameters, Parameters) else Parameters(**parameters)
        self.autocast = False  # level and framing need the input's own precision
        self.sizes = p
        self.encoder = keras.layers.Dense(p.N, activation=p.encoder, use_bias=False, name="encoder")
        self.norm = NORMS[p.norm](name="norm")
        self.bottleneck = keras.layers.Dense(p.B, name="bottleneck")
        kind = {"norm": p.norm, "causal": p.causal, "skip": p.skip}
        self.blocks = [
            Block(p.B, p.H, p.P, p.Sc, 2**x, last=(r, x) == (p.R - 1, p.X - 1), **kind, name=f"block_{r}_{x}")
            for r in range(p.R)
            for x in range(p.X)
        ]
        self.activation = ScalarPReLU(name="activation")
        bound = self.shared if p.mask == "softmax" else p.mask
        self.masks = keras.layers.Dense(len(p.sources) * p.N, activation=bound, name="masks")
        self.decoder = keras.layers.Dense(p.channels * p.L, use_bias=False, name="decoder")

    def build(self, shape):
        p = self.sizes
        self.encoder.build((None, None, p.channels * p.L))
        self.norm.build((None, None, p.N))
        self.bottleneck.build((None, None, p.N))
        for block in self.blocks:
            block.build((None, None, p.B))
        found = p.Sc if p.skip else p.B
        self.activation.build((None, None, found))
        self.masks.build((None, None, found))
        self.decoder.build((None, None, p.N))

    def shared(self, x):
        """Softmax over the sources of (batch, frames, sources·N): at every coefficient the masks add up to 1."""
        sources = len(self.sizes.sources)
        x = ops.reshape(x, (*ops.shape(x)[:2], sources, self.sizes.N))
        return ops.reshape(ops.softmax(x, axis=2), (*ops.shape(x)[:2], sources * self.sizes.N))

    def call(self, mixture):
        p = self.sizes
        mono = len(mixture.shape) == 2
        signal = mixture[:, None] if mono else mixture  # (batch, channels, samples)
        if signal.shape[1] != p.channels:
            raise ValueError(f"mixture: {p.channels} channels expected, got shape {tuple(mixture.shape)}")
        samples = ops.shape(signal)[2]
        level = 1.0
        if not p.causal:
            level = ops.sqrt(ops.mean(ops.square(signal), axis=(1, 2), keepdims=True)) + 1e-8  # (batch, 1, 1)
        # half a frame of zeros in front and at least as much behind: two frames cover every sample
        padded = ops.pad(signal / level, ((0, 0), (0, 0), (p.hop, p.hop + (-samples) % p.hop)))
        frames = [overlapping_frames(padded[:, c], p.L) for c in range(p.channels)]
        w = self.encoder(ops.concatenate(frames, axis=-1))  # (batch, frames, N)
        x = self.bottleneck(self.norm(w))  # (batch, frames, B)
        found = 0
        for block in self.blocks:
            x, skip = block(x)
            found = found + skip if p.skip else x  # (batch, frames, Sc or B)
        masks = self.masks(self.activation(found))  # (batch, frames, sources·N)
        stems = []
        for i in range(len(p.sources)):
            frames = self.decoder(w * masks[..., i * p.N : (i + 1) * p.N])  # (batch, frames, channels·L)
            frames = ops.cast(frames, "float32")
            channels = [overlap_add(frames[..., c * p.L : (c + 1) * p.L]) for c in range(p.channels)]
            stems.append(ops.stack(channels, axis=1)[..., p.hop : p.hop + samples])
        stems = ops.stack(stems, axis=1)  # (batch, sources, channels, samples)
        if p.consistent:
            stems = mixture_consistent(stems, signal / level)
        stems = stems * (level if p.causal else level[:, None])
        return stems[:, :, 0] if mono else stems

    def copy(self):
        """A network of these sizes and weights in float32, with no optimiser's state."""
        other = ConvTasNet(self.sizes)
        other.build((None, None))
        other.set_weights(self.get_weights())
        return other

    @classmethod
    def count(cls, sizes):
        """How many weights a network of these `Parameters` has."""
        model = cls(sizes)
        model.build((None, None))
        return model.count_params()

    def compute_output_shape(self, shape):
        return (shape[0], len(self.sizes.sources), *shape[1:])

    def get_config(self):
        return {**super().get_config(), "parameters": self.sizes.to_dict()}


class WeightsError(ValueError):
    """Trained weights that cannot be used. The message is one line that names the file and says what to do."""


def load_model(name="trio", folder=WEIGHTS):
    """Load a trained network that `train.py` saved.

    Parameters
    ----------
    name : str
        `name`.keras holds network and weights, `name`.json their training settings and checksum.
    folder : str or Path

    Returns
    -------
    model : ConvTasNet
    record : dict
        "parameters", "training", "sha256", and where and when it was trained.

    Raises
    ------
    WeightsError
        where a file is missing, or the weights are not those that the record describes.
    """
    path, record_path = Path(folder) / f"{name}.keras", Path(folder) / f"{name}.json"
    for needed in (path, record_path):
        if not needed.exists():
            raise WeightsError(f"{needed}: no such file; `make train` writes it")
    advice = "restore both files from the repository or run `make train`"
    try:
        record = json.loads(record_path.read_text())
        expected, seconds = record["sha256"], float(record["training"]["seconds"])
        sizes = Parameters(**record["parameters"]) if "parameters" in record else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{record_path}: damaged; {advice}") from error
    if not 0 < seconds < math.inf:
        raise WeightsError(f"{record_path}: crops of {seconds} s; {advice}")
    if sha256_of(path) != expected:
        raise WeightsError(f"{path}: checksum differs from {record_path.name}; {advice}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a strange archive made of its parts
        raise WeightsError(f"{path}: not a network that this program saved; {advice}") from error
    if not isinstance(model, ConvTasNet) or (sizes or model.sizes) != model.sizes:
        raise WeightsError(f"{path}: a network of other sizes than {record_path.name} says; {advice}")
    return model, record


class ConvTasNetSeparator:
    """Separate any song with a trained Conv-TasNet.

    The network hears its own sample rate and number of channels in windows as long as its training crops. A song of as
    many channels and of at most that rate gets the network's waveforms. Any other is heard as what its channels have in
    common, at the network's rate. Each channel of a stem is that waveform, and a share of what the channel holds beside
    it: of its difference from the other channels, and of all above the network's band (`masked_channels`).

    Parameters
    ----------
    name : str
        a model of `folder`.
    folder : str or Path
    window_seconds : float, optional
        length of the windows; that of the training crops where it is None.
    averaged : bool
        the mean of several hearings, whose errors differ: everything once more with its sign changed; and a network in
        mono also hears each channel by itself. Of a mono song that takes the network's time twice, of a stereo song
        six times. On MUSDB18's 14 validation songs it gained in each, 0.2 dB of `sdr` in the mean; on the virtual band,
        whose channels differ in little but their reverberation, hearing each of them loses.
    """

    crossfade = 0.25
    """Share of a window that fades into the next."""
    batch = 4
    """Windows that the network gets at a time: always as many, so that it is compiled once."""
    windows = 12
    """Windows in a chunk: what surrounds the network is done for a chunk at a time."""

    def __init__(self, name="trio", folder=WEIGHTS, *, window_seconds=None, averaged=False):
        model, record = load_model(name, folder)
        self._use(model, record["training"]["seconds"] if window_seconds is None else window_seconds, averaged)

    def _use(self, model, window_seconds, averaged):
        if not 0 < window_seconds < math.inf:
            raise ValueError(f"window_seconds: a positive number expected, got {window_seconds}")
        self.model, self.window_seconds, self.averaged = model, window_seconds, averaged
        self.sources, self.sample_rate = model.sizes.sources, model.sizes.sample_rate

    @classmethod
    def of(cls, model, window_seconds, averaged=False):
        """A separator with a network that is in memory, and whose weights may still change."""
        separator = cls.__new__(cls)
        separator._use(model, window_seconds, averaged)
        return separator

    @property
    def overlap_seconds(self):
        """Seconds over which one window, or chunk, fades into the next."""
        return self.crossfade * self.window_seconds

    @property
    def chunk_seconds(self):
        """Seconds of a chunk: how much of a long song is wanted at once."""
        return (self.windows - (self.windows - 1) * self.crossfade) * self.window_seconds

    def separate(self, mixture, sample_rate=None):
        """Separate one song.

        Parameters
        ----------
        mixture : np.ndarray, (samples,) or (channels, samples)
        sample_rate : int, optional
            in Hz; that of the network where it is None.

        Returns
        -------
        dict of np.ndarray
            a stem per source, each float32 and shaped like `mixture`.
        """
        sample_rate = sample_rate or self.sample_rate
        mixture = np.asarray(mixture, np.float32)
        longest, overlap = (round(s * sample_rate) for s in (self.chunk_seconds, self.overlap_seconds))
        chunk, overlap = even_window(mixture.shape[-1], longest, max(1, overlap))
        blocks = by_windows(
            array_reader(np.atleast_2d(mixture)),
            lambda block: self._chunk(block, sample_rate),
            window=chunk,
            overlap=overlap,
        )
        stems = np.concatenate(list(blocks), axis=-1).reshape(len(self.sources), *mixture.shape)
        return dict(zip(self.sources, stems))

    def _chunk(self, block, sample_rate):
        """Stems (sources, channels, samples) of a chunk (channels, samples)."""
        stems = self._hear(block, sample_rate)
        if self.averaged and self.model.sizes.channels == 1 < len(block):
            each = [self._hear(channel[None], sample_rate) for channel in block]
            stems = (stems + np.concatenate(each, axis=1)) / 2
        return stems

    def _hear(self, block, sample_rate):
        """Stems of a chunk whose channels are heard together."""
        channels = self.model.sizes.channels
        heard = block if len(block) == channels else np.broadcast_to(to_mono(block), (channels, block.shape[-1]))
        heard = resample(heard, sample_rate, self.sample_rate)
        stems = self._windows(heard)  # (sources, channels, samples), both the network's
        same_channels = len(block) == channels
        if same_channels and sample_rate <= self.sample_rate:
            return fix_length(resample(stems, self.sample_rate, sample_rate), block.shape[-1])
        parts = np.concatenate([stems, (heard - stems.sum(axis=0))[None]])  # what no stem claims is a part, too
        parts = parts if same_channels else parts.mean(axis=1, keepdims=True)
        groups = np.split(block, parts.shape[1])  # channels that share their masks
        rates = (sample_rate, self.sample_rate, self.sample_rate)
        masked = [masked_channels(g, parts[:, i], *rates, keep=len(stems)) for i, g in enumerate(groups)]
        return np.concatenate(masked, axis=1)

    def _windows(self, heard):
        """The network's stems (sources, channels, samples) of what it hears, in overlapping windows."""
        size = round(self.window_seconds * self.sample_rate)
        cut = {"window": size, "overlap": max(1, round(self.crossfade * size))}
        windows = []
        for _ in by_windows(array_reader(heard), lambda block: (windows.append(block), block.copy())[1], **cut):
            pass
        results = self._batches(windows)
        return np.concatenate(list(by_windows(array_reader(heard), lambda _: next(results), **cut)), axis=-1)

    def _batches(self, windows):
        """The network's stems (sources, channels, samples) of each window (channels, samples), in order."""
        for start in range(0, len(windows), self.batch):
            batch = np.zeros((self.batch, *windows[0].shape), np.float32)
            count = len(windows[start : start + self.batch])
            batch[:count] = windows[start : start + self.batch]
            batch = batch[:, 0] if batch.shape[1] == 1 else batch
            stems = np.array(ops.convert_to_numpy(self._run(batch)))[:count]
            if self.averaged:
                stems = (stems - ops.convert_to_numpy(self._run(-batch))[:count]) / 2
            yield from stems.reshape(count, len(self.sources), *windows[0].shape)

    def _run(self, batch):
        if not hasattr(self, "_compiled"):
            self._compiled = _compile(self.model)
        return self._compiled(batch)


def _compile(model):
    """The model's forward pass, compiled by the backend where it can."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda batch: model(batch, training=False), jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(lambda batch: model(batch, training=False))
    import torch

    return torch.inference_mode()(lambda batch: model(ops.convert_to_tensor(batch), training=False))


def masked_channels(channels, parts, sample_rate, band_rate, parts_rate=None, keep=None):
    """Divide a song's own channels among parts of it that are known in mono and in a lower band.

    The parts together are what is known of every channel. What is left of a channel, all above the band and its
    difference from the other channels below, is divided bin by bin: below in proportion to the parts' powers there,
    above, frame by frame, to their magnitudes in the highest quarter of the band.

    Parameters
    ----------
    channels : np.ndarray, (channels, samples)
        at `sample_rate`.
    parts : np.ndarray, (parts, samples)
        at `parts_rate`, nothing above band_rate / 2.
    sample_rate, band_rate : int
        in Hz.
    parts_rate : int, optional
        in Hz; `sample_rate` where it is None.
    keep : int, optional
        return only so many of the parts, from the first.

    Returns
    -------
    np.ndarray, (parts, channels, samples)
        which add up to `channels`.
    """
    length = channels.shape[-1]
    parts = fix_length(resample(parts, parts_rate or sample_rate, sample_rate), length).astype(np.float32, copy=False)
    hop = scipy.fft.next_fast_len(max(1, round(HOP_SECONDS * sample_rate)))  # in windows of four hops
    left = stft(channels.astype(np.float32, copy=False) - parts.sum(axis=0), 4 * hop, hop)
    masks = np.stack([np.abs(stft(part, 4 * hop, hop)) for part in parts])  # (parts, frequencies, frames)
    top = min(masks.shape[1], int(0.45 * band_rate / sample_rate * 4 * hop))  # 7.2 kHz of 8: filters end above
    upper = np.sqrt(np.sum(np.square(masks[:, 3 * top // 4 : top]), axis=1)) + 1e-9  # (parts, frames)
    masks[:, top:] = upper[:, None]
    masks[:, :top] = np.square(masks[:, :top]) + 1e-9
    masks /= masks.sum(axis=0)
    stems = np.empty((len(masks[:keep]), *channels.shape), np.float32)
    for stem, part, mask in zip(stems, parts, masks):  # one at a time: spectra are larger than sounds
        stem[:] = part + istft(mask * left, hop, length=length)
    return stems


HOP_SECONDS = 0.0232
"""Of the masks of `masked_channels`, whose windows are four hops: 4,096 samples at 44.1 kHz."""
