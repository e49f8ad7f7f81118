import dataclasses
import json
import os
from functools import partial

import keras
import numpy as np
import pytest

from audio_processing.audio_processing import load, save
from audio_processing.tracks import SOURCES, tracks
from common.places import Places
from mss_nn_implementation import datasets
from mss_nn_implementation import train as trainer
from mss_nn_implementation.convtas import ConvTasNet, load_model
from mss_nn_implementation.datasets import VALIDATION, RandomCrops, fixed_crops, load_songs, songs_of
from mss_nn_implementation.parameters import Parameters, Training
from tests.helpers import (
    CONV_TASNET,
    TWELVE_STEPS,
    array,
    curve,
    make_tree,
    noise,
    one_line,
    refused,
    save_song,
    stacked,
    tone,
    untrained,
)
from training import loop
from training.command import Recipe

TINY, SHORT = Parameters(**CONV_TASNET), Training(**TWELVE_STEPS)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("data"), seconds=1.0)


def load_stems(root, subset, sources, sample_rate, **options):
    """The decoded songs of a folder."""
    return load_songs(songs_of(root, subset), sources, sample_rate, **options)


def test_batches_are_crops_of_the_songs_which_are_long_enough(songs):
    stems = load_stems(songs, "train", TINY.sources, 16000)
    assert len(stems) == 2 and stems[0].shape == (3, 16000)
    training = dataclasses.replace(SHORT, gain_db=0.0, remix=0.0)
    crops = RandomCrops(stems, 100, training)
    mixtures, targets = crops[0]
    assert mixtures.shape == (2, 100) and targets.shape == (2, 3, 100)
    np.testing.assert_allclose(targets.sum(axis=1), mixtures, atol=1e-6)
    drums = np.abs(targets[0, 0])  # a crop of one of the songs, up to its sign
    starts = [i for song in stems for i in range(15901) if np.allclose(np.abs(song[0, i : i + 100]), drums, atol=1e-6)]
    assert len(starts) == 1
    refused(
        "shorter than a crop of 1.5 s: Artist - Song 0, Artist - Song 1",
        load_stems,
        songs,
        "train",
        TINY.sources,
        16000,
        at_least=1.5,
    )


def test_a_batch_costs_milliseconds():
    """A step of the shipped networks takes more than 100 ms on two cores, so 5 ms keep the wait under 5 %."""
    songs = [np.zeros((4, 7 * 16000), np.float32)] * 80
    crops = RandomCrops(songs, 32000, Training())
    for i in range(20):
        crops[i]
    assert 0 < crops.spent / 20 < 0.05  # ten times as much on a machine that has other things to do


def test_stereo_crops_keep_the_channels_and_swap_some():
    song = np.stack([np.full((2, 50), i + 1.0, np.float32) * [[1], [2]] for i in range(3)])  # right twice as loud
    plain = dataclasses.replace(SHORT, gain_db=0.0, swap=0.0, batch_size=50)
    mixtures, stems = RandomCrops([song], 10, plain)[0]
    assert mixtures.shape == (50, 2, 10) and stems.shape == (50, 3, 2, 10)
    np.testing.assert_allclose(np.abs(stems[:, :, 1]), 2 * np.abs(stems[:, :, 0]))
    _, swapped = RandomCrops([song], 10, dataclasses.replace(plain, swap=0.5))[0]
    louder_left = np.mean(np.abs(swapped[:, :, 0, 0]) > np.abs(swapped[:, :, 1, 0]))
    assert 0.3 < louder_left < 0.7


def test_stereo_songs_are_read_in_stereo_and_mono_ones_doubled(songs, tmp_path):
    stems = load_stems(songs, "train", SOURCES, 16000, channels=2)
    np.testing.assert_array_equal(stems[0][0], load(songs / "train" / "Artist - Song 0" / "drums.wav")[0])
    mono = load_stems(make_tree(tmp_path, songs=1, channels=1), "train", SOURCES, 16000, channels=2)
    assert mono[0].shape == (4, 2, 32000)
    np.testing.assert_array_equal(mono[0][:, 0], mono[0][:, 1])


def test_speeds_change_length_and_pitch(tmp_path):
    save_song(tmp_path / "train" / "A - B", dict.fromkeys(SOURCES, tone(400, 2.0, harmonics=1)), 16000)
    as_it_is, faster = load_stems(tmp_path, "train", ("drums",), 16000, speeds=(1.25,))
    assert as_it_is.shape == (1, 32000) and faster.shape == (1, 25600)
    assert np.abs(np.fft.rfft(faster[0, :16000])).argmax() == 500


