"""Loudness: its definition, silence, alignment, finite gradients."""

import numpy as np
import pytest
from keras import ops

from audio_processing import loudness as annotations
from ddsp_models.loudness import loudness
from tests.helpers import array, gradients, noise, refused


@pytest.mark.parametrize("samples", [16000, 16001, 16063])
def test_loudness_equals_the_virtual_bands(samples):
    audio = 0.1 * noise(2, samples)
    ours = array(loudness(audio))
    theirs = np.stack([annotations.loudness(channel, 16000) for channel in audio])
    assert ours.shape == (2, 250)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    np.testing.assert_allclose(array(loudness(audio[0])), theirs[0], atol=1e-3)


def test_silence_is_as_quiet_as_it_gets_and_gain_adds_decibels():
    assert (array(loudness(np.zeros((1, 6400), np.float32))) == -80).all()
    quiet, loud = array(loudness(0.1 * noise(2, 8000))), array(loudness(0.2 * noise(2, 8000)))
    np.testing.assert_allclose(loud - quiet, 20 * np.log10(2), atol=1e-3)


def test_a_click_is_loudest_in_the_frame_centred_on_it():
    for frame in (3, 40, 99):
        audio = np.zeros(100 * 64, np.float32)
        audio[frame * 64] = 1
        assert array(loudness(audio)).argmax() == frame


def test_the_a_curve_is_that_of_the_standard():
    t = np.arange(16000) / 16000
    level = {f: array(loudness(np.sin(2 * np.pi * f * t).astype(np.float32)))[125] for f in (200, 1000, 2500)}
    assert level[1000] - level[200] == pytest.approx(10.9, abs=0.7)  # IEC 61672: -10.9 dB at 200 Hz
    assert level[2500] > level[1000]


def test_loudness_refuses_what_it_cannot_measure():
    refused("audio: expected at least 64 samples .* got 0", loudness, np.zeros(0, np.float32))
    refused("sample_rate: expected a multiple of 250 Hz, got 22051", loudness, np.zeros(22051, np.float32), 22051)


def test_gradients_are_finite_even_in_silence():
    for audio in (np.zeros((1, 4096), np.float32), 0.1 * noise(1, 4096)):
        (gradient,) = gradients(lambda x: ops.mean(loudness(x)), audio)
        assert np.isfinite(gradient).all()
