"""Nearest-neighbour prediction of spectra: right where pitch and loudness determine them, wrong where they do not."""

import numpy as np
import pytest

from virtual_band import timbre

RATE = 44100


def tone(f0, level, bright, seconds=1.0):
    """Ten harmonics that fall off as k ** -bright; f0 and audio."""
    t = np.arange(int(seconds * RATE)) / RATE
    audio = level * sum(k**-bright * np.sin(2 * np.pi * k * f0 * t) for k in range(1, 11))
    return audio, np.full(t.size, f0)


def song(bright, pitches=(100, 150, 220)):
    return {"vocals": tuple(map(np.concatenate, zip(*(timbre.moments(*tone(f, 0.1, bright), RATE) for f in pitches))))}


def test_a_moment_has_its_pitch_its_level_and_its_spectrum():
    features, spectra = timbre.moments(*tone(220.0, 0.1, 1.0), RATE)
    assert features.shape[1] == 2 and spectra.shape == (len(features), timbre.BANDS)
    assert features[:, 0] == pytest.approx(12 * np.log2(220.0))
    louder, _ = timbre.moments(*tone(220.0, 0.2, 1.0), RATE)
    assert np.median(louder[:, 1] - features[:, 1]) == pytest.approx(
        20 * np.log10(2) * timbre.SEMITONES_PER_DB, abs=0.01
    )


def test_unvoiced_moments_do_not_count():
    audio, f0 = tone(220.0, 0.1, 1.0)
    f0[: RATE // 2] = 0
    assert len(timbre.moments(audio, f0, RATE)[0]) == pytest.approx(25, abs=1)


def test_what_was_heard_is_no_surprise_and_another_timbre_is_one():
    dull, bright = song(2.0, [220]), song(0.5, [220])
    assert timbre.surprise([dull], [dull], "vocals", neighbours=1) == pytest.approx(0, abs=1e-4)
    moments = len(dull["vocals"][0])
    own, stranger = (timbre.surprise([training], [dull], "vocals", neighbours=moments) for training in (dull, bright))
    both = timbre.surprise([dull, bright], [dull], "vocals", neighbours=2 * moments)
    assert own + 3 < both < stranger - 3


def test_the_singer_who_was_heard_is_expected_best():
    own, others = [timbre.hear(3, n, 6.0) for n in range(3)], [timbre.hear(100 + n, n, 6.0) for n in range(3)]
    asked = [timbre.hear(3, 2_000_000, 6.0)]
    for source in ("vocals", "bass"):
        assert timbre.surprise(own, asked, source) < timbre.surprise(others, asked, source)


@pytest.mark.parametrize("training, test, words", [
    ([], [song(1.0)], "training: expected 16 or more moments of vocals, got 0"),
    ([song(1.0)], [], "test: expected 1 or more moments of vocals, got 0"),
])  # fmt: skip
def test_bad_input_is_named(training, test, words):
    with pytest.raises(ValueError, match=words):
        timbre.surprise(training, test, "vocals")
