"""Separation by synthesis: what the analysis network predicts of a mixture becomes masks or sounds, and these stems.

Shown in `ddsp_models/combined_report.ipynb`.
"""

from pathlib import Path

import keras
import librosa
import numpy as np
from scipy.special import softmax

from audio_processing import masks as array_masks
from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from audio_processing.chunks import Separator
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FLOOR
from audio_processing.loudness import loudness as loudness_of
from common import results
from ddsp_models.autoencoder import WEIGHTS, load_decoder, resynthesise
from ddsp_models.features import (
    HOP_LENGTH,
    MEL_BANDS,
    PITCHED_SOURCES,
    band_loudness,
    drum_features,
    fill_gaps,
    layout_of,
    pitched_features,
)
from ddsp_models.separation.analysis_network import wiener_masks
from ddsp_models.separation.mask_refinement import RefinedMasks
from ddsp_models.separation.viterbi import viterbi_f0
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
RELEASE_SECONDS = 0.4  # after which the sound of a note has died away
CONSONANT_SECONDS = 0.2  # by which a voice begins before its first pitch, at most
EDGE = 8  # features of the outer eighths of a chunk, which are predicted worse, come from the chunks beside it
DECODED_QUIET = 1e-7  # as `audio_processing.masks.QUIET`, for the magnitudes of decoded sounds


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


# --- masks -----------------------------------------------------------------------------------------------------------


def load_separator(name="one_artist", folder=WEIGHTS, kind=keras.Model):
    """Load an analysis network, or one with a mask refinement, that `train.py` or `train_refinement.py` exported.

    Parameters
    ----------
    name : str
        separator-`name`.keras holds the network, separator-`name`.json its settings and checksum.
    folder : str or Path
    kind : type
        class of the network.

    Returns
    -------
    model : keras.Model
    record : dict

    Raises
    ------
    WeightsError
        if a file is missing, or if the weights are not those that the record describes.
    """
    return load_checked(Path(folder) / f"separator-{name}", kind=kind)


def mask_settings(name, folder=WEIGHTS):
    """Window and exponent that `tune_masks` chose for a separator: {"n_fft", "power"}, or {} if it was not tuned."""
    path = Path(folder) / "masks.json"
    tuned = results.read(path)["chosen"].get(name, {}) if path.exists() else {}
    return {key: tuned[key] for key in ("n_fft", "power") if key in tuned}


