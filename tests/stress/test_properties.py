"""What separators promise: stress/properties.py says how each promise is measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import results
from common.places import Places
from separate import SEPARATORS, separator
from stress import properties

EXAMPLES = settings(max_examples=4, deadline=None, derandomize=True, database=None)
RATES = st.sampled_from([8000, 16000, 22050])
MEASURED = ("hps", "numpy_cnn", pytest.param("conv_tasnet", marks=pytest.mark.slow))
"""Separators that take little time; `python -m stress.reliability properties` measures all of SEPARATORS."""


def ready(name):
    """The name of a separator; skips without its weights."""
    if name not in properties.available():
        pytest.skip(f"the weights of {name} are not here")
    separator(name)
    return name


@pytest.fixture(params=MEASURED, scope="module")  # one after the other: weights are loaded once
def model(request):
    return ready(request.param)


@EXAMPLES
@given(samples=st.integers(1, 9000), channels=st.integers(1, 3), rate=RATES, seed=st.integers(0, 99))
def test_length_in_is_length_out(model, samples, channels, rate, seed):
    assert properties.length_error(model, properties.song(samples, channels, rate, seed), rate) == 0


@EXAMPLES
@given(decibels=st.floats(-60, 60), seed=st.integers(0, 99))
def test_gain_in_is_gain_out(model, decibels, seed):
    gain = np.float32(10 ** (decibels / 20))
    assert properties.gain_error(model, properties.song(8000, 1, 16000, seed), 16000, gain) < properties.GAIN_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("gain", [-6, 6])
def test_resynthesised_stems_follow_the_level(gain):
    """Decoders give a louder song another timbre; its level is that of the song."""
    name, error, _, limit, _ = properties.gain_promise(ready("ddsp_resynthesis"))
    assert name == "level in = level out"
    assert error("ddsp_resynthesis", properties.song(16000), 16000, np.float32(10 ** (gain / 20))) < limit


@EXAMPLES
@given(samples=st.integers(1, 9000), channels=st.integers(1, 2), rate=RATES)
def test_silence_gives_silence(model, samples, channels, rate):
    assert properties.loudest_of_silence(model, channels, samples, rate) == 0


def test_a_silent_channel_stays_silent_and_an_image_turns_with_its_song(model):
    assert [properties.ghosts(model, silent) for silent in range(3)] == [0, 0, 0]
    assert max(properties.turn_error(model, turn) for turn in properties.TURNS) < properties.GAIN_LIMIT


def test_stems_and_residual_add_up_and_files_are_separated_as_arrays_are(model):
    sum_error, chunk_error = properties.file_errors(model, properties.longer_than_a_chunk(model), 8000)
    assert sum_error < properties.SUM_LIMIT and chunk_error < properties.CHUNK_LIMIT


def test_the_order_of_songs_does_not_matter(model):
    songs = [properties.song(n, 1, 16000, n) for n in (4000, 9000, 100)]
    assert properties.order_error(model, songs, 16000) == 0


@pytest.mark.parametrize("test_set, name", properties.compared())
def test_oracle_above_model_above_mixture_on_every_song_and_stem(test_set, name):
    """Of the committed scores: a missing or damaged file fails, too."""
    above, below = properties.margins(test_set, name)
    assert len(above) >= 8 and min(above) > 0 and min(below, default=1) > 0
    assert len(below) == (len(above) if SEPARATORS[name].kind == "mask" else 0)


def test_scores_below_the_mixture_or_damaged_are_found(tmp_path):
    places = Places(tmp_path)
    for system, value in (("mixture", 1.0), ("hps", 0.5), ("psm", 0.25)):
        record = {"track": "a", "source": "drums", "metric": "si_sdr", "value": value}
        path = results.score_path("same_artist", system, places)
        results.write(path, results.head(system) | {"records": [record]})
    assert properties.margins("same_artist", "hps", places) == ([-0.5], [-0.25])
    path.write_text(path.read_text().replace("0.25", "9.25"))
    with pytest.raises(results.ResultsError, match="checksum"):
        properties.margins("same_artist", "hps", places)
