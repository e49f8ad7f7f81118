"""CREPE and pitch tracking: alignment, decoding against librosa, weights that are missing, broken or do not fit."""

import bz2

import h5py
import keras
import librosa
import numpy as np
import pytest

from audio_processing.audio_processing import load
from ddsp_models.loudness import loudness
from ddsp_models.pitch import crepe, tracking

RATE = 16000


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """A machine without CREPE's weights and without a network."""

    def unreachable(*arguments, **options):
        raise OSError("no network")

    monkeypatch.delenv("CREPE_WEIGHTS", raising=False)
    monkeypatch.setattr(crepe, "_installed", lambda: [])
    monkeypatch.setattr(crepe, "UNREACHED", {})
    monkeypatch.setattr(keras.utils, "get_file", unreachable)


@pytest.fixture
def published(shared, monkeypatch):
    """The published weights of CREPE tiny, where real audio and they lie beside the checkout."""
    monkeypatch.setenv("CREPE_WEIGHTS", str(shared / "crepe"))
    return shared / "crepe" / "model-tiny.h5.bz2"


def sweep(start, stop, seconds=1.0, harmonics=6):
    """A tone that glides exponentially, and its frequency at k / 250 s."""
    t = np.arange(int(seconds * RATE)) / RATE
    rate = np.log(stop / start) / seconds
    phase = 2 * np.pi * start * np.expm1(rate * t) / rate
    audio = sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))
    return (0.1 * audio).astype(np.float32), start * np.exp(rate * np.arange(int(seconds * 250)) / 250)


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


# --- alignment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [0, 7, 49])
def test_a_click_lies_in_the_middle_of_its_frame_for_pitch_and_loudness_alike(frame):
    audio = np.zeros(50 * 64, np.float32)
    audio[frame * 64] = 1
    cut, level = crepe.frames(audio, 64)
    assert cut.shape == (50, 1024) and cut[frame].argmax() == 512
    assert np.asarray(loudness(audio)).argmax() == frame


def lag(method):
    """Delay of a tracker in s, from its estimates of a sweep up and the same sweep down."""
    errors = []
    for start, stop in ((220, 440), (440, 220)):
        audio, true = sweep(start, stop)
        found = tracking.track_pitch(audio, RATE, method, fmin=200)  # no octaves below: only delay is asked for
        assert len(found.f0) == len(true) == 250
        np.testing.assert_allclose(found.times, np.arange(250) / 250)
        middle = slice(40, 210)
        assert found.voiced[middle].all()
        errors.append(np.median(1200 * np.log2(found.f0[middle] / true[middle])))
    return (errors[1] - errors[0]) / 2 / 1200  # the sweep moves by 1,200 cents/s


@pytest.mark.parametrize("method", ["pyin", "yin", "autocorrelation"])
def test_a_sweep_is_followed_without_delay(method):
    assert abs(lag(method)) < 0.002  # half a frame


def test_a_sweep_is_followed_without_delay_by_crepe(published):
    assert abs(lag("crepe")) < 0.002