class MaskedSeparator(Separator):
    """Separate any song with an analysis network: the spectra that it predicts for the sources divide the mixture's.

    The stems of a mono song of at most 16 kHz are the masked mixture. For any other song, its channels are divided
    among these stems, as Conv-TasNet's are (`masked_channels`). Either way the stems add up to the mixture.

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
        if self.n_fft % (2 * sizes.hop):
            raise ValueError(f"n_fft: expected a multiple of {2 * sizes.hop}, got {self.n_fft}")
        self.encode, self.divide = compiled(self._encode), compiled(self._divide)

    @classmethod
    def load(cls, name="one_artist", folder=WEIGHTS, **settings):
        """Load the network `name` of `folder`; `settings` (power, n_fft) replace those of `tune_masks`."""
        return cls(load_separator(name, folder)[0], **{**mask_settings(name, folder), **settings})

    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples)."""
        mixture = resample(to_mono(chunk), sample_rate, self.sample_rate)
        stems = self.stems(fix_length(mixture, round(self.chunk_seconds * self.sample_rate)))[:, : len(mixture)]
        parts = fix_length(resample(stems, self.sample_rate, sample_rate), chunk.shape[-1])
        if len(chunk) == 1 and sample_rate <= self.sample_rate:
            return parts[:, None]
        return array_masks.masked_channels(chunk, parts, sample_rate, self.sample_rate)

    def stems(self, audio):
        """Stems (sources, samples) of a mono chunk at the network's rate."""
        return self.analyse(audio)["stems"]

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
            lines = [viterbi_f0(scores, s.lowest[i], s.per_semitone) for i, scores in enumerate(logits)]
            f0 = np.stack(lines, axis=-1)
        power = ()
        if loudness is not None:
            power = ((10 ** (np.asarray(loudness) / 10) / (HANN_ENERGY * level**2)).astype(np.float32)[None],)
        masks, controls, features = self.divide(maps, context, spectrum, np.asarray(f0, np.float32)[None], *power)
        spectrum = stft(batch[0], self.n_fft, self.mask_hop)  # (frequencies, frames)
        masks = np.swapaxes(self._mask_array(masks), 1, 2)[..., : spectrum.shape[-1]]  # (sources, frequencies, frames)
        level_db = 20 * np.log10(level)
        return {
            "f0": f0,
            "probability": [softmax(scores, axis=-1) for scores in logits],
            "controls": {
                source: {name: level * _array(x)[0] for name, x in parts.items()} for source, parts in controls.items()
            },
            "features": {name: _array(x)[0] + (level_db if name != "onset" else 0) for name, x in features.items()},
            "masks": masks,
            "stems": istft(masks * spectrum, self.mask_hop, length=len(audio)).astype(np.float32),
        }

    def _encode(self, batch):
        real, imaginary = self.model.spectrum(batch / self.model.level(batch))
        maps, context = self.model.encode(keras.ops.sqrt(real**2 + imaginary**2 + 1e-12))
        return maps, context, self.model.pitches(maps, context), (real, imaginary)

    def _divide(self, maps, context, spectrum, f0, power=None):
        spectra, controls, features = self._spectra(maps, context, f0, power)
        return wiener_masks(spectra, self.power), controls, features

    def _mask_array(self, masks):
        """The first masks of a batch, (sources, frames, frequencies), as an array."""
        return _array(masks)[0]

    def _spectra(self, maps, context, f0, power=None):
        """Spectra (batch, sources, frames, frequencies), with a given A-weighted `power` (batch, frames, sources)."""
        controls, features = self.model.controls(maps, context, f0)
        spectra = self.model.spectra(controls, f0, self.n_fft)
        if power is not None:
            frequency = np.maximum(librosa.fft_frequencies(sr=self.sample_rate, n_fft=self.n_fft), 1.0)
            weight = keras.ops.convert_to_tensor(10 ** (librosa.A_weighting(frequency) / 10), "float32")
            predicted = keras.ops.mean(keras.ops.square(spectra) * weight, axis=-1, keepdims=True)
            spectra = spectra * keras.ops.sqrt(keras.ops.transpose(power, (0, 2, 1))[..., None] / (predicted + 1e-12))
        return spectra, controls, features

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
        margin = size // EDGE
        inner, parts = size - 2 * margin, []
        for start in range(0, max(1, len(audio)), inner):
            first = max(0, start - margin)
            line = None if f0 is None else fix_length(f0[first // hop :].T, size // hop + 1).T
            chunk = fix_length(audio[first : first + size], size)
            analysis = self.analyse(chunk, line)
            features = self._for_decoders(analysis, np.sqrt(np.mean(np.square(chunk))) + 1e-8, measured)
            features["f0"] = np.repeat(analysis["f0"], 2, axis=0)
            begin = 2 * ((start - first) // hop)
            parts.append({name: x[begin : begin + 2 * (inner // hop)] for name, x in features.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _for_decoders(self, analysis, level, measured=True):
        """The features of a chunk as decoders take them: predicted or measured, and silence as -80 dB."""
        s, mixture = self.model.sizes, 20 * np.log10(level)
        features = {name: analysis["features"][name].copy() for name in ("loudness", "bands", "onset")}
        for i, source in enumerate(s.sources):
            if source not in s.pitched or not measured:
                continue
            voiced = np.repeat(analysis["f0"][:, s.pitched.index(source)] > 0, 2)
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
        for name in ("loudness", "bands"):
            silent = features[name] < max(mixture - SILENT_BELOW_MIXTURE, LOUDNESS_FLOOR)
            features[name][silent] = LOUDNESS_FLOOR
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
        return cls(load_separator(name, folder, RefinedMasks)[0])

    def _divide(self, maps, context, spectrum, f0, power=None):
        spectra, controls, features = self._spectra(maps, context, f0, power)
        every = self.refinement.sizes.every
        parts = self.refinement.masks(*(part[:, ::every] for part in spectrum), spectra[:, :, ::every])
        return keras.ops.stack(parts, axis=-1), controls, features

    def _mask_array(self, masks):
        return _array(masks)[0].view(np.complex64)[..., 0]


class DecodedMasksSeparator(MaskedSeparator):
    """As `MaskedSeparator`, but the masks come from the sounds of decoders.

    The decoders synthesise each source (`ResynthesisSeparator`); the magnitudes of these sounds' spectrograms divide
    the mixture, instead of those that the network gives in closed form, as in Schulze-Forster et al. 2023.

    Parameters
    ----------
    model, power, n_fft
        as for `MaskedSeparator`.
    decoders : dict of str to autoencoder.Decoder
        of every source.
    """

    def __init__(self, model, decoders, power=1.0, n_fft=None):
        super().__init__(model, power, n_fft)
        self.decoders = decoders

    @classmethod
    def load(cls, name="one_artist", decoders="band", folder=WEIGHTS, **settings):
        """Load the network `name` and the decoders "band", "heard" or "air_traffic" of `folder`."""
        masked = MaskedSeparator.load(name, folder, **settings)
        return cls(masked.model, load_decoders(decoders, masked.sources, folder), masked.power, masked.n_fft)

    def stems(self, audio):
        """Stems (sources, samples) of a mono chunk at the network's rate."""
        masks = decoded_masks(synthesise(self.decoders, self.describe(audio)), self.n_fft, self.mask_hop, self.power)
        spectrum = stft(audio, self.n_fft, self.mask_hop)
        return istft(masks * spectrum, self.mask_hop, length=len(audio)).astype(np.float32)


def decoded_masks(sounds, n_fft, hop, power=1.0):
    """Masks from sounds: each bin is divided in proportion to their magnitudes there.

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
    return array_masks.wiener_masks(np.abs(stft(sounds, n_fft, hop)), power, DECODED_QUIET)


# --- sounds ----------------------------------------------------------------------------------------------------------


class ResynthesisSeparator(Separator):
    """Separation by resynthesis: decoders synthesise each stem from features that are estimated in the mixture.

    Nothing of the mixture is in the result but its features, 250 times a second. The stems have no phase in common with
    the true ones and do not add up to the mixture. They are mono, at 16 kHz, whatever the mixture is.

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
        mixture = resample(to_mono(chunk), sample_rate, self.sample_rate)
        sounds = fix_length(synthesise(self.decoders, self.describe(mixture)), len(mixture))
        sounds = fix_length(resample(sounds, self.sample_rate, sample_rate), chunk.shape[-1])
        return np.repeat(sounds[:, None], len(chunk), axis=1).astype(np.float32)


class ChainSeparator(ResynthesisSeparator):
    """The other order: Conv-TasNet separates, pitch and loudness are tracked in its stems, decoders synthesise them.

    Parameters
    ----------
    separator : ConvTasNetSeparator
    decoders : dict of str to autoencoder.Decoder
    """

    SHORTEST = 4096  # Samples that a pitch tracker needs

    @classmethod
    def load(cls, name="trio", decoders="band", folder=WEIGHTS):
        """Load the Conv-TasNet `name` of chapter 6 and the decoders "band", "heard" or "air_traffic" of `folder`."""
        return cls._with_decoders(ConvTasNetSeparator.load(name), decoders, folder)

    def describe(self, audio):
        """The features of Conv-TasNet's stems, with pitch by CREPE (pYIN if it has no weights) or YIN."""
        stems = self.separator.separate(fix_length(audio, max(len(audio), self.SHORTEST)))
        return {
            source: drum_features(stems[source], self.sample_rate)
            if source == "drums"
            else pitched_features(stems[source], self.sample_rate, **PITCHED_SOURCES[source])
            for source in self.sources
        }


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
