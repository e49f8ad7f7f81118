"""Train what corrects a separator's masks: python -m ddsp_models.separation.train_refinement [NAME] [--steps N …]

Stopped at any moment, the same command goes on from the last epoch. Weights and curve are kept as `train_separator`
keeps its own. The models:

one_artist_refined    one_artist, which stays as it is, and what corrects its masks
"""

import sys

import keras

from ddsp_models.separation.mask_refinement import RefinedMasks, RefinedSizes
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train import (
    HoldThenCosine,
    Training,
    command,
    start_from,
    training_songs,
    validation_examples,
)
from training.loop import check_settings, fit, keep_settings

MODELS = {
    # name: sizes, training, training songs, validation songs
    "one_artist_refined": (
        RefinedSizes(),
        Training(steps=1200, learning_rate=3e-3, taught_until=0.0, start_from="one_artist"),
        ("one_artist", "train"),
        ("validation", "test"),
    ),
}


def train(training, sizes, train_songs, validation_songs, run, start):
    """Fit what corrects the masks of one separator, resuming what `run` holds, and keep the best weights there.

    Parameters
    ----------
    training : train_separator.Training
    sizes : RefinedSizes
    train_songs, validation_songs : list of song_crops.Song
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : str or Path
        .keras file of the separator.

    Returns
    -------
    RefinedMasks
        with the best weights on the validation songs.
    """
    keep_settings(run, sizes, training, check_settings(run / "settings.json", sizes, training), start)
    keras.utils.set_random_seed(training.seed)
    crops = SongCrops(training_songs(train_songs, training), training, sizes.hop)
    validation = validation_examples(validation_songs, crops.samples, sizes.hop)
    model = RefinedMasks(sizes)
    model.build()
    start_from(model.separator, start)
    schedule = HoldThenCosine(training.learning_rate, training.warmup, training.steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm),
        jit_compile=False,  # on a processor XLA's convolutions over two axes are slower
    )
    best = fit(model, crops, validation, training, run)
    return keras.saving.load_model(best, compile=False)


def main(arguments=None):
    return command("train_refined", __doc__, MODELS, Training, train, arguments)


if __name__ == "__main__":
    sys.exit(main())
