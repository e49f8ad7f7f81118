"""Filtered noise of chapter 7 against ddsp 3.7.0: batch 4 x 4 s, 65 bands, the same noise for both."""

from benchmarks import ddsp_peer
from ddsp_models import synthesisers as ds


def ours(arrays, upstream):
    """From a decoder's outputs to sound, compiled as `model.fit` does; with gradients where `upstream` is given."""

    def filtered(magnitudes, noise):
        return ds.fir_filter(noise, ds.exp_sigmoid(magnitudes - 5.0), latency=2)  # as late as ddsp's

    return ddsp_peer.compiled(arrays, filtered, ("magnitudes",), given=("noise",), upstream=upstream, xla=True)


def run():
    """filtered_noise and filtered_noise_grad, each against both forms of the peer."""
    return ddsp_peer.records("filtered_noise", ours, "ddsp.core.frequency_filter 3.7.0")
