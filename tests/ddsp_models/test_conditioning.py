"""Conditioning of decoders: scaled features, the spectral envelope, note onsets."""

import librosa
import numpy as np
import pytest
from keras import ops

from ddsp_models import features as feature
from ddsp_models.conditioning import note_onsets, scaled, spectral_envelope
from tests.helpers import array, some_features


@pytest.mark.parametrize("scale", ["mel", "octave"])
def test_the_envelope_interpolates_the_bands_and_louder_in_is_louder_out(scale):
    features = some_features(feature.PITCHED, frames=5, batch=1)
    outputs = {name: array(x)[0] for name, x in spectral_envelope(features, 30, 17, scale).items()}
    if scale == "mel":
        centres = librosa.mel_frequencies(feature.N_BANDS + 2, fmin=0, fmax=8000)[1:-1]
        place = librosa.hz_to_mel
    else:
        centres, place = 40 * 2 ** (np.arange(feature.N_BANDS) / 2), np.log2
    for k in range(5):
        levels = features["bands"][0, k] / 20
        noise = np.interp(place(np.linspace(0, 8000, 17) + 1e-9), place(centres), levels)
        np.testing.assert_allclose(outputs["noise"][k], noise + 3, atol=0.03)
        harmonics = np.interp(place(features["f0"][0, k] * np.arange(1, 31)), place(centres), levels)
        np.testing.assert_allclose(outputs["distribution"][k], harmonics, atol=0.03)  # a table, by whole hertz
    louder = {**features, "loudness": features["loudness"] + 20, "bands": features["bands"] + 20}
    for name, x in spectral_envelope(louder, 30, 17, scale).items():
        np.testing.assert_allclose(array(x)[0], outputs[name] + 1, atol=1e-4)  # ten times the amplitude
    features["f0"][...] = [[[0], [np.nan], [-1], [9000], [1e9]]]
    assert all(np.isfinite(array(x)).all() for x in spectral_envelope(features, 30, 17, scale).values())


def test_a_loudness_of_minus_infinity_is_silence_at_minus_eighty():
    lowest = scaled({"loudness": ops.convert_to_tensor([[[-np.inf]], [[-80.0]], [[0.0]]])})["loudness"]
    np.testing.assert_allclose(array(lowest).ravel(), [0, 0, 1])


def test_a_note_begins_where_voicing_does_or_pitch_leaps_and_not_in_a_slide_or_a_vibrato():
    frames = np.arange(60)
    cents = 6 * np.sin(2 * np.pi * 5.5 * frames / 250) + np.where(frames >= 20, 200, 0)  # a leap at 20
    cents = cents + 500 * np.clip((frames - 35) / 15, 0, 1)  # a slide from 35 to 50
    f0 = (55 * 2 ** (cents / 1200)).astype(np.float32)[None, :, None]
    voiced = np.ones_like(f0)
    voiced[:, :5], voiced[:, 28:31] = 0, 0
    f0[:, :5] = np.nan
    onsets = array(note_onsets(ops.convert_to_tensor(f0), ops.convert_to_tensor(voiced), 30.0))[0, :, 0]
    assert np.flatnonzero(onsets).tolist() == [5, 20, 31]
