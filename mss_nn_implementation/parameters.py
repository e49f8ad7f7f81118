"""The numbers that make a Conv-TasNet, and those that train one."""

import dataclasses
from dataclasses import dataclass


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
        channels of the skip path that collects what every block found.
    sources : tuple of str
        one mask each, in this order.
    sample_rate : int
        of the sound that the network hears, in Hz.
    norm : {"gLN", "cLN"}
        inside the blocks and before them: over the whole input, or over what was heard so far.
    causal : bool
        the convolutions look back only, and the input keeps its level; wants cLN.
    skip : bool
        the masks are made from what all blocks found, or (False) from the last block's residual output alone.
    mask : {"sigmoid", "relu", "softmax"}
        what bounds the masks: each in [0, 1], each at least 0, or all together 1 at every coefficient.
    channels : int
        1 for mono; 2 for stereo in and out, with filters over both channels and masks shared by them.
    consistent : bool
        estimates are projected so that they add up to the mixture (`layer.mixture_consistent`).
    encoder : {"relu", "linear"}
        what the encoder does to negative coefficients: cut them off, or keep them, as the paper's final network does.
    """

    N: int
    L: int
    B: int
    H: int
    P: int
    X: int
    R: int
    Sc: int
    sources: tuple = ("drums", "bass", "vocals")
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
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1 expected, got {getattr(self, name)}")
        choices = {"norm": ("gLN", "cLN"), "mask": ("sigmoid", "relu", "softmax"), "encoder": ("relu", "linear")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: one of {', '.join(known)} expected, got {getattr(self, name)!r}")
        if self.causal and self.norm != "cLN":
            raise ValueError(f"causal: norm='cLN' expected, since {self.norm} hears the whole input")
        if self.L % 2:
            raise ValueError(f"L: an even filter length expected, got {self.L}")
        if self.P % 2 == 0:
            raise ValueError(f"P: an odd number of taps expected, got {self.P}")
        if not self.sources:
            raise ValueError("sources: at least one name expected, got none")

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
        return dataclasses.asdict(self)


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
        sources=("drums", "bass", "other", "vocals"),
        sample_rate=44100,
        skip=False,
        mask="relu",
        channels=2,
    ),
    # what two laptop cores train in under an hour, for three stems at 16 kHz
    "laptop": Parameters(N=256, L=64, B=96, H=192, P=3, X=7, R=2, Sc=96),
}


@dataclass(frozen=True)
class Training:
    """How a network was trained; saved beside its weights.

    Parameters
    ----------
    seconds : float
        length of a training crop, and of the windows that the trained network is given later: the normalisation's
        statistics span the whole crop, so both should be alike.
    batch_size : int
        crops in a step.
    steps : int
        gradient steps in all.
    steps_per_epoch : int
        steps between two looks at the validation songs (and two checkpoints).
    optimizer : {"adam", "muon"}
        Muon (Liu et al. 2025, https://arxiv.org/abs/2502.16982) turns the step of every inner matrix into an orthogonal
        one, so that rare directions learn as fast as frequent ones; all other weights get AdamW's steps, half as long.
    learning_rate : float
        at its highest: a linear warm-up leads there, a cosine leads away from it.
    warmup : int
        steps of the warm-up.
    clip_norm : float
        longest gradient, over all weights together.
    remix : float
        share of crops whose stems come from different songs and moments.
    gain_db : float
        each stem is made up to this many dB louder or softer.
    seed : int
        of weights, crops and their order.
    loss : str
        a name in `loss.LOSSES`.
    swap : float
        share of stereo stems whose left and right are exchanged.
    speeds : tuple of float
        every song is there at these speeds, too: tempo and pitch change together (`datasets.load_stems`).
    precision : {"float32", "mixed_bfloat16", "mixed_float16"}
        of what the layers compute; weights stay float32, and float16's gradients are scaled up before they round to 0.
    start_from : str
        name of the trained network that this one started from; its own random weights where it is empty.
    patience : int
        training ends after so many looks at the validation songs that found nothing better; 0 for never.
    """

    seconds: float = 2.0
    batch_size: int = 4
    steps: int = 2000
    steps_per_epoch: int = 100
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    warmup: int = 100
    clip_norm: float = 5.0
    remix: float = 0.7
    gain_db: float = 5.0
    seed: int = 0
    loss: str = "snr"
    swap: float = 0.5
    speeds: tuple = ()
    precision: str = "float32"
    start_from: str = ""
    patience: int = 0

    def __post_init__(self):
        object.__setattr__(self, "speeds", tuple(float(speed) for speed in self.speeds))
        for name in ("seconds", "batch_size", "steps", "steps_per_epoch", "learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: more than 0 expected, got {getattr(self, name)}")
        if self.patience < 0:
            raise ValueError(f"patience: at least 0 expected, got {self.patience}")
        for speed in self.speeds:
            if not 0.5 <= speed <= 2:
                raise ValueError(f"speeds: from 0.5 to 2 expected, got {speed:g}")
        for name in ("remix", "swap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: from 0 to 1 expected, got {getattr(self, name)}")
        known = ("float32", "mixed_bfloat16", "mixed_float16")
        if self.precision not in known:
            raise ValueError(f"precision: one of {', '.join(known)} expected, got {self.precision!r}")

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)
