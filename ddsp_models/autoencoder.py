r"""From features to sound: the DDSP decoder (Engel et al. 2020, https://openreview.net/forum?id=B1x1ma4tDr).

A network reads pitch, voicing and loudness and plays a synthesiser. The encoder is `features`: it has nothing to learn.
The paper's decoder remembers by a GRU, which has to go through a thousand frames one after the other. The other one
here sees half a second to either side by dilated convolutions, all frames at once.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from audio_processing.audio_processing import resample
from audio_processing.loudness import LOUDNESS_FLOOR
from common.files import sha256_of
from ddsp_models import features as feature
from ddsp_models.drums import Modes, Transients
from ddsp_models.gru import gru
from ddsp_models.loudness import loudness
from ddsp_models.spectral_loss import SpectralLoss
from ddsp_models.synthesisers import (
    HOP_LENGTH,
    SAMPLE_RATE,
    FilteredNoise,
    Harmonic,
    Reverb,
    audible_f0,
    convolve,
    upsample,
)
from mss_nn_implementation.convtas import WeightsError

WEIGHTS = Path(__file__).parent / "trained"
QUIETER = 0.75e-7
"""Taken off amplitudes, which `exp_sigmoid` keeps above 1e-7: in a pause a 24-bit recording is softer than that, and
the spectral loss hears ratios, however soft."""
PAUSE = 2.2e-8
"""RMS of what is left behind a closed gate: the rounding of a 24-bit recording, as much of it as 16 kHz holds."""


@dataclass(frozen=True)
class Settings:
    """Sizes of a decoder; saved beside its weights.

    Parameters
    ----------
    inputs : tuple of str
        the features that it listens to.
    network : {"conv", "gru"}
        what turns them into the synthesisers' inputs.
    channels : int
        of every hidden layer.
    depth : int
        "gru": layers in each stack (3 in the paper); "conv": dilated convolutions, of dilations 1, 2, 4, …
    taps : int
        of a convolution.
    n_harmonics : int
        0 for drums.
    n_bands : int
        of the filtered noise.
    noise_frames : int
        frames of noise per frame of features: 2 are 2 ms each.
    n_modes, n_shots, shot_taps : int
        of drums: fixed tones, one-shots and how many samples these last.
    room_taps : int
        length of the room's impulse response in samples; 0 for none.
    noise_samples : int
        length of the loop of even noise; 0 for white noise.
    outline : bool
        whether the network says only how amplitudes differ from what loudness and bands suggest by themselves.
    scale : {"mel", "octave"}
        of the bands (see `features.band_places`).
    restart_cents : float
        how far pitch leaps from one frame to the next where a string is plucked anew, its phase with it (see
        `plucks`); 0 for a voice, whose phase runs on.
    gate : bool
        whether the sound, room and all, is faded out where the features are at their floor (see `gate`).
    """

    inputs: tuple = feature.PITCHED
    network: str = "conv"
    channels: int = 96
    depth: int = 6
    taps: int = 3
    n_harmonics: int = 60
    n_bands: int = 65
    noise_frames: int = 1
    n_modes: int = 0
    n_shots: int = 0
    shot_taps: int = 1024
    room_taps: int = 8000
    noise_samples: int = 32768
    outline: bool = False
    scale: str = "mel"
    restart_cents: float = 0.0
    gate: bool = False

    def __post_init__(self):
        object.__setattr__(self, "inputs", tuple(self.inputs))  # a list once it has been through JSON
        unknown = [name for name in self.inputs if name not in feature.CHANNELS]
        if unknown or not self.inputs:
            known = ", ".join(feature.CHANNELS)
            raise ValueError(f"inputs: {', '.join(unknown) or 'none'} found, some of {known} expected")
        if self.network not in ("conv", "gru"):
            raise ValueError(f"network: {self.network!r} found, 'conv' or 'gru' expected")
        if self.n_harmonics and "f0" not in self.inputs:
            raise ValueError("inputs: n_harmonics needs f0")
        needed = {"f0", "loudness", "bands"} if self.n_harmonics else {"bands"}
        if self.restart_cents and not {"f0", "voiced"} <= set(self.inputs):
            raise ValueError("inputs: restart_cents needs f0, voiced")
        if self.gate and "bands" not in self.inputs:
            raise ValueError("inputs: gate needs bands")
        if self.outline and not needed <= set(self.inputs):
            raise ValueError(f"inputs: outline needs {', '.join(sorted(needed))}")
        if self.n_shots and "onset" not in self.inputs:
            raise ValueError("inputs: n_shots needs onset")
        for name in ("channels", "depth", "taps", "n_bands", "noise_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1 expected, got {getattr(self, name)}")

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)


PRESETS = {
    "conv": Settings(outline=True),
    "solo": Settings(inputs=("f0", "loudness"), network="gru", channels=512, depth=3, noise_samples=0),
    "tiny": Settings(inputs=("f0", "loudness"), network="gru", channels=256, depth=1, noise_samples=0),
    "drums": Settings(
        inputs=feature.STRUCK,
        n_harmonics=0,
        noise_frames=2,
        n_modes=40,
        n_shots=8,
        room_taps=4000,
    ),
}
"""`solo` and `tiny`: the paper's sizes; `conv`: what the course ships; `drums`: its sibling without pitch."""


