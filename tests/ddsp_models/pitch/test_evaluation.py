"""Sounds of known pitch, the scores of trackers on them, and the command that writes them."""

import numpy as np
import pytest

from common import results
from ddsp_models.pitch import crepe, evaluation, tracking


def median_hz(audio, fmin=40, fmax=1000):
    return float(np.median(tracking.track_pitch(audio, evaluation.RATE, "yin", fmin=fmin, fmax=fmax).f0))


def test_pulses_have_the_pitch_they_claim_and_half_of_it_when_every_second_one_is_missing():
    audio, f0 = evaluation.glottal_pulses(130.0, 0.6)
    assert len(f0) == 150 and len(audio) == 9600 and np.abs(audio).max() == pytest.approx(0.3)
    assert median_hz(audio) == pytest.approx(130, rel=0.003)
    assert median_hz(evaluation.glottal_pulses(130.0, 0.6, weaker=1.0)[0]) == pytest.approx(65, rel=0.003)


def test_notes_of_the_band_have_the_pitch_that_was_asked_for():
    audio, f0 = evaluation.bass_note(33, 0.6)
    assert median_hz(audio) == pytest.approx(np.median(f0[f0 > 0]), rel=0.01)
    assert np.median(f0[f0 > 0]) == pytest.approx(55, rel=0.01)
    audio, f0 = evaluation.sung_note(62, 0.8)
    assert median_hz(audio) == pytest.approx(np.median(f0[f0 > 0]), rel=0.01)


def test_a_fifth_repeats_an_octave_below_its_lower_note():
    assert median_hz(evaluation.chord(220.0, (1, 3 / 2), 0.5)[0]) == pytest.approx(110, rel=0.003)


def test_the_other_sound_lies_so_many_decibels_below():
    stem, other = np.random.default_rng(0).standard_normal((2, 20000))
    mixed = evaluation.at_snr(stem, other, 6.0)
    assert 10 * np.log10(np.mean(stem**2) / np.mean((mixed - stem) ** 2)) == pytest.approx(6.0, abs=0.2)
    np.testing.assert_allclose(evaluation.at_snr(stem, other, np.inf), stem, rtol=1e-6)


def test_a_right_pitch_scores_and_an_octave_below_does_not():
    audio, f0 = evaluation.glottal_pulses(130.0, 0.5)
    right = evaluation.score("jitter", "0", "tone", audio, f0, ["yin"])
    assert [(r["metric"], r["value"]) for r in right] == [("raw_pitch_accuracy", 1.0)]
    music = evaluation.score("same_artist", "a song", "tone", audio, 2 * f0, ["yin"])
    value = {r["metric"]: r["value"] for r in music}
    assert value["raw_pitch_accuracy"] == 0 and value["raw_chroma_accuracy"] == 1 and value["voicing_recall"] > 0.9
    assert "voicing_false_alarm" not in value  # nothing is unvoiced: not defined, so left out


def test_activations_survive_packing():
    salience = np.random.default_rng(0).random((41, crepe.BINS))
    packed = evaluation.packed(salience)
    assert packed["shape"] == [11, crepe.BINS]
    np.testing.assert_allclose(evaluation.unpacked(packed), salience[::4], atol=0.5 / 255 + 1e-9)


def test_the_command_names_a_missing_recording(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "songs_of", lambda name: [])
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))  # none there
    assert evaluation.main(["--voice", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().split("\n")
    assert "CREPE is left out" in lines[0] and "vocadito_1.wav" in lines[-1]


def test_what_is_shipped_keeps_its_promises():
    """YIN finds the band's bass, CREPE a recorded voice and the band's voices; not computed is never 0."""
    records = results.read(evaluation.PATH)["records"]

    def mean(test_set, system, source):
        chosen = [
            r["value"]
            for r in records
            if (r["test_set"], r["system"], r["source"], r["metric"])
            == (test_set, system, source, "raw_pitch_accuracy")
        ]
        return np.mean(chosen) if chosen else None

    assert mean("same_artist", "yin", "bass") > 0.95 and mean("same_artist", "pyin", "vocals") > 0.95
    for test_set in ("same_artist", "recorded_voice"):
        accuracy = mean(test_set, "crepe", "vocals")
        assert accuracy is None or accuracy > 0.95
