"""Scores of one song: SDR by frames, interference told apart from artefacts, silence."""

import numpy as np
import pytest

from audio_processing.tracks import TRIO
from experiments.scores import score_frames, score_track


def test_interference_and_artefacts_are_told_apart():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(8000) for source in TRIO}
    noise = rng.standard_normal(8000)
    estimates = {
        "drums": stems["drums"] + 0.1 * stems["bass"],  # 20 dB of another source
        "bass": stems["bass"] + 0.1 * noise,  # 20 dB of what is no source
        "vocals": np.convolve(stems["vocals"], [0.5, 0.3], "same"),  # a filter is neither
    }
    records, _ = score_track(stems, estimates, 1000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    assert values["drums", "sir"] == pytest.approx(20, abs=1) and ("drums", "sar") not in values  # above 100 dB
    assert values["bass", "sar"] == pytest.approx(20, abs=2) and values["bass", "sir"] > 25
    assert values["vocals", "sir"] > 40 and values["vocals", "sar"] > 30
    alone, _ = score_track(stems, {"drums": estimates["drums"]}, 1000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in alone}
    assert values["drums", "sir"] == pytest.approx(23, abs=1)  # the others count as one, which is half bass


def test_stems_without_treble_do_not_spoil_interference():
    rng = np.random.default_rng(0)
    dark = np.fft.rfftfreq(16000) < 0.4
    stems = {s: np.fft.irfft(dark * np.fft.rfft(rng.standard_normal(16000))) for s in TRIO}
    noise = np.fft.irfft(dark * np.fft.rfft(rng.standard_normal(16000)))
    estimates = {s: stems[s] + 0.1 * stems["drums" if s != "drums" else "bass"] + 0.05 * noise for s in TRIO}
    records, _ = score_track(stems, estimates, 2000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    for source in TRIO:
        assert values[source, "sir"] == pytest.approx(20, abs=1.5)
        assert values[source, "sar"] == pytest.approx(26, abs=2.5)


def test_a_frame_in_which_a_stem_is_silent_says_nothing_of_interference():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(3 * 16000) for source in ("drums", "bass")}
    estimates = {"drums": stems["drums"] + 0.1 * stems["bass"], "bass": stems["bass"] + 0.1 * stems["drums"]}
    _, _, before = score_frames(stems, estimates, 16000, filters=True)
    stems["bass"][16000:32000] = 0.0
    estimates["bass"][16000:32000] = 0.1 * stems["drums"][16000:32000]
    records, dropped, frames = score_frames(stems, estimates, 16000, filters=True)
    assert dropped == 1 and np.isnan(frames["bass"]["SIR"][1]) and np.isnan(frames["drums"]["SAR"][1])
    assert np.isfinite(before["bass"]["SIR"]).all()
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    assert values["bass", "sir"] == pytest.approx(20, abs=1.5)


def test_silent_stems_are_not_scored_and_dropped_frames_are_counted():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(4000) for source in TRIO}
    stems["bass"] = np.zeros(4000)
    stems["drums"][:1000] = 0
    estimates = {source: rng.standard_normal(4000) for source in TRIO}
    records, dropped = score_track(stems, estimates, 1000)
    assert {r["source"] for r in records} == {"drums", "vocals"} and dropped == 1
    assert score_track({"bass": np.zeros(10)}, {"bass": np.ones(10)}, 5) == ([], 0)
