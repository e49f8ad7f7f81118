"""Features: their place in time, their values for known sounds, and sounds that are refused."""

import librosa
import numpy as np
import pytest

from ddsp_models import features as feature
from tests.helpers import noise, refused
from virtual_band import render_song

RATE = 16000


def tone(hertz, seconds=1.0, rate=RATE):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate, samples", [(16000, 16000), (16000, 16063), (44100, 44100), (48000, 1000)])
def test_there_are_as_many_frames_as_fit_whatever_the_length(rate, samples):
    audio = 0.1 * noise(samples)
    frames = samples * 250 // rate
    assert len(feature.whole_frames(audio, rate)) == frames * 64
    for features in (feature.drum_features(audio, rate), feature.pitched_features(audio, rate, np.full(frames, 100.0))):
        assert {value.shape[0] for value in features.values()} == {frames}
        assert all(value.shape[1] == feature.CHANNELS[name] for name, value in features.items())
        assert all(value.dtype == np.float32 for value in features.values())


@pytest.mark.parametrize("k", [40, 100, 177])
def test_a_click_is_an_onset_and_a_peak_in_every_band_in_its_own_frame(k):
    audio = np.zeros(RATE, np.float32)
    audio[k * 64] = 1.0
    features = feature.drum_features(audio, RATE)
    assert abs(features["bands"].argmax(axis=0) - k).max() <= 1
    assert abs(int(features["onset"].argmax()) - k) <= 2
    assert features["onset"][: k - 4].max() == 0


def test_a_tone_is_loudest_in_the_band_that_holds_it_and_louder_in_is_as_much_louder_out():
    centres = librosa.mel_frequencies(feature.N_BANDS + 2, fmin=0, fmax=RATE / 2)[1:-1]
    for i in (4, 6, 9, 11):
        bands = feature.band_loudness(tone(centres[i]))[50:200]
        assert (bands.argmax(axis=1) == i).all()
        louder = feature.band_loudness(2 * tone(centres[i]))[50:200]
        np.testing.assert_allclose((louder - bands)[:, i], 20 * np.log10(2), atol=1e-3)


def test_a_bass_has_a_band_for_each_of_its_first_harmonics():
    for i in (2, 4, 6, 8):  # 80, 160, 320, 640 Hz
        bands = feature.band_loudness(tone(40 * 2 ** (i / 2)), feature.BASS_BANDS)[50:200]
        assert (bands.argmax(axis=1) == i).all() and (bands[:, i + 2] < bands[:, i] - 20).all()
    refused("'mel' or 'octave'", feature.band_loudness, tone(100), feature.BandLayout(scale="bark"))


def test_a_steady_sound_has_no_onsets_and_silence_has_nothing():
    assert feature.drum_features(tone(440), RATE)["onset"][10:-3].max() < 0.02
    silence = feature.drum_features(np.zeros(RATE, np.float32), RATE)
    assert silence["onset"].max() == 0 and (silence["bands"] == -80).all() and (silence["loudness"] == -80).all()


def test_gaps_are_filled_straight_in_octaves_and_levelly_at_the_ends():
    f0, voiced = feature.fill_gaps([0, 100, 0, 400, np.nan, -3, 9000])
    np.testing.assert_allclose(f0, [100, 100, 200, 400, 400, 400, 400], rtol=1e-6)
    np.testing.assert_array_equal(voiced, [False, True, False, True, False, False, False])
    f0, voiced = feature.fill_gaps([100, 200, 300], [True, False, True])
    np.testing.assert_allclose(f0[1], np.sqrt(100 * 300), rtol=1e-6)
    f0, voiced = feature.fill_gaps([0.0, np.nan])
    assert not voiced.any() and (f0 == 0).all()


