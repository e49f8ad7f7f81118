"""Figures of chapter 1. Each takes data and axes, and computes nothing."""

import matplotlib.pyplot as plt
import numpy as np

COLOURS = {"drums": "#000000", "bass": "#0072b2", "other": "#999999", "vocals": "#d55e00"}
NOTE_NAMES = "C C# D Eb E F F# G Ab A Bb B".split()


def score(song, ax=None):
    """Draw a score: melody, chords and bass as bars at their pitch, drums as dots below, sections as lines.

    Parameters
    ----------
    song : Song
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = ax if ax is not None else plt.subplots(figsize=(10, 5.2), layout="constrained")[1]
    plan, parts = song.score.plan, song.score.parts
    for source in ("other", "bass", "vocals"):
        for note in parts[source]:
            x = [note.start, note.start + note.duration]
            width = 1.5 if source == "other" else 4
            ax.plot(x, [note.pitch] * 2, color=COLOURS[source], lw=width, alpha=0.3 + 0.7 * note.velocity)
        ax.plot([], [], color=COLOURS[source], lw=4, label=source)
    rows = ["kick", "snare", "tom", "hat", "ride", "crash"]
    for note in parts["drums"]:
        piece = {"rim": "snare"}.get(note.kind, note.kind.split("_")[0])
        ax.plot(note.start, 3.6 * rows.index(piece), ".", color="black", ms=2 + 6 * note.velocity)
    bar = 60.0 / plan.tempo * plan.beats
    for section in plan.sections:
        ax.axvline(section.first_bar * bar, color="#009e73", lw=1.5)
        ax.annotate(section.name, (section.first_bar * bar, 1.01), xycoords=("data", "axes fraction"), fontsize=9)
    for number, chord in enumerate(plan.chords):
        minor = (chord[1] - chord[0]) % 12 == 3
        ax.annotate(NOTE_NAMES[chord[0]] + "m" * minor, (number * bar + 0.05, 74), fontsize=9, color="#555555")
    ax.set(xlim=(0, song.mixture.shape[-1] / song.sample_rate), ylim=(-2, 78), xlabel="time (s)", ylabel="MIDI number")
    ax.set_yticks([3.6 * i for i in range(len(rows))] + [36, 48, 60, 72], [*rows, "36", "48", "60", "72"])
    ax.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.12))
    return ax


def waveform(audio, sample_rate, ax, **style):
    """Draw a waveform over time in ms, peak at 1."""
    ax.plot(1000 * np.arange(audio.size) / sample_rate, audio / np.abs(audio).max(), **style)
    ax.set(xlabel="time (ms)", ylabel="amplitude (peak = 1)")
    ax.grid(alpha=0.3)
    return ax


def spectrum(frequency, decibels, ax, **style):
    """Draw a spectrum on a logarithmic frequency axis."""
    ax.semilogx(frequency, decibels, **style)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:g}"[0] in "235" else "")
    ax.set(xlabel="frequency (Hz)", ylabel="level (dB)")
    ax.grid(alpha=0.3, which="both")
    return ax


def curves(curves, names, rate, figure=None):
    """Draw control curves below one another: name → (frames,) or (frames, curves).

    Parameters
    ----------
    curves : dict of str to np.ndarray
    names : dict of str to str
        Which to draw, and the label of each one's axis.
    rate : float
        Frames per second.
    """
    figure = figure or plt.figure(figsize=(9, 1.5 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True)
    for ax, (name, label) in zip(axes, names.items()):
        ax.plot(np.arange(len(curves[name])) / rate, curves[name], lw=1.2)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    axes[-1].set_xlabel("time (s)")
    return figure


def annotations(known, source, axes, seconds):
    """Draw f0 (where voiced) and loudness of a source, up to a number of seconds, on two axes."""
    shown = known["times"] < seconds
    f0 = np.where(known[f"voiced_{source}"], known[f"f0_{source}"], np.nan)
    axes[0].plot(known["times"][shown], f0[shown], color=COLOURS[source], lw=1.5)
    axes[0].set_ylabel("f0 (Hz)")
    axes[1].plot(known["times"][shown], known[f"loudness_{source}"][shown], color=COLOURS[source], lw=1)
    axes[1].set(ylabel="loudness (dB)", xlabel="time (s)")
    for ax in axes:
        ax.grid(alpha=0.3)
    return axes


def against_real(rows, measure, ax):
    """Draw one measure: the real 5-95 % range as a bar with its median, the band as a dot, for each source.

    Parameters
    ----------
    rows : list of dict
        Of `compare.table`, of one set.
    """
    rows = [row for row in rows if row["measure"] == measure]
    for y, row in enumerate(reversed(rows)):
        ax.plot([row["real 5 %"], row["real 95 %"]], [y, y], color="#999999", lw=8, solid_capstyle="butt")
        ax.plot(row["real median"], y, "|", color="black", ms=12)
        ax.plot(row["band"], y, "o", color=COLOURS[row["source"]] if row["source"] != "other" else "#009e73", ms=7)
    ax.set_yticks(range(len(rows)), [row["source"] for row in reversed(rows)])
    ax.set(xlabel=f"{measure.replace('_', ' ')} ({rows[0]['unit']})", ylim=(-0.6, len(rows) - 0.4))
    ax.grid(alpha=0.3, axis="x")
    return ax
