r"""Masks that are corrected where outlines are wrong.

A parametric separator draws smooth outlines, and Wiener's rule gives each source a share between 0 and 1. Two things
are beyond such masks: a partial that is stronger in this note than the outline knows, and the phase. Where two sounds
meet in a bin, the mixture's magnitude m tells something of it, for by the law of cosines

.. math:: m^2 = a^2 + b^2 + 2ab\cos\varphi \quad\Rightarrow\quad \Re(A / M) = \frac{m^2 + a^2 - b^2}{2 m^2}

so who knows the magnitudes a and b of both, knows how much of the mixture either is (Erdogan et al. 2015's
phase-sensitive mask), if they are exact. They are estimates. So a small convolutional network looks at them, at this
ratio, at the mixture and at how its phase moves, and corrects the masks, bin by bin, by complex numbers (Williamson,
Wang & Wang 2016, https://doi.org/10.1109/TASLP.2015.2512042). The corrections add up to zero over the sources: the
stems still add up to the mixture. The separator stays as it is.
"""

import dataclasses
import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes, relative_error, wiener_masks

SOFT = 1e-2
"""Magnitude that is added before a logarithm or a division, of a mixture with root mean square 1."""
SCALE = 0.3
"""Of logarithms, so that all that the network sees is about as large."""


@dataclass(frozen=True)
class RefinedSizes(Sizes):
    """Sizes of a separator whose masks are corrected; what is not named here as in `parametric.Sizes`.

    Parameters
    ----------
    filters_2d : int
        channels of the convolutions over time and frequency.
    reach : tuple of (int, int)
        dilation of each residual convolution, in frames and in bins.
    exponent : float
        of the spectra in the masks that are corrected.
    every : int
        frames of the separator to one of the masks.
    """

    filters_2d: int = 16
    reach: tuple = ((1, 1), (2, 1), (1, 2), (4, 4), (1, 1))
    exponent: float = 1.6
    every: int = 2

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "reach", tuple(tuple(step) for step in self.reach))
        if self.n_fft % (2 * self.mask_hop):
            raise ValueError(f"every: {self.every} found; n_fft = {self.n_fft} is to be a multiple of twice its hop")

    @property
    def mask_hop(self):
        """Samples from frame to frame of the masks."""
        return self.hop * self.every

    @property
    def separator(self):
        """Sizes of the separator alone."""
        return Sizes(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Sizes)})


