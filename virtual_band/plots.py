"""Figures of chapter 1. Each takes data and axes, and computes nothing."""

import matplotlib.pyplot as plt
import numpy as np

COLOURS = {"drums": "#000000", "bass": "#0072b2", "other": "#999999", "vocals": "#d55e00"}
NAMES = {
    "centroid": "spectral centroid",
    "crest": "crest factor",
    "loudness_range": "loudness range",
    "activity": "activity",
    "level": "level in the mixture",
    "irm_si_sdr": "SI-SDR of the ratio mask",
    "same_artist": "trio",
    "extra_instrument": "quartet",
}
"""Words for the measures of `compare.MEASURES` and for its two sets."""
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


def harmonics(frequency, decibels, ax, **style):
    """Draw the levels of harmonics as a line through k f0, a dot for each, on a logarithmic frequency axis."""
    ax.set_xscale("log")
    ax.plot(frequency, decibels, marker="o", ms=4, lw=1.2, **style)
    ax.set_xticks([200, 500, 1000, 2000, 5000], ["200", "500", "1000", "2000", "5000"])
    ax.set_xticks([], minor=True)
    ax.set(xlabel="k f0 (Hz)", ylabel="level (dB)")
    ax.grid(alpha=0.3)
    return ax


def pluck_map(places, decibels, ax):
    """Draw the level of each harmonic of a plucked string over the place of the pluck, and where nodes are.

    Parameters
    ----------
    places : np.ndarray, shape (places,)
        Fraction of the string's length, evenly spaced.
    decibels : np.ndarray, shape (harmonics, places)
        Of harmonic 1, 2, ...
    """
    count = len(decibels)
    step = places[1] - places[0]
    extent = (places[0] - step / 2, places[-1] + step / 2, 0.5, count + 0.5)
    image = ax.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=-60, vmax=0, cmap="magma")
    for node in range(1, 1 + int(count * places[-1])):
        k = np.arange(1, count + 1)
        ax.plot(node / k, k, color="#56b4e9", lw=1.2, ls="--")
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="place of the pluck (part of the length)", ylabel="harmonic")
    ax.figure.colorbar(image, ax=ax, label="level (dB)")
    return ax


def learning(curves, baselines, ax):
    """Draw an error over minutes heard: source → (minutes, errors), and dashed levels: label → (source, error)."""
    for source, (minutes, errors) in curves.items():
        ax.plot(minutes, errors, "o-", color=COLOURS[source], ms=4, label=source)
    for (label, (source, error)), style in zip(baselines.items(), ("--", "--", ":", ":")):
        ax.axhline(error, color=COLOURS[source], ls=style, lw=1.2)
        ax.annotate(label, (1.01, error), xycoords=("axes fraction", "data"), fontsize=9, va="center")
    ax.set(xlabel="minutes of the artist heard", ylabel="surprise (dB)")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def against_real(rows, measure, ax):
    """Draw one measure: real 5-95 % ranges as bars with their medians, trio and quartet of the band as dots.

    Parameters
    ----------
    rows : list of dict
        Of `compare.table`.
    measure : str
        A key of `compare.MEASURES`.
    """
    rows = [row for row in rows if row["measure"] == measure]
    sources = [source for source in reversed(COLOURS) if any(row["source"] == source for row in rows)]
    for row in rows:
        trio = row["set"] == "same_artist"
        y = sources.index(row["source"]) + (0.17 if trio else -0.17)
        colour = COLOURS[row["source"]] if row["source"] != "other" else "#009e73"
        ax.plot([row["real 5 %"], row["real 95 %"]], [y, y], color="#bbbbbb", lw=6, solid_capstyle="butt")
        ax.plot(row["real median"], y, "|", color="black", ms=9)
        ax.plot(row["band"], y, "o" if trio else "D", color=colour, ms=7 if trio else 6, mec="white", mew=0.6)
    ax.set_yticks(range(len(sources)), sources)
    ax.set(xlabel=f"{NAMES[measure]} ({rows[0]['unit']})", ylim=(-0.6, len(sources) - 0.4))
    ax.grid(alpha=0.3, axis="x")
    return ax


def against_real_legend(figure):
    """Say below a figure of `against_real` what its marks are."""
    marks = [
        plt.Line2D([], [], marker="o", ls="", color="#555555", label="band: trio (same_artist)"),
        plt.Line2D([], [], marker="D", ls="", color="#555555", label="band: quartet (extra_instrument)"),
        plt.Line2D([], [], marker="|", ls="", color="black", ms=9, label="median of the real"),
        plt.Line2D([], [], color="#bbbbbb", lw=6, label="5-95 % of the real"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
