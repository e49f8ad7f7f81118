"""How much of a decoder's loss is the network's, how much the synthesiser's: controls of one sound, fitted directly."""

import keras
from keras import ops

from ddsp_models import features as feature
from ddsp_models.spectral_loss import SpectralLoss

SOFTEST = 1e-8
"""Amplitudes count as at least this much: the logarithm of 0 has no gradient."""
PARTS = ("harmonics", "noise")


@keras.saving.register_keras_serializable("mss")
class FreeControls(keras.Model):
    """A decoder's synthesiser, some of whose controls are trained for one sound, frame by frame.

    Parameters
    ----------
    decoder : autoencoder.Decoder
        built; its own weights stay as they are, and are no longer trainable.
    controls : dict of tensor
        of `Decoder.controls`: where fitting begins.
    free : sequence of str
        of `PARTS`: "harmonics" are amplitude times distribution, "noise" the magnitudes of the filtered noise.

    Raises
    ------
    ValueError
        where a part is unknown, or the decoder has no such part.
    """

    def __init__(self, decoder, controls, free=PARTS, **kwargs):
        super().__init__(**kwargs)
        unknown = set(free) - set(PARTS) or ({"harmonics"} & set(free) if "distribution" not in controls else set())
        if unknown:
            raise ValueError(f"free: {', '.join(sorted(unknown))} found, {' or '.join(PARTS)} of this decoder expected")
        self.decoder, self.controls, self.free = decoder, dict(controls), tuple(free)
        decoder.trainable = False
        if "distribution" in controls:
            controls = {**controls, "harmonics": controls["amplitude"] * controls["distribution"]}
        begins = {"harmonics": controls.get("harmonics"), "noise": controls["magnitudes"]}
        self.logarithms = {
            name: self.add_weight(
                shape=begins[name].shape,
                initializer=keras.initializers.Constant(
                    ops.convert_to_numpy(ops.log(ops.maximum(begins[name], SOFTEST)))
                ),
                name=name,
            )
            for name in self.free
        }
        self.built = True

    def call(self, features):
        """The sound, (1, frames · 64); features are only told because `fit` asks for inputs."""
        controls = dict(self.controls)
        for name, logarithm in self.logarithms.items():
            value = ops.exp(ops.convert_to_tensor(logarithm))
            if name == "noise":
                controls["magnitudes"] = value
            else:
                controls |= {"amplitude": ops.ones_like(controls["amplitude"]), "distribution": value}
        return self.decoder.signal(controls)


def losses(decoder, features, sound, free=PARTS, steps=100, learning_rate=0.03):
    """Spectral loss while controls are fitted to a sound by gradient descent.

    Parameters
    ----------
    decoder : autoencoder.Decoder
    features : dict of np.ndarray, (frames, channels)
    sound : np.ndarray, (frames · 64,)
    free : sequence of str
        see `FreeControls`.
    steps : int
    learning_rate : float
        of Adam, at its beginning; a cosine leads away from it.

    Returns
    -------
    list of float
        the first one is the decoder's own.
    """
    told = feature.batch(features, decoder.sizes.inputs)
    model = FreeControls(decoder, decoder.controls(told), free)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), SpectralLoss(), jit_compile=keras.backend.backend() != "torch")
    inputs = told["loudness" if "loudness" in told else "bands"]
    return model.fit(inputs, sound[None], epochs=steps, verbose=0).history["loss"]
