"""What tests of runs share: places of their own, and a small test set."""

import pytest

from common.places import HERE
from experiments.catalogue import TEST_SETS, TestSet
from tests.helpers import make_tree


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Results, runs and data in a folder of this test's own; no recorded music. Returns the folder."""
    for name, place in (("root", tmp_path), ("musdb", None), ("air_traffic", None)):
        monkeypatch.setattr(HERE, name, place)
    return tmp_path


@pytest.fixture
def tiny(elsewhere, monkeypatch):
    """A row of the catalogue: a test set of two songs of noise."""
    root = make_tree(elsewhere / "songs", subset="test", seconds=3.0)
    monkeypatch.setitem(TEST_SETS, "tiny", TestSet("tiny", "two songs of noise", root, filters=False))
    return TEST_SETS["tiny"]
