"""Fixtures of machines with and without CREPE's published weights."""

import keras
import pytest

from ddsp_models.pitch import crepe


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """A machine without CREPE's weights and without a network."""

    def unreachable(*arguments, **options):
        raise OSError("no network")

    monkeypatch.delenv("CREPE_WEIGHTS", raising=False)
    monkeypatch.setattr(crepe, "_installed", lambda: [])
    monkeypatch.setattr(crepe, "UNREACHED", {})
    monkeypatch.setattr(keras.utils, "get_file", unreachable)


@pytest.fixture
def published(shared, monkeypatch):
    """The published weights of CREPE tiny, where real audio and they lie beside the checkout."""
    monkeypatch.setenv("CREPE_WEIGHTS", str(shared / "crepe"))
    return shared / "crepe" / "model-tiny.h5.bz2"
