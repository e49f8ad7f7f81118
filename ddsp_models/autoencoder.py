r"""From features to sound: the DDSP decoder (Engel et al. 2020, https://openreview.net/forum?id=B1x1ma4tDr).

Notebook: ddsp_models/autoencoder_report.ipynb

A network reads pitch, voicing and loudness and predicts the controls of a synthesiser. The encoder is `features`: it
has nothing to learn.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keras import Model, initializers, layers, losses, ops, random, saving

from audio_processing.audio_processing import resample
from audio_processing.loudness import LOUDNESS_FLOOR
from common.checks import expect
from ddsp_models import features as feature
from ddsp_models.conditioning import gate, note_onsets, scaled, spectral_envelope
from ddsp_models.decoder_networks import ConvolutionalNetwork, RecurrentNetwork
from ddsp_models.drums import Modes, Transients
from ddsp_models.framing import Configured
from ddsp_models.loudness import loudness
from ddsp_models.spectral_loss import SpectralLoss
from ddsp_models.synthesisers import HOP_LENGTH, SAMPLE_RATE, FilteredNoise, Harmonic, Reverb, convolve, upsample
from training.settings import check_choices, plain
from training.weights import load_checked

WEIGHTS = Path(__file__).parent / "trained"
# Subtracted from amplitudes, which `exp_sigmoid` keeps above 1e-7: a pause of a 24-bit recording is softer than that,
# and the spectral loss compares ratios, however soft.
QUIETER = 0.75e-7
# RMS behind a closed gate: the rounding of a 24-bit recording, as much of it as 16 kHz holds.
PAUSE = 2.2e-8
MODES_GAIN, SHOTS_GAIN = -2.0, -1.0  # decades of amplitude: untrained modes and one-shots are soft
ROOM_DECAYS, ROOM_LEVEL = 4, 0.03  # the reverb ends after four decay times; a weight of 1 is 30 dB below the dry sound
RECORDING_RATE = 44100  # Hz, of recordings before they are resampled to 16 kHz
NEEDS = {"n_harmonics": {"f0"}, "restart_cents": {"f0", "voiced"}, "gate": {"bands"}, "n_shots": {"onset"}}


@dataclass(frozen=True)
class Settings:
    """Settings of a decoder; saved beside its weights.

    Parameters
    ----------
    inputs : tuple of str
        the features that it is conditioned on.
    network : {"conv", "gru"}
        what predicts the synthesisers' inputs from them.
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
        of drums: fixed tones, one-shots and their length in samples.
    room_taps : int
        length of the reverb's impulse response in samples; 0 for none.
    noise_samples : int
        length of the loop of even noise; 0 for white noise.
    outline : bool
        predict residuals relative to the spectral envelope that follows from loudness and bands.
    scale : {"mel", "octave"}
        of the bands (see `features.band_places`).
    restart_cents : float
        smallest leap of the pitch from one frame to the next at which a string is plucked again and its phase restarts
        (see `conditioning.note_onsets`); 0 for a voice, whose phase runs on.
    gate : bool
        fade out the sound, reverb included, where the features are at their floor (see `conditioning.gate`).
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
        given, inputs = set(self.inputs), ", ".join(self.inputs) or "none"
        expect(given and given <= feature.CHANNELS.keys(), "inputs", f"some of {', '.join(feature.CHANNELS)}", inputs)
        check_choices(self, network=("conv", "gru"), scale=("mel", "octave"))
        envelope = {"f0", "loudness", "bands"} if self.n_harmonics else {"bands"}
        for name, needed in {**NEEDS, "outline": envelope}.items():
            expect(
                not getattr(self, name) or needed <= given, "inputs", f"{', '.join(sorted(needed))} for {name}", inputs
            )
        for name in ("channels", "depth", "taps", "n_bands", "noise_frames"):
            expect(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))

    to_dict = plain  # the fields as plain types


# `solo` and `tiny` are the paper's; `conv` is what the course ships, `drums` the same without pitch.
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


