"""The earlier report's separator, step by step towards this one: every variant trains and is scored."""

import dataclasses

import keras
import numpy as np
import pytest

from common import results
from common.places import Places
from ddsp_models.separation import ablations, song_crops
from ddsp_models.separation.ablations import VARIANTS, Variant, VariantSeparator
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.train_separator import SeparatorTraining, validation_examples
from tests.helpers import ANALYSIS, array, make_song, make_tree, noise, refused, untrained

SMALL = Sizes(**ANALYSIS)
SHORT = SeparatorTraining(seconds=0.5, batch_size=2, steps=4, steps_per_epoch=2, taught_until=0.5)


def built(variant):
    return untrained(VariantSeparator, SMALL, variant, seed=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_and_is_scored(name):
    song = make_song()
    model = built(VARIANTS[name])
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    batch = song_crops.SongCrops([song], SHORT, SMALL.hop)[0]
    first, *_, last = [model.train_on_batch(*batch, return_dict=True) for _ in range(4)]
    assert last["loss"] < first["loss"]
    assert (last["outline"] == 0) == (name != "spectra")
    if name != "spectra":
        np.testing.assert_allclose(array(model(batch[0])["spectra"]).sum(axis=1), 1.0, atol=1e-4)
    records = ablations.scores(model, *validation_examples([song], 8000, SMALL.hop))
    kinds = {(record["source"], record["metric"]) for record in records}
    assert {("drums", "si_sdr"), ("bass", "f0_l1_hz"), ("vocals", "raw_pitch_accuracy")} <= kinds
    assert ("drums", "f0_l1_hz") not in kinds and all(np.isfinite(record["value"]) for record in records)
    assert 0 < ablations.parameters_used(model) < model.count_params()


def test_hertz_are_compared_over_all_frames_and_bins_over_voiced_ones():
    f0 = np.array([[[0.0, 0.0], [110.0, 220.0]]], np.float32)
    hertz = built(VARIANTS["own heads"])
    silent, right = ([np.array([[x, y]], np.float32) for y in (110.0, 220.0)] for x in (0.0, 300.0))
    assert float(hertz.pitch_error(silent, f0)) == 0.0
    assert float(hertz.pitch_error(right, f0)) == pytest.approx(0.1 / 0.3 * 150.0)
    bins = built(VARIANTS["pitch bins"])
    logits = [noise(1, 2, SMALL.pitch_bins(i) + 1, seed=i) for i in (0, 1)]
    other = [x.copy() for x in logits]
    for x in other:
        x[:, 0] = noise(x.shape[2], seed=2)  # an unvoiced frame
        x[..., -1] = 9.0  # and what says "no pitch"
    assert float(bins.pitch_error(logits, f0)) == pytest.approx(float(bins.pitch_error(other, f0)), rel=1e-5)
    assert (array(bins.decode(other)) > 0).all()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"pitch": "cents"}, "pitch: expected one of 'bins', 'hertz', got 'cents'"),
        ({"heads": "shared"}, "heads: expected pitch='hertz', masks='softmax' if shared"),
        ({"pitch": "hertz"}, "masks: expected pitch='bins', voicing and told with spectra"),
        ({"pitch": "hertz", "masks": "softmax"}, "pitch: expected no voicing"),
    ],
)
def test_a_variant_that_cannot_be_is_named(settings, words):
    refused(words, Variant, **settings)


def test_each_variant_changes_one_thing():
    changed = []
    for one, other in zip(VARIANTS.values(), list(VARIANTS.values())[1:]):
        before, after = dataclasses.asdict(one), dataclasses.asdict(other)
        changed.append([name for name in before if before[name] != after[name]])
    assert changed == [["heads"], ["earlier_weights"], ["pitch"], ["aligned"], ["voicing"], ["told"], ["masks"]]


def test_masks_depend_on_the_given_f0_only_if_conditioned_on_it():
    inputs = {"mixture": noise(1, 8000), "taught": np.ones((1, 1), np.float32)}
    frames = 8000 // SMALL.hop + 1
    for name in ("voicing", "told the pitch"):
        model = built(VARIANTS[name])
        low, high = (
            array(model(inputs | {"f0": np.full((1, frames, 2), f0, np.float32)})["spectra"]) for f0 in (100.0, 150.0)
        )
        assert (np.abs(low - high).max() > 1e-3) == (name == "told the pitch")


def test_finished_runs_are_kept(tmp_path, monkeypatch, capsys):
    trained, places = [], Places(tmp_path)

    def run(name, seed, training, config, songs, validation):
        trained.append((name, seed))
        record = {"source": "bass", "metric": "si_sdr", "unit": "dB", "value": 1.0}
        return {"parameters": 5, "seconds": 1.0, "records": [record]}

    monkeypatch.setattr(ablations, "run", run)
    monkeypatch.setattr(ablations, "band_songs", lambda *_: [make_song()])
    for name, subset in (("one_artist", "train"), ("validation", "test")):
        make_tree(places.band / name, songs=1, seconds=0.1, subset=subset)
    assert ablations.main(["--steps", "4", "--seeds", "1", "--only", "voicing", "spectra"], places) == 0
    assert ablations.main(["--steps", "4", "--seeds", "2", "--only", "spectra"], places) == 0
    assert trained == [("voicing", 0), ("spectra", 0), ("spectra", 1)]
    written = results.read(places.results / "ablations-separator.json")
    assert [record["seed"] for record in written["records"]] == [0, 1]
    assert written["variants"]["spectra"]["parameters"] == 5
    assert dataclasses.asdict(VARIANTS["spectra"]).items() <= written["variants"]["spectra"].items()
    assert "wrote results/ablations-separator.json" in capsys.readouterr().out
