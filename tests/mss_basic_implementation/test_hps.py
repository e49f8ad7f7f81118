"""Harmonic-percussive separation against SciPy's median filter, librosa's masks, and what the method promises."""

import librosa
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing.audio_processing import stft
from audio_processing.metrics import snr
from mss_basic_implementation.hps import HarmonicPercussive, masks, running_median, split
from tests.helpers import noise, refused


def spectrogram(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).exponential(size=shape).astype(dtype)


def clicks_and_tone(samples=44100, rate=22050):
    n = np.arange(samples)
    clicks = np.zeros(samples, np.float32)
    clicks[rate // 8 :: rate // 4] = 1
    tone = 0.2 * np.sin(2 * np.pi * 440 * n / rate) * np.minimum(1, n / 2000) * np.minimum(1, n[::-1] / 2000)
    return clicks, tone.astype(np.float32)


# --- the running median -----------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    lines=st.integers(1, 40),
    length=st.integers(1, 70),
    half=st.integers(0, 40),
    axis=st.sampled_from([-1, -2]),
    levels=st.sampled_from([2, 5, 10**6]),  # few levels make many equal values
    dtype=st.sampled_from([np.float32, np.float64]),
    order=st.sampled_from("CF"),
    seed=st.integers(0, 999),
)
def test_running_median_is_the_median_bit_for_bit(lines, length, half, axis, levels, dtype, order, seed):
    rng = np.random.default_rng(seed)
    values = np.asarray(rng.integers(-levels, levels, (lines, length)), dtype=dtype, order=order) / 7
    size = 2 * half + 1
    ours = running_median(values, size, axis=axis)
    assert ours.dtype == dtype and ours.strides == np.empty_like(values).strides
    margins = [(0, 0), (0, 0)]
    margins[axis] = (half, half)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, margins, mode="symmetric"), size, axis=axis)
    np.testing.assert_array_equal(ours, np.median(windows, axis=-1).astype(dtype))
    if values.shape[axis] >= size:  # SciPy's result for two values and a longer filter is not the median
        shape = (1, size) if axis == -1 else (size, 1)
        np.testing.assert_array_equal(ours, scipy.ndimage.median_filter(values, size=shape, mode="reflect"))


@pytest.mark.parametrize("size", [1, 3, 31, 101, 201, 401])
def test_running_median_of_many_lines_and_lengths(size):
    values = spectrogram(33, 300)
    expected = scipy.ndimage.median_filter(values, size=(1, size), mode="reflect")
    np.testing.assert_array_equal(running_median(values, size), expected)


def test_running_median_of_more_axes_and_of_one():
    values = spectrogram(2, 3, 40, 30)
    expected = scipy.ndimage.median_filter(values, size=(1, 1, 9, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(values, 9, axis=-2), expected)
    expected = scipy.ndimage.median_filter(values[0, 0, 0], size=5, mode="reflect")
    np.testing.assert_array_equal(running_median(values[0, 0, 0], 5), expected)


def test_running_median_turns_integers_into_float64():
    filtered = running_median([5, 1, 4, 4, 9], 3)
    assert filtered.dtype == np.float64
    np.testing.assert_array_equal(filtered, [5, 4, 4, 4, 9])


def test_running_median_removes_a_spike_and_keeps_a_step():
    values = np.r_[np.zeros(10), 1, np.zeros(10), np.ones(20)]
    np.testing.assert_array_equal(running_median(values, 5), np.r_[np.zeros(21), np.ones(20)])


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [1, 11, 31, (17, 31), 201])
@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("margin", [1.0, 2.5, (1.0, 5.0)])
def test_masks_are_librosas(kernel, power, margin):
    magnitude = spectrogram(129, 60)
    ours = masks(magnitude, kernel=kernel, power=power, margin=margin)
    theirs = librosa.decompose.hpss(magnitude, kernel_size=kernel, power=power, margin=margin, mask=True)
    for mask, expected in zip(ours, theirs):
        assert mask.dtype == np.float32
        assert np.abs(mask - expected).max() < 1e-5


