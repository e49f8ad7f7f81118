r"""A separator that says what each source plays: pitch, harmonics and noise, from the mixture alone.

A network listens to the mixture's spectrogram and gives, for every source, the controls of a small source-filter
synthesiser: for bass and voice a fundamental frequency, the outline of the harmonics and the outline of the noise; for
drums the outline of the whole spectrum. What that synthesiser's sound looks like in a spectrogram is known in closed
form (the window's main lobe at each harmonic), so no sound has to be made to compare it with the mixture. The spectra
of all sources together then divide the mixture by Wiener's rule (Schulze-Forster et al. 2023,
https://doi.org/10.1109/TASLP.2023.3252272, do so with the spectra of synthesised sound, unsupervised).

Frame k is centred on sample 128 k, every second frame of the features' 250 a second. Only `keras.ops` is used.
"""

import dataclasses
import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from ddsp_models.features import N_BANDS
from mss_nn_implementation.layer import DepthwiseConvolution, ScalarPReLU

HARMONICS_HEARD = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12)
"""Multiples of a candidate pitch at which its evidence is looked up; 1/2 and 3/2 tell an octave from its half."""
LOWEST_NOTE = 24.0
"""MIDI number at which the log-frequency map begins: 32.7 Hz."""
FLOOR = 1e-3
"""Magnitude that is added before a logarithm, of a mixture with root mean square 1."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the separator; saved beside its weights.

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
        reach of the log-frequency map.
    channels, hidden : int
        of the temporal convolutions: of the path through all blocks, and inside one.
    dilations : tuple of int
        of the blocks before pitch is known; two more, of dilations 1 and 2, follow.
    filters : int
        channels of the convolutions that look for pitch.
    harmonic_bands, noise_bands, bands : int
        of the outlines: of harmonics, of their noise, of an unpitched source.
    power : float
        exponent of the magnitudes in the masks while training.
    heard_as : {"mel", "decoders"}
        what the bands among the features are (see `song_crops.described`).
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
        strangers = [name for name in self.pitched if name not in self.sources]
        if strangers:
            raise ValueError(f"pitched: {strangers[0]!r} found, some of sources {', '.join(self.sources)} expected")
        if not len(self.pitched) == len(self.lowest) == len(self.highest):
            raise ValueError(
                f"lowest, highest: {len(self.lowest)} and {len(self.highest)} notes found,"
                f" one for each of the {len(self.pitched)} pitched sources expected"
            )
        if self.heard_as not in ("mel", "decoders"):
            raise ValueError(f"heard_as: {self.heard_as!r} found, 'mel' or 'decoders' expected")
        if self.n_fft % self.hop or self.hop < 1:
            raise ValueError(f"hop: {self.hop} found, a divisor of n_fft = {self.n_fft} expected")

    @property
    def n_frequencies(self):
        """Bins of the spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def frame_rate(self):
        """Frames in a second."""
        return self.sample_rate / self.hop

    def pitch_bins(self, i):
        """How many pitches the i-th pitched source may have."""
        return round((self.highest[i] - self.lowest[i]) * self.per_semitone)

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)


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
    frequency = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    mel = 2595.0 * np.log10(1.0 + frequency / 700.0)
    centres = np.linspace(0.0, mel[-1], n_bands)
    distance = np.abs(mel[:, None] - centres) / (centres[1] - centres[0])
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def log_frequency_weights(sizes):
    """Linear interpolation from the bins of a spectrum to frequencies in geometric steps.

    Returns
    -------
    np.ndarray, float32, (frequencies, map bins)
        columns beyond the Nyquist frequency are 0.
    """
    n_bins = round(12 * sizes.octaves * sizes.per_semitone)
    note = LOWEST_NOTE + np.arange(n_bins) / sizes.per_semitone
    position = 440.0 * 2.0 ** ((note - 69.0) / 12.0) * sizes.n_fft / sizes.sample_rate  # in bins
    weights = np.zeros((sizes.n_frequencies, n_bins), np.float32)
    for column, x in enumerate(position):
        if x < sizes.n_frequencies - 1:
            weights[int(x), column], weights[int(x) + 1, column] = 1.0 - x % 1.0, x % 1.0
    return weights


