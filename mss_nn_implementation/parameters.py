"""The sizes of a Conv-TasNet, and the settings of its training.

Notebook: mss_nn_implementation/convtas_report.ipynb
"""

from dataclasses import dataclass

from audio_processing.tracks import SOURCES, TRIO
from common.checks import expect
from training.settings import CropTraining, check_choices, plain


@dataclass(frozen=True)
class Parameters:
    """Sizes of the network, by the symbols of Luo & Mesgarani 2019, table I.

    Parameters
    ----------
    N : int
        filters in the encoder and decoder: how many basis signals describe a frame.
    L : int
        length of a filter in samples; even, since frames overlap by half.
    B : int
        channels of the bottleneck, the path that runs through all blocks.
    H : int
        channels inside a block.
    P : int
        taps of the depthwise convolutions; odd.
    X : int
        blocks in a repeat, of dilations 1, 2, 4, … 2^(X-1).
    R : int
        repeats.
    Sc : int
        channels of the skip path that collects the outputs of all blocks.
    sources : tuple of str
        one mask each, in this order.
    sample_rate : int
        of the network's input, in Hz.
    norm : {"gLN", "cLN"}
        inside the blocks and before them: over the whole input, or over all frames so far.
    causal : bool
        the convolutions look back only, and the input keeps its level; needs cLN.
    skip : bool
        the masks are computed from the outputs of all blocks, or (False) from the last block's residual output alone.
    mask : {"sigmoid", "relu", "softmax"}
        the masks' activation: each in [0, 1], each at least 0, or all together 1 at every coefficient.
    channels : int
        1 for mono; 2 for stereo in and out, with filters over both channels and masks shared by them.
    consistent : bool
        estimates are projected so that they add up to the mixture (`layer.mixture_consistent`).
    encoder : {"relu", "linear"}
        negative coefficients are cut off, or kept, as in the paper's final network.
    """

    N: int
    L: int
    B: int
    H: int
    P: int
    X: int
    R: int
    Sc: int
    sources: tuple = TRIO
    sample_rate: int = 16000
    norm: str = "gLN"
    causal: bool = False
    skip: bool = True
    mask: str = "sigmoid"
    channels: int = 1
    consistent: bool = False
    encoder: str = "relu"

    def __post_init__(self):
        object.__setattr__(self, "sources", tuple(self.sources))  # a list once it has been through JSON
        for name in ("N", "L", "B", "H", "P", "X", "R", "Sc", "sample_rate", "channels"):
            expect(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        check_choices(self, norm=("gLN", "cLN"), mask=("sigmoid", "relu", "softmax"), encoder=("relu", "linear"))
        possible = not self.causal or self.norm == "cLN"
        expect(possible, "causal", "norm='cLN'", f"{self.norm!r}, which spans the whole input")
        expect(self.L % 2 == 0, "L", "an even filter length", self.L)
        expect(self.P % 2, "P", "an odd number of taps", self.P)
        expect(self.sources, "sources", "at least one name", "none")

    @property
    def hop(self):
        """Samples from frame to frame: L / 2."""
        return self.L // 2

    @property
    def receptive_field(self):
        """Seconds of sound that one output sample depends on through the convolutions (normalisation sees more)."""
        frames = 1 + self.R * (self.P - 1) * (2**self.X - 1)
        return ((frames - 1) * self.hop + self.L) / self.sample_rate

    def to_dict(self):
        """The fields as plain types, as JSON and `.keras` files hold them."""
        return plain(self)


PRESETS = {
    # the best non-causal network of the paper (its table II), for two speakers at 8 kHz
    "paper": Parameters(
        N=512,
        L=16,
        B=128,
        H=512,
        P=3,
        X=8,
        R=3,
        Sc=128,
        sources=("speaker 1", "speaker 2"),
        sample_rate=8000,
        encoder="linear",
    ),
    # Défossez et al.'s for music (https://arxiv.org/abs/1911.13254), which has no skip path: stereo, 44.1 kHz
    "music": Parameters(
        N=256,
        L=20,
        B=256,
        H=512,
        P=3,
        X=10,
        R=4,
        Sc=256,
        sources=SOURCES,
        sample_rate=44100,
        skip=False,
        mask="relu",
        channels=2,
    ),
    # what two laptop cores train in under an hour, for three stems at 16 kHz
    "laptop": Parameters(N=256, L=64, B=96, H=192, P=3, X=7, R=2, Sc=96),
}


@dataclass(frozen=True)
class Training(CropTraining):
    """How a Conv-TasNet is trained; what is not named here as in `training.settings`.

    The windows that a trained network is given are as long as its training crops: the normalisation's statistics span
    the whole crop.

    Parameters
    ----------
    optimizer : {"adam", "muon"}
        Muon (Liu et al. 2025, https://arxiv.org/abs/2502.16982) turns the step of every inner matrix into an orthogonal
        one, so that rare directions learn as fast as frequent ones; all other weights get AdamW's steps, half as long.
    loss : {"snr", "si_sdr", "l1", "spectral"}
        see `loss.LOSSES`.
    swap : float
        fraction of stereo stems whose left and right are exchanged.
    precision : {"float32", "mixed_bfloat16", "mixed_float16"}
        of what the layers compute; weights stay float32, and float16's gradients are scaled up before they round to 0.
    """

    steps_per_epoch: int = 100
    learning_rate: float = 1e-3
    warmup: int = 100
    optimizer: str = "adam"
    loss: str = "snr"
    swap: float = 0.5
    precision: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_choices(
            self,
            optimizer=("adam", "muon"),
            loss=("snr", "si_sdr", "l1", "spectral"),
            precision=("float32", "mixed_bfloat16", "mixed_float16"),
        )
