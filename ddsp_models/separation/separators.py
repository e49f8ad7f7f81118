"""Separation by synthesis: what `parametric` hears in a mixture becomes masks, and masks become stems."""

from pathlib import Path

import keras
import librosa
import numpy as np

from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from audio_processing.chunks import array_reader, by_windows, even_window
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FLOOR
from audio_processing.loudness import loudness as loudness_of
from common import results
from ddsp_models.autoencoder import WEIGHTS, load_checked, load_decoder, resynthesise
from ddsp_models.features import HOP_LENGTH, LISTENING, band_loudness, drum_features, fill_gaps, pitched_features
from ddsp_models.separation.analysis_network import wiener_masks
from ddsp_models.separation.mask_refinement import RefinedMasks
from ddsp_models.separation.song_crops import bands_of
from mss_nn_implementation.convtas import ConvTasNetSeparator, WeightsError, masked_channels


def load_separator(name="one_artist", folder=WEIGHTS):
    """Load a parametric separator that `train_separator.py` saved.

    Parameters
    ----------
    name : str
        separator-`name`.keras holds network and weights, separator-`name`.json their settings and checksum.
    folder : str or Path

    Returns
    -------
    model : parametric.ParametricSeparator
    record : dict

    Raises
    ------
    WeightsError
        where a file is missing, or the weights are not those that the record describes.
    """
    return load_checked(f"separator-{name}", folder, "make train")


def transitions(n_pitches, glide=0.7, leap=7.0, begin=4.0, rest=5.0):
    """How likely one pitch follows another: near ones more than far ones, a leap always possible, rests in between.

    Parameters
    ----------
    n_pitches : int
    glide : float
        what a bin's distance costs, in nats, until it is a leap.
    leap, begin, rest : float
        what a leap, the beginning of a rest, and its end in any one pitch cost.

    Returns
    -------
    np.ndarray, (n_pitches + 1, n_pitches + 1)
        rows add up to 1; the last state is "no pitch".
    """
    distance = np.abs(np.subtract.outer(np.arange(n_pitches), np.arange(n_pitches)))
    logs = np.zeros((n_pitches + 1, n_pitches + 1))
    logs[:-1, :-1] = -np.minimum(glide * distance, leap)
    logs[:-1, -1], logs[-1, :-1] = -begin, -rest
    table = np.exp(logs)
    return table / table.sum(axis=1, keepdims=True)


def likeliest_line(logits, lowest, per_semitone):
    """The pitch line that explains a whole window best (Viterbi), to a fraction of a bin.

    Parameters
    ----------
    logits : np.ndarray, (frames, bins + 1)
    lowest : float
        MIDI number of the first bin.
    per_semitone : int

    Returns
    -------
    np.ndarray, float32, (frames,)
        in Hz, 0 for no pitch.
    """
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    probability = np.exp(shifted) + 1e-6
    probability /= probability.sum(axis=-1, keepdims=True)
    n_pitches = probability.shape[1] - 1
    states = librosa.sequence.viterbi(probability.T, transitions(n_pitches))
    near = np.clip(states[:, None] + np.arange(-2, 3), 0, n_pitches - 1)
    weight = np.take_along_axis(probability, near, axis=1)
    position = np.sum(weight * near, axis=1) / weight.sum(axis=1)
    f0 = 440.0 * 2.0 ** ((lowest + position / per_semitone - 69.0) / 12.0)
    return np.where(states < n_pitches, f0, 0.0).astype(np.float32)


