"""The file that `make stress` writes: rows of one check are replaced, and a failure is an exit status."""

import json

import pytest

from common import results
from stress import reliability


@pytest.fixture
def checks(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(reliability, "PATH", tmp_path / "reliability.json")
    passed = {"first": 3, "second": 5}
    monkeypatch.setattr(
        reliability,
        "CHECKS",
        {
            name: lambda name=name: iter([reliability.record(name, "case", 5, passed[name], "error", 0.5, "s")])
            for name in passed
        },
    )
    return passed


def test_rows_of_one_check_are_replaced(checks, capsys):
    assert reliability.main([]) == 1  # 3 of 5 passed
    checks["first"] = 5
    assert reliability.main(["first"]) == 0
    content = results.read(reliability.PATH)
    assert [(row["check"], row["tried"], row["passed"]) for row in content["records"]] == [
        ("first", 5, 5),
        ("second", 5, 5),
    ]
    assert set(content["check_seconds"]) == {"first", "second"} and content["schema"] == 1
    assert reliability.main(["third"]) == 2
    assert capsys.readouterr().err.strip() == "reliability: 'third' is none of first, second"


def test_rows_of_models_that_are_not_measured_again_stay():
    rows = [
        {"check": check, "case": f"chunks = whole, {model}"} for check in ("properties", "margins") for model in "ab"
    ]
    assert [reliability.stays(row, ["a"]) for row in rows] == [False, True, False, False]
    assert not any(reliability.stays(row, None) for row in rows)


def test_the_committed_file_says_that_all_passed():
    path = results.RESULTS / "reliability.json"
    if not path.exists():
        pytest.skip("`make stress` has not been run")
    rows = results.read(path)["records"]
    assert rows and all(row["passed"] == row["tried"] > 0 for row in rows), json.dumps(rows)
