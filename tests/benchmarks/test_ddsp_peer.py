"""The peer in a process of its own: asked, answering, failing in one line; and what is compared with it."""

import sys

import numpy as np
import pytest

from benchmarks import ddsp_peer, runner

STAND_IN = """
import sys
for line in sys.stdin:
    command, name, *rest = line.split()
    if name == "broken":
        print("failed it is broken", flush=True)
    elif command == "save":
        import numpy as np
        np.savez(rest[0], np.arange(3.0))
        print("done", flush=True)
    else:
        print("done 12.5" if command == "peak" else "done", flush=True)
"""


@pytest.fixture
def peer(monkeypatch, tmp_path):
    """A `Peer` that talks to a few lines of Python instead of ddsp."""
    script = tmp_path / "python"
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    script.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path / 'stand_in.py'}\n")
    script.chmod(0o755)
    monkeypatch.setenv("DDSP_PYTHON", str(script))
    with ddsp_peer.Peer() as peer:
        yield peer


def test_the_peer_is_asked_and_answers(peer):
    assert peer.ask("run", "anything") == ""
    assert peer.peak_mb("anything") == 12.5
    np.testing.assert_array_equal(peer.results("anything"), [np.arange(3.0)])
    with pytest.raises(RuntimeError, match="ddsp: it is broken; DDSP_PYTHON must name"):
        peer.ask("run", "broken")


def test_without_an_environment_the_comparison_is_left_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DDSP_PYTHON", str(tmp_path / "none"))
    for name in ("autoencoder_train", "harmonic_synthesis", "filtered_noise", "spectral_loss"):
        assert list(runner.records(name)) == []
    assert capsys.readouterr().err.count("no environment with ddsp 3.7.0") == 4


def test_graphs_give_a_signal_and_the_gradients_of_what_went_in():
    pytest.importorskip("tensorflow")
    arrays = {"a": np.arange(4.0, dtype=np.float32), "b": np.ones(4, np.float32), "up": np.full(4, 2.0, np.float32)}
    (product,) = ddsp_peer.compiled(arrays, lambda a, b: a * b, ("a", "b"))()
    np.testing.assert_array_equal(product, arrays["a"])
    product, da, db = ddsp_peer.compiled(arrays, lambda a, b: a * b, ("a", "b"), upstream="up")()
    np.testing.assert_array_equal(da, 2 * arrays["b"])
    np.testing.assert_array_equal(db, 2 * arrays["a"])
