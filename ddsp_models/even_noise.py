r"""Noise with an even spectrogram, for decoders that are trained and scored by spectrograms.

Notebook: ddsp_models/autoencoder_report.ipynb

The spectrogram of white noise is full of holes and peaks, other ones each time. A decoder can predict how loud noise is
in a band, never where its holes are: however good it is, the magnitudes of two white noises differ by :math:`\ln 2 =
0.69` nepers per bin on average, 4.2 over the six scales of the spectral loss. Noise whose own spectrogram is as level
as possible does not add its holes to those of the target, and the difference falls to 3.5. It sounds like noise, a
little smoother.
"""

import numpy as np
from keras import Model, backend, initializers, ops, optimizers

from common.checks import expect
from ddsp_models.spectral_loss import SCALES, magnitudes

LEVEL = float(np.sqrt(np.log(2)))  # median magnitude of white noise of power 1: the best guess for another noise
STEP = SCALES[0] // 4  # samples: the loop is a whole number of the longest hop


class Loop(Model):
    """A loop of sound whose samples are the weights: the distance of its magnitudes to `LEVEL`, in nepers.

    Parameters
    ----------
    samples : int
        a multiple of 512.
    seed : int
        of the white noise that initialises it.

    Notes
    -----
    Its input is not used; it returns (1, bins of all scales).
    """

    def __init__(self, samples, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.samples, self.seed = samples, seed

    def build(self, shape):
        white = initializers.RandomUniform(-np.sqrt(3), np.sqrt(3), seed=self.seed)
        self.sound = self.add_weight(shape=(1, self.samples), initializer=white, name="sound")

    def call(self, _):
        sound = ops.convert_to_tensor(self.sound)
        loop = ops.concatenate([sound, sound[:, : max(SCALES)]], axis=1)
        distances = []
        for n_fft in SCALES:
            unit = LEVEL * np.sqrt(0.375 * n_fft)  # mean square of the Hann window
            spectrum = magnitudes(loop, n_fft)[:, : self.samples // (n_fft // 4), 1:-1] / unit
            distances.append(ops.reshape(ops.log(spectrum + 1e-6), (1, -1)))
        return ops.concatenate(distances, axis=1)


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
    expect(
        samples % STEP == 0 and samples >= max(SCALES),
        "samples",
        f"a multiple of {STEP} that is at least {max(SCALES)}",
        samples,
    )
    loop, nothing = Loop(samples, seed), np.zeros((steps, 1), np.float32)
    schedule = optimizers.schedules.CosineDecay(3e-2, steps, alpha=0.1)
    loop.compile(optimizers.Adam(schedule), loss="mean_absolute_error", jit_compile=backend.backend() != "torch")
    loop.fit(nothing, nothing, batch_size=1, verbose=0)
    return ops.convert_to_numpy(loop.sound)[0]
