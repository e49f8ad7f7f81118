"""Averages over the records of result files: what tables and plots show."""

import csv
import json
from collections import defaultdict

import numpy as np

from audio_processing import results


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
    audio_processing.results.ResultsError
        where a file is missing or was changed.
    """
    folder = results.RESULTS / "scores"
    if systems is None:
        systems = [path.stem.removeprefix(f"{test_set}-") for path in sorted(folder.glob(f"{test_set}-*.json"))]
    return [record for system in systems for record in results.read(folder / f"{test_set}-{system}.json")["records"]]


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


def paired_difference(records, metric, better, worse):
    """By how much one system is ahead of another, song by song, averaged over the sources that both estimate.

    Returns
    -------
    mean : float
    interval : (float, float)
        95 % of it, by bootstrap over songs.
    songs : int
    """
    values = {
        (r["track"], r["source"], r["system"]): r["value"]
        for r in records
        if r["metric"] == metric and r["system"] in (better, worse)
    }
    by_song = defaultdict(list)
    for (track, source, system), value in values.items():
        if system == better and (track, source, worse) in values:
            by_song[track].append(value - values[track, source, worse])
    differences = [np.mean(song) for song in by_song.values()]
    if not differences:
        raise ValueError(f"records: no song was scored for both {better} and {worse} by {metric}")
    return float(np.mean(differences)), bootstrap_interval(differences), len(differences)


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
    path = results.ROOT / "mss_nn_implementation" / "training_final_full" / f"{name.removeprefix('conv_tasnet-')}.json"
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
