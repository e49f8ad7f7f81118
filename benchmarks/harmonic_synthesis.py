"""The harmonic synthesiser of chapter 7 against ddsp 3.7.0: batch 4 x 4 s, 60 harmonics, forward and with gradients."""

from benchmarks import ddsp_peer
from ddsp_models.synthesisers import Harmonic


def ours(arrays, upstream):
    """From a decoder's outputs to sound, compiled by XLA; with gradients where `upstream` is given."""
    names = ("amplitude", "distribution", "f0")
    return ddsp_peer.compiled(arrays, Harmonic(), names, upstream=upstream, xla=True)


def run():
    """harmonic_synthesis and harmonic_synthesis_grad, each against both forms of the peer.

    The errors are those against ddsp in float64: its float32 phases drift, which `make parity` measures.
    """
    return ddsp_peer.records("harmonic_synthesis", ours, "ddsp.synths.Harmonic 3.7.0", truth="@exact")