def test_annotated_pitch_is_used_and_without_it_pitch_is_tracked(monkeypatch):
    song = render_song(3, seed=5, seconds=4.0)
    f0, voiced = (song.annotations[f"{name}_bass"] for name in ("f0", "voiced"))
    features = feature.pitched_features(song.stems["bass"].mean(axis=0), song.sample_rate, f0, voiced)
    np.testing.assert_allclose(features["f0"][voiced, 0], f0[voiced], rtol=1e-5)
    np.testing.assert_array_equal(features["voiced"][:, 0] > 0, voiced)
    monkeypatch.setenv("CREPE_WEIGHTS", "/nowhere")  # pYIN, which needs none
    features = feature.pitched_features(tone(220.0, 0.4), RATE)
    assert features["voiced"].mean() > 0.8
    np.testing.assert_allclose(np.median(features["f0"]), 220.0, rtol=0.01)


@pytest.mark.parametrize(
    "audio, message",
    [
        (np.zeros(0), "0 samples"),
        (np.zeros(63), "63 samples"),
        (np.zeros((2, 16000)), "mix it to mono"),
        (np.full(16000, np.nan), "NaN"),
        (np.array([np.inf] + [0.0] * 500), "1 that are NaN or infinite"),
    ],
)
def test_broken_sounds_are_refused_in_one_line(audio, message):
    for describe in (feature.drum_features, feature.pitched_features):
        assert "\n" not in refused(message, describe, audio, RATE)


def test_a_pitch_of_another_length_is_refused():
    refused(r"f0: expected shape \(250,\), .* got \(9,\)", feature.pitched_features, tone(100), RATE, np.full(9, 100.0))


def test_batches_are_checked_and_floored():
    whole = {"f0": np.full((5, 1), 100.0), "voiced": np.ones((5, 1)), "loudness": np.full((5, 1), -np.inf)}
    whole["bands"] = np.full((5, feature.N_BANDS), -90.0)
    batch = feature.batch(whole, feature.PITCHED)
    assert all(value.shape == (1, 5, feature.CHANNELS[name]) for name, value in batch.items())
    assert all(value.dtype == np.float32 for value in batch.values())
    assert (batch["loudness"] == -80).all() and (batch["bands"] == -80).all()
    for change, says in [
        ({"loudness": np.full((5, 1), np.nan)}, "loudness: expected numbers, got 5 NaN"),
        ({"f0": np.zeros((4, 1))}, "equally many frames"),
        ({"f0": np.zeros((5, 2))}, r"\(frames, 1\)"),
        ({name: np.zeros((0, 1)) for name in feature.PITCHED}, "frames"),
    ]:
        refused(says, feature.batch, {**whole, **change}, feature.PITCHED)
    refused("features: expected onset, bands, got bands, f0", feature.batch, whole, feature.STRUCK)


def test_a_sound_is_brought_into_anothers_range_and_its_silence_stays_silent():
    rng = np.random.default_rng(0)
    features = {
        "f0": np.full((100, 1), 220.0),
        "voiced": np.ones((100, 1)),
        "loudness": rng.uniform(-40, -20, (100, 1)),
        "bands": rng.uniform(-50, -20, (100, feature.N_BANDS)),
    }
    features["loudness"][:10] = -80.0
    features = {name: value.astype(np.float32) for name, value in features.items()}
    means = {"f0": [np.log2(60.0)], "loudness": [-25.0], "bands": np.linspace(-20, -50, feature.N_BANDS).tolist()}
    moved = feature.adapted(features, {name: {"mean": mean} for name, mean in means.items()})
    np.testing.assert_allclose(moved["f0"], 55.0, rtol=1e-6)  # by whole octaves, the nearest to 60 Hz
    np.testing.assert_allclose(moved["loudness"][10:].mean(), -25, atol=1e-3)
    np.testing.assert_allclose(moved["bands"][10:].mean(axis=0), means["bands"], atol=1e-3)
    assert (moved["loudness"][:10] == -80).all()
    np.testing.assert_allclose(np.diff(moved["loudness"][10:, 0]), np.diff(features["loudness"][10:, 0]), atol=1e-4)
    fifth = feature.adapted(features, {name: {"mean": mean} for name, mean in means.items()}, octaves=7 / 12)
    np.testing.assert_allclose(fifth["f0"], 220 * 2 ** (7 / 12), rtol=1e-6)
    silent = {name: np.full_like(value, -80) if name == "loudness" else 0 * value for name, value in features.items()}
    assert (feature.adapted(silent, {name: {"mean": mean} for name, mean in means.items()})["f0"] == 0).all()
