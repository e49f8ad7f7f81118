"""Figures of the separator that chapter 8 explains: functions of data and an Axes."""

import numpy as np
from matplotlib.patches import FancyBboxPatch

COLOURS = {"sound": "#cfe3f2", "pitch": "#fbe0cc", "context": "#e4e4e4", "synthesis": "#d5ead8"}


def network(sizes, ax):
    """Draw the parts of a `ParametricSeparator` as boxes, from the mixture to stems and to what decoders play.

    Parameters
    ----------
    sizes : parametric.Sizes
    ax : matplotlib.axes.Axes
    """
    high, middle, low = 3.2, 1.7, 0.2
    boxes = {
        "mixture": (0.9, 2.45, "mixture's\nspectrogram", "sound"),
        "map": (3.9, high, "log-frequency\nmap", "pitch"),
        "heads": (6.9, high, "pitch heads", "pitch"),
        "line": (9.9, high, "likeliest line", "pitch"),
        "mel": (3.9, middle, "log-mel bands", "context"),
        "context": (6.9, middle, f"{len(sizes.dilations)} temporal blocks:\ncontext", "context"),
        "told": (9.9, middle, "told the pitch,\n2 more blocks", "context"),
        "outlines": (12.9, middle, "outlines", "synthesis"),
        "spectra": (15.9, middle, "spectra,\nin closed form", "synthesis"),
        "masks": (18.9, middle, "masks ⊙ mixture", "sound"),
        "features": (12.9, low, "features", "synthesis"),
        "decoders": (15.9, low, "decoders\n(chapter 7)", "synthesis"),
    }
    half = 1.25
    for x, y, words, kind in boxes.values():
        place = {"boxstyle": "round,pad=0.02", "facecolor": COLOURS[kind], "edgecolor": "#555555"}
        ax.add_patch(FancyBboxPatch((x - half, y - 0.42), 2 * half, 0.84, **place))
        ax.text(x, y, words, ha="center", va="center", fontsize=9)

    def arrow(start, end):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#333333", "shrinkA": 0, "shrinkB": 0})

    def along(*names):
        for one, other in zip(names, names[1:]):
            arrow((boxes[one][0] + half, boxes[one][1]), (boxes[other][0] - half, boxes[other][1]))

    along("map", "heads", "line")
    along("mel", "context", "told", "outlines", "spectra", "masks")
    along("features", "decoders")
    along("mixture", "map")
    along("mixture", "mel")
    arrow((boxes["context"][0], middle + 0.44), (boxes["heads"][0], high - 0.44))
    arrow((boxes["line"][0], high - 0.44), (boxes["told"][0], middle + 0.44))
    ax.text(boxes["line"][0] + 0.12, (high + middle) / 2, "f0", fontsize=10, va="center")
    x = boxes["spectra"][0]
    ax.plot([boxes["line"][0] + half, x, x], [high, high, middle + 1.0], color="#333333", linewidth=1)
    arrow((x, middle + 1.0), (x, middle + 0.44))
    ax.text(boxes["outlines"][0], high + 0.06, "f0", fontsize=10, ha="center", va="bottom")
    turn = boxes["told"][0]
    ax.plot([turn, turn], [middle - 0.44, low], color="#333333", linewidth=1)
    arrow((turn, low), (boxes["features"][0] - half, low))
    arrow((boxes["masks"][0] + half, middle), (boxes["masks"][0] + half + 1.1, middle))
    ax.text(boxes["masks"][0] + half + 0.15, middle + 0.1, "stems", fontsize=10, va="bottom")
    arrow((boxes["decoders"][0] + half, low), (boxes["decoders"][0] + half + 1.1, low))
    ax.text(boxes["decoders"][0] + half + 0.15, low + 0.1, "sounds", fontsize=10, va="bottom")
    ax.set(xlim=(-0.4, 21.4), ylim=(-0.35, 3.8))
    ax.axis("off")


def outlines(outline, seconds, sample_rate, ax, label=None):
    """Draw an outline (frames, bands of equal width in mel) in dB over time; the axis says the bands' frequencies.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    bands = outline.shape[1]
    image = ax.imshow(
        20 * np.log10(outline.T + 1e-5),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, bands - 1),
        cmap="magma",
        vmin=-60,
        vmax=0,
        interpolation="nearest",
    )
    hertz = np.array([250, 500, 1000, 2000, 4000])
    hertz = hertz[hertz < sample_rate / 2]
    mel = np.log10(1 + hertz / 700) / np.log10(1 + sample_rate / 2 / 700)
    ax.set_yticks(mel * (bands - 1), [f"{h / 1000:g}" for h in hertz])
    ax.set(xlabel="time (s)", title=label)
    return image
