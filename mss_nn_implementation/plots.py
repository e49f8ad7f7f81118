"""Plots of chapter 6: every function draws given data into given axes.

Notebooks: mss_nn_implementation/convtas_report.ipynb, mss_nn_implementation/model_report.ipynb
"""

import numpy as np
from matplotlib.patches import FancyBboxPatch

from audio_processing.plots import framed
from audio_processing.style import GREY, INK, LINES


def basis_order(kernel):
    """Sort basis signals by the frequency at which their spectrum peaks.

    Parameters
    ----------
    kernel : np.ndarray, (L, N)
        a basis signal per column.

    Returns
    -------
    order : np.ndarray of int, (N,)
    spectra : np.ndarray, (129, N)
        magnitudes from 0 Hz to half the sample rate, each divided by its peak, in that order.
    """
    spectra = np.abs(np.fft.rfft(kernel, 256, axis=0))
    order = np.argsort(spectra.argmax(axis=0), kind="stable")
    spectra = spectra[:, order]
    return order, spectra / np.maximum(spectra.max(axis=0), 1e-12)


def spectra(kernel, sample_rate, ax):
    """Draw the magnitude spectra of basis signals (L, N), in dB below the peak of each, sorted by `basis_order`."""
    order, magnitudes = basis_order(kernel)
    extent = (0, sample_rate / 2000, 0, len(order))
    decibels = 20 * np.log10(np.maximum(magnitudes, 1e-3))
    image = ax.imshow(decibels.T, aspect="auto", origin="lower", cmap="magma", vmin=-40, vmax=0, extent=extent)
    ax.set(xlabel="frequency (kHz)")
    return image


def pairs(encoder, decoder, chosen, sample_rate, axes):
    """Draw pairs of basis signals, the encoder's and the decoder's, one pair in each of the axes.

    Parameters
    ----------
    encoder, decoder : np.ndarray, (L, N)
        each column is divided by its largest magnitude.
    chosen : sequence of int
        columns, one for each of the axes.
    sample_rate : int
        in Hz.
    axes : np.ndarray of matplotlib.axes.Axes
        of as many elements.
    """
    time = 1000 * np.arange(len(encoder)) / sample_rate
    for ax, i in zip(axes.ravel(), chosen):
        for signal, name, colour in ((encoder[:, i], "encoder", LINES[1]), (decoder[:, i], "decoder", LINES[0])):
            ax.plot(time, signal / np.abs(signal).max(), color=colour, linewidth=1.3, label=name)
        peak = np.abs(np.fft.rfft(encoder[:, i], 256)).argmax() * sample_rate / 256
        ax.set_title(f"peak at {peak / 1000:.2g} kHz", fontsize=9, pad=3)
        ax.set(yticks=[], ylim=(-1.1, 1.1))
        ax.tick_params(labelsize=8)


