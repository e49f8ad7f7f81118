"""The figures of chapter 9: functions that take data and draw on an `Axes`."""

import itertools

import numpy as np

from audio_processing.style import GREY, INK, LINES
from audio_processing.tracks import SOURCES
from experiments.catalogue import SYSTEMS, label

BEST, WORSE, *_ = LINES
"""Colours of two curves or bars that belong to no system."""


def colours(systems):
    """The colour of each of some systems, as a dict: its row's, or else one of `LINES`, by its order."""
    own = {name: row.colour for name, row in SYSTEMS.items() if row.colour}
    spare = itertools.cycle(LINES)
    return {name: own.get(name) or next(spare) for name in dict.fromkeys(systems)}


def marker(system):
    """The marker of a system's row; a circle if it has no row."""
    return SYSTEMS[system].marker if system in SYSTEMS else "o"


def _dressed(ax, *, legend=True, axis="both", **labels):
    """A grid along an axis, a legend (`legend`: whether, or how), and labels."""
    ax.grid(axis=axis, alpha=0.3)
    if legend:
        ax.legend(frameon=False, **({} if legend is True else legend))
    ax.set(**labels)
    return ax


def training_curve(log, ax, *, ylabel):
    """Draw the loss on training crops and on the validation songs over minutes, of `statistics.training_log`."""
    minutes = [row["seconds"] / 60 for row in log]
    ax.plot(minutes, [row["loss"] for row in log], color=BEST, label="training crops (remixed, random levels)")
    ax.plot(minutes, [row["val_loss"] for row in log], color=WORSE, label="validation songs")
    return _dressed(ax, xlabel="minutes of training", ylabel=ylabel)


def score_bars(bars, ax, *, ylabel):
    """Draw an average as a bar, every song's score as a dot and the mean's interval as a line, by source and system.

    Parameters
    ----------
    bars : list of dict
        of `tables.score_bars`: "system", "source", "values", "average" and "interval" (None for none).
    ax : matplotlib.axes.Axes
    ylabel : str
    """
    systems = list(dict.fromkeys(bar["system"] for bar in bars))
    sources = [source for source in SOURCES if any(bar["source"] == source for bar in bars)]
    colour, width = colours(systems), 0.8 / len(systems)
    for bar in bars:
        i, j = systems.index(bar["system"]), sources.index(bar["source"])
        x = j + (i - (len(systems) - 1) / 2) * width
        name = label(bar["system"]) if j == 0 else None
        ax.bar(x, bar["average"], width * 0.9, color=colour[bar["system"]], alpha=0.55, label=name)
        ax.plot(np.full(len(bar["values"]), x - width / 6), bar["values"], ".", color=INK, markersize=3, alpha=0.6)
        if bar["interval"]:
            ax.vlines(x + width / 6, *bar["interval"], color=INK, linewidth=1.8)
    ax.axhline(0, color=INK, linewidth=0.8)
    handles, names = ax.get_legend_handles_labels()
    columns = min(len(names), 4 if max(map(len, names)) < 25 else 3)  # else it is wider than the plot
    if ax.figure.get_layout_engine() is None:
        ax.figure.set_layout_engine("constrained")
    ax.figure.legend(handles, names, frameon=False, fontsize=9, ncols=columns, loc="outside upper center")
    return _dressed(ax, legend=False, axis="y", xticks=range(len(sources)), xticklabels=sources, ylabel=ylabel)


def against(points, x, y, ax, *, xlabel, ylabel):
    """Draw one value against another for every training, seeds as markers and their mean as a line, a colour per model.

    Parameters
    ----------
    points : list of dict
        of `statistics.study_points`, or anything with "model" and the two keys.
    x, y : str
        keys of the points; x on a logarithmic axis.
    ax : matplotlib.axes.Axes
    xlabel, ylabel : str

    Returns
    -------
    matplotlib.axes.Axes
    """
    colour = colours([point["model"] for point in points])
    for model in colour:
        of = [point for point in points if point["model"] == model]
        places = sorted({point[x] for point in of})
        means = [np.mean([point[y] for point in of if point[x] == place]) for place in places]
        ax.plot(places, means, color=colour[model], label=label(model))
        ax.plot([p[x] for p in of], [p[y] for p in of], marker(model), color=colour[model], markersize=5)
    ax.set_xscale("log")
    ticks = []
    for place in sorted({point[x] for point in points}):
        if not ticks or place > 1.2 * ticks[-1]:  # nearer ones would be written over each other
            ticks.append(place)
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.minorticks_off()
    return _dressed(ax, xlabel=xlabel, ylabel=ylabel)


def _short(number):
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k" if number >= 1e4 else f"{number:g}"


def validation_curves(studies, ax):
    """Draw the validation loss of each training over its steps, and mark the lowest.

    Parameters
    ----------
    studies : list of dict
        of `statistics.read_studies`.
    ax : matplotlib.axes.Axes
    """
    colour = colours([study["model"] for study in studies])
    names = {model: label(model) for model in colour}
    for study in studies:
        losses, model = study["validation"], study["model"]
        steps = study["steps"] / len(losses) * np.arange(1, len(losses) + 1)
        ax.plot(steps, losses, color=colour[model], alpha=0.8, label=names.pop(model, None))
        ax.plot(study["best_step"], min(losses), marker(model), color=colour[model])
    return _dressed(ax, xlabel="steps", ylabel="validation loss (dB),\nlower is better")


def cost(points, ax):
    """Draw scores against parameters, each system with its own colour and marker, and its name beside the plot.

    Parameters
    ----------
    points : list of dict
        of `tables.costs`: "system", "parameters" (at least 1) and "value".
    ax : matplotlib.axes.Axes
    """
    colour = colours([point["system"] for point in points])
    for point in points:
        name, thousands = point["system"], point["parameters"] / 1000
        ax.plot(thousands, point["value"], marker(name), color=colour[name], label=label(name))
    ax.margins(x=0.15, y=0.15)
    ax.set_xlim(left=0)
    return _dressed(
        ax,
        legend={"fontsize": 9, "loc": "center left", "bbox_to_anchor": (1, 0.5)},
        xlabel="thousand parameters, decoders included",
        ylabel="SI-SDR, mean over\nsongs and stems (dB)",
    )


def song_differences(differences, ax, *, interval=None, xlabel="difference (dB)"):
    """Draw the difference of two systems on each song, sorted, with the mean's interval.

    Parameters
    ----------
    differences : dict of str to float
        of `statistics.differences`.
    ax : matplotlib.axes.Axes
    interval : (float, float), optional
        of the mean.
    xlabel : str
    """
    values = sorted(differences.values())
    ax.barh(range(len(values)), values, color=[WORSE if value < 0 else BEST for value in values])
    if interval is not None:
        ax.axvspan(*interval, color=GREY, alpha=0.35, label="its 95 % interval")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.axvline(np.mean(values), color=INK, linestyle="--", linewidth=1, label="mean")
    ax.legend(frameon=False, fontsize=9, reverse=True)
    ax.set(xlabel=xlabel, ylabel="one bar a song", yticks=[])
    return ax
