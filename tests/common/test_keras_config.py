"""Keras as every command imports it: silent, in float32, and with one line where it cannot be had."""

import json
import os
import subprocess
import sys

import pytest

from common.keras_config import GREETING
from tests.helpers import ROOT

PREPARE = """
import sys
from common import keras_config, terminal
def run():
    keras_config.prepare()
    import keras
    print(keras.config.floatx(), keras.config.image_data_format(), keras.ops.zeros(1).dtype)
sys.exit(terminal.ended("it", run))
"""


def prepared(folder, settings=None, **environment):
    """Exit status, standard output and standard error of a process with these settings in its keras.json."""
    if settings is not None:
        (folder / "keras.json").write_text(settings)
    environment = {**os.environ, "KERAS_HOME": str(folder), "KERAS_BACKEND": "", **environment}
    for name in {"TF_CPP_MIN_LOG_LEVEL"} - {name for name, value in environment.items() if value}:
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("level", ["", "3"])
def test_keras_is_imported_silently_and_computes_in_float32(level, tmp_path):
    settings = json.dumps({"floatx": "float64", "image_data_format": "channels_first"})
    expected = "float32 channels_last <dtype: 'float32'>\n"
    status, said, errors = prepared(tmp_path, settings, TF_CPP_MIN_LOG_LEVEL=level)
    assert (status, said.replace("float32\n", "<dtype: 'float32'>\n"), errors) == (0, expected, "")


@pytest.mark.parametrize(
    "settings, environment, words",
    [
        (None, {"KERAS_BACKEND": "theano"}, "KERAS_BACKEND: expected the backend tensorflow, jax or torch, got theano"),
        ('{"backend": "mxnet"}', {}, "keras.json: expected the backend tensorflow, jax or torch, got mxnet"),
        ("{", {}, "keras.json: expected a JSON object"),
        ("[]", {}, "keras.json: expected a JSON object"),
        pytest.param('{"floatx": "float12"}', {}, "keras.json: Invalid `floatx`", marks=pytest.mark.slow),
    ],
)
def test_settings_that_keras_cannot_use_are_one_line_that_names_their_place(settings, environment, words, tmp_path):
    status, said, errors = prepared(tmp_path, settings, **environment)
    assert (status, said) == (2, "") and errors.startswith("it: ") and words in errors and errors.count("\n") == 1


def test_a_backend_that_is_not_installed_is_one_line_that_says_who_asks(tmp_path, monkeypatch):
    from common import keras_config

    monkeypatch.setattr(keras_config, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ImportError, match="^KERAS_BACKEND asks for jax, which is not installed; `pip install jax`, or"):
        keras_config._import()
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ImportError, match=r"^requirements\.txt asks for tensorflow, .*, or set KERAS_BACKEND to"):
        keras_config._import()
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    with pytest.raises(ImportError, match=r"keras\.json asks for torch"):
        keras_config._import()


def test_greetings_are_known_and_what_is_wrong_is_none():
    for line in (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795940204.480638    5190 port.cc:153] oneDNN custom operations are on.",
        "2026-11-29 08:16:44.1: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is",
        "E0000 00:00:1795940206.390181    5190 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error",
        "",
    ):
        assert GREETING.match(line)
    for line in (
        "E0000 00:00:1 2 x.cc:1] out of memory",
        "Illegal instruction",
        "F0000 00:00:1 2 x.cc:1] no AVX",
    ):
        assert not GREETING.match(line)
