"""Scores of resyntheses: what a missing file gives, and at which frames a decoder's f0 is compared."""

import numpy as np

from common.places import HERE
from experiments import resynthesis


def test_f0_of_a_decoder_is_compared_at_the_frames_of_the_tracker():
    line = np.arange(1.0, 104.0)[:, None]  # frames, 250 a second
    f0 = resynthesis.decoder_f0({"f0": line, "voiced": (line > 10).astype(float)}, {"f0": np.zeros(20)})
    assert np.array_equal(f0, [0, 0, *range(11, 101, 5)])


def test_the_command_says_in_one_line_what_is_missing(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(HERE, "air_traffic", elsewhere)
    assert resynthesis.main(["--test-sets", "air_traffic"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("experiments.resynthesis: AIR_TRAFFIC_PATH") and error.count("\n") == 1
    assert resynthesis.main(["--voice", str(elsewhere / "none.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