def masks(values, kernel, sample_rate, seconds, axes, names, split=None):
    """Draw each source's mask (frames, N), eight frames averaged to one, low basis signals at the bottom.

    Parameters
    ----------
    values : np.ndarray, (sources, frames, N)
    kernel : np.ndarray, (L, N)
        the basis signals, by whose `basis_order` the rows are sorted.
    sample_rate : int
        in Hz.
    seconds : float
        length of the frames.
    axes : sequence of matplotlib.axes.Axes
        one per source.
    names : sequence of str
    split : int, optional
        number of rows above which a line is drawn.
    """
    order, magnitudes = basis_order(kernel)
    peaks = magnitudes.argmax(axis=0) * sample_rate / 256000  # kHz, by row
    marks = (0.25, 0.5, 1, 2, 4, 6)
    for ax, mask, name in zip(axes, values, names):
        eighth = mask[: len(mask) // 8 * 8].reshape(-1, 8, mask.shape[1]).mean(axis=1)
        image = ax.imshow(
            eighth[:, order].T,
            aspect="auto",
            origin="lower",
            vmin=0,
            vmax=1,
            cmap="viridis",
            extent=(0, seconds, 0, len(order)),
        )
        ax.set_yticks([int(np.searchsorted(peaks, mark)) for mark in marks], [f"{mark:g}" for mark in marks])
        if split is not None:
            ax.axhline(split, color="white", linestyle="--", linewidth=1)
        ax.set_title(name, fontsize=10, loc="left", pad=3)
    axes[len(axes) // 2].set_ylabel("peak of the basis signal (kHz), sorted")
    axes[-1].set_xlabel("time (s)")
    return image


def reach(changes, hop, sample_rate, receptive_field, ax):
    """Draw how much the frames around a changed one change, (2·reach + 1,), relative to the change in the middle."""
    middle = len(changes) // 2
    seconds = (np.arange(len(changes)) - middle) * hop / sample_rate
    ax.semilogy(seconds, np.maximum(changes / changes[middle], 1e-9), color=LINES[0])
    for side in (-1, 1):
        ax.axvline(side * receptive_field / 2, color=LINES[1], linestyle="--", linewidth=1)
    framed(ax, xlabel="distance from the change (s)", ylabel="change / change\nat distance 0", ylim=(1e-4, 2))


BOXES = {"frames": "#cfe3f2", "separator": "#fbe0cc", "block": "#e4e4e4"}
PLUS = {"boxstyle": "circle,pad=0.1", "facecolor": "white", "edgecolor": GREY}
TOP, LOW = 2.3, 0.3  # heights of the network's row and of the block's
HALF = 0.82  # from the middle of a box to the tip of an arrow


def network(sizes, ax):
    """Draw the network as boxes, and below it one of its blocks; a label on each arrow counts its channels.

    Parameters
    ----------
    sizes : parameters.Parameters
        with a skip path.
    ax : matplotlib.axes.Axes
    """
    J = len(sizes.sources)
    boxes = {
        "frames,\nU, ReLU": "frames",
        "norm,\nbottleneck": "separator",
        f"R × X =\n{sizes.R} × {sizes.X} blocks": "separator",
        "sum, PReLU,\nmasks, σ": "separator",
        "w ⊙ mask": "frames",
        "V, overlap-\nadd": "frames",
    }
    carried = (f"N = {sizes.N}", f"B = {sizes.B}", f"Sc = {sizes.Sc}", f"{J}·N = {J * sizes.N}", f"{J}·N")
    places = [1.5 + 2.75 * i for i in range(len(boxes))]
    _row(ax, places, TOP, boxes.items(), carried)
    _arrow(ax, (-0.25, TOP), (places[0] - HALF, TOP), "mixture")
    _arrow(ax, (places[-1] + HALF, TOP), (places[-1] + 1.95, TOP), f"{J} stems")
    ax.plot([places[0], places[0], places[4]], [TOP + 0.44, TOP + 0.95, TOP + 0.95], color=INK, linewidth=1)
    _arrow(ax, (places[4], TOP + 0.95), (places[4], TOP + 0.44))
    ax.text((places[0] + places[4]) / 2, TOP + 0.99, "w", ha="center", va="bottom", fontsize=12)
    _block(sizes, ax)
    ax.set(xlim=(-0.3, 17.4), ylim=(-0.4, 3.7))
    ax.axis("off")


def _block(sizes, ax):
    """Draw one block: five boxes, the residual path around them, and the skip output."""
    words = ("widen", "PReLU,\nnorm", f"depthwise,\nP = {sizes.P}", "PReLU,\nnorm", "outputs")
    places = [2.9 + 2.5 * i for i in range(len(words))]
    end = places[-1] + HALF
    _row(ax, places, LOW, [(word, "block") for word in words], (f"H = {sizes.H}", "H", "H", "H"))
    for start, tip, *label in (
        ((1.0, LOW), (places[0] - HALF, LOW), "B"),
        ((end, LOW + 0.15), (end + 0.83, LOW + 0.15), "B", 0.04),
        ((end + 1.17, LOW + 0.15), (end + 2.4, LOW + 0.15)),
        ((end + 1.0, LOW + 0.75), (end + 1.0, LOW + 0.34)),
        ((end, LOW - 0.2), (end + 2.4, LOW - 0.2)),
    ):
        _arrow(ax, start, tip, *label)
    ax.text(end + 1.0, LOW + 0.15, "+", ha="center", va="center", fontsize=12, color="black", bbox=PLUS)
    ax.text(end + 1.85, LOW + 0.2, "onward: B", ha="center", va="bottom", fontsize=10)
    ax.plot([1.45, 1.45, end + 1.0], [LOW, LOW + 0.75, LOW + 0.75], color=INK, linewidth=1)
    ax.text(end + 1.6, LOW - 0.25, "skip: Sc", ha="center", va="top", fontsize=10)
    ax.text(-0.25, LOW, "a block:", va="center", fontsize=12)


def _row(ax, places, y, boxes, carried):
    """A row of boxes (words, kind) around the places x, with labelled arrows from each to the next."""
    for x, (words, kind) in zip(places, boxes):
        box = {"boxstyle": "round,pad=0.02", "facecolor": BOXES[kind], "edgecolor": GREY}
        ax.add_patch(FancyBboxPatch((x - 0.8, y - 0.42), 1.6, 0.84, **box))
        ax.text(x, y, words, ha="center", va="center", fontsize=10, color="black")
    for left, right, words in zip(places, places[1:], carried):
        _arrow(ax, (left + HALF, y), (right - HALF, y), words)


def _arrow(ax, start, end, words="", above=0.1):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0})
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + above
    ax.text(*middle, words, ha="center", va="bottom", fontsize=10)


def ablations(rows, ax):
    """Draw each ablation's scores, a dot per seed and a line for their mean; the first one's range as a band.

    Parameters
    ----------
    rows : list of dict
        as returned by `ablations.summary`, all on one test set.
    ax : matplotlib.axes.Axes
    """
    rows = rows[::-1]
    ax.axvspan(rows[-1]["low"], rows[-1]["high"], color=GREY, alpha=0.3, linewidth=0)
    for y, row in enumerate(rows):
        ax.plot([row["mean"]] * 2, [y - 0.32, y + 0.32], color=LINES[0], linewidth=2)
        ax.plot(row["seeds"], [y] * len(row["seeds"]), "o", color=LINES[1], markersize=5)
    ax.set_yticks(range(len(rows)), [row["what"] for row in rows])
    ax.grid(axis="x", alpha=0.3)
