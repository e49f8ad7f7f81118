"""The benchmarks of Conv-TasNet compare like with like: same weights, same output, same loss."""

import dataclasses
import sys

import keras
import pytest

from benchmarks import conv_tasnet, runner
from mss_nn_implementation.parameters import Parameters, Training


@pytest.mark.slow
def test_asteroids_network_with_our_weights_is_our_network(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("asteroid", reason="Asteroid is not installed; benchmarks/conv_tasnet.py says how")
    monkeypatch.setattr(conv_tasnet, "SIZES", Parameters(N=16, L=8, B=6, H=8, P=3, X=3, R=2, Sc=5))
    monkeypatch.setattr(conv_tasnet, "TRAINING", Training(seconds=0.1, warmup=1))
    mixtures, stems, model, peer, error = conv_tasnet.problem()
    assert error < 1e-4
    # half a frame of zeros in front is all that their losses differ by
    ours = float(model.loss(stems, model(mixtures)))
    assert conv_tasnet.torch_step(peer, mixtures, stems)() == pytest.approx(ours, abs=0.05)


def test_without_the_peer_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert list(runner.records("conv_tasnet_train")) == []
    assert "conv_tasnet_train: import of torch halted" in capsys.readouterr().err


def test_half_precision_is_asked_for_and_given_back():
    before = keras.config.dtype_policy().name
    with conv_tasnet.computing("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == before
    with pytest.raises(ValueError, match="precision"):
        dataclasses.replace(Training(), precision="float8")
