r"""Sizes, scales of frequency and layers of the analysis network.

Notebook: ddsp_models/combined_report.ipynb
"""

import math
from dataclasses import dataclass

import numpy as np
from keras import layers, ops, saving

from common.checks import expect
from ddsp_models.features import triangles
from ddsp_models.framing import Configured
from mss_nn_implementation.layer import DepthwiseConvolution, ScalarPReLU
from training.settings import check_choices, plain

# Multiples of a candidate f0 at which its evidence is read; 1/2 and 3/2 distinguish an octave from its half.
SALIENCE_HARMONICS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12)
LOWEST_NOTE = 24.0  # MIDI number at which the log-frequency map begins: 32.7 Hz


@dataclass(frozen=True)
class Sizes:
    """Sizes of the analysis network; saved beside its weights.

    Parameters
    ----------
    sources : tuple of str
        in the order of the output.
    pitched : tuple of str
        those that play one note at a time; the others are bands of noise.
    lowest, highest : tuple of float
        range of each pitched source, as MIDI numbers.
    n_fft, hop : int
        of the spectrogram, in samples.
    sample_rate : int
        in Hz.
    per_semitone : int
        pitch bins in a semitone.
    octaves : float
        range of the log-frequency map.
    channels, hidden : int
        of the temporal convolutions: of the path through all blocks, and inside one.
    dilations : tuple of int
        of the blocks before the context is conditioned on f0; two more, of dilations 1 and 2, follow.
    filters : int
        channels of the convolutions that estimate pitch.
    harmonic_bands, noise_bands, bands : int
        of the spectral envelopes: of harmonics, of their noise, of an unpitched source.
    power : float
        exponent of the magnitudes in the masks while training.
    heard_as : {"mel", "decoders"}
        layout of the bands among the features (see `features.layout_of`).
    """

    sources: tuple = ("drums", "bass", "vocals")
    pitched: tuple = ("bass", "vocals")
    lowest: tuple = (26.0, 44.0)
    highest: tuple = (57.0, 81.0)
    n_fft: int = 2048
    hop: int = 128
    sample_rate: int = 16000
    per_semitone: int = 4
    octaves: float = 8.0
    channels: int = 96
    hidden: int = 80
    dilations: tuple = (1, 2, 4, 8, 16, 4)
    filters: int = 16
    harmonic_bands: int = 40
    noise_bands: int = 32
    bands: int = 96
    power: float = 1.0
    heard_as: str = "mel"

    def __post_init__(self):
        for name in ("sources", "pitched", "lowest", "highest", "dilations"):  # lists once they have been through JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        expect(
            set(self.pitched) <= set(self.sources),
            "pitched",
            f"some of {', '.join(self.sources)}",
            ", ".join(self.pitched),
        )
        expect(
            len(self.lowest) == len(self.highest) == len(self.pitched),
            "lowest, highest",
            f"a note for each of the {len(self.pitched)} pitched sources",
            f"{len(self.lowest)} and {len(self.highest)}",
        )
        check_choices(self, heard_as=("mel", "decoders"))
        expect(self.hop > 0 and self.n_fft % self.hop == 0, "hop", f"a divisor of n_fft = {self.n_fft}", self.hop)

    @property
    def n_frequencies(self):
        """Bins of the spectrogram."""
        return self.n_fft // 2 + 1

    def pitch_bins(self, i):
        """Number of pitches of the i-th pitched source."""
        return round((self.highest[i] - self.lowest[i]) * self.per_semitone)

    def envelopes(self, source):
        """Number of bands of each spectral envelope of a source: a dict."""
        pitched = {"harmonics": self.harmonic_bands, "noise": self.noise_bands}
        return pitched if source in self.pitched else {"bands": self.bands}

    to_dict = plain  # the fields as plain types


# --- scales of frequency ---------------------------------------------------------------------------------------------


def midi(frequency):
    """Hertz to MIDI note numbers, 69 at 440 Hz."""
    return 69.0 + 12.0 / math.log(2.0) * ops.log(frequency / 440.0)


def hertz(note):
    """MIDI note numbers to hertz."""
    return 440.0 * ops.exp((note - 69.0) * (math.log(2.0) / 12.0))


