r"""Masks that are refined bin by bin, where spectral envelopes are too smooth.

Notebook: ddsp_models/combined_report.ipynb

The analysis network predicts smooth spectral envelopes, and Wiener's rule gives each source a share between 0 and 1.
Such masks lack two things: a partial that is stronger in this note than its envelope, and the phase. Where two sounds
meet in a bin, the mixture's magnitude m gives evidence of the phase, for by the law of cosines

.. math:: m^2 = a^2 + b^2 + 2ab\cos\varphi \quad\Rightarrow\quad \Re(A / M) = \frac{m^2 + a^2 - b^2}{2 m^2}

exact magnitudes a and b would determine how much of the mixture each source is (Erdogan et al. 2015's phase-sensitive
mask). They are estimates. So a small convolutional network reads them, this ratio, the mixture and how its phase moves,
and adds complex corrections to the masks (Williamson, Wang & Wang 2016, https://doi.org/10.1109/TASLP.2015.2512042).
The corrections add up to zero over the sources: the stems still add up to the mixture. The analysis network is not
trained.
"""

import dataclasses
import math

import numpy as np
from keras import Model, layers, ops, saving

from common.checks import expect
from ddsp_models.framing import Configured
from ddsp_models.separation.analysis_network import ParametricSeparator, relative_error, wiener_masks
from ddsp_models.separation.layers import Sizes

SOFT = 1e-2  # magnitude added before a logarithm or a division, of a mixture with root mean square 1: -40 dB
SCALE = 0.3  # of logarithms, so that all inputs of the network are about as large


@dataclasses.dataclass(frozen=True)
class RefinedSizes(Sizes):
    """Sizes of a mask refinement and its analysis network, whose fields are those of `Sizes`.

    Parameters
    ----------
    filters_2d : int
        channels of the convolutions over time and frequency.
    reach : tuple of (int, int)
        dilation of each residual convolution, in frames and in bins.
    exponent : float
        of the spectra in the masks that are refined.
    every : int
        frames of the analysis network to one of the masks.
    """

    filters_2d: int = 16
    reach: tuple = ((1, 1), (2, 1), (1, 2), (4, 4), (1, 1))
    exponent: float = 1.6
    every: int = 2

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "reach", tuple(tuple(step) for step in self.reach))
        expect(
            self.n_fft % (2 * self.mask_hop) == 0,
            "every",
            f"a mask hop of which n_fft = {self.n_fft} is an even multiple",
            f"{self.every} · {self.hop} samples",
        )

    @property
    def mask_hop(self):
        """Samples from frame to frame of the masks."""
        return self.hop * self.every

    @property
    def separator(self):
        """Sizes of the analysis network alone."""
        return Sizes(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Sizes)})


