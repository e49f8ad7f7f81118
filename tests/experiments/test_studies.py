"""Studies of music and parameters: one rule for both models, what is current is skipped, what was stopped goes on."""

import dataclasses
import json

import pytest

from common import results
from common.files import sha256_of
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.mask_refinement import RefinedSizes
from experiments import statistics, studies
from virtual_band.dataset import build_set


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two models that train in seconds, and a band whose songs last two."""
    for name, songs in (("one_artist", 2), ("validation", 1), ("same_artist", 2), ("other_artist", 1)):
        build_set(tmp_path / "band", name, songs=songs, seconds=2.5)
    monkeypatch.setattr(studies, "BAND", tmp_path / "band")
    monkeypatch.setattr(studies, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(studies, "FOLDER", tmp_path / "results" / "studies")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(studies, "SONG_SECONDS", 90.0)  # so that three minutes are two songs
    conv = dataclasses.replace(studies.LAPTOP, N=16, B=8, H=8, Sc=8, X=2, R=1)
    ddsp = Sizes(channels=8, hidden=8, filters=2, dilations=(1,), harmonic_bands=4, noise_bands=4, bands=4)
    refined = RefinedSizes(**ddsp.to_dict(), filters_2d=2, reach=((1, 1),))
    sizes = {"conv_tasnet": conv, "ddsp_masked": ddsp, "ddsp_masked@refined": refined}
    monkeypatch.setattr(studies, "SIZES", {model: {"middle": each} for model, each in sizes.items()})
    short = {"steps": 4, "steps_per_epoch": 1, "batch_size": 1, "seconds": 1.0, "warmup": 1}
    training = {name: dataclasses.replace(each, **short) for name, each in studies.TRAINING.items()}
    adam = dataclasses.replace(training["conv_tasnet"], optimizer="adam")  # for its own one Keras 3.10 is too old
    monkeypatch.setattr(studies, "TRAINING", {**training, "conv_tasnet": adam})
    return tmp_path


@pytest.mark.parametrize("model", ["conv_tasnet", "ddsp_masked"])
def test_a_training_is_done_once_and_scored(small, model):
    name = f"{model}-3min-middle-1"
    path = studies.run(name, steps=2)
    content = results.read(path)
    assert content["steps"] == 2 and len(content["validation"]) == 2 and content["ended_by"] == "schedule"
    assert ("masks" in content) == (model == "ddsp_masked")
    assert content["parameters"] > 100 and content["processor_seconds"] > 0 and content["best_step"] in (1, 2)
    records = content["records"]
    assert {len({r["track"] for r in records if r["test_set"] == t}) for t in studies.TEST_SETS} == {1, 2}
    assert {r["system"] for r in records} == {f"{model}@3min"}
    assert {r["seed"] for r in records} == {1} and {r["source"] for r in records} == {"drums", "bass", "vocals"}
    assert studies.run(name, steps=2) is None  # current
    del content["config"]["sizes"]["sample_rate"], content["sha256"]  # as of before the field was added
    results.write(path, content)
    assert studies.run(name, steps=2) is None
    (study,) = statistics.read_studies()
    assert study["minutes"] == 3 and study["size"] == "middle" and study["steps"] == 2
    log = (small / "runs" / name / "log.csv").read_text()
    if model == "ddsp_masked":  # in dB, as Conv-TasNet's
        natural = studies.losses(small / "runs" / name / "log.csv", "val_snr")
        assert content["validation"] == pytest.approx([look / 0.2302585 for look in natural], rel=1e-5)
    path.unlink()
    spent = (small / "runs" / name / "processor_seconds.txt").read_text()
    studies.run(name, steps=2)  # the training is there: only the scores are made again
    assert (small / "runs" / name / "log.csv").read_text() == log
    assert results.read(path)["processor_seconds"] == float(spent)


def test_masks_are_corrected_after_their_separator_was_trained_on_the_same_songs(small):
    name = "ddsp_masked@refined-3min-middle-0"
    content = results.read(studies.run(name, steps=1))
    before = small / "runs" / content["begun_with"]
    assert len(studies.losses(before / "log.csv", "val_snr")) == 4  # its own training, whole
    assert content["steps"] == 1 and {r["system"] for r in content["records"]} == {"ddsp_masked@refined@3min"}
    settings = json.loads((small / "runs" / name / "settings.json").read_text())
    assert settings["start_sha256"] == sha256_of(before / "best.keras")
    spent = (before / "log.csv").read_bytes()
    assert studies.run(name, steps=1) is None and (before / "log.csv").read_bytes() == spent


def test_both_models_end_by_the_same_rule():
    assert {training.patience for training in studies.TRAINING.values()} == {studies.PATIENCE}
    assert len({training.steps_per_epoch for training in studies.TRAINING.values()}) == 1
    assert len({studies.TRAINING[model].steps for model in studies.BOTH}) == 1


def test_both_models_have_the_same_trainings():
    cells = {}
    for study in studies.STUDIES.values():
        if study in studies.REFINED:
            continue
        cells.setdefault((study.minutes, study.size, study.long), []).append((study.model, study.seed))
    seeds = {cell: {seed for _, seed in found} for cell, found in cells.items()}
    assert all(len(found) == 2 * len(seeds[cell]) == len(set(found)) for cell, found in cells.items())
    assert {cell for cell in cells if cell[2]} == {(3, "middle", True)}
    short = {(3, size, False) for size in ("small", "middle", "large")} | {(m, "middle", False) for m in (1, 10, 30)}
    assert {cell for cell in cells if not cell[2]} == short
    assert seeds[3, "middle", True] == seeds[3, "middle", False] == {0, 1}


def test_the_command_names_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(studies, "BAND", tmp_path)
    assert studies.main(["--only", "conv_tasnet-3min-middle-0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("experiments.studies: ") and error.count("\n") == 1
    assert studies.main(["--steps", "0"]) == 2 and "--steps" in capsys.readouterr().err
