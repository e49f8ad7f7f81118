"""Figures of pitch trackers: functions of data and an Axes.

Notebook: ddsp_models/pitch_report.ipynb
"""

import numpy as np

from audio_processing.plots import framed
from audio_processing.style import GREY, INK, LINES

NAMES = {"autocorrelation": "autocorrelation", "yin": "YIN", "pyin": "pYIN", "crepe": "CREPE tiny"}
STYLES = {
    "autocorrelation": {"color": GREY, "marker": "s"},
    "yin": {"color": LINES[3], "marker": "^"},
    "pyin": {"color": LINES[0], "marker": "D"},
    "crepe": {"color": LINES[1], "marker": "o"},
}
OCTAVES = (31.25, 62.5, 125, 250, 500, 1000, 2000)


def lag_curve(curve, sample_rate, ax, *, period=None, chosen=None, ylabel=None):
    """Draw a function of the lag, (lags,), over ms; dashed at multiples of the true period in s, a dot at `chosen`.

    `chosen` is a lag in samples.
    """
    ms = 1000 * np.arange(len(curve)) / sample_rate
    ax.plot(ms, curve, color=LINES[0], lw=1.3)
    if period:
        for n in range(1, int(ms[-1] / (1000 * period)) + 1):
            ax.axvline(1000 * period * n, color=LINES[3], ls="--", lw=1.2 if n == 1 else 0.6)
    if chosen is not None:
        ax.plot(ms[chosen], curve[chosen], "o", color=LINES[1], ms=7)
    framed(ax, xlabel="lag (ms)", ylabel=ylabel, xmargin=0)


def tracks(times, truth, estimates, ax, *, limits=None):
    """Draw pitch over time, octaves evenly spaced: the true f0 as a line, estimates as dots, unvoiced frames grey.

    Parameters
    ----------
    times : np.ndarray, (frames,)
    truth : np.ndarray, (frames,)
        in Hz, 0 = unvoiced.
    estimates : dict of str -> np.ndarray, (frames,)
        method, or any label, to Hz; 0 is not drawn.
    limits : (float, float), optional
        in Hz.
    """
    ax.plot(times, np.where(truth > 0, truth, np.nan), color=INK, lw=3, alpha=0.35, label="truth")
    if (truth <= 0).any():
        ax.fill_between(
            times,
            0,
            1,
            where=truth <= 0,
            transform=ax.get_xaxis_transform(),
            label="unvoiced",
            color=GREY,
            alpha=0.3,
            lw=0,
        )
    for name, f0 in estimates.items():
        style = {"ls": "", "ms": 3, "marker": "."} | STYLES.get(name, {})
        ax.plot(times, np.where(f0 > 0, f0, np.nan), label=NAMES.get(name, name), **style)
    ax.set_yscale("log", base=2)
    ax.set_yticks(OCTAVES, [f"{hertz:g}" for hertz in OCTAVES])
    framed(ax, xlabel="time (s)", ylabel="pitch (Hz)", ylim=limits)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))


def salience(values, hertz, seconds, ax, lines=None, *, limits=None):
    """Draw activations, (frames, bins), over time and pitch, and up to three f0 tracks over them.

    Parameters
    ----------
    values : np.ndarray, (frames, bins)
    hertz : np.ndarray, (bins,)
        pitches of the bins.
    seconds : float
        that the frames span.
    ax : matplotlib.axes.Axes
    lines : dict of str -> np.ndarray, (frames,), optional
        label to Hz; 0 is not drawn.
    limits : (float, float), optional
        in Hz.
    """
    image = ax.imshow(
        values.T, origin="lower", aspect="auto", extent=(0, seconds, -0.5, len(hertz) - 0.5), cmap="magma", vmin=0
    )
    times = (np.arange(len(values)) + 0.5) * seconds / len(values)
    styles = ({"color": "#56b4e9", "ls": "", "marker": ".", "ms": 4}, {"color": "#ffffff", "lw": 0.8, "ls": "--"},
              {"color": "#00d69a", "lw": 0.8})  # fmt: skip

    def height(f0):
        return np.interp(np.log2(np.where(f0 > 0, f0, np.nan)), np.log2(hertz), np.arange(len(hertz)))

    for (name, f0), style in zip((lines or {}).items(), styles):
        ax.plot(times, height(np.asarray(f0)), label=name, **style)
    ticks = np.array([octave for octave in OCTAVES if hertz[0] <= octave <= hertz[-1]])
    ax.set_yticks(height(ticks), [f"{tick:g}" for tick in ticks])
    if limits:
        ax.set_ylim(*height(np.array(limits)))
    ax.set(xlabel="time (s)", ylabel="pitch (Hz)")
    ax.figure.colorbar(image, ax=ax, label="activation", pad=0.02)
    if lines:
        ax.legend(frameon=False, fontsize=9, labelcolor="white", loc="upper right", ncols=3)


def hardness(records, test, source, ax, *, xlabel, metric="raw_pitch_accuracy", falling=False):
    """Draw each tracker's score over what makes a sound harder, which grows to the right.

    Parameters
    ----------
    records : list of dict
        of results/scores/pitch_trackers.json; tracks are numbers, with or without " dB".
    test, source, metric : str
        which of them.
    falling : bool
        a lower number is harder, so the axis falls.
    """
    chosen = [r for r in records if (r["test_set"], r["source"], r["metric"]) == (test, source, metric)]
    for method, style in STYLES.items():
        points = sorted((float(r["track"].removesuffix(" dB")), r["value"]) for r in chosen if r["system"] == method)
        if points:
            ax.plot(*zip(*points), label=NAMES[method], ms=5, lw=1.3, **style)
    if falling:
        ax.invert_xaxis()
    framed(ax, xlabel=xlabel, ylim=(-0.04, 1.04))
