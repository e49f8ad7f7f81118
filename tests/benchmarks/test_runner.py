"""The benchmark runner: what it times, keeps and refuses."""

import numpy as np
import pytest

from benchmarks import runner, spectra, timing
from common import results
from common.places import HERE, Places


def test_both_run_in_turn():
    calls = []
    ours_s, peer_s = timing.in_turn(lambda: calls.append("ours"), lambda: calls.append("peer"), repeats=3)
    assert calls == ["ours", "peer"] * 3 and ours_s >= 0 and peer_s >= 0


def test_a_record_holds_error_and_ratio_of_two_functions():
    row = timing.record("a@b", lambda: [np.ones(3)], "a peer", lambda: [np.full((3, 1), 2.0)], repeats=1)
    assert (row["benchmark"], row["peer"], row["max_error"]) == ("a@b", "a peer", 0.5)
    assert row["ratio"] == row["peer_s"] / row["ours_s"] and row["peak_mb"] < 10


def test_peak_memory_is_that_of_the_call():
    def call():
        return np.ones(5_000_000).sum()

    assert timing.peak_mb(call) == pytest.approx(40, abs=8)
    assert timing.peak_mb(call) == pytest.approx(40, abs=8)  # what the first call left behind does not hide it


def test_new_records_replace_old_ones_and_variants_that_did_not_run_stay():
    old = [{"benchmark": name, "ours_s": 1} for name in ("b", "a@x", "a", "ab")]
    merged = runner.merged(old, [{"benchmark": "a", "ours_s": 2}])
    assert [(row["benchmark"], row["ours_s"]) for row in merged] == [("a", 2), ("a@x", 1), ("ab", 1), ("b", 1)]


def test_the_runner_writes_and_keeps(tmp_path, monkeypatch, capsys):
    places, path = Places(tmp_path), tmp_path / "results" / "benchmarks.json"
    monkeypatch.setattr(spectra, "SECONDS", 2)
    results.write(path, results.head("benchmarks") | {"records": [{"benchmark": "other"}]})
    assert runner.main(["stft_istft", "--dry-run"], places) == 0
    assert [r["benchmark"] for r in results.read(path)["records"]] == ["other"]
    assert runner.main(["stft_istft"], places) == 0
    kept, new = results.read(path)["records"]
    assert kept == {"benchmark": "other"} and new["benchmark"] == "stft_istft" and new["max_error"] < 1e-5
    assert new["ratio"] == new["peer_s"] / new["ours_s"]
    assert "wrote results/benchmarks.json" in capsys.readouterr().out


def test_unknown_names_and_changed_files_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        runner.main(["nothing"])
    assert "argument NAME: invalid choice: 'nothing'" in capsys.readouterr().err
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "benchmarks.json").write_text("{}")
    assert runner.main(["stft_istft"], Places(tmp_path)) == 2
    assert "benchmarks.json" in capsys.readouterr().err


def test_every_committed_record_is_of_a_benchmark():
    """Names of records begin with that of a benchmark; `long_synthesis` writes those of minutes of the synthesiser."""
    for record in results.read(HERE.results / "benchmarks.json")["records"]:
        assert record["benchmark"].partition("@")[0].removesuffix("_grad") in runner.BENCHMARKS