def test_the_cache_holds_what_was_decoded_and_mends_itself(songs, tmp_path, capsys):
    arguments = (songs, "train", TINY.sources, 16000)
    expected = load_stems(*arguments, speeds=(1.1,))
    first = load_stems(*arguments, speeds=(1.1,), cache=tmp_path)
    assert len(first) == 4 and all(isinstance(song, np.memmap) for song in first)
    assert all(map(np.array_equal, first, expected))
    files = sorted(tmp_path.glob("*.npy"))
    written = [path.stat().st_mtime_ns for path in files]
    load_stems(*arguments, speeds=(1.1,), cache=tmp_path)
    assert [path.stat().st_mtime_ns for path in files] == written  # nothing is decoded twice
    first = None
    files[0].write_bytes(files[0].read_bytes()[:-8])  # truncated
    changed = bytearray(files[1].read_bytes())
    changed[-5] ^= 1  # one bit of the sound
    files[1].write_bytes(changed)
    files[2].with_suffix(".sha256").unlink()  # killed between the two files
    (tmp_path / ".partial-x.npy").write_bytes(b"half")  # killed while it wrote
    assert all(map(np.array_equal, load_stems(*arguments, speeds=(1.1,), cache=tmp_path), expected))
    assert capsys.readouterr().err.count("damaged, decoding") == 3
    half = load_stems(*arguments, cache=tmp_path, dtype="float16")
    assert half[0].dtype == np.float16
    np.testing.assert_allclose(half[0], expected[0], rtol=1e-3, atol=1e-6)
    assert load_stems(*arguments[:3], 8000, cache=tmp_path)[0].shape == (3, 8000)  # another rate is another file


