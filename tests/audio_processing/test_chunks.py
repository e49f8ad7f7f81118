import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_processing.chunks import array_reader, by_windows


def run(audio, process, window, overlap):
    blocks = list(by_windows(array_reader(audio), process, window=window, overlap=overlap))
    return np.concatenate(blocks, axis=-1) if blocks else None


@given(samples=st.integers(1, 400), window=st.integers(2, 100), share=st.floats(0.02, 0.5))
def test_any_length_comes_back_unchanged_from_a_process_that_changes_nothing(samples, window, share):
    overlap = max(1, min(window // 2, round(share * window)))
    audio = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    seen = []

    def identity(block):
        seen.append(block.shape)
        return block.copy()[None]

    result = run(audio, identity, window, overlap)
    assert result.shape == (1, 2, samples)
    np.testing.assert_allclose(result[0], audio, atol=1e-6)
    assert set(seen) == {(2, window)}  # every window is full


def test_windows_fade_into_each_other():
    calls = iter(range(100))
    result = run(np.ones((1, 1000), np.float32), lambda block: block * next(calls), 100, 50)
    steps = np.abs(np.diff(result[0]))
    assert steps.max() < 0.05  # a step of 1 between windows, spread over 50 samples


def test_memory_does_not_grow_with_the_stream():
    """The reader is asked for one window and then one hop at a time, each only when the block before was taken."""
    asked = []

    def read(samples):
        asked.append(samples)
        return np.zeros((1, samples), np.float32)

    blocks = by_windows(read, lambda block: block.copy(), window=1000, overlap=100)
    for _ in range(50):
        assert next(blocks).shape[-1] <= 1000
    assert set(asked) == {1000, 900} and len(asked) <= 52


def test_an_empty_stream_gives_nothing_and_a_bad_overlap_an_error():
    assert run(np.zeros((2, 0)), lambda block: block, 10, 5) is None
    with pytest.raises(ValueError, match="overlap"):
        run(np.zeros((1, 100)), lambda block: block, 10, 6)