def scaled(features):
    """Features as the network reads them: every number within about -1 and 1.

    Parameters
    ----------
    features : dict of tensor, (batch, frames, channels)

    Returns
    -------
    dict of tensor
        pitch as MIDI number over 127, loudness over 80 dB plus 1 (as ddsp has them), the rest as it is. A pitch that
        cannot be played reads as the lowest, 20 Hz; a loudness below -80 dB, or of minus infinity, as -80 dB.
    """
    found = {}
    for name, value in features.items():
        if name == "f0":
            midi = 69 + 12 / math.log(2) * ops.log(ops.maximum(audible_f0(value), 20.0) / 440)
            value = midi / 127
        elif name in ("loudness", "bands"):
            value = ops.maximum(value, LOUDNESS_FLOOR) / -LOUDNESS_FLOOR + 1
        found[name] = value
    return found


def outline(features, n_harmonics, n_bands, scale="mel"):
    """What amplitudes would be if bands were all there is to know: a network's outputs that say so.

    `exp_sigmoid` multiplies by ten when its argument grows by one, so a level in dB divided by 20 is such an argument.
    The level at a frequency is that of the bands to either side, in a line over mel or octaves.

    Parameters
    ----------
    features : dict of tensor, (batch, frames, channels)
        "bands" and, where there are harmonics, "f0" and "loudness".
    n_harmonics, n_bands : int
        of the harmonic oscillator (0 for none) and of the filtered noise.
    scale : {"mel", "octave"}
        of the bands.

    Returns
    -------
    dict of tensor, (batch, frames, channels)
        "amplitude" (1), "distribution" (n_harmonics) and "noise" (n_bands): to be added to what the network says.
    """
    table = np.arange(SAMPLE_RATE // 2 + 1)  # the share of each band in the level at 0, 1, 2 … Hz
    places = np.clip(feature.band_places(table, scale), 0, feature.N_BANDS - 1)
    shares = np.maximum(1 - np.abs(places[:, None] - np.arange(feature.N_BANDS)), 0).astype(np.float32)
    levels = ops.maximum(features["bands"], LOUDNESS_FLOOR) / 20  # decades of amplitude
    places = np.linspace(0, SAMPLE_RATE // 2, n_bands).astype(int)
    noise = ops.matmul(levels, ops.convert_to_tensor(shares[places].T)) + 3.0  # softer; the layer's bias is -5
    if not n_harmonics:
        return {"noise": noise}
    harmonics = audible_f0(features["f0"]) * ops.arange(1, n_harmonics + 1, dtype="float32")
    hertz = ops.cast(ops.minimum(harmonics, SAMPLE_RATE / 2), "int32")  # (batch, frames, n_harmonics)
    heard = ops.sum(ops.take(ops.convert_to_tensor(shares), hertz, axis=0) * levels[:, :, None], axis=-1)
    amplitude = ops.maximum(features["loudness"], LOUDNESS_FLOOR) / 20 - 0.5  # about a voice
    return {"amplitude": amplitude, "distribution": heard, "noise": noise}


def plucks(f0, voiced, cents):
    """Where a note begins: voicing does, or pitch leaps. A slide or a vibrato moves on in the next frame, a leap not.

    Parameters
    ----------
    f0, voiced : tensor, (batch, frames, 1)
        in Hz, and where that counts.
    cents : float
        the smallest leap.

    Returns
    -------
    tensor, (batch, frames, 1)
        1 where one does, 0 elsewhere.
    """
    octaves = ops.log(ops.maximum(audible_f0(f0), 20.0)) / math.log(2)
    steps = ops.pad(ops.abs(octaves[:, 1:] - octaves[:, :-1]), ((0, 0), (1, 0), (0, 0)))
    around = ops.maximum(_later(steps, 1), ops.pad(steps[:, 1:], ((0, 0), (0, 1), (0, 0))))
    leaps = ops.logical_and(steps > cents / 1200, steps > 3 * around)
    sings = voiced > 0.5
    begins = ops.logical_and(sings, _later(ops.cast(sings, "float32"), 1) < 0.5)
    return ops.cast(ops.logical_or(begins, ops.logical_and(leaps, sings)), "float32")


def gate(features):
    """Gain of a gate that closes where nothing is left to hear, as on a mixing desk.

    Features end at -80 dB, sounds do not: without a gate a room goes on ringing where the recording was cut.

    Parameters
    ----------
    features : dict of tensor, (batch, frames, channels)
        "bands", and "loudness" where there is one.

    Returns
    -------
    tensor, (batch, frames, 1)
        1 where a feature is above -80 dB; from there on 90 dB are lost within 32 frames (128 ms).
    """
    levels = [ops.max(features[name], axis=-1, keepdims=True) for name in ("loudness", "bands") if name in features]
    opened = ops.cast(ops.max(ops.stack(levels), axis=0) > LOUDNESS_FLOOR, "float32")
    for frames in (1, 2, 4, 8, 16):  # 1/32 less for every frame since it was open
        opened = ops.maximum(opened, _later(opened, frames) - frames / 32)
    return ops.power(10.0, -4.5 * (1 - ops.maximum(opened, 0.0)))


def _later(x, frames):
    """`x` as it was so many frames before; 0 before it begins."""
    if frames >= x.shape[1]:
        return ops.zeros_like(x)
    return ops.pad(x[:, :-frames], ((0, 0), (frames, 0), (0, 0)))


def _stack(channels, depth, name):
    """Dense, normalised, leaky ReLU; `depth` times: the paper's "MLP"."""
    layers = keras.layers
    steps = [(layers.Dense(channels), layers.LayerNormalization(), layers.LeakyReLU(0.2)) for _ in range(depth)]
    return keras.Sequential([layer for step in steps for layer in step], name=name)


@keras.saving.register_keras_serializable("mss")
class RecurrentNetwork(keras.layers.Layer):
    """The paper's: a stack per input, a GRU over all, its output beside the stacks' into a last stack.

    Parameters
    ----------
    inputs : tuple of str
    channels, depth : int
    """

    def __init__(self, inputs, channels, depth, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.channels, self.depth = tuple(inputs), channels, depth
        self.stacks = [_stack(channels, depth, name) for name in self.inputs]
        self.gru = keras.layers.GRU(channels, return_sequences=True, name="gru")
        self.last = _stack(channels, depth, "last")

    def build(self, shapes):
        for name, stack in zip(self.inputs, self.stacks):
            stack.build((None, None, feature.CHANNELS[name]))
        self.gru.build((None, None, len(self.inputs) * self.channels))
        self.last.build((None, None, (len(self.inputs) + 1) * self.channels))

    def call(self, features):
        stacked = [stack(features[name]) for name, stack in zip(self.inputs, self.stacks)]
        remembered = gru(ops.concatenate(stacked, axis=-1), *self.gru.weights)  # with a gradient of its own
        return self.last(ops.concatenate([*stacked, remembered], axis=-1))

    def compute_output_shape(self, shapes):
        return (*shapes[self.inputs[0]][:2], self.channels)

    def get_config(self):
        return {**super().get_config(), "inputs": self.inputs, "channels": self.channels, "depth": self.depth}


@keras.saving.register_keras_serializable("mss")
class ConvolutionalNetwork(keras.layers.Layer):
    """Dilated convolutions that add to what they heard: every frame sees 2^depth frames to either side (3 taps).

    Parameters
    ----------
    inputs : tuple of str
    channels, depth, taps : int
    """

    def __init__(self, inputs, channels, depth, taps=3, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.channels, self.depth, self.taps = tuple(inputs), channels, depth, taps
        self.first = _stack(channels, 2, "first")
        self.convolutions = [
            keras.layers.Conv1D(channels, taps, dilation_rate=2**i, padding="same", name=f"convolution_{i}")
            for i in range(depth)
        ]
        self.norms = [keras.layers.LayerNormalization(name=f"norm_{i}") for i in range(depth)]
        self.activation = keras.layers.LeakyReLU(0.2, name="activation")
        self.last = _stack(channels, 1, "last")

    def build(self, shapes):
        self.first.build((None, None, sum(feature.CHANNELS[name] for name in self.inputs)))
        for layer in (*self.convolutions, *self.norms):
            layer.build((None, None, self.channels))
        self.last.build((None, None, self.channels))

    def call(self, features):
        x = self.first(ops.concatenate([features[name] for name in self.inputs], axis=-1))
        for convolution, norm in zip(self.convolutions, self.norms):
            x = x + self.activation(norm(convolution(x)))  # (batch, frames, channels)
        return self.last(x)

    def compute_output_shape(self, shapes):
        return (*shapes[self.inputs[0]][:2], self.channels)

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("inputs", "channels", "depth", "taps")}
        return {**super().get_config(), **sizes}


def band_limit(taps=257):
    """Impulse response of the filter that brought 44.1 kHz recordings to 16 kHz: nothing above 7.9 kHz.

    Returns
    -------
    np.ndarray, float32, (taps,)
        symmetric around (taps - 1) / 2.
    """
    impulse = np.zeros(44100, np.float64)
    impulse[22050] = 44100 / SAMPLE_RATE
    middle, reach = 8000, taps // 2
    return resample(impulse, 44100, SAMPLE_RATE)[middle - reach : middle + reach + 1].astype(np.float32)


@keras.saving.register_keras_serializable("mss")
class Decoder(keras.Model):
    """Features in, sound out.

    Parameters
    ----------
    settings : Settings
        or the dict of its fields.

    Notes
    -----
    Called with a dict of (batch, frames, channels), as `features.batch` makes it, it returns (batch, frames · 64) at
    16 kHz. The same in two steps, as with every synthesiser here: `controls`, which can be plotted, and `signal`.
    Everything is differentiable, down to the features.
    """

    def __init__(self, settings, **kwargs):
        super().__init__(**kwargs)
        s = settings if isinstance(settings, Settings) else Settings(**settings)
        self.sizes = s
        if s.network == "gru":
            self.network = RecurrentNetwork(s.inputs, s.channels, s.depth, name="network")
        else:
            self.network = ConvolutionalNetwork(s.inputs, s.channels, s.depth, s.taps, name="network")
        self.heads = {
            "amplitude": 1 if s.n_harmonics else 0,
            "distribution": s.n_harmonics,
            "noise": s.n_bands * s.noise_frames,
            "modes": s.n_modes,
            "shots": s.n_shots,
        }
        self.head = keras.layers.Dense(sum(self.heads.values()), name="head")
        self.harmonic = Harmonic(name="harmonic") if s.n_harmonics else None
        self.noise = FilteredNoise(HOP_LENGTH // s.noise_frames, name="noise")
        self.modes = Modes(s.n_modes, name="modes") if s.n_modes else None
        self.transients = Transients(s.n_shots, s.shot_taps, name="transients") if s.n_shots else None
        self.room = Reverb(s.room_taps, decay=s.room_taps / 4, level=0.03, name="room") if s.room_taps else None
        self.limit = band_limit()
        self.offsets = keras.random.SeedGenerator(0)

    def build(self, shapes):
        self.network.build({name: (None, None, feature.CHANNELS[name]) for name in self.sizes.inputs})
        self.head.build((None, None, self.sizes.channels))
        if self.modes:
            self.modes.build((None, None, self.sizes.n_modes))
        if self.transients:
            self.transients.build((None, None, self.sizes.n_shots))
        if self.room:
            self.room.build((None, None))
        if self.sizes.noise_samples:
            shape = (self.sizes.noise_samples,)
            white = keras.initializers.RandomUniform(-np.sqrt(3), np.sqrt(3), seed=0)
            self.loop = self.add_weight(shape=shape, initializer=white, trainable=False, name="loop")

    def controls(self, features):
        """What is played.

        Parameters
        ----------
        features : dict of tensor, (batch, frames, channels)

        Returns
        -------
        dict of tensor
            "amplitude", "distribution", "f0" of the harmonics; "magnitudes" of the noise (batch, frames ·
            noise_frames, bands); "amplitudes" and "frequencies" of modes; "gains" and "shots" of one-shots; "restarts"
            of the harmonics' phase; "gate"; each only where the decoder has it.
        """
        features = {name: ops.convert_to_tensor(features[name], "float32") for name in self.sizes.inputs}
        said = self.head(self.network(scaled(features)))
        parts, start = {}, 0
        for name, width in self.heads.items():
            parts[name] = said[..., start : start + width]
            start += width
        s = self.sizes
        if s.outline:
            for name, suggested in outline(features, s.n_harmonics, s.n_bands, s.scale).items():
                repeats = s.noise_frames if name == "noise" else 1
                parts[name] = parts[name] + ops.tile(suggested, [1, 1, repeats])
        magnitudes = ops.reshape(parts["noise"], (-1, said.shape[1] * s.noise_frames, s.n_bands))
        played = {"magnitudes": self.noise.controls(magnitudes)["magnitudes"] - QUIETER}
        if self.harmonic:
            played |= self.harmonic.controls(parts["amplitude"], parts["distribution"], features["f0"])
            played["amplitude"] = played["amplitude"] - QUIETER
        if s.restart_cents:
            played["restarts"] = plucks(features["f0"], features["voiced"], s.restart_cents)
        if s.gate:
            played["gate"] = gate(features)
        if self.modes:
            played |= self.modes.controls(parts["modes"] - 2.0)
        if self.transients:
            played |= self.transients.controls(parts["shots"] - 1.0, features["onset"])
        return played

    def signal(self, controls, training=False):
        """From controls to sound, (batch, frames · 64).

        Parameters
        ----------
        controls : dict of tensor
            of `controls`; changed ones, to hear what each does.
        training : bool
            whether the loop of noise begins anywhere, so that nothing is learned of its course.
        """
        return self.in_the_room(sum(self.parts(controls, training).values()), controls.get("gate"))

    def parts(self, controls, training=False):
        """The sounds that are added, dry, as a dict: "harmonic", "noise", "modes", "transients"."""
        magnitudes = controls["magnitudes"]
        found = {"noise": self.noise.signal(magnitudes, self._noise(magnitudes, training))}
        if self.harmonic:
            names = ("amplitude", "distribution", "f0", "restarts")
            found["harmonic"] = self.harmonic.signal(*(controls.get(name) for name in names))
        if self.modes:
            found["modes"] = self.modes.signal(controls["amplitudes"], controls["frequencies"])
        if self.transients:
            found["transients"] = self.transients.signal(controls["gains"], controls["shots"])
        return found

    def in_the_room(self, dry, gate=None):
        """A dry sound with its room, behind its gate, band-limited as recordings at 16 kHz are."""
        wet = self.room(dry) if self.room else dry
        if gate is not None:
            opened = upsample(gate, HOP_LENGTH, "linear")[..., 0]  # (batch, samples)
            pause = self._loop(wet.shape[1])[None] if self.sizes.noise_samples else 0.0
            wet = opened * wet + PAUSE * (1 - opened) * pause
        late = len(self.limit) // 2
        return convolve(ops.pad(wet, ((0, 0), (0, late))), ops.convert_to_tensor(self.limit)[None])[:, late:]

    def _noise(self, magnitudes, training):
        if not self.sizes.noise_samples:
            return None
        samples = magnitudes.shape[1] * self.noise.hop_length
        if training:
            loop = ops.convert_to_tensor(self.loop)
            start = keras.random.randint((1,), 0, self.sizes.noise_samples, seed=self.offsets)
            places = ops.mod(start + ops.arange(samples), self.sizes.noise_samples)
            return ops.broadcast_to(ops.take(loop, places)[None], (ops.shape(magnitudes)[0], samples))
        return ops.broadcast_to(self._loop(samples)[None], (ops.shape(magnitudes)[0], samples))

    def _loop(self, samples):
        """So many samples of the loop of even noise, from its beginning."""
        return ops.tile(ops.convert_to_tensor(self.loop), [-(-samples // self.sizes.noise_samples)])[:samples]

    def call(self, features, training=False):
        return self.signal(self.controls(features), training)

    def compute_output_shape(self, shapes):
        batch, frames, _ = shapes[self.sizes.inputs[0]]
        return (batch, None if frames is None else frames * HOP_LENGTH)

    def get_config(self):
        return {**super().get_config(), "settings": self.sizes.to_dict()}


@keras.saving.register_keras_serializable("mss")
class ResynthesisLoss(keras.losses.Loss):
    """What a decoder is trained with: the spectral loss, and the distance in loudness.

    Parameters
    ----------
    loudness_weight : float
        per dB.
    """

    def __init__(self, loudness_weight=0.1, name="resynthesis_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.loudness_weight = loudness_weight
        self.spectral = SpectralLoss()

    def call(self, y_true, y_pred):
        decibels = ops.mean(ops.abs(loudness(y_true) - loudness(y_pred)), axis=1)  # (batch,)
        return self.spectral.call(y_true, y_pred) + self.loudness_weight * decibels

    def get_config(self):
        return {**super().get_config(), "loudness_weight": self.loudness_weight}


# --- shipped weights -------------------------------------------------------------------------------------------------


def load_decoder(name, folder=WEIGHTS):
    """Load a trained decoder that `train` saved.

    Parameters
    ----------
    name : str
        such as "band-vocals": `name`.keras holds the network, `name`.json its settings and checksum.
    folder : str or Path

    Returns
    -------
    model : Decoder
    record : dict
        "settings", "training", "sha256", and where and when it was trained.

    Raises
    ------
    WeightsError
        where a file is missing, or the weights are not those that the record describes.
    """
    return load_checked(name, folder, f"python -m ddsp_models.train_decoder {name}")


def load_checked(name, folder, command):
    """Load `name`.keras from a folder if it is what `name`.json describes: (model, record).

    Parameters
    ----------
    name : str
    folder : str or Path
    command : str
        which writes both; named where they cannot be used.

    Raises
    ------
    WeightsError
    """
    path, record_path = Path(folder) / f"{name}.keras", Path(folder) / f"{name}.json"
    for needed in (path, record_path):
        if not needed.exists():
            raise WeightsError(f"{needed}: no such file; `{command}` writes it")
    try:
        record = json.loads(record_path.read_text())
        expected = record["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{record_path}: damaged; restore it from the repository or run `{command}`") from error
    if sha256_of(path) != expected:
        raise WeightsError(
            f"{path}: checksum differs from {record_path.name}; restore both from the repository or run `{command}`"
        )
    return keras.saving.load_model(path, compile=False, safe_mode=True), record


def resynthesise(model, features):
    """Play the features of a whole sound: `model(features)`, for NumPy arrays.

    Before the first frame above -80 dB nothing has sounded yet; there the result is digital silence, as recordings are
    more often than not.

    Parameters
    ----------
    model : Decoder
    features : dict of np.ndarray, (frames, channels)
        of `features.pitched_features` or `features.drum_features`.

    Returns
    -------
    np.ndarray, float32, (frames · 64,)
        at 16 kHz.
    """
    told = feature.batch(features, model.sizes.inputs)
    sound = np.array(ops.convert_to_numpy(model(told, training=False))[0])
    loudest = np.max([told[name][0].max(axis=1) for name in ("loudness", "bands") if name in told], axis=0)
    heard = loudest > LOUDNESS_FLOOR
    sound[: HOP_LENGTH * (int(heard.argmax()) if heard.any() else len(heard))] = 0
    return sound
