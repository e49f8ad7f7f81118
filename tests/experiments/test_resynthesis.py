"""Scores of resyntheses: what an absent file gives, and where the told pitch is looked at."""

import numpy as np

from experiments import resynthesis


def test_told_pitch_is_looked_at_where_the_tracker_listens():
    line = np.arange(1.0, 104.0)[:, None]  # frames, 250 a second
    told = resynthesis.told_pitch({"f0": line, "voiced": (line > 10).astype(float)}, {"f0": np.zeros(20)})
    assert np.array_equal(told, [0, 0, *range(11, 101, 5)])


def test_the_command_says_in_one_line_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AIR_TRAFFIC_PATH", str(tmp_path))
    monkeypatch.setattr(resynthesis, "load_decoder", lambda name: (None, {"sha256": "0"}))
    assert resynthesis.main(["--test-sets", "air_traffic"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("experiments.resynthesis: AIR_TRAFFIC_PATH") and error.count("\n") == 1
    assert resynthesis.main(["--voice", str(tmp_path / "none.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
