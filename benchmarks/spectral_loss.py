"""The spectral loss of chapter 7 against ddsp 3.7.0: six scales, batch 4 x 4 s."""

from benchmarks import ddsp_peer
from ddsp_models.spectral_loss import spectral_loss


def ours(arrays, upstream):
    """From sound to its distance, compiled as `model.fit` does; with gradients where `upstream` is given."""

    def distance(audio, target):
        return spectral_loss(target, audio)

    return ddsp_peer.compiled(arrays, distance, ("audio",), given=("target",), upstream=upstream, xla=True)


def run():
    """spectral_loss and spectral_loss_grad, each against both forms of the peer."""
    return ddsp_peer.records("spectral_loss", ours, "ddsp.losses.SpectralLoss 3.7.0")
