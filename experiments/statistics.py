"""Averages over the records of result files: what tables and plots show."""

import csv
import json
from collections import defaultdict

import numpy as np

from common import results


def read_scores(test_set, systems=None):
    """Records of a test set, all systems one after the other.

    Parameters
    ----------
    test_set : str
    systems : sequence of str, optional
        in this order; all that were scored where it is None.

    Returns
    -------
    list of dict
        see DESIGN: test_set, track, system, source, metric, unit, value.

    Raises
    ------
    common.results.ResultsError
        where a file is missing or was changed.
    """
    folder = results.RESULTS / "scores"
    systems = scored_systems(test_set) if systems is None else systems
    return [record for system in systems for record in results.read(folder / f"{test_set}-{system}.json")["records"]]


def scored_systems(test_set):
    """Names of the systems that a test set has results of."""
    folder = results.RESULTS / "scores"
    return [path.stem.removeprefix(f"{test_set}-") for path in sorted(folder.glob(f"{test_set}-*.json"))]


def not_defined(test_set, systems, metric):
    """How many stems lack a score because it is not defined: silent ones, and those of this metric alone."""
    total = 0
    for system in systems:
        path = results.RESULTS / "scores" / f"{test_set}-{system}.json"
        content = results.read(path) if path.exists() else {}
        total += sum(content.get("silent_stems", {}).values()) + content.get("absent", {}).get(metric, 0)
    return total


def averages(records, metric, *, over="mean"):
    """Average a metric over songs.

    Parameters
    ----------
    records : list of dict
    metric : str
    over : {"mean", "median"}
        how songs are put together: the mean for si_sdr and snr, the median for sdr by its protocol.

    Returns
    -------
    dict
        (system, source) → value in the metric's unit; source "mean" is the mean over the sources.
    """
    values = defaultdict(list)
    for record in records:
        if record["metric"] == metric:
            values[record["system"], record["source"]].append(record["value"])
    put_together = {"mean": np.mean, "median": np.median}[over]
    result = {key: float(put_together(songs)) for key, songs in values.items()}
    for system in dict.fromkeys(system for system, _ in values):
        result[system, "mean"] = float(np.mean([value for (name, _), value in result.items() if name == system]))
    return result


def bootstrap_interval(values, *, level=0.95, repeats=10000, seed=0):
    """Interval of the mean of `values` by resampling them (percentile bootstrap): (low, high).

    Parameters
    ----------
    values : sequence of float
        one per song; for a comparison of two systems, their differences song by song.
    """
    values = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(repeats, len(values)))].mean(axis=1)
    return tuple(float(x) for x in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))


