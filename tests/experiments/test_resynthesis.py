"""Scores of resyntheses: what a missing file gives, and at which frames a decoder's f0 is compared."""

import numpy as np

from common.places import HERE
from experiments import resynthesis
from tests.helpers import one_line


def test_f0_of_a_decoder_is_compared_at_the_frames_of_the_tracker():
    line = np.arange(1.0, 104.0)[:, None]  # frames, 250 a second
    f0 = resynthesis.decoder_f0({"f0": line, "voiced": (line > 10).astype(float)}, {"f0": np.zeros(20)})
    assert np.array_equal(f0, [0, 0, *range(11, 101, 5)])


def test_the_command_says_in_one_line_what_is_missing(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(HERE, "air_traffic", elsewhere)
    assert resynthesis.main(["--test-sets", "air_traffic"]) == 2
    assert one_line(capsys).startswith("experiments.resynthesis: AIR_TRAFFIC_PATH")
    assert resynthesis.main(["--voice", str(elsewhere / "none.wav")]) == 2
    assert "none.wav" in one_line(capsys)