def mel_triangles(n_bands, n_fft, sample_rate):
    """Triangles of equal width in mel that add up to 1 at every frequency.

    Parameters
    ----------
    n_bands, n_fft, sample_rate : int

    Returns
    -------
    np.ndarray, float32, (n_fft / 2 + 1, n_bands)
    """
    mel = 2595.0 * np.log10(1.0 + np.arange(n_fft // 2 + 1) * sample_rate / n_fft / 700.0)
    centres = np.linspace(0.0, mel[-1], n_bands)
    return triangles(mel, centres, centres[1] - centres[0]).astype(np.float32)


def log_frequency_weights(sizes):
    """Linear interpolation from the bins of a spectrum to frequencies in geometric steps.

    Returns
    -------
    np.ndarray, float32, (frequencies, map bins)
        columns beyond the Nyquist frequency are 0.
    """
    note = LOWEST_NOTE + np.arange(round(12 * sizes.octaves * sizes.per_semitone)) / sizes.per_semitone
    position = 440.0 * 2.0 ** ((note - 69.0) / 12.0) * sizes.n_fft / sizes.sample_rate  # in bins
    weights = triangles(np.arange(sizes.n_frequencies), position)
    return np.where(position < sizes.n_frequencies - 1, weights, 0.0).astype(np.float32)


# --- layers ----------------------------------------------------------------------------------------------------------


@saving.register_keras_serializable("mss")
class TemporalBlock(Configured, layers.Layer):
    """Residual block: normalise, widen, dilated depthwise convolution over time, narrow.

    Parameters
    ----------
    channels, hidden : int
    dilation : int
        in frames.
    """

    def __init__(self, channels, hidden, dilation, **kwargs):
        super().__init__({"channels": channels, "hidden": hidden, "dilation": dilation}, **kwargs)
        self.norm = layers.LayerNormalization(name="norm")
        self.widen = layers.Dense(hidden, activation="relu", name="widen")
        self.depthwise = DepthwiseConvolution(3, dilation, name="depthwise")
        self.activation = ScalarPReLU(name="activation")
        self.narrow = layers.Dense(channels, name="narrow")

    def build(self, shape):
        self.norm.build(shape)
        self.widen.build(shape)
        for layer in (self.depthwise, self.activation, self.narrow):
            layer.build((*shape[:-1], self.hidden))

    def call(self, x):
        return x + self.narrow(self.activation(self.depthwise(self.widen(self.norm(x)))))


@saving.register_keras_serializable("mss")
class PitchHead(Configured, layers.Layer):
    """Logits of every candidate f0 of one source, frame by frame; the last class is "unvoiced".

    The log-frequency map is shifted so that a candidate's harmonics lie on top of each other: whatever the f0, the same
    small filters see the same pattern (Bittner et al. 2017, "Deep salience representations").

    Parameters
    ----------
    first : int
        bin of the map that the lowest candidate lies on.
    candidates : int
    per_octave : int
        bins of the map.
    filters : int
    """

    def __init__(self, first, candidates, per_octave, filters, **kwargs):
        super().__init__(
            {"first": first, "candidates": candidates, "per_octave": per_octave, "filters": filters}, **kwargs
        )
        self.look = [
            layers.Conv2D(filters, (1, 5), padding="same", activation="relu", name="look_0"),
            layers.Conv2D(filters, (3, 5), padding="same", activation="relu", name="look_1"),
            layers.Conv2D(1, (3, 3), padding="same", name="look_2"),
        ]
        self.expect = layers.Dense(candidates, kernel_initializer="zeros", name="expect")
        self.silence = layers.Dense(1, name="silence")

    def build(self, shapes):
        stacked, context = (*shapes[0][:2], self.candidates), shapes[1]
        for layer, channels in zip(self.look, (len(SALIENCE_HARMONICS), self.filters, self.filters)):
            layer.build((*stacked, channels))
        self.expect.build(context)
        self.silence.build(context)

    def call(self, inputs):
        """From a map (batch, frames, map bins) and the context (batch, frames, channels) to one logit per candidate."""
        maps, context = inputs
        starts = [self.first + round(self.per_octave * math.log2(h)) for h in SALIENCE_HARMONICS]
        left, right = max(0, -min(starts)), max(0, max(starts) + self.candidates - maps.shape[-1])
        padded = ops.pad(maps, ((0, 0), (0, 0), (left, right)))
        y = ops.stack([padded[:, :, left + s : left + s + self.candidates] for s in starts], axis=-1)
        for layer in self.look:
            y = layer(y)  # (batch, frames, candidates, filters), then 1 channel
        return ops.concatenate([y[..., 0] + self.expect(context), self.silence(context)], axis=-1)


def slope(f0, reach=4):
    """How much a pitch moves within `reach` frames to either side, in Hz; (batch, frames) in and out.

    A window is 16 frames long; half of it is what the spectrum sees of a moving pitch.
    """
    padded = ops.concatenate([f0[:, :1]] * reach + [f0] + [f0[:, -1:]] * reach, axis=1)
    return ops.abs(padded[:, 2 * reach :] - padded[:, : -2 * reach])


def harmonic_lobes(f0, width, n_fft, sample_rate, stretch=1.0):
    r"""Harmonic template: the magnitude spectrum of a row of equal harmonics.

    Around each multiple of f0 there is the main lobe of the window, here a Gaussian; a pitch that moves within the
    window smears the n-th harmonic n times as far as the first.

    .. math:: L_f = e^{-d_f^2 / 2 w_f^2}, \quad d_f = \frac{f - n_f f_0}{\Delta f}, \quad
        w_f^2 = w^2 + \left(\frac{n_f\,\dot f_0}{4 \Delta f}\right)^2

    with :math:`n_f` the number of the harmonic that is nearest to f.

    Parameters
    ----------
    f0 : tensor, (batch, frames)
        in Hz, above 0.
    width : tensor, ()
        w, in bins.
    n_fft, sample_rate : int
    stretch : float
        how much longer the window is than the 16 frames within which the slope of f0 is measured.

    Returns
    -------
    tensor, (batch, frames, n_fft / 2 + 1)
        at most 1.
    """
    spacing = sample_rate / n_fft
    frequency = ops.convert_to_tensor(np.arange(n_fft // 2 + 1) * spacing, "float32")
    f0 = f0[..., None]
    number = ops.maximum(ops.stop_gradient(ops.round(frequency / f0)), 1.0)
    distance = (frequency - number * f0) / spacing  # (batch, frames, frequencies), in bins
    # beyond 0.15 of f0 are two notes, not one that moves:
    moved = ops.minimum(slope(f0[..., 0]), 0.15 * f0[..., 0])[..., None]
    spread = ops.square(width) + ops.square(0.25 * stretch * number * moved / spacing)
    return ops.exp(-0.5 * ops.square(distance) / spread)
