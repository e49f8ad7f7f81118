"""The pictures beside a player: spectrograms, and small PNG files."""

import io
from itertools import zip_longest

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from audio_processing.audio_processing import amplitude_to_db, stft, to_mono
from audio_processing.plots import time_frequency

N_FFT, HOP = 1024, 256
SILENCE = 1e-9
"""Smallest reference level of a spectrogram, so that silence can be drawn."""


def _magnitude(audio):
    return np.abs(stft(np.asarray(to_mono(audio), np.float32), N_FFT, HOP))


def axes_of(ax, size=(8, 3)):
    """The axes that were given, or those of a new figure of a size in inches."""
    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def spectrogram(audio, sample_rate, ax=None, title=None, *, top_db=80.0, reference=None):
    """Draw the spectrogram of a sound, in dB below a reference level.

    Parameters
    ----------
    audio : np.ndarray, (samples,) or (channels, samples)
    sample_rate : int
        in Hz.
    ax : matplotlib.axes.Axes, optional
    title : str, optional
    top_db : float
        what lies further below the reference is black.
    reference : float, optional
        magnitude of 0 dB; the sound's own largest if None.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_of(ax)
    magnitude = _magnitude(audio)
    time_frequency(
        amplitude_to_db(magnitude, reference=reference or max(magnitude.max(), SILENCE)),
        audio.shape[-1] / sample_rate,
        sample_rate / 2000,
        ax,
        colourbar=False,
        vmin=-top_db,
        vmax=0,
    )
    ax.set(title=title)
    return ax


def spectrograms(clips, sample_rate, *, columns=1, height=1.6, top=None):
    """Draw the spectrograms of several sounds at one reference level, row by row.

    Parameters
    ----------
    clips : dict of str to np.ndarray
        label → audio; None leaves its place empty.
    sample_rate : int
        in Hz.
    columns : int
    height : float
        of a row, in inches.
    top : float, optional
        limit of the frequency axis, in kHz.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(clips) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, 0.5 + height * rows), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    loudest = max(_magnitude(clip).max() for clip in clips.values() if clip is not None)
    for ax, (label, clip) in zip_longest(axes.flat, clips.items(), fillvalue=("", None)):
        if clip is None:
            ax.axis("off")
            continue
        spectrogram(clip, sample_rate, ax, reference=max(loudest, SILENCE))
        ax.set(xlabel=None, ylabel=None, **({"ylim": (0, top)} if top else {}))
        ax.set_title(label, fontsize=10, loc="left", pad=3)
    figure.supxlabel("time (s)", fontsize=10)
    figure.supylabel("frequency (kHz)", fontsize=10)
    return figure


def png_of(figure):
    """A figure as a small PNG file, in bytes; the figure is closed."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight", facecolor="white")
    plt.close(figure)
    return in_256_colours(drawn.getvalue())


def smallest_of(figure):
    """A figure as PNG or JPEG, whichever is smaller: (MIME type, bytes); the figure is closed."""
    png, jpeg = png_of(figure), io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, format="JPEG", quality=80, optimize=True)
    return min(("image/png", png), ("image/jpeg", jpeg.getvalue()), key=lambda file: len(file[1]))


def in_256_colours(png):
    """A figure's PNG file with a palette, about half the size, as bytes; unchanged if that is not smaller."""
    picture, small = Image.open(io.BytesIO(png)), io.BytesIO()
    if picture.mode == "P" or (picture.mode == "RGBA" and picture.getextrema()[3] != (255, 255)):
        return png  # has a palette already, or transparent parts, which a palette would not keep
    # the palette of largest coverage keeps rare colours, such as that of a thin line over a spectrogram
    few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    few.save(small, format="PNG", optimize=True)
    return min(png, small.getvalue(), key=len)
