"""Values that texts name: read from result files, remembered with their arguments, computed again from both."""

import json

import numpy as np
import pytest

from common import results
from experiments import values
from tests.helpers import recorded, refused, write_study


@pytest.fixture
def scored(write_results):
    """Scores of two systems on two songs."""
    irm = recorded("irm", {"drums": {"si_sdr": [6.0, 9.0]}, "bass": {"si_sdr": [4.0, 7.0], "sdr": [1.0, 3.0]}})
    mixture = recorded("mixture", {"drums": {"si_sdr": [1.0, 1.0]}, "bass": {"si_sdr": [5.0, 7.0]}})
    write_results("scores/same_artist-irm.json", irm, network={"parameters": 7}, realtime=0.5)
    write_results("scores/same_artist-mixture.json", mixture, network=None, realtime=None)


def test_scores_are_averages_by_source(scored):
    assert values.score("same_artist", "irm").row() == {"drums": 7.5, "bass": 5.5, "mean": 6.5, "songs": 2}
    assert values.score("same_artist", "irm", "sdr").bass == 2.0
    assert f"{values.score('same_artist', 'irm'):.2f}" == "6.50"
    assert values.facts("same_artist", "irm").row() == {"parameters": 7, "realtime": 0.5}
    assert values.above("same_artist", "irm", "mixture").sources == "drums"
    assert values.above("same_artist", "irm", "irm").sources == "none"


def test_differences_are_paired(scored):
    ours = values.difference("same_artist", "irm", "mixture")
    assert (ours.mean, ours.drums, ours.bass, ours.songs, ours.ahead) == (3.0, 6.5, -0.5, 2, 2)
    assert ours.low <= ours.mean <= ours.high
    assert values.difference("same_artist", "irm", "mixture", "bass").row()["ahead"] == 0


def test_a_value_is_computed_again_from_what_a_notebook_keeps(scored, write_results):
    for value in (values.score("same_artist", "irm", metric="si_sdr"), values.score("same_artist", "irm")):
        gain = value - values.score("same_artist", "mixture")
        kept = json.loads(json.dumps(values.as_plain({"gain": gain, "weights": np.int64(3), "words": ("a",)})))
        assert kept["weights"] == 3 and kept["words"] == ["a"] and values.restored(3) == 3
        assert (
            values.restored(kept["gain"]).row() == gain.row() == {"drums": 6.5, "bass": -0.5, "mean": 3.0, "songs": 0}
        )
    write_results("scores/same_artist-irm.json", recorded("irm", {"drums": {"si_sdr": [60.0]}}))
    assert values.restored(kept["gain"]).drums == 59.0


@pytest.mark.parametrize("ask, words", [
    (lambda: values.score("same_artist", "irm", "loudness_l1").mean, "metric='loudness_l1'.*one of songs; got 'mean'"),
    (lambda: values.score("same_artist", "irm").vocals, r"score\(test_set='same_artist', system='irm'\).*got 'vocals'"),
    (lambda: f"{values.score('same_artist', 'hps'):.1f}", "same_artist-hps.json: no such file"),
    (lambda: values.facts("same_artist", "mixture").network, "got 'network'"),
])  # fmt: skip
def test_what_is_not_in_the_results_is_named(scored, ask, words):
    refused(words, ask, error=results.ResultsError)


def test_substitutions_and_ablations_are_told_apart_by_test_set_variant_and_metric(write_results):
    told = recorded("told", {"bass": {"si_sdr": [3.0, 5.0]}, "drums": {"si_sdr": [8.0]}})
    write_results(
        "substitution-separator.json", told + recorded("told", {"bass": {"si_sdr": [99.0]}}, test_set="other_artist")
    )
    assert values.substitution("same_artist", "told").row() == {"bass": 4.0, "drums": 8.0, "mean": 6.0, "songs": 2}
    heard = values.substitution("other_artist", "heard")
    refused("system='heard'.* got 'bass'", lambda: heard.bass, error=results.ResultsError)
    write_results("ablations-separator.json", recorded("old way", {"bass": {"f0_l1_hz@all": [1.0, 2.0]}}))
    assert values.ablation("old way", "f0_l1_hz@all").mean == 1.5


def test_benchmarks_and_trainings_are_records(write_results):
    write_results("benchmarks.json", [{"benchmark": "fast", "ours_s": 0.5, "ratio": 4.0}])
    assert values.benchmark("fast").ratio == 4.0
    refused("no slow in it", lambda: values.benchmark("slow").ratio, error=results.ResultsError)
    refused("nobody: its record is missing", lambda: values.training("nobody").steps, error=results.ResultsError)


@pytest.fixture
def studied(write_results):
    """Trainings of two models on 3 and 10 minutes of music, of one of them for longer, too."""
    for model, lead in (("conv_tasnet", 0.0), ("ddsp_masked", 2.0)):
        for minutes, options in ((3, {}), (3, {"long": True}), (10, {}), (3, {"size": "small"})):
            write_study(write_results, model, minutes, lead, **options)


def test_studies_are_told_apart_by_music_size_and_length(studied):
    def mean(*arguments, **options):
        return values.study(*arguments, **options).mean

    assert (mean(3, "conv_tasnet"), mean(10, "conv_tasnet"), mean(3, "ddsp_masked")) == (4.0, 11.0, 6.0)
    assert (mean(3, "conv_tasnet", long=True), mean(3, "conv_tasnet", size="small")) == (4.5, 3.0)
    assert mean(3, "conv_tasnet", "other_artist", long=True) == -1.5
    assert values.study_difference(3, "ddsp_masked", "conv_tasnet", "other_artist").mean == 2.0
    assert values.study_difference(3, "ddsp_masked", "conv_tasnet", other_long=True).ahead == 3
    assert values.study_difference(3, "ddsp_masked", "conv_tasnet", other_long=True).mean == 1.5
    missing = "conv_tasnet@1min on same_artist is not computed"
    refused(missing, values.study(1, "conv_tasnet").row, error=results.ResultsError)
