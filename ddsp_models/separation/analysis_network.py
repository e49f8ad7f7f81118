r"""The analysis network: f0, spectral envelopes and features of every source, from the mixture alone.

Notebook: ddsp_models/combined_report.ipynb

A network reads the mixture's spectrogram and predicts, for every source, the controls of a small source-filter
synthesiser: for bass and voice a fundamental frequency, the spectral envelope of the harmonics and that of the noise;
for drums the envelope of the whole spectrum. The magnitude spectrogram of that synthesiser's sound is known in closed
form (the window's main lobe at each harmonic), so no sound has to be synthesised to compare it with the mixture. The
spectra of all sources together then divide the mixture by Wiener's rule (Schulze-Forster et al. 2023,
https://doi.org/10.1109/TASLP.2023.3252272, do so with the spectra of synthesised sound, unsupervised).

Frame k is centred on sample 128 k, every second frame of the features' 250 a second. Only `keras.ops` is used.
"""

import math

import numpy as np
from keras import Model, layers, metrics, ops, saving

from ddsp_models.features import N_BANDS
from ddsp_models.framing import Configured
from ddsp_models.separation.layers import (
    LOWEST_NOTE,
    PitchHead,
    Sizes,
    TemporalBlock,
    harmonic_lobes,
    hertz,
    log_frequency_weights,
    mel_triangles,
    midi,
)

# Inputs: logarithms of magnitudes, of a mixture with root mean square 1, scaled so that all are about as large.
FLOOR = 1e-3  # added to a magnitude before its logarithm: -60 dB
MAP_SCALE, CONTEXT_SCALE, CONTEXT_BANDS = 0.25, 0.4, 64
# The f0 that the context is conditioned on.
N_PARTIALS = 20  # of which the mixture's level is read
MIDDLE_NOTE, OCTAVE = 55.0, 12.0  # the note is read as octaves above G3, between bass and voice
ANY_F0 = 100.0  # Hz: stands in for no f0 in what is then multiplied by 0
# Outputs.
LOG_MAGNITUDES = (-9.0, 7.0)  # e^-9 = -78 dB is silence, and no bin of a mixture reaches e^7 = 61 dB
NOISE_GAIN = 0.14  # noise begins 17 dB below the harmonics
LOBE_FLOOR = 1e-3  # of a harmonic template between its harmonics, where the window's side lobes are
FEATURE_SCALE, FEATURE_MEAN = 10.0, -30.0  # dB: an output of 0 is a usual level, a step of 1 is 10 dB
# Losses.
WEIGHTS_OF_TERMS = {"pitch": 0.3, "magnitude": 8.0, "outline": 0.3, "snr": 0.4, "features": 0.1}
NEIGHBOURS = 0.8  # bins: standard deviation of the right classes around the true pitch
ROOTS, ROOT_FLOOR = 0.25, 1e-4  # weight of the distance of square roots, in which soft bins count, and its floor
ENVELOPE_FLOOR = 0.03  # of the logarithms that are compared: 30 dB below the mean bin
SILENT_FEATURE = -60.0  # dB relative to the mixture: features below it count as equal
BEST_SNR, INAUDIBLE, SOFT_STEM = 1e-3, 1e-4, 1e-2  # shares of energy, see `relative_error`


