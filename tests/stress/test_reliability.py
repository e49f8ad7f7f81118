"""The file that `make stress` writes: rows of one check are replaced, and a failure is an exit status."""

from types import SimpleNamespace

import pytest

from common import results
from common.places import HERE, Places
from stress import reliability


def checks(first, second=5):
    """Two checks of five tries each, that pass so many."""
    return {
        name: lambda options, name=name, passed=passed: [reliability.record(name, "case", 5, passed, "error", 0.5, "s")]
        for name, passed in (("first", first), ("second", second))
    }


def test_rows_of_one_check_are_replaced(tmp_path, capsys):
    places, path = Places(tmp_path), tmp_path / "results" / "reliability.json"
    assert reliability.main([], places, checks(first=3)) == 1  # 3 of 5 passed
    assert reliability.main(["first", "--dry-run"], places, checks(first=4)) == 1
    assert [row["passed"] for row in results.read(path)["records"]] == [3, 5]
    assert reliability.main(["first"], places, checks(first=5)) == 0
    content = results.read(path)
    rows = [(row["check"], row["tried"], row["passed"]) for row in content["records"]]
    assert rows == [("first", 5, 5), ("second", 5, 5)]
    assert set(content["check_seconds"]) == {"first", "second"} and content["schema"] == 1
    assert "wrote results/reliability.json" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        reliability.main(["third"], places, checks(first=5))


def test_rows_of_cases_that_are_not_checked_again_stay():
    rows = [{"check": check, "case": f"chunks = whole, {model}"} for check in ("properties", "files") for model in "ab"]
    assert [reliability.stays(row, ["properties"], ["a"]) for row in rows] == [False, True, True, True]
    assert [reliability.stays(row, ["properties"], None) for row in rows] == [False, False, True, True]


def failed(path):
    """The cases of a result file that did not pass, or were never tried."""
    rows = results.read(path)["records"]
    return [row["case"] for row in rows if not row["passed"] == row["tried"] > 0]


def test_of_the_committed_file_all_passed(tmp_path):
    """A lint of results: it fails on a file that is missing, damaged, or tells of a failure."""
    path = HERE.results / "reliability.json"
    assert {row["check"] for row in results.read(path)["records"]} == set(reliability.CHECKS)
    assert failed(path) == []
    damaged = tmp_path / "reliability.json"
    damaged.write_text(path.read_text().replace('"passed": 200', '"passed": 199', 1))
    with pytest.raises(results.ResultsError, match="checksum"):
        failed(damaged)
    reliability.main(["first"], Places(tmp_path), checks(first=3))
    assert failed(tmp_path / "results" / "reliability.json") == ["case"]


def test_the_tests_that_are_promised_are_run_and_counted():
    (row,) = reliability.check_promises(SimpleNamespace(only=["tests/common/test_places.py"]))
    assert row["check"] == "promises" and row["passed"] == row["tried"] > 0
