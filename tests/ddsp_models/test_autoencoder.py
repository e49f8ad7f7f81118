"""Decoders: shapes, silence and impossible pitch, gradients to the features, and shipped files."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from audio_processing.audio_processing import resample
from ddsp_models import features as feature
from ddsp_models.autoencoder import (
    PRESETS,
    WEIGHTS,
    Decoder,
    ResynthesisLoss,
    Settings,
    band_limit,
    load_decoder,
    resynthesise,
)
from ddsp_models.conditioning import gate
from ddsp_models.spectral_loss import spectral_loss
from tests.helpers import array, export, gradients, noise, refused, reloaded, some_features, untrained
from training.weights import WeightsError

SMALL = {
    "conv": Settings(outline=True, channels=8, depth=2, n_harmonics=6, n_bands=9, room_taps=100, noise_samples=512),
    "plucked": Settings(
        channels=8, depth=1, n_harmonics=6, n_bands=9, room_taps=100, noise_samples=512, restart_cents=30, gate=True
    ),
    "gru": Settings(network="gru", channels=8, depth=1, n_harmonics=6, n_bands=9, room_taps=0, noise_samples=0),
    "drums": dataclasses.replace(
        PRESETS["drums"], channels=8, depth=2, n_bands=9, n_modes=4, n_shots=2, shot_taps=90, noise_samples=512
    ),
}
PARTS = {
    "conv": {"amplitude", "distribution", "f0", "magnitudes"},
    "plucked": {"amplitude", "distribution", "f0", "magnitudes", "restarts", "gate"},
    "gru": {"amplitude", "distribution", "f0", "magnitudes"},
    "drums": {"magnitudes", "amplitudes", "frequencies", "gains", "shots"},
}


def decoder(kind):
    return untrained(Decoder, SMALL[kind], seed=0, shape={})


@pytest.mark.parametrize("kind", SMALL)
def test_frames_become_samples_and_controls_can_be_looked_at(kind):
    model = decoder(kind)
    features = some_features(model.sizes.inputs)
    assert array(model(features)).shape == (2, 30 * 64)
    controls = model.controls(features)
    assert set(controls) == PARTS[kind]
    assert all(np.isfinite(array(value)).all() for value in controls.values())
    tolerance = 1e-6 if model.sizes.noise_samples else 0.01  # white noise is another one each time
    np.testing.assert_allclose(array(model.signal(controls)), array(model(features)), atol=tolerance)
    assert set(model.parts(controls)) == {"noise"} | ({"modes", "transients"} if kind == "drums" else {"harmonic"})


@pytest.mark.parametrize("kind", SMALL)
def test_gradients_reach_every_weight_and_feature(kind):
    model = decoder(kind)
    features = some_features(model.sizes.inputs)
    target = 0.1 * noise(2, 1920, seed=1)
    names = model.sizes.inputs

    def loss(*values):
        return ops.mean(ResynthesisLoss().call(target, model(dict(zip(names, values)))))

    found = gradients(loss, *(features[name] for name in names))
    for name, gradient in zip(names, found):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, name
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss(*(features[name] for name in names))
        for weight, gradient in zip(model.trainable_weights, tape.gradient(value, model.trainable_weights)):
            assert gradient is not None and np.isfinite(array(gradient)).all(), weight.path


@pytest.mark.parametrize("kind", ["conv", "gru"])
def test_impossible_pitch_is_finite_and_has_no_tone(kind):
    model = decoder(kind)
    features = some_features(model.sizes.inputs, frames=6, batch=1)
    features["f0"][0, :, 0] = [0, -100, np.nan, 8000, 1e6, 0]
    features["loudness"][0, :, 0] = -np.inf
    controls = model.controls(features)
    assert (array(controls["distribution"]) == 0).all()
    assert np.isfinite(array(model(features))).all()
    assert np.abs(array(model.parts(controls)["harmonic"])).max() == 0


def test_the_noise_of_a_trained_decoder_is_the_same_every_time_and_of_a_learning_one_it_is_not():
    model = decoder("conv")
    features = some_features(model.sizes.inputs)
    np.testing.assert_array_equal(array(model(features)), array(model(features)))
    assert not np.array_equal(array(model(features, training=True)), array(model(features, training=True)))


@pytest.mark.parametrize("kind", SMALL)
def test_decoders_come_back_from_files_in_safe_mode(kind, tmp_path):
    model = decoder(kind)
    features = some_features(model.sizes.inputs)
    for weight in model.weights:
        weight.assign(array(weight) + 0.01)  # as if trained
    again = reloaded(model, tmp_path)
    assert again.sizes == model.sizes
    if SMALL[kind].noise_samples:
        np.testing.assert_allclose(array(again(features)), array(model(features)), atol=1e-6)
    for ours, theirs in zip(model.weights, again.weights):
        np.testing.assert_array_equal(array(ours), array(theirs))


def test_the_papers_sizes():
    weights = {name: untrained(Decoder, PRESETS[name], shape={}).trainable_weights for name in PRESETS}
    counts = {name: sum(int(np.prod(weight.shape)) for weight in each) for name, each in weights.items()}
    assert 4.7e6 < counts["solo"] < 4.95e6  # ddsp's has 4.8 million
    assert counts["tiny"] < 1e6 and 1e5 < counts["conv"] < 3e5 and 1e5 < counts["drums"] < 3e5


def test_nothing_is_left_above_the_band_of_recordings_and_the_rest_is_as_it_was():
    response = np.abs(np.fft.rfft(band_limit(), 16000))
    np.testing.assert_allclose(response[:7000], 1, atol=0.01)
    assert response[7980:].max() < 0.2
    heard = np.abs(np.fft.rfft(resample(noise(44100), 44100, 16000)))
    assert heard[7980:].mean() < 0.2 * heard[:7000].mean()  # as recordings are
    model = decoder("conv")
    sound = np.zeros((1, 2000), np.float32)
    sound[0, 700:1300] = np.sin(2 * np.pi * 1000 * np.arange(600) / 16000) * np.hanning(600)
    np.testing.assert_allclose(array(model.with_reverb(sound)), sound, atol=2e-3)  # no delay


def test_the_loss_is_the_spectral_loss_and_a_tenth_of_the_decibels():
    target, sound = (0.1 * np.random.default_rng(0).standard_normal((2, 2, 6400))).astype(np.float32)
    plain = float(spectral_loss(target, sound))
    assert abs(float(ResynthesisLoss(0.0)(target, sound)) - plain) < 1e-4
    halved = 0.5 * target
    with_loudness = float(ResynthesisLoss(0.1)(target, halved)) - float(spectral_loss(target, halved))
    assert abs(with_loudness - 0.1 * 20 * np.log10(2)) < 1e-2
    assert float(ResynthesisLoss()(target, target)) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": ()}, "inputs: .* got none"),
        ({"inputs": ("f0", "colour")}, "colour"),
        ({"network": "lstm"}, "'conv', 'gru', got 'lstm'"),
        ({"inputs": ("loudness",)}, "expected f0 for n_harmonics"),
        ({"inputs": ("f0", "bands")}, "expected bands, f0, loudness for outline"),
        ({"channels": 0}, "channels"),
        ({"outline": False, "inputs": ("f0", "bands"), "restart_cents": 30}, "expected f0, voiced for restart_cents"),
        ({"outline": False, "inputs": ("f0", "loudness"), "gate": True}, "expected bands for gate"),
    ],
)
def test_settings_that_make_no_decoder_are_refused(change, message):
    refused(message, dataclasses.replace, PRESETS["conv"], **change)


def test_exported_decoders_are_loaded_and_missing_ones_named(tmp_path):
    refused("band-bass.keras: no such file; `make train`", load_decoder, "band-bass", tmp_path, error=WeightsError)
    model, _ = load_decoder("band-bass", export(decoder("conv"), tmp_path, "band-bass"))
    assert model.sizes == SMALL["conv"]


def test_before_the_first_sound_is_digital_silence_and_a_pause_is_softer_than_any_recording():
    model = decoder("conv")
    features = {name: x[0] for name, x in some_features(model.sizes.inputs, batch=1).items()}
    for name in ("loudness", "bands"):
        features[name][:10] = -np.inf
        features[name][20:] = -80
    sound = resynthesise(model, features)
    assert (sound[: 10 * 64] == 0).all() and np.abs(sound[10 * 64 :]).max() > 0
    silent = {name: np.full_like(x, -80) if name in ("loudness", "bands") else x for name, x in features.items()}
    assert (resynthesise(model, silent) == 0).all()
    controls = model.controls(feature.batch(features, model.sizes.inputs))
    assert all(array(controls[name]).min() >= 0 for name in ("amplitude", "magnitudes"))


def test_behind_its_gate_a_decoder_falls_silent_though_its_room_rings_on():
    model = decoder("plucked")
    features = {name: x[0] for name, x in some_features(model.sizes.inputs, frames=150, batch=1).items()}
    for name in ("loudness", "bands"):
        features[name][50:] = -80
    gain = array(gate(feature.batch(features, model.sizes.inputs)))[0, :, 0]
    assert (gain[:50] == 1).all() and (np.diff(gain[49:81]) < 0).all()
    np.testing.assert_allclose(20 * np.log10(gain[81:]), -90, atol=1e-3)
    dry = np.zeros((1, 150 * 64), np.float32)
    dry[0, 60 * 64 :] = 0.1
    behind = array(model.with_reverb(ops.convert_to_tensor(dry), gain[None, :, None]))[0, 90 * 64 :]
    assert 0 < np.abs(behind).max() < 1e-5
    assert np.abs(array(model.with_reverb(ops.convert_to_tensor(dry)))[0, 90 * 64 :]).max() > 0.05


SHIPPED = sorted(path.stem for path in WEIGHTS.glob("*.keras") if not path.stem.startswith("separator"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_decoders_load_are_small_and_play(name):
    model, record = load_decoder(name)
    assert (WEIGHTS / f"{name}.keras").stat().st_size < 5e6
    assert Settings(**record["settings"]) == model.sizes
    features = {key: value[0] for key, value in some_features(model.sizes.inputs, frames=50, batch=1).items()}
    sound = resynthesise(model, features)
    assert sound.shape == (3200,) and np.isfinite(sound).all() and np.abs(sound).max() > 0
