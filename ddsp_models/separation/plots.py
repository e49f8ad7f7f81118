"""Figures of the analysis network: functions of data and an Axes.

Notebook: ddsp_models/combined_report.ipynb
"""

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from audio_processing.style import GREY, INK

COLOURS = {"sound": "#cfe3f2", "pitch": "#fbe0cc", "context": "#e4e4e4", "synthesis": "#d5ead8"}
HIGH, MIDDLE, LOW = 3.2, 1.7, 0.2  # rows of the diagram
WIDTH, HEIGHT = 2.5, 0.84  # of a box
LINKS = (  # boxes that are joined from side to side
    *(("mixture", "map"), ("map", "heads"), ("heads", "path"), ("mixture", "mel"), ("mel", "context")),
    *(("context", "conditioned"), ("conditioned", "envelopes"), ("envelopes", "spectra"), ("spectra", "masks")),
    ("features", "decoders"),
)


def network(sizes, ax):
    """Draw the parts of a `ParametricSeparator` as boxes, from the mixture to the stems and the decoders' inputs.

    Parameters
    ----------
    sizes : layers.Sizes
    ax : matplotlib.axes.Axes
    """
    boxes = {
        "mixture": (0.9, 2.45, "mixture's\nspectrogram", "sound"),
        "map": (3.9, HIGH, "log-frequency\nmap", "pitch"),
        "heads": (6.9, HIGH, "pitch heads", "pitch"),
        "path": (9.9, HIGH, "Viterbi path", "pitch"),
        "mel": (3.9, MIDDLE, "log-mel bands", "context"),
        "context": (6.9, MIDDLE, f"{len(sizes.dilations)} temporal blocks:\ncontext", "context"),
        "conditioned": (9.9, MIDDLE, "conditioned on f0:\n2 more blocks", "context"),
        "envelopes": (12.9, MIDDLE, "spectral\nenvelopes", "synthesis"),
        "spectra": (15.9, MIDDLE, "spectra,\nin closed form", "synthesis"),
        "masks": (18.9, MIDDLE, "masks ⊙ mixture", "sound"),
        "features": (12.9, LOW, "features", "synthesis"),
        "decoders": (15.9, LOW, "decoders\n(chapter 7)", "synthesis"),
    }
    for x, y, words, kind in boxes.values():
        place = {"boxstyle": "round,pad=0.02", "facecolor": COLOURS[kind], "edgecolor": GREY}
        ax.add_patch(FancyBboxPatch((x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, **place))
        ax.text(x, y, words, ha="center", va="center", fontsize=9, color="black")

    def at(name, right=0, up=0, dx=0.0, dy=0.0):
        """A box's middle, or a place on its edge (right, up: -1, 0 or 1), or beside it."""
        x, y, *_ = boxes[name]
        return x + right * WIDTH / 2 + dx, y + up * (HEIGHT / 2 + 0.02) + dy

    paths = [
        *([at(one, 1), at(other, -1)] for one, other in LINKS),
        [at("context", up=1), at("heads", up=-1)],
        [at("path", up=-1), at("conditioned", up=1)],
        [at("path", 1), (at("spectra")[0], HIGH), at("spectra", up=1)],
        [at("conditioned", up=-1), (at("conditioned")[0], LOW), at("features", -1)],
        *([at(name, 1), at(name, 1, dx=1.1)] for name in ("masks", "decoders")),
    ]
    for points in paths:
        ax.add_patch(FancyArrowPatch(path=Path(points), arrowstyle="->", color=INK, mutation_scale=10))
    labels = [
        ("f0", at("path", dx=0.12, dy=(MIDDLE - HIGH) / 2 - 0.1)),
        ("f0", at("envelopes", dy=HIGH - MIDDLE + 0.06)),
        ("stems", at("masks", 1, dx=0.15, dy=0.1)),
        ("sounds", at("decoders", 1, dx=0.15, dy=0.1)),
    ]
    for words, (x, y) in labels:
        ax.text(x, y, words, fontsize=10, va="bottom")
    ax.set(xlim=(-0.4, 21.4), ylim=(-0.35, 3.8))
    ax.axis("off")


def envelope(magnitudes, seconds, sample_rate, ax, label=None):
    """Draw a spectral envelope (frames, bands of equal width in mel) in dB over time, with the bands' frequencies.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    bands = magnitudes.shape[1]
    image = ax.imshow(
        20 * np.log10(magnitudes.T + 1e-5),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, bands - 1),
        cmap="magma",
        vmin=-60,
        vmax=0,
        interpolation="nearest",
    )
    hertz = np.array([h for h in (250, 500, 1000, 2000, 4000) if h < sample_rate / 2])
    mel = np.log10(1 + hertz / 700) / np.log10(1 + sample_rate / 2 / 700)
    ax.set_yticks(mel * (bands - 1), [f"{h / 1000:g}" for h in hertz])
    ax.set(xlabel="time (s)", title=label)
    return image
