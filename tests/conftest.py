"""Fixtures that several tests share; functions that they share are in tests/helpers.py."""

import os

import pytest
from matplotlib.figure import Figure

import separate
from common import results
from common.places import HERE
from tests.helpers import ROOT, make_tree

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two processes that compile one function for different types at a time mix them up in numba's cache of files, and the
# next process crashes. So each worker has a cache of its own, which the notebooks that it executes inherit.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".make" / f"numba-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")


@pytest.fixture(scope="session")
def shared():
    """The folder of real audio that lies beside the checkout where the course is developed; see AUDIO.md there."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("real audio (../shared) is not here")
    return folder


@pytest.fixture
def add_separator(monkeypatch):
    """A function that adds a row to the catalogue for one test, from a name and what makes its separator."""

    def add(name, make):
        monkeypatch.setitem(separate.SEPARATORS, name, separate.System(name, name, "mask", make=make))
        separate.separator.cache_clear()
        return name

    yield add
    separate.separator.cache_clear()


@pytest.fixture(scope="session")
def _eagerly():
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return lambda on: None
    import tensorflow as tf

    return tf.config.run_functions_eagerly


@pytest.fixture
def uncompiled(_eagerly):
    """Networks compute step by step: for a few steps of a tiny network that takes less than compiling it."""
    _eagerly(True)
    yield
    _eagerly(False)


@pytest.fixture
def ax():
    """The axes of a figure that nobody shows."""
    return Figure().subplots()


@pytest.fixture
def tree(tmp_path):
    """A dataset of two songs of 2 s at 16 kHz, stereo."""
    return make_tree(tmp_path / "tree")


@pytest.fixture
def write_results(tmp_path, monkeypatch):
    """A function that writes a result file into a folder of results that is this test's alone, and returns its path."""
    monkeypatch.setattr(HERE, "root", tmp_path)

    def write(file, records, **content):
        results.write(HERE.results / file, results.head("test") | content | {"records": records})
        return HERE.results / file

    return write
