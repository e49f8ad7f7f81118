"""Conv-TasNet (Luo & Mesgarani 2019, https://doi.org/10.1109/TASLP.2019.2915167) and the separator made of it.

Shown in `mss_nn_implementation/convtas_report.ipynb`.
"""

import math
from functools import partial
from itertools import chain
from pathlib import Path

import keras
import numpy as np
from keras import ops

from audio_processing.audio_processing import fix_length, resample
from audio_processing.chunks import CROSSFADE, MonoSeparator, array_reader, crossfade, cut
from audio_processing.masks import masked_channels
from common.checks import expect
from mss_nn_implementation.layer import NORMS, Block, ScalarPReLU, mixture_consistent, overlap_add, overlapping_frames
from mss_nn_implementation.parameters import Parameters
from training.compiled import compiled
from training.weights import load_checked

WEIGHTS = Path(__file__).parent / "training_final_full"


@keras.saving.register_keras_serializable("mss")
class ConvTasNet(keras.Model):
    """Estimates the waveform of each source from the waveform of a mixture.

    An encoder turns frames of the waveform into coefficients, a stack of dilated convolutions predicts one mask per
    source over them, a decoder turns the masked coefficients back into frames. The mixture is first scaled to a root
    mean square of 1, and the estimates are scaled back: a louder song gives louder stems, nothing else.

    Parameters
    ----------
    parameters : Parameters
        or the dict of its fields.

    Notes
    -----
    Called with (batch, samples), any number of samples, returns (batch, sources, samples); a network of several
    channels turns (batch, channels, samples) into (batch, sources, channels, samples).

    A causal network does not scale, since the level is that of the whole mixture: its encoder has no offsets and cLN
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
        outputs = p.Sc if p.skip else p.B
        channels = [(self.encoder, p.channels * p.L), (self.norm, p.N), (self.bottleneck, p.N)]
        channels += [*((block, p.B) for block in self.blocks), (self.activation, outputs), (self.masks, outputs)]
        for layer, size in [*channels, (self.decoder, p.N)]:
            layer.build((None, None, size))

    def shared(self, x):
        """Softmax over the sources of (batch, frames, sources·N): at every coefficient the masks add up to 1."""
        sources = len(self.sizes.sources)
        x = ops.reshape(x, (*ops.shape(x)[:2], sources, self.sizes.N))
        return ops.reshape(ops.softmax(x, axis=2), (*ops.shape(x)[:2], sources * self.sizes.N))

    def call(self, mixture):
        p = self.sizes
        mono = len(mixture.shape) == 2
        signal = mixture[:, None] if mono else mixture  # (batch, channels, samples)
        expect(signal.shape[1] == p.channels, "mixture", f"{p.channels} channels", f"shape {tuple(mixture.shape)}")
        samples = ops.shape(signal)[2]
        power = ops.mean(ops.square(signal), axis=(1, 2), keepdims=True)  # (batch, 1, 1)
        level = 1.0 if p.causal else ops.sqrt(power) + 1e-8
        # half a frame of zeros in front and at least as much behind: two frames cover every sample
        padded = ops.pad(signal / level, ((0, 0), (0, 0), (p.hop, p.hop + (-samples) % p.hop)))
        frames = [overlapping_frames(padded[:, c], p.L) for c in range(p.channels)]
        w = self.encoder(ops.concatenate(frames, axis=-1))  # (batch, frames, N)
        x = self.bottleneck(self.norm(w))  # (batch, frames, B)
        y = 0
        for block in self.blocks:
            x, skip = block(x)
            y = y + skip if p.skip else x  # (batch, frames, Sc or B)
        masks = self.masks(self.activation(y))  # (batch, frames, sources·N)
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


def load_model(name="trio", folder=WEIGHTS):
    """Load a trained Conv-TasNet, exported by `mss_nn_implementation.train`.

    Parameters
    ----------
    name : str
        `name`.keras holds the network, `name`.json its settings and checksum.
    folder : str or Path

    Returns
    -------
    model : ConvTasNet
    record : dict
        "parameters", "training", "sha256", and where and when it was trained.

    Raises
    ------
    WeightsError
        if a file is missing, or if the weights are not those that the record describes.
    """
    return load_checked(Path(folder) / name, kind=ConvTasNet)


class ConvTasNetSeparator(MonoSeparator):
    """Separate any song with a trained Conv-TasNet.

    The network gets segments as long as its training crops, at its own sample rate and number of channels. A song of
    more channels than the network's reaches it along its `principal_axes`, one after the other. Of a song at a higher
    rate than the network's, a stem is the network's output and a share of all above its band (`masked_channels`).

    Parameters
    ----------
    model : ConvTasNet
        whose weights may still change.
    segment_seconds : float
        length of the segments.
    averaged : bool
        test-time augmentation: average over the song and the song with its polarity flipped, which takes twice the
        network's time.
    """

    batch = 4  # Segments that the network gets at a time: always as many, so that it is compiled once
    segments = 12  # Segments in a chunk: what surrounds the network is done for a chunk at a time

    def __init__(self, model, segment_seconds, averaged=False):
        expect(0 < segment_seconds < math.inf, "segment_seconds", "a positive number", segment_seconds)
        self.model, self.segment_seconds, self.averaged = model, segment_seconds, averaged
        self.sources, self.sample_rate = model.sizes.sources, model.sizes.sample_rate
        self.network = compiled(partial(model, training=False))
        self.chunk_seconds = (self.segments - (self.segments - 1) * CROSSFADE) * segment_seconds

    @classmethod
    def load(cls, name="trio", folder=WEIGHTS, *, segment_seconds=None, averaged=False):
        """Load `name` of `folder`; its segments are as long as its training crops if nothing else is asked for."""
        model, record = load_model(name, folder)
        return cls(model, record["training"]["seconds"] if segment_seconds is None else segment_seconds, averaged)

    @property
    def overlap_seconds(self):
        """Seconds over which one segment, or chunk, fades into the next."""
        return CROSSFADE * self.segment_seconds

    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples)."""
        if len(chunk) == self.model.sizes.channels:
            return self._heard(chunk, sample_rate)
        return super().separate_chunk(chunk, sample_rate)

    def separate_mono(self, signal, sample_rate):
        """Separate a chunk of one channel: (samples,) -> (sources, samples)."""
        same = np.broadcast_to(signal, (self.model.sizes.channels, len(signal)))
        return self._heard(same, sample_rate).mean(axis=1)

    def separate_each(self, signals, sample_rate):
        """Separate chunks of one channel, for a network of one channel all together."""
        together = self.model.sizes.channels == 1
        return self._heard(signals, sample_rate) if together else super().separate_each(signals, sample_rate)

    def _heard(self, chunk, sample_rate):
        """Stems of a chunk of as many channels as the network's, or, of a network of one channel, any number."""
        mixture = resample(chunk, sample_rate, self.sample_rate)
        stems = self._segments(mixture)  # (sources, channels, samples)
        if sample_rate <= self.sample_rate:
            return fix_length(resample(stems, self.sample_rate, sample_rate), chunk.shape[-1])
        parts = np.concatenate([stems, (mixture - stems.sum(axis=0))[None]])  # the residual is a part, too
        rates = (sample_rate, self.sample_rate, self.sample_rate)
        masked = [masked_channels(c[None], parts[:, i], *rates, keep=len(stems)) for i, c in enumerate(chunk)]
        return np.concatenate(masked, axis=1)

    def _segments(self, mixture):
        """The network's stems (sources, channels, samples) of what it gets, in overlapping segments."""
        size = round(self.segment_seconds * self.sample_rate)
        overlap = max(1, round(CROSSFADE * size))
        segments, parts = zip(*cut(array_reader(mixture), size, overlap))  # each (channels, size)
        times = len(mixture) // self.model.sizes.channels  # a network of one channel gets them one by one
        inputs = [part for segment in segments for part in np.split(segment, times)]
        batches = (self._batch(inputs[i : i + self.batch]) for i in range(0, len(inputs), self.batch))
        stems = chain.from_iterable(batches)
        joined = (np.concatenate([next(stems) for _ in range(times)], axis=1) for _ in segments)
        return np.concatenate(list(crossfade(zip(joined, parts), overlap)), axis=-1)

    def _batch(self, segments):
        """The network's stems of at most `batch` segments: (segments, sources, channels, samples)."""
        count, shape = len(segments), segments[0].shape
        batch = np.zeros((self.batch, *shape), np.float32)
        batch[:count] = segments
        batch = batch[:, 0] if shape[0] == 1 else batch
        stems = np.array(ops.convert_to_numpy(self.network(batch)))[:count]
        if self.averaged:
            stems = (stems - ops.convert_to_numpy(self.network(-batch))[:count]) / 2
        return stems.reshape(count, len(self.sources), *shape)