def differences(records, metric, better, worse):
    """By how much one system is ahead of another on each song, averaged over the sources that both estimate.

    Where a system was trained from several seeds, their scores are averaged before.

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


def paired_difference(records, metric, better, worse):
    """By how much one system is ahead of another, song by song, averaged over the sources that both estimate.

    Returns
    -------
    mean : float
    interval : (float, float)
        95 % of it, by bootstrap over songs.
    songs : int
    """
    found = list(differences(records, metric, better, worse).values())
    if not found:
        raise ValueError(f"records: no song was scored for both {better} and {worse} by {metric}")
    return float(np.mean(found)), bootstrap_interval(found), len(found)


COMPARISONS = [
    # test set, system, what it is compared with, source (None: all that both estimate), what is asked of it (dB)
    ("same_artist", "ddsp_masked", "irm", None, 0.0),
    ("same_artist", "ddsp_masked", "irm@ddsp", None, None),
    ("same_artist", "ddsp_masked@refined", "irm", None, 0.0),
    ("same_artist", "ddsp_masked@refined", "ddsp_masked", None, None),
    ("same_artist", "ddsp_masked@refined", "conv_tasnet", None, None),
    ("same_artist", "ensemble", "irm@power", None, 0.0),
    ("same_artist", "ensemble", "psm", None, None),
    ("same_artist", "ensemble", "psm@4096", None, None),
    ("same_artist", "ensemble", "conv_tasnet", None, None),
    ("same_artist", "ddsp_masked", "conv_tasnet", None, None),
    ("other_artist", "ddsp_masked", "irm", None, -7.0),
    ("other_artist", "ddsp_masked@refined", "irm", None, -7.0),
    ("other_artist", "ddsp_masked@refined", "ddsp_masked", None, None),
    ("other_artist", "ddsp_masked@many", "irm", None, -4.0),
    ("other_artist", "ddsp_masked", "conv_tasnet", None, None),
    ("other_artist", "ddsp_masked@many", "conv_tasnet@many", None, None),
    ("other_artist", "ddsp_masked@true_f0", "ddsp_masked", None, None),
    ("other_artist", "ddsp_masked@many_true_f0", "ddsp_masked@many", None, None),
    ("air_traffic", "ddsp_masked@air_traffic", "mixture", "drums", 6.0),
    ("air_traffic", "ddsp_masked@air_traffic", "mixture", "bass", 6.0),
    ("air_traffic", "ddsp_masked@air_traffic", "mixture", "vocals", 6.0),
]
"""What chapter 8 is measured by, in SI-SDR, and how far ahead a system is to be."""


def compared(test_set, better, worse, source=None, asked=None, metric="si_sdr"):
    """One row of a table of comparisons.

    Parameters
    ----------
    test_set, better, worse : str
    source : str, optional
        one source alone.
    asked : float, optional
        how far ahead `better` is to be.
    metric : str

    Returns
    -------
    dict
        "mean", "low", "high" (no interval where there is one song), "songs", "ahead" (of those, on how many), and
        "reached": whether the mean is as asked, None where nothing is asked.

    Raises
    ------
    common.results.ResultsError
        where one of the two has not been scored.
    """
    records = [r for r in read_scores(test_set, [better, worse]) if source in (None, r["source"])]
    try:
        row = difference_row(records, metric, better, worse)
    except ValueError as error:
        raise results.ResultsError(
            f"results/scores/{test_set}-{better}.json: no {metric} to compare with {worse}"
        ) from error
    return row | {"reached": None if asked is None else row["mean"] >= asked}


def difference_row(records, metric, better, worse):
    """A paired difference: its "mean", the interval "low" to "high" (None where there is one song), how many "songs",
    and "ahead", on how many of them the difference is positive."""
    found = list(differences(records, metric, better, worse).values())
    if not found:
        raise ValueError(f"records: no song was scored for both {better} and {worse} by {metric}")
    low, high = bootstrap_interval(found) if len(found) > 1 else (None, None)
    ahead = sum(value > 0 for value in found)
    return {"mean": float(np.mean(found)), "low": low, "high": high, "songs": len(found), "ahead": ahead}


def run_facts(test_set, system):
    """Facts of a run beside its records: network, time, and the scores that are not defined (see `experiments`)."""
    content = results.read(results.RESULTS / "scores" / f"{test_set}-{system}.json")
    names = (
        "network",
        "realtime",
        "separation_seconds",
        "seconds",
        "songs",
        "dropped_frames",
        "silent_stems",
        "absent",
    )
    return {name: content.get(name) for name in names} | {"listeners": content["config"].get("listeners")}


def read_studies():
    """All results of `experiments.studies`, those of the same model by music and seed: list of their contents, with
    "model", "minutes", "size", "seed" and "long" beside the rest."""
    found = [results.read(path) for path in sorted((results.RESULTS / "studies").glob("*.json"))]
    found = [
        {**content, **{name: content["config"][name] for name in ("model", "minutes", "size", "seed", "long")}}
        for content in found
    ]
    by = ("model", "parameters", "minutes", "long", "seed")
    return sorted(found, key=lambda study: [study[name] for name in by])


def study_points(metric="si_sdr"):
    """What each study came to: one row per training, the metric averaged over songs and sources, by its name for the
    training artist's songs (`same_artist`) and as "METRIC@other_artist" for the others'."""
    names = ("model", "minutes", "size", "seed", "long", "parameters", "steps", "best_step", "ended_by")
    points = []
    for study in read_studies():
        point = {name: study[name] for name in (*names, "training_seconds", "processor_seconds")}
        for test_set in dict.fromkeys(record["test_set"] for record in study["records"]):
            found = averages([r for r in study["records"] if r["test_set"] == test_set], metric)
            key = metric if test_set == "same_artist" else f"{metric}@{test_set}"
            point[key] = next(value for (_, source), value in found.items() if source == "mean")
        points.append(point)
    return points


def benchmark(name):
    """A record of results/benchmarks.json: "ours_s", "peer", "peer_s", "ratio", "max_error", "peak_mb", …

    Raises
    ------
    common.results.ResultsError
        where it was not measured.
    """
    found = {r["benchmark"]: r for r in results.read(results.RESULTS / "benchmarks.json")["records"]}
    if name not in found:
        module = name.split("@")[0].removesuffix("_grad")
        raise results.ResultsError(
            f"results/benchmarks.json: no {name} in it; `python -m benchmarks {module}` measures"
        )
    return found[name]


def training_log(name):
    """The rows of results/training/<name>.csv, one per epoch, as dicts of numbers."""
    path = results.RESULTS / "training" / f"{name}.csv"
    try:
        with open(path) as file:
            return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]
    except (FileNotFoundError, ValueError) as error:
        raise results.ResultsError(
            f"results/training/{name}.csv: missing or damaged; `make train` writes it"
        ) from error


def training(name):
    """Facts about a training run: the record beside its weights, and what follows from its log."""
    folder, prefix = "ddsp_models/trained", "ddsp-"
    if name.startswith("conv_tasnet-"):
        folder, prefix = "mss_nn_implementation/training_final_full", "conv_tasnet-"
    path = results.ROOT / folder / f"{name.removeprefix(prefix)}.json"
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError) as error:
        raise results.ResultsError(f"{path.name}: missing or damaged; `make train` writes it") from error
    log = training_log(name)
    best = min(log, key=lambda row: row["val_loss"])
    per_epoch = record["training"]["steps_per_epoch"]
    history = "".join(
        f" Its schedule was made for {change['steps']:,} steps and bent after {change['epochs'] * per_epoch:,}."
        for change in record["changes"]
    )
    return {
        **record["training"],
        "weights": record["weights"],
        "cores": record["environment"]["cores"],
        "device": record["environment"]["device"],
        "minutes": record["seconds"] / 60,
        "steps_done": len(log) * per_epoch,
        "history": history,
        "best_loss": best["val_loss"],
    }
