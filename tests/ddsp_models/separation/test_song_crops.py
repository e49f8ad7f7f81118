"""Training crops: stems add up, features follow the gain, and a resumed run gets the same ones."""

import numpy as np

from ddsp_models.features import N_BANDS
from ddsp_models.separation import song_crops
from ddsp_models.separation.train_separator import SeparatorTraining
from tests.helpers import make_song, refused

SHORT = SeparatorTraining(
    seconds=0.5, batch_size=2, steps=8, steps_per_epoch=4, remix=0.5, gain_db=6.0, taught_until=0.5, own_pitch=1.0
)


def test_examples_add_up_and_depend_on_seed_epoch_and_number_alone():
    songs = [make_song(), make_song(80.0, 300.0)]
    crops = song_crops.SongCrops(songs, SHORT, 128)
    inputs, targets = crops[1]
    np.testing.assert_allclose(inputs["mixture"], targets["stems"].sum(axis=1), atol=1e-6)
    assert inputs["f0"].shape == (2, 63, 2) and targets["bands"].shape == (2, 124, 3, N_BANDS)
    again = song_crops.SongCrops(songs, SHORT, 128)[1][0]
    assert np.array_equal(again["mixture"], inputs["mixture"])
    assert inputs["taught"].all()  # teacher forcing in the first half,
    crops.epoch = 1
    later = crops[1][0]
    assert not later["taught"].any()  # not in the second
    assert not np.array_equal(later["mixture"], inputs["mixture"])


def test_features_follow_the_gain_of_a_crop():
    song = make_song()
    parts = [[(song, 8000, gain, 1)] * 3 for gain in (0.0, 6.0)]
    _, targets = song_crops.examples(parts, 8000, 64 * 2, np.zeros((2, 1), bool))
    np.testing.assert_allclose(targets["loudness"][1] - targets["loudness"][0], 6.0, atol=1e-4)
    np.testing.assert_array_equal(targets["onset"][0], targets["onset"][1])


def test_a_faster_tape_is_higher_and_shorter():
    song = make_song()
    fast = song_crops.resampled(song, 1.25)
    assert abs(fast.stems.shape[1] - 32000 / 1.25) <= 64
    assert np.allclose(fast.f0[-10:, 0], 137.5) and np.allclose(fast.f0[-10:, 1], 550.0) and not fast.f0[10, 1]
    spectrum = np.abs(np.fft.rfft(fast.stems[1, 4000:20000]))
    assert abs(np.argmax(spectrum[:200]) - 137.5) <= 1


def test_songs_shorter_than_a_crop_are_named():
    refused("too short", song_crops.SongCrops, [make_song(seconds=0.25)], SHORT, 128)