def band_limit(taps=257):
    """Impulse response of the filter that brought 44.1 kHz recordings to 16 kHz: nothing above 7.9 kHz.

    Returns
    -------
    np.ndarray, float32, (taps,)
        symmetric around (taps - 1) / 2.
    """
    impulse = np.zeros(RECORDING_RATE, np.float64)
    impulse[RECORDING_RATE // 2] = RECORDING_RATE / SAMPLE_RATE
    first = SAMPLE_RATE // 2 - taps // 2
    return resample(impulse, RECORDING_RATE, SAMPLE_RATE)[first : first + taps].astype(np.float32)


@saving.register_keras_serializable("mss")
class Decoder(Configured, Model):
    """Synthesises sound from features (Engel et al. 2020, figure 2).

    Parameters
    ----------
    settings : Settings
        or the dict of its fields.

    Notes
    -----
    Called with a dict of (batch, frames, channels), as returned by `features.batch`, it returns (batch, frames · 64) at
    16 kHz. As with every synthesiser here, the same in two steps: `controls`, which can be plotted, and `signal`. Both
    are differentiable, down to the features.
    """

    def __init__(self, settings, **kwargs):
        s = settings if isinstance(settings, Settings) else Settings(**settings)
        super().__init__({"settings": s}, **kwargs)
        self.sizes = s
        self.network = (
            RecurrentNetwork(s.inputs, s.channels, s.depth, name="network")
            if s.network == "gru"
            else ConvolutionalNetwork(s.inputs, s.channels, s.depth, s.taps, name="network")
        )
        self.heads = {
            "amplitude": 1 if s.n_harmonics else 0,
            "distribution": s.n_harmonics,
            "noise": s.n_bands * s.noise_frames,
            "modes": s.n_modes,
            "shots": s.n_shots,
        }
        self.head = layers.Dense(sum(self.heads.values()), name="head")
        self.harmonic = Harmonic(name="harmonic") if s.n_harmonics else None
        self.noise = FilteredNoise(HOP_LENGTH // s.noise_frames, name="noise")
        self.modes = Modes(s.n_modes, name="modes") if s.n_modes else None
        self.transients = Transients(s.n_shots, s.shot_taps, name="transients") if s.n_shots else None
        decay = s.room_taps / ROOM_DECAYS
        self.room = Reverb(s.room_taps, decay=decay, level=ROOM_LEVEL, name="room") if s.room_taps else None
        self.limit = band_limit()
        self.offsets = random.SeedGenerator(0)

    def build(self, shapes):
        s = self.sizes
        self.network.build({name: (None, None, feature.CHANNELS[name]) for name in s.inputs})
        self.head.build((None, None, s.channels))
        for part, width in ((self.modes, s.n_modes), (self.transients, s.n_shots), (self.room, None)):
            if part:
                part.build((None, None, width))
        if s.noise_samples:
            self.loop = self.add_weight(
                shape=(s.noise_samples,),
                initializer=initializers.RandomUniform(-np.sqrt(3), np.sqrt(3), seed=0),
                trainable=False,
                name="loop",
            )

    def controls(self, features):
        """The controls of all synthesisers.

        Parameters
        ----------
        features : dict of str -> tensor, (batch, frames, channels)

        Returns
        -------
        dict of str -> tensor
            "amplitude", "distribution", "f0" of the harmonics; "magnitudes" of the noise (batch, frames ·
            noise_frames, bands); "amplitudes" and "frequencies" of modes; "gains" and "shots" of one-shots; "restarts"
            of the harmonics' phase; "gate"; each only if the decoder has it.
        """
        s = self.sizes
        features = {name: ops.convert_to_tensor(features[name], "float32") for name in s.inputs}
        outputs = self.head(self.network(scaled(features)))  # (batch, frames, all heads)
        ends = np.cumsum(list(self.heads.values()))
        parts = {name: outputs[..., end - width : end] for (name, width), end in zip(self.heads.items(), ends)}
        if s.outline:
            for name, envelope in spectral_envelope(features, s.n_harmonics, s.n_bands, s.scale).items():
                parts[name] = parts[name] + ops.tile(envelope, [1, 1, s.noise_frames if name == "noise" else 1])
        magnitudes = ops.reshape(parts["noise"], (-1, outputs.shape[1] * s.noise_frames, s.n_bands))
        controls = {"magnitudes": self.noise.controls(magnitudes)["magnitudes"] - QUIETER}
        if self.harmonic:
            controls |= self.harmonic.controls(parts["amplitude"], parts["distribution"], features["f0"])
            controls["amplitude"] = controls["amplitude"] - QUIETER
        if s.restart_cents:
            controls["restarts"] = note_onsets(features["f0"], features["voiced"], s.restart_cents)
        if s.gate:
            controls["gate"] = gate(features)
        if self.modes:
            controls |= self.modes.controls(parts["modes"] + MODES_GAIN)
        if self.transients:
            controls |= self.transients.controls(parts["shots"] + SHOTS_GAIN, features["onset"])
        return controls

    def signal(self, controls, training=False):
        """From controls to sound, (batch, frames · 64).

        Parameters
        ----------
        controls : dict of str -> tensor
            as returned by `controls`; change one and listen to what it does.
        training : bool
            start the loop of noise at a random sample, so that nothing is learned of its course.
        """
        return self.with_reverb(sum(self.parts(controls, training).values()), controls.get("gate"))

    def parts(self, controls, training=False):
        """The sounds that are added, dry, as a dict: "harmonic", "noise", "modes", "transients"."""
        magnitudes = controls["magnitudes"]
        sounds = {"noise": self.noise.signal(magnitudes, self._noise(magnitudes, training))}
        if self.harmonic:
            sounds["harmonic"] = self.harmonic.signal(
                *map(controls.get, ("amplitude", "distribution", "f0", "restarts"))
            )
        if self.modes:
            sounds["modes"] = self.modes.signal(controls["amplitudes"], controls["frequencies"])
        if self.transients:
            sounds["transients"] = self.transients.signal(controls["gains"], controls["shots"])
        return sounds

    def with_reverb(self, dry, gate=None):
        """A dry sound with its reverb, behind its gate, band-limited as recordings at 16 kHz are."""
        wet = self.room(dry) if self.room else dry
        if gate is not None:
            opened = upsample(gate, HOP_LENGTH, "linear")[..., 0]  # (batch, samples)
            pause = self._loop(wet.shape[1])[None] if self.sizes.noise_samples else 0.0
            wet = opened * wet + PAUSE * (1 - opened) * pause
        late = len(self.limit) // 2
        return convolve(ops.pad(wet, ((0, 0), (0, late))), ops.convert_to_tensor(self.limit)[None])[:, late:]

    def _noise(self, magnitudes, training):
        """The noise that is filtered, (batch, samples); None for white noise, other at each call."""
        if not self.sizes.noise_samples:
            return None
        samples = magnitudes.shape[1] * self.noise.hop_length
        noise = self._loop(samples)
        if training:
            start = random.randint((1,), 0, self.sizes.noise_samples, seed=self.offsets)
            noise = ops.take(
                ops.convert_to_tensor(self.loop), ops.mod(start + ops.arange(samples), self.sizes.noise_samples)
            )
        return ops.broadcast_to(noise[None], (ops.shape(magnitudes)[0], samples))

    def _loop(self, samples):
        """So many samples of the loop of even noise, from its beginning."""
        return ops.tile(ops.convert_to_tensor(self.loop), [-(-samples // self.sizes.noise_samples)])[:samples]

    def call(self, features, training=False):
        return self.signal(self.controls(features), training)


@saving.register_keras_serializable("mss")
class ResynthesisLoss(Configured, losses.Loss):
    """The loss of a decoder: the spectral loss, and the distance in loudness.

    Parameters
    ----------
    loudness_weight : float
        per dB.
    """

    def __init__(self, loudness_weight=0.1, name="resynthesis_loss", **kwargs):
        super().__init__({"loudness_weight": loudness_weight}, name=name, **kwargs)
        self.spectral = SpectralLoss()

    def call(self, y_true, y_pred):
        decibels = ops.mean(ops.abs(loudness(y_true) - loudness(y_pred)), axis=1)  # (batch,)
        return self.spectral.call(y_true, y_pred) + self.loudness_weight * decibels


def load_decoder(name, folder=WEIGHTS):
    """Load a trained decoder.

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
    training.weights.WeightsError
        if a file is missing, or if the weights are not those that the record describes.
    """
    return load_checked(Path(folder) / name, kind=Decoder)


def resynthesise(model, features):
    """Synthesise the features of a whole sound: `model(features)`, for NumPy arrays.

    Before the first frame above -80 dB the result is digital silence, as the beginning of most recordings is.

    Parameters
    ----------
    model : Decoder
    features : dict of str -> np.ndarray, (frames, channels)
        as returned by `features.pitched_features` or `features.drum_features`.

    Returns
    -------
    np.ndarray, float32, (frames · 64,)
        at 16 kHz.
    """
    inputs = feature.batch(features, model.sizes.inputs)
    sound = np.array(ops.convert_to_numpy(model(inputs, training=False))[0])
    loudest = np.max([inputs[name][0].max(axis=1) for name in ("loudness", "bands") if name in inputs], axis=0)
    sound[: HOP_LENGTH * int(np.append(loudest > LOUDNESS_FLOOR, True).argmax())] = 0
    return sound
