"""Keras, imported without TensorFlow's greetings and with the precision that the networks were trained in.

Packages whose modules import Keras call `prepare` first, and so does what imports such a module when it is needed.
"""

import json
import os
import re
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from common import terminal

BACKENDS = ("tensorflow", "jax", "torch")
GREETING = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] |To enable the following instr|"
    r"(E\d{4} |\d{4}-\d\d-\d\d [\d:.]+: E ).*(cuInit|Unable to register cu|computation placer)|$"
)
"""Lines that TensorFlow writes while it starts: what it found on the machine, and what it did not."""


def prepare():
    """Import Keras, silently but for what is wrong, and let it compute in float32.

    A command whose modules are still being imported ends here, with one line, if there is no Keras or on Ctrl-C.

    Raises
    ------
    ImportError
        if the backend that somebody asks for is not installed; the message says who asks, and how to change it.
    ValueError
        if Keras has no such backend, or if its keras.json is damaged.
    """
    if not terminal.is_importing():
        _prepare()
    elif status := terminal.ended("keras", _prepare):
        sys.exit(status)
    terminal.interrupt_quietly()


def asked_for():
    """The backend that Keras is to use, and who asks for it: (name, "KERAS_BACKEND" or the path of keras.json)."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name, "KERAS_BACKEND"
    file = settings_file()
    try:
        return json.loads(file.read_text()).get("backend", BACKENDS[0]), str(file)
    except OSError:
        return BACKENDS[0], "requirements.txt"
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file}: expected a JSON object, got something else; correct or delete the file") from error


def settings_file():
    """Where Keras keeps its settings."""
    home = os.path.expanduser("~")
    home = os.environ.get("KERAS_HOME") or os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(home), "keras.json")


def _prepare():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        _import()
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def _import():
    backend, asks = asked_for()
    other = "choose another" if asks == "KERAS_BACKEND" else "set KERAS_BACKEND to another"
    if backend not in BACKENDS:
        raise ValueError(f"{asks}: expected the backend tensorflow, jax or torch, got {backend}; {other}")
    for package in (backend, "keras"):
        if find_spec(package) is None:
            advice = f"`pip install {package}`" + (f", or {other}" if package == backend else "")
            raise ImportError(f"{asks} asks for {package}, which is not installed; {advice}")
    with tempfile.TemporaryFile() as said:
        try:
            with terminal.silenced(said):
                import keras  # noqa: F401
        except ImportError as error:
            message = f"{asks} asks for {backend}, which cannot be imported ({terminal.reason(error)}); {other}"
            raise ImportError(message) from error
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{settings_file()}: {terminal.reason(error)}; correct or delete the file") from error
        finally:
            said.seek(0)
            for line in said.read().decode(errors="replace").splitlines():
                if not GREETING.match(line):
                    terminal.note(line)
