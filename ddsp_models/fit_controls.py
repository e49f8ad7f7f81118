"""Controls of a synthesiser, fitted to one sound by gradient descent: without a network, or in place of a decoder's.

Notebooks: ddsp_models/ddsp_report.ipynb, ddsp_models/autoencoder_report.ipynb
"""

from keras import Model, backend, initializers, ops, optimizers, saving

from common.checks import expect
from ddsp_models import features as feature
from ddsp_models.framing import Configured
from ddsp_models.spectral_loss import SpectralLoss
from ddsp_models.synthesisers import FilteredNoise, Harmonic

PARTS = ("harmonics", "noise")


@saving.register_keras_serializable("mss")
class OneNote(Configured, Model):
    """Harmonics and noise whose controls, one value per frame each, are the weights; `fit` them to one recording.

    Parameters
    ----------
    n_frames : int
        of the recording, 250 per second.
    n_harmonics, n_bands : int
        controls of the harmonic oscillator and of the filtered noise.

    Notes
    -----
    Called with f0 (1, n_frames, 1) in Hz, it returns the sound, (1, n_frames · 64) at 16 kHz.
    """

    def __init__(self, n_frames, n_harmonics=40, n_bands=33, **kwargs):
        super().__init__({"n_frames": n_frames, "n_harmonics": n_harmonics, "n_bands": n_bands}, **kwargs)
        self.harmonic, self.noise = Harmonic(), FilteredNoise()

    def build(self, shape):
        frames, quiet = self.n_frames, initializers.Constant(-1.0)  # as a network's output: a quiet tone
        self.amplitude = self.add_weight((1, frames, 1), quiet, name="amplitude")
        self.distribution = self.add_weight((1, frames, self.n_harmonics), "zeros", name="distribution")
        self.magnitudes = self.add_weight((1, frames, self.n_bands), "zeros", name="magnitudes")

    def controls(self, f0):
        """The controls as a dict: "amplitude", "distribution", "f0" and "magnitudes" (of the noise)."""
        controls = self.harmonic.controls(self.amplitude.value, self.distribution.value, f0)
        return controls | self.noise.controls(self.magnitudes.value)

    def call(self, f0):
        controls = self.controls(f0)
        return self.noise.signal(controls.pop("magnitudes")) + self.harmonic.signal(**controls)


@saving.register_keras_serializable("mss")
class FreeControls(Model):
    """A decoder's synthesiser, some of whose controls are fitted to one sound, frame by frame.

    Parameters
    ----------
    decoder : autoencoder.Decoder
        built; its own weights stay as they are, and are no longer trainable.
    controls : dict of str -> tensor
        as returned by `Decoder.controls`: the initial values.
    free : sequence of str
        some of `PARTS`: "harmonics" are amplitude times distribution, "noise" the magnitudes of the filtered noise.

    Raises
    ------
    ValueError
        if a part is unknown, or the decoder has no such part.
    """

    def __init__(self, decoder, controls, free=PARTS, **kwargs):
        super().__init__(**kwargs)
        first = {"noise": controls["magnitudes"]}
        if "distribution" in controls:
            first["harmonics"] = controls["amplitude"] * controls["distribution"]
        expect(set(free) <= first.keys(), "free", f"{' or '.join(sorted(first))} of this decoder", ", ".join(free))
        self.decoder, self.controls, self.free = decoder, dict(controls), tuple(free)
        decoder.trainable = False
        self.logarithms = {}
        for name in self.free:
            start = ops.convert_to_numpy(ops.log(ops.maximum(first[name], 1e-8)))  # the logarithm of 0 has no gradient
            self.logarithms[name] = self.add_weight(start.shape, initializers.Constant(start), name=name)
        self.built = True

    def call(self, features):
        """The sound, (1, frames · 64); the features are not used, but `fit` needs inputs."""
        controls = dict(self.controls)
        for name, logarithm in self.logarithms.items():
            value = ops.exp(ops.convert_to_tensor(logarithm))
            if name == "noise":
                controls["magnitudes"] = value
            else:
                controls |= {"amplitude": ops.ones_like(controls["amplitude"]), "distribution": value}
        return self.decoder.signal(controls)


def fitting_losses(decoder, features, sound, free=PARTS, steps=100, learning_rate=0.03):
    """Spectral loss while controls are fitted to a sound by gradient descent: how much of it is the synthesiser's.

    Parameters
    ----------
    decoder : autoencoder.Decoder
    features : dict of str -> np.ndarray, (frames, channels)
    sound : np.ndarray, (frames · 64,)
    free : sequence of str
        see `FreeControls`.
    steps : int
    learning_rate : float
        of Adam in the first step; it decays along a cosine.

    Returns
    -------
    list of float
        the first one is the decoder's own.
    """
    inputs = feature.batch(features, decoder.sizes.inputs)
    model = FreeControls(decoder, decoder.controls(inputs), free)
    rate = optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(optimizers.Adam(rate), SpectralLoss(), jit_compile=backend.backend() != "torch")
    unused = inputs["loudness" if "loudness" in inputs else "bands"]
    return model.fit(unused, sound[None], epochs=steps, verbose=0).history["loss"]
