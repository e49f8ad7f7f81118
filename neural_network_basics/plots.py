"""Plots of chapter 5: every function draws given data into given axes.

Notebooks: neural_network_basics/nn_basic.ipynb, nn_report.ipynb, cnn_report.ipynb
"""

import matplotlib.pyplot as plt
import numpy as np

from audio_processing.plots import framed, numbers
from audio_processing.style import GREY, INK, LINES


def figure(columns=1, rows=1, width=8.0, height=3.2):
    """A figure of page width: (figure, axes)."""
    return plt.subplots(rows, columns, figsize=(width, height * rows), layout="constrained", dpi=100)


def decision_surface(probability, examples, ax, labels=("x₁", "x₂"), margin=0.5, points=60):
    """Draw the probability of "yes" over the plane, the line where it is one half, and the examples.

    Parameters
    ----------
    probability : callable
        list [x1, x2] → number from 0 to 1.
    examples : list of (x, t)
    ax : matplotlib.axes.Axes
    labels : (str, str)
        of the axes.
    margin : float
        space around the examples.
    points : int
        grid points along each axis.
    """
    x = np.array([x for x, _ in examples], float)
    t = np.array([t for _, t in examples])
    low, high = x.min(axis=0) - margin, x.max(axis=0) + margin
    across, up = np.linspace(low[0], high[0], points), np.linspace(low[1], high[1], points)
    surface = [[probability([a, b]) for a in across] for b in up]
    shade = ax.contourf(across, up, surface, levels=np.linspace(0, 1, 11), cmap="PRGn_r", alpha=0.6)
    ax.contour(across, up, surface, levels=[0.5], colors=INK, linewidths=1.2)
    for value, marker, colour, name in ((0, "o", LINES[3], "t = 0"), (1, "^", LINES[1], "t = 1")):
        ax.scatter(*x[t == value].T, marker=marker, c=colour, edgecolors=INK, s=40, label=name, zorder=3)
    ax.set(xlabel=labels[0], ylabel=labels[1], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.locator_params(nbins=5)
    ax.legend(loc="upper left", framealpha=0.9)
    ax.figure.colorbar(shade, ax=ax, ticks=[0, 0.5, 1], label="y, probability of t = 1")


def curves(lines, ax, xlabel, ylabel, logx=False, logy=False):
    """Draw curves: label → y, or label → (x, y)."""
    colours = [*LINES, GREY, INK]
    for i, (label, line) in enumerate(lines.items()):
        x, y = line if isinstance(line, tuple) else (np.arange(1, len(line) + 1), line)
        ax.plot(x, y, ("-", "--", "-.", ":")[i % 4], color=colours[i % 7], label=label)
    scales = {"xscale": "log" if logx else "linear", "yscale": "log" if logy else "linear"}
    framed(ax, xlabel=xlabel, ylabel=ylabel, **scales)
    if len(lines) > 1:
        ax.legend(frameon=False)


def images(pictures, axes, titles=None, **style):
    """Draw small pictures (height, width), grey without another `style`, one per Axes."""
    for i, (ax, picture) in enumerate(zip(np.ravel(axes), pictures)):
        ax.imshow(picture, **({"cmap": "gray_r", "interpolation": "nearest"} | style))
        ax.set(xticks=[], yticks=[])
        if titles is not None:
            ax.set_title(titles[i], fontsize=10)


def kernels(pictures, axes):
    """Draw kernels (height, width) at one common scale: blue is negative, white zero, red positive."""
    top = max(np.abs(picture).max() for picture in pictures)
    images(pictures, axes, cmap="RdBu_r", vmin=-top, vmax=top)


def confusion(counts, ax):
    """Draw how often class i was predicted as class j: counts (classes, classes)."""
    ax.imshow(np.log1p(counts), cmap="Blues")
    shown, classes = np.where(counts > 0, counts, np.nan), range(len(counts))
    numbers(shown, classes, classes, ax, "{:.0f}".format, counts > counts.max() / 3)
    ax.set(xlabel="predicted", ylabel="true")


def dilated_stack(dilations, ax, kernel=3):
    """Draw the inputs of one output of a stack of dilated convolutions: layers upwards, time to the right."""
    reached = {0}
    height = len(dilations)
    reach = sum((kernel - 1) * d for d in dilations) // 2
    for level in range(height + 1):
        ax.scatter(range(-reach - 2, reach + 3), [level] * (2 * reach + 5), s=10, color=GREY, alpha=0.5, zorder=1)
    for level, dilation in zip(range(height, 0, -1), reversed(dilations)):
        read = [(t + dilation * (p - (kernel - 1) // 2), t) for t in reached for p in range(kernel)]
        for source, t in read:
            ax.plot([source, t], [level - 1, level], color=LINES[0], linewidth=0.8, zorder=2)
        ax.scatter(sorted(reached), [level] * len(reached), s=18, color=LINES[1], zorder=3)
        reached = {source for source, _ in read}
    ax.scatter(sorted(reached), [0] * len(reached), s=18, color=LINES[1], zorder=3)
    ax.set(xlabel="frame, counted from the output's", xticks=range(-reach, reach + 1))
    ax.set_yticks(range(height + 1), ["input", *(f"dilation {d}" for d in dilations)])


def band_pictures(pictures, centres, frames_per_second, axes, label):
    """Draw pictures of bands, label → (bands, frames), on one scale from 0 to 1; `centres` in Hz label the bands."""
    ticks = np.linspace(0, len(centres) - 1, 5).astype(int)
    for ax, (title, picture) in zip(np.ravel(axes), pictures.items()):
        extent = (0, picture.shape[1] / frames_per_second, -0.5, len(centres) - 0.5)
        style = {"origin": "lower", "aspect": "auto", "cmap": "cividis", "interpolation": "nearest"}
        shown = ax.imshow(picture, vmin=0, vmax=1, extent=extent, **style)
        ax.set_title(title, fontsize=10, loc="left")
        ax.set(ylabel="band (kHz)", yticks=ticks, yticklabels=[f"{centres[k] / 1000:.2g}" for k in ticks])
    ax.set_xlabel("time (s)")
    ax.figure.colorbar(shown, ax=list(np.ravel(axes)), label=label, ticks=[0, 0.5, 1])
