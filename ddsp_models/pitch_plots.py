"""Figures of pitch_report.ipynb. Each takes data and an Axes, and computes nothing but places on paper."""

import numpy as np

NAMES = {"autocorrelation": "autocorrelation", "yin": "YIN", "pyin": "pYIN", "crepe": "CREPE tiny"}
STYLES = {
    "autocorrelation": {"color": "#777777", "marker": "s"},
    "yin": {"color": "#e69f00", "marker": "^"},
    "pyin": {"color": "#0072b2", "marker": "D"},
    "crepe": {"color": "#d55e00", "marker": "o"},
}
OCTAVES = (31.25, 62.5, 125, 250, 500, 1000, 2000)


def lag_curve(curve, sample_rate, ax, *, period=None, chosen=None, ylabel=None):
    """Draw a function of the lag, (lags,), over ms; dashed at multiples of the true period in s, a dot at `chosen`.

    `chosen` is a lag in samples.
    """
    ms = 1000 * np.arange(len(curve)) / sample_rate
    ax.plot(ms, curve, color="#0072b2", lw=1.3)
    if period:
        for n in range(1, int(ms[-1] / (1000 * period)) + 1):
            ax.axvline(1000 * period * n, color="#009e73", ls="--", lw=1.2 if n == 1 else 0.6)
    if chosen is not None:
        ax.plot(ms[chosen], curve[chosen], "o", color="#d55e00", ms=7)
    ax.set(xlabel="lag (ms)", ylabel=ylabel)
    ax.margins(x=0)
    ax.grid(alpha=0.3)
    return ax


def tracks(times, truth, found, ax, *, limits=None):
    """Draw pitch over time, octaves evenly spaced: the truth as a line (NaN where there is none), trackers as dots.

    Parameters
    ----------
    times : np.ndarray, (frames,)
    truth : np.ndarray, (frames,)
        in Hz, 0 = unvoiced.
    found : dict of str to np.ndarray, (frames,)
        method, or any label, to Hz; 0 is not drawn.
    limits : (float, float), optional
        in Hz.
    """
    ax.plot(times, np.where(truth > 0, truth, np.nan), color="black", lw=3, alpha=0.35, label="truth")
    for name, f0 in found.items():
        style = {"ls": "", "ms": 3, "marker": "."} | STYLES.get(name, {})
        ax.plot(times, np.where(f0 > 0, f0, np.nan), label=NAMES.get(name, name), **style)
    ax.set_yscale("log", base=2)
    ax.set_yticks(OCTAVES, [f"{hertz:g}" for hertz in OCTAVES])
    ax.set(xlabel="time (s)", ylabel="pitch (Hz)", ylim=limits)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def salience(values, hertz, seconds, ax, lines=None):
    """Draw activations, (frames, bins), over time and pitch, and lines of pitch over them: label to (frames,) in Hz."""
    bins = np.arange(len(hertz))
    image = ax.imshow(
        values.T, origin="lower", aspect="auto", extent=(0, seconds, -0.5, len(hertz) - 0.5), cmap="magma", vmin=0
    )
    times = (np.arange(len(values)) + 0.5) * seconds / len(values)
    for (name, f0), colour in zip((lines or {}).items(), ("#56b4e9", "#ffffff")):
        ax.plot(times, np.interp(np.log2(f0), np.log2(hertz), bins), color=colour, lw=1.2, label=name)
    ticks = [octave for octave in OCTAVES if hertz[0] <= octave <= hertz[-1]]
    ax.set_yticks(np.interp(np.log2(ticks), np.log2(hertz), bins), [f"{tick:g}" for tick in ticks])
    ax.set(xlabel="time (s)", ylabel="pitch (Hz)")
    ax.figure.colorbar(image, ax=ax, label="activation", pad=0.02)
    if lines:
        ax.legend(frameon=False, fontsize=9, labelcolor="white", loc="upper right")
    return ax


def hardness(records, test, source, ax, *, xlabel, metric="raw_pitch_accuracy"):
    """Draw each tracker's score over the steps by which a sound gets harder, in the order of the records.

    Parameters
    ----------
    records : list of dict
        of results/scores/pitch_trackers.json.
    test, source, metric : str
        which of them.
    """
    chosen = [r for r in records if (r["test_set"], r["source"], r["metric"]) == (test, source, metric)]
    levels = list(dict.fromkeys(r["track"] for r in chosen))
    for method, style in STYLES.items():
        value = {r["track"]: r["value"] for r in chosen if r["system"] == method}
        if value:
            y = [value.get(level, np.nan) for level in levels]
            ax.plot(range(len(levels)), y, label=NAMES[method], ms=5, lw=1.3, **style)
    ax.set_xticks(range(len(levels)), [level.removesuffix(" dB").replace("-", "−") for level in levels])
    ax.set(xlabel=xlabel, ylim=(-0.04, 1.04))
    ax.grid(alpha=0.3)
    return ax
