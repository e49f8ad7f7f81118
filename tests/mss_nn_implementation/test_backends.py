"""The same file gives the same sound on every backend, and training spreads over devices; each in a process of its own.

A backend that is not installed is skipped; `pip install jax` or `pip install torch` brings it in.
"""

import dataclasses
import json

import keras
import numpy as np
import pytest

from mss_nn_implementation.convtas import ConvTasNet, ConvTasNetSeparator
from mss_nn_implementation.parameters import Parameters
from tests.helpers import CONV_TASNET, array, export, make_tree, noise, process, stacked, untrained

TINY = Parameters(**CONV_TASNET)
VARIANTS = {
    "plain": TINY,
    "other": dataclasses.replace(
        TINY, norm="cLN", causal=True, mask="softmax", skip=False, channels=2, consistent=True, sources=("a", "b")
    ),
}

SEPARATE = """
import sys
from pathlib import Path
import keras
import numpy as np
from mss_nn_implementation.convtas import ConvTasNetSeparator, load_model

folder, result = Path(sys.argv[1]), {}
assert keras.backend.backend() == sys.argv[2]
with np.load(folder / "inputs.npz") as inputs:
    for name in ("plain", "other"):
        model, _ = load_model("tiny", folder / name)
        result[name] = keras.ops.convert_to_numpy(model(inputs[name]))
    stems = ConvTasNetSeparator.load("tiny", folder / "plain").separate(inputs["song"], 22050)
result["song"] = np.stack(list(stems.values()))
np.savez(folder / f"{sys.argv[2]}.npz", **result)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of two networks, what they hear, and what they make of it here."""
    folder = tmp_path_factory.mktemp("networks")
    inputs = {"plain": noise(2, 700), "other": noise(2, 2, 333), "song": noise(2, 15000)}
    expected = {}
    for name, sizes in VARIANTS.items():
        model = untrained(ConvTasNet, sizes, seed=3, shape=(None, None))
        (folder / name).mkdir()
        export(model, folder / name, "tiny", training={"seconds": 0.5}, parameters=sizes.to_dict())
        expected[name] = array(model(inputs[name]))
    separator = ConvTasNetSeparator.load("tiny", folder / "plain")
    expected["song"] = stacked(separator.separate(inputs["song"], 22050))
    np.savez(folder / "inputs.npz", **inputs)
    return folder, expected


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_file_gives_the_same_sound(saved, backend):
    folder, expected = saved
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the one that the others are compared with")
    process(backend, SEPARATE, folder, backend)
    with np.load(folder / f"{backend}.npz") as result:
        for name, values in expected.items():
            np.testing.assert_allclose(result[name], values, atol=1e-4, err_msg=name)


TRAIN = """
import csv, json, sys
from pathlib import Path
import keras
from mss_nn_implementation import train as trainer
from mss_nn_implementation.parameters import Parameters, Training
from tests.helpers import CONV_TASNET, TWELVE_STEPS
from training import loop

SHORT, TINY = Training(**TWELVE_STEPS), Parameters(**CONV_TASNET)
assert len(keras.distribution.list_devices()) == 2
loop.JIT = "auto"
songs, curves = (Path(sys.argv[1]), "train"), {}
for devices in (1, 2):
    run = Path(sys.argv[2]) / str(devices)
    trainer.train(SHORT, TINY, songs, songs, run, devices=devices)
    curves[devices] = [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(open(run / "log.csv"))]
try:
    trainer.train(SHORT, TINY, songs, songs, Path(sys.argv[2]) / "3", devices=3)
except ValueError as error:
    curves["error"] = str(error)
print("curves", json.dumps(curves))
"""


@pytest.mark.slow
def test_two_devices_share_a_batch_and_learn_the_same(tmp_path):
    songs = make_tree(tmp_path / "songs", seconds=1.0)
    output = process(
        "jax", TRAIN, songs, tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=2", JAX_PLATFORMS="cpu"
    )
    curves = json.loads(output.split("curves ")[1])
    assert len(curves["1"]) == 4
    np.testing.assert_allclose(curves["2"], curves["1"], atol=2e-3)
    assert "devices" in curves["error"]


def test_devices_without_a_backend_that_distributes_are_refused(tmp_path):
    from mss_nn_implementation.train import computing

    if keras.backend.backend() == "jax":
        pytest.skip("JAX distributes")
    with pytest.raises(ValueError, match="devices: expected .*KERAS_BACKEND=jax"), computing(devices=2):
        pass
    assert keras.distribution.distribution() is None
