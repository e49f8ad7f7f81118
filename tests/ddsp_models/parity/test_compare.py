"""The comparison with ddsp and CREPE: its inputs, its verdicts, and its errors.

The comparison itself needs an environment of its own: `make parity`.
"""

import sys

import keras
import numpy as np
import pytest

from common import results
from common.places import HERE
from ddsp_models.parity import compare
from ddsp_models.pitch import crepe
from tests.helpers import array, one_line


def test_the_inputs_are_the_same_in_each_run_and_every_function_takes_them():
    (first,), (again,) = compare.questions(1), compare.questions(1)
    assert compare.our_answers(None).keys() == first.keys()
    for name, arguments in first.items():
        for key, value in arguments.items():
            np.testing.assert_array_equal(value, again[name][key])
            assert value.dtype in (np.float32, np.int64) and np.isfinite(value).all()
    np.testing.assert_allclose(first["crepe_tiny"]["frames"].std(axis=1), 1, atol=1e-3)


def test_a_peer_that_agrees_passes_and_one_that_does_not_fails():
    drawn = compare.questions(1)
    network = crepe.build("tiny")
    answers = {
        f"{name}/0": array(answer(**drawn[0][name])).astype(np.float64)
        for name, answer in compare.our_answers(network).items()
    }
    answers["harmonic_synthesis/0"] = np.stack([answers["harmonic_synthesis/0"]] * 2)
    assert all(record["passed"] for record in compare.compare(drawn, answers, network))
    answers["loudness/0"] = answers["loudness/0"] + 1
    failed = [record["check"] for record in compare.compare(drawn, answers, network) if not record["passed"]]
    assert failed == ["loudness"]


@pytest.mark.parametrize("ours", [np.array([1.0, np.nan]), np.ones(3)])
def test_nan_or_another_shape_is_no_agreement(ours):
    assert compare._error(ours, np.ones(2)) == float("inf")


def test_the_minute_stays_within_its_limit():
    assert compare.a_minute()["passed"]


def test_without_weights_or_without_ddsp_it_exits_with_two_and_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))
    assert compare.main(["--out", str(tmp_path / "parity.json")]) == 2
    assert one_line(capsys)
    weights = tmp_path / "model-tiny.h5"
    weights.write_bytes(b"BZ")
    monkeypatch.setattr(crepe, "load_model", lambda size, path: keras.Sequential())
    for python, message in (
        (sys.executable, "expected an environment with ddsp 3.7.0"),
        (str(tmp_path / "none"), "No such file"),
    ):
        assert compare.main(["--python", python, "--cases", "1", "--out", str(tmp_path / "parity.json")]) == 2
        assert message in one_line(capsys)
    assert compare.main(["--cases", "0"]) == 2
    assert not (tmp_path / "parity.json").exists()


def test_the_shipped_result_says_that_everything_agrees():
    shipped = results.read(HERE.results / "parity.json")
    assert all(record["passed"] for record in shipped["records"])
    assert {record["check"] for record in shipped["records"]} >= compare.our_answers(None).keys() | {"vocadito_1"}
