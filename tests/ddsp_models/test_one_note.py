"""A synthesiser fitted to one note by its gradients."""

import keras
import numpy as np
from keras import ops

from ddsp_models.one_note import OneNote
from ddsp_models.spectral_loss import SpectralLoss
from ddsp_models.synthesisers import harmonic_oscillator


def test_a_note_that_can_be_played_is_found():
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
    played = ops.convert_to_numpy(controls["amplitude"] * controls["distribution"])[0, 10:30].mean(axis=0)
    assert set(played.argsort()[-2:]) == {0, 2} and played[0] > played[2]


def test_it_can_be_saved(tmp_path):
    f0 = np.full((1, 10, 1), 200.0, np.float32)
    note = OneNote(10, 4, 5)
    sound = ops.convert_to_numpy(note(f0))
    note.save(tmp_path / "note.keras")
    again = keras.saving.load_model(tmp_path / "note.keras")
    assert again(f0).shape == sound.shape == (1, 640)
