"""The spectral loss of chapter 7 against ddsp 3.7.0: six scales, batch 4 x 4 s."""

from benchmarks import ddsp_peer
from ddsp_models.spectral_loss import spectral_loss


def ours(arrays, upstream):
    """From sound to its distance from a target, as a graph; with gradients where `upstream` is given."""

    def distance(audio):
        return spectral_loss(arrays["target"], audio)

    return ddsp_peer.compiled(arrays, distance, ("audio",), upstream=upstream)


def run():
    """spectral_loss and spectral_loss_grad, each against both forms of the peer."""
    return ddsp_peer.records("spectral_loss", ours, "ddsp.losses.SpectralLoss 3.7.0")
