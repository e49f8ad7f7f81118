import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing.audio_processing import resample
from audio_processing.metrics import snr
from common.files import sha256_of
from mss_nn_implementation.convtas import ConvTasNet, ConvTasNetSeparator, load_model
from mss_nn_implementation.layer import DepthwiseConvolution, GlobalLayerNorm, overlap_add, overlapping_frames
from mss_nn_implementation.loss import NegativeSNR
from mss_nn_implementation.parameters import PRESETS, Parameters
from tests.helpers import export, noise, refused
from training.weights import WeightsError

TINY = Parameters(N=16, L=8, B=6, H=8, P=3, X=3, R=2, Sc=5)


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(1)
    model = ConvTasNet(TINY)
    model.build((None, None))
    return model


def test_the_papers_network_has_the_papers_weights():
    # the authors' code counts 5,050,545, of which the last block's residual convolution (128·512 + 128) is never read
    assert ConvTasNet.count(PRESETS["paper"]) == 5_050_545 - (128 * 512 + 128)


def test_overlap_add_is_the_transpose_of_framing():
    x, y = noise(2, 40), noise(2, 9, 8, seed=1)
    framed = keras.ops.convert_to_numpy(overlapping_frames(keras.ops.convert_to_tensor(x), 8))
    assert framed.shape == (2, 9, 8)
    np.testing.assert_array_equal(framed[1, 3], x[1, 12:20])
    added = keras.ops.convert_to_numpy(overlap_add(keras.ops.convert_to_tensor(y)))
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
    expected = keras.ops.convert_to_numpy(theirs(padded))[:, reach : reach + frames]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), expected, atol=1e-5)


def test_global_layer_norm_normalises_over_time_and_channels():
    layer = GlobalLayerNorm()
    y = keras.ops.convert_to_numpy(layer(5 + 3 * noise(3, 200, 7)))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(samples=st.integers(1, 300))
def test_any_number_of_samples_comes_back(tiny, samples):
    y = keras.ops.convert_to_numpy(tiny(noise(2, samples)))
    assert y.shape == (2, 3, samples) and np.isfinite(y).all()


def test_louder_in_is_louder_out_and_silence_stays_silent(tiny):
    x = noise(1, 500)
    y = keras.ops.convert_to_numpy(tiny(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tiny(100 * x)), 100 * y, rtol=1e-3, atol=1e-3)
    assert np.abs(keras.ops.convert_to_numpy(tiny(0 * x))).max() == 0


def test_masks_of_one_return_what_encoder_and_decoder_make_of_the_mixture():
    """With an encoder and decoder that invert each other and masks forced to 1, the mixture comes out: framing,
    overlap-add, padding and cutting leave every sample where it was."""
    p = dataclasses.replace(TINY, N=16, L=8, sources=("one",))
    model = ConvTasNet(p)
    model.build((None, None))
    # relu(x) - relu(-x) = x, so [I, -I] then [I; -I] is the identity; half, because every sample is in two frames
    eye = np.eye(8, dtype=np.float32)
    model.encoder.set_weights([np.concatenate([eye, -eye], axis=1)])
    model.decoder.set_weights([0.5 * np.concatenate([eye, -eye], axis=0)])
    kernel, bias = model.masks.get_weights()
    model.masks.set_weights([0 * kernel, bias + 50])  # sigmoid(50) = 1
    x = noise(2, 333)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x))[:, 0], x, atol=1e-5)


def test_saved_and_loaded_in_safe_mode_it_gives_the_same(tiny, tmp_path):
    tiny.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    x = noise(1, 200)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), keras.ops.convert_to_numpy(tiny(x)))
    assert again.sizes == TINY


@pytest.mark.parametrize("change", [{"L": 7}, {"P": 2}, {"N": 0}, {"sources": ()}])
def test_sizes_that_make_no_network_are_named(change):
    refused(next(iter(change)), dataclasses.replace, TINY, **change)


def test_loss_is_the_negative_snr_where_its_limits_do_not_matter():
    true = noise(2, 3, 4000)
    estimate = true + 0.2 * noise(2, 3, 4000, seed=1)
    expected = -np.mean([snr(t, e) for t, e in zip(true.reshape(6, -1), estimate.reshape(6, -1))])
    assert float(NegativeSNR(tau=0, sigma=0)(true, estimate)) == pytest.approx(expected, abs=1e-3)


def test_loss_is_finite_and_wants_silence_for_a_silent_stem():
    true = noise(1, 2, 1000)
    true[:, 1] = 0
    loss = NegativeSNR()
    quiet, loud = true.copy(), true.copy()
    quiet[:, 1] = 1e-3
    loud[:, 1] = 0.3 * noise(1000, seed=2)
    values = [float(loss(true, estimate)) for estimate in (true, quiet, loud)]
    assert np.isfinite(values).all() and values[0] < values[1] < values[2]
    assert np.isfinite(float(loss(0 * true, 0 * true)))


