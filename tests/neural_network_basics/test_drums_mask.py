"""The drums mask: a separator like the others, and one that has learned something."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing import masks
from audio_processing.metrics import si_sdr
from common.files import sha256_of
from mss_basic_implementation.hps import HarmonicPercussive
from neural_network_basics import drums_mask, train_drums_mask
from neural_network_basics.drums_mask import BANDS, DrumsMask, F
from tests.helpers import refused


@pytest.fixture(scope="module")
def model():
    return DrumsMask.load()


@pytest.fixture(scope="module")
def test_song():
    (stems,) = train_drums_mask.band_songs("same_artist", 1).values()
    return stems


def noise(shape, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def test_bands_share_out_every_bin():
    np.testing.assert_allclose(F.sum(axis=1), 1, atol=1e-6)
    assert F.min() >= 0 and F.sum(axis=0).min() > 0.5
    centres = drums_mask.band_centres()
    hertz = np.arange(len(F)) * drums_mask.SAMPLE_RATE / drums_mask.N_FFT
    np.testing.assert_array_less(np.abs(hertz - centres[F.argmax(axis=1)]), 0.55 * np.diff(centres).max())


def test_target_is_the_share_of_the_power():
    stems = {"drums": noise(8000), "bass": np.zeros(8000, np.float32)}
    np.testing.assert_allclose(train_drums_mask.target_mask(stems), 1, atol=1e-4)
    stems["bass"] = 3 * stems["drums"]
    np.testing.assert_allclose(train_drums_mask.target_mask(stems), 0.1, atol=1e-6)


def test_examples_are_aligned():
    songs = [{"drums": noise(50000, i), "vocals": 0.1 * noise(50000, i + 9)} for i in range(2)]
    x, t, weight = train_drums_mask.examples(songs, frames=60)
    assert x.shape == t.shape == weight.shape == (2 * 3, 60, BANDS)
    assert weight.mean() == pytest.approx(1, abs=1e-5)
    whole = drums_mask.features(drums_mask.band_power(sum(songs[1].values())))
    np.testing.assert_array_equal(x[3:].reshape(-1, BANDS), whole[:180])


@given(
    samples=st.integers(1, 9000), channels=st.sampled_from([(), (1,), (2,), (3,)]),
    rate=st.sampled_from([8000, 16000, 22050, 44100]),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_stems_fit_the_mixture(model, samples, channels, rate):
    mixture = noise((*channels, samples))
    stems = model.separate(mixture, rate)
    assert list(stems) == list(model.sources)
    assert all(stem.shape == mixture.shape and stem.dtype == np.float32 for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


def test_fit_learns_and_repeats_itself():
    songs = [
        {"drums": noise(33000) * (np.arange(33000) % 4000 < 500), "bass": np.sin(np.arange(33000, dtype="f") / 20)}
    ]
    one, history = train_drums_mask.fit(songs, epochs=(6, 2))
    two, _ = train_drums_mask.fit(songs, epochs=(6, 2))
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert [row["stage"] for row in history] == [0] * 6 + [1] * 2
    mixture = sum(songs[0].values())
    np.testing.assert_array_equal(one.separate(mixture)["drums"], two.separate(mixture)["drums"])


def test_saved_and_loaded_is_the_same(tmp_path, model):
    model.save(tmp_path / "weights.npz")
    again = DrumsMask.load(tmp_path / "weights.npz")
    np.testing.assert_array_equal(again.mask(noise(5000)), model.mask(noise(5000)))
    assert 1000 < model.network.size < 6000


def test_weights_that_are_missing_changed_damaged_or_pickled_are_named(tmp_path, model):
    path, record = tmp_path / "weights.npz", tmp_path / "weights.json"
    model.save(path)
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    refused("changed since it was saved", DrumsMask.load, path)
    for damaged in (content[:1000], b"no archive"):  # even where the checksum is theirs
        path.write_bytes(damaged)
        record.write_text(json.dumps({"sha256": sha256_of(path)}))
        refused("holds no such network", DrumsMask.load, path)
    record.unlink()
    refused("missing or damaged", DrumsMask.load, path)


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_code_in_weights_is_not_run(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, mean=np.array([RunsCode(tmp_path / "ran")], dtype=object), scale=np.ones(3), parameter_00=np.ones(3))
    (tmp_path / "weights.json").write_text(json.dumps({"sha256": sha256_of(path)}))
    refused("holds no such network", DrumsMask.load, path)
    assert not (tmp_path / "ran").exists()


def test_between_the_median_filter_and_the_ideal_mask(model, test_song):
    mixture = sum(test_song.values())
    ours = si_sdr(test_song["drums"], model.separate(mixture)["drums"])
    median = si_sdr(test_song["drums"], HarmonicPercussive().separate(mixture, model.sample_rate)["drums"])
    ideal = si_sdr(test_song["drums"], masks.irm(test_song)["drums"])
    assert median + 3 < ours < ideal
