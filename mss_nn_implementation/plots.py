"""The chapter's figures: functions of data and an Axes."""

import numpy as np
from matplotlib.patches import FancyBboxPatch


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
    """Draw what the encoder looks for and what the decoder plays for it, one basis signal in each of the axes.

    Parameters
    ----------
    encoder, decoder : np.ndarray, (L, N)
        each column is divided by its largest magnitude.
    chosen : sequence of int
        columns, one for each of the axes.
    sample_rate : int
    axes : np.ndarray of matplotlib.axes.Axes
        of as many elements.
    """
    time = 1000 * np.arange(len(encoder)) / sample_rate
    for ax, i in zip(axes.ravel(), chosen):
        for signal, name, colour in ((encoder[:, i], "encoder", "#999999"), (decoder[:, i], "decoder", "#0072b2")):
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
    seconds : float
        that the frames last.
    axes : sequence of matplotlib.axes.Axes
        one per source.
    names : sequence of str
    split : int, optional
        a line is drawn above so many rows.
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
    """Draw how much the frames around a changed one change, (2·reach + 1,), as shares of the change in the middle."""
    middle = len(changes) // 2
    seconds = (np.arange(len(changes)) - middle) * hop / sample_rate
    ax.semilogy(seconds, np.maximum(changes / changes[middle], 1e-9), color="#0072b2")
    for side in (-1, 1):
        ax.axvline(side * receptive_field / 2, color="#d55e00", linestyle="--", linewidth=1)
    ax.set(xlabel="distance from the change (s)", ylabel="change / change\nat distance 0", ylim=(1e-4, 2))
    ax.grid(alpha=0.3)


PLUS = {"boxstyle": "circle,pad=0.1", "facecolor": "white", "edgecolor": "#555555"}


def network(sizes, ax):
    """Draw the network as boxes, and below it one of its blocks; on each arrow stands how many channels it carries.

    Parameters
    ----------
    sizes : parameters.Parameters
        with a skip path.
    ax : matplotlib.axes.Axes
    """
    colours = {"frames": "#cfe3f2", "separator": "#fbe0cc", "block": "#e4e4e4"}

    def box(x, y, words, kind, width=1.6):
        place = {"boxstyle": "round,pad=0.02", "facecolor": colours[kind], "edgecolor": "#555555"}
        ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.42), width, 0.84, **place))
        ax.text(x, y, words, ha="center", va="center", fontsize=10)

    def arrow(start, end, words="", above=0.1):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#333333", "shrinkA": 0, "shrinkB": 0})
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + above
        ax.text(*middle, words, ha="center", va="bottom", fontsize=10)

    J, top, low = len(sizes.sources), 2.3, 0.3
    labels = (
        ("frames,\nU, ReLU", "frames"),
        ("norm,\nbottleneck", "separator"),
        (f"R × X =\n{sizes.R} × {sizes.X} blocks", "separator"),
        ("sum, PReLU,\nmasks, σ", "separator"),
        ("w ⊙ mask", "frames"),
        ("V, overlap-\nadd", "frames"),
    )
    carried = (f"N = {sizes.N}", f"B = {sizes.B}", f"Sc = {sizes.Sc}", f"{J}·N = {J * sizes.N}", f"{J}·N")
    places = [1.5 + 2.75 * i for i in range(len(labels))]
    for x, (words, kind) in zip(places, labels):
        box(x, top, words, kind)
    arrow((-0.25, top), (places[0] - 0.82, top), "mixture")
    for left, right, words in zip(places, places[1:], carried):
        arrow((left + 0.82, top), (right - 0.82, top), words)
    arrow((places[-1] + 0.82, top), (places[-1] + 1.95, top), f"{J} stems")
    ax.plot([places[0], places[0], places[4]], [top + 0.44, top + 0.95, top + 0.95], color="#333333", linewidth=1)
    arrow((places[4], top + 0.95), (places[4], top + 0.44))
    ax.text((places[0] + places[4]) / 2, top + 0.99, "w", ha="center", va="bottom", fontsize=12)

    inner = ("widen", "PReLU,\nnorm", f"depthwise,\nP = {sizes.P}", "PReLU,\nnorm", "outputs")
    carried = (f"H = {sizes.H}", "H", "H", "H")
    places = [2.9 + 2.5 * i for i in range(len(inner))]
    for x, words in zip(places, inner):
        box(x, low, words, "block")
    arrow((1.0, low), (places[0] - 0.82, low), "B")
    for left, right, words in zip(places, places[1:], carried):
        arrow((left + 0.82, low), (right - 0.82, low), words)
    end = places[-1] + 0.82
    arrow((end, low + 0.15), (end + 0.83, low + 0.15), "B", 0.04)
    ax.text(end + 1.0, low + 0.15, "+", ha="center", va="center", fontsize=12, bbox=PLUS)
    arrow((end + 1.17, low + 0.15), (end + 2.4, low + 0.15))
    ax.text(end + 1.85, low + 0.2, "onward: B", ha="center", va="bottom", fontsize=10)
    ax.plot([1.45, 1.45, end + 1.0], [low, low + 0.75, low + 0.75], color="#333333", linewidth=1)
    arrow((end + 1.0, low + 0.75), (end + 1.0, low + 0.34))
    arrow((end, low - 0.2), (end + 2.4, low - 0.2), "")
    ax.text(end + 1.6, low - 0.25, "skip: Sc", ha="center", va="top", fontsize=10)
    ax.text(-0.25, low, "a block:", va="center", fontsize=12)
    ax.set(xlim=(-0.3, 17.4), ylim=(-0.4, 3.7))
    ax.axis("off")


def ablations(rows, ax):
    """Each ablation's scores, a dot per seed and a line for their mean; the range of the first one's as a band.

    Parameters
    ----------
    rows : list of dict
        of `ablations.summary`, all on one test set.
    ax : matplotlib.axes.Axes
    """
    rows = rows[::-1]
    ax.axvspan(rows[-1]["low"], rows[-1]["high"], color="#999999", alpha=0.3, linewidth=0)
    for y, row in enumerate(rows):
        ax.plot([row["mean"]] * 2, [y - 0.32, y + 0.32], color="#0072b2", linewidth=2)
        ax.plot(row["seeds"], [y] * len(row["seeds"]), "o", color="#d55e00", markersize=5)
    ax.set_yticks(range(len(rows)), [row["what"] for row in rows])
    ax.grid(axis="x", alpha=0.3)
