"""Exported weights: every shipped record is up to date, and initial weights go where they belong."""

import json

import keras
import numpy as np
import pytest

from common.places import Places
from ddsp_models import train_decoder
from ddsp_models.separation import train as train_separation
from mss_nn_implementation import train as train_conv_tasnet
from mss_nn_implementation.convtas import ConvTasNet
from mss_nn_implementation.parameters import Parameters
from tests.helpers import CONV_TASNET, export, one_line, refused, untrained
from training import command, weights

RECIPES = [
    recipe
    for module in (train_conv_tasnet, train_decoder, train_separation)
    for recipe in module.RECIPES.values()
    if weights.files_of(recipe.path)[0].exists()
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.path.name)
def test_shipped_weights_are_up_to_date_on_the_data_of_their_record(recipe):
    """Data are not generated here: the record's own checksum of them stands for it."""
    record = json.loads(weights.files_of(recipe.path)[1].read_text())
    assert recipe.is_up_to_date(record["data"])
    assert not recipe.is_up_to_date("other data")
    assert not recipe.with_training(seed=9).is_up_to_date(record["data"])
    assert record["training_minutes"] > 1 and {"cores", "device"} <= record["environment"].keys()


def test_every_exported_network_has_a_recipe_and_no_recipe_is_listed_twice():
    exported = {path.with_suffix("") for recipe in RECIPES for path in recipe.trainer.folder.glob("*.keras")}
    paths = [recipe.path for recipe in RECIPES]
    assert set(paths) == exported and len(paths) == len(exported)


def network(units=3, seed=0):
    return untrained(lambda: keras.Sequential([keras.layers.Dense(units)]), seed=seed, shape=(None, 2))


def test_weights_are_loaded_if_they_are_those_of_the_record(tmp_path):
    path = tmp_path / "small.net"  # a name may have a dot
    refused(
        "small.net.keras: no such file; `make it` writes it",
        weights.load_checked,
        path,
        "make it",
        error=weights.WeightsError,
    )
    export(network(), tmp_path, "small.net")
    model, record = weights.load_checked(path)
    np.testing.assert_array_equal(model.get_weights()[0], network().get_weights()[0])
    assert list(record) == ["sha256"]
    refused(
        "expected a Dense, got a Sequential",
        weights.load_checked,
        path,
        error=weights.WeightsError,
        kind=keras.layers.Dense,
    )
    export(network(), tmp_path, "small.net", training={"seconds": -1})
    refused("expected crops of more than 0 s, got -1.0 s", weights.load_checked, path, error=weights.WeightsError)


def test_a_network_whose_building_was_interrupted_is_refused(tmp_path, monkeypatch):
    """Keras swallows what is raised there, Ctrl-C too, and would go on with random weights."""
    sizes = Parameters(**CONV_TASNET)
    export(untrained(ConvTasNet, sizes, shape=(None, None)), tmp_path, "net", parameters=sizes.to_dict())
    assert weights.load_checked(tmp_path / "net", kind=ConvTasNet)

    def interrupted(self, shape):
        raise KeyboardInterrupt

    monkeypatch.setattr(ConvTasNet, "build", interrupted)
    refused("net.keras: not a network", weights.load_checked, tmp_path / "net", kind=ConvTasNet)


def test_initial_weights_are_exported_ones_those_of_a_run_or_a_file(tmp_path):
    recipe = train_separation.RECIPES["one_artist_refined"]
    assert recipe.start() == weights.files_of(train_separation.RECIPES["one_artist"].path)[0]
    places = Places(tmp_path)
    many = train_conv_tasnet.RECIPES["many_trio"]
    assert many.with_training(start_from="").start(places) is None
    refused(
        'start_from: expected a .keras file or the name .*, got many; choose --start-from ""',
        many.start,
        places,
        error=FileNotFoundError,
    )
    best = tmp_path / "runs" / "conv_tasnet-many" / "best.keras"
    best.parent.mkdir(parents=True)
    network().save(best)
    assert many.start(places) == best and many.with_training(start_from=str(best)).start(places) == best
    refused(
        "start_from: .*best.keras: expected a trained network that fits", train_conv_tasnet.start_from, network(), best
    )


def test_recorded_music_that_is_not_here_is_named(tmp_path):
    places = Places(tmp_path)
    assert command.folder_of(("one_artist", "train"), places=places) == (places.band / "one_artist", "train")
    assert command.folder_of(("musdb", "train", "valid"), data=tmp_path) == (tmp_path, "train", "valid")
    for name, words in ((command.MUSDB, "MUSDB_PATH"), (command.AIR_TRAFFIC, "AIR_TRAFFIC_PATH")):
        refused(words, command.folder_of, (name, "train"), error=FileNotFoundError, places=places)


@pytest.mark.parametrize(
    "module, arguments, message",
    [
        (train_separation, ["one_artist", "--mode", "unsupervised"], "train: --mode: no setting of one_artist\n"),
        (train_separation, ["one_artist", "--steps", "0"], "train: steps: expected more than 0, got 0\n"),
        (
            train_separation,
            ["one_artist", "--steps", "50"],
            "train: --steps: expected more than the warm-up of 50, got 50;",
        ),
        (
            train_separation,
            ["one_artist", "--seconds", "1e-9", "--data", "nowhere"],
            "train: nowhere/one_artist: no songs",
        ),
        (train_decoder, ["band-bass", "--learning-rate", "-1"], "train_decoder: learning_rate: expected more than 0"),
        (train_decoder, ["band-bass", "--data", "nowhere"], "train_decoder: nowhere/one_artist: no songs in train/"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(module, arguments, message, capsys):
    assert module.main(arguments) == 2
    assert one_line(capsys).startswith(message)


def test_losses_have_names_that_settings_accept():
    assert all(train_conv_tasnet.Training(loss=name) for name in train_conv_tasnet.LOSSES)
