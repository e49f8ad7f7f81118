"""The catalogue: one new row each is a separator, a test set and a metric everywhere, with no other edit."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import display
import separate
from audio_processing.chunks import Separator
from common import results
from common.places import HERE
from experiments import run, statistics
from experiments.catalogue import METRICS, REFERENCES, SYSTEMS, TEST_SETS, Metric, TestSet, label
from stress import properties
from tests.helpers import make_tree, run_module


class Halves(Separator):
    """Half of the mixture as drums, half as the rest."""

    sources = ("drums", "rest")

    def separate_chunk(self, chunk, sample_rate):
        return np.stack([chunk / 2, chunk / 2])


@pytest.fixture
def rows(elsewhere, monkeypatch):
    """A new row in each table: system "halves", test set "noise", metric "peak_error"."""
    system = separate.System("halves", "half of the mixture", "mask", "nothing but tests", Halves, colour="#123456")
    test_set = TestSet("noise", "two songs of noise", "noise", publishable=True, filters=False)
    metric = Metric("peak_error", "Peak error", "peak (%)", "%", 3, compute=peak_error)
    for table, row in ((separate.SEPARATORS, system), (TEST_SETS, test_set), (METRICS, metric)):
        monkeypatch.setitem(table, row.name, row)
    make_tree(HERE.band / "noise", subset="test", seconds=2.0)


def peak_error(reference, estimate):
    return float(100 * np.abs(np.max(np.abs(estimate)) / np.max(np.abs(reference)) - 1))


def test_a_new_row_is_seen_everywhere(rows, capsys):
    with pytest.raises(SystemExit):
        separate.main(["--help"])
    assert "halves" in (said := capsys.readouterr().out) and "nothing but tests" in said
    # scored by default, on the new test set and by the new metric
    assert "noise" in run.test_sets_here() and run.by_default(TEST_SETS["noise"], SYSTEMS["halves"])
    assert run_module("experiments", "--test-sets", "noise", "--systems", "mixture", "psm", "halves") == 0
    content = results.read(results.score_path("noise", "halves"))
    averages = statistics.averages(content["records"], "peak_error")
    assert set(averages) == {("halves", source) for source in ("drums", "rest", "mean")}
    assert content["config"]["metrics"][-1] == "peak_error"
    # in a table and a plot
    table = display.scores.render("noise", "peak_error")
    assert all(word in table for word in ("half of the mixture", "Peak error", "two songs of noise"))
    assert f"{averages['halves', 'drums']:.3f}" in table
    axes = display.score_plot("noise", "peak_error", ax=Figure().subplots())
    bar = next(each for each in axes.containers if each.get_label() == "half of the mixture")
    assert to_hex(bar[0].get_facecolor()) == "#123456"
    # in the property checks
    assert "halves" in properties.available() and ("noise", "halves") in properties.compared()
    above, below = properties.margins("noise", "halves")
    assert len(above) == len(below) == 2


def test_names_are_unique_and_comparisons_name_rows():
    tables = (separate.SEPARATORS, TEST_SETS, METRICS, REFERENCES)
    assert all(name == row.name for table in tables for name, row in table.items())
    labels = [row.label for row in [*SYSTEMS.values(), *REFERENCES.values()]]
    assert len(set(labels)) == len(labels) and label("ddsp_features") in labels and label("no row") == "no row"
    for row in statistics.COMPARISONS:
        assert all(TEST_SETS[row.test_set].scores(SYSTEMS[name]) for name in (row.better, row.worse)), row


def test_separators_for_one_kind_of_music_are_not_tried_on_others():
    default = {name: {row.name for row in SYSTEMS.values() if TEST_SETS[name].scores(row)} for name in TEST_SETS}
    assert "musdb" in default["musdb18_7s"] and "conv_tasnet" not in default["musdb18_7s"]
    assert default["musdb18"] == default["musdb18_7s"] and not {"irm@ddsp", "psm@4096"} & default["musdb18"]
    assert "ddsp_masked@air_traffic" in default["air_traffic"] and "musdb" not in default["air_traffic"]
    assert not {"musdb", "ddsp_masked@air_traffic"} & default["same_artist"]
    assert "ddsp_masked@true_f0" in default["other_artist"] - default["extra_instrument"]


def test_clips_of_recordings_are_not_published():
    assert {name for name, row in TEST_SETS.items() if row.publishable} == {
        name for name, row in TEST_SETS.items() if row.place == "band"
    }
