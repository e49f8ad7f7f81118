"""How the network that refines a separator's masks is trained; `python -m ddsp_models.separation.train` does it."""

from functools import partial

from ddsp_models.separation import train_separator
from ddsp_models.separation.mask_refinement import RefinedMasks
from training import loop
from training.schedule import adam, hold_then_cosine


def refinement(training, config, start):
    """The refinement of the separator in the file `start`, which is not trained, built and compiled for a training."""
    model = RefinedMasks(config)
    model.build()
    train_separator.start_from(model.separator, start)
    # on a processor XLA's convolutions over two axes are slower
    return loop.compiled(model, adam(training, hold_then_cosine), by_xla=False)


train = partial(train_separator.train, network=refinement)
