"""Plots of the first chapters: every function draws given data into given axes, and computes nothing."""

import numpy as np

from audio_processing.style import MIXTURE, STEMS

COLOURS = {**STEMS, "mixture": MIXTURE}


def framed(ax, **settings):
    """Set labels, limits or scales of axes, and draw a faint grid."""
    ax.set(**settings)
    ax.grid(alpha=0.3)


def waveform(audio, sample_rate, ax, *, start=0.0, unit="s", **line):
    """Draw (samples,) over time; `start` is the time of the first one in seconds, `unit` "s" or "ms"."""
    scale = {"s": 1, "ms": 1000}[unit]
    ax.plot((start + np.arange(len(audio)) / sample_rate) * scale, audio, **({"linewidth": 0.8} | line))
    ax.set(xlabel=f"time ({unit})", ylabel="amplitude")
    ax.margins(x=0)


def time_frequency(values, seconds, kilohertz, ax, *, label=None, colourbar=True, **image):
    """Draw an array (frequencies, frames) as an image that spans `seconds` and `kilohertz`.

    Keywords go to `Axes.imshow` (vmin, vmax, cmap); `label` names what the colours mean, unit included.
    """
    options = {"origin": "lower", "aspect": "auto", "cmap": "magma", "interpolation": "nearest"} | image
    drawn = ax.imshow(values, extent=(0, seconds, 0, kilohertz), **options)
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)")
    if colourbar:
        ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.02)


def winners(index, loudness, sources, seconds, kilohertz, ax):
    """Draw who owns each bin: the source's colour, darker where the bin is softer.

    Parameters
    ----------
    index : np.ndarray of int, (frequencies, frames)
        position in `sources` of the bin's owner.
    loudness : np.ndarray, (frequencies, frames)
        from 0 (black) to 1.
    sources : list of str
    seconds, kilohertz : float
    ax : matplotlib.axes.Axes
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    palette = np.array([to_rgb(COLOURS[source]) for source in sources])
    image = palette[index] * np.clip(loudness, 0, 1)[..., None]
    time_frequency(image, seconds, kilohertz, ax, colourbar=False)
    handles = [Patch(color=COLOURS[source], label=source) for source in sources]
    ax.legend(handles=handles, ncols=len(sources), fontsize=9, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))


def numbers(values, rows, columns, ax, form, dark):
    """Name rows and columns of an image of an array; write its finite numbers there, in white where `dark` is true."""
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    for i, j in np.argwhere(np.isfinite(values)):
        colour = "white" if dark[i, j] else "black"
        ax.text(j, i, form(values[i, j]), ha="center", va="center", color=colour, fontsize=9)


def lines(x, curves, ax, *, xlabel, ylabel, legend=True, **line):
    """Draw label → y over a common x; curves named after a source have its colour. `legend`: True, False or "right"."""
    for label, y in curves.items():
        ax.plot(x, y, label=label, **({"color": COLOURS.get(label)} | line))
    framed(ax, xlabel=xlabel, ylabel=ylabel)
    if legend:
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if legend == "right" else {}
        ax.legend(frameon=False, fontsize=9, **place)
