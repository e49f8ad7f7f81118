"""Averages over the records of result files: what tables and plots show.

Notebook: experiments/experiments_report.ipynb
"""

import csv
import json
from collections import defaultdict, namedtuple
from operator import itemgetter

import numpy as np

from common import results
from common.places import HERE, ROOT
from experiments.catalogue import METRICS, REFERENCES, SYSTEMS, others

# Folders of the records that trainings leave beside their weights, by how the names of their logs begin.
RECORDS = {"conv_tasnet": "mss_nn_implementation/training_final_full", "ddsp": "ddsp_models/trained"}


def read_scores(test_set, systems=None):
    """Records of a test set, all systems one after the other.

    Parameters
    ----------
    test_set : str
    systems : sequence of str, optional
        in this order; by default all that were scored.

    Returns
    -------
    list of dict
        with the keys test_set, track, system, source, metric, unit, value.

    Raises
    ------
    common.results.ResultsError
        if a file is missing or was changed.
    """
    systems = scored_systems(test_set) if systems is None else systems
    return [record for system in systems for record in results.read(results.score_path(test_set, system))["records"]]


def scored_systems(test_set):
    """Names of the systems that a test set has results of, sorted; then those of other programs' stems."""
    rows = sorted(name for name in SYSTEMS | REFERENCES if results.score_path(test_set, name).exists())
    return [*rows, *others(test_set)]


def not_defined(test_set, systems, metric):
    """How many stems lack a score because it is not defined: silent ones, and those of this metric alone."""
    paths = [results.score_path(test_set, system) for system in systems]
    contents = [results.read(path) for path in paths if path.exists()]
    return sum(sum(each.get("silent_stems", {}).values()) + each.get("absent", {}).get(metric, 0) for each in contents)


def averages(records, metric, *, over=None):
    """Average a metric over songs.

    Parameters
    ----------
    records : list of dict
    metric : str
    over : {"mean", "median"}, optional
        how songs are averaged; by default as the catalogue has it: the median for sdr, by its protocol, else the mean.

    Returns
    -------
    dict
        (system, source) → value in the metric's unit; source "mean" is the mean over the sources.
    """
    values = defaultdict(list)
    for record in records:
        if record["metric"] == metric:
            values[record["system"], record["source"]].append(record["value"])
    average = getattr(np, over or (METRICS[metric].average if metric in METRICS else "mean"))
    result = {key: float(average(songs)) for key, songs in values.items()}
    for system in dict.fromkeys(system for system, _ in values):
        result[system, "mean"] = float(np.mean([value for (name, _), value in result.items() if name == system]))
    return result


def bootstrap_interval(values, *, level=0.95, repeats=10000, seed=0):
    """Interval of the mean of `values` by resampling them (percentile bootstrap): (low, high).

    Parameters
    ----------
    values : sequence of float
        one per song; for a comparison of two systems, their differences song by song.

    Examples
    --------
    >>> low, high = bootstrap_interval([1.0, 2.0, 3.0, 4.0])
    >>> print(f"{low:.2f} to {high:.2f}")
    1.50 to 3.50
    """
    values = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(repeats, len(values)))].mean(axis=1)
    return tuple(float(x) for x in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))


def differences(records, metric, better, worse):
    """By how much one system is above another on each song, averaged over the sources that both estimate.

    The scores of a system that was trained from several seeds are averaged over these before.

    Returns
    -------
    dict of str to float
        song → difference, in the metric's unit.
    """
    values = defaultdict(list)
    for r in records:
        if r["metric"] == metric and r["system"] in (better, worse):
            values[r["track"], r["source"], r["system"]].append(r["value"])
    by_song = defaultdict(list)
    for (track, source, system), seeds in values.items():
        if system == better and (track, source, worse) in values:
            by_song[track].append(np.mean(seeds) - np.mean(values[track, source, worse]))
    return {track: float(np.mean(sources)) for track, sources in by_song.items()}


def difference_row(records, metric, better, worse):
    """A paired difference of two systems over songs.

    Returns
    -------
    dict
        its "mean"; the 95 % interval "low" to "high", by bootstrap over songs (None if there is one song); how many
        "songs"; and "ahead", on how many of them the difference is positive.
    """
    songs = list(differences(records, metric, better, worse).values())
    if not songs:
        raise ValueError(f"records: expected songs that {better} and {worse} have {metric} of, got no song")
    low, high = bootstrap_interval(songs) if len(songs) > 1 else (None, None)
    return {
        "mean": float(np.mean(songs)),
        "low": low,
        "high": high,
        "songs": len(songs),
        "ahead": sum(value > 0 for value in songs),
    }


Comparison = namedtuple("Comparison", "test_set better worse source target", defaults=(None, None))
"""Two systems that chapter 8 compares on a test set, by SI-SDR.

`source`: one source alone, by default all that both estimate; `target`: by how many dB `better` is to be above `worse`.
"""

