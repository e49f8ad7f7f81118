"""Settings of trainings: dataclasses that become command-line options and are saved beside the weights."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import accumulate

from common.checks import expect

POSITIVE = ("seconds", "batch_size", "steps", "steps_per_epoch", "learning_rate", "clip_norm")
NOT_NEGATIVE = ("warmup", "minutes", "patience", "gain_db", "seed")
NOT_NEGATIVE += ("loudness_weight", "spectral_weight", "feature_weight")
FRACTIONS = ("remix", "swap", "taught_until", "own_pitch")
SLOWEST, FASTEST = 0.5, 2.0  # speed at which a song may be used once more
RENAMED = {"start": "start_from"}  # fields of older records, and their names now


def plain(settings):
    """The fields of a dataclass in JSON's types: lists for tuples, also inside other fields."""
    return json.loads(json.dumps(asdict(settings)))


def completed(saved, settings):
    """Settings read from a file, with the default of each field that `settings` has got since then."""
    defaults = {field.name: field.default for field in fields(settings) if field.default is not MISSING}
    return json.loads(json.dumps({**defaults, **{RENAMED.get(name, name): value for name, value in saved.items()}}))


def check_choices(settings, **choices):
    """Check that each of these fields has one of its allowed values.

    Raises
    ------
    ValueError
    """
    for name, allowed in choices.items():
        value = getattr(settings, name)
        expect(value in allowed, name, f"one of {', '.join(map(repr, allowed))}", repr(value))


@dataclass(frozen=True)
class Training:
    """Settings that every training has; each kind of network adds its own.

    Parameters
    ----------
    seconds : float
        length of a training crop.
    batch_size : int
        crops in a step.
    steps : int
        gradient steps in all.
    steps_per_epoch : int
        steps between two validation passes (and two checkpoints); the last epoch is shorter if `steps` is no multiple.
    learning_rate : float
        the highest, after the warm-up.
    warmup : int
        steps in which the learning rate rises.
    clip_norm : float
        longest gradient, over all weights together.
    seed : int
        of weights, crops and their order.
    patience : int
        of early stopping, in epochs; 0 disables it.
    start_from : str
        name of the trained network that this one is initialised from; "" for random weights.
    """

    seconds: float = 2.0
    batch_size: int = 4
    steps: int = 2000
    steps_per_epoch: int = 250
    learning_rate: float = 2e-3
    warmup: int = 50
    clip_norm: float = 5.0
    seed: int = 0
    patience: int = 0
    start_from: str = ""

    def __post_init__(self):
        for name, value in vars(self).items():
            expect(name not in POSITIVE or 0 < value < math.inf, name, "more than 0", value)
            expect(name not in NOT_NEGATIVE or 0 <= value < math.inf, name, "at least 0", value)
            expect(name not in FRACTIONS or 0 <= value <= 1, name, "0 to 1", value)

    def to_dict(self):
        """The fields as plain types."""
        return plain(self)


@dataclass(frozen=True)
class CropTraining(Training):
    """Training on crops of songs whose stems are mixed again; what is not named here as in `Training`.

    Parameters
    ----------
    remix : float
        fraction of the crops whose stems come from different songs and moments.
    gain_db : float
        each stem is made up to this many dB louder or softer.
    speeds : tuple of float
        every song is used at these speeds, too: tempo and pitch change together.
    minutes : float
        of music that are used, from the first song on; 0 for all.
    """

    remix: float = 0.7
    gain_db: float = 5.0
    speeds: tuple = ()
    minutes: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "speeds", tuple(map(float, self.speeds)))  # a list once it has been through JSON
        super().__post_init__()
        for speed in self.speeds:
            expect(SLOWEST <= speed <= FASTEST, "speeds", f"{SLOWEST:g} to {FASTEST:g}", f"{speed:g}")

    def songs_within(self, seconds):
        """How many songs begin in the first `minutes`, if they last so many `seconds` each, one after the other."""
        if not self.minutes:
            return len(seconds)
        starts = accumulate(seconds, initial=0.0)
        return sum(start < 60 * self.minutes for start, _ in zip(starts, seconds))
