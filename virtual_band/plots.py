"""Plots of chapter 1: every function draws given data into given axes, and computes nothing.

Notebook: virtual_band/dataset_report.ipynb
"""

import matplotlib.pyplot as plt
import numpy as np

from audio_processing.plots import COLOURS, framed
from audio_processing.style import GREY, INK

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
        a new one if None.
    """
    ax = ax if ax is not None else plt.subplots(figsize=(10, 5.2), layout="constrained")[1]
    plan, parts = song.score.plan, song.score.parts
    for source, width in (("other", 1.5), ("bass", 4), ("vocals", 4)):
        for note in parts[source]:
            x = [note.start, note.start + note.duration]
            ax.plot(x, [note.pitch] * 2, color=COLOURS[source], lw=width, alpha=0.3 + 0.7 * note.velocity)
        ax.plot([], [], color=COLOURS[source], lw=4, label=source)
    rows = ["kick", "snare", "tom", "hat", "ride", "crash"]
    for note in parts["drums"]:
        piece = {"rim": "snare"}.get(note.kind, note.kind.split("_")[0])
        ax.plot(note.start, 3.6 * rows.index(piece), ".", color=COLOURS["drums"], ms=2 + 6 * note.velocity)
    bar = 60.0 / plan.tempo * plan.beats
    for section in plan.sections:
        ax.axvline(section.first_bar * bar, color=INK, lw=1, alpha=0.4)
        ax.annotate(section.name, (section.first_bar * bar, 1.01), xycoords=("data", "axes fraction"), fontsize=9)
    for number, chord in enumerate(plan.chords):
        name = NOTE_NAMES[chord[0]] + "m" * ((chord[1] - chord[0]) % 12 == 3)
        ax.annotate(name, (number * bar + 0.05, 74), fontsize=9, color=GREY)
    ax.set(xlim=(0, song.mixture.shape[-1] / song.sample_rate), ylim=(-2, 78), xlabel="time (s)", ylabel="MIDI number")
    ax.set_yticks([3.6 * i for i in range(len(rows))] + [36, 48, 60, 72], [*rows, "36", "48", "60", "72"])
    ax.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.12))


def waveform(audio, sample_rate, ax, **style):
    """Draw a waveform over time in ms, peak at 1."""
    ax.plot(1000 * np.arange(audio.size) / sample_rate, audio / np.abs(audio).max(), **style)
    framed(ax, xlabel="time (ms)", ylabel="amplitude (peak = 1)")


def curves(curves, names, rate):
    """Draw control curves below one another.

    Parameters
    ----------
    curves : dict of str to np.ndarray, (frames,) or (frames, curves)
    names : dict of str to str
        those to draw, and the label of each one's axis.
    rate : float
        frames per second.
    """
    figure, axes = plt.subplots(
        len(names), 1, figsize=(9, 1.5 * len(names)), layout="constrained", sharex=True, squeeze=False
    )
    for ax, (name, label) in zip(axes[:, 0], names.items()):
        ax.plot(np.arange(len(curves[name])) / rate, curves[name], lw=1.2)
        framed(ax, ylabel=label)
    axes[-1, 0].set_xlabel("time (s)")


def annotations(values, source, axes, seconds):
    """Draw f0 (where voiced) and loudness of a source, up to a number of seconds, on two axes."""
    shown = values["times"] < seconds
    f0 = np.where(values[f"voiced_{source}"], values[f"f0_{source}"], np.nan)
    for ax, curve, label in zip(axes, (f0, values[f"loudness_{source}"]), ("f0 (Hz)", "loudness (dB)")):
        ax.plot(values["times"][shown], curve[shown], color=COLOURS[source], lw=1.2)
        framed(ax, ylabel=label)
    axes[1].set_xlabel("time (s)")


def harmonics(frequency, decibels, ax, **style):
    """Draw the levels of harmonics as a line through k f0, a dot for each, on a logarithmic frequency axis."""
    ax.plot(frequency, decibels, marker="o", ms=4, lw=1.2, **style)
    framed(ax, xscale="log", xlabel="k f0 (Hz)", ylabel="level (dB)")
    ax.set_xticks([200, 500, 1000, 2000, 5000], ["200", "500", "1000", "2000", "5000"])
    ax.set_xticks([], minor=True)


def pluck_map(places, decibels, ax):
    """Draw the level of each harmonic of a plucked string over the place of the pluck, and where nodes are.

    Parameters
    ----------
    places : np.ndarray, (places,)
        fraction of the string's length, evenly spaced.
    decibels : np.ndarray, (harmonics, places)
        of harmonics 1, 2, …
    ax : matplotlib.axes.Axes
    """
    half = (places[1] - places[0]) / 2
    k = np.arange(1, len(decibels) + 1)
    extent = (places[0] - half, places[-1] + half, 0.5, len(k) + 0.5)
    image = ax.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=-60, vmax=0, cmap="magma")
    for node in range(1, 1 + int(len(k) * places[-1])):
        ax.plot(node / k, k, color="#56b4e9", lw=1.2, ls="--")
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="place of the pluck (part of the length)", ylabel="harmonic")
    ax.figure.colorbar(image, ax=ax, label="level (dB)")


def learning(curves, baselines, ax):
    """Draw an error over minutes of training music, and dashed levels.

    Parameters
    ----------
    curves : dict of str to (list, list)
        source → minutes, errors in dB.
    baselines : dict of str to (str, float)
        label → source, error in dB.
    ax : matplotlib.axes.Axes
    """
    for source, (minutes, errors) in curves.items():
        ax.plot(minutes, errors, "o-", color=COLOURS[source], ms=4, label=source)
    for (label, (source, error)), style in zip(baselines.items(), ("--", "--", ":", ":")):
        ax.axhline(error, color=COLOURS[source], ls=style, lw=1.2)
        ax.annotate(label, (1.01, error), xycoords=("axes fraction", "data"), fontsize=9, va="center")
    framed(ax, xlabel="minutes of training music", ylabel="prediction error (dB)")
    ax.legend(frameon=False)


def against_real(rows, measure, ax):
    """Draw one measure: real 5-95 % ranges as bars with their medians, trio and quartet of the band as dots.

    Parameters
    ----------
    rows : list of dict
        as returned by `compare.table`.
    measure : str
        a key of `compare.MEASURES`.
    ax : matplotlib.axes.Axes
    """
    rows = [row for row in rows if row["measure"] == measure]
    sources = [source for source in reversed(COLOURS) if any(row["source"] == source for row in rows)]
    for row in rows:
        trio = row["set"] == "same_artist"
        y = sources.index(row["source"]) + (0.17 if trio else -0.17)
        ax.plot([row["real 5 %"], row["real 95 %"]], [y, y], color=GREY, alpha=0.4, lw=6, solid_capstyle="butt")
        ax.plot(row["real median"], y, "|", color=INK, ms=9)
        ax.plot(row["band"], y, "o" if trio else "D", color=COLOURS[row["source"]], ms=6.5, mec="white", mew=0.6)
    ax.set_yticks(range(len(sources)), sources)
    ax.set(xlabel=f"{NAMES[measure]} ({rows[0]['unit']})", ylim=(-0.6, len(sources) - 0.4))
    ax.grid(alpha=0.3, axis="x")


def against_real_legend(figure):
    """Say below a figure of `against_real` what its marks are."""
    marks = [
        plt.Line2D([], [], marker="o", ls="", color=GREY, label="band: trio (same_artist)"),
        plt.Line2D([], [], marker="D", ls="", color=GREY, label="band: quartet (extra_instrument)"),
        plt.Line2D([], [], marker="|", ls="", color=INK, ms=9, label="median of the real"),
        plt.Line2D([], [], color=GREY, alpha=0.4, lw=6, label="5-95 % of the real"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
