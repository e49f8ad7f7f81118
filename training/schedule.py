"""How the learning rate changes over a training, and the optimiser that follows it."""

import math

import keras
from keras import ops

HOLD = 0.4  # fraction of the steps in which `HoldThenCosine` keeps the full rate


@keras.saving.register_keras_serializable("mss")
class HoldThenCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then the full rate until `hold` of all steps are done, then half a cosine down to 0.

    Parameters
    ----------
    rate : float
    warmup, steps : int
    hold : float
    """

    def __init__(self, rate, warmup, steps, hold=HOLD):
        self.rate, self.warmup, self.steps, self.hold = rate, warmup, steps, hold

    def __call__(self, step):
        step = ops.cast(step, "float32")
        done = ops.clip((step / self.steps - self.hold) / (1.0 - self.hold), 0.0, 1.0)
        rising = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup))
        return self.rate * rising * 0.5 * (1.0 + ops.cos(math.pi * done))

    def get_config(self):
        return {"rate": self.rate, "warmup": self.warmup, "steps": self.steps, "hold": self.hold}


def hold_then_cosine(training):
    """The `HoldThenCosine` of a `settings.Training`."""
    return HoldThenCosine(training.learning_rate, training.warmup, training.steps)


def cosine(training):
    """A linear warm-up, then half a cosine down to 0 at the last step of a `settings.Training`."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, training.steps - training.warmup, warmup_target=training.learning_rate, warmup_steps=training.warmup
    )


def adam(training, schedule):
    """Adam with the clipping of a `settings.Training`; `schedule` is one of this module's functions."""
    return keras.optimizers.Adam(schedule(training), global_clipnorm=training.clip_norm)
