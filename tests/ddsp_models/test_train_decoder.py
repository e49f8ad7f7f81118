"""Training of decoders: what a batch is, what a recipe reads, and what the command exports."""

import dataclasses

import numpy as np
import pytest

from audio_processing import recorded_song
from audio_processing.audio_processing import save
from audio_processing.tracks import TRIO
from common.places import Places
from ddsp_models import features as feature
from ddsp_models import train_decoder as trainer
from ddsp_models.autoencoder import Settings, load_decoder
from ddsp_models.train_decoder import RECIPES, DecoderTraining
from tests.helpers import make_tree, noise, refused
from training.command import folder_of

SMALL = Settings(
    inputs=feature.STRUCK, n_harmonics=0, channels=8, depth=2, n_bands=9, n_modes=2, n_shots=2, shot_taps=90,
    room_taps=50, noise_samples=0,
)  # fmt: skip
SHORT = DecoderTraining(seconds=0.2, batch_size=2, steps=3, steps_per_epoch=2, warmup=1)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    places = Places(tmp_path_factory.mktemp("root"))
    make_tree(places.band / "one_artist", seconds=1.0)
    make_tree(places.band / "validation", songs=1, seconds=4.0, subset="test", seed=1)
    return places


def test_batches_are_crops_of_the_songs(places):
    songs = trainer.band_examples(SMALL, places.band / "one_artist", "train", "drums")
    assert len(songs) == 2
    features, sound = trainer.Crops(songs, SMALL.inputs, SHORT)[0]
    assert features["bands"].shape == (2, 50, feature.N_BANDS) and sound.shape == (2, 3200)
    k = [i for _, whole in songs for i in range(201) if np.array_equal(whole[i * 64 : i * 64 + 3200], sound[0])]
    assert len(k) == 1  # and it begins with a frame
    same = [np.array_equal(f["bands"][k[0] : k[0] + 50], features["bands"][0]) for f, _ in songs]
    assert sum(same) == 1  # features and sound of the same moment
    refused("too short", trainer.Crops, songs, SMALL.inputs, dataclasses.replace(SHORT, seconds=2.0))


def test_a_recorded_song_is_divided_in_time_and_must_be_there(tmp_path):
    recipe = RECIPES["air_traffic-drums"]
    refused("AIR_TRAFFIC_PATH", folder_of, recipe.songs, error=FileNotFoundError, places=Places(tmp_path))
    for source, audio in zip(TRIO, 0.1 * noise(3, 16000 * 130)):
        save(tmp_path / f"{source}.wav", audio, 16000)
    lengths = {}
    for part in recorded_song.SONG_PARTS:
        [(features, sound)] = trainer.recorded_examples(SMALL, tmp_path, part, "drums")
        assert len(sound) == 64 * len(features["onset"])
        lengths[part] = len(sound) / 16000
    assert lengths == {"train": 106, "validation": 14, "test": 10}
    where = Places(tmp_path, air_traffic=tmp_path)
    sums = [recipe.checksum(lambda songs: folder_of(songs, places=where), start) for start in (None, recipe.start())]
    assert len(set(sums)) == 2  # initial weights are data, too


@pytest.mark.slow
def test_what_is_exported_loads_and_is_up_to_date_until_settings_or_songs_change(
    places, tmp_path, monkeypatch, capsys, uncompiled
):
    kind = dataclasses.replace(trainer.BAND, folder=tmp_path)
    recipe = dataclasses.replace(RECIPES["band-drums"], trainer=kind, config=SMALL, training=SHORT)
    monkeypatch.setitem(trainer.RECIPES, "band-drums", recipe)
    assert trainer.main(["--export"], places) == 0
    assert (places.results / "training" / "ddsp-band-drums.csv").read_text().count("\n") == 3
    model, record = load_decoder("band-drums", tmp_path)
    assert model.sizes == SMALL and record["weights"] == model.count_params() and record["seconds"] > 0
    assert set(record["statistics"]) == set(SMALL.inputs) and record["training_minutes"] == pytest.approx(2 / 60)
    assert trainer.main(["--export"], places) == 0 and capsys.readouterr().out.endswith("band-drums: up to date\n")
    assert not recipe.with_training(loudness_weight=0.2).is_up_to_date(record["data"])
    save(sorted(places.band.glob("one_artist/train/*/drums.wav"))[0], np.zeros((2, 16000), np.float32), 16000)
    assert not recipe.is_up_to_date(recipe.checksum(lambda songs: folder_of(songs, places=places)))
