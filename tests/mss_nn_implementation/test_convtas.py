import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing.audio_processing import resample
from common.files import sha256_of
from mss_nn_implementation.convtas import ConvTasNet, ConvTasNetSeparator, load_model
from mss_nn_implementation.layer import DepthwiseConvolution, GlobalLayerNorm, overlap_add, overlapping_frames
from mss_nn_implementation.parameters import PRESETS, Parameters
from tests.helpers import array, export, noise, refused, stacked, untrained
from training.weights import WeightsError

TINY = Parameters(N=16, L=8, B=6, H=8, P=3, X=3, R=2, Sc=5)


@pytest.fixture(scope="module")
def tiny():
    return untrained(ConvTasNet, TINY, shape=(None, None))


def test_the_papers_network_has_the_papers_weights():
    # the authors' code counts 5,050,545, of which the last block's residual convolution (128·512 + 128) is never read
    assert ConvTasNet.count(PRESETS["paper"]) == 5_050_545 - (128 * 512 + 128)


def test_overlap_add_is_the_transpose_of_framing():
    x, y = noise(2, 40), noise(2, 9, 8, seed=1)
    framed = array(overlapping_frames(keras.ops.convert_to_tensor(x), 8))
    assert framed.shape == (2, 9, 8)
    np.testing.assert_array_equal(framed[1, 3], x[1, 12:20])
    added = array(overlap_add(keras.ops.convert_to_tensor(y)))
    assert np.sum(framed * y) == pytest.approx(np.sum(x * added), rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(dilation=st.integers(1, 6), taps=st.sampled_from([1, 3, 5]), frames=st.integers(1, 20))
def test_depthwise_convolution_equals_keras(dilation, taps, frames):
    x = noise(2, frames, 4)
    ours = DepthwiseConvolution(taps, dilation)
    theirs = keras.layers.DepthwiseConv1D(taps, padding="same", dilation_rate=dilation)
    ours.build(x.shape), theirs.build(x.shape)
    kernel, bias = noise(taps, 4, seed=1), noise(4, seed=2)
    ours.set_weights([kernel, bias])
    theirs.set_weights([kernel[:, :, None], bias])
    # zeros by hand around the signal: then both see the same, and no backend's "same" rule matters
    reach = dilation * (taps // 2)
    padded = np.pad(x, ((0, 0), (reach, reach), (0, 0)))
    expected = array(theirs(padded))[:, reach : reach + frames]
    np.testing.assert_allclose(array(ours(x)), expected, atol=1e-5)


def test_global_layer_norm_normalises_over_time_and_channels():
    y = array(GlobalLayerNorm()(5 + 3 * noise(3, 200, 7)))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(samples=st.integers(1, 300))
def test_any_number_of_samples_comes_back(tiny, samples):
    y = array(tiny(noise(2, samples)))
    assert y.shape == (2, 3, samples) and np.isfinite(y).all()


def ship(model, folder, **changes):
    """Save a model with as much of a record as loading needs."""
    record = {"training": {"seconds": 0.5}, "parameters": model.sizes.to_dict(), **changes}
    return export(model, folder, "tiny", **record)


@pytest.fixture(scope="module")
def separator(tiny, tmp_path_factory):
    return ConvTasNetSeparator.load("tiny", ship(tiny, tmp_path_factory.mktemp("weights")))


@pytest.mark.parametrize("changes, words", [
    ({"parameters": {**TINY.to_dict(), "H": 9}}, "tiny.keras: a network of other sizes than tiny.json"),
    ({"sha256": "0"}, "tiny.keras: checksum differs"),
    ({"sha256": sha256_of()}, "tiny.keras: not a network that this program saved"),
    *(({"training": training}, "tiny.json: ") for training in ({"seconds": "long"}, {"seconds": -1}, {}, None)),
])  # fmt: skip
def test_weights_that_are_not_those_of_their_record_are_named(tiny, tmp_path, changes, words):
    ship(tiny, tmp_path, **changes)
    if words.endswith("saved"):
        (tmp_path / "tiny.keras").write_bytes(b"")
    assert "\n" not in refused(words, load_model, "tiny", tmp_path, error=WeightsError)
    refused("none.keras: no such file; `make train`", load_model, "none", tmp_path, error=WeightsError)


def test_code_in_weights_is_not_run(tmp_path):
    evil = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    export(evil, tmp_path, "tiny", training={"seconds": 1})
    refused("not a network that this program saved", load_model, "tiny", tmp_path, error=WeightsError)


@settings(max_examples=8, deadline=None)
@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 192000]),
    channels=st.sampled_from([0, 1, 2, 3, 8]),
    seconds=st.floats(0.001, 1.3),
)
def test_separator_keeps_length_rate_and_channels(separator, rate, channels, seconds):
    samples = max(1, int(seconds * rate))
    mixture = noise(*([channels] if channels else []), samples)
    stems = separator.separate(mixture, rate)
    assert list(stems) == ["drums", "bass", "vocals"]
    for stem in stems.values():
        assert stem.shape == mixture.shape and stem.dtype == np.float32 and np.isfinite(stem).all()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_offset_and_clipping_pass_through_the_separator(separator, rate):
    t = np.arange(rate) / rate
    songs = {
        "silence": np.zeros((2, rate)),
        "offset": np.full((2, rate), 0.5),
        "clipped": np.clip(5 * np.sin(2 * np.pi * 300 * t), -1, 1) * np.ones((2, 1)),
        "one sample": np.eye(1, rate, rate // 2) * np.ones((2, 1)),
    }
    for name, song in songs.items():
        stems = stacked(separator.separate(song.astype(np.float32), rate))
        assert np.isfinite(stems).all() and np.abs(stems).max() < 10, name
        if name == "silence":
            assert np.abs(stems).max() < 1e-6


def test_a_song_is_separated_segment_by_segment_in_whatever_batches(separator):
    """Chunks and batches are for speed: the segments are those that one would get one by one."""
    x = noise(1, int(2.3 * 16000))
    whole = stacked(separator.separate(x, 16000))[:, 0]
    first, last = (array(separator.model(segment))[0] for segment in (x[:, :8000], x[:, -8000:]))
    np.testing.assert_allclose(whole[:, :6000], first[:, :6000], atol=1e-4)  # the next one begins 2000 samples earlier
    np.testing.assert_allclose(whole[:, -2000:], last[:, -2000:], atol=1e-4)


def test_a_song_of_several_channels_is_separated_along_its_axes(separator):
    """A stereo song whose sides are alike, or inverted, or of which one is silent, is a song of one channel."""
    x = noise(12000)
    stems = stacked(separator.separate(x, 16000))
    for sides in ([1.0, 1.0], [1.0, -1.0], [0.0, 1.0], [0.8, 0.6, 0.0]):
        song = np.outer(np.array(sides, np.float32), x)
        expected = stems[:, None] * np.array(sides, np.float32)[:, None]
        np.testing.assert_allclose(stacked(separator.separate(song, 16000)), expected, atol=1e-3)


def test_at_other_rates_the_networks_own_band_is_what_the_network_made(separator):
    x = resample(noise(1, 6000), 8000, 16000)  # no sound that resampling would lose
    expected = stacked(separator.separate(x, 16000))
    stems = stacked(separator.separate(resample(x, 16000, 44100), 44100))
    back = resample(stems, 44100, 16000)[..., :12000]
    low = [np.fft.rfft(each[..., 1000:-1000])[..., :4000] for each in (expected, back)]  # below 6.4 kHz
    assert np.sum(np.abs(low[0] - low[1]) ** 2) < 1e-3 * np.sum(np.abs(low[0]) ** 2)


def test_an_average_does_not_depend_on_the_sign_and_is_what_it_says(separator):
    averaged = ConvTasNetSeparator(separator.model, 0.5, averaged=True)
    averaged.network = averaged.model
    x = noise(12000)
    mean, turned = (stacked(averaged.separate(audio, 16000)) for audio in (x, -x))
    np.testing.assert_allclose(turned, -mean, atol=1e-4)
    once, flipped = (stacked(separator.separate(audio, 16000)) for audio in (x, -x))
    np.testing.assert_allclose(mean, (once - flipped) / 2, atol=1e-4)


def test_longer_and_shorter_segments_are_an_argument(tiny, tmp_path):
    x = noise(1, 16000)
    separator = ConvTasNetSeparator.load("tiny", ship(tiny, tmp_path), segment_seconds=1.0)
    separator.network = separator.model
    np.testing.assert_allclose(stacked(separator.separate(x, 16000))[:, 0], array(tiny(x))[0], atol=1e-4)
    refused("segment_seconds", ConvTasNetSeparator.load, "tiny", tmp_path, segment_seconds=0)


def test_four_sources_in_stereo(tmp_path):
    sizes = dataclasses.replace(TINY, channels=2, sources=("drums", "bass", "other", "vocals"), consistent=True)
    model = untrained(ConvTasNet, sizes, shape=(None, 2, None))
    separator = ConvTasNetSeparator.load("tiny", ship(model, tmp_path))
    separator.network = model
    x = noise(2, 9000)
    stems = separator.separate(x, 16000)
    assert list(stems) == list(sizes.sources)
    np.testing.assert_allclose(sum(stems.values()), x, atol=1e-3)
    np.testing.assert_allclose(stems["bass"][:, :6000], array(model(x[None, :, :8000]))[0, 1, :, :6000], atol=1e-4)
    for channels, rate in [(2, 44100), (1, 16000), (3, 22050)]:
        x = noise(channels, rate // 3)
        stems = separator.separate(x, rate)
        assert all(stem.shape == x.shape and np.isfinite(stem).all() for stem in stems.values())