@saving.register_keras_serializable("mss")
class ParametricSeparator(Configured, Model):
    """Estimates the synthesis parameters of every source and its share of the spectrogram from a mixture.

    Parameters
    ----------
    sizes : Sizes
        or the dict of its fields.

    Notes
    -----
    Called with a dict of "mixture" (batch, samples), samples a multiple of `hop`, and for training "f0" (batch, frames,
    pitched sources) in Hz with 0 for unvoiced frames, and "taught" (batch, 1), 1 to condition on that f0 (teacher
    forcing) rather than on the predicted one. The parts can be called one by one: `spectrum`, `encode`, `pitches`,
    `controls`, `spectra`.
    """

    def __init__(self, sizes, **kwargs):
        s = sizes if isinstance(sizes, Sizes) else Sizes(**sizes)
        super().__init__({"sizes": s}, **kwargs)
        triangles = {
            n: mel_triangles(n, s.n_fft, s.sample_rate)
            for n in (CONTEXT_BANDS, s.harmonic_bands, s.noise_bands, s.bands)
        }
        self.triangles = {n: t.T for n, t in triangles.items()}  # (bands, frequencies): from envelopes to spectra
        self.to_mel = triangles[CONTEXT_BANDS] / (triangles[CONTEXT_BANDS].sum(axis=0) + 1e-6)
        self.to_map = log_frequency_weights(s)
        self.window_norm = float(np.sqrt(np.sum(np.hanning(s.n_fft + 1)[:-1] ** 2)))
        self.first = layers.Dense(s.channels, name="first")
        self.blocks = [TemporalBlock(s.channels, s.hidden, d, name=f"block_{i}") for i, d in enumerate(s.dilations)]
        self.context_norm = layers.LayerNormalization(name="context_norm")
        self.pitch_heads = [
            PitchHead(
                round((lowest - LOWEST_NOTE) * s.per_semitone),
                s.pitch_bins(i),
                12 * s.per_semitone,
                s.filters,
                name=f"pitch_{source}",
            )
            for i, (source, lowest) in enumerate(zip(s.pitched, s.lowest))
        ]
        # names in the weight files: "told" conditions on f0, "outlines" predicts the spectral envelopes
        self.told = layers.Dense(s.channels, name="told")
        self.later_blocks = [TemporalBlock(s.channels, s.hidden, d, name=f"later_{i}") for i, d in enumerate((1, 2))]
        self.outlines = layers.Dense(sum(sum(s.envelopes(x).values()) for x in s.sources), name="outlines")
        self.features = layers.Dense(2 * self.n_features, name="features")
        self.terms = {name: metrics.Mean(name=name) for name in WEIGHTS_OF_TERMS}

    def build(self, shape):
        s = self.sizes
        context = (None, None, s.channels)
        self.first.build((None, None, CONTEXT_BANDS))
        for layer in (*self.blocks, *self.later_blocks, self.context_norm, self.outlines, self.features):
            layer.build(context)
        for head in self.pitch_heads:
            head.build([(None, None, self.to_map.shape[1]), context])
        self.told.build((None, None, len(s.pitched) * (2 + N_PARTIALS)))
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
        s, half = self.sizes, self.sizes.n_fft // 2
        parts = ops.stft(ops.pad(audio, ((0, 0), (half, half))), s.n_fft, s.hop, s.n_fft, window="hann", center=False)
        return [part / self.window_norm for part in parts]

    def level(self, mixture):
        """Root mean square of (batch, samples): (batch, 1), never 0."""
        return ops.sqrt(ops.mean(ops.square(mixture), axis=1, keepdims=True)) + 1e-8

    # --- from spectrogram to controls

    def encode(self, magnitude):
        """The inputs of all heads.

        Parameters
        ----------
        magnitude : tensor, (batch, frames, frequencies)
            of a mixture with root mean square 1.

        Returns
        -------
        maps : tensor, (batch, frames, map bins)
            log magnitude over log frequency, minus each frame's mean.
        context : tensor, (batch, frames, channels)
        """
        maps = MAP_SCALE * ops.matmul(ops.log(magnitude + FLOOR), self.to_map)
        context = self.first(CONTEXT_SCALE * ops.log(ops.matmul(magnitude, self.to_mel) + FLOOR))
        for block in self.blocks:
            context = block(context)
        return maps - ops.mean(maps, axis=-1, keepdims=True), context

    def pitches(self, maps, context):
        """Logits of every pitch of every pitched source, and of none: list of (batch, frames, bins + 1)."""
        context = self.context_norm(context)
        return [head([maps, context]) for head in self.pitch_heads]

    def decode(self, logits):
        """The likeliest pitch of each frame by itself: (batch, frames, pitched sources) in Hz, 0 = none."""
        lines = []
        for i, scores in enumerate(logits):
            probability = ops.softmax(scores, axis=-1)
            likely, silent = probability[..., :-1], probability[..., -1]
            bins = ops.arange(likely.shape[-1], dtype="float32")
            best = ops.cast(ops.argmax(likely, axis=-1), "float32")[..., None]
            near = ops.where(ops.abs(bins - best) <= 2, likely, 0.0)  # the pitch is the mean over these bins
            mean = ops.sum(near * bins, axis=-1) / (ops.sum(near, axis=-1) + 1e-9)  # (batch, frames)
            lines.append(ops.where(silent < 0.5, hertz(self.sizes.lowest[i] + mean / self.sizes.per_semitone), 0.0))
        return ops.stack(lines, axis=-1)

    def taught(self, logits, inputs):
        """The f0 that the context is conditioned on: the decoded one, or the true one in examples that are "taught"."""
        f0 = ops.stop_gradient(self.decode(logits))
        return ops.where(inputs["taught"][..., None] > 0, inputs["f0"], f0) if "f0" in inputs else f0

    def condition(self, maps, context, f0):
        """Condition the context (batch, frames, channels) on f0; arguments as of `controls`."""
        s = self.sizes
        voiced = ops.cast(f0 > 0, "float32")
        note = midi(ops.where(f0 > 0, f0, ANY_F0))
        evidence = [voiced, (note - MIDDLE_NOTE) / OCTAVE * voiced]
        partials = ops.convert_to_tensor(np.log2(np.arange(1, N_PARTIALS + 1)) * 12, "float32")
        position = (note[..., None] + partials - LOWEST_NOTE) * s.per_semitone  # (batch, frames, pitched, partials)
        position = ops.cast(ops.clip(ops.round(position), 0, maps.shape[-1] - 1), "int32")
        evidence += [  # levels at the partials
            ops.take_along_axis(maps, position[:, :, i], axis=-1) * voiced[..., i : i + 1]
            for i in range(len(s.pitched))
        ]
        context = context + self.told(ops.concatenate(evidence, axis=-1))
        for block in self.later_blocks:
            context = block(context)
        return context

    def controls(self, maps, context, f0):
        """The controls of each source's synthesiser, given its f0.

        Parameters
        ----------
        maps, context : tensor
            as returned by `encode`.
        f0 : tensor, (batch, frames, pitched sources)
            in Hz, 0 for unvoiced frames.

        Returns
        -------
        controls : dict of dict of str -> tensor
            per source "harmonics" (batch, frames, harmonic_bands) and "noise" (batch, frames, noise_bands), or
            "bands" (batch, frames, bands): magnitudes, of a mixture with root mean square 1.
        features : dict of str -> tensor
            inputs of chapter 7's decoders, 250 times a second: "loudness" (batch, 2 frames, sources) and "bands"
            (batch, 2 frames, sources, N_BANDS) in dB; "onset" (batch, 2 frames, 1) of the drums.
        """
        context = self.condition(maps, context, f0)
        magnitudes = ops.exp(ops.clip(self.outlines(context), *LOG_MAGNITUDES))  # (batch, frames, all bands)
        controls, at = {source: {} for source in self.sizes.sources}, 0
        for source, parts in controls.items():
            for name, width in self.sizes.envelopes(source).items():
                parts[name] = magnitudes[..., at : at + width] * (NOISE_GAIN if name == "noise" else 1.0)
                at += width
        return controls, self._features(self.features(context))

    def _features(self, y):
        """Split the last layer's outputs, (batch, frames, 2 · n_features), two moments to a frame, into features."""
        y = ops.reshape(y, (-1, 2 * y.shape[1], self.n_features))  # (batch, 2 frames, n_features)
        n = len(self.sizes.sources)
        return {
            "loudness": FEATURE_SCALE * y[..., :n] + FEATURE_MEAN,
            "onset": ops.relu(y[..., n : n + 1]),
            "bands": FEATURE_SCALE * ops.reshape(y[..., n + 1 :], (*ops.shape(y)[:2], n, N_BANDS)) + FEATURE_MEAN,
        }

    def spectra(self, controls, f0, n_fft=None):
        """The magnitudes of the sources' sounds in a spectrogram: (batch, sources, frames, frequencies).

        Parameters
        ----------
        controls : dict
            as returned by `controls`.
        f0 : tensor, (batch, frames, pitched sources)
        n_fft : int, optional
            window of the spectrogram, that of the sizes if None. In a longer one a harmonic stands out of the noise
            by the square root of its length, and its lobe is as many bins wide.
        """
        s = self.sizes
        n_fft = n_fft or s.n_fft
        longer, spectra = n_fft / s.n_fft, []
        triangles = {
            n: t if longer == 1.0 else mel_triangles(n, n_fft, s.sample_rate).T for n, t in self.triangles.items()
        }
        for source in s.sources:
            parts = {name: ops.matmul(x, triangles[x.shape[-1]]) for name, x in controls[source].items()}
            if source in s.pitched:
                i = s.pitched.index(source)
                voiced, line = f0[..., i] > 0, ops.where(f0[..., i] > 0, f0[..., i], ANY_F0)  # (batch, frames)
                lobes = harmonic_lobes(line, self.widths[i], n_fft, s.sample_rate, longer)
                harmonics = parts["harmonics"] * ((lobes + LOBE_FLOOR) * ops.cast(voiced, "float32")[..., None])
                parts["harmonics"] = harmonics if longer == 1.0 else math.sqrt(longer) * harmonics
            spectra.append(sum(parts.values()))  # (batch, frames, frequencies)
        return ops.stack(spectra, axis=1)

    def call(self, inputs):
        real, imaginary = self.spectrum(inputs["mixture"] / self.level(inputs["mixture"]))
        maps, context = self.encode(ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12))
        logits = self.pitches(maps, context)
        f0 = self.taught(logits, inputs)
        controls, features = self.controls(maps, context, f0)
        return {
            "logits": logits,
            "f0": f0,
            "spectra": self.spectra(controls, f0),
            "features": features,
            "real": real,
            "imaginary": imaginary,
        }

    # --- losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The terms of `losses_of` and `feature_error`, weighted; each term is logged by its name."""
        terms = self.errors(x, y, y_pred)
        for name, value in terms.items():
            self.terms[name].update_state(value)
        return sum(WEIGHTS_OF_TERMS[name] * value for name, value in terms.items())

    def errors(self, x, y, y_pred):
        """All terms: those of `losses_of`, and `feature_error`."""
        level = self.level(x["mixture"])[..., None]
        terms = self.losses_of(y_pred, ops.convert_to_tensor(y["stems"]) / level, y["f0"])
        return terms | {"features": self.feature_error(y_pred["features"], y, level)}

    def losses_of(self, outputs, stems, f0):
        """The errors of pitch, magnitudes, envelopes and estimates.

        Parameters
        ----------
        outputs : dict
            as returned by `call`.
        stems : tensor, (batch, sources, samples)
            at the level at which the mixture's root mean square is 1.
        f0 : tensor, (batch, frames, pitched sources)

        Returns
        -------
        dict of str -> tensor, ()
        """
        real, imaginary = self.stem_spectra(stems)
        true = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12)
        mixture = ops.sqrt(ops.square(outputs["real"]) + ops.square(outputs["imaginary"]) + 1e-12)
        agree = outputs["real"][:, None] * real + outputs["imaginary"][:, None] * imaginary
        masks = wiener_masks(outputs["spectra"], self.sizes.power)
        estimate = masks * mixture[:, None]
        error = ops.sum(ops.square(estimate) - 2 * masks * agree + ops.square(true), axis=(2, 3))  # (batch, sources)
        energy = ops.sum(ops.square(true), axis=(2, 3))
        whole = ops.sum(ops.square(mixture), axis=(1, 2))[:, None]
        roots = ops.abs(ops.sqrt(estimate + ROOT_FLOOR) - ops.sqrt(true + ROOT_FLOOR))
        return {
            "pitch": self.pitch_error(outputs["logits"], f0),
            "magnitude": ops.mean(ops.abs(estimate - true)) + ROOTS * ops.mean(roots),
            "outline": ops.mean(ops.abs(ops.log(outputs["spectra"] + ENVELOPE_FLOOR) - ops.log(true + ENVELOPE_FLOOR))),
            "snr": relative_error(error, energy, whole),
        }

    def stem_spectra(self, stems):
        """`spectrum` of (batch, sources, samples): two of (batch, sources, frames, frequencies)."""
        parts = self.spectrum(ops.reshape(stems, (-1, stems.shape[-1])))
        return [ops.reshape(part, (-1, len(self.sizes.sources), *part.shape[1:])) for part in parts]

    def pitch_error(self, logits, f0):
        """Cross-entropy of the right classes, summed over the pitched sources: a tensor ()."""
        return sum(
            ops.mean(ops.categorical_crossentropy(self.pitch_target(f0[..., i], i), scores, from_logits=True))
            for i, scores in enumerate(logits)
        )

    def feature_error(self, features, true, level):
        """Mean distance of the features, in units of 10 dB; `level` is the mixture's root mean square (batch, 1, 1)."""
        louder, error = 20.0 / math.log(10.0) * ops.log(level), 0.0
        for name in features:
            target = ops.convert_to_tensor(true[name])
            estimate, unit = features[name][:, : target.shape[1]], 1.0
            if name != "onset":  # decibels, relative to the mixture
                target = ops.maximum(
                    target - ops.reshape(louder, (-1,) + (1,) * (len(target.shape) - 1)), SILENT_FEATURE
                )
                estimate, unit = ops.maximum(estimate, SILENT_FEATURE), 1 / FEATURE_SCALE
            error = error + unit * ops.mean(ops.abs(estimate - target))
        return error

    def pitch_target(self, f0, i):
        """The right classes, neighbours of the true one a little: (batch, frames, bins + 1), adding up to 1."""
        f0 = ops.convert_to_tensor(f0)
        position = (midi(ops.maximum(f0, 20.0)) - self.sizes.lowest[i]) * self.sizes.per_semitone
        bins = ops.arange(self.sizes.pitch_bins(i), dtype="float32")
        near = ops.exp(-0.5 * ops.square((bins - position[..., None]) / NEIGHBOURS))
        near = near / (ops.sum(near, axis=-1, keepdims=True) + 1e-6)
        voiced = ops.cast(f0 > 0, "float32")[..., None]
        return ops.concatenate([near * voiced, 1.0 - voiced], axis=-1)


def relative_error(error, energy, whole):
    """Mean logarithm of an error's energy relative to the stem's, in nats.

    No SNR above 30 dB counts, nor an error 40 dB below the mixture, and a stem counts as at most 20 dB softer than the
    mixture: `whole` is the mixture's energy.
    """
    return ops.mean(ops.log((error + BEST_SNR * energy + INAUDIBLE * whole) / (energy + SOFT_STEM * whole)))


def wiener_masks(spectra, power=1.0):
    """Each source's share of every bin, (batch, sources, frames, frequencies), which add up to 1."""
    raised = spectra if power == 1.0 else ops.exp(power * ops.log(spectra + 1e-9))
    return (raised + 1e-9) / ops.sum(raised + 1e-9, axis=1, keepdims=True)