@keras.saving.register_keras_serializable("mss")
class RefinedMasks(keras.Model):
    """A parametric separator, which is not trained, and a network that corrects its masks.

    Parameters
    ----------
    sizes : RefinedSizes
        or the dict of its fields.

    Notes
    -----
    Called as `ParametricSeparator`, it gives the estimates' spectra, "real" and "imaginary", each (batch, sources,
    frames, frequencies), with frames `RefinedSizes.every` times as far apart as the separator's.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        s = sizes if isinstance(sizes, RefinedSizes) else RefinedSizes(**sizes)
        self.sizes = s
        self.separator = ParametricSeparator(s.separator)
        self.separator.trainable = False
        self.look = keras.layers.Conv2D(s.filters_2d, (3, 5), padding="same", activation="relu", name="look")
        self.around = [
            keras.layers.Conv2D(
                s.filters_2d, 3, padding="same", dilation_rate=step, activation="relu", name=f"around_{i}"
            )
            for i, step in enumerate(s.reach)
        ]
        self.correct = keras.layers.Conv2D(2 * len(s.sources), 1, kernel_initializer="zeros", name="correct")

    def build(self, shape=None):
        s = self.sizes
        seen = (None, None, s.n_frequencies, 1 + 4 * len(s.sources) + 4)
        inner = (*seen[:-1], s.filters_2d)
        self.separator.build(None)
        self.look.build(seen)
        for layer in self.around:
            layer.build(inner)
        self.correct.build((*seen[:-1], s.filters_2d + seen[-1]))
        self.built = True

    def seen(self, real, imaginary, spectra):
        """What the network is shown of every bin.

        Parameters
        ----------
        real, imaginary : tensor, (batch, frames, frequencies)
            the mixture's spectrum, of root mean square 1.
        spectra : tensor, (batch, frames, frequencies, sources)
            magnitudes that the separator draws.

        Returns
        -------
        features : tensor, (batch, frames, frequencies, 1 + 4 sources + 4)
            logarithms of the mixture's magnitude and of the spectra; spectra and the law of cosines' real part over the
            mixture; Wiener's shares; and cosine and sine of how the phase moves to the next frame and to the next bin.
        shares : tensor, (batch, frames, frequencies, sources)
        """
        magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12)[..., None]
        others = ops.sum(spectra, axis=-1, keepdims=True) - spectra
        square = ops.square(magnitude)
        cosines = (square + ops.square(spectra) - ops.square(others)) / (2.0 * square + SOFT**2)
        shares = ops.moveaxis(wiener_masks(ops.moveaxis(spectra, -1, 1), self.sizes.exponent), 1, -1)
        along_time = turned(real, imaginary, 1, 2.0 * math.pi * self.sizes.mask_hop / self.sizes.n_fft)
        along_frequency = turned(real, imaginary, 2, None)
        features = [
            SCALE * ops.log(magnitude + SOFT),
            SCALE * ops.log(spectra + SOFT),
            ops.clip(spectra / (magnitude + 0.1 * SOFT), 0.0, 3.0),
            ops.clip(cosines, -1.0, 2.0),
            shares,
            along_time,
            along_frequency,
        ]
        return ops.concatenate(features, axis=-1), shares

    def masks(self, real, imaginary, spectra):
        """Corrected masks.

        Parameters
        ----------
        real, imaginary : tensor, (batch, frames, frequencies)
            the mixture's spectrum, of root mean square 1, at the masks' frames.
        spectra : tensor, (batch, sources, frames, frequencies)

        Returns
        -------
        real, imaginary : tensor, (batch, sources, frames, frequencies)
            over the sources the real parts add up to 1, the imaginary ones to 0.
        """
        features, shares = self.seen(real, imaginary, ops.moveaxis(spectra, 1, -1))
        x = self.look(features)
        for layer in self.around:
            x = x + layer(x)
        change = self.correct(ops.concatenate([x, features], axis=-1))
        parts = ops.split(change, 2, axis=-1)
        straight, across = (part - ops.mean(part, axis=-1, keepdims=True) for part in parts)
        return ops.moveaxis(shares + straight, -1, 1), ops.moveaxis(across, -1, 1)

    def call(self, inputs):
        every = self.sizes.every
        found = self.separator(inputs)
        real, imaginary = found["real"][:, ::every], found["imaginary"][:, ::every]
        straight, across = self.masks(real, imaginary, found["spectra"][:, :, ::every])
        real, imaginary = real[:, None], imaginary[:, None]
        return {
            "real": straight * real - across * imaginary,
            "imaginary": straight * imaginary + across * real,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The logarithm of the energy of what is wrong over that of the stem, mean over sources and crops, in nats."""
        s = self.sizes
        stems = ops.convert_to_tensor(y["stems"]) / self.separator.level(x["mixture"])[..., None]
        true = self.separator.spectrum(ops.reshape(stems, (-1, stems.shape[-1])))
        real, imaginary = (ops.reshape(part, (-1, len(s.sources), *part.shape[1:]))[:, :, :: s.every] for part in true)
        error = ops.square(y_pred["real"] - real) + ops.square(y_pred["imaginary"] - imaginary)
        energy = ops.sum(ops.square(real) + ops.square(imaginary), axis=(2, 3))
        whole = ops.sum(energy, axis=1, keepdims=True)
        return relative_error(ops.sum(error, axis=(2, 3)), energy, whole)

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes.to_dict()}


def turned(real, imaginary, axis, per_bin):
    """Cosine and sine of the angle between each bin and the one before it.

    Parameters
    ----------
    real, imaginary : tensor, (batch, frames, frequencies)
    axis : int
        1: the frame before; 2: the bin below.
    per_bin : float or None
        angle by which the k-th bin's own frequency, times k, turns from frame to frame, and which is taken away; None
        for neighbouring bins, where the angle of a sound in the middle of the window, pi, is.

    Returns
    -------
    tensor, (batch, frames, frequencies, 2)
        0 where there is nothing before, or no sound.
    """
    now = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
    before = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
    cosine = real[now] * real[before] + imaginary[now] * imaginary[before]
    sine = imaginary[now] * real[before] - real[now] * imaginary[before]
    length = ops.sqrt(ops.square(cosine) + ops.square(sine) + 1e-9)
    cosine, sine = cosine / length, sine / length
    if per_bin is None:
        cosine, sine = -cosine, -sine
    else:
        angle = np.arange(real.shape[2]) * per_bin
        back = [ops.convert_to_tensor(f(angle).astype(np.float32)) for f in (np.cos, np.sin)]
        cosine, sine = cosine * back[0] + sine * back[1], sine * back[0] - cosine * back[1]
    pad = [(1, 0) if i == axis else (0, 0) for i in range(3)]
    return ops.stack([ops.pad(cosine, pad), ops.pad(sine, pad)], axis=-1)