def test_validation_songs_are_the_musdb_packages(tmp_path):
    import musdb
    import yaml

    config = yaml.safe_load(open(os.path.join(os.path.dirname(musdb.__file__), "configs", "mus.yaml")))
    assert sorted(VALIDATION) == sorted(config["validation_tracks"])
    root = make_tree(tmp_path, songs=2, seconds=0.1)
    (root / "train" / "Artist - Song 1").rename(root / "train" / VALIDATION[3])
    assert [song.name for song in songs_of(root, "train", "valid")] == [VALIDATION[3]]
    assert [song.name for song in songs_of(root, "train", "train")] == ["Artist - Song 0"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of songs that are not MUSDB18's, "here", and beside it another one with a song of the same name."""
    monkeypatch.chdir(tmp_path)
    for path in ("here/train/A", "here/train/B", "here/train/C, live", "here/train/D", "other/test/B"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "mixture.wav").touch()
    (tmp_path / "empty").mkdir()
    return partial(songs_of, "here", "train")


@pytest.mark.parametrize(
    "validation, chosen",
    [
        *(("0.01", 1), ("0.3", 1), ("0.5", 2), ("0.99", 3), ("A", ["A"]), ("B, A", ["A", "B"])),
        *(("C, live", ["C, live"]), ("other", ["B"])),
    ],
)
def test_validation_songs_are_chosen_by_share_name_or_folder(own, validation, chosen):
    train, valid, again = ([s.name for s in own(each, validation)] for each in ("train", "valid", "valid"))
    assert chosen in (valid, len(valid)) and valid == again
    assert sorted(train + valid) == ["A", "B", "C, live", "D"]


@pytest.mark.parametrize(
    "validation, words",
    [
        (
            "",
            "expected one of MUSDB18's 14 validation songs in here, got none; choose a share such as 0.1, names",
        ),
        ("A, X, Y", "expected songs in here, a share such as 0.1, or a folder, got X, Y"),
        *((wrong, f"or a folder, got {wrong}$") for wrong in ("1", "0", "-0.1", "nan", "Z")),
        (",", "got none"),
        ("A, B, D, C, live", "got C, live"),
        ("here", "expected songs to train on beside those of here in here, got none"),
        ("empty", "empty: no songs"),
    ],
)
def test_validation_that_cannot_be_is_refused_by_name(own, validation, words):
    for split in ("train", "valid"):
        refused(words, own, split, validation, error=(ValueError, OSError))


def test_musdb_is_split_into_80_and_14_and_never_sees_a_test_song(shared):
    root = shared / "musdb18-7s"
    train, valid, test = (
        {song.name for song in found}
        for found in (songs_of(root, "train", "train"), songs_of(root, "train", "valid"), tracks(root, "test"))
    )
    assert len(train) == 80 and len(valid) == 14 and not (train | valid) & test


def test_a_network_starts_from_another_ones_weights_by_the_names_of_its_sources(tmp_path):
    sizes = (dataclasses.replace(TINY, **change) for change in ({"sources": SOURCES}, {}, {"H": 7}))
    four, three, other = (untrained(ConvTasNet, each, seed=i, shape=(None, None)) for i, each in enumerate(sizes))
    four.save(tmp_path / "four.keras")
    trainer.start_from(three, tmp_path / "four.keras")
    np.testing.assert_array_equal(three.encoder.kernel, four.encoder.kernel)
    np.testing.assert_array_equal(three.blocks[1].outputs.kernel, four.blocks[1].outputs.kernel)
    x = noise(1, 200)
    np.testing.assert_allclose(array(three(x)), array(four(x))[:, [0, 1, 3]], atol=1e-6)
    refused("four.keras: expected H 7, got 6", trainer.start_from, other, tmp_path / "four.keras")
    (tmp_path / "four.keras").write_bytes(b"no archive")
    refused("four.keras: expected a trained network that fits", trainer.start_from, three, tmp_path / "four.keras")


@pytest.fixture
def places(tmp_path, monkeypatch, uncompiled):
    """Folders of this test alone, and one recipe: `tiny` trains on the songs of the set `noise`, and exports there."""
    places = Places(tmp_path)
    kind = dataclasses.replace(trainer.CONV_TASNET, folder=tmp_path / "weights")
    training = dataclasses.replace(SHORT, seconds=0.5, steps=4, warmup=1)
    recipe = Recipe("tiny", kind, TINY, training, ("noise", "train"), ("noise", "test"))
    monkeypatch.setattr(trainer, "RECIPES", {"tiny": recipe})
    make_tree(places.band / "noise", songs=3)
    make_tree(places.band / "noise", songs=1, subset="test")
    return places


def test_songs_that_cannot_be_read_stop_a_training_or_are_left_out(places, capsys):
    """One stem is missing, another one holds NaN: named, and the other songs are trained on."""
    gone, damaged, good = tracks(places.band / "noise", "train")
    (gone.path / "bass.wav").unlink()
    sound, rate = load(damaged.path / "drums.wav")
    sound[:, 100:200] = np.nan
    save(damaged.path / "drums.wav", sound, rate)
    left_out = {}
    (song,) = load_stems(places.band / "noise", "train", SOURCES, 16000, left_out=left_out, at_least=1.0)
    np.testing.assert_array_equal(song, stacked(good.stems(16000, mono=True)))
    nan = f"{damaged.name}/drums.wav: holds NaN or infinite samples, or some beyond 1e+10 (200 of 64000)"
    assert left_out == {gone.name: f"{gone.name}/bass.wav: no such file", damaged.name: nan}
    assert trainer.main([], places) == 2
    assert "bass.wav: no such file" in capsys.readouterr().err and not places.runs.exists()
    assert trainer.main(["--on-error", "skip"], places) == 0
    said = capsys.readouterr()
    assert f"train: {gone.name} is left out: {gone.name}/bass.wav: no such file" in said.err and nan in said.err
    assert said.out.endswith("best.keras; --export replaces tiny of the repository\n")
    assert not (places.root / "weights").exists() and not places.results.exists()
    settings = json.loads((places.runs / "conv_tasnet-tiny" / "settings.json").read_text())
    assert settings["left_out"] == left_out and settings["training_minutes"] == pytest.approx(2 / 60)
    (gone.path / "drums.wav").unlink()
    save(good.path / "vocals.wav", np.full((2, 32000), np.inf), rate)
    assert trainer.main(["--on-error", "skip"], places) == 2 and "none of 3 songs" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_exports_and_skips_what_is_up_to_date(places, capsys):
    assert trainer.main(["--export"], places) == 0
    model, record = load_model("tiny", places.root / "weights")
    assert record["weights"] == model.count_params() and record["seconds"] > 0 and 0 < record["data_share"] < 1
    assert record["training_minutes"] == pytest.approx(0.1) and record["changes"] == []
    log, exported = places.runs / "conv_tasnet-tiny" / "log.csv", places.results / "training" / "conv_tasnet-tiny.csv"
    assert exported.read_text() == log.read_text()
    capsys.readouterr()
    assert trainer.main(["--export"], places) == 0 and capsys.readouterr().out == "tiny: up to date\n"
    assert trainer.main(["--seed", "9"], places) == 2
    assert "holds a run with other settings" in capsys.readouterr().err
    start, run = places.root / "weights" / "tiny.keras", places.root / "other"
    assert trainer.main(["--start-from", str(start), "--minutes", "0.02", "--run", str(run), "--export"], places) == 0
    _, other = load_model("tiny", places.root / "weights")
    assert other["training"]["start_from"] == "tiny" and other["start_sha256"] == record["sha256"]
    assert other["training_minutes"] == pytest.approx(2 / 60)
    again = ["--start-from", "tiny", "--minutes", "0.02", "--run", str(run), "--export"]
    assert trainer.main(again, places) == 0 and "wrote" in capsys.readouterr().out  # initial weights were replaced


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["musdb", "--start-from", ""], "MUSDB_PATH: expected the folder of"),
        (["musdb", "--data", "nowhere", "--start-from", ""], "nowhere: no songs in train"),
        (["many", "--data", "nowhere"], "many_artists: no songs in train"),
        (["trio", "--start-from", "nothing"], "start_from: expected a .keras file or the name of a network"),
        (["trio", "--speeds", "3"], "speeds: expected 0.5 to 2, got 3"),
        (["trio", "--batch-size", "0"], "batch_size: expected more than 0"),
        *((["trio", "--devices", n], f"devices: expected a divisor of the batch size, 4, got {n}") for n in ("3", "0")),
        (["trio", "--steps", "20"], "--steps: expected more than the warm-up of 100, got 20; choose also --warmup"),
        (["trio", "--validation", "0.1"], "--validation: no setting of trio"),
        (["musdb"], "network trained here, got many; run `python -m mss_nn_implementation.train many`, or choose"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert trainer.main([*arguments, "--run", "run", "--force"], Places(tmp_path)) == 2
    assert words in one_line(capsys) and list(tmp_path.iterdir()) == []


def test_validation_crops_are_the_songs_in_order():
    song = np.arange(3 * 10, dtype=np.float32).reshape(3, 10)
    mixtures, stems = fixed_crops([song], 4)
    assert stems.shape == (2, 3, 4)
    np.testing.assert_array_equal(stems[1], song[:, 4:8])
    np.testing.assert_array_equal(mixtures, stems.sum(axis=1))


@pytest.mark.slow
def test_a_causal_network_trains_when_it_is_compiled():
    """XLA compiles the cumulative sums and their gradient, too: the same losses as without it."""
    sizes = dataclasses.replace(TINY, norm="cLN", causal=True)
    stems = noise(2, 3, 200)
    losses = []
    for jit in (loop.JIT, False):
        keras.utils.set_random_seed(0)
        model = ConvTasNet(sizes)
        model.compile(optimizer=trainer.make_optimizer(SHORT), loss=trainer.LOSSES["snr"](), jit_compile=jit)
        losses.append([float(model.train_on_batch(stems.sum(axis=1), stems)) for _ in range(4)])
    assert np.isfinite(losses).all() and losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, atol=1e-3)


