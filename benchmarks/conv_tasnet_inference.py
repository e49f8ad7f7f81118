"""Conv-TasNet separating 4 windows of 2 s, against Asteroid's in PyTorch, eager and compiled.

The networks are those of `conv_tasnet_train`, with the same weights. Ours includes the level that it takes out of each
window and puts back.
"""

import keras
import numpy as np

from benchmarks.conv_tasnet_train import REPEATS, asteroids, crops, have_peer, ours, output_error
from benchmarks.timing import record
from mss_nn_implementation.convtas import _compile


def run():
    """A record per way to run the PyTorch network."""
    if not have_peer("conv_tasnet_inference"):
        return []
    import torch

    mixtures, _ = crops()
    model = ours()
    peer = asteroids(model).eval()
    error = output_error(model, peer, mixtures)
    separate, x = _compile(model), torch.tensor(mixtures)
    given = keras.ops.convert_to_tensor(mixtures)

    def theirs(forward):
        def call():
            with torch.inference_mode():
                return forward(x).numpy()

        return call

    name = f"asteroid.models.ConvTasNet (PyTorch {torch.__version__.split('+')[0]}"
    peers = {
        "conv_tasnet_inference": (f"{name}, eager)", theirs(peer)),
        "conv_tasnet_inference@compile": (f"{name}, torch.compile)", theirs(torch.compile(peer))),
    }
    return [
        record(
            benchmark,
            lambda: np.asarray(keras.ops.convert_to_numpy(separate(given))),
            call,
            peer_name=peer_name,
            max_error=error,
            repeats=REPEATS,
        )
        for benchmark, (peer_name, call) in peers.items()
    ]
