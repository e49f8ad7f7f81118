"""CREPE: decoding compared with librosa, and weights that are missing, broken or do not fit."""

import bz2

import h5py
import keras
import librosa
import numpy as np
import pytest

from ddsp_models.pitch import crepe
from tests.helpers import refused


def write_published_layout(path, model, suffix="_3"):
    """Write a network's weights as Keras 2 wrote CREPE's: one column per convolution, groups within groups."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            if not layer.weights:
                continue
            short = (
                ("kernel", "bias") if len(layer.weights) == 2 else ("gamma", "beta", "moving_mean", "moving_variance")
            )
            names = [f"{layer.name}{suffix}/{name}:0" for name in short]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights()):
                group[name] = array[:, None] if array.ndim == 3 else array


def test_viterbi_finds_librosas_path():
    salience = 0.01 + np.random.default_rng(0).random((60, 40))
    likely = np.maximum(12 - np.abs(np.arange(40)[:, None] - np.arange(40)), 0)
    transition = likely / likely.sum(axis=1, keepdims=True)
    # librosa's observations are p(observation | state) with the frames last, and a uniform start as here
    expected = librosa.sequence.viterbi(np.minimum(salience.T, 1), transition)
    np.testing.assert_array_equal(crepe.viterbi(np.minimum(salience, 1)), expected)


def test_decoding_undoes_the_target():
    f0 = np.geomspace(40, 1900, 200)
    salience = crepe.target(f0)
    for path in (None, crepe.viterbi(salience)):
        assert np.abs(1200 * np.log2(crepe.decode(salience, path) / f0)).max() < 2
    assert (crepe.target(np.array([0.0])) == 0).all()


def test_viterbi_does_not_follow_a_frame_that_leaps():
    salience = np.full((40, 360), 0.01)
    salience[:, 100] = 0.6
    salience[20, [100, 220]] = 0.5, 0.9
    assert salience.argmax(axis=1)[20] == 220 and (crepe.viterbi(salience) == 100).all()


def test_voicing_ignores_a_single_frame():
    confidence = np.repeat([0.1, 0.9, 0.1], 50)
    confidence[[25, 75]] = 0.9, 0.2
    np.testing.assert_array_equal(crepe.decode_voicing(confidence), np.repeat([False, True, False], 50))


def test_the_full_network_is_as_large_as_the_paper_says():
    model = crepe.build("full")
    assert model.count_params() == pytest.approx(22.2e6, rel=0.005)
    assert model.output_shape == (None, 360)


@pytest.mark.parametrize("compressed", [False, True])
def test_weights_of_the_published_layout_are_read(tmp_path, compressed):
    source, model = crepe.build(), crepe.build()
    path = tmp_path / "model-tiny.h5"
    write_published_layout(path, source)
    if compressed:
        path = tmp_path / "model-tiny.h5.bz2"
        path.write_bytes(bz2.compress((tmp_path / "model-tiny.h5").read_bytes()))
    crepe.load_weights(model, path)
    for ours, theirs in zip(model.get_weights(), source.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_another_size_or_no_weights_at_all_are_refused(tmp_path):
    path = tmp_path / "model-tiny.h5"
    write_published_layout(path, crepe.build("tiny"))
    refused(
        r"conv1 \(512, 1, 256\) for crepe_small, got \(512, 1, 128\)",
        crepe.load_model,
        "small",
        path,
        error=crepe.WeightsError,
    )
    path.write_bytes(b"not weights")
    refused("expected an HDF5 file", crepe.load_model, "tiny", path, error=crepe.WeightsError)
    with h5py.File(path, "w"):
        pass
    refused("got no layer conv1", crepe.load_model, "tiny", path, error=crepe.WeightsError)
    refused("size: .* got 'huge'", crepe.load_model, "huge")


def test_the_environment_names_a_file_or_a_folder(tmp_path, monkeypatch):
    file = tmp_path / "model-tiny.h5.bz2"
    file.write_bytes(b"")
    for given in (file, tmp_path):
        monkeypatch.setenv("CREPE_WEIGHTS", str(given))
        assert crepe.weights_path("tiny") == file
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path / "elsewhere"))
    refused(
        "CREPE_WEIGHTS: expected a file or a folder .* got .*elsewhere",
        crepe.weights_path,
        "tiny",
        error=crepe.WeightsError,
    )


def test_a_download_is_compared_with_the_published_file(tmp_path, monkeypatch, no_weights):
    file = tmp_path / "model-tiny.h5.bz2"
    file.write_bytes(b"tampered with")
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(file))
    refused("checksum differs", crepe.weights_path, "tiny", error=crepe.WeightsError)
    assert not file.exists()  # or the next try would find it in the cache


def test_a_failed_download_is_not_tried_for_every_chunk(monkeypatch, no_weights):
    asked = []
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: asked.append(1) or {}["no network"])
    for _ in range(3):
        refused("cannot be reached", crepe.weights_path, "tiny", error=crepe.WeightsError)
    assert len(asked) == 1
    crepe.UNREACHED["model-tiny.h5.bz2"] -= crepe.RETRY  # minutes later
    refused("cannot be reached", crepe.weights_path, "tiny", error=crepe.WeightsError)
    assert len(asked) == 2


def test_the_published_file_has_the_checksum_we_ask_for(published):
    assert crepe._git_blob(published.read_bytes()) == crepe.BLOBS["tiny"]
