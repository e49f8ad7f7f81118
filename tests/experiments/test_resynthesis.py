"""Scores of resyntheses: what equal sounds, wrong notes and absent files give."""

import numpy as np
import pytest

from ddsp_models import crepe
from ddsp_models.spectral_loss import spectral_loss
from experiments import resynthesis

RATE = 16000


def line(hertz, seconds=8.0):
    n = np.arange(int(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * hertz * n) for k in range(1, 6)).astype(np.float32)


def test_equal_sounds_score_nothing_and_halves_six_decibels():
    stem = line(110.0, 9.0)
    assert resynthesis.sound_scores(stem, stem) == {"spectral_loss": 0, "spectral_loss_per_bin": 0, "loudness_l1": 0}
    scores = resynthesis.sound_scores(stem, 0.5 * stem)
    assert abs(scores["loudness_l1"] - 20 * np.log10(2)) < 0.01
    examples = [float(spectral_loss(x[None], 0.5 * x[None])) for x in (stem[:64000], stem[64000:128000])]
    assert abs(scores["spectral_loss"] - np.mean(examples)) < 1e-3
    assert 0 < scores["spectral_loss_per_bin"] < scores["spectral_loss"] / 4  # a mean, where the other is a sum of six


@pytest.mark.parametrize("source, hertz", [("bass", 55.0), ("vocals", 220.0)])
def test_a_note_that_is_a_quartertone_off_is_wrong(source, hertz, monkeypatch, tmp_path):
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))  # none: pYIN stands in
    sound = line(hertz, 1.0)
    truth = np.full(250, hertz)
    scores, method = resynthesis.pitch_scores(truth, np.ones(250, bool), sound, source)
    assert method == ("yin" if source == "bass" else "pyin")
    assert scores["raw_pitch_accuracy"] > 0.95 and scores["f0_l1_cents"] < 15
    scores, _ = resynthesis.pitch_scores(truth * 2 ** (0.6 / 12), np.ones(250, bool), sound, source)
    assert scores["raw_pitch_accuracy"] < 0.05 and 45 < scores["f0_l1_cents"] < 75
    silent, _ = resynthesis.pitch_scores(truth, np.zeros(250, bool), sound, source)
    assert silent == {}  # nothing voiced: nothing to report, not 0
    with pytest.raises(crepe.WeightsError):
        crepe.weights_path()


def test_the_command_says_in_one_line_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AIR_TRAFFIC_PATH", str(tmp_path))
    monkeypatch.setattr(resynthesis, "load_decoder", lambda name: (None, {"sha256": "0"}))
    assert resynthesis.main(["--test-sets", "air_traffic"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("experiments.resynthesis: AIR_TRAFFIC_PATH") and error.count("\n") == 1
    assert resynthesis.main(["--voice", str(tmp_path / "none.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
