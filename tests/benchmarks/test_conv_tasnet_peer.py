"""The benchmarks compare like with like: same weights, same output, same loss; and a song's separation is measured."""

import dataclasses

import keras
import pytest

from benchmarks import conv_tasnet_train, separate_song
from mss_nn_implementation.parameters import Parameters, Training


@pytest.mark.slow
def test_asteroids_network_with_our_weights_is_our_network(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("asteroid", reason="Asteroid is not installed; benchmarks/conv_tasnet_train.py says how")
    monkeypatch.setattr(conv_tasnet_train, "SIZES", Parameters(N=16, L=8, B=6, H=8, P=3, X=3, R=2, Sc=5))
    monkeypatch.setattr(conv_tasnet_train, "TRAINING", Training(seconds=0.1, warmup=1))
    mixtures, stems = conv_tasnet_train.crops()
    model = conv_tasnet_train.ours()
    peer = conv_tasnet_train.asteroids(model)
    assert conv_tasnet_train.output_error(model, peer, mixtures) < 1e-4
    # half a frame of zeros in front is all that their losses differ by
    ours = float(model.loss(stems, model(mixtures)))
    assert conv_tasnet_train.torch_step(peer, mixtures, stems)() == pytest.approx(ours, abs=0.05)


def test_without_the_peer_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(conv_tasnet_train.importlib.util, "find_spec", lambda name: None)
    assert conv_tasnet_train.run() == []
    assert "torch and asteroid not installed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_songs_separation_is_timed_and_checked():
    record = separate_song.measure(0.2, model="hps")
    assert record["benchmark"] == "separate_song@hps@0.2min" and record["peer_s"] == 12
    assert record["ratio"] == pytest.approx(12 / record["ours_s"]) and record["max_error"] < 1e-4
    assert 50 < record["peak_mb"] < 5000


def test_the_song_is_as_long_as_it_should_be(tmp_path):
    import soundfile

    separate_song.write_song(tmp_path / "song.wav", 0.5)
    assert soundfile.info(tmp_path / "song.wav").frames == 30 * 44100
    copy = tmp_path / "copy.wav"
    audio, rate = soundfile.read(tmp_path / "song.wav")
    soundfile.write(copy, audio, rate, subtype="FLOAT")
    assert separate_song.largest_error(tmp_path / "song.wav", [copy]) == 0
    soundfile.write(copy, audio[:-1], rate, subtype="FLOAT")
    assert separate_song.largest_error(tmp_path / "song.wav", [copy]) > 0


def test_half_precision_is_asked_for_and_given_back():
    before = keras.config.dtype_policy().name
    from mss_nn_implementation.train import computing

    with computing("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == before
    with pytest.raises(ValueError, match="precision"):
        dataclasses.replace(Training(), precision="float8")
