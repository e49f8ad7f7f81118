"""The chapter's figures: functions of data and an Axes."""

import numpy as np


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


def basis(kernel, sample_rate, waveforms_ax, spectra_ax):
    """Draw a filterbank as waveforms and as magnitude responses, sorted by frequency."""
    order, spectra = basis_order(kernel)
    waves = kernel[:, order] / np.maximum(np.abs(kernel[:, order]).max(axis=0), 1e-12)
    milliseconds, khz = 1000 * len(kernel) / sample_rate, sample_rate / 2000
    waveforms_ax.imshow(waves.T, aspect="auto", cmap="RdBu", vmin=-1, vmax=1, extent=(0, milliseconds, len(order), 0))
    waveforms_ax.set(xlabel="time (ms)", ylabel="basis signal, sorted")
    spectra_ax.imshow(spectra.T, aspect="auto", cmap="magma", extent=(0, khz, len(order), 0))
    spectra_ax.set(xlabel="frequency (kHz)")


def masks(values, order, seconds, axes, names):
    """Draw each source's mask (frames, N), eight frames averaged to one, low basis signals of `order` at the bottom."""
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
        ax.set_title(name, fontsize=10, loc="left", pad=3)
    axes[len(axes) // 2].set_ylabel("basis signal, sorted")
    axes[-1].set_xlabel("time (s)")
    return image


def reach(changes, hop, sample_rate, receptive_field, ax):
    """Draw how much each frame of an output changes when one frame of the input does, over the distance in seconds."""
    centre = int(np.argmax(changes))
    seconds = (np.arange(len(changes)) - centre) * hop / sample_rate
    ax.semilogy(seconds, np.maximum(changes / changes.max(), 1e-9), color="#0072b2")
    for side in (-1, 1):
        ax.axvline(side * receptive_field / 2, color="#d55e00", linestyle="--", linewidth=1)
    ax.set(xlabel="distance from the change (s)", ylabel="change, relative", ylim=(1e-4, 2))
    ax.grid(alpha=0.3)


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
