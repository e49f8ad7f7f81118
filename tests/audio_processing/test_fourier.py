"""The Fourier transform in small steps, against NumPy's and against tones."""

import librosa
import numpy as np
import pytest
import scipy.signal

from audio_processing import fourier
from audio_processing.audio_processing import stft, window
from tests.helpers import refused


@pytest.mark.parametrize("size", [1, 2, 7, 64, 300])
def test_dft_matrix_is_numpys_fft_and_unitary_but_for_its_size(size):
    matrix = fourier.dft_matrix(size)
    x = np.random.default_rng(0).normal(size=size)
    np.testing.assert_allclose(matrix @ x, np.fft.fft(x), atol=1e-10)
    np.testing.assert_allclose(matrix @ matrix.conj().T, size * np.eye(size), atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 8, 1024])
def test_fft_is_numpys(size):
    x = np.random.default_rng(0).normal(size=size) + 1j
    np.testing.assert_allclose(fourier.fft(x), np.fft.fft(x), atol=1e-10)


@pytest.mark.parametrize("size", [0, 3, 1000])
def test_fft_refuses_other_lengths(size):
    refused(f"^x: expected a length that is a power of two, got {size}", fourier.fft, np.zeros(size))


@pytest.mark.parametrize("frequency", [0, 1000, 7999, 8000, 9000, 16000, 30000.5])
def test_a_tone_is_heard_at_its_alias(frequency):
    n = np.arange(16000)
    heard = fourier.alias(frequency, 16000)
    assert 0 <= heard <= 8000
    np.testing.assert_allclose(
        np.cos(2 * np.pi * frequency * n / 16000), np.cos(2 * np.pi * heard * n / 16000), atol=1e-7
    )


@pytest.mark.parametrize("name, hop, constant", [
    ("hann", 256, True), ("hann", 512, False), ("hann", 341, False), ("boxcar", 1024, True), ("boxcar", 1000, False),
])  # fmt: skip
def test_overlap_sum_is_constant_where_scipy_says_so(name, hop, constant):
    weights = window(name, 1024)
    total = fourier.overlap_sum(weights, hop)
    assert total.shape == (hop,) and (np.ptp(total) < 1e-12) == constant
    assert scipy.signal.check_COLA(weights**2, 1024, 1024 - hop) == constant
    refused("^hop_length: expected from 1 to the window's 1024", fourier.overlap_sum, weights, 1025)


def test_the_gauss_window_is_the_narrowest_of_all():
    limit = 1 / (4 * np.pi)
    time, frequency = fourier.spreads(scipy.signal.windows.gaussian(1024, 90))
    assert time == pytest.approx(90 / np.sqrt(2), rel=1e-6) and time * frequency == pytest.approx(limit, rel=1e-6)
    time, frequency = fourier.spreads(window("hann", 1024))
    assert limit < time * frequency < 1.05 * limit


@pytest.mark.parametrize("sample_rate, n_fft, n_bands", [(16000, 1024, 64), (44100, 2048, 40)])
def test_mel_bands_are_librosas(sample_rate, n_fft, n_bands):
    theirs = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_bands, htk=True, norm=None)
    np.testing.assert_allclose(fourier.mel_bands(sample_rate, n_fft, n_bands), theirs, atol=1e-6)
    np.testing.assert_allclose(fourier.mel([0, 700, 4000]), librosa.hz_to_mel([0, 700, 4000], htk=True))


@pytest.mark.parametrize("frequency", [437.1, 1000, 5555.5])
def test_instantaneous_frequency_finds_a_tone_between_bins(frequency):
    audio = np.sin(2 * np.pi * frequency * np.arange(16000) / 16000)
    spectrum = stft(audio, 1024, 256)
    bin_ = round(frequency * 1024 / 16000)
    found = fourier.instantaneous_frequency(spectrum, 256, 16000)[bin_ - 1 : bin_ + 2, 5:50]
    np.testing.assert_allclose(found, frequency, atol=0.05)
