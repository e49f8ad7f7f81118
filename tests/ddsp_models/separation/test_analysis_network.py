"""The parametric separator: its spectra are those of sounds, its stems add up, it hears what it is taught."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from audio_processing.audio_processing import stft
from common.files import sha256_of
from ddsp_models.features import N_BANDS
from ddsp_models.separation import analysis_network, separators, song_crops
from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes
from mss_nn_implementation.convtas import WeightsError

SMALL = Sizes(
    n_fft=1024, hop=128, octaves=7.0, channels=12, hidden=8, dilations=(1, 2), filters=2, harmonic_bands=8,
    noise_bands=6, bands=12,
)  # fmt: skip


def tone(f0, seconds=1.0, sample_rate=16000, harmonics=10):
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    return sum(np.sin(2 * np.pi * k * f0 * t) for k in range(1, harmonics + 1)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = ParametricSeparator(SMALL)
    model.build(None)
    return model


@pytest.fixture(scope="module")
def separator(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model.save(folder / "separator-small.keras")
    (folder / "separator-small.json").write_text(json.dumps({"sha256": sha256_of(folder / "separator-small.keras")}))
    return separators.MaskedSeparator("small", folder)


def test_outlines_add_up_to_a_flat_spectrum():
    for n in (8, 40, 96):
        np.testing.assert_allclose(analysis_network.mel_triangles(n, 2048, 16000).sum(axis=1), 1.0, atol=1e-5)


def test_the_map_finds_a_frequency_where_its_note_is():
    sizes = Sizes()
    weights = analysis_network.log_frequency_weights(sizes)
    for frequency in (110.0, 440.0, 1760.0):
        spectrum = np.exp(-0.5 * (np.arange(sizes.n_frequencies) - frequency * 2048 / 16000) ** 2)
        note = analysis_network.LOWEST_NOTE + np.argmax(spectrum @ weights) / sizes.per_semitone
        assert abs(note - (69 + 12 * np.log2(frequency / 440))) < 0.5


@pytest.mark.parametrize("f0", [82.4, 220.0, 415.3])
def test_lobes_look_like_the_spectrogram_of_equal_harmonics(f0):
    magnitude = np.abs(stft(tone(f0), 2048, 128))[:, 60]
    frames = ops.convert_to_tensor(np.full((1, 9), f0, np.float32))
    lobes = ops.convert_to_numpy(analysis_network.harmonic_lobes(frames, ops.convert_to_tensor(0.72), 2048, 16000))[
        0, 4
    ]
    heard = slice(0, int(10.4 * f0 * 2048 / 16000))
    shape = magnitude[heard] / magnitude[heard].max()
    assert np.corrcoef(shape, lobes[heard])[0, 1] > 0.99
    assert np.abs(shape - lobes[heard]).max() < 0.12


def test_a_moving_pitch_smears_high_harmonics_more():
    line = ops.convert_to_tensor((200.0 + 2.0 * np.arange(9, dtype=np.float32))[None])
    lobes = ops.convert_to_numpy(analysis_network.harmonic_lobes(line, ops.convert_to_tensor(1.0), 2048, 16000))[0, 4]
    spacing = 208.0 * 2048 / 16000
    between = [lobes[int(round((k + 0.5) * spacing))] for k in (2, 10, 20)]
    assert between[0] < 0.01 < between[1] < between[2]


def test_white_noise_has_variance_one_in_every_bin(model):
    noise = np.random.default_rng(0).standard_normal((2, 64000)).astype(np.float32)
    real, imaginary = (ops.convert_to_numpy(x) for x in model.spectrum(noise))
    assert abs(np.mean(real**2 + imaginary**2) - 1.0) < 0.03


def test_classes_add_up_and_peak_at_the_pitch():
    model = ParametricSeparator(Sizes())
    f0 = np.array([[0.0, 110.0, 146.83]], np.float32)
    target = ops.convert_to_numpy(model.pitch_target(f0, 0))
    np.testing.assert_allclose(target.sum(axis=-1), 1.0, atol=1e-5)
    assert target[0, 0, -1] == 1.0 and (target[0, 1:, -1] == 0).all()
    assert target[0].argmax(axis=-1).tolist() == [124, (45 - 26) * 4, (50 - 26) * 4]
    decoded = ops.convert_to_numpy(
        model.decode([np.log(target + 1e-9), np.log(ops.convert_to_numpy(model.pitch_target(2 * f0, 1)) + 1e-9)])
    )
    assert decoded[0, 0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(decoded[0, 1:, 0], [110.0, 146.83], rtol=2e-3)
    np.testing.assert_allclose(decoded[0, 1:, 1], [220.0, 293.66], rtol=2e-3)


def test_viterbi_bridges_a_gap_and_ignores_a_leap_of_one_frame():
    logits = np.full((40, 61), -8.0)
    logits[:, 20] = 4.0
    logits[18, 20], logits[18, 55] = 3.0, 5.0  # one frame that sounds like another pitch
    logits[30:, 60] = 9.0  # and a rest
    line = separators.likeliest_line(logits, 40.0, 4)
    np.testing.assert_allclose(line[:29], 440 * 2 ** ((45.0 - 69) / 12), rtol=1e-2)
    assert (line[31:] == 0).all()


@pytest.mark.parametrize("shape, rate", [((1,), 16000), ((700,), 16000), ((40001,), 16000), ((2, 150001), 44100)])
def test_stems_have_the_mixtures_shape_and_add_up_to_it(separator, shape, rate):
    mixture = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    stems = separator.separate(mixture, rate)
    assert tuple(stems) == ("drums", "bass", "vocals")
    assert all(stem.shape == shape and stem.dtype == np.float32 for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5


def test_silence_gives_silence_and_a_louder_song_louder_stems(separator):
    assert all(not np.any(stem) for stem in separator.separate(np.zeros(20000, np.float32)).values())
    mixture = tone(110.0, 2.0) / 20
    quiet, loud = separator.separate(mixture), separator.separate(8 * mixture)
    for source in quiet:
        np.testing.assert_allclose(loud[source], 8 * quiet[source], atol=2e-4)
    features = [separator.analyse(np.resize(g * mixture, 128000))["features"] for g in (1, 8)]
    np.testing.assert_allclose(features[1]["loudness"] - features[0]["loudness"], 20 * np.log10(8), atol=1e-2)
    np.testing.assert_allclose(features[1]["onset"], features[0]["onset"], atol=1e-3)


def test_weights_that_were_changed_are_refused(model, tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        separators.load_separator("small", tmp_path)
    model.save(tmp_path / "separator-small.keras")
    (tmp_path / "separator-small.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(WeightsError, match="checksum"):
        separators.load_separator("small", tmp_path)
    (tmp_path / "separator-small.json").write_text("{")
    with pytest.raises(WeightsError, match="damaged"):
        separators.load_separator("small", tmp_path)


def test_sizes_that_contradict_each_other_are_named():
    with pytest.raises(ValueError, match="pitched: 'flute'"):
        Sizes(pitched=("bass", "flute"))
    with pytest.raises(ValueError, match="lowest, highest: 1 and 2"):
        Sizes(lowest=(26.0,))
    with pytest.raises(ValueError, match="hop: 100"):
        Sizes(hop=100)


# --- examples --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    seconds: float = 0.5
    batch_size: int = 2
    steps: int = 8
    steps_per_epoch: int = 4
    remix: float = 0.5
    gain_db: float = 6.0
    taught_until: float = 0.5
    own_pitch: float = 1.0
    seed: int = 3


def make_song(bass=110.0, voice=440.0, seconds=2.0):
    n, frames = int(seconds * 16000), int(seconds * 250)
    drums = np.zeros(n, np.float32)
    drums[::4000] = 0.5
    stems = np.stack([drums, 0.05 * tone(bass, seconds), 0.02 * tone(voice, seconds)])
    f0 = np.tile(np.array([[bass, voice]], np.float32), (frames, 1))
    f0[: frames // 2, 1] = 0.0
    return song_crops.described(stems, f0, ("drums", "bass", "vocals"), ("bass", "vocals"))


def test_examples_add_up_and_depend_on_seed_epoch_and_number_alone():
    songs = [make_song(), make_song(80.0, 300.0)]
    crops = song_crops.SongCrops(songs, Settings(), 128)
    inputs, targets = crops[1]
    np.testing.assert_allclose(inputs["mixture"], targets["stems"].sum(axis=1), atol=1e-6)
    assert inputs["f0"].shape == (2, 63, 2) and targets["bands"].shape == (2, 124, 3, N_BANDS)
    again = song_crops.SongCrops(songs, Settings(), 128)[1][0]
    assert np.array_equal(again["mixture"], inputs["mixture"])
    assert inputs["taught"].all()  # the first half is taught,
    crops.epoch = 1
    later = crops[1][0]
    assert not later["taught"].any()  # the second half is not
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
    with pytest.raises(ValueError, match=r"too short: \[0\]"):
        song_crops.SongCrops([make_song(seconds=0.25)], Settings(), 128)


def test_it_learns_what_one_batch_holds():
    keras.utils.set_random_seed(0)
    model = ParametricSeparator(SMALL)
    model.build(None)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    batch = song_crops.SongCrops([make_song()], Settings(), 128)[0]
    first = model.train_on_batch(*batch, return_dict=True)
    for _ in range(12):
        last = model.train_on_batch(*batch, return_dict=True)
    assert last["loss"] < first["loss"] - 0.5 and last["pitch"] < first["pitch"]
    assert set(last) == {"loss", *analysis_network.WEIGHTS_OF_TERMS}
    assert all(np.isfinite(value) for value in last.values())