# --- layers ----------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("mss")
class TemporalBlock(keras.layers.Layer):
    """Look around in time and add what is found: normalise, widen, dilated depthwise convolution, narrow.

    Parameters
    ----------
    channels, hidden : int
    dilation : int
        in frames.
    """

    def __init__(self, channels, hidden, dilation, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.hidden, self.dilation = channels, hidden, dilation
        self.norm = keras.layers.LayerNormalization(name="norm")
        self.widen = keras.layers.Dense(hidden, activation="relu", name="widen")
        self.depthwise = DepthwiseConvolution(3, dilation, name="depthwise")
        self.activation = ScalarPReLU(name="activation")
        self.narrow = keras.layers.Dense(channels, name="narrow")

    def build(self, shape):
        inner = (*shape[:-1], self.hidden)
        self.norm.build(shape)
        self.widen.build(shape)
        for layer in (self.depthwise, self.activation, self.narrow):
            layer.build(inner)

    def call(self, x):
        return x + self.narrow(self.activation(self.depthwise(self.widen(self.norm(x)))))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "hidden": self.hidden,
            "dilation": self.dilation,
        }


@keras.saving.register_keras_serializable("mss")
class PitchHead(keras.layers.Layer):
    """How likely each pitch is, frame by frame, for one source; the last class is "no pitch".

    The log-frequency map is shifted so that a candidate's harmonics lie on top of each other: whatever the pitch, the
    same small filters see the same pattern (Bittner et al. 2017, "Deep salience representations").

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
        super().__init__(**kwargs)
        self.first, self.candidates, self.per_octave, self.filters = first, candidates, per_octave, filters
        self.look = [
            keras.layers.Conv2D(filters, (1, 5), padding="same", activation="relu", name="look_0"),
            keras.layers.Conv2D(filters, (3, 5), padding="same", activation="relu", name="look_1"),
            keras.layers.Conv2D(1, (3, 3), padding="same", name="look_2"),
        ]
        self.expect = keras.layers.Dense(candidates, kernel_initializer="zeros", name="expect")
        self.silence = keras.layers.Dense(1, name="silence")

    def build(self, shapes):
        context = shapes[1]
        stacked = (*shapes[0][:2], self.candidates, len(HARMONICS_HEARD))
        for layer in self.look:
            layer.build(stacked)
            stacked = (*stacked[:3], self.filters)
        self.expect.build(context)
        self.silence.build(context)

    def call(self, inputs):
        """From a map (batch, frames, map bins) and the context (batch, frames, channels) to one logit per candidate."""
        maps, context = inputs
        shifts = [round(self.per_octave * math.log2(h)) for h in HARMONICS_HEARD]
        left = max(0, -(self.first + min(shifts)))
        right = max(0, self.first + max(shifts) + self.candidates - maps.shape[-1])
        padded = ops.pad(maps, ((0, 0), (0, 0), (left, right)))
        starts = [left + self.first + shift for shift in shifts]
        y = ops.stack([padded[:, :, s : s + self.candidates] for s in starts], axis=-1)
        for layer in self.look:
            y = layer(y)
        return ops.concatenate([y[..., 0] + self.expect(context), self.silence(context)], axis=-1)

    def compute_output_shape(self, shapes):
        return (*shapes[0][:2], self.candidates + 1)

    def get_config(self):
        names = ("first", "candidates", "per_octave", "filters")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def slope(f0, reach=4):
    """How much a pitch moves within `reach` frames to either side, in Hz; (batch, frames) in and out."""
    padded = ops.concatenate([f0[:, :1]] * reach + [f0] + [f0[:, -1:]] * reach, axis=1)
    return ops.abs(padded[:, 2 * reach :] - padded[:, : -2 * reach])


def harmonic_lobes(f0, width, n_fft, sample_rate, stretch=1.0):
    r"""What a row of equal harmonics looks like in a magnitude spectrum.

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
    distance = (frequency - number * f0) / spacing
    moved = ops.minimum(slope(f0[..., 0]), 0.15 * f0[..., 0])[..., None]  # a leap is two notes, not one that moves
    spread = ops.square(width) + ops.square(0.25 * stretch * number * moved / spacing)
    return ops.exp(-0.5 * ops.square(distance) / spread)


