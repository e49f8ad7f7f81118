"""The peers of the depthwise benchmark compute what we compute: otherwise its times would compare nothing."""

import pytest

from benchmarks import depthwise_conv
from benchmarks.timing import largest_error


@pytest.mark.parametrize("peer", ["layer", "shifted", "torch"])
def test_peers_compute_the_same(peer):
    layers, x, dy = depthwise_conv.problem()
    if peer == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed here")
        theirs = depthwise_conv.torch_peer(layers, x, dy)
    else:
        pytest.importorskip("tensorflow")
        theirs = depthwise_conv.keras_peer(layers, x, dy, shifted=peer == "shifted")
    ours = depthwise_conv.ours(layers, x, dy)
    expected = depthwise_conv.results(theirs)
    assert largest_error(depthwise_conv.results(ours), expected) < 1e-5
    layers[3].W[0, 0] += 1
    assert largest_error(depthwise_conv.results(ours), expected) > 0.1
