r"""Noise with an even spectrogram, for decoders that are judged by spectrograms.

White noise has a spectrogram full of holes and peaks, other ones each time. A decoder can know how loud noise is in a
band, never where its holes are: however good it is, the magnitudes of two white noises differ by
:math:`\ln 2 = 0.69` nepers per bin on average, 4.2 over the six scales of the spectral loss. Noise whose own
spectrogram is as level as it can be does not add its holes to those of the target, and comes to 3.5. It sounds like
noise, a little smoother.
"""

import keras
import numpy as np
from keras import ops

from ddsp_models.spectral_loss import SCALES, magnitudes

LEVEL = float(np.sqrt(np.log(2)))
"""Median magnitude of white noise whose mean power is 1: the best guess of where another noise's magnitudes lie."""


@keras.saving.register_keras_serializable("mss")
class Loop(keras.Model):
    """A loop of sound whose samples are what is trained: how far its magnitudes are from `LEVEL`, in nepers.

    Parameters
    ----------
    samples : int
        a multiple of 512.
    seed : int
        of the white noise that it begins as.

    Notes
    -----
    What it is called with is not used; it returns (1, bins of all scales).
    """

    def __init__(self, samples, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.samples, self.seed = samples, seed

    def build(self, shape):
        white = keras.initializers.RandomUniform(-np.sqrt(3), np.sqrt(3), seed=self.seed)
        self.sound = self.add_weight(shape=(1, self.samples), initializer=white, name="sound")

    def call(self, _):
        sound = ops.convert_to_tensor(self.sound)
        loop = ops.concatenate([sound, sound[:, : max(SCALES)]], axis=1)
        distances = []
        for n_fft in SCALES:
            unit = LEVEL * np.sqrt(0.375 * n_fft)  # 0.375 n_fft is the power of the Hann window
            spectrum = magnitudes(loop, n_fft)[:, : self.samples // (n_fft // 4), 1:-1] / unit
            distances.append(ops.reshape(ops.log(spectrum + 1e-6), (1, -1)))
        return ops.concatenate(distances, axis=1)

    def get_config(self):
        return {**super().get_config(), "samples": self.samples, "seed": self.seed}


def even_noise(samples=32768, seed=0, steps=700):
    """Make a loop of noise whose spectrogram is as even as gradient descent can make it.

    Parameters
    ----------
    samples : int
        a multiple of 512.
    seed, steps : int
        of the descent.

    Returns
    -------
    np.ndarray, float32, (samples,)
        of about unit power.
    """
    if samples % 512 or samples < max(SCALES):
        raise ValueError(f"samples: {samples} found, a multiple of 512 that is at least {max(SCALES)} expected")
    loop = Loop(samples, seed)
    schedule = keras.optimizers.schedules.CosineDecay(3e-2, steps, alpha=0.1)
    compiles = keras.backend.backend() != "torch"
    loop.compile(keras.optimizers.Adam(schedule), loss="mean_absolute_error", jit_compile=compiles)
    loop.fit(np.zeros((steps, 1), np.float32), np.zeros((steps, 1), np.float32), batch_size=1, verbose=0)
    return ops.convert_to_numpy(loop.sound)[0]