def test_stem_files_of_musdb_are_decoded_once(shared, tmp_path, monkeypatch):
    few = songs_of(shared / "musdb18-7s", "train", "valid")[:2]
    first = load_songs(few, SOURCES, 16000, cache=tmp_path, at_least=2.0)
    assert [song.shape[0] for song in first] == [4, 4] and all(np.abs(song).max() > 0.01 for song in first)
    # what reading the file gives
    np.testing.assert_allclose(np.array(first[0]), stacked(few[0].stems(16000, mono=True)), atol=1e-7)
    monkeypatch.setattr(datasets, "_decode", None)  # what is there needs no decoding
    assert all(map(np.array_equal, load_songs(few, SOURCES, 16000, cache=tmp_path), first))


@pytest.mark.slow
def test_training_in_half_precision_stays_finite(songs, tmp_path, uncompiled):
    pytest.importorskip("keras", minversion="3.13", reason="Muon needs Keras 3.13 or newer")
    training = dataclasses.replace(SHORT, steps=6, precision="mixed_float16", loss="si_sdr", swap=0.5, optimizer="muon")
    config = dataclasses.replace(TINY, channels=2, mask="softmax", skip=False)
    model = trainer.train(training, config, (songs, "train"), (songs, "train"), tmp_path / "run")
    assert np.isfinite(curve(tmp_path / "run")).all() and len(curve(tmp_path / "run")) == 2
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    assert keras.config.dtype_policy().name == "float32" and model.compute_dtype == "float32"
