"""Chunks of a song: what is cut comes back whole, in bounded memory, and every separator uses the same loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing import chunks
from audio_processing.chunks import array_reader, crossfade, cut, cut_with_context, even_chunk
from tests.helpers import Halves, noise, refused


def by_chunks(read, process, chunk, overlap):
    return crossfade(((process(piece), part) for piece, part in cut(read, chunk, overlap)), overlap)


def run(audio, process, chunk, overlap):
    blocks = list(by_chunks(array_reader(audio), process, chunk, overlap))
    return np.concatenate(blocks, axis=-1) if blocks else None


@given(samples=st.integers(1, 400), chunk=st.integers(2, 100), share=st.floats(0.02, 0.5))
def test_any_length_comes_back_unchanged_from_a_process_that_changes_nothing(samples, chunk, share):
    overlap = max(1, min(chunk // 2, round(share * chunk)))
    audio, shapes = noise(2, samples), []

    def identity(piece):
        shapes.append(piece.shape)
        return piece.copy()[None]

    result = run(audio, identity, chunk, overlap)
    assert result.shape == (1, 2, samples)
    np.testing.assert_allclose(result[0], audio, atol=1e-6)
    assert set(shapes) == {(2, chunk)}  # every chunk is full


def test_chunks_fade_into_each_other():
    calls = iter(range(100))
    result = run(np.ones((1, 1000), np.float32), lambda piece: piece * next(calls), 100, 50)
    assert np.abs(np.diff(result[0])).max() < 0.05  # a step of 1 between chunks, spread over 50 samples


def test_memory_does_not_grow_with_the_stream():
    """The reader is asked for one chunk and then one hop at a time, each only when the block before was taken."""
    requests = []

    def read(samples):
        requests.append(samples)
        return np.zeros((1, samples), np.float32)

    blocks = by_chunks(read, lambda piece: piece.copy(), 1000, 100)
    for _ in range(50):
        assert next(blocks).shape[-1] <= 1000
    assert set(requests) == {1000, 900} and len(requests) <= 52


def test_an_empty_stream_gives_nothing_and_a_bad_overlap_an_error():
    assert run(np.zeros((2, 0)), lambda piece: piece, 10, 5) is None
    refused("overlap: expected 1 to chunk / 2 = 5 samples, got 6", run, np.zeros((1, 100)), np.copy, 10, 6)


@given(samples=st.integers(0, 300), chunk=st.integers(1, 90), reach=st.integers(0, 50), more=st.integers(0, 9))
def test_with_enough_context_chunks_give_what_the_whole_gives(samples, chunk, reach, more):
    audio, lengths = noise(2, samples), []

    def mean(piece):
        """Over `reach` samples to either side; nothing lies beyond the ends."""
        lengths.append(piece.shape[-1])
        sums = np.cumsum(np.pad(piece.astype(float), ((0, 0), (reach + 1, reach))), axis=-1)
        return sums[:, 2 * reach + 1 :] - sums[:, : -2 * reach - 1]

    pieces = cut_with_context(array_reader(audio), chunk, reach + more)
    blocks = [np.zeros((2, 0)), *crossfade(((mean(piece), part) for piece, part in pieces), 0)]
    assert not lengths or max(lengths) <= chunk + 2 * (reach + more)
    np.testing.assert_allclose(np.concatenate(blocks, axis=-1), mean(audio), atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(samples=st.integers(1, 5000), chunk=st.integers(4, 900), share=st.floats(0.01, 0.5))
def test_even_chunks_are_no_more_and_cover_no_more_than_needed(samples, chunk, share):
    overlap = max(1, int(share * chunk))
    even, fade = even_chunk(samples, chunk, overlap)
    assert 2 <= even <= chunk and 1 <= fade <= even // 2
    lengths = []

    def process(piece):
        lengths.append(piece.shape[-1])
        return piece.copy()

    x = np.arange(samples, dtype=np.float32)[None]
    np.testing.assert_allclose(run(x, process, even, fade), x, rtol=1e-5)
    if fade == overlap and even < samples:
        count = int(np.ceil((samples - overlap) / (chunk - overlap)))
        assert len(lengths) <= count and sum(lengths) - (len(lengths) - 1) * overlap < samples + len(lengths)


@pytest.mark.parametrize("even", [True, False])
def test_an_hour_is_separated_chunk_by_chunk(even):
    class Thirds(Halves):
        sample_rate, chunk_seconds, lengths = 500, 8.0, []

        def separate_chunk(self, chunk, sample_rate):
            self.lengths.append(chunk.shape[-1])
            return super().separate_chunk(chunk, sample_rate)

    separator = Thirds()
    separator.even = even
    mixture = noise(3700 * 500)
    np.testing.assert_allclose(separator.separate(mixture)["third"], mixture / 3, atol=1e-5)
    assert max(separator.lengths) <= 8 * 500 and len(separator.lengths) == 617
    assert even or set(separator.lengths) == {8 * 500}


@pytest.mark.parametrize("bad, words", [
    (np.zeros(0), r"mixture: expected .*got \(0,\)"), (np.zeros((2, 0)), r"mixture: .*got \(2, 0\)"),
    (np.float32(1), r"mixture: .*got \(\)"), (np.zeros((1, 2, 3)), r"mixture: .*got \(1, 2, 3\)"),
])  # fmt: skip
def test_shapes_that_are_no_mixture_are_named(bad, words):
    refused(words, Halves().separate, bad)
    refused("sample_rate: expected a positive number of Hz, got 0", Halves().separate, np.ones(9), 0)


def test_samples_that_are_no_numbers_or_beyond_all_measure_count_as_silence():
    mixture = np.array([0.6, np.nan, np.inf, -np.inf, 2e10, -0.6])
    np.testing.assert_allclose(Halves().separate(mixture)["half"], [0.3, 0, 0, 0, 0, -0.3])


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_principal_axes_are_orthogonal_and_have_nothing_in_common(channels):
    x = np.random.default_rng(channels).standard_normal((channels, channels)) @ noise(channels, 3000)
    signals, axes = chunks.principal_axes(x.astype(np.float32))
    np.testing.assert_allclose(axes.T @ axes, np.eye(channels), atol=1e-6)
    np.testing.assert_allclose(axes @ signals, x, atol=1e-4)
    products = signals @ signals.T
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-3 * products[0, 0]
    assert (np.diff(np.diag(products)) <= 0).all()  # the loudest first


def test_axes_of_silence_and_of_extremes_are_finite():
    for x in (np.zeros((2, 100)), np.full((2, 100), 1e9), np.full((2, 100), 1e-30), np.eye(2, 100)):
        signals, axes = chunks.principal_axes(x.astype(np.float32))
        assert np.isfinite(signals).all() and np.isfinite(axes).all()


def test_what_is_not_channels_first_is_said():
    for shape in ((352_800, 2), (65, 3)):
        refused(
            r"channels first, \(channels, samples\) with at most 64", chunks.checked_mixture, np.zeros(shape), 16000
        )
    assert "transpose" in refused("channels", chunks.checked_mixture, np.zeros((352_800, 2)), 16000)
