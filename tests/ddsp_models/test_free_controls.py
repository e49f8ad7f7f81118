"""Fitting controls to one sound: what is free is found, what is not stays."""

import keras
import numpy as np
import pytest
from keras import ops

from ddsp_models import autoencoder, free_controls
from ddsp_models.features import PITCHED, STRUCK, batch

TINY = {"channels": 8, "depth": 1, "n_bands": 9, "room_taps": 0, "noise_samples": 1024}


@pytest.fixture(scope="module")
def decoder():
    keras.utils.set_random_seed(0)
    model = autoencoder.Decoder(autoencoder.Settings(PITCHED, n_harmonics=6, outline=True, **TINY))
    model.build({})
    return model


@pytest.fixture(scope="module")
def features():
    frames = np.ones((100, 1), np.float32)
    return {"f0": 220 * frames, "voiced": frames, "loudness": -30 * frames, "bands": np.tile(-40 * frames, (1, 16))}


def test_harmonics_that_another_decoder_played_are_found(decoder, features):
    controls = decoder.controls(batch(features, PITCHED))
    share = np.array([0.1, 0.6, 0.1, 0.1, 0.05, 0.05], np.float32)
    other = {**controls, "distribution": ops.convert_to_tensor(np.tile(share, (1, 100, 1)))}
    other["amplitude"] = 3 * ops.convert_to_tensor(controls["amplitude"])
    sound = ops.convert_to_numpy(decoder.signal(other))[0]
    before = [ops.convert_to_numpy(weight).copy() for weight in decoder.weights]
    found = {part: free_controls.losses(decoder, features, sound, (part,), 60, 0.1) for part in free_controls.PARTS}
    assert found["harmonics"][0] == pytest.approx(found["noise"][0], rel=1e-3)  # the decoder's own
    assert found["harmonics"][-1] < 0.75 * found["harmonics"][0] and found["harmonics"][-1] < 0.9 * found["noise"][-1]
    for weight, value in zip(decoder.weights, before):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_parts_that_a_decoder_lacks_are_named(decoder, features):
    controls = decoder.controls(batch(features, PITCHED))
    with pytest.raises(ValueError, match="free: reverb found"):
        free_controls.FreeControls(decoder, controls, ("reverb",))
    drums = autoencoder.Decoder(autoencoder.Settings(STRUCK, n_harmonics=0, **TINY))
    struck = {"onset": np.ones((10, 1), np.float32), "bands": np.full((10, 16), -40, np.float32)}
    drums.build({})
    with pytest.raises(ValueError, match="free: harmonics found"):
        free_controls.FreeControls(drums, drums.controls(batch(struck, STRUCK)), ("harmonics",))
