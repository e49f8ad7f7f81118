"""Separation by synthesis: what `parametric` hears in a mixture becomes masks, and masks become stems."""

import keras
import librosa
import numpy as np

from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from audio_processing.windows import array_reader, by_windows
from ddsp_models.autoencoder import WEIGHTS, load_checked, load_decoder, resynthesise
from ddsp_models.features import HOP_LENGTH, fill_gaps
from ddsp_models.parametric import wiener_masks
from mss_nn_implementation.convtas import masked_channels


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
    power : float
        exponent of the spectra in the masks.
    """

    crossfade = 0.25
    """Share of a window that fades into the next."""
    window_seconds = 8.0

    def __init__(self, name="one_artist", folder=WEIGHTS, power=1.0):
        self.model, _ = load_separator(name, folder)
        self.power = power
        self.sources = self.model.sizes.sources
        self.sample_rate = self.model.sizes.sample_rate

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
        heard = resample(to_mono(block), sample_rate, self.sample_rate)
        size = round(self.window_seconds * self.sample_rate)  # one shape, one compilation
        stems = self.analyse(fix_length(heard, size))["stems"][:, : len(heard)]
        if len(block) == 1 and sample_rate <= self.sample_rate:
            return fix_length(resample(stems, self.sample_rate, sample_rate), block.shape[-1])[:, None]
        parts = fix_length(resample(stems, self.sample_rate, sample_rate), block.shape[-1])
        return masked_channels(block, parts, sample_rate, self.sample_rate)

    def analyse(self, audio, f0=None):
        """All that is found out about a window.

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz, a multiple of `hop` long.
        f0 : np.ndarray, (frames, pitched sources), optional
            pitch to be used instead of the network's own, in Hz, 0 = none.

        Returns
        -------
        dict
            "f0" (frames, pitched sources); "controls", "features" (see `ParametricSeparator.controls`), at the level
            of `audio`; "stems" (sources, samples).
        """
        s = self.model.sizes
        batch = np.asarray(audio, np.float32)[None]
        if not np.any(batch):
            batch = batch + 1e-9  # silence has no level to be brought to 1
        maps, context, logits = self._compiled("hear")(batch)
        if f0 is None:
            f0 = np.stack(
                [likeliest_line(np.asarray(x)[0], s.lowest[i], s.per_semitone) for i, x in enumerate(logits)], axis=-1
            )
        masks, controls, features = self._compiled("share")(maps, context, np.asarray(f0, np.float32)[None])
        level = float(np.sqrt(np.mean(np.square(batch, dtype=np.float64)))) + 1e-8
        spectrum = stft(np.asarray(audio, np.float32), s.n_fft, s.hop)  # (frequencies, frames)
        masks = np.swapaxes(np.asarray(masks)[0], 1, 2)[..., : spectrum.shape[-1]]  # (sources, frequencies, frames)
        louder = 20 * np.log10(level)
        features = {name: np.asarray(x)[0] + (louder if name != "onset" else 0) for name, x in features.items()}
        return {
            "f0": f0,
            "controls": {
                source: {name: level * np.asarray(x)[0] for name, x in parts.items()}
                for source, parts in controls.items()
            },
            "features": features,
            "stems": istft(masks * spectrum, s.hop, length=len(audio)).astype(np.float32),
        }

    def describe(self, audio, f0=None):
        """The features of every source over a song of any length, for the decoders.

        Parameters
        ----------
        audio : np.ndarray, (samples,)
            at 16 kHz.
        f0 : np.ndarray, (samples // 128 + 1, pitched sources), optional
            pitch to be used instead of the network's own.

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
            window = self.analyse(fix_length(audio[first : first + size], size), line)
            begin = (start - first) // s.hop
            many = (size - 2 * margin) // s.hop
            pitches = window["f0"][begin : begin + many]
            twice = slice(2 * begin, 2 * (begin + many))
            features = {name: x[twice] for name, x in window["features"].items()}
            found.append({"f0": np.repeat(pitches, 2, axis=0), **features})
        n_frames = max(1, len(audio) // HOP_LENGTH)
        whole = {name: np.concatenate([part[name] for part in found])[:n_frames] for name in found[0]}
        described = {}
        for i, source in enumerate(s.sources):
            described[source] = {"loudness": whole["loudness"][:, i : i + 1], "bands": whole["bands"][:, i]}
            if source in s.pitched:
                line, voiced = fill_gaps(whole["f0"][:, s.pitched.index(source)])
                described[source] |= {"f0": line[:, None], "voiced": voiced[:, None].astype(np.float32)}
            if source == "drums":
                described[source]["onset"] = whole["onset"]
        return described

    def _compiled(self, which):
        if not hasattr(self, "_functions"):
            self._functions = {"hear": compiled(self._hear), "share": compiled(self._share)}
        return self._functions[which]

    def _hear(self, batch):
        real, imaginary = self.model.spectrum(batch / self.model.level(batch))
        maps, context = self.model.listen(keras.ops.sqrt(real**2 + imaginary**2 + 1e-12))
        return maps, context, self.model.pitches(maps, context)

    def _share(self, maps, context, f0):
        controls, features = self.model.controls(maps, context, f0)
        return wiener_masks(self.model.spectra(controls, f0), self.power), controls, features


class ResynthesisSeparator:
    """Separate by playing anew: what a parametric separator hears goes to chapter 7's decoders.

    Nothing of the mixture is in the result but the numbers that describe it, 250 times a second; it has no phase in
    common with the stems and does not add up to the mixture. It is mono, at 16 kHz, whatever the mixture is.

    Parameters
    ----------
    name : str
        a parametric separator of `folder`.
    decoders : str
        whose decoders play: "band" or "air_traffic".
    folder : str or Path
    """

    window_seconds = MaskedSeparator.window_seconds

    def __init__(self, name="one_artist", decoders="band", folder=WEIGHTS):
        self.listener = MaskedSeparator(name, folder)
        self.sources = self.listener.sources
        self.sample_rate = self.listener.sample_rate
        self.decoders = {source: load_decoder(f"{decoders}-{source}", folder)[0] for source in self.sources}

    def separate(self, mixture, sample_rate=None):
        """Separate one song; parameters and result as `MaskedSeparator.separate`."""
        sample_rate = sample_rate or self.sample_rate
        mixture = np.asarray(mixture, np.float32)
        length = mixture.shape[-1]
        if not np.any(mixture):
            return {source: np.zeros_like(mixture) for source in self.sources}
        heard = resample(to_mono(np.atleast_2d(mixture)), sample_rate, self.sample_rate)
        described = self.listener.describe(heard)
        stems = {}
        for source, decoder in self.decoders.items():
            sound = resynthesise(decoder, described[source])
            sound = fix_length(resample(fix_length(sound, len(heard)), self.sample_rate, sample_rate), length)
            stems[source] = np.broadcast_to(sound, mixture.shape).astype(np.float32)
        return stems


def compiled(function):
    """A function of arrays, compiled by the backend where it can."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return lambda *arrays: function(*(keras.ops.convert_to_tensor(array) for array in arrays))
