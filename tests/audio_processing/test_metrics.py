import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing.metrics import frame_sdr, sdr, si_sdr, snr


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((2, 4000))
    return reference, reference + 0.1 * rng.standard_normal((2, 4000))


def test_known_values():
    reference = np.array([1.0, 0, 0, 0])
    assert snr(reference, 0 * reference) == pytest.approx(0)
    assert snr(reference, np.array([1.0, 0.1, 0, 0])) == pytest.approx(20)
    assert si_sdr(reference, np.array([0.5, 0.5, 0, 0])) == pytest.approx(0)
    assert si_sdr(reference, np.array([10.0, 1.0, 0, 0])) == pytest.approx(20)


def test_undefined_and_extreme_cases(pair):
    reference, estimate = pair
    silent = np.zeros_like(reference)
    assert np.isnan(snr(silent, estimate)) and np.isnan(si_sdr(silent, estimate))
    assert si_sdr(reference, silent) == -np.inf
    assert snr(reference, reference) == np.inf
    with pytest.raises(ValueError, match="estimate: expected the reference.s shape"):
        snr(reference, estimate[:, :-1])


@given(gain=st.floats(0.01, 100), sign=st.sampled_from([-1, 1]))
def test_si_sdr_ignores_gain_and_snr_does_not(gain, sign):
    rng = np.random.default_rng(1)
    reference = rng.standard_normal(500)
    estimate = reference + 0.3 * rng.standard_normal(500)
    assert si_sdr(reference, sign * gain * estimate) == pytest.approx(si_sdr(reference, estimate), abs=1e-6)
    if not 0.7 < sign * gain < 1.25:  # the gain of the highest SNR lies between, below 1
        assert snr(reference, sign * gain * estimate) < snr(reference, estimate)


def _museval(references, estimates, rate):
    museval = pytest.importorskip("museval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return museval.evaluate(
            references.transpose(0, 2, 1), estimates.transpose(0, 2, 1), win=rate, hop=rate, mode="v4", padding=False
        )[0]


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    sources=st.integers(2, 3),
    channels=st.integers(1, 2),
    samples=st.integers(1200, 4500),
    silent_reference=st.booleans(),
    silent_estimate=st.booleans(),
)
def test_sdr_equals_museval(seed, sources, channels, samples, silent_reference, silent_estimate):
    rng, rate = np.random.default_rng(seed), 1000
    references = rng.standard_normal((sources, channels, samples))
    estimates = references + 0.5 * rng.standard_normal(references.shape) + 0.2 * references[::-1]
    if silent_reference:
        references[0, :, :rate] = 0
    if silent_estimate:
        estimates[-1, :, rate:] = 0
    expected = _museval(references, estimates, rate)
    ours = frame_sdr(references, estimates, rate)
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    np.testing.assert_allclose(ours, expected, atol=1e-9, rtol=0)


def test_sdr_of_a_signal_shorter_than_a_frame_equals_museval():
    rng = np.random.default_rng(3)
    references = rng.standard_normal((2, 1, 700))
    estimates = references + rng.standard_normal(references.shape)
    np.testing.assert_allclose(
        frame_sdr(references, estimates, 1000), _museval(references, estimates, 1000), atol=1e-9, rtol=0
    )


def test_sdr_is_the_median_over_counted_frames():
    rng = np.random.default_rng(4)
    references = rng.standard_normal((2, 5000))
    estimates = references + rng.standard_normal((2, 5000)) * np.repeat([0.1, 1, 0.2, 3, 0.5], 1000)
    references[0, :1000] = 0  # drops the first frame for both
    frames = frame_sdr(references, estimates, 1000)
    assert np.isnan(frames[:, 0]).all() and not np.isnan(frames[:, 1:]).any()
    np.testing.assert_allclose(sdr(references, estimates, 1000), np.median(frames[:, 1:], axis=1))
    assert np.isnan(sdr(0 * references, estimates, 1000)).all()
