"""Conv-TasNet (Luo & Mesgarani 2019, https://doi.org/10.1109/TASLP.2019.2915167) and the separator made of it."""

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from audio_processing.files import sha256_of
from audio_processing.windows import array_reader, by_windows
from mss_nn_implementation.layer import NORMS, Block, ScalarPReLU, mixture_consistent, overlap_add, overlapping_frames
from mss_nn_implementation.parameters import Parameters

WEIGHTS = Path(__file__).parent / "training_final_full"


@keras.saving.register_keras_serializable("mss")
class ConvTasNet(keras.Model):
    """A mixture's waveform in, the waveform of each source out.

    An encoder turns frames of the waveform into non-negative coefficients, a stack of dilated convolutions finds one
    mask per source over them, a decoder turns the masked coefficients back into frames. The mixture is brought to a
    root mean square of 1 first and the estimates back to its level: a louder song gives louder stems, nothing else.

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
        self.encoder = keras.layers.Dense(p.N, activation="relu", use_bias=False, name="encoder")
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
    try:
        record = json.loads(record_path.read_text())
        expected = record["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{record_path}: damaged; restore it from the repository or run `make train`") from error
    if sha256_of(path) != expected:
        raise WeightsError(
            f"{path}: checksum differs from {record_path.name}; restore both from the repository or run `make train`"
        )
    return keras.saving.load_model(path, compile=False, safe_mode=True), record


class ConvTasNetSeparator:
    """Separate any song with a trained Conv-TasNet.

    The network hears 16 kHz mono in windows as long as its training crops. A mono song of at most that rate gets the
    network's waveforms. For any other, the estimated stems are turned into time-frequency masks on the song's own
    channels at its own rate; above the network's band the mask of the highest octave it heard goes on.

    Parameters
    ----------
    name : str
        a model of `folder`.
    folder : str or Path
    """

    crossfade = 0.25
    """Share of a window that fades into the next."""

    def __init__(self, name="trio", folder=WEIGHTS):
        self.model, record = load_model(name, folder)
        self.sources = self.model.sizes.sources
        self.sample_rate = self.model.sizes.sample_rate
        self.window_seconds = record["training"]["seconds"]

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
        window = round(self.window_seconds * sample_rate)
        blocks = by_windows(
            array_reader(np.atleast_2d(mixture)),
            lambda block: self._window(block, sample_rate),
            window=window,
            overlap=max(1, round(self.crossfade * window)),
        )
        stems = np.concatenate(list(blocks), axis=-1).reshape(len(self.sources), *mixture.shape)
        return dict(zip(self.sources, stems))

    def _window(self, block, sample_rate):
        heard = resample(to_mono(block), sample_rate, self.sample_rate)  # (samples at the network's rate,)
        size = round(self.window_seconds * self.sample_rate)  # one shape, one compilation
        stems = ops.convert_to_numpy(self._run(fix_length(heard, size)[None]))[0, :, : len(heard)]
        if len(block) == 1 and sample_rate <= self.sample_rate:
            return fix_length(resample(stems, self.sample_rate, sample_rate), block.shape[-1])[:, None]
        parts = np.concatenate([stems, (heard - stems.sum(axis=0))[None]])  # what no stem claims is a part, too
        parts = fix_length(resample(parts, self.sample_rate, sample_rate), block.shape[-1])
        return masked_channels(block, parts, sample_rate, self.sample_rate)[: len(stems)]

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
    return lambda batch: model(ops.convert_to_tensor(batch), training=False)


def masked_channels(channels, parts, sample_rate, band_rate):
    """Divide a song's own channels among parts of it that are known in mono and in a lower band.

    Each bin of each channel is shared in proportion to the parts' magnitudes there. Above the band the shares of its
    upper half, averaged with the parts' energy as weight, go on frame by frame.

    Parameters
    ----------
    channels : np.ndarray, (channels, samples)
        at `sample_rate`.
    parts : np.ndarray, (parts, samples)
        at `sample_rate`, nothing above band_rate / 2.
    sample_rate, band_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, (parts, channels, samples)
        which add up to `channels`.
    """
    n_fft = 2 * round(0.032 * sample_rate)  # 64 ms
    hop = n_fft // 4
    length = channels.shape[-1]
    magnitudes = np.abs(stft(parts, n_fft, hop))  # (parts, frequencies, frames)
    total = magnitudes.sum(axis=0)
    masks = (magnitudes + 1e-9) / (total + 1e-9 * len(parts))
    top = min(masks.shape[1], int(0.45 * band_rate / sample_rate * n_fft))  # 7.2 kHz of 8: the filters' edge is above
    if top < masks.shape[1]:
        upper = magnitudes[:, top // 2 : top].sum(axis=1) + 1e-9  # (parts, frames)
        masks[:, top:] = (upper / upper.sum(axis=0))[:, None]
    spectra = stft(channels.astype(np.float32), n_fft, hop)  # (channels, frequencies, frames)
    return istft(masks[:, None] * spectra, hop, length=length)