@pytest.mark.parametrize("margin", [1.0, 3.0])
def test_masks_are_librosas_on_a_sound_with_silence_in_it(margin):
    clicks, tone = clicks_and_tone()
    magnitude = np.abs(stft(np.r_[clicks + tone, np.zeros(30000, np.float32)]))
    theirs = librosa.decompose.hpss(magnitude, kernel_size=31, margin=margin, mask=True)
    for mask, expected in zip(masks(magnitude, margin=margin), theirs):
        assert np.abs(mask - expected).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50), st.integers(0, 20), st.integers(0, 99))
def test_masks_add_up_to_one_at_margin_one(power, half, seed):
    magnitude = spectrogram(40, 30, seed=seed) * (spectrogram(40, 30, seed=seed + 1) > 0.7)
    harmonic, percussive = masks(magnitude, kernel=2 * half + 1, power=power)
    np.testing.assert_allclose(harmonic + percussive, 1, atol=1e-6)
    assert harmonic.min() >= 0 and percussive.min() >= 0


def test_masks_add_up_to_at_most_one_with_a_margin_and_shrink_as_it_grows():
    magnitude = spectrogram(60, 50)
    narrow, wide = masks(magnitude, margin=2), masks(magnitude, margin=8)
    assert (narrow[0] + narrow[1] <= 1 + 1e-6).all()
    assert all((w <= n).all() for w, n in zip(wide, narrow))


def test_binary_masks():
    magnitude = spectrogram(60, 50).round(1)  # with ties
    harmonic, percussive = masks(magnitude, power=np.inf)
    assert set(np.unique(harmonic)) == {0, 1}
    np.testing.assert_array_equal(harmonic + percussive, 1)
    wide = masks(magnitude, power=np.inf, margin=2)
    assert (wide[0] + wide[1] <= 1).all() and (wide[0] <= harmonic).all() and (wide[1] <= percussive).all()
    theirs = librosa.decompose.hpss(magnitude, power=np.inf, margin=2.0, mask=True)
    np.testing.assert_array_equal(wide, np.array(theirs, np.float32))


def test_masks_do_not_change_with_the_level():
    magnitude = spectrogram(60, 50, dtype=np.float64)
    for quiet, loud in zip(masks(magnitude), masks(1e6 * magnitude)):
        np.testing.assert_allclose(quiet, loud, rtol=1e-9)
    tiny = masks(np.float32(1e-30) * magnitude.astype(np.float32))
    np.testing.assert_allclose(tiny[0], masks(magnitude)[0], atol=1e-4)


def test_a_horizontal_line_is_harmonic_and_a_vertical_one_percussive():
    magnitude = np.full((100, 100), 1e-3)
    magnitude[40, :] = 1
    magnitude[:, 70] = 1
    harmonic, percussive = masks(magnitude, kernel=11)
    assert harmonic[40, 20] > 0.99 and percussive[20, 70] > 0.99 and harmonic[40, 70] == 0.5


# --- parts and the separator ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (100,), (4000,), (2, 4001), (3, 2, 999)])
@pytest.mark.parametrize("margin", [1, 3])
def test_parts_add_up_to_the_sound(shape, margin):
    audio = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    parts = split(audio, margin=margin, n_fft=512, hop_length=128)
    assert all(part.shape == shape and part.dtype == np.float32 for part in parts)
    assert np.abs(sum(parts) - audio).max() < 1e-5
    if margin == 1:
        assert np.abs(parts.residual).max() < 1e-5


def test_clicks_and_tone_come_apart():
    clicks, tone = clicks_and_tone()
    parts = split(clicks + tone, n_fft=1024, hop_length=256)
    assert snr(tone, parts.harmonic) > 15 and snr(clicks, parts.percussive) > 8


