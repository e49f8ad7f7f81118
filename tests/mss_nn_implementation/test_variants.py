"""The network's variants: causal, with other normalisations and masks, stereo, consistent, in half precision."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from mss_nn_implementation import layer
from mss_nn_implementation.convtas import ConvTasNet
from mss_nn_implementation.layer import CumulativeLayerNorm, DepthwiseConvolution, mixture_consistent
from mss_nn_implementation.parameters import PRESETS, Parameters
from tests.helpers import array, gradients, noise, refused, reloaded, untrained

TINY = Parameters(N=16, L=8, B=6, H=8, P=3, X=3, R=2, Sc=5)
CAUSAL = {"norm": "cLN", "causal": True}


def network(**changes):
    return untrained(ConvTasNet, dataclasses.replace(TINY, **changes), shape=(None, None))


def run(model, x):
    return array(model(x))


def test_cumulative_layer_norm_equals_a_loop():
    x = 3 + noise(2, 9, 4)
    ours = CumulativeLayerNorm()
    ours.build(x.shape)
    gamma, beta = noise(4, seed=1), noise(4, seed=2)
    ours.set_weights([gamma, beta])
    expected = np.empty_like(x)
    for t in range(x.shape[1]):
        for item in range(len(x)):
            past = x[item, : t + 1]
            expected[item, t] = gamma * (x[item, t] - past.mean()) / np.sqrt(past.var() + 1e-8) + beta
    np.testing.assert_allclose(array(ours(x)), expected, atol=2e-5)


def test_causal_depthwise_convolution_is_the_other_one_delayed():
    x, d = noise(1, 30, 4), 3
    both = [DepthwiseConvolution(3, d, causal=causal) for causal in (False, True)]
    weights = [noise(3, 4, seed=1), noise(4, seed=2)]
    for each in both:
        each.build(x.shape)
        each.set_weights(weights)
    centred, causal = (array(each(x)) for each in both)
    np.testing.assert_allclose(causal[:, d:], centred[:, :-d], atol=1e-6)


def test_a_causal_network_depends_on_no_later_sample():
    model = network(**CAUSAL)
    x, later = noise(1, 400), noise(1, 400)
    later[:, 200:] = 5 * noise(1, 200, seed=7)
    before, after = run(model, x), run(model, later)
    known = 200 - TINY.L  # a sample waits for the frames that hold it
    np.testing.assert_allclose(after[..., :known], before[..., :known], atol=1e-6)
    assert np.abs(after[..., 200:] - before[..., 200:]).max() > 0.1
    x[:, :200] = 0  # nor does it need a sound before
    assert np.isfinite(run(model, x)).all() and np.abs(run(model, x)[..., :known]).max() == 0
    acausal = network()
    assert np.abs(run(acausal, later) - run(acausal, noise(1, 400)))[..., :known].max() > 1e-4


@pytest.mark.parametrize("changes, shape", [({}, (1, 500)), (CAUSAL, (1, 400)), ({"channels": 2}, (2, 2, 77))])
def test_louder_in_is_louder_out_and_silence_stays_silent(changes, shape):
    model = network(**changes)
    x = noise(*shape)
    np.testing.assert_allclose(run(model, 100 * x), 100 * run(model, x), rtol=1e-3, atol=1e-3)
    assert np.abs(run(model, 0 * x)).max() == 0


def test_receptive_field_is_what_the_gradient_reaches(monkeypatch):
    monkeypatch.setattr(layer.CumulativeLayerNorm, "call", lambda self, x: x)  # normalisation reaches back to the start
    model = network(**CAUSAL)
    size = round(model.sizes.receptive_field * TINY.sample_rate)
    frames = 1 + 2 * 2 * (1 + 2 + 4)  # R (P - 1) (2^X - 1) frames and this one
    assert size == (frames - 1) * TINY.hop + TINY.L
    x, frame = noise(1, 2 * size), 2 * size // TINY.hop - 4

    def one_frames_masks(x):
        signal = keras.ops.pad(x, ((0, 0), (TINY.hop, TINY.hop)))
        y, total = model.bottleneck(model.encoder(layer.overlapping_frames(signal, TINY.L))), 0
        for block in model.blocks:
            y, skip = block(y)
            total = total + skip
        return keras.ops.sum(keras.ops.square(model.masks(model.activation(total))[:, frame]))

    touched = np.flatnonzero(gradients(one_frames_masks, x)[0][0])
    end = frame * TINY.hop + TINY.L - TINY.hop  # of that frame's samples in x
    assert touched.max() == end - 1 and touched.min() == end - size


@pytest.mark.parametrize("mask", ["sigmoid", "relu", "softmax"])
def test_masks_are_bounded_as_their_name_says(mask):
    model = network(mask=mask)
    model.masks.kernel.assign(10 * model.masks.kernel)
    masks = array(model.masks(noise(2, 7, TINY.Sc))).reshape(2, 7, 3, TINY.N)
    assert masks.min() >= 0
    if mask == "relu":
        assert masks.max() > 1
    else:
        assert masks.max() <= 1
    if mask == "softmax":
        np.testing.assert_allclose(masks.sum(axis=2), 1, atol=1e-5)


def test_a_linear_encoder_keeps_what_is_negative_and_relu_cuts_it_off():
    assert PRESETS["paper"].encoder == "linear" and PRESETS["music"].encoder == PRESETS["laptop"].encoder == "relu"
    frames, linear, rectified = noise(2, 7, TINY.L), network(encoder="linear"), network()
    rectified.set_weights(linear.get_weights())
    w = array(linear.encoder(frames))
    np.testing.assert_allclose(w, frames @ linear.encoder.get_weights()[0], atol=1e-5)
    np.testing.assert_allclose(array(rectified.encoder(frames)), np.maximum(w, 0), atol=1e-6)


@pytest.mark.parametrize("changes, shape", [
    ({"sources": ("one",)}, (2, 333)), ({"sources": ("one",), "channels": 2, "N": 32}, (2, 2, 77)),
    ({"mask": "softmax"}, (2, 100)), ({"mask": "softmax", "encoder": "linear", "N": 8}, (2, 100)),
])  # fmt: skip
def test_of_a_perfect_filterbank_the_masked_mixtures_add_up_to_the_mixture(changes, shape):
    """An encoder and decoder that invert each other, and masks that are 1 or add up to 1, softmax's: framing,
    overlap-add, padding and cutting leave every sample and every channel where it was."""
    model = network(**changes)
    eye = np.eye(TINY.L * model.sizes.channels, dtype=np.float32)
    # relu(x) - relu(-x) = x, so [I, -I] then [I; -I] is the identity; I is enough for a linear filterbank
    pair = eye if model.sizes.encoder == "linear" else np.concatenate([eye, -eye], axis=1)
    model.encoder.set_weights([pair])
    model.decoder.set_weights([0.5 * pair.T])  # half, because every sample is in two frames
    if model.sizes.mask == "sigmoid":
        kernel, bias = model.masks.get_weights()
        model.masks.set_weights([0 * kernel, bias + 50])  # sigmoid(50) = 1
    x = noise(*shape)
    np.testing.assert_allclose(run(model, x).sum(axis=1), x, atol=1e-5)


def test_without_a_skip_path_the_last_blocks_output_makes_the_masks():
    model = network(skip=False)
    count = ConvTasNet.count(TINY) - model.count_params()
    # no skip output in any block, a residual output in the last one, masks made of B instead of Sc channels
    skips, last, masks = 6 * (8 * 5 + 5), 8 * 6 + 6, (5 - 6) * 3 * 16
    assert count == skips - last + masks
    assert run(model, noise(2, 77)).shape == (2, 3, 77)


def test_stereo_in_stereo_out():
    model = network(channels=2)
    assert run(model, noise(2, 2, 77)).shape == (2, 3, 2, 77) == model.compute_output_shape((2, 2, 77))
    refused("expected .*2 channels", model, noise(2, 77))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_consistent_networks_stems_add_up_to_the_mixture(channels):
    x = noise(2, 99) if channels == 1 else noise(2, 2, 99)
    stems = run(network(channels=channels, consistent=True), x)
    np.testing.assert_allclose(stems.sum(axis=1), x, atol=1e-4)
    assert np.abs(run(network(channels=channels), x).sum(axis=1) - x).max() > 0.1


def test_projection_moves_as_little_as_it_can():
    estimates, mixture = noise(1, 3, 50), noise(1, 50, seed=1)
    moved = array(mixture_consistent(keras.ops.convert_to_tensor(estimates), mixture))
    np.testing.assert_allclose(moved.sum(axis=1), mixture, atol=1e-5)
    again = array(mixture_consistent(keras.ops.convert_to_tensor(moved), mixture))
    np.testing.assert_allclose(again, moved, atol=1e-5)
    other = noise(1, 3, 50, seed=2)  # any other set of sources that add up is farther away
    other[:, 0] += mixture - other.sum(axis=1)
    assert np.sum((moved - estimates) ** 2) < np.sum((other - estimates) ** 2)
    assert np.sum((moved - estimates) * (other - moved)) == pytest.approx(0, abs=1e-3)  # a right angle


def test_the_music_preset_has_the_published_weights_and_named_ones_more():
    p = PRESETS["music"]
    # Défossez's code counts 10,977,872, "11 M"; ours has offsets in every convolution and one more PReLU
    offsets = p.X * p.R * (p.H + p.H + p.B) + p.B + 4 * p.N
    assert ConvTasNet.count(p) - offsets - 1 == 10_977_872


def test_records_from_before_a_field_was_added_still_load():
    old = {name: value for name, value in TINY.to_dict().items() if name in "N L B H P X R Sc sources".split()}
    assert Parameters(**json.loads(json.dumps(old))) == TINY
    for name, value in PRESETS.items():
        assert Parameters(**json.loads(json.dumps(value.to_dict()))) == value, name


@pytest.mark.parametrize("change", [
    {"norm": "BN"}, {"mask": "tanh"}, {"encoder": "tanh"}, {"causal": True}, {"channels": 0}, {"Sc": 0},
    {"L": 7}, {"P": 2}, {"N": 0}, {"sources": ()},
])  # fmt: skip
def test_sizes_that_make_no_network_are_named(change):
    refused(next(iter(change)), dataclasses.replace, TINY, **change)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("norm", ["gLN", "cLN"])
def test_half_precision_stays_finite_and_close(policy, norm):
    whole = network(norm=norm)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        half = network(norm=norm)
    finally:
        keras.config.set_dtype_policy(before)
    assert half.blocks[0].widen.compute_dtype == policy.removeprefix("mixed_")
    half.set_weights(whole.get_weights())
    for gain in (1e-4, 1, 1e4):  # the level is taken out before anything is rounded
        x = gain * noise(1, 4000)
        y, expected = run(half, x), run(whole, x)
        assert y.dtype == np.float32 and np.isfinite(y).all()
        assert np.sqrt(np.mean((y - expected) ** 2) / np.mean(expected**2)) < 0.03


@pytest.mark.parametrize("changes, shape", [
    ({}, (1, 200)), ({**CAUSAL, "mask": "softmax", "skip": False, "channels": 2, "consistent": True}, (1, 2, 100)),
])  # fmt: skip
def test_saved_and_loaded_in_safe_mode_it_gives_the_same(tmp_path, changes, shape):
    model = network(**changes)
    x = noise(*shape)
    again = reloaded(model, tmp_path)
    assert again.sizes == model.sizes
    np.testing.assert_array_equal(run(again, x), run(model, x))