COMPARISONS = [
    Comparison("same_artist", "ddsp_masked", "irm", target=0.0),
    Comparison("same_artist", "ddsp_masked", "irm@ddsp"),
    Comparison("same_artist", "ddsp_masked@refined", "irm", target=0.0),
    Comparison("same_artist", "ddsp_masked@refined", "ddsp_masked"),
    Comparison("same_artist", "ddsp_masked@refined", "conv_tasnet"),
    Comparison("same_artist", "ensemble", "irm@power", target=0.0),
    Comparison("same_artist", "ensemble", "psm"),
    Comparison("same_artist", "ensemble", "psm@4096"),
    Comparison("same_artist", "ensemble", "conv_tasnet"),
    Comparison("same_artist", "ddsp_masked", "conv_tasnet"),
    Comparison("other_artist", "ddsp_masked", "irm", target=-7.0),
    Comparison("other_artist", "ddsp_masked@refined", "irm", target=-7.0),
    Comparison("other_artist", "ddsp_masked@refined", "ddsp_masked"),
    Comparison("other_artist", "ddsp_masked@many", "irm", target=-4.0),
    Comparison("other_artist", "ddsp_masked", "conv_tasnet"),
    Comparison("other_artist", "ddsp_masked@many", "conv_tasnet@many"),
    Comparison("other_artist", "ddsp_masked@true_f0", "ddsp_masked"),
    Comparison("other_artist", "ddsp_masked@many_true_f0", "ddsp_masked@many"),
    Comparison("air_traffic", "ddsp_masked@air_traffic", "mixture", "drums", 6.0),
    Comparison("air_traffic", "ddsp_masked@air_traffic", "mixture", "bass", 6.0),
    Comparison("air_traffic", "ddsp_masked@air_traffic", "mixture", "vocals", 6.0),
]


def compared(test_set, better, worse, source=None, target=None, metric="si_sdr"):
    """The row of a `Comparison`.

    Returns
    -------
    dict
        as `difference_row`, and "reached": whether the mean is at least `target`; None if there is no target.

    Raises
    ------
    common.results.ResultsError
        if one of the two has not been scored.
    """
    records = [r for r in read_scores(test_set, [better, worse]) if source in (None, r["source"])]
    try:
        row = difference_row(records, metric, better, worse)
    except ValueError as error:
        raise results.ResultsError(
            f"results/scores/{test_set}-{better}.json: no {metric} to compare with {worse}"
        ) from error
    return row | {"reached": None if target is None else row["mean"] >= target}


def best_separator(test_set, name):
    """The separator of the catalogue with the highest mean SI-SDR over the songs and stems of a row of `others`; None
    if none was scored on all these stems."""
    pairs = {(r["track"], r["source"]) for r in read_scores(test_set, [name]) if r["metric"] == "si_sdr"}
    means = {}
    for system in (row for row in scored_systems(test_set) if row in SYSTEMS and SYSTEMS[row].make):
        found = [r for r in read_scores(test_set, [system]) if (r["track"], r["source"]) in pairs]
        if {r["source"] for r in found} == {source for _, source in pairs}:
            means[system] = averages(found, "si_sdr")[system, "mean"]
    return max(means, key=means.get, default=None)


def read_studies():
    """All results of `experiments.studies`, those of the same model by music and seed: list of their contents, with
    "model", "minutes", "size", "seed" and "long" beside the rest."""
    studies = [results.read(path) for path in sorted((HERE.results / "studies").glob("*.json"))]
    names = ("model", "minutes", "size", "seed", "long")
    studies = [study | {name: study["config"][name] for name in names} for study in studies]
    return sorted(studies, key=itemgetter("model", "parameters", "minutes", "long", "seed"))


def study_points(metric="si_sdr"):
    """What each study came to: one row per training, the metric averaged over songs and sources, by its name for the
    training artist's songs (`same_artist`) and as "METRIC@other_artist" for unseen artists."""
    names = (
        "model", "minutes", "size", "seed", "long", "parameters", "steps", "best_step", "ended_by",
        "training_seconds", "processor_seconds",
    )  # fmt: skip
    points = []
    for study in read_studies():
        points.append({name: study[name] for name in names})
        for test_set in dict.fromkeys(record["test_set"] for record in study["records"]):
            means = averages([r for r in study["records"] if r["test_set"] == test_set], metric)
            key = metric if test_set == "same_artist" else f"{metric}@{test_set}"
            points[-1][key] = next(value for (_, source), value in means.items() if source == "mean")
    return points


def benchmark(name):
    """A record of results/benchmarks.json: "ours_s", "peer", "peer_s", "ratio", "max_error", "peak_mb", …

    Raises
    ------
    common.results.ResultsError
        if it was not measured.
    """
    records = {r["benchmark"]: r for r in results.read(HERE.results / "benchmarks.json")["records"]}
    if name not in records:
        raise results.ResultsError(f"results/benchmarks.json: no {name} in it; `python -m benchmarks` measures")
    return records[name]


def training_log(name):
    """The rows of results/training/<name>.csv, one per epoch, as dicts of numbers."""
    try:
        with open(HERE.results / "training" / f"{name}.csv") as file:
            return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]
    except (FileNotFoundError, ValueError) as error:
        raise results.ResultsError(
            f"results/training/{name}.csv: missing or damaged; `make train` writes it"
        ) from error


def training(run):
    """A training: the fields of its settings, and steps_done, minutes, weights, cores, device, best_loss, history: from
    the record beside its weights, and from its log."""
    paths = {f"{kind}-{path.stem}": path for kind, folder in RECORDS.items() for path in (ROOT / folder).glob("*.json")}
    try:
        record = json.loads(paths[run].read_text())
    except (KeyError, ValueError) as error:
        raise results.ResultsError(f"{run}: its record is missing or damaged; `make train` writes it") from error
    log = training_log(run)
    per_epoch = record["training"]["steps_per_epoch"]
    return {
        **record["training"],
        "weights": record["weights"],
        "cores": record["environment"]["cores"],
        "device": record["environment"]["device"],
        "minutes": record["seconds"] / 60,
        "steps_done": len(log) * per_epoch,
        "history": "".join(
            f" Its schedule was made for {change['steps']:,} steps and changed after {change['epochs'] * per_epoch:,}."
            for change in record["changes"]
        ),
        "best_loss": min(row["val_loss"] for row in log),
    }
