"""Scores of loudness, pitch and spectra: what equal sounds, wrong notes, silence and long songs give."""

import keras
import numpy as np
import pytest

from ddsp_models.spectral_loss import spectral_loss
from experiments import feature_scores
from experiments.catalogue import METRICS

RATE = 16000
FEATURES = {metric.name for metric in METRICS.values() if metric.needs in ("features", "f0", "crepe")}


def line(hertz, seconds=8.0):
    n = np.arange(int(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * hertz * n) for k in range(1, 6)).astype(np.float32)


@pytest.fixture
def no_crepe(monkeypatch, tmp_path):
    """A machine without CREPE's weights."""
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))


def test_equal_sounds_score_nothing_and_halves_six_decibels():
    stem = line(110.0, 9.0)
    scores = feature_scores.sound_scores(stem, stem)
    assert scores == {"spectral_loss": 0, "spectral_loss_per_bin": 0, "loudness_l1": 0}
    scores = feature_scores.sound_scores(stem, 0.5 * stem)
    assert abs(scores["loudness_l1"] - 20 * np.log10(2)) < 0.01
    examples = stem[:128000].reshape(2, -1)
    for name, definition in (("spectral_loss", "ddsp"), ("spectral_loss_per_bin", "per_bin")):
        assert scores[name] == pytest.approx(float(spectral_loss(examples, 0.5 * examples, definition)), rel=1e-4)
    short = feature_scores.sound_scores(stem[:16000], 0.5 * stem[:16000])  # shorter than an example: one example
    assert short["spectral_loss"] == pytest.approx(float(spectral_loss(stem[None, :16000], 0.5 * stem[None, :16000])))


@pytest.mark.parametrize("source, hertz", [("bass", 55.0), ("vocals", 220.0)])
def test_a_note_that_is_a_quartertone_off_is_wrong(source, hertz, no_crepe):
    tracked = feature_scores.track(line(hertz, 1.0), source)
    assert feature_scores.trackers()[source] == ("yin" if source == "bass" else "pyin") and "salience" not in tracked
    reference = np.full(50, hertz)
    scores = feature_scores.pitch_scores(reference, tracked)
    assert scores["raw_pitch_accuracy"] > 0.95 and scores["f0_l1_cents"] < 15 and scores["f0_l1_hz"] < 0.01 * hertz
    assert 0 < scores["f0_confidence"] <= 1
    scores = feature_scores.pitch_scores(reference * 2 ** (0.6 / 12), tracked)
    assert scores["raw_pitch_accuracy"] < 0.05 and 45 < scores["f0_l1_cents"] < 75
    assert feature_scores.pitch_scores(0 * reference, tracked) == {}  # nothing voiced: nothing to report, not 0
    silent = feature_scores.pitch_scores(reference, feature_scores.track(np.zeros(RATE, np.float32), source))
    assert silent["raw_pitch_accuracy"] == 0 and "f0_l1_cents" not in silent  # all wrong, by no known distance


def test_cross_entropy_is_that_of_keras_and_least_for_equal_sounds():
    target, other = np.random.default_rng(0).uniform(0.01, 0.99, (2, 7, 360))
    expected = float(keras.ops.mean(keras.losses.binary_crossentropy(target, other)))
    assert feature_scores.crepe_bce(target, other) == pytest.approx(expected, rel=1e-5)
    assert feature_scores.crepe_bce(target, target) < feature_scores.crepe_bce(target, 0.9 * target)
    assert np.isfinite(feature_scores.crepe_bce(np.ones((2, 360)), np.zeros((2, 360))))


def test_a_long_sound_is_tracked_piece_by_piece_as_it_is_at_once(monkeypatch, no_crepe):
    n = np.arange(5 * RATE) / RATE
    glide = np.sin(2 * np.pi * (60 * n + 8 * n**2)).astype(np.float32)
    whole = feature_scores.track(glide, "bass")
    monkeypatch.setattr(feature_scores, "PIECE", 60)
    pieces = feature_scores.track(glide, "bass")
    assert len(whole["f0"]) == len(pieces["f0"]) == 250
    np.testing.assert_allclose(pieces["f0"], whole["f0"], rtol=1e-3)


def test_crepe_is_used_and_true_stems_are_tracked_once(shared, monkeypatch, tmp_path):
    monkeypatch.setenv("CREPE_WEIGHTS", str(shared / "crepe"))
    stems = {"drums": 0.1 * np.random.default_rng(0).standard_normal(2 * RATE), "vocals": line(220.0, 2.0)}
    known = {"f0_vocals": np.full(500, 220.0), "voiced_vocals": np.ones(500, bool)}
    keep = lambda source: tmp_path / f"{source}.npz"  # noqa: E731
    first = feature_scores.score_features(stems, stems, known, keep)
    values = {(r["source"], r["metric"]): r["value"] for r in first}
    assert values["vocals", "raw_pitch_accuracy"] == 1 and values["vocals", "loudness_l1"] == 0
    assert ("drums", "crepe_bce") not in values and FEATURES == {m for s, m in values if s == "vocals"}
    tracked, track = [], feature_scores.track
    monkeypatch.setattr(feature_scores, "track", lambda sound, source: tracked.append(source) or track(sound, source))
    wrong = feature_scores.score_features(stems, {"vocals": line(233.0, 2.0)}, known, keep)
    worse = {(r["source"], r["metric"]): r["value"] for r in wrong}
    assert tracked == ["vocals"]  # the estimate alone: the f0 of the true stem is kept
    assert worse["vocals", "crepe_bce"] > values["vocals", "crepe_bce"] and worse["vocals", "raw_pitch_accuracy"] == 0


def test_without_annotations_the_frames_count_in_which_the_tracker_is_sure():
    tracked = {"f0": np.array([100.0, 200.0]), "confidence": np.array([0.2, 0.9])}
    assert np.array_equal(feature_scores.reference_f0({}, "bass", tracked), [0, 200])
