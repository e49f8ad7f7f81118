"""Separation by synthesis: what the analysis network predicts of a mixture becomes masks or sounds, and these stems.

Shown in `ddsp_models/combined_report.ipynb`.
"""

from pathlib import Path

import keras
import librosa
import numpy as np
from scipy.special import softmax

from audio_processing import masks as array_masks
from audio_processing.audio_processing import fix_length, istft, resample, stft
from audio_processing.chunks import MonoSeparator, Separator, principal_axes
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FLOOR, a_weights
from audio_processing.loudness import loudness as loudness_of
from common import results
from common.checks import expect
from ddsp_models.autoencoder import WEIGHTS, load_decoder, resynthesise
from ddsp_models.features import (
    HOP_LENGTH,
    MEL_BANDS,
    PITCHED_SOURCES,
    band_loudness,
    features_of,
    fill_gaps,
    layout_of,
)
from ddsp_models.separation.analysis_network import wiener_masks
from ddsp_models.separation.mask_refinement import RefinedMasks
from mss_nn_implementation.convtas import ConvTasNetSeparator
from training.compiled import compiled
from training.weights import load_checked

_array = keras.ops.convert_to_numpy

DECODED_SOURCES = ("drums", *PITCHED_SOURCES)  # chapter 7 has decoders for these
HANN_ENERGY = 192.0  # sum of the squares of the window of `loudness`: 512 samples of Hann
# In dB. A feature so far below the mixture is silence: training does not distinguish what is 60 dB below
# (`ParametricSeparator.feature_error`), and the network's predictions of silence lie a little above that.
SILENT_BELOW_MIXTURE = 57.0
RESIDUE_BELOW_MIXTURE = 24.0  # in dB; a pitched source below it that plays no note is the residue of other sources
# In s: after which the sound of a note has died away; by which a voice begins before its first pitch, at most.
RELEASE_SECONDS, CONSONANT_SECONDS = 0.4, 0.2


def true_f0(annotations, sizes, samples):
    """A song's true f0 in the frames of the analysis network.

    Parameters
    ----------
    annotations : dict of str to np.ndarray, (frames,)
        "f0_<source>" in Hz and "voiced_<source>", 250 frames a second.
    sizes : analysis_network.Sizes
    samples : int
        length of the song at the network's rate, a multiple of `sizes.hop`.

    Returns
    -------
    np.ndarray, float32, (samples / hop + 1, pitched sources)
        in Hz, 0 = none.

    Raises
    ------
    ValueError
        if the f0 of a pitched source is not annotated.
    """
    if missing := [source for source in sizes.pitched if f"f0_{source}" not in annotations]:
        raise ValueError(f"annotations: expected f0_{missing[0]}, got {', '.join(sorted(annotations)) or 'none'}")
    every = FRAME_RATE * sizes.hop // sizes.sample_rate  # annotated frames to a frame of the network
    lines = [(annotations[f"f0_{source}"] * annotations[f"voiced_{source}"])[::every] for source in sizes.pitched]
    return fix_length(np.stack(lines).astype(np.float32), samples // sizes.hop + 1).T


# --- the most probable f0, given the probabilities of every pitch (Viterbi) ------------------------------------------


def transitions(n_pitches, glide=0.7, leap=7.0, begin=4.0, rest=5.0):
    """How likely one pitch follows another: near ones more than far ones, a leap always possible, rests in between.

    Parameters
    ----------
    n_pitches : int
    glide : float
        cost of a bin's distance, in nats, until it is a leap.
    leap, begin, rest : float
        cost of a leap, of the beginning of a rest, and of its end in any one pitch.

    Returns
    -------
    np.ndarray, (n_pitches + 1, n_pitches + 1)
        rows add up to 1; the last state is "no pitch".
    """
    bins = np.arange(n_pitches)
    logs = np.zeros((n_pitches + 1, n_pitches + 1))
    logs[:-1, :-1] = -np.minimum(glide * np.abs(bins[:, None] - bins), leap)
    logs[:-1, -1], logs[-1, :-1] = -begin, -rest
    table = np.exp(logs)
    return table / table.sum(axis=1, keepdims=True)


def viterbi_f0(logits, lowest, per_semitone):
    """The f0 along the most probable path through a chunk (Viterbi), to a fraction of a bin.

    Parameters
    ----------
    logits : np.ndarray, (frames, bins + 1)
        of each pitch and, last, of none.
    lowest : float
        MIDI number of the first bin.
    per_semitone : int
        bins.

    Returns
    -------
    np.ndarray, float32, (frames,)
        in Hz, 0 for no pitch.
    """
    # no frame alone rules out a path:
    probability = np.exp(np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)) + 1e-6
    probability /= probability.sum(axis=-1, keepdims=True)
    n_pitches = probability.shape[1] - 1
    states = librosa.sequence.viterbi(probability.T, transitions(n_pitches))
    near = np.clip(states[:, None] + np.arange(-2, 3), 0, n_pitches - 1)
    weight = np.take_along_axis(probability, near, axis=1)
    position = np.sum(weight * near, axis=1) / weight.sum(axis=1)  # in bins
    return np.where(states < n_pitches, librosa.midi_to_hz(lowest + position / per_semitone), 0.0).astype(np.float32)


