"""The benchmark runner: what it times, keeps and refuses."""

import numpy as np
import pytest

from benchmarks import __main__ as runner
from benchmarks import timing
from common import results


def test_both_run_in_turn_after_a_warm_up():
    calls = []
    ours_s, peer_s = timing.in_turn(lambda: calls.append("ours"), lambda: calls.append("peer"), repeats=3)
    assert calls == ["ours", "peer"] * 4 and ours_s >= 0 and peer_s >= 0


def test_peak_memory_is_that_of_the_call():
    def call():
        return np.ones(5_000_000).sum()

    assert timing.peak_mb(call) == pytest.approx(40, abs=8)
    assert timing.peak_mb(call) == pytest.approx(40, abs=8)  # what the first call left behind does not hide it


def test_new_records_replace_old_ones_and_variants_that_did_not_run_stay():
    old = [{"benchmark": name, "ours_s": 1} for name in ("b", "a@x", "a", "ab")]
    merged = runner.merged(old, [{"benchmark": "a", "ours_s": 2}])
    assert merged == [
        {"benchmark": "a", "ours_s": 2},
        {"benchmark": "a@x", "ours_s": 1},
        {"benchmark": "ab", "ours_s": 1},
        {"benchmark": "b", "ours_s": 1},
    ]


def test_the_runner_writes_and_keeps(tmp_path, monkeypatch, capsys):
    import benchmarks.stft_istft as module

    monkeypatch.setattr(runner, "PATH", tmp_path / "benchmarks.json")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(module, "SECONDS", 2)
    results.write(runner.PATH, results.head("benchmarks") | {"records": [{"benchmark": "other"}]})
    assert runner.main(["stft_istft", "--dry-run"]) == 0
    assert [r["benchmark"] for r in results.read(runner.PATH)["records"]] == ["other"]
    assert runner.main(["stft_istft"]) == 0
    kept, new = results.read(runner.PATH)["records"]
    assert kept == {"benchmark": "other"} and new["benchmark"] == "stft_istft" and new["max_error"] < 1e-5
    assert new["ratio"] == new["peer_s"] / new["ours_s"]
    assert "wrote benchmarks.json" in capsys.readouterr().out


def test_unknown_names_and_changed_files_are_refused(tmp_path, monkeypatch, capsys):
    assert runner.main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("benchmarks: NAME: 'nothing' is none of ")
    monkeypatch.setattr(runner, "PATH", tmp_path / "benchmarks.json")
    runner.PATH.write_text("{}")
    assert runner.main(["stft_istft"]) == 2
    assert "benchmarks.json" in capsys.readouterr().err
