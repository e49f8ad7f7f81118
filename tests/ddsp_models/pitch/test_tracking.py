"""Pitch tracking: alignment, the steps of YIN, scores, broken sounds and a real voice."""

import librosa
import numpy as np
import pytest

from audio_processing.audio_processing import load
from ddsp_models.loudness import loudness
from ddsp_models.pitch import crepe, tracking
from tests.helpers import refused

RATE = 16000


def sweep(start, stop, seconds=1.0, harmonics=6):
    """A tone that glides exponentially, and its frequency at k / 250 s."""
    t = np.arange(int(seconds * RATE)) / RATE
    rate = np.log(stop / start) / seconds
    phase = 2 * np.pi * start * np.expm1(rate * t) / rate
    audio = sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))
    return (0.1 * audio).astype(np.float32), start * np.exp(rate * np.arange(int(seconds * 250)) / 250)


# --- alignment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [0, 7, 49])
def test_a_click_lies_in_the_middle_of_its_frame_for_pitch_and_loudness_alike(frame):
    audio = np.zeros(50 * 64, np.float32)
    audio[frame * 64] = 1
    cut, level = crepe.frames(audio, 64)
    assert cut.shape == (50, 1024) and cut[frame].argmax() == 512
    assert np.asarray(loudness(audio)).argmax() == frame


@pytest.fixture(params=tracking.METHODS)
def method(request):
    """Every tracker; CREPE where its weights are."""
    if request.param == "crepe":
        request.getfixturevalue("published")
    return request.param


def test_a_sweep_is_followed_without_delay(method):
    """The delay is half of what lies between the estimates of a sweep up and the same sweep down."""
    errors = []
    for start, stop in ((220, 440), (440, 220)):
        audio, true = sweep(start, stop)
        found = tracking.track_pitch(audio, RATE, method, fmin=200)  # no octaves below: only delay is asked for
        assert len(found.f0) == len(true) == 250
        np.testing.assert_allclose(found.times, np.arange(250) / 250)
        middle = slice(40, 210)
        assert found.voiced[middle].all()
        errors.append(np.median(1200 * np.log2(found.f0[middle] / true[middle])))
    delay = (errors[1] - errors[0]) / 2 / 1200  # the sweep moves by 1,200 cents/s
    assert abs(delay) < 0.002  # half a frame


@pytest.mark.parametrize("samples, rate", [(RATE + 37, RATE), (44100 + 11, 44100)])
def test_there_are_as_many_frames_as_lie_within_the_sound(samples, rate, monkeypatch):
    def as_many_as_hops(audio, hop, *_):
        return *np.ones((2, len(audio) // hop)), np.ones(len(audio) // hop, bool)

    monkeypatch.setitem(tracking.TRACKERS, "pyin", as_many_as_hops)
    assert len(tracking.track_pitch(np.ones(samples, np.float32), rate, "pyin").f0) == samples * 250 // rate


# --- autocorrelation and YIN -----------------------------------------------------------------------------------------


def test_sums_over_pairs_follow_their_definition():
    x, window, hop = np.random.default_rng(0).standard_normal(900), 100, 50
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
    refused(r"voiced: expected .* got \(2,\)", tracking.voicing_rates, reference, np.ones(2, bool))


def test_raw_pitch_accuracy_counts_voiced_frames_only():
    reference = np.array([100.0, 100.0, 0.0, 100.0, 100.0])
    assert tracking.raw_pitch_accuracy(reference, np.array([101.0, 0.0, 50.0, 200.0, 98.0])) == 0.5
    assert np.isnan(tracking.raw_pitch_accuracy(np.zeros(3), np.ones(3)))


def test_without_weights_the_error_says_where_to_put_them_and_pyin_steps_in(no_weights):
    audio, true = sweep(220, 220.001, seconds=0.4)
    assert "\n" not in refused("CREPE_WEIGHTS", tracking.track_pitch, audio, RATE, error=crepe.WeightsError)
    found = tracking.track_pitch_or_fall_back(audio, RATE)
    assert found.method == "pyin"
    assert tracking.raw_pitch_accuracy(true[20:80], found.f0[20:80]) == 1


# --- bad input and real voices ---------------------------------------------------------------------------------------


def test_silence_has_no_pitch(method):
    found = tracking.track_pitch(np.zeros(6400, np.float32), RATE, method)
    assert (found.f0 == 0).all() and (found.confidence == 0).all() and not found.voiced.any()


def test_sounds_that_cannot_be_tracked_are_named():
    good = np.ones(RATE, np.float32)
    refused("audio: expected at least one frame .* got 0 samples", tracking.track_pitch, good[:0], RATE)
    refused(r"audio: expected shape \(samples,\), got \(2, 8000\)", tracking.track_pitch, good.reshape(2, -1), RATE)
    refused("got 1 that are NaN", tracking.track_pitch, np.append(good, np.nan), RATE)
    refused(
        "method: expected one of crepe, pyin, yin, autocorrelation, got 'ear'", tracking.track_pitch, good, RATE, "ear"
    )
    refused("every: expected a whole number from 1, got 0", tracking.track_pitch, good, RATE, "yin", every=0)
    refused(
        "fmin, fmax: expected 0 < fmin < fmax, got 100 and 50 Hz",
        tracking.track_pitch,
        good,
        RATE,
        "pyin",
        fmin=100,
        fmax=50,
    )


def test_a_real_voice_is_followed(shared, published):
    start, seconds = 5.0, 4.0
    audio, rate = load(shared / "mono" / "vocadito_1.wav", mono=True)
    audio = audio[int(start * rate) : int((start + seconds) * rate)]
    annotated = np.loadtxt(shared / "mono" / "vocadito_1_f0.csv", delimiter=",")
    found = tracking.track_pitch(audio, rate, "crepe")
    nearest = np.abs(annotated[:, 0][None] - (start + found.times)[:, None]).argmin(axis=1)
    assert tracking.raw_pitch_accuracy(annotated[nearest, 1], found.f0) >= 0.95