@pytest.mark.parametrize("samples, rate", [(RATE + 37, RATE), (44100 + 11, 44100)])
def test_there_are_as_many_frames_as_lie_within_the_sound(samples, rate, monkeypatch):
    def as_many_as_hops(audio, hop, *_):
        return *np.ones((2, len(audio) // hop)), np.ones(len(audio) // hop, bool)

    monkeypatch.setitem(tracking.TRACKERS, "pyin", as_many_as_hops)
    assert len(tracking.track_pitch(np.ones(samples, np.float32), rate, "pyin").f0) == samples * 250 // rate


# --- autocorrelation and YIN -----------------------------------------------------------------------------------------


def test_sums_over_pairs_follow_their_definition():
    rng = np.random.default_rng(0)
    x, window, hop = rng.standard_normal(900), 100, 50
    d, r = tracking.difference(x, hop, window, 40), tracking.autocorrelation(x, hop, window, 40)
    assert d.shape == r.shape == (18, 41)
    for frame, lag in ((4, 0), (7, 1), (9, 17), (12, 40)):
        first = frame * hop - window // 2 - lag // 2
        a, b = x[first : first + window], x[first + lag : first + lag + window]
        assert d[frame, lag] == pytest.approx(np.sum((a - b) ** 2), abs=1e-9)
        now = x[frame * hop - window // 2 :][:window]
        assert r[frame, lag] == pytest.approx(np.sum(a * b) / np.sum(now**2))
    normalised = tracking.cumulative_mean_normalised(d)
    assert (normalised[:, 0] == 1).all()
    assert normalised[9, 17] == pytest.approx(d[9, 17] / d[9, 1:18].mean())


def test_yin_agrees_with_librosas():
    audio, true = sweep(120, 480)
    ours = tracking.track_pitch(audio, RATE, "yin", fmin=60, fmax=1000)
    theirs = librosa.yin(audio, fmin=60, fmax=1000, sr=RATE, frame_length=2048, hop_length=64)[:250]
    middle = slice(40, 210)
    assert np.abs(1200 * np.log2(ours.f0[middle] / true[middle])).max() < 10
    assert np.abs(1200 * np.log2(ours.f0[middle] / theirs[middle])).max() < 15  # librosa's window leans to one side


def test_a_dip_below_the_threshold_wins_over_a_deeper_one_that_is_longer():
    curve = np.ones((1, 50))
    curve[0, [10, 20, 30]] = 0.3, 0.08, 0.02
    assert tracking.first_dip(curve, 2, 0.1) == 20
    assert tracking.first_dip(curve, 25, 0.1) == 30
    assert tracking.first_dip(curve, 2, 0.01) == 30
    assert tracking.first_dip(curve, 2, 0.5) == 10


def test_a_parabola_is_found_exactly():
    curve = (np.arange(30) - 12.3)[None] ** 2 + 0.5
    lag, value = tracking.refined(curve, np.array([12]))
    assert lag[0] == pytest.approx(12.3) and value[0] == pytest.approx(0.5)


def test_frames_between_are_interpolated():
    audio, true = sweep(220, 440)
    full, some = (tracking.track_pitch(audio, RATE, "yin", every=every) for every in (1, 5))
    assert len(some.f0) == len(full.f0) == 250
    assert np.abs(1200 * np.log2(some.f0[40:210] / full.f0[40:210])).max() < 3


def test_chroma_forgives_octaves_and_voicing_is_counted():
    reference = np.array([100.0, 100.0, 100.0, 0.0, 0.0])
    estimate = np.array([200.0, 100.0, 150.0, 100.0, 0.0])
    assert tracking.raw_pitch_accuracy(reference, estimate) == pytest.approx(1 / 3)
    assert tracking.raw_chroma_accuracy(reference, estimate) == pytest.approx(2 / 3)
    assert tracking.raw_chroma_accuracy(reference, 0 * estimate) == 0
    assert tracking.voicing_rates(reference, estimate > 0) == (1.0, 0.5)
    with pytest.raises(ValueError, match=r"voiced: expected .* got \(2,\)"):
        tracking.voicing_rates(reference, np.ones(2, bool))


# --- decoding --------------------------------------------------------------------------------------------------------


def test_viterbi_finds_librosas_path():
    rng = np.random.default_rng(0)
    salience = 0.01 + rng.random((60, 40))
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
    assert salience.argmax(axis=1)[20] == 220
    assert (crepe.viterbi(salience) == 100).all()


def test_voicing_ignores_a_single_frame():
    confidence = np.repeat([0.1, 0.9, 0.1], 50)
    confidence[[25, 75]] = 0.9, 0.2
    np.testing.assert_array_equal(crepe.decode_voicing(confidence), np.repeat([False, True, False], 50))


def test_raw_pitch_accuracy_counts_voiced_frames_only():
    reference = np.array([100.0, 100.0, 0.0, 100.0, 100.0])
    assert tracking.raw_pitch_accuracy(reference, np.array([101.0, 0.0, 50.0, 200.0, 98.0])) == 0.5
    assert np.isnan(tracking.raw_pitch_accuracy(np.zeros(3), np.ones(3)))


# --- weights ---------------------------------------------------------------------------------------------------------


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
    with pytest.raises(crepe.WeightsError, match=r"conv1 \(512, 1, 256\) for crepe_small, got \(512, 1, 128\)"):
        crepe.load_model("small", path)
    path.write_bytes(b"not weights")
    with pytest.raises(crepe.WeightsError, match="expected an HDF5 file"):
        crepe.load_model("tiny", path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(crepe.WeightsError, match="got no layer conv1"):
        crepe.load_model("tiny", path)
    with pytest.raises(ValueError, match="size: .* got 'huge'"):
        crepe.load_model("huge")


def test_the_environment_names_a_file_or_a_folder(tmp_path, monkeypatch):
    file = tmp_path / "model-tiny.h5.bz2"
    file.write_bytes(b"")
    for given in (file, tmp_path):
        monkeypatch.setenv("CREPE_WEIGHTS", str(given))
        assert crepe.weights_path("tiny") == file
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path / "elsewhere"))
    with pytest.raises(crepe.WeightsError, match="CREPE_WEIGHTS: expected a file or a folder .* got .*elsewhere"):
        crepe.weights_path("tiny")


def test_a_download_is_compared_with_the_published_file(tmp_path, monkeypatch, no_weights):
    file = tmp_path / "model-tiny.h5.bz2"
    file.write_bytes(b"tampered with")
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(file))
    with pytest.raises(crepe.WeightsError, match="checksum differs"):
        crepe.weights_path("tiny")
    assert not file.exists()  # or the next try would find it in the cache


def test_a_failed_download_is_not_tried_for_every_chunk(monkeypatch, no_weights):
    asked = []
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: asked.append(1) or {}["no network"])
    for _ in range(3):
        with pytest.raises(crepe.WeightsError, match="cannot be reached"):
            crepe.weights_path("tiny")
    assert len(asked) == 1
    crepe.UNREACHED["model-tiny.h5.bz2"] -= crepe.RETRY  # minutes later
    with pytest.raises(crepe.WeightsError):
        crepe.weights_path("tiny")
    assert len(asked) == 2


