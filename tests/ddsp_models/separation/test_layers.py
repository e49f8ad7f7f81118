"""Layers of the analysis network: scales of frequency, harmonic templates, sizes."""

import numpy as np
import pytest
from keras import ops

from audio_processing.audio_processing import stft
from ddsp_models.separation import layers
from ddsp_models.separation.layers import Sizes
from tests.helpers import array, refused, tone


def test_triangles_add_up_to_a_flat_spectrum():
    for n in (8, 40, 96):
        np.testing.assert_allclose(layers.mel_triangles(n, 2048, 16000).sum(axis=1), 1.0, atol=1e-5)


def test_the_map_finds_a_frequency_where_its_note_is():
    sizes = Sizes()
    weights = layers.log_frequency_weights(sizes)
    for frequency in (110.0, 440.0, 1760.0):
        spectrum = np.exp(-0.5 * (np.arange(sizes.n_frequencies) - frequency * 2048 / 16000) ** 2)
        note = layers.LOWEST_NOTE + np.argmax(spectrum @ weights) / sizes.per_semitone
        assert abs(note - (69 + 12 * np.log2(frequency / 440))) < 0.5


@pytest.mark.parametrize("f0", [82.4, 220.0, 415.3])
def test_lobes_look_like_the_spectrogram_of_equal_harmonics(f0):
    magnitude = np.abs(stft(tone(f0), 2048, 128))[:, 60]
    frames = ops.convert_to_tensor(np.full((1, 9), f0, np.float32))
    lobes = array(layers.harmonic_lobes(frames, ops.convert_to_tensor(0.72), 2048, 16000))[0, 4]
    harmonics = slice(0, int(10.4 * f0 * 2048 / 16000))
    shape = magnitude[harmonics] / magnitude[harmonics].max()
    assert np.corrcoef(shape, lobes[harmonics])[0, 1] > 0.99
    assert np.abs(shape - lobes[harmonics]).max() < 0.12


def test_a_moving_pitch_smears_high_harmonics_more():
    line = ops.convert_to_tensor((200.0 + 2.0 * np.arange(9, dtype=np.float32))[None])
    lobes = array(layers.harmonic_lobes(line, ops.convert_to_tensor(1.0), 2048, 16000))[0, 4]
    spacing = 208.0 * 2048 / 16000
    between = [lobes[int(round((k + 0.5) * spacing))] for k in (2, 10, 20)]
    assert between[0] < 0.01 < between[1] < between[2]


def test_sizes_that_contradict_each_other_are_named():
    refused("pitched: expected some of .* got bass, flute", Sizes, pitched=("bass", "flute"))
    refused("lowest, highest: expected .* got 1 and 2", Sizes, lowest=(26.0,))
    refused("hop: expected .* got 100", Sizes, hop=100)
