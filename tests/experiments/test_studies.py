"""Studies of music and parameters: what is up to date is skipped, what was interrupted is resumed."""

import json
from dataclasses import replace

import pytest

from common import results
from common.files import sha256_of
from common.places import HERE
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.mask_refinement import RefinedSizes
from experiments import statistics, studies
from experiments.studies import MODELS, Study
from tests.helpers import one_line
from training.loop import read_log
from virtual_band.dataset import build_set

SHORT = {"steps": 4, "steps_per_epoch": 1, "start_from": ""}
CROPS = {"batch_size": 1, "seconds": 1.0, "warmup": 1}
MINUTES = 2 / 3  # two songs of 20 s; here they last 2.5 s


@pytest.fixture
def small(elsewhere, uncompiled, monkeypatch):
    """Models that train in seconds, and a band whose songs last two; returns the folder of the runs."""
    for name, songs in (("one_artist", 2), ("validation", 1), ("same_artist", 2), ("other_artist", 1)):
        build_set(HERE.band, name, songs=songs, seconds=2.5)
    analysis = Sizes(channels=8, hidden=8, filters=2, dilations=(1,), harmonic_bands=4, noise_bands=4, bands=4)
    conv_tasnet = replace(MODELS["conv_tasnet"].recipe.config, N=16, B=8, H=8, Sc=8, X=2, R=1)
    refined = RefinedSizes(**analysis.to_dict(), filters_2d=2, reach=((1, 1),))
    monkeypatch.setattr(studies, "SHORT", SHORT)
    for (name, model), config in zip(MODELS.items(), (conv_tasnet, analysis, refined)):
        adam = {"optimizer": "adam"} if name == "conv_tasnet" else {}  # for its own one Keras 3.10 is too old
        recipe = replace(model.recipe, config=config).with_training(**CROPS, **adam)
        monkeypatch.setitem(MODELS, name, replace(model, recipe=recipe))
    return HERE.runs / "studies"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["conv_tasnet", "ddsp_masked"])
def test_a_training_is_done_once_and_scored(small, model):
    study = Study(model, MINUTES, seed=1)
    path = studies.run(study, steps=2)
    content = results.read(path)
    assert content["steps"] == 2 and len(content["validation"]) == 2 and content["ended_by"] == "schedule"
    assert ("masks" in content) == (model == "ddsp_masked")
    assert content["parameters"] > 100 and content["processor_seconds"] > 0 and content["best_step"] in (1, 2)
    records = content["records"]
    assert {len({r["track"] for r in records if r["test_set"] == t}) for t in studies.SCORED_ON} == {1, 2}
    assert {r["system"] for r in records} == {f"{model}@0.666667min"}
    assert {r["seed"] for r in records} == {1} and {r["source"] for r in records} == {"drums", "bass", "vocals"}
    assert studies.run(study, steps=2) is None  # up to date
    del content["config"]["sizes"]["sample_rate"], content["sha256"]  # as of before the field was added
    results.write(path, content)
    assert studies.run(study, steps=2) is None
    (read,) = statistics.read_studies()
    assert read["minutes"] == MINUTES and read["size"] == "middle" and read["steps"] == 2
    log = (small / study.name / "log.csv").read_text()
    if model == "ddsp_masked":  # in dB, as Conv-TasNet's
        natural = [float(row["val_snr"]) for row in read_log(small / study.name / "log.csv")]
        assert content["validation"] == pytest.approx([loss / 0.2302585 for loss in natural], rel=1e-5)
    path.unlink()
    studies.run(study, steps=2)  # the training is there: only the scores are computed again
    assert (small / study.name / "log.csv").read_text() == log
    assert results.read(path)["processor_seconds"] == content["processor_seconds"]


@pytest.mark.slow
def test_masks_are_refined_after_their_separator_was_trained_on_the_same_songs(small):
    study = Study("ddsp_masked@refined", MINUTES)
    content = results.read(studies.run(study, steps=1))
    before = small / content["begun_with"]
    assert len(read_log(before / "log.csv")) == 4  # its own training, whole
    assert content["steps"] == 1 and {r["system"] for r in content["records"]} == {"ddsp_masked@refined@0.666667min"}
    settings = json.loads((small / study.name / "settings.json").read_text())
    assert settings["start_sha256"] == sha256_of(before / "best.keras")
    log = (before / "log.csv").read_bytes()
    assert studies.run(study, steps=1) is None and (before / "log.csv").read_bytes() == log


def test_the_command_names_what_is_missing(elsewhere, capsys):
    name = "conv_tasnet-3min-middle-0"
    for arguments, words in (([], "no songs in train"), (["--steps", "0"], "steps: expected more than 0, got 0")):
        assert studies.main(["--only", name, *arguments]) == 2
        error = one_line(capsys)
        assert error.startswith("experiments.studies: ") and words in error
    build_set(HERE.band, "one_artist", songs=1, seconds=2.5)
    assert studies.main(["--only", name]) == 2
    assert "expected 9 songs for 3 minutes, got 1" in capsys.readouterr().err
