"""Synthesisers: compared with float64 sums and with definitions, and on controls that cannot be played."""

import keras
import numpy as np
import pytest
from keras import ops

from ddsp_models import synthesisers as ds
from ddsp_models.streaming import stream
from tests.helpers import array, gradients, noise, refused, reloaded


def reference(f0, amplitudes, hop, rate):
    """The harmonic oscillator in float64, from its definition: f0 (frames,), amplitudes (frames, harmonics)."""
    f0, amplitudes = f0.astype(np.float64), amplitudes.astype(np.float64)
    n = np.arange(len(f0) * hop)
    k, j = n // hop, n % hop
    after = np.minimum(k + 1, len(f0) - 1)
    frequency = f0[k] + j / hop * (f0[after] - f0[k])
    theta = 2 * np.pi * np.cumsum(frequency) / rate
    window = (1 - np.cos(np.pi * j / hop)) / 2
    sound = np.zeros(len(n))
    for i in range(amplitudes.shape[1]):
        envelope = amplitudes[k, i] * (1 - window) + amplitudes[after, i] * window
        sound += np.where((i + 1) * frequency < rate / 2, envelope * np.sin((i + 1) * theta), 0)
    return sound


def random_controls(seed, frames=50, harmonics=60, low=60.0, high=500.0):
    rng = np.random.default_rng(seed)
    f0 = np.geomspace(low, high, frames) * np.exp(0.05 * rng.standard_normal(frames))
    amplitudes = rng.random((1, frames, harmonics)) / harmonics
    return f0[None, :, None].astype(np.float32), amplitudes.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_sixty_harmonics_equal_a_float64_sum(seed):
    f0, amplitudes = random_controls(seed)
    expected = reference(f0[0, :, 0], amplitudes[0], 64, 16000)
    np.testing.assert_allclose(array(ds.harmonic_oscillator(f0, amplitudes))[0], expected, atol=2e-5)


@pytest.mark.parametrize("rate, hop", [(16000, 64), (44100, 441)])
def test_phase_is_accurate_after_a_minute(rate, hop):
    frames = 60 * rate // hop
    t = np.arange(frames) * hop / rate
    f0 = (227.3 * 2 ** (0.5 * np.sin(2 * np.pi * 5.5 * t) / 12 + t / 120)).astype(np.float32)
    amplitudes = np.ones((1, frames, 3), np.float32) / 3
    sound = next(stream([{"f0": f0[None, :, None], "amplitudes": amplitudes}], hop_length=hop, sample_rate=rate))[0]
    expected = reference(f0, amplitudes[0], hop, rate)
    assert np.abs(sound - expected)[-rate:].max() < 1e-3


def test_phase_of_a_steady_high_harmonic_after_ten_minutes():
    f0 = np.full((1, 150000, 1), 123.456, np.float32)
    phase = array(ds.frame_phase(ops.convert_to_tensor(f0)))[0, :, 0]
    exact = (np.arange(150000) * 64 * np.float64(np.float32(123.456)) / 16000) % 1
    error = np.abs((phase - exact + 0.5) % 1 - 0.5)
    assert error.max() * 60 < 1e-2  # of a turn, at the 60th harmonic


def test_a_tone_that_restarts_does_not_depend_on_what_came_before():
    f0, amplitudes = random_controls(6, frames=40, harmonics=8, low=50, high=120)
    restarts = np.zeros((1, 40, 1), np.float32)
    restarts[0, [10, 25]] = 1
    phase = array(ds.frame_phase(ops.convert_to_tensor(f0), restarts=ops.convert_to_tensor(restarts)))[0, :, 0]
    np.testing.assert_allclose(phase[[10, 25]], 32 * f0[0, [10, 25], 0] / 16000, atol=1e-5)
    assert (phase >= 0).all() and (phase < 1).all()
    sound = array(ds.harmonic_oscillator(f0, amplitudes, restarts=restarts))[0]
    plain = array(ds.harmonic_oscillator(f0, amplitudes))[0]
    np.testing.assert_array_equal(sound[: 9 * 64], plain[: 9 * 64])
    other = f0.copy()
    other[:, :10] = 77.0
    again = array(ds.harmonic_oscillator(other, amplitudes, restarts=restarts))[0]
    np.testing.assert_allclose(again[10 * 64 :], sound[10 * 64 :], atol=1e-4)
    (gradient,) = gradients(lambda f: ops.sum(ds.harmonic_oscillator(f, amplitudes, restarts=restarts)[:, 1600:]), f0)
    assert np.abs(gradient[0, :24]).max() == pytest.approx(0, abs=1e-4) and np.abs(gradient[0, 25:]).max() > 1e-3


