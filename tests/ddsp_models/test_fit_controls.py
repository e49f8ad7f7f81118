"""Controls fitted to one sound by their gradients: those that are free are found, the others stay."""

import keras
import numpy as np
import pytest
from keras import ops

from ddsp_models import fit_controls
from ddsp_models.features import PITCHED, STRUCK, batch
from ddsp_models.fit_controls import OneNote
from ddsp_models.spectral_loss import SpectralLoss
from ddsp_models.synthesisers import harmonic_oscillator
from tests.helpers import refused, reloaded, small_decoder


@pytest.fixture(scope="module")
def decoder():
    return small_decoder("bass", n_harmonics=6)


@pytest.fixture(scope="module")
def features():
    frames = np.ones((100, 1), np.float32)
    return {"f0": 220 * frames, "voiced": frames, "loudness": -30 * frames, "bands": np.tile(-40 * frames, (1, 16))}


@pytest.mark.slow
def test_harmonics_of_another_decoder_are_found(decoder, features):
    controls = decoder.controls(batch(features, PITCHED))
    share = np.array([0.1, 0.6, 0.1, 0.1, 0.05, 0.05], np.float32)
    other = {**controls, "distribution": ops.convert_to_tensor(np.tile(share, (1, 100, 1)))}
    other["amplitude"] = 3 * ops.convert_to_tensor(controls["amplitude"])
    sound = ops.convert_to_numpy(decoder.signal(other))[0]
    before = [ops.convert_to_numpy(weight).copy() for weight in decoder.weights]
    parts = ("harmonics", "noise")
    harmonics, noise = (fit_controls.fitting_losses(decoder, features, sound, (part,), 60, 0.1) for part in parts)
    assert harmonics[0] == pytest.approx(noise[0], rel=1e-3)  # the decoder's own
    assert harmonics[-1] < 0.75 * harmonics[0] and harmonics[-1] < 0.9 * noise[-1]
    for weight, value in zip(decoder.weights, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_parts_that_a_decoder_lacks_are_named(decoder, features):
    controls = decoder.controls(batch(features, PITCHED))
    refused("free: expected .* got reverb", fit_controls.FreeControls, decoder, controls, ("reverb",))
    drums = small_decoder("drums")
    struck = {"onset": np.ones((10, 1), np.float32), "bands": np.full((10, 16), -40, np.float32)}
    refused(
        "free: expected noise of this decoder, got harmonics",
        fit_controls.FreeControls,
        drums,
        drums.controls(batch(struck, STRUCK)),
        ("harmonics",),
    )


@pytest.mark.slow
def test_the_controls_of_a_note_are_found():
    keras.utils.set_random_seed(0)
    f0 = np.full((1, 40, 1), 300.0, np.float32)
    amplitudes = np.zeros((1, 40, 8), np.float32)
    amplitudes[..., [0, 2]] = 0.3, 0.1
    target = ops.convert_to_numpy(harmonic_oscillator(f0, amplitudes))
    note = OneNote(40, n_harmonics=8, n_bands=9)
    note.compile(keras.optimizers.Adam(0.1), SpectralLoss("per_bin", (512, 128)))
    losses = note.fit(f0, target, epochs=100, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    controls = note.controls(f0)
    harmonics = ops.convert_to_numpy(controls["amplitude"] * controls["distribution"])[0, 10:30].mean(axis=0)
    assert set(harmonics.argsort()[-2:]) == {0, 2} and harmonics[0] > harmonics[2]


def test_a_note_can_be_saved(tmp_path):
    f0 = np.full((1, 10, 1), 200.0, np.float32)
    note = OneNote(10, 4, 5)
    sound = note(f0)
    assert reloaded(note, tmp_path)(f0).shape == sound.shape == (1, 640)