def ship(model, folder, **changes):
    """Save a model with as much of a record as loading needs."""
    record = {"training": {"seconds": 0.5}, "parameters": model.sizes.to_dict(), **changes}
    return export(model, folder, "tiny", **record)


@pytest.fixture
def shipped(tiny, tmp_path):
    return ship(tiny, tmp_path)


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
    with pytest.raises(WeightsError, match=words) as caught:
        load_model("tiny", tmp_path)
    assert "\n" not in str(caught.value)
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
        stems = np.stack(list(separator.separate(song.astype(np.float32), rate).values()))
        assert np.isfinite(stems).all() and np.abs(stems).max() < 10, name
        if name == "silence":
            assert np.abs(stems).max() < 1e-6


def test_a_song_is_separated_segment_by_segment_in_whatever_batches(separator):
    """Chunks and batches are for speed: the segments are those that one would get one by one."""
    x = noise(1, int(2.3 * 16000))
    whole = np.stack(list(separator.separate(x, 16000).values()))
    size, overlap = 8000, 2000
    first = keras.ops.convert_to_numpy(separator.model(x[:, :size]))[0]
    np.testing.assert_allclose(whole[:, 0, : size - overlap], first[:, : size - overlap], atol=1e-4)
    last = keras.ops.convert_to_numpy(separator.model(x[:, -size:]))[0]
    np.testing.assert_allclose(whole[:, 0, -overlap:], last[:, -overlap:], atol=1e-4)


def test_what_channels_have_in_common_is_what_the_network_made(separator):
    x = noise(3, 12000)
    expected = separator.separate(x.mean(axis=0), 16000)
    stems = separator.separate(x, 16000)
    for source, stem in stems.items():
        np.testing.assert_allclose(stem.mean(axis=0), expected[source], atol=1e-4)


def test_at_other_rates_the_networks_own_band_is_what_the_network_made(separator):
    x = resample(noise(1, 6000), 8000, 16000)  # no sound that resampling would lose
    expected = np.stack(list(separator.separate(x, 16000).values()))
    song = resample(x, 16000, 44100)
    stems = np.stack(list(separator.separate(song, 44100).values()))
    back = resample(stems, 44100, 16000)[..., :12000]
    low = [np.fft.rfft(each[..., 1000:-1000])[..., :4000] for each in (expected, back)]  # below 6.4 kHz
    assert np.sum(np.abs(low[0] - low[1]) ** 2) < 1e-3 * np.sum(np.abs(low[0]) ** 2)


def test_an_average_does_not_depend_on_the_sign_and_is_what_it_says(separator):
    averaged = ConvTasNetSeparator(separator.model, 0.5, averaged=True)
    averaged.network = averaged.model
    x = noise(2, 12000)
    mean, turned = averaged.separate(x, 16000), averaged.separate(-x, 16000)
    for source, stem in mean.items():
        np.testing.assert_allclose(turned[source], -stem, atol=1e-4)

    def upright(x):
        return np.stack(list(separator.separate(x, 16000).values()))

    def both_signs(x):
        return (upright(x) - upright(-x)) / 2

    common, each = both_signs(x.mean(axis=0)), [both_signs(channel) for channel in x]
    stems = np.stack(list(mean.values()))
    np.testing.assert_allclose(stems.mean(axis=1), (common + np.mean(each, axis=0)) / 2, atol=1e-4)
    one = np.stack(list(averaged.separate(x[0], 16000).values()))
    np.testing.assert_allclose(one, both_signs(x[0]), atol=1e-4)


def test_longer_and_shorter_segments_are_an_argument(tiny, shipped):
    x = noise(1, 16000)
    separator = ConvTasNetSeparator.load("tiny", shipped, segment_seconds=1.0)
    separator.network = separator.model
    whole = keras.ops.convert_to_numpy(tiny(x))[0]
    for stem, expected in zip(separator.separate(x, 16000).values(), whole):
        np.testing.assert_allclose(stem[0], expected, atol=1e-4)
    refused("segment_seconds", ConvTasNetSeparator.load, "tiny", shipped, segment_seconds=0)


def test_four_sources_in_stereo(tmp_path):
    sizes = dataclasses.replace(TINY, channels=2, sources=("drums", "bass", "other", "vocals"), consistent=True)
    model = ConvTasNet(sizes)
    model.build((None, 2, None))
    separator = ConvTasNetSeparator.load("tiny", ship(model, tmp_path))
    separator.network = model
    x = noise(2, 9000)
    stems = separator.separate(x, 16000)
    assert list(stems) == list(sizes.sources)
    np.testing.assert_allclose(sum(stems.values()), x, atol=1e-3)
    first = keras.ops.convert_to_numpy(model(x[None, :, :8000]))[0]
    np.testing.assert_allclose(stems["bass"][:, :6000], first[1, :, :6000], atol=1e-4)
    for channels, rate in [(2, 44100), (1, 16000), (3, 22050)]:
        x = noise(channels, rate // 3)
        stems = separator.separate(x, rate)
        assert all(stem.shape == x.shape and np.isfinite(stem).all() for stem in stems.values())
