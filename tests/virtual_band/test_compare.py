"""The measures that put the band beside real music: right on signals whose answer is known."""

import numpy as np
import pytest

import virtual_band
from common import results
from common.places import HERE
from tests.helpers import one_line
from virtual_band import compare

RATE = 44100
TIME = np.arange(7 * RATE) / RATE


def test_crest_factor_of_a_sine_and_a_square():
    assert compare.crest(np.sin(2 * np.pi * 440 * TIME)) == pytest.approx(3.01, abs=0.01)
    assert compare.crest(np.sign(np.sin(2 * np.pi * 440 * TIME))) == pytest.approx(0, abs=0.01)


def test_centroid_of_a_sine_is_its_frequency_and_rises_with_noise():
    sine = np.sin(2 * np.pi * 1000 * TIME)
    assert compare.centroid(sine, RATE) == pytest.approx(1000, rel=0.03)
    assert compare.centroid(sine + np.random.default_rng(0).standard_normal(TIME.size), RATE) > 3000


def test_activity_is_the_share_of_time_that_sounds():
    stem = np.where(TIME < 2.1, 0.1 * np.sin(2 * np.pi * 440 * TIME), 0)
    assert compare.activity(stem, stem, RATE) == pytest.approx(0.3, abs=0.01)
    assert compare.activity(0.001 * stem, stem, RATE) == 0


def test_loudness_range_is_the_distance_between_soft_and_loud():
    loud = TIME < 3.5
    tone = np.where(loud, 0.5, 0.05) * np.sin(2 * np.pi * 1000 * TIME)
    assert compare.loudness_range(tone, RATE) == pytest.approx(20, abs=0.5)
    assert compare.loudness_range(np.sin(2 * np.pi * 1000 * TIME), RATE) < 0.2


def test_excerpts_have_one_length_and_a_short_song_is_one():
    stems = {"bass": np.zeros((2, 20 * RATE))}
    assert [e["bass"].shape[1] for e in compare.excerpts(stems, RATE)] == [7 * RATE] * 2
    assert [e["bass"].shape[1] for e in compare.excerpts({"bass": np.zeros((2, 100))}, RATE)] == [100]


def test_a_song_is_described_in_full_and_a_silent_stem_by_its_activity():
    song = virtual_band.render_song(3, 2_000_000, 7.0, other=False)
    values = compare.describe(song.stems, RATE)
    assert {measure for source, measure in values if source == "vocals"} == set(compare.MEASURES)
    assert [measure for source, measure in values if source == "other"] == ["activity"]
    assert 0 < values["drums", "irm_si_sdr"] < 25


def test_pitch_agreement_knows_right_from_wrong():
    times = np.arange(500) / 250
    f0 = 220 * 2 ** (0.3 * np.sin(2 * np.pi * times) / 12)
    tone = np.sin(2 * np.pi * np.cumsum(np.interp(TIME[: 2 * RATE], times, f0)) / RATE)
    assert compare.pitch_agreement(tone, RATE, times, f0, 60, 1000) > 0.97
    assert compare.pitch_agreement(tone, RATE, times, 1.06 * f0, 60, 1000) < 0.1


def test_the_shipped_comparison_keeps_what_the_band_promises():
    """Each stem of trio and quartet as hard as real music within 2 dB, pitch heard on 95 % of voiced frames."""
    records = results.read(compare.RESULT)["records"]
    rows = compare.table(records)
    for row in rows:
        if row["measure"] == "irm_si_sdr":
            assert abs(row["band"] - row["real median"]) < 2, row
    assert sum(row["inside"] == "yes" for row in rows) >= 40
    pitch = [r for r in records if r["metric"] == "raw_pitch_accuracy" and r["test_set"] == "same_artist"]
    for source in ("bass", "vocals"):
        assert np.mean([r["value"] for r in pitch if r["source"] == source]) >= 0.95


def test_the_command_says_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(HERE, "musdb", None)
    assert compare.main([]) == 2
    assert "--musdb: expected a folder" in capsys.readouterr().err
    assert compare.main(["--musdb", str(tmp_path), "--data", str(tmp_path)]) == 2
    assert one_line(capsys)