def test_the_published_file_has_the_checksum_we_ask_for(published):
    assert crepe._git_blob(published.read_bytes()) == crepe.BLOBS["tiny"]


def test_without_weights_the_error_says_where_to_put_them_and_pyin_steps_in(no_weights):
    audio, true = sweep(220, 220.001, seconds=0.4)
    with pytest.raises(crepe.WeightsError, match="CREPE_WEIGHTS") as error:
        tracking.track_pitch(audio, RATE)
    assert "\n" not in str(error.value)
    found = tracking.track_pitch_or_fall_back(audio, RATE)
    assert found.method == "pyin"
    assert tracking.raw_pitch_accuracy(true[20:80], found.f0[20:80]) == 1


# --- bad input and real voices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", tracking.METHODS)
def test_silence_has_no_pitch(method, request):
    if method == "crepe":
        request.getfixturevalue("published")
    found = tracking.track_pitch(np.zeros(6400, np.float32), RATE, method)
    assert (found.f0 == 0).all() and (found.confidence == 0).all() and not found.voiced.any()


def test_sounds_that_cannot_be_tracked_are_named():
    good = np.ones(RATE, np.float32)
    with pytest.raises(ValueError, match="audio: expected at least one frame .* got 0 samples"):
        tracking.track_pitch(good[:0], RATE)
    with pytest.raises(ValueError, match=r"audio: expected shape \(samples,\), got \(2, 8000\)"):
        tracking.track_pitch(good.reshape(2, -1), RATE)
    with pytest.raises(ValueError, match="got 1 that are NaN"):
        tracking.track_pitch(np.append(good, np.nan), RATE)
    with pytest.raises(ValueError, match="method: expected one of crepe, pyin, yin, autocorrelation, got 'ear'"):
        tracking.track_pitch(good, RATE, "ear")
    with pytest.raises(ValueError, match="every: expected a whole number from 1, got 0"):
        tracking.track_pitch(good, RATE, "yin", every=0)
    with pytest.raises(ValueError, match="fmin, fmax: expected 0 < fmin < fmax, got 100 and 50 Hz"):
        tracking.track_pitch(good, RATE, "pyin", fmin=100, fmax=50)


def test_a_real_voice_is_followed(shared, published):
    start, seconds = 5.0, 4.0
    audio, rate = load(shared / "mono" / "vocadito_1.wav", mono=True)
    audio = audio[int(start * rate) : int((start + seconds) * rate)]
    annotated = np.loadtxt(shared / "mono" / "vocadito_1_f0.csv", delimiter=",")
    found = tracking.track_pitch(audio, rate, "crepe")
    nearest = np.abs(annotated[:, 0][None] - (start + found.times)[:, None]).argmin(axis=1)
    assert tracking.raw_pitch_accuracy(annotated[nearest, 1], found.f0) >= 0.95