# --- masks -----------------------------------------------------------------------------------------------------------


def mask_settings(name, folder=WEIGHTS):
    """Window and exponent that `tune_masks` chose for a separator: {"n_fft", "power"}, or {} if it was not tuned."""
    path = Path(folder) / "masks.json"
    tuned = results.read(path)["chosen"].get(name, {}) if path.exists() else {}
    return {key: tuned[key] for key in ("n_fft", "power") if key in tuned}


class MaskedSeparator(MonoSeparator):
    """Separate any song with an analysis network: the spectra that it predicts for the sources divide the mixture's.

    The stems of a mono song of at most 16 kHz are the masked mixture. Above 8 kHz a song is divided as these stems are
    (`masked_channels`). Several channels are separated along their `principal_axes`. The stems add up to the mixture.

    Parameters
    ----------
    model : analysis_network.ParametricSeparator
        whose weights may still change.
    power : float
        exponent of the spectra in the masks.
    n_fft : int, optional
        window of the spectrogram that is divided, in samples; that of the network if None.
    """

    chunk_seconds = 8.0
    even = False  # one shape, one compilation

    def __init__(self, model, power=1.0, n_fft=None):
        sizes = model.sizes
        self.model, self.power, self.n_fft, self.mask_hop = model, power, n_fft or sizes.n_fft, sizes.hop
        self.sources, self.sample_rate = sizes.sources, sizes.sample_rate
        expect(self.n_fft % (2 * sizes.hop) == 0, "n_fft", f"a multiple of {2 * sizes.hop}", self.n_fft)
        self.encode, self.divide = compiled(self._encode), compiled(self._divide)

    @classmethod
    def load(cls, name="one_artist", folder=WEIGHTS, **settings):
        """Load the network that `train.py` exported: separator-`name`.keras of `folder` and its record.

        Parameters
        ----------
        name : str
        folder : str or Path
        **settings
            power and n_fft, in place of those that `tune_masks` chose.

        Raises
        ------
        WeightsError
            if a file is missing, or if the weights are not those that the record describes.
        """
        return cls(load_checked(Path(folder) / f"separator-{name}")[0], **(mask_settings(name, folder) | settings))

    def separate_mono(self, signal, sample_rate):
        """Separate a chunk of one channel: (samples,) -> (sources, samples)."""
        mixture = resample(signal, sample_rate, self.sample_rate)
        stems = self.analyse(fix_length(mixture, round(self.chunk_seconds * self.sample_rate)))["stems"]
        parts = fix_length(resample(stems[:, : len(mixture)], self.sample_rate, sample_rate), len(signal))
        if sample_rate <= self.sample_rate:
            return parts
        return array_masks.masked_channels(signal[None], parts, sample_rate, self.sample_rate)[:, 0]

    def analyse(self, audio, f0=None, loudness=None):
        """Estimate f0, features, masks and stems of a chunk.

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz, a multiple of `hop` long.
        f0 : np.ndarray, (frames, pitched sources), optional
            in Hz, 0 = none; replaces the predicted one.
        loudness : np.ndarray, (frames, sources), optional
            in dB; the spectra are made that loud, frame by frame, before they divide the mixture.

        Returns
        -------
        dict
            "f0" (frames, pitched sources); "probability" of each pitch (and, last, of none): an array (frames,
            bins + 1) per pitched source; "controls", "features" (see `ParametricSeparator.controls`), at the level of
            `audio`; "masks" (sources, frequencies, frames of `mask_hop`); "stems" (sources, samples).
        """
        s = self.model.sizes
        batch = np.asarray(audio, np.float32)[None]
        level = float(np.sqrt(np.mean(np.square(batch, dtype=np.float64)))) + 1e-8
        maps, context, logits, spectrum = self.encode(batch if batch.any() else batch + 1e-9)  # silence has no level
        logits = [_array(scores)[0] for scores in logits]  # (frames, bins + 1)
        if f0 is None:
            f0 = np.stack([viterbi_f0(x, lowest, s.per_semitone) for x, lowest in zip(logits, s.lowest)], axis=-1)
        told = [np.asarray(f0, np.float32)[None]]
        if loudness is not None:
            told.append((10 ** (np.asarray(loudness) / 10) / (HANN_ENERGY * level**2)).astype(np.float32)[None])
        masks, controls, features = self.divide(maps, context, spectrum, *told)
        spectrum = stft(batch[0], self.n_fft, self.mask_hop)  # (frequencies, frames)
        masks = _array(masks)[0]
        masks = masks.view(np.complex64)[..., 0] if masks.ndim == 4 else masks  # real and imaginary parts
        masks = np.swapaxes(masks, 1, 2)[..., : spectrum.shape[-1]]  # (sources, frequencies, frames)
        return {
            "f0": f0,
            "probability": [softmax(scores, axis=-1) for scores in logits],
            "controls": {
                source: {name: level * _array(x)[0] for name, x in parts.items()} for source, parts in controls.items()
            },
            "features": {
                name: _array(x)[0] + (0 if name == "onset" else 20 * np.log10(level)) for name, x in features.items()
            },
            "masks": masks,
            "stems": istft(masks * spectrum, self.mask_hop, length=len(audio)).astype(np.float32),
        }

    def _encode(self, batch):
        real, imaginary = self.model.spectrum(batch / self.model.level(batch))
        maps, context = self.model.encode(keras.ops.sqrt(real**2 + imaginary**2 + 1e-12))
        return maps, context, self.model.pitches(maps, context), (real, imaginary)

    def _divide(self, maps, context, spectrum, f0, power=None):
        """Masks, controls and features; the sources may have a given A-weighted `power`, (batch, frames, sources)."""
        controls, features = self.model.controls(maps, context, f0)
        spectra = self.model.spectra(controls, f0, self.n_fft)
        if power is not None:
            weight = keras.ops.convert_to_tensor(a_weights(self.sample_rate, self.n_fft), "float32")
            predicted = keras.ops.mean(keras.ops.square(spectra) * weight, axis=-1, keepdims=True)
            spectra = spectra * keras.ops.sqrt(keras.ops.transpose(power, (0, 2, 1))[..., None] / (predicted + 1e-12))
        return self._masks(spectra, spectrum), controls, features

    def _masks(self, spectra, spectrum):
        """Masks from spectra (batch, sources, frames, frequencies): of that shape, or with complex numbers as pairs."""
        return wiener_masks(spectra, self.power)

    def describe(self, audio, f0=None, loudness=None, measured=True):
        """Estimate the features of every source of a song of any length, for the decoders.

        Loudness and bands of drums are the network's predictions. Those of pitched sources are measured in their stems
        while a note sounds, which was more accurate on validation songs. The stem of a bass, though, holds what other
        sources left above its few harmonics: its bands are predicted if the network was trained for the decoder's
        (`Sizes.heard_as`). Silence is -80 dB: what is `SILENT_BELOW_MIXTURE`, and a pitched source without a note that
        is `RESIDUE_BELOW_MIXTURE` (dB).

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz.
        f0 : np.ndarray, (samples // 128 + 1, pitched sources), optional
            in Hz, 0 = none; replaces the predicted one.
        loudness : np.ndarray, (samples // 64, sources), optional
            in dB, replaces the predicted one; the bands move with it.
        measured : bool
            if False, nothing is measured in stems, and all features are predicted.

        Returns
        -------
        dict of dict of np.ndarray
            per source what `features.pitched_features` or `features.drum_features` gives, (frames, channels), with at
            least one frame.
        """
        n_frames = max(1, len(audio) // HOP_LENGTH)
        song = {name: x[:n_frames] for name, x in self._song_features(audio, f0, measured).items()}
        if loudness is not None:
            given = np.maximum(fix_length(np.asarray(loudness, np.float32).T, n_frames).T, LOUDNESS_FLOOR)
            moved = song["bands"] + (given - song["loudness"])[:, :, None]
            song |= {"loudness": given, "bands": np.maximum(moved, LOUDNESS_FLOOR)}
        sizes, features = self.model.sizes, {}
        for i, source in enumerate(sizes.sources):
            features[source] = {"loudness": song["loudness"][:, i : i + 1].copy(), "bands": song["bands"][:, i].copy()}
            if source in sizes.pitched:
                line, voiced = fill_gaps(song["f0"][:, sizes.pitched.index(source)])
                if loudness is None and measured:  # silent until the first note and its consonant
                    first = int(voiced.argmax()) if voiced.any() else n_frames
                    for x in features[source].values():
                        x[: max(0, first - round(CONSONANT_SECONDS * FRAME_RATE))] = LOUDNESS_FLOOR
                features[source] |= {"f0": line[:, None], "voiced": voiced[:, None].astype(np.float32)}
            if source == "drums":
                features[source]["onset"] = song["onset"]
        return features

    def _song_features(self, audio, f0, measured):
        """f0 and features of a song, (frames, ...) at 250 a second, chunk by chunk with their neighbours' edges."""
        hop, size = self.model.sizes.hop, round(self.chunk_seconds * self.sample_rate)
        margin = size // 8  # features of the outer eighths, which are predicted worse, come from the chunks beside it
        inner, parts = size - 2 * margin, []
        for start in range(0, max(1, len(audio)), inner):
            first = max(0, start - margin)
            line = None if f0 is None else fix_length(f0[first // hop :].T, size // hop + 1).T
            chunk = fix_length(audio[first : first + size], size)
            analysis = self.analyse(chunk, line)
            features = self._for_decoders(analysis, np.sqrt(np.mean(np.square(chunk))) + 1e-8, measured)
            begin = 2 * ((start - first) // hop)
            parts.append({name: x[begin : begin + 2 * (inner // hop)] for name, x in features.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _for_decoders(self, analysis, level, measured=True):
        """The features of a chunk as decoders take them: predicted or measured, and silence as -80 dB."""
        s, mixture = self.model.sizes, 20 * np.log10(level)
        features = {name: analysis["features"][name].copy() for name in ("loudness", "bands", "onset")}
        features["f0"] = np.repeat(analysis["f0"], 2, axis=0)
        for source, f0 in zip(s.pitched, features["f0"].T) if measured else ():
            i, voiced = s.sources.index(source), f0 > 0
            stem, predicted = analysis["stems"][i], features["loudness"][:, i].copy()
            n = len(stem) // HOP_LENGTH
            in_stem = loudness_of(stem, self.sample_rate)[:n]
            back = np.where(voiced[:n], 0.0, predicted[:n] - in_stem)  # without a note, the stem holds other sources
            features["loudness"][:n, i] = in_stem + back
            if layout_of(source) == MEL_BANDS or s.heard_as != "decoders":
                features["bands"][:n, i] = band_loudness(stem, layout_of(source)) + back[:, None]
            softer = np.append(np.minimum(in_stem, predicted[:n]), predicted[n:])
            residue = (frames_since(voiced) > RELEASE_SECONDS * FRAME_RATE) & (softer < mixture - RESIDUE_BELOW_MIXTURE)
            features["loudness"][residue, i] = features["bands"][residue, i] = LOUDNESS_FLOOR
        for levels in (features["loudness"], features["bands"]):
            levels[levels < max(mixture - SILENT_BELOW_MIXTURE, LOUDNESS_FLOOR)] = LOUDNESS_FLOOR
        return features


class RefinedSeparator(MaskedSeparator):
    """As `MaskedSeparator`, but a small network refines the masks, which are complex then.

    Parameters
    ----------
    refinement : mask_refinement.RefinedMasks
        with its analysis network.
    """

    def __init__(self, refinement):
        super().__init__(refinement.separator, refinement.sizes.exponent, refinement.sizes.n_fft)
        self.refinement, self.mask_hop = refinement, refinement.sizes.mask_hop

    @classmethod
    def load(cls, name="one_artist_refined", folder=WEIGHTS):
        """Load the refinement `name` of `folder`."""
        return cls(load_checked(Path(folder) / f"separator-{name}", kind=RefinedMasks)[0])

    def _masks(self, spectra, spectrum):
        every = self.refinement.sizes.every
        parts = self.refinement.masks(*(part[:, ::every] for part in spectrum), spectra[:, :, ::every])
        return keras.ops.stack(parts, axis=-1)


def decoded_masks(sounds, n_fft, hop, power=1.0):
    """Masks from the sounds of decoders (Schulze-Forster et al. 2023): in proportion to their magnitudes in each bin.

    Parameters
    ----------
    sounds : np.ndarray, (sources, samples)
    n_fft, hop : int
        of the STFT, in samples.
    power : float
        exponent of the magnitudes.

    Returns
    -------
    np.ndarray, (sources, n_fft / 2 + 1, frames)
        which add up to 1.
    """
    # the floor is `array_masks.QUIET` for the magnitudes of decoded sounds
    return array_masks.wiener_masks(np.abs(stft(sounds, n_fft, hop)), power, floor=1e-7)


# --- sounds ----------------------------------------------------------------------------------------------------------


class ResynthesisSeparator(Separator):
    """Separation by resynthesis: decoders synthesise each stem from features that are estimated in the mixture.

    Nothing of the mixture is in the result but its features, 250 times a second. The stems have no phase in common with
    the true ones and do not add up to the mixture. They are mono, at 16 kHz, and lie where most
    of it lies: on its first principal axis.

    Parameters
    ----------
    separator : MaskedSeparator
        whose features are synthesised.
    decoders : dict of str to autoencoder.Decoder
    """

    # Long, since the harmonics of the next chunk have other phases, so that some are lost in a crossfade,
    chunk_seconds = 32.0
    overlap_seconds = 0.032  # which is short for the same reason

    def __init__(self, separator, decoders):
        self.separator, self.decoders = separator, decoders
        self.sources, self.sample_rate = tuple(decoders), separator.sample_rate

    @classmethod
    def load(cls, name="one_artist", decoders="band", folder=WEIGHTS):
        """Load the network `name` and the decoders "band", "heard" or "air_traffic" of `folder`."""
        return cls._with_decoders(MaskedSeparator.load(name, folder), decoders, folder)

    @classmethod
    def _with_decoders(cls, separator, name, folder):
        sources = [source for source in separator.sources if source in DECODED_SOURCES]
        return cls(separator, load_decoders(name, sources, folder))

    def describe(self, audio):
        """Estimate the features of every source in a mono sound at 16 kHz, for its decoder."""
        return self.separator.describe(audio)

    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples)."""
        if not chunk.any():
            return np.zeros((len(self.sources), *chunk.shape), np.float32)
        signals, axes = (chunk, np.ones((1, 1), np.float32)) if len(chunk) == 1 else principal_axes(chunk)
        mixture = resample(signals[0], sample_rate, self.sample_rate)
        sounds = fix_length(synthesise(self.decoders, self.describe(mixture)), len(mixture))
        sounds = fix_length(resample(sounds, self.sample_rate, sample_rate), chunk.shape[-1])
        return (sounds[:, None] * axes[:, :1]).astype(np.float32)


class ChainSeparator(ResynthesisSeparator):
    """The other order: Conv-TasNet separates, pitch and loudness are tracked in its stems, decoders synthesise them.

    Parameters
    ----------
    separator : ConvTasNetSeparator
    decoders : dict of str to autoencoder.Decoder
    """

    @classmethod
    def load(cls, name="trio", decoders="band", folder=WEIGHTS):
        """Load the Conv-TasNet `name` of chapter 6 and the decoders "band", "heard" or "air_traffic" of `folder`."""
        return cls._with_decoders(ConvTasNetSeparator.load(name), decoders, folder)

    def describe(self, audio):
        """The features of Conv-TasNet's stems, with pitch by CREPE (pYIN if it has no weights) or YIN."""
        stems = self.separator.separate(fix_length(audio, max(len(audio), 4096)))  # samples that a tracker needs
        return {source: features_of(source, stems[source], self.sample_rate) for source in self.sources}


def load_decoders(name, sources, folder=WEIGHTS):
    """The decoders of several sources: a dict of `autoencoder.Decoder`."""
    if unknown := [source for source in sources if source not in DECODED_SOURCES]:
        raise ValueError(f"sources: expected some of {', '.join(DECODED_SOURCES)}, got {unknown[0]}, without a decoder")
    return {source: load_decoder(f"{name}-{source}", folder)[0] for source in sources}


def synthesise(decoders, features):
    """The sounds of several sources, (sources, frames · 64): each decoder gets its source's features.

    Parameters
    ----------
    decoders : dict of str to autoencoder.Decoder
    features : dict of dict of np.ndarray
        as `MaskedSeparator.describe` gives them.
    """
    return np.stack([resynthesise(decoder, features[source]) for source, decoder in decoders.items()])


def frames_since(voiced):
    """How many frames ago the last voiced one was, in each frame; infinite before the first: (frames,)."""
    k = np.arange(len(voiced), dtype=float)
    return k - np.maximum.accumulate(np.where(voiced, k, -np.inf))