@saving.register_keras_serializable("mss")
class RefinedMasks(Configured, Model):
    """An analysis network, which is not trained, and a network that refines its masks.

    Parameters
    ----------
    sizes : RefinedSizes
        or the dict of its fields.

    Notes
    -----
    Called as `ParametricSeparator`, it returns the estimates' spectra, "real" and "imaginary", each (batch, sources,
    frames, frequencies), with frames `RefinedSizes.every` times as far apart as the analysis network's.
    """

    def __init__(self, sizes, **kwargs):
        s = sizes if isinstance(sizes, RefinedSizes) else RefinedSizes(**sizes)
        super().__init__({"sizes": s}, **kwargs)
        self.separator = ParametricSeparator(s.separator)
        self.separator.trainable = False
        options = {"padding": "same", "activation": "relu"}
        self.look = layers.Conv2D(s.filters_2d, (3, 5), **options, name="look")
        self.around = [
            layers.Conv2D(s.filters_2d, 3, dilation_rate=step, **options, name=f"around_{i}")
            for i, step in enumerate(s.reach)
        ]
        self.correct = layers.Conv2D(2 * len(s.sources), 1, kernel_initializer="zeros", name="correct")

    def build(self, shape=None):
        s = self.sizes
        bins, inputs = (None, None, s.n_frequencies), 1 + 4 * len(s.sources) + 4
        self.separator.build(None)
        self.look.build((*bins, inputs))
        for layer in self.around:
            layer.build((*bins, s.filters_2d))
        self.correct.build((*bins, s.filters_2d + inputs))
        self.built = True

    def evidence(self, real, imaginary, spectra):
        """The inputs of the refinement for every bin.

        Parameters
        ----------
        real, imaginary : tensor, (batch, frames, frequencies)
            the mixture's spectrum, of root mean square 1.
        spectra : tensor, (batch, frames, frequencies, sources)
            predicted magnitudes.

        Returns
        -------
        evidence : tensor, (batch, frames, frequencies, 1 + 4 sources + 4)
            logarithms of the mixture's magnitude and of the spectra; spectra and the law of cosines' real part over the
            mixture; Wiener masks; and cosine and sine of how the phase moves to the next frame and to the next bin.
        masks : tensor, (batch, frames, frequencies, sources)
            Wiener's.
        """
        magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-12)[..., None]
        others = ops.sum(spectra, axis=-1, keepdims=True) - spectra
        square = ops.square(magnitude)
        cosines = (square + ops.square(spectra) - ops.square(others)) / (2.0 * square + SOFT**2)
        masks = ops.moveaxis(wiener_masks(ops.moveaxis(spectra, -1, 1), self.sizes.exponent), 1, -1)
        parts = (
            SCALE * ops.log(magnitude + SOFT),
            SCALE * ops.log(spectra + SOFT),
            ops.clip(spectra / (magnitude + 0.1 * SOFT), 0.0, 3.0),  # more is a prediction of two sounds that cancel
            ops.clip(cosines, -1.0, 2.0),  # a share's real part, between 0 and 1 but for such
            masks,
            phase_change(real, imaginary, 1, 2.0 * math.pi * self.sizes.mask_hop / self.sizes.n_fft),
            phase_change(real, imaginary, 2, None),
        )
        return ops.concatenate(parts, axis=-1), masks

    def masks(self, real, imaginary, spectra):
        """Refined masks.

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
        evidence, masks = self.evidence(real, imaginary, ops.moveaxis(spectra, 1, -1))
        x = self.look(evidence)  # (batch, frames, frequencies, filters)
        for layer in self.around:
            x = x + layer(x)
        # (batch, frames, frequencies, 2 sources), split in halves:
        parts = ops.split(self.correct(ops.concatenate([x, evidence], axis=-1)), 2, axis=-1)
        in_phase, quadrature = (part - ops.mean(part, axis=-1, keepdims=True) for part in parts)
        return ops.moveaxis(masks + in_phase, -1, 1), ops.moveaxis(quadrature, -1, 1)

    def call(self, inputs):
        outputs, every = self.separator(inputs), self.sizes.every
        real, imaginary = outputs["real"][:, ::every], outputs["imaginary"][:, ::every]
        mask_real, mask_imaginary = self.masks(real, imaginary, outputs["spectra"][:, :, ::every])
        real, imaginary = real[:, None], imaginary[:, None]
        return {
            "real": mask_real * real - mask_imaginary * imaginary,
            "imaginary": mask_real * imaginary + mask_imaginary * real,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Logarithm of the error's energy relative to the stem's, mean over sources and crops, in nats."""
        stems = ops.convert_to_tensor(y["stems"]) / self.separator.level(x["mixture"])[..., None]
        real, imaginary = (part[:, :, :: self.sizes.every] for part in self.separator.stem_spectra(stems))
        error = ops.square(y_pred["real"] - real) + ops.square(y_pred["imaginary"] - imaginary)
        energy = ops.sum(ops.square(real) + ops.square(imaginary), axis=(2, 3))  # (batch, sources)
        return relative_error(ops.sum(error, axis=(2, 3)), energy, ops.sum(energy, axis=1, keepdims=True))


def phase_change(real, imaginary, axis, per_bin):
    """Cosine and sine of the angle between each bin and the one before it.

    Parameters
    ----------
    real, imaginary : tensor, (batch, frames, frequencies)
    axis : int
        1: the frame before; 2: the bin below.
    per_bin : float or None
        angle by which the k-th bin's own frequency, divided by k, turns from frame to frame, and which is subtracted;
        None for neighbouring bins, where the angle of a sound in the middle of the window, pi, is subtracted.

    Returns
    -------
    tensor, (batch, frames, frequencies, 2)
        0 where there is nothing before, or no sound.
    """
    pad = [(1, 0) if i == axis else (0, 0) for i in range(3)]
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
    return ops.stack([ops.pad(cosine, pad), ops.pad(sine, pad)], axis=-1)
