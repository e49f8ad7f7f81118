"""The measured values in the texts of pages: named in a cell, read from result files when a text is shown.

    v = dict(
        masks=values.score("same_artist", "ddsp_masked"),
        lead=values.difference("same_artist", "ddsp_masked", "conv_tasnet"),
    )
    display.text("Mask scores {masks:.1f} dB, {lead:.1f} dB more ({lead.low:.1f} to {lead.high:.1f}).", v)

Each function returns a `Measured`, whose attributes are the values. It computes them when the first is asked for, so
that the text reports a missing file; it keeps the function's name and arguments, so that a test can compute them again.
Every notebook that shows results uses this module; the first is main_report.ipynb.
"""

import functools
import inspect

import numpy as np

from audio_processing.tracks import SOURCES
from common import results
from common.places import HERE
from experiments import statistics


class Measured:
    """Values that a function of this module reads from result files: `score.drums`, `difference.low`.

    In a text, the object without an attribute is its mean: "{score:.1f}". A difference of two objects has the
    differences of their values.

    Parameters
    ----------
    function : str
        a key of `FUNCTIONS`.
    arguments : dict
        keyword arguments of it, in plain types.
    """

    def __init__(self, function, arguments):
        self.function, self.arguments, self._row = function, arguments, None

    def row(self):
        """All values: dict of str to float, int or str."""
        if self._row is None:
            self._row = FUNCTIONS[self.function].row(**self.arguments)
        return self._row

    def __getattr__(self, name):
        if name.startswith("_"):  # what Python and IPython look for by themselves
            raise AttributeError(name)
        if self.row().get(name) is None:
            raise results.ResultsError(f"values.{self!s}: expected one of {', '.join(self.row())}; got {name!r}")
        return self.row()[name]

    def __format__(self, spec):
        return format(self.mean, spec)

    def __sub__(self, other):
        return minus(as_plain(self), as_plain(other))

    def __str__(self):
        return f"{self.function}({', '.join(f'{name}={x!r}' for name, x in self.arguments.items())})"


def as_plain(value):
    """A value, an argument or a container of them in JSON's types; `restored` is its inverse for `Measured` objects."""
    if isinstance(value, Measured):
        return {"function": value.function, "arguments": value.arguments}
    if isinstance(value, dict):
        return {name: as_plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def restored(value):
    """The `Measured` that `as_plain` turned into a dict; any other value as it is."""
    return Measured(**value) if isinstance(value, dict) else value


def measured(function):
    """Let a function return a `Measured` that calls it later; the function itself becomes the attribute `row`."""

    @functools.wraps(function)
    def named(*args, **kwargs):
        return Measured(function.__name__, as_plain(inspect.signature(function).bind(*args, **kwargs).arguments))

    named.row = function
    return named


@measured
def score(test_set, system, metric="si_sdr"):
    """Scores of a system: the average over songs by source, the "mean" of these, and the number of "songs"."""
    return _averages(statistics.read_scores(test_set, [system]), system, metric)


@measured
def difference(test_set, system, other, source=None, metric="si_sdr"):
    """Paired difference of two systems over songs: "mean", "low" and "high" (95 % interval), on how many of the "songs"
    the first is "ahead"; and the mean by source. `source`: of one source alone."""
    records = statistics.read_scores(test_set, [system, other])
    row = statistics.compared(test_set, system, other, source, metric=metric)
    for name in dict.fromkeys(record["source"] for record in records):
        songs = statistics.differences([r for r in records if r["source"] == name], metric, system, other)
        row |= {name: float(np.mean(list(songs.values())))} if songs else {}
    return row


@measured
def above(test_set, system, other, metric="si_sdr"):
    """The "sources" on which a system's average is above another's, in words."""
    ours, theirs = score.row(test_set, system, metric), score.row(test_set, other, metric)
    found = (name for name in SOURCES if name in ours and name in theirs and ours[name] > theirs[name])
    return {"sources": ", ".join(found) or "none"}


@measured
def facts(test_set, system):
    """What a system costs: "parameters", "training_minutes" (music), "training_seconds" and "realtime"."""
    content = results.read(results.score_path(test_set, system))
    return (content.get("network") or {}) | {"realtime": content.get("realtime")}


@measured
def study(minutes, model, test_set="same_artist", size="middle", long=False):
    """As `score`, of a model that was trained for `experiments.studies` on so many minutes of music: SI-SDR over songs
    and seeds."""
    return _averages(_studied(minutes, model, test_set, size, long), model, "si_sdr")


@measured
def study_difference(minutes, model, other, test_set="same_artist", long=False, other_long=None):
    """As `difference`, of two models of `study`; `other_long`: of the second, if it differs from the first's."""
    records = _studied(minutes, model, test_set, "middle", long)
    others = _studied(minutes, other, test_set, "middle", long if other_long is None else other_long)
    return statistics.difference_row(records + others, "si_sdr", model, other)


@measured
def ablation(variant, metric="si_sdr"):
    """As `score`, of a variant of `ddsp_models.separation.ablations`, over seeds."""
    return _averages(results.read(HERE.results / "ablations-separator.json")["records"], variant, metric)


@measured
def substitution(test_set, system, metric="si_sdr"):
    """As `score`, of `ddsp_models.separation.oracle_substitution`."""
    records = results.read(HERE.results / "substitution-separator.json")["records"]
    return _averages([record for record in records if record["test_set"] == test_set], system, metric)


@measured
def minus(first, second):
    """The differences of the values that two objects have both, of these as `as_plain` returns them."""
    first, second = restored(first).row(), restored(second).row()
    return {name: x - second[name] for name, x in first.items() if isinstance(x, (int, float)) and name in second}


training = measured(statistics.training)
benchmark = measured(statistics.benchmark)

FUNCTIONS = {
    function.__name__: function
    for function in (
        score, difference, above, facts, training, study, study_difference, ablation, substitution, benchmark, minus,
    )
}  # fmt: skip
"""By the names that `as_plain` writes into notebooks."""


def _averages(records, system, metric):
    records = [record for record in records if record["system"] == system]
    averages = {source: value for (_, source), value in statistics.averages(records, metric).items()}
    return averages | {"songs": len({record["track"] for record in records})}


def _studied(minutes, model, test_set, size, long):
    """The records of the trainings of `experiments.studies` that are asked for, with the model's name as system."""
    asked = {"model": model, "minutes": minutes, "size": size, "long": long}
    trainings = [s for s in statistics.read_studies() if all(s[name] == x for name, x in asked.items())]
    records = [r | {"system": model} for s in trainings for r in s["records"] if r["test_set"] == test_set]
    if not records:
        raise results.ResultsError(
            f"results/studies: {model}@{minutes}min on {test_set} is not computed; `python -m experiments.studies` does"
        )
    return records