def test_gradient_equals_central_differences_in_float64():
    f0, amplitudes = random_controls(4, frames=6, harmonics=20, low=300, high=500)  # some harmonics above Nyquist
    weights = noise(6 * 16)
    for_f0, for_amplitudes = gradients(lambda f, a: ops.sum(ds.harmonic_oscillator(f, a, 16) * weights), f0, amplitudes)

    def value(f, a):
        return reference(f[0, :, 0], a[0], 16, 16000) @ weights

    for move, gradient in (
        (lambda by: value(f0 + by, amplitudes), for_f0),
        (lambda by: value(f0, amplitudes + by), for_amplitudes),
    ):
        expected = np.zeros(gradient.shape)
        for index in np.ndindex(gradient.shape):
            step = np.zeros(gradient.shape)
            step[index] = 1e-4
            expected[index] = (move(step) - move(-step)) / 2e-4
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_the_compiler_changes_neither_sound_nor_gradient():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("XLA is asked for through TensorFlow here")
    import tensorflow as tf

    f0, amplitudes = random_controls(5, frames=20, harmonics=12)

    def energy(f, a):
        return tf.reduce_sum(ds.harmonic_oscillator(f, a) ** 2)

    compiled = tf.function(
        lambda f, a: (ds.harmonic_oscillator(f, a), *tf.gradients(energy(f, a), (f, a))), jit_compile=True
    )
    sound, for_f0, for_amplitudes = (array(x) for x in compiled(tf.constant(f0), tf.constant(amplitudes)))
    np.testing.assert_allclose(sound, array(ds.harmonic_oscillator(f0, amplitudes)), atol=1e-5)
    eager = gradients(energy, f0, amplitudes)
    np.testing.assert_allclose(for_f0, eager[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(for_amplitudes, eager[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bad", [0.0, -100.0, 8000.0, 20000.0, np.nan, np.inf, -np.inf])
def test_f0_that_no_oscillator_can_play_is_silent_and_spoils_nothing(bad):
    layer = ds.Harmonic()
    f0 = np.full((1, 10, 1), 220.0, np.float32)
    f0[0, 4:6] = bad
    outputs = np.zeros((1, 10, 1), np.float32), np.zeros((1, 10, 8), np.float32)
    sound = array(layer(*outputs, f0))[0]
    assert np.isfinite(sound).all()
    assert (sound[4 * 64 : 5 * 64] == 0).all() and np.abs(sound[: 3 * 64]).max() > 0.1
    for gradient in gradients(lambda a, d: ops.sum(layer(a, d, ops.convert_to_tensor(f0)) ** 2), *outputs):
        assert np.isfinite(gradient).all()


def test_harmonics_above_nyquist_are_muted_and_the_rest_adds_up_to_one():
    f0 = np.array([[[100.0], [1500.0], [7999.0], [8000.0]]], np.float32)
    distribution = array(ds.normalise_harmonics(np.ones((1, 4, 60), np.float32), f0))[0]
    assert [np.count_nonzero(frame) for frame in distribution] == [60, 5, 1, 0]
    np.testing.assert_allclose(distribution.sum(axis=-1), [1, 1, 1, 0], atol=1e-6)


def test_exp_sigmoid_values():
    x = np.array([-100.0, -2.0, 0.0, 1.5, 100.0])
    expected = 2 * (1 / (1 + np.exp(-x))) ** np.log(10) + 1e-7
    np.testing.assert_allclose(array(ds.exp_sigmoid(x.astype(np.float32))), expected, rtol=1e-5)


def test_upsampling_keeps_constants_and_meets_every_frame():
    frames = noise(2, 7, 3)
    for shape in ("hann", "linear"):
        samples = array(ds.upsample(frames, 10, shape))
        assert samples.shape == (2, 70, 3)
        np.testing.assert_allclose(samples[:, ::10], frames, atol=1e-6)
        assert (array(ds.upsample(np.ones((1, 4, 1), np.float32), 8, shape)) == 1).all()
    linear = array(ds.upsample(frames[:1, :, :1], 10, "linear"))[0, :, 0]
    np.testing.assert_allclose(linear, np.interp(np.arange(70) / 10, np.arange(7), frames[0, :, 0]), atol=1e-6)


def test_hann_upsampling_is_the_overlap_add_of_windows():
    frames = np.random.default_rng(1).standard_normal(6)
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(16) / 8)
    expected = np.zeros(8 * 8)
    for k, value in enumerate([*frames, frames[-1]]):
        expected[8 * k : 8 * k + 16] += value * window
    got = array(ds.upsample(frames[None, :, None].astype(np.float32), 8))[0, :, 0]
    np.testing.assert_allclose(got, expected[8:56], atol=1e-6)


@pytest.mark.parametrize("hop, bands", [(64, 65), (10, 33), (100, 9)])
def test_gains_of_one_leave_a_sound_as_it_is(hop, bands):
    audio = noise(2, 12 * hop)
    np.testing.assert_allclose(array(ds.fir_filter(audio, np.ones((2, 12, bands), np.float32), hop)), audio, atol=1e-5)
    late = array(ds.fir_filter(audio, np.ones((2, 12, bands), np.float32), hop, latency=2))
    np.testing.assert_allclose(late[:, 2:], audio[:, :-2], atol=1e-5)


def test_filtered_noise_has_the_spectrum_of_its_gains():
    gains = np.zeros(65, np.float32)
    gains[16:33] = 1  # 2 to 4 kHz
    white = np.random.default_rng(0).uniform(-1, 1, (1, 500 * 64)).astype(np.float32)
    sound = array(ds.FilteredNoise().signal(np.tile(gains, (1, 500, 1)), white))[0]
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
    inside = power[(frequency > 2200) & (frequency < 3800)].mean()
    outside = power[(frequency < 1600) | (frequency > 4400)].mean()
    assert 10 * np.log10(inside / outside) > 40
    assert inside == pytest.approx(np.mean(np.abs(np.fft.rfft(white[0])) ** 2), rel=0.1)


def test_a_filter_that_does_not_change_equals_scipy():
    from scipy.signal import oaconvolve

    audio, gains = noise(640), np.abs(noise(33, seed=1))
    filtered = array(ds.fir_filter(audio[None], np.tile(gains, (1, 10, 1))))[0]
    response = array(ds.impulse_responses(gains))
    np.testing.assert_allclose(filtered, oaconvolve(audio, response)[32 : 32 + 640], atol=1e-5)
    np.testing.assert_allclose(response[1:], response[:0:-1], atol=1e-6)  # linear phase


def test_an_untrained_reverb_changes_nothing_and_a_tap_is_an_echo():
    audio = noise(2, 1000)
    room = ds.Reverb(taps=300)
    np.testing.assert_allclose(array(room(audio)), audio, atol=1e-3)
    echo = np.zeros(300, np.float32)
    echo[[0, 100]] = 5.0, 0.5  # the first tap is not heard
    room.set_weights([echo])
    expected = audio + 0.5 * np.pad(audio, ((0, 0), (100, 0)))[:, :1000]
    np.testing.assert_allclose(array(room(audio)), expected, atol=2e-5)


def test_a_model_of_all_layers_survives_saving(tmp_path):
    f0, outputs = keras.Input((20, 1)), keras.Input((20, 1 + 8 + 9))
    sound = ds.Harmonic()(outputs[..., :1], outputs[..., 1:9], f0) + ds.FilteredNoise()(outputs[..., 9:])
    model = keras.Model([f0, outputs], ds.Reverb(taps=50)(ds.FIRFilter()(sound, outputs[..., 9:])))
    assert model.output_shape == (None, 1280)
    again = reloaded(model, tmp_path)
    for layer in (ds.Harmonic(32, 8000), ds.FilteredNoise(32, -3.0, 1), ds.FIRFilter(16), ds.Reverb(10, 2)):
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    inputs = [np.full((2, 20, 1), 220, np.float32), noise(2, 20, 18)]
    np.testing.assert_allclose(array(again(inputs)), array(model(inputs)), atol=1e-6)  # the same noise: seeded


def test_wrong_shapes_are_named():
    good = np.ones((1, 10, 1), np.float32)
    refused(
        r"f0: expected shape \(batch, 10, 1\), got \(1, 9, 1\)",
        ds.harmonic_oscillator,
        good[:, :9],
        np.ones((1, 10, 4), np.float32),
    )
    refused("at least one frame", ds.harmonic_oscillator, good[:, :0], good[:, :0])
    refused("hop_length: expected a positive whole number of samples, got 0", ds.upsample, good, 0)
    refused(
        r"audio: expected shape \(batch, 640\) for 10 frames .* got \(1, 100\)",
        ds.fir_filter,
        np.ones((1, 100), np.float32),
        np.ones((1, 10, 5), np.float32),
    )
    refused("shape: expected 'hann' or 'linear', got 'cubic'", ds.upsample, good, 8, "cubic")
