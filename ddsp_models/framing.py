r"""What all synthesisers share: amplitudes from a network's outputs, frames of controls, samples of sound.

Notebook: ddsp_models/ddsp_report.ipynb

Frame k of any control is centred on sample :math:`k \cdot` `hop_length`, so F frames make F · `hop_length` samples.
"""

import math

import numpy as np
from keras import layers, ops

from common.checks import expect

HOP_LENGTH = 64
SAMPLE_RATE = 16000
QUIETEST = 1e-7  # of `exp_sigmoid`: a logarithm of amplitudes stays finite


def exp_sigmoid(x):
    r"""Squash any real number into an amplitude, :math:`2\,\sigma(x)^{\ln 10} + 10^{-7}` (Engel et al. 2020).

    Far below zero, a step of 1 changes the result tenfold, so a network reaches quiet and loud sounds with equal ease.

    Parameters
    ----------
    x : tensor

    Returns
    -------
    tensor of the same shape, in (1e-7, 2 + 1e-7)

    See Also
    --------
    normalise_harmonics : distribute one amplitude over harmonics.

    Examples
    --------
    >>> [round(float(y), 2) for y in exp_sigmoid(np.array([-2.0, 0.0, 4.0]))]
    [0.01, 0.41, 1.92]
    """
    return 2.0 * ops.exp(math.log(10.0) * ops.log_sigmoid(x)) + QUIETEST


def ramp(hop_length, shape="hann"):
    """How far each sample of a frame has moved towards the next frame: (hop_length,), from 0 to just below 1."""
    j = np.arange(hop_length, dtype=np.float32) / hop_length
    expect(shape in ("hann", "linear"), "shape", "'hann' or 'linear'", repr(shape))
    return j if shape == "linear" else (0.5 - 0.5 * np.cos(np.pi * j)).astype(np.float32)


def next_frame(x):
    """Each frame's successor along axis 1; the last frame is its own."""
    return ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)


def earlier(x, frames):
    """`x` as it was so many frames before, along axis 1 of (batch, frames, channels); 0 before its beginning."""
    return ops.pad(x[:, :-frames], ((0, 0), (min(frames, x.shape[1]), 0), (0, 0)))


def upsample(frames, hop_length=HOP_LENGTH, shape="hann"):
    r"""Bring controls from one value per frame to one per sample.

    .. math:: y_{kH+j} = x_k + r_j\,(x_{k+1} - x_k), \qquad 0 \le j < H

    with :math:`r_j = j/H` for "linear". For "hann" it is :math:`\frac{1 - \cos(\pi j / H)}{2}`: that is the overlap-add
    of Hann windows two hops long, written out, because two such windows that overlap by half add up to 1. The last
    frame is held.

    Parameters
    ----------
    frames : tensor, (batch, frames, channels)
    hop_length : int
        H, samples per frame.
    shape : {"hann", "linear"}
        "hann" has no corners, so amplitudes do not buzz at the frame rate; "linear" is for frequencies.

    Returns
    -------
    tensor, (batch, frames · hop_length, channels)
    """
    frames = ops.convert_to_tensor(frames)
    check_frames(hop_length, frames=frames)
    weight = ops.convert_to_tensor(ramp(hop_length, shape)[:, None])
    now, after = frames[:, :, None], next_frame(frames)[:, :, None]  # (batch, frames, 1, channels)
    samples = now + weight * (after - now)  # (batch, frames, hop_length, channels)
    return ops.reshape(samples, (-1, frames.shape[1] * hop_length, frames.shape[2]))


class Configured:
    """A layer, model or loss that keeps its constructor's arguments, as attributes and as its configuration.

    Parameters
    ----------
    arguments : dict
        by name; settings, a dataclass with `to_dict`, become a dict of their fields in the configuration.
    **kwargs
        of Keras's class.
    """

    def __init__(self, arguments, **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments
        for name, value in arguments.items():
            setattr(self, name, value)

    def get_config(self):
        return super().get_config() | {
            name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in self.arguments.items()
        }


class Synthesiser(Configured, layers.Layer):
    """A layer in two steps that can be called one by one.

    `controls` turns a network's outputs into physical quantities (hertz, amplitudes), `signal` turns those into sound.
    """

    def call(self, *outputs):
        return self.signal(**self.controls(*outputs))


def check_frames(hop_length, **frames):
    """Refuse a hop that is no number of samples, and what is not (batch, frames, channels), by its name."""
    whole = isinstance(hop_length, int) and hop_length > 0
    expect(whole, "hop_length", "a positive whole number of samples", repr(hop_length))
    expected = "(batch, frames, channels) with at least one frame and one channel"
    for name, values in frames.items():
        expect(len(values.shape) == 3 and 0 not in values.shape[1:], name, expected, f"shape {tuple(values.shape)}")


def check_f0(hop_length, f0, amplitudes):
    """Refuse an f0 (batch, frames, 1) that does not have a value for each frame of the amplitudes."""
    check_frames(hop_length, f0=f0, amplitudes=amplitudes)
    n_frames = amplitudes.shape[1]
    expect(f0.shape[1:] == (n_frames, 1), "f0", f"shape (batch, {n_frames}, 1)", tuple(f0.shape))
