"""What separators promise: stress/properties.py says how each promise is measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import results
from separate import separator
from stress import properties

EXAMPLES = settings(max_examples=4, deadline=None, derandomize=True, database=None)
MEASURED = ("hps", "numpy_cnn", "conv_tasnet")
"""Separators whose limits are known; `python -m stress.reliability properties` measures all of SEPARATORS."""


@pytest.fixture(params=MEASURED, scope="module")  # one after the other: weights are loaded once
def model(request):
    try:
        separator(request.param)
    except (ValueError, OSError, ImportError) as error:
        pytest.skip(f"{request.param} is not here: {error}")
    return request.param


def test_length_in_is_length_out(model):
    @EXAMPLES
    @given(st.integers(1, 9000), st.integers(1, 3), st.sampled_from([8000, 16000, 22050]), st.integers(0, 99))
    def check(samples, channels, rate, seed):
        assert properties.length_error(model, properties.song(samples, channels, rate, seed), rate) == 0

    check()


def test_gain_in_is_gain_out(model):
    @EXAMPLES
    @given(st.floats(-60, 60), st.integers(0, 99))
    def check(decibels, seed):
        audio = properties.song(8000, 1, 16000, seed)
        assert properties.gain_error(model, audio, 16000, np.float32(10 ** (decibels / 20))) < properties.GAIN

    check()


@pytest.mark.slow
@pytest.mark.parametrize("gain", [-6, 6])
def test_what_is_played_anew_follows_the_level(gain):
    """Decoders play a louder song with another timbre; its level is that of the song."""
    try:
        separator("ddsp_resynthesis")
    except (ValueError, OSError, ImportError) as error:
        pytest.skip(f"ddsp_resynthesis is not here: {error}")
    audio = properties.song(16000)
    assert properties.level_error("ddsp_resynthesis", audio, 16000, np.float32(10 ** (gain / 20))) < properties.LEVEL


def test_silence_gives_silence(model):
    @EXAMPLES
    @given(st.integers(1, 9000), st.integers(1, 2), st.sampled_from([8000, 16000, 22050]))
    def check(samples, channels, rate):
        assert properties.loudest_of_silence(model, channels, samples, rate) == 0

    check()


def test_stems_and_residual_add_up_and_chunks_make_the_whole(model):
    """A song somewhat longer than what the command hands to the separator at once."""
    chosen = separator(model)
    seconds = 1.3 * getattr(chosen, "chunk_seconds", chosen.window_seconds)
    audio = properties.song(int(seconds * 8000), 1, 8000)
    sum_error, chunk_error = properties.file_errors(model, audio, 8000)
    assert sum_error < 1e-6
    assert chunk_error < properties.CHUNKED.get(model, properties.CHUNKED_OTHERS)


def test_the_order_of_songs_does_not_matter(model):
    songs = [properties.song(n, 1, 16000, n) for n in (4000, 9000, 100)]
    assert properties.order_error(model, songs, 16000) == 0


@pytest.mark.parametrize("model", [*properties.MASKS, *properties.UNBOUND])
@pytest.mark.parametrize("test_set", properties.SETS)
def test_oracle_above_model_above_mixture_on_every_song_and_stem(test_set, model):
    """The ceiling bounds what masks can do; `properties.UNBOUND` are compared with it where they know no better."""
    try:
        above, below = properties.margins(test_set, model)
    except results.ResultsError as error:
        pytest.skip(str(error))
    assert len(above) >= 8 and min(above) > 0
    assert min(below, default=1) > 0 and (len(below) == len(above) or model in properties.UNBOUND)
