"""The figures of chapter 9: functions that take data and draw on an `Axes`."""

import numpy as np

COLOURS = {"mixture": "#999999", "conv_tasnet": "#d55e00", "ddsp_masked": "#0072b2", "ensemble": "#009e73",
           "ddsp_masked@refined": "#56b4e9"}  # fmt: skip
"""Okabe and Ito's; these systems have the same ones in every figure, others what `colours` gives."""
MARKERS = {"conv_tasnet": "o", "ddsp_masked": "s", "ddsp_masked@refined": "D"}


def colours(systems):
    """A colour for each of some systems: system → "#rrggbb"; of those without one of their own, by their order."""
    others = [system for system in systems if system not in COLOURS]
    shades = ["#cc79a7", "#e69f00", "#8c6d31", "#f0e442"]
    return COLOURS | {system: shades[i % len(shades)] for i, system in enumerate(others)}


def against(points, x, y, ax, *, names, xlabel, ylabel, lines=()):
    """Draw one value against another for every training, seeds as dots and their mean as a line, one colour per model.

    Parameters
    ----------
    points : list of dict
        of `summary.study_points`, or anything with "model" and the two keys.
    x, y : str
        keys of the points; x on a logarithmic axis.
    ax : matplotlib.axes.Axes
    names : dict of str to str
        model → what it is called.
    xlabel, ylabel : str
    lines : sequence of (str, float)
        levels to be compared with, such as a ceiling's.

    Returns
    -------
    matplotlib.axes.Axes
    """
    for model in dict.fromkeys(point["model"] for point in points):
        of = [point for point in points if point["model"] == model]
        places = sorted({point[x] for point in of})
        means = [np.mean([point[y] for point in of if point[x] == place]) for place in places]
        colour = COLOURS.get(model, "#555555")
        ax.plot(places, means, color=colour, label=names.get(model, model))
        ax.plot([p[x] for p in of], [p[y] for p in of], MARKERS.get(model, "^"), color=colour, markersize=5)
    for (label, level), style in zip(lines, ("--", ":", "-.")):
        ax.axhline(level, color="#555555", linestyle=style, linewidth=1, label=label)
    ax.set_xscale("log")
    ticks = []
    for place in sorted({point[x] for point in points}):
        if not ticks or place > 1.2 * ticks[-1]:  # nearer ones would be written over each other
            ticks.append(place)
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def _short(number):
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k" if number >= 1e4 else f"{number:g}"


def validation_curves(studies, ax, *, names):
    """Draw what each look at the validation songs found while training, and mark the best; one line per training.

    Parameters
    ----------
    studies : list of dict
        of `summary.read_studies`.
    ax : matplotlib.axes.Axes
    names : dict of str to str
        model → what it is called.
    """
    labelled = set()
    for study in studies:
        looks, per_look = study["validation"], study["steps"] / len(study["validation"])
        steps = per_look * np.arange(1, len(looks) + 1)
        label = None if study["model"] in labelled else names.get(study["model"], study["model"])
        labelled.add(study["model"])
        colour = COLOURS.get(study["model"], "#555555")
        ax.plot(steps, looks, color=colour, alpha=0.8, label=label)
        ax.plot(study["best_step"], min(looks), MARKERS.get(study["model"], "^"), color=colour)
    ax.set(xlabel="steps", ylabel="validation loss (dB),\nlower is better")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def cost(points, ax):
    """Draw scores against parameters, every system a dot of its own colour, named beside the plot.

    Parameters
    ----------
    points : list of dict
        "system", "name", "parameters" (at least 1) and "value".
    ax : matplotlib.axes.Axes
    """
    colour = colours([point["system"] for point in points])
    for i, point in enumerate(points):
        thousands = point["parameters"] / 1000
        ax.plot(thousands, point["value"], "os^vDPX"[i % 7], color=colour[point["system"]], label=point["name"])
    ax.margins(x=0.15, y=0.15)
    ax.set_xlim(left=0)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set(xlabel="thousand parameters, decoders included", ylabel="SI-SDR, mean over\nsongs and stems (dB)")
    ax.grid(alpha=0.3)
    return ax


def song_differences(differences, ax, *, interval=None, xlabel="ahead (dB)"):
    """Draw how far one system is ahead of another on each song, sorted, with the mean's interval.

    Parameters
    ----------
    differences : dict of str to float
        of `summary.differences`.
    ax : matplotlib.axes.Axes
    interval : (float, float), optional
        of the mean.
    """
    values = sorted(differences.values())
    ax.barh(range(len(values)), values, color=["#d55e00" if value < 0 else "#0072b2" for value in values])
    if interval is not None:
        ax.axvspan(*interval, color="#999999", alpha=0.35, label="its 95 % interval")
    ax.axvline(0, color="black", linewidth=0.8)
    ax.axvline(np.mean(values), color="black", linestyle="--", linewidth=1, label="mean")
    ax.legend(frameon=False, fontsize=9, reverse=True)
    ax.set(xlabel=xlabel, ylabel="one bar a song", yticks=[])
    return ax