# --- the model -------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("mss")
class ParametricSeparator(keras.Model):
    """A mixture in, what every source plays and its share of the spectrogram out.

    Parameters
    ----------
    sizes : Sizes
        or the dict of its fields.

    Notes
    -----
    Called with a dict of "mixture" (batch, samples), samples a multiple of `hop`, and for training "f0" (batch, frames,
    pitched sources) in Hz with 0 for no pitch, and "taught" (batch, 1), 1 where that pitch is to be used rather than
    the network's own. The parts can be called one by one: `spectrum`, `listen`, `pitches`, `controls`, `spectra`.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        s = sizes if isinstance(sizes, Sizes) else Sizes(**sizes)
        self.sizes = s
        triangles = {
            n: mel_triangles(n, s.n_fft, s.sample_rate) for n in (64, s.harmonic_bands, s.noise_bands, s.bands)
        }
        self.triangles = {n: t.T for n, t in triangles.items()}  # (bands, frequencies): from outlines to spectra
        self.to_mel = triangles[64] / (triangles[64].sum(axis=0) + 1e-6)
        self.to_map = log_frequency_weights(s)
        self.window_norm = float(np.sqrt(np.sum(np.hanning(s.n_fft + 1)[:-1] ** 2)))
        self.first = keras.layers.Dense(s.channels, name="first")
        self.blocks = [TemporalBlock(s.channels, s.hidden, d, name=f"block_{i}") for i, d in enumerate(s.dilations)]
        self.context_norm = keras.layers.LayerNormalization(name="context_norm")
        per_octave = 12 * s.per_semitone
        self.pitch_heads = [
            PitchHead(
                round((s.lowest[i] - LOWEST_NOTE) * s.per_semitone),
                s.pitch_bins(i),
                per_octave,
                s.filters,
                name=f"pitch_{source}",
            )
            for i, source in enumerate(s.pitched)
        ]
        self.told = keras.layers.Dense(s.channels, name="told")
        self.later_blocks = [TemporalBlock(s.channels, s.hidden, d, name=f"later_{i}") for i, d in enumerate((1, 2))]
        outlines = sum(s.harmonic_bands + s.noise_bands if source in s.pitched else s.bands for source in s.sources)
        self.outlines = keras.layers.Dense(outlines, name="outlines")
        self.features = keras.layers.Dense(2 * self.n_features, name="features")
        self.terms = {name: keras.metrics.Mean(name=name) for name in WEIGHTS_OF_TERMS}

    def build(self, shape):
        s = self.sizes
        n_bins = self.to_map.shape[1]
        context = (None, None, s.channels)
        self.first.build((None, None, 64))
        for block in (*self.blocks, *self.later_blocks):
            block.build(context)
        self.context_norm.build(context)
        for head in self.pitch_heads:
            head.build([(None, None, n_bins), context])
        self.told.build((None, None, len(s.pitched) * (2 + N_PARTIALS)))
        self.outlines.build(context)
        self.features.build(context)
        self.widths = self.add_weight(shape=(len(s.pitched),), initializer="ones", name="widths")
        super().build(shape)

    @property
    def n_features(self):
        """Numbers that describe all sources at one moment: a loudness and bands each, and the onset of drums."""
        return len(self.sizes.sources) * (1 + N_BANDS) + 1

    # --- from sound to spectrogram and back

    def spectrum(self, audio):
        """STFT of (batch, samples): real and imaginary part, (batch, frames, frequencies), frame k centred on k · hop.

        White noise of variance 1 has the variance 1 in every bin.
        """
        half = self.sizes.n_fft // 2
        padded = ops.pad(audio, ((0, 0), (half, half)))
        real, imaginary = ops.stft(
            padded, self.sizes.n_fft, self.sizes.hop, self.sizes.n_fft, window="hann", center=False
        )
        return real / self.window_norm, imaginary / self.window_norm

    def level(self, mixture):
        """Root mean square of (batch, samples): (batch, 1), never 0."""
        return ops.sqrt(ops.mean(ops.square(mixture), axis=1, keepdims=True)) + 1e-8

    # --- from spectrogram to controls

    def listen(self, magnitude):
        """The mixture as the heads hear it.

        Parameters
        ----------
        magnitude : tensor, (batch, frames, frequencies)
            of a mixture with root mean square 1.

        Returns
        -------
        maps : tensor, (batch, frames, map bins)
            log magnitude over log frequency, each frame's mean taken away.
        context : tensor, (batch, frames, channels)
        """
        maps = 0.25 * ops.matmul(ops.log(magnitude + FLOOR), self.to_map)
        context = self.first(0.4 * ops.log(ops.matmul(magnitude, self.to_mel) + FLOOR))
        for block in self.blocks:
            context = block(context)
        return maps - ops.mean(maps, axis=-1, keepdims=True), context

    def pitches(self, maps, context):
        """Logits of every pitch of every pitched source, and of none: list of (batch, frames, bins + 1)."""
        context = self.context_norm(context)
        return [head([maps, context]) for head in self.pitch_heads]

    def decode(self, logits):
        """The likeliest pitch of each frame by itself: (batch, frames, pitched sources) in Hz, 0 = none."""
        found = []
        for i, scores in enumerate(logits):
            probability = ops.softmax(scores, axis=-1)
            likely, silent = probability[..., :-1], probability[..., -1]
            bins = ops.arange(likely.shape[-1], dtype="float32")
            best = ops.cast(ops.argmax(likely, axis=-1), "float32")[..., None]
            near = ops.where(ops.abs(bins - best) <= 2, likely, 0.0)
            mean = ops.sum(near * bins, axis=-1) / (ops.sum(near, axis=-1) + 1e-9)
            f0 = hertz(self.sizes.lowest[i] + mean / self.sizes.per_semitone)
            found.append(ops.where(silent < 0.5, f0, 0.0))
        return ops.stack(found, axis=-1)

    def told_pitch(self, maps, context, f0):
        """The context (batch, frames, channels) once it knows the pitch; arguments as of `controls`."""
        s = self.sizes
        voiced = ops.cast(f0 > 0, "float32")
        note = midi(ops.where(f0 > 0, f0, 100.0))
        told = [voiced, (note - 55.0) / 12.0 * voiced]
        partials = ops.convert_to_tensor(np.log2(np.arange(1, N_PARTIALS + 1)) * 12, "float32")
        position = (note[..., None] + partials - LOWEST_NOTE) * s.per_semitone
        position = ops.cast(ops.clip(ops.round(position), 0, maps.shape[-1] - 1), "int32")
        for i in range(len(s.pitched)):  # how strong the mixture is at the partials of this pitch
            told.append(ops.take_along_axis(maps, position[:, :, i], axis=-1) * voiced[..., i : i + 1])
        context = context + self.told(ops.concatenate(told, axis=-1))
        for block in self.later_blocks:
            context = block(context)
        return context

    def controls(self, maps, context, f0):
        """What the synthesiser of each source is to do, given its pitch.

        Parameters
        ----------
        maps, context : tensor
            of `listen`.
        f0 : tensor, (batch, frames, pitched sources)
            in Hz, 0 for no pitch.

        Returns
        -------
        controls : dict of dict of tensor
            per source "harmonics" (batch, frames, harmonic_bands) and "noise" (batch, frames, noise_bands), or
            "bands" (batch, frames, bands): magnitudes, of a mixture with root mean square 1.
        features : dict of tensor
            what chapter 7's decoders are told, 250 times a second: "loudness" (batch, 2 frames, sources) and "bands"
            (batch, 2 frames, sources, N_BANDS) in dB; "onset" (batch, 2 frames, 1) of the drums.
        """
        s = self.sizes
        context = self.told_pitch(maps, context, f0)
        y = ops.exp(ops.clip(self.outlines(context), -9.0, 7.0))
        found, at = {}, 0
        for source in s.sources:
            if source in s.pitched:
                middle, end = at + s.harmonic_bands, at + s.harmonic_bands + s.noise_bands
                found[source] = {"harmonics": y[..., at:middle], "noise": 0.14 * y[..., middle:end]}
            else:
                end = at + s.bands
                found[source] = {"bands": y[..., at:end]}
            at = end
        return found, self._features(self.features(context))

    def _features(self, y):
        """Name what the last layer says: (batch, frames, 2 · n_features), two moments to a frame."""
        y = ops.reshape(y, (-1, 2 * y.shape[1], self.n_features))
        n = len(self.sizes.sources)
        bands = ops.reshape(y[..., n + 1 :], (*ops.shape(y)[:2], n, N_BANDS))
        return {
            "loudness": 10.0 * y[..., :n] - 30.0,
            "onset": ops.relu(y[..., n : n + 1]),
            "bands": 10.0 * bands - 30.0,
        }

    def spectra(self, controls, f0, n_fft=None):
        """The magnitudes of the sources' sounds in a spectrogram: (batch, sources, frames, frequencies).

        Parameters
        ----------
        controls : dict
            of `controls`.
        f0 : tensor, (batch, frames, pitched sources)
        n_fft : int, optional
            window of the spectrogram, that of the sizes by default. In a longer one a harmonic stands out of the noise
            by the square root of its length, and its lobe is as many bins wide.
        """
        s = self.sizes
        n_fft = n_fft or s.n_fft
        longer = n_fft / s.n_fft
        triangles = self.triangles
        if n_fft != s.n_fft:
            triangles = {n: mel_triangles(n, n_fft, s.sample_rate).T for n in triangles}
        found = []
        for source in s.sources:
            outline = controls[source]
            if source not in s.pitched:
                found.append(ops.matmul(outline["bands"], triangles[s.bands]))
                continue
            i = s.pitched.index(source)
            pitch = f0[..., i]
            lobes = harmonic_lobes(ops.where(pitch > 0, pitch, 100.0), self.widths[i], n_fft, s.sample_rate, longer)
            lobes = (lobes + 1e-3) * ops.cast(pitch > 0, "float32")[..., None]
            harmonics = ops.matmul(outline["harmonics"], triangles[s.harmonic_bands]) * lobes
            harmonics = harmonics if longer == 1.0 else math.sqrt(longer) * harmonics
            found.append(harmonics + ops.matmul(outline["noise"], triangles[s.noise_bands]))
        return ops.stack(found, axis=1)

    def call(self, inputs):
        mixture = inputs["mixture"]
        real, imaginary = self.spectrum(mixture / self.level(mixture))
        maps, context = self.listen(ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12))
        logits = self.pitches(maps, context)
        f0 = ops.stop_gradient(self.decode(logits))
        if "f0" in inputs:
            f0 = ops.where(inputs["taught"][..., None] > 0, inputs["f0"], f0)
        controls, features = self.controls(maps, context, f0)
        spectra = self.spectra(controls, f0)
        return {
            "logits": logits,
            "f0": f0,
            "spectra": spectra,
            "features": features,
            "real": real,
            "imaginary": imaginary,
        }

    # --- what is good

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The terms of `losses_of` and `feature_error`, weighted; each term is logged by its name."""
        level = self.level(x["mixture"])
        terms = self.losses_of(y_pred, ops.convert_to_tensor(y["stems"]) / level[..., None], y["f0"])
        terms["features"] = self.feature_error(y_pred["features"], y, level[..., None])
        for name, value in terms.items():
            self.terms[name].update_state(value)
        return sum(WEIGHTS_OF_TERMS[name] * value for name, value in terms.items())

    def losses_of(self, found, stems, f0):
        """How far off pitch, magnitudes, outlines and estimates are.

        Parameters
        ----------
        found : dict
            of `call`.
        stems : tensor, (batch, sources, samples)
            at the level at which the mixture's root mean square is 1.
        f0 : tensor, (batch, frames, pitched sources)

        Returns
        -------
        dict of tensor, ()
        """
        s = self.sizes
        n_sources = len(s.sources)
        real, imaginary = self.spectrum(ops.reshape(stems, (-1, stems.shape[-1])))
        shape = (-1, n_sources, *real.shape[1:])
        real, imaginary = ops.reshape(real, shape), ops.reshape(imaginary, shape)
        true = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12)
        mixture = ops.sqrt(ops.square(found["real"]) + ops.square(found["imaginary"]) + 1e-12)
        agree = found["real"][:, None] * real + found["imaginary"][:, None] * imaginary
        masks = wiener_masks(found["spectra"], s.power)
        estimate = masks * mixture[:, None]
        error = ops.sum(ops.square(estimate) - 2 * masks * agree + ops.square(true), axis=(2, 3))
        energy = ops.sum(ops.square(true), axis=(2, 3))
        whole = ops.sum(ops.square(mixture), axis=(1, 2))[:, None]
        return {
            "pitch": self.pitch_error(found["logits"], f0),
            "magnitude": ops.mean(ops.abs(estimate - true))
            + 0.25 * ops.mean(ops.abs(ops.sqrt(estimate + 1e-4) - ops.sqrt(true + 1e-4))),
            "outline": ops.mean(ops.abs(ops.log(found["spectra"] + 0.03) - ops.log(true + 0.03))),
            "snr": relative_error(error, energy, whole),
        }

    def pitch_error(self, logits, f0):
        """Cross-entropy of the right classes, summed over the pitched sources: a tensor ()."""
        return sum(
            ops.mean(ops.categorical_crossentropy(self.pitch_target(f0[..., i], i), scores, from_logits=True))
            for i, scores in enumerate(logits)
        )

    def feature_error(self, found, true, level):
        """Mean distance of the features, in units of 10 dB; `level` is the mixture's root mean square (batch, 1, 1)."""
        louder = 20.0 / math.log(10.0) * ops.log(level)
        error = 0.0
        for name in found:
            wanted = ops.convert_to_tensor(true[name])
            n_frames = wanted.shape[1]
            if name == "onset":
                error = error + ops.mean(ops.abs(found[name][:, :n_frames] - wanted))
                continue
            # what is 60 dB below the mixture is silent to the decoders' listeners: how silent does not matter
            target = ops.maximum(wanted - ops.reshape(louder, (-1,) + (1,) * (len(wanted.shape) - 1)), -60.0)
            error = error + 0.1 * ops.mean(ops.abs(ops.maximum(found[name][:, :n_frames], -60.0) - target))
        return error

    def pitch_target(self, f0, i):
        """The right classes, those next to the true one a little: (batch, frames, bins + 1), adding up to 1."""
        f0 = ops.convert_to_tensor(f0)
        position = (midi(ops.maximum(f0, 20.0)) - self.sizes.lowest[i]) * self.sizes.per_semitone
        bins = ops.arange(self.sizes.pitch_bins(i), dtype="float32")
        near = ops.exp(-0.5 * ops.square((bins - position[..., None]) / 0.8))
        near = near / (ops.sum(near, axis=-1, keepdims=True) + 1e-6)
        voiced = ops.cast(f0 > 0, "float32")[..., None]
        return ops.concatenate([near * voiced, 1.0 - voiced], axis=-1)

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes.to_dict()}


N_PARTIALS = 20
WEIGHTS_OF_TERMS = {"pitch": 0.3, "magnitude": 8.0, "outline": 0.3, "snr": 0.4, "features": 0.1}


def relative_error(error, energy, whole):
    """Mean logarithm of an error's energy over the stem's, both held above 0 by shares of the mixture's; in nats."""
    return ops.mean(ops.log((error + 1e-3 * energy + 1e-4 * whole) / (energy + 1e-2 * whole)))


def wiener_masks(spectra, power=1.0):
    """Shares of the sources in every bin, (batch, sources, frames, frequencies), which add up to 1."""
    raised = spectra if power == 1.0 else ops.exp(power * ops.log(spectra + 1e-9))
    return (raised + 1e-9) / ops.sum(raised + 1e-9, axis=1, keepdims=True)
