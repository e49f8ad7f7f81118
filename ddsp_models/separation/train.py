"""Train what chapter 8 adds: python -m ddsp_models.separation.train [NAME] [--steps N …]

A stopped training resumes from its last checkpoint. With --export the best weights on the validation songs go to
`ddsp_models/trained/`, the curve to `results/training/`. Parametric separators (`train_separator`):

one_artist    drums, bass, vocals of the virtual band's training artist
many_artists  the same of many: `python -m virtual_band --sets many_artists many_validation --many 240`
many_four     drums, bass, other, vocals of many artists
air_traffic   the four of a recorded song, its first two minutes; AIR_TRAFFIC_PATH or --song names its folder

The refinement of a separator's masks (`mask_refinement`):

one_artist_refined    of one_artist, whose weights do not change

Separators that are trained through chapter 7's decoders (`train_through_decoders`):

one_artist_played    one_artist, fine-tuned: the sound of each decoder is compared with the stem
one_artist_unplayed  the control: as many steps without that comparison
one_artist_mixtures  with random initial weights and without stems: the sum of the sounds is compared with the mixture

Decoders for features that a separator estimates from mixtures (`estimated_features`):

heard-drums, -bass, -vocals   those of the virtual band, fine-tuned
"""

import dataclasses
import sys
from functools import partial

from audio_processing.tracks import SOURCES
from common.places import HERE
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.estimated_features import RECIPES as DECODERS
from ddsp_models.separation.mask_refinement import RefinedSizes
from ddsp_models.separation.train_separator import (
    SEPARATOR,
    SeparatorTraining,
    recorded_files,
    recorded_songs,
    refinement,
    train,
)
from ddsp_models.separation.train_through_decoders import Through, decoder_files, through_decoders
from training.command import AIR_TRAFFIC, Recipe, command

RECORDED = dataclasses.replace(SEPARATOR, load=recorded_songs, files=recorded_files)
REFINEMENT = dataclasses.replace(SEPARATOR, train=partial(train, network=refinement))
THROUGH = dataclasses.replace(
    SEPARATOR, train=partial(train, network=through_decoders, part="separator"), also=decoder_files
)
THREE, FOUR = Sizes(heard_as="decoders"), Sizes(sources=SOURCES, heard_as="decoders")
ONE = ("one_artist", "train"), ("validation", "test")
MANY = ("many_artists", "train"), ("many_validation", "test")
SONG = (AIR_TRAFFIC, "train"), (AIR_TRAFFIC, "validation")
PLAYED = Through(steps=400, learning_rate=1e-3, taught_until=0.0, start_from="one_artist")
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("one_artist", SEPARATOR, Sizes(), SeparatorTraining(), *ONE),
        Recipe(
            "many_artists",
            SEPARATOR,
            THREE,
            SeparatorTraining(steps=3000, taught_until=0.1, start_from="one_artist"),
            *MANY,
        ),
        Recipe(
            "many_four",
            SEPARATOR,
            FOUR,
            SeparatorTraining(steps=1000, learning_rate=1e-3, taught_until=0.0, start_from="many_artists"),
            *MANY,
        ),
        Recipe(
            "air_traffic",
            RECORDED,
            FOUR,
            SeparatorTraining(
                steps=800,
                steps_per_epoch=100,
                learning_rate=1e-3,
                taught_until=0.0,
                speeds=(0.84, 0.92, 1.09, 1.19),
                patience=3,
                start_from="many_four",
            ),
            *SONG,
        ),
        Recipe(
            "one_artist_refined",
            REFINEMENT,
            RefinedSizes(),
            SeparatorTraining(steps=1200, learning_rate=3e-3, taught_until=0.0, start_from="one_artist"),
            *ONE,
        ),
        Recipe("one_artist_played", THROUGH, THREE, PLAYED, *ONE),
        Recipe("one_artist_unplayed", THROUGH, THREE, dataclasses.replace(PLAYED, spectral_weight=0.0), *ONE),
        Recipe(
            "one_artist_mixtures",
            THROUGH,
            THREE,
            Through(mode="unsupervised", steps=1000, steps_per_epoch=100, taught_until=1.0),
            *ONE,
        ),
        *DECODERS.values(),
    )
}


def main(arguments=None, places=HERE):
    return command("ddsp_models.separation.train", __doc__, RECIPES, arguments, places)


if __name__ == "__main__":
    sys.exit(main())