def test_noise_is_neither():
    parts = split(noise(44100), margin=3, n_fft=1024, hop_length=256)
    energy = [np.sum(part**2) for part in parts]
    assert energy[2] > 5 * max(energy[:2])


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(1, 9000),
    channels=st.integers(0, 3),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000]),
)
def test_separator_keeps_length_and_channels_and_adds_up(samples, channels, rate):
    shape = (channels, samples) if channels else (samples,)
    mixture = np.random.default_rng(samples).uniform(-1, 1, shape).astype(np.float32)
    stems = HarmonicPercussive().separate(mixture, rate)
    assert tuple(stems) == HarmonicPercussive.sources
    assert all(stem.shape == shape and stem.dtype == np.float32 for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-6


@pytest.mark.parametrize("pieces", [0.02, 0.3, 1.1])
@pytest.mark.parametrize("rate, kernel", [(16000, 31), (44100, (31, 17)), (22050, (7, 101))])
def test_pieces_make_the_whole(pieces, rate, kernel):
    clicks, tone = clicks_and_tone(44100)
    mixture = np.stack([clicks + tone, tone[::-1] - clicks])
    whole = HarmonicPercussive(kernel=kernel).separate(mixture, rate)
    cut = HarmonicPercussive(kernel=kernel, chunk_seconds=pieces).separate(mixture, rate)
    assert np.abs(whole["drums"] - cut["drums"]).max() < 1e-5


def test_separator_does_the_same_at_every_rate():
    """The filters span seconds and hertz, not samples."""
    for rate in (16000, 22050, 44100):
        clicks, tone = clicks_and_tone(2 * rate, rate)
        stems = HarmonicPercussive().separate(clicks + tone, rate)
        assert snr(tone, stems["rest"]) > 30


def test_separator_without_a_rate_takes_its_own():
    clicks, tone = clicks_and_tone()
    drums = [HarmonicPercussive().separate(clicks + tone, *rate)["drums"] for rate in ((), (44100,))]
    np.testing.assert_array_equal(*drums)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, value", [
    *(("kernel", value) for value in (30, 0, -1, 3.5, (31, 30), (2, 31), (31, 31, 31), None)),
    *(("margin", value) for value in (0.9, (1, 0), float("nan"), (1, 2, 3))),
    *(("power", value) for value in (0, -2, float("nan"))),
])  # fmt: skip
def test_settings_that_make_no_masks_are_refused(name, value):
    assert "\n" not in refused(f"^{name}: ", masks, spectrogram(20, 20), **{name: value})


def test_the_running_median_refuses_an_even_size_by_name():
    refused("^size: expected an odd length of at least 1, got 4", running_median, np.ones(9), 4)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((0, 3)), np.float64(3), [1, np.nan], [1, np.inf]])
def test_the_running_median_refuses_what_has_no_median(values):
    refused("^values: ", running_median, values, 3)


def test_a_kernel_longer_than_the_signal_sees_its_mirror_images():
    audio = np.random.default_rng(0).uniform(-1, 1, 1200).astype(np.float32)  # three frames
    magnitude = np.abs(stft(audio))
    mirrored = np.pad(magnitude, 20, mode="symmetric")
    for mask, expected in zip(masks(magnitude), masks(mirrored)):
        np.testing.assert_array_equal(mask, expected[20:-20, 20:-20])
    assert np.abs(sum(split(audio)) - audio).max() < 1e-5


def test_a_one_sample_signal_is_split():
    assert sum(split(np.array([0.5], np.float32))) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    "magnitude", [np.ones(5), np.ones((0, 4)), np.ones((4, 4)) * 1j, -np.ones((4, 4)), np.full((4, 4), np.nan)]
)
def test_what_is_no_magnitude_spectrogram_is_refused(magnitude):
    refused("^magnitude: ", masks, magnitude)


def test_a_hop_longer_than_the_window_is_refused():
    refused("^hop_length: ", split, np.ones(5000), n_fft=512, hop_length=1024)