class MaskedSeparator:
    """Separate any song with a parametric separator: its sources' spectra divide the mixture's.

    A mono song of at most 16 kHz gets the masked mixture itself; any other has its channels divided among these stems,
    as Conv-TasNet's are (`masked_channels`). Either way the stems add up to the mixture.

    Parameters
    ----------
    name : str
        a model of `folder`.
    folder : str or Path
    power : float, optional
        exponent of the spectra in the masks.
    n_fft : int, optional
        window of the spectrogram that is divided, in samples. Both are by default what was best on the validation
        songs (`choices`), or 1 and the network's own.
    """

    crossfade = 0.25
    """Share of a window that fades into the next."""
    window_seconds = 8.0

    def __init__(self, name="one_artist", folder=WEIGHTS, power=None, n_fft=None):
        model, _ = load_separator(name, folder)
        chosen = chosen_masks(name, folder)
        self._use(model, power or chosen.get("power", 1.0), n_fft or chosen.get("n_fft"))

    def _use(self, model, power, n_fft):
        self.model, self.power, self.n_fft = model, power, n_fft or model.sizes.n_fft
        self.mask_hop = model.sizes.hop
        self.sources, self.sample_rate = model.sizes.sources, model.sizes.sample_rate
        if self.n_fft % (2 * model.sizes.hop):
            raise ValueError(f"n_fft: {n_fft} found, a multiple of {2 * model.sizes.hop} expected")
        self._functions = {"hear": compiled(self._hear), "share": compiled(self._share)}

    @classmethod
    def of(cls, model, power=1.0, n_fft=None):
        """A separator with a network that is in memory, and whose weights may still change."""
        separator = cls.__new__(cls)
        separator._use(model, power, n_fft)
        return separator

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

        Raises
        ------
        ValueError
            where samples are missing, NaN or infinite.
        """
        sample_rate = sample_rate or self.sample_rate
        mixture = checked(mixture)
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
        heard = resample(to_mono(block), sample_rate, self.sample_rate)
        size = round(self.window_seconds * self.sample_rate)  # one shape, one compilation
        stems = self._stems(fix_length(heard, size))[:, : len(heard)]
        parts = fix_length(resample(stems, self.sample_rate, sample_rate), block.shape[-1])
        if len(block) == 1 and sample_rate <= self.sample_rate:
            return parts[:, None]
        return masked_channels(block, parts, sample_rate, self.sample_rate)

    def _stems(self, audio):
        return self.analyse(audio)["stems"]

    def analyse(self, audio, f0=None, loudness=None):
        """All that is found out about a window.

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz, a multiple of `hop` long.
        f0 : np.ndarray, (frames, pitched sources), optional
            pitch to be used instead of the network's own, in Hz, 0 = none.
        loudness : np.ndarray, (frames, sources), optional
            in dB; the spectra are made that loud, frame by frame, before they divide the mixture.

        Returns
        -------
        dict
            "f0" (frames, pitched sources); "probability", how likely each pitch (and, last, none) is: an array (frames,
            bins + 1) per pitched source; "controls", "features" (see `ParametricSeparator.controls`), at the level of
            `audio`; "masks" (sources, frequencies, frames of `mask_hop`); "stems" (sources, samples).
        """
        s = self.model.sizes
        batch = np.asarray(audio, np.float32)[None]
        level = float(np.sqrt(np.mean(np.square(batch, dtype=np.float64)))) + 1e-8
        heard = self._functions["hear"](batch if batch.any() else batch + 1e-9)  # silence has no level
        maps, context, logits, spectrum = heard
        logits = [keras.ops.convert_to_numpy(scores)[0] for scores in logits]
        if f0 is None:
            lines = [likeliest_line(x, s.lowest[i], s.per_semitone) for i, x in enumerate(logits)]
            f0 = np.stack(lines, axis=-1)
        wanted = np.full((1, len(f0), len(s.sources)), -1.0, np.float32)
        if loudness is not None:
            wanted[0] = 10 ** (np.asarray(loudness) / 10) / (HANN_ENERGY * level**2)
        told = np.asarray(f0, np.float32)[None], wanted
        masks, controls, features = self._functions["share"](maps, context, spectrum, *told)
        spectrum = stft(batch[0], self.n_fft, self.mask_hop)  # (frequencies, frames)
        masks = _array(masks)[0]
        if masks.ndim == 4:  # real and imaginary parts
            masks = masks[..., 0] + 1j * masks[..., 1]
        masks = np.swapaxes(masks, 1, 2)[..., : spectrum.shape[-1]]  # (sources, frequencies, frames)
        louder = 20 * np.log10(level)
        features = {name: _array(x)[0] + (louder if name != "onset" else 0) for name, x in features.items()}
        return {
            "f0": f0,
            "probability": [_softmax(scores) for scores in logits],
            "controls": {
                source: {name: level * _array(x)[0] for name, x in parts.items()} for source, parts in controls.items()
            },
            "features": features,
            "masks": masks,
            "stems": istft(masks * spectrum, self.mask_hop, length=len(audio)).astype(np.float32),
        }

    def describe(self, audio, f0=None, loudness=None, measured=True):
        """The features of every source over a song of any length, for the decoders.

        Loudness and bands of drums are the network's. Those of pitched sources are measured in their stems while a note
        sounds, which on validation songs was nearer to the truth; but for a bass, above whose few harmonics its stem
        holds what others left there, the bands are the network's where it learned the decoder's (`Sizes.heard_as`).
        Silence is -80 dB: what is more than 57 dB below the mixture, and a pitched source that is 24 dB below it more
        than 0.4 s after its last note or before its first, which is nothing but a neighbour's residue.

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz.
        f0 : np.ndarray, (samples // 128 + 1, pitched sources), optional
            pitch to be used instead of the network's own.
        loudness : np.ndarray, (samples // 64, sources), optional
            to be used instead of the network's own, in dB; the bands move with it.
        measured : bool
            where it is False, nothing is measured in stems, and every number is the network's.

        Returns
        -------
        dict of dict of np.ndarray
            per source what `features.pitched_features` or `features.drum_features` gives, (frames, channels), with at
            least one frame.
        """
        s = self.model.sizes
        size = round(self.window_seconds * s.sample_rate)
        margin = size // 8  # what lies nearer to a window's edge is heard better in its neighbour
        found = []
        for start in range(0, max(1, len(audio)), size - 2 * margin):
            first = max(0, start - margin)
            line = None if f0 is None else fix_length(f0[first // s.hop :].T, size // s.hop + 1).T
            sound = fix_length(audio[first : first + size], size)
            window = self.analyse(sound, line)
            features = self._for_decoders(window, np.sqrt(np.mean(np.square(sound))) + 1e-8, measured)
            begin = (start - first) // s.hop
            many = (size - 2 * margin) // s.hop
            pitches = window["f0"][begin : begin + many]
            twice = slice(2 * begin, 2 * (begin + many))
            features = {name: x[twice] for name, x in features.items()}
            found.append({"f0": np.repeat(pitches, 2, axis=0), **features})
        n_frames = max(1, len(audio) // HOP_LENGTH)
        whole = {name: np.concatenate([part[name] for part in found])[:n_frames] for name in found[0]}
        if loudness is not None:
            known = np.maximum(fix_length(np.asarray(loudness, np.float32).T, n_frames).T, LOUDNESS_FLOOR)
            moved = whole["bands"] + (known - whole["loudness"])[:, :, None]
            whole |= {"loudness": known, "bands": np.maximum(moved, LOUDNESS_FLOOR)}
        described = {}
        for i, source in enumerate(s.sources):
            described[source] = {
                "loudness": whole["loudness"][:, i : i + 1].copy(),
                "bands": whole["bands"][:, i].copy(),
            }
            if source in s.pitched:
                line, voiced = fill_gaps(whole["f0"][:, s.pitched.index(source)])
                if loudness is None and measured:  # nobody plays before the first note and its consonant
                    begins = int(voiced.argmax()) if voiced.any() else n_frames
                    for x in described[source].values():
                        x[: max(0, begins - FRAME_RATE // 5)] = LOUDNESS_FLOOR
                described[source] |= {"f0": line[:, None], "voiced": voiced[:, None].astype(np.float32)}
            if source == "drums":
                described[source]["onset"] = whole["onset"]
        return described

    def _for_decoders(self, window, level, measured=True):
        """The features of a window as decoders want them, the network's or measured, silence as silence."""
        s, mixture = self.model.sizes, 20 * np.log10(level)
        found = {name: window["features"][name].copy() for name in ("loudness", "bands", "onset")}
        for i, source in enumerate(s.sources):
            if source not in s.pitched or not measured:
                continue
            voiced = np.repeat(window["f0"][:, s.pitched.index(source)] > 0, 2)
            stem, said = window["stems"][i], found["loudness"][:, i].copy()
            n = len(stem) // HOP_LENGTH
            loud = loudness_of(stem, self.sample_rate)[:n]
            rest = np.where(voiced[:n], 0.0, said[:n] - loud)  # no note: what is left in the stem is a neighbour's
            found["loudness"][:n, i] = loud + rest
            if not (bands_of(source) and s.heard_as == "decoders"):
                found["bands"][:n, i] = band_loudness(stem, **bands_of(source)) + rest[:, None]
            softest = np.append(np.minimum(loud, said[:n]), said[n:])
            over = (frames_since(voiced) > 0.4 * FRAME_RATE) & (softest < mixture - 24.0)
            found["loudness"][over, i] = found["bands"][over, i] = LOUDNESS_FLOOR
        for name in ("loudness", "bands"):
            silent = found[name] < max(mixture - 57.0, LOUDNESS_FLOOR)
            found[name][silent] = LOUDNESS_FLOOR
        return found

    def _hear(self, batch):
        real, imaginary = self.model.spectrum(batch / self.model.level(batch))
        maps, context = self.model.listen(keras.ops.sqrt(real**2 + imaginary**2 + 1e-12))
        return maps, context, self.model.pitches(maps, context), (real, imaginary)

    def _share(self, maps, context, spectrum, f0, wanted):
        spectra, controls, features = self._spectra(maps, context, f0, wanted)
        return wiener_masks(spectra, self.power), controls, features

    def _spectra(self, maps, context, f0, wanted):
        controls, features = self.model.controls(maps, context, f0)
        spectra = self.model.spectra(controls, f0, self.n_fft)  # (batch, sources, frames, frequencies)
        wanted = keras.ops.transpose(wanted, (0, 2, 1))[..., None]
        frequency = np.maximum(librosa.fft_frequencies(sr=self.sample_rate, n_fft=self.n_fft), 1.0)
        weight = keras.ops.convert_to_tensor(10 ** (librosa.A_weighting(frequency) / 10), "float32")
        power = keras.ops.mean(keras.ops.square(spectra) * weight, axis=-1, keepdims=True)
        gain = keras.ops.where(wanted < 0, 1.0, keras.ops.sqrt(keras.ops.maximum(wanted, 0.0) / (power + 1e-12)))
        return spectra * gain, controls, features


class RefinedSeparator(MaskedSeparator):
    """As `MaskedSeparator`, but a small network corrects the masks, which are complex then (`refined.RefinedMasks`).

    Parameters
    ----------
    name : str
        a model of `folder`.
    folder : str or Path
    """

    def __init__(self, name="one_artist_refined", folder=WEIGHTS):
        refined, _ = load_separator(name, folder)
        if not isinstance(refined, RefinedMasks):
            raise WeightsError(f"{name}: a {type(refined).__name__} found, a RefinedMasks expected")
        self._refine(refined)

    def _refine(self, refined):
        self.refined = refined
        self._use(refined.separator, refined.sizes.exponent, refined.sizes.n_fft)
        self.mask_hop = refined.sizes.mask_hop

    @classmethod
    def of(cls, refined):
        """A separator with a network that is in memory, and whose weights may still change."""
        separator = cls.__new__(cls)
        separator._refine(refined)
        return separator

    def _share(self, maps, context, spectrum, f0, wanted):
        spectra, controls, features = self._spectra(maps, context, f0, wanted)
        every = self.refined.sizes.every
        parts = self.refined.masks(*(part[:, ::every] for part in spectrum), spectra[:, :, ::every])
        return keras.ops.stack(parts, axis=-1), controls, features


class DecodedMasksSeparator(MaskedSeparator):
    """As `MaskedSeparator`, but chapter 7's decoders, told what the network hears, say what the spectra are.

    Each source is played (`ResynthesisSeparator`); the magnitudes of these sounds' spectrograms, instead of those that
    the network gives in closed form, divide the mixture, as in Schulze-Forster et al. 2023.

    Parameters
    ----------
    name, folder, power, n_fft
        as for `MaskedSeparator`.
    decoders : str
        whose decoders play: "band", "heard" or "air_traffic".
    """

    def __init__(self, name="one_artist", decoders="band", folder=WEIGHTS, power=None, n_fft=None):
        super().__init__(name, folder, power, n_fft)
        self.decoders = load_decoders(decoders, self.sources, folder)

    def _stems(self, audio):
        spectrum = stft(audio, self.n_fft, self.model.sizes.hop)
        masks = decoded_masks(play(self.decoders, self.describe(audio)), self.n_fft, self.model.sizes.hop, self.power)
        return istft(masks * spectrum, self.model.sizes.hop, length=len(audio)).astype(np.float32)


def decoded_masks(sounds, n_fft, hop, power=1.0):
    """Masks from sounds: each bin is divided in proportion to their magnitudes there.

    Parameters
    ----------
    sounds : np.ndarray, (sources, samples)
    n_fft, hop : int
    power : float
        exponent of the magnitudes.

    Returns
    -------
    np.ndarray, (sources, n_fft / 2 + 1, frames)
        which add up to 1.
    """
    shares = (np.abs(stft(sounds, n_fft, hop)) + 1e-7) ** power
    return shares / shares.sum(axis=0)


class ResynthesisSeparator:
    """Separate by playing anew: what a parametric separator hears goes to chapter 7's decoders.

    Nothing of the mixture is in the result but the numbers that describe it, 250 times a second; it has no phase in
    common with the stems and does not add up to the mixture. It is mono, at 16 kHz, whatever the mixture is.

    Parameters
    ----------
    name : str
        a parametric separator of `folder`; sources that no decoder plays are left out.
    decoders : str
        whose decoders play: "band", "heard" or "air_traffic".
    folder : str or Path
    """

    chunk_seconds = 32.0
    """How much is played at a time: where the next chunk fades in, its harmonics have other phases."""
    overlap_seconds = 0.032

    def __init__(self, name="one_artist", decoders="band", folder=WEIGHTS):
        self.listener = MaskedSeparator(name, folder)
        self._play_with(decoders, folder)

    def _play_with(self, decoders, folder):
        self.sources = tuple(source for source in self.listener.sources if source in PLAYED)
        self.sample_rate = self.listener.sample_rate
        self.window_seconds = self.chunk_seconds
        self.decoders = load_decoders(decoders, self.sources, folder)

    def describe(self, audio):
        """The features of every source of a mono sound at 16 kHz, for its decoder."""
        return self.listener.describe(audio)

    def separate(self, mixture, sample_rate=None):
        """Separate one song; parameters, result and errors as `MaskedSeparator.separate`."""
        sample_rate = sample_rate or self.sample_rate
        mixture = checked(mixture)
        longest, overlap = (max(2, round(s * sample_rate)) for s in (self.chunk_seconds, self.overlap_seconds))
        window, overlap = even_window(mixture.shape[-1], longest, overlap)
        blocks = by_windows(
            array_reader(np.atleast_2d(mixture)),
            lambda block: self._window(block, sample_rate),
            window=window,
            overlap=overlap,
        )
        stems = np.concatenate(list(blocks), axis=-1).reshape(len(self.sources), *mixture.shape)
        return dict(zip(self.sources, stems))

    def _window(self, block, sample_rate):
        if not block.any():
            return np.zeros((len(self.sources), *block.shape), np.float32)
        heard = resample(to_mono(block), sample_rate, self.sample_rate)
        sounds = fix_length(play(self.decoders, self.describe(heard)), len(heard))
        sounds = fix_length(resample(sounds, self.sample_rate, sample_rate), block.shape[-1])
        return np.repeat(sounds[:, None], len(block), axis=1).astype(np.float32)


class ChainSeparator(ResynthesisSeparator):
    """The other order: Conv-TasNet separates, trackers listen to its stems, chapter 7's decoders play what they heard.

    Parameters
    ----------
    name : str
        a Conv-TasNet of chapter 6.
    decoders : str
        whose decoders play: "band", "heard" or "air_traffic".
    folder : str or Path
        of the decoders.
    """

    def __init__(self, name="trio", decoders="band", folder=WEIGHTS):
        self.listener = ConvTasNetSeparator(name)
        self._play_with(decoders, folder)

    def describe(self, audio):
        """The features of Conv-TasNet's stems: pitch as CREPE (or pYIN, where it has no weights) or YIN hears it."""
        stems = self.listener.separate(fix_length(audio, max(len(audio), 4096)))  # what a tracker's window needs
        described = {}
        for source in self.sources:
            if source == "drums":
                described[source] = drum_features(stems[source], self.sample_rate)
            else:
                described[source] = pitched_features(stems[source], self.sample_rate, **LISTENING[source])
        return described


PLAYED = ("drums", *LISTENING)
"""Sources that chapter 7 has decoders for."""
HANN_ENERGY = 192.0
"""Sum of the squares of the window that loudness is measured with: 512 samples of Hann."""


def load_decoders(name, sources, folder=WEIGHTS):
    """The decoders of several sources: a dict of `autoencoder.Decoder`."""
    strangers = [source for source in sources if source not in PLAYED]
    if strangers:
        raise ValueError(f"sources: no decoder plays {strangers[0]}, some of {', '.join(PLAYED)} expected")
    return {source: load_decoder(f"{name}-{source}", folder)[0] for source in sources}


def play(decoders, described):
    """The sounds of several sources, (sources, frames · 64): each decoder plays its source's features.

    Parameters
    ----------
    decoders : dict of autoencoder.Decoder
    described : dict of dict of np.ndarray
        of `MaskedSeparator.describe`.
    """
    return np.stack([resynthesise(decoder, described[source]) for source, decoder in decoders.items()])


def frames_since(voiced):
    """How many frames ago the last voiced one was, in each frame; infinite before the first: (frames,)."""
    k = np.arange(len(voiced), dtype=float)
    return k - np.maximum.accumulate(np.where(voiced, k, -np.inf))


def checked(mixture):
    """A mixture as float32, if it is one.

    Raises
    ------
    ValueError
        where it has no samples, more than two axes, or samples that are not finite.
    """
    mixture = np.asarray(mixture, np.float32)
    if mixture.ndim not in (1, 2) or mixture.size == 0:
        raise ValueError(f"mixture: shape {mixture.shape} found, (samples,) or (channels, samples) expected")
    finite = np.isfinite(mixture)
    if not finite.all():
        raise ValueError(f"mixture: {np.count_nonzero(~finite)} samples are NaN or infinite, none expected")
    return mixture


def chosen_masks(name, folder=WEIGHTS):
    """What `choices` found best for the masks of a separator: {"n_fft", "power"}, or {} where it has not looked."""
    path = Path(folder) / "masks.json"
    return results.read(path)["chosen"].get(name, {}) if path.exists() else {}


def _array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def _softmax(logits):
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def compiled(function):
    """A function of arrays, compiled by the backend where it can."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return lambda *arrays: function(*(keras.ops.convert_to_tensor(array) for array in arrays))
