"""Plots of chapter 3: every function draws given data into given axes, and computes nothing.

Notebook: residual_analysis/residual_analysis.ipynb
"""

import numpy as np

from audio_processing.plots import numbers
from audio_processing.style import GREY, INK, LINES


def correlogram(values, bound, ax, *, ylabel):
    """Draw correlations at lags 0, 1, … as stems, with the band ±`bound` that white noise would mostly stay in."""
    lags = np.arange(len(values))
    ax.axhspan(-bound, bound, color=LINES[0], alpha=0.35, linewidth=0)
    ax.vlines(lags, 0, values, color=LINES[0], linewidth=1.2)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xlabel="lag (samples)", ylabel=ylabel, ylim=(-1.05, 1.05))
    ax.margins(x=0.01)


def forecast(past, future, mean, low, high, sample_rate, ax):
    """Draw the end of a series, its forecast with the 95 % interval, and the future that it predicts."""
    now = len(past)
    before = 1000 * np.arange(now) / sample_rate
    after = 1000 * (now + np.arange(len(future))) / sample_rate
    ax.plot(before, past, color=GREY, linewidth=0.9, label="past")
    ax.fill_between(after, low, high, color=LINES[0], alpha=0.35, linewidth=0, label="95 % interval")
    ax.plot(after, mean, color=LINES[0], linewidth=1.4, label="forecast")
    ax.plot(after, future, color=LINES[1], linewidth=0.9, label="what followed")
    ax.set(xlabel="time (ms)", ylabel="residual")
    ax.margins(x=0)
    ax.legend(frameon=False, fontsize=9, ncols=4, loc="lower right", bbox_to_anchor=(1, 1))


def matrix(values, names, ax, *, label):
    """Draw a square matrix of numbers from 0 to 1 with its values, rows and columns named."""
    values = np.asarray(values)
    drawn = ax.imshow(values, cmap="viridis", vmin=0, vmax=1)
    numbers(values, names, names, ax, "{:.2f}".format, values <= 0.6)
    ax.figure.colorbar(drawn, ax=ax, label=label)
