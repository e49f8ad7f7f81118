import json

import keras
import pytest

from common import results
from common.places import HERE
from mss_nn_implementation import ablations
from mss_nn_implementation.ablations import ABLATIONS, Ablation, summary
from mss_nn_implementation.parameters import Parameters, Training
from tests.helpers import make_tree

TINY = Parameters(N=8, L=8, B=4, H=6, P=3, X=2, R=1, Sc=4)
SHORT = Training(seconds=0.25, batch_size=2, steps=3, steps_per_epoch=2, warmup=1, learning_rate=0.02)


def records(**values):
    """Two songs of one source for each ablation and seed: {name: [(song 1, song 2) of a seed, …]}."""
    return [
        {"ablation": name, "test_set": "t", "track": f"{i}", "metric": "si_sdr", "seed": seed, "source": "bass"}
        | {"value": value}
        for name, seeds in values.items()
        for seed, songs in enumerate(seeds)
        for i, value in enumerate(songs)
    ]


def test_a_difference_stands_beside_what_seeds_alone_differ_by():
    base, relu = summary(records(relu=[(3.0, 5.0), (6.0, 8.0)], base=[(1.0, 3.0), (2.0, 6.0)]))
    assert base["ablation"] == "base" and base["seeds"] == [2, 4] and "difference" not in base
    assert (relu["mean"], relu["low"], relu["high"]) == (5.5, 4, 7)
    assert (relu["difference"], relu["smallest"], relu["largest"]) == (2.5, 0, 5)


def test_sdr_is_the_median_over_songs_and_then_the_mean_over_sources():
    table = [
        {"ablation": "musdb", "test_set": "t", "metric": "sdr", "seed": 0, "track": i, "source": source, "value": value}
        for source, values in {"drums": (0.0, 1.0, 50.0), "bass": (3.0, 3.0, 3.0)}.items()
        for i, value in enumerate(values)
    ]
    assert summary(table)[0]["mean"] == 2


def test_every_ablation_changes_one_thing_that_exists():
    for name, ablation in ABLATIONS.items():
        wanted, sizes, training = ablations.settings(name, 1, 500)
        assert ablation.data in ablations.DATA and training.steps == 500 and wanted == json.loads(json.dumps(wanted))
        for other in (ablation.against, ablation.start):
            assert not other or list(ABLATIONS).index(other) < list(ABLATIONS).index(name)
        if ablation.against == "base":
            changed = [f for f in ("sizes", "training", "minutes") if getattr(ablation, f) != getattr(Ablation(""), f)]
            assert len(changed) == 1, name


@pytest.fixture
def small(tmp_path, monkeypatch, uncompiled):
    """The runner with a tiny network, a dataset of noise, and folders of its own."""
    monkeypatch.setattr(HERE, "root", tmp_path)
    make_tree(HERE.band / "noise", seconds=0.6)
    songs = ("noise", "train")
    monkeypatch.setattr(ablations, "DATA", {"noise": (songs, songs, {"same_artist": songs})})
    monkeypatch.setattr(ablations, "SIZES", TINY)
    monkeypatch.setattr(ablations, "TRAINING", SHORT)
    monkeypatch.setattr(ablations, "SONG_SECONDS", 0.6)
    noise = {"data": "noise", "minutes": 0.02}
    table = {"base": Ablation("as it is", "", **noise), "relu": Ablation("ReLU masks", sizes={"mask": "relu"}, **noise)}
    table["after"] = Ablation("initialised from base", start="base", **noise)
    monkeypatch.setattr(ablations, "ABLATIONS", table)
    forget()
    yield tmp_path
    forget()


def forget():
    for cached in (ablations.chosen, ablations.checksum, ablations.stems_of):
        cached.cache_clear()


@pytest.mark.slow
def test_runs_are_done_once_and_written_with_settings_seeds_and_seconds(small, capsys, monkeypatch):
    path = HERE.results / "ablations-conv_tasnet.json"
    assert ablations.main(["--steps", "3"]) == 0 and not path.exists()
    assert ablations.main(["--steps", "3", "--export"]) == 0
    content = results.read(path)
    assert [(run["ablation"], run["seed"]) for run in content["runs"]] == [
        (name, seed) for name in ("base", "relu", "after") for seed in (0, 1)
    ]
    for run in content["runs"]:
        assert run["steps"] == 3 and run["best_step"] in (2, 3) and run["seconds"] > 0 and 0 < run["data_share"] < 1
    assert len({run["val_loss"] for run in content["runs"]}) == 6
    assert len(content["records"]) == 3 * 2 * 2 * 3  # ablations, seeds, songs, sources
    assert content["config"]["ablations"]["relu"]["sizes"] == {"mask": "relu"}
    assert content["summary"] == summary(content["records"], ablations.ABLATIONS)
    weights = HERE.runs / "ablations" / "base-0-3" / "best.keras"
    written = weights.stat().st_mtime_ns
    assert ablations.main(["--steps", "3", "--only", "relu", "--export"]) == 0  # the others stay in the file
    assert len(results.read(path)["runs"]) == 6 and weights.stat().st_mtime_ns == written
    weights.write_bytes(weights.read_bytes()[:-1])
    assert ablations.main(["--steps", "3", "--export"]) == 0
    assert keras.saving.load_model(weights, compile=False).sizes == TINY
    again = results.read(path)
    assert [run["val_loss"] for run in again["runs"]] == [run["val_loss"] for run in content["runs"]]
    monkeypatch.setitem(ablations.DATA, "noise", (("nowhere", "train"),) * 2 + ({},))
    forget()
    capsys.readouterr()
    assert ablations.main(["--steps", "3"]) == 2
    assert "base is left out" in capsys.readouterr().err


def test_the_committed_table_follows_from_the_committed_records():
    content = results.read(results.RESULTS / "ablations-conv_tasnet.json")
    assert summary(content["records"]) == content["summary"]


def test_the_command_names_what_is_wrong(capsys):
    assert ablations.main(["--steps", "10"]) == 2
    assert "--steps: expected more than the warm-up of 50, got 10" in capsys.readouterr().err
