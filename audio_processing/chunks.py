"""Chunked separation: a song of any length through a process that takes a chunk at a time, in memory that is bounded.

A chunk is a piece of a song; a window is that of an STFT. `cut` cuts a stream into chunks, `crossfade` joins the
results, and `Separator` is what every separator inherits: one loop for arrays and for files. Shown in
`mss_nn_implementation/convtas_report.ipynb`.
"""

import math
from abc import ABC, abstractmethod

import numpy as np

from audio_processing.audio_processing import fix_length
from audio_processing.sound_files import CHANNELS

# Samples beyond this count as silence, as infinite ones do. Files of 32-bit floats that were scaled like integers stay
# below; powers of what lies beyond leave the range of the numbers.
LOUDEST = 1e10

# A signal that is so much softer than its song is what rounding leaves of channels that are alike.
SILENT = 1e-6

CROSSFADE = 0.25  # share of a chunk that fades into the next, unless a separator says otherwise


# --- cutting and joining ---------------------------------------------------------------------------------------------


def array_reader(audio):
    """Read an array (..., samples) as a stream: a function that gives the next samples, none at the end."""
    position = 0

    def read(samples):
        nonlocal position
        block = audio[..., position : position + samples]
        position += block.shape[-1]
        return block

    return read


def cut(read, chunk, overlap):
    """Cut a stream into chunks of equal length that overlap.

    The last chunk ends with the stream (it overlaps more) rather than being filled with zeros, so that a process whose
    statistics span the chunk always gets music. Only a stream shorter than one chunk is padded.

    Parameters
    ----------
    read : callable, int -> np.ndarray, (channels, at most that many samples)
        gives the next samples of the stream; none at its end.
    chunk, overlap : int
        in samples; 1 ≤ overlap ≤ chunk / 2.

    Yields
    ------
    np.ndarray, (channels, chunk)
    part : slice
        the samples of the chunk that are new, and `overlap` of those that the chunk before had, too.
    """
    if not 1 <= overlap <= chunk // 2:
        raise ValueError(f"overlap: expected 1 to chunk / 2 = {chunk // 2} samples, got {overlap}")
    current = read(chunk)
    length = current.shape[-1]
    if 0 < length < chunk:
        yield fix_length(current, chunk), slice(0, length)
    elif length:
        yield current, slice(0, chunk)
        while (following := read(chunk - overlap)).shape[-1]:
            current = np.concatenate([current, following], axis=-1)[..., -chunk:]
            yield current, slice(chunk - overlap - following.shape[-1], chunk)


def cut_with_context(read, chunk, context):
    """Cut a stream into chunks that do not overlap, each with its surroundings.

    A process that reaches at most `context` samples to either side gives the same in chunks as in one piece.

    Parameters
    ----------
    read : callable
        as for `cut`.
    chunk, context : int
        in samples, at least 1 and 0.

    Yields
    ------
    np.ndarray, (channels, at most context + chunk + context)
        shorter at the beginning and the end of the stream.
    part : slice
        the chunk itself.
    """
    current, before = read(chunk + context), 0  # `before`: samples in front of the chunk
    while current.shape[-1] > before:
        yield current, slice(before, before + chunk)
        following = read(chunk)
        begin = max(0, before + chunk - context)
        current, before = np.concatenate([current[..., begin:], following], axis=-1), before + chunk - begin


def crossfade(results, overlap):
    """Join the results of chunks: over `overlap` samples one fades into the next, linearly.

    Parameters
    ----------
    results : iterable of (np.ndarray, slice)
        result (..., samples) of each chunk, which is written to, and the part of it to be used, as `cut` gives it.
    overlap : int
        in samples; 0 for chunks that do not overlap.

    Yields
    ------
    np.ndarray, (..., samples)
        consecutive blocks; together as long as the stream.
    """
    rise = ((np.arange(overlap) + 0.5) / overlap).astype(np.float32) if overlap else 0
    tail = None
    for result, part in results:
        result = result[..., part]
        if tail is not None:
            result[..., :overlap] = rise * result[..., :overlap] + (1 - rise) * tail
        final = max(0, result.shape[-1] - overlap)
        yield result[..., :final]
        tail = result[..., final:].copy()
    if tail is not None:
        yield tail


def even_chunk(samples, chunk, overlap):
    """Shrink the chunk as far as possible without needing more chunks, so that all overlap equally.

    Parameters
    ----------
    samples : int
        length of the stream.
    chunk, overlap : int
        in samples, as `cut` takes them.

    Returns
    -------
    chunk, overlap : int
        in samples; a stream shorter than a chunk is one of its own.
    """
    count = max(1, math.ceil((samples - overlap) / (chunk - overlap)))
    chunk = max(2, min(chunk, math.ceil((samples - overlap) / count) + overlap))
    return chunk, max(1, min(overlap, chunk // 2))


# --- separators ------------------------------------------------------------------------------------------------------


def usable(audio):
    """Which samples are finite and not beyond `LOUDEST`; the others count as silence."""
    return np.abs(audio) <= LOUDEST  # False for NaN, too


def checked_mixture(mixture, sample_rate):
    """A mixture as float32, with silence where its samples are not `usable`.

    Raises
    ------
    ValueError
        for an empty mixture, one of no or more than two axes or more than 64 channels, or a sample rate that is not
        positive.
    """
    mixture = np.asarray(mixture, np.float32)
    if mixture.ndim not in (1, 2) or mixture.size == 0:
        raise ValueError(f"mixture: expected shape (samples,) or (channels, samples), got {mixture.shape}")
    if mixture.ndim == 2 and len(mixture) > CHANNELS:
        advice = "; its transpose would fit" if mixture.shape[1] <= CHANNELS else ""
        raise ValueError(
            f"mixture: expected channels first, (channels, samples) with at most {CHANNELS} channels, "
            f"got {mixture.shape}{advice}"
        )
    if not sample_rate > 0:
        raise ValueError(f"sample_rate: expected a positive number of Hz, got {sample_rate}")
    return np.where(usable(mixture), mixture, np.float32(0))


class Separator(ABC):
    """Separate any song, a chunk at a time: what all separators share.

    A child has `sources`, `sample_rate` and `separate_chunk`; its `__init__` takes what is in memory, such as a network
    whose weights may still change, and its `load` reads the weights that come with the repository.

    Attributes
    ----------
    sources : tuple of str
    sample_rate : int
        the rate in Hz that is assumed if none is given.
    chunk_seconds, overlap_seconds : float
        length of a chunk, and over how much of it the result fades into the next one's.
    even : bool
        whether chunks may be of any length: then those of a song are made equally long (`even_chunk`). Otherwise all
        are `chunk_seconds` long, and a shorter song is padded.
    """

    sources = ()
    sample_rate = 44100
    chunk_seconds = 30.0
    even = True

    @classmethod
    def load(cls):
        """A separator with the weights that come with the repository, if it has any."""
        return cls()

    @property
    def overlap_seconds(self):
        """Seconds over which one chunk fades into the next."""
        return CROSSFADE * self.chunk_seconds

    @abstractmethod
    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples), float32."""

    def chunks(self, read, sample_rate, samples):
        """Cut a stream as this separator takes it: chunks as `cut` yields them, and their overlap in samples."""
        chunk = max(2, round(self.chunk_seconds * sample_rate))
        overlap = max(1, round(self.overlap_seconds * sample_rate))
        if self.even:
            chunk, overlap = even_chunk(samples, chunk, overlap)
        return cut(read, chunk, overlap), overlap

    def stream(self, read, sample_rate, samples):
        """Separate a stream, in memory that does not grow with its length.

        Parameters
        ----------
        read : callable, int -> np.ndarray, (channels, at most that many samples)
            gives the next samples, all of them `usable`; none at the end.
        sample_rate : int
            in Hz.
        samples : int
            how long the stream will be.

        Yields
        ------
        np.ndarray, (sources, channels, samples)
            consecutive blocks of the stems.
        """
        chunks, overlap = self.chunks(read, sample_rate, samples)
        return crossfade(((self.separate_chunk(chunk, sample_rate), part) for chunk, part in chunks), overlap)

    def separate(self, mixture, sample_rate=None):
        """Separate a song that is in memory.

        Parameters
        ----------
        mixture : np.ndarray, (samples,) or (channels, samples)
            full scale is [-1, 1]; samples that are not finite, or beyond `LOUDEST`, count as silence.
        sample_rate : int, optional
            in Hz; `self.sample_rate` if None.

        Returns
        -------
        dict of str to np.ndarray, float32
            a stem per source, shaped like `mixture`.

        Raises
        ------
        ValueError
            for an empty mixture, one of no or more than two axes or more than 64 channels, or a sample rate that is
            not positive.
        """
        sample_rate = self.sample_rate if sample_rate is None else sample_rate
        mixture = checked_mixture(mixture, sample_rate)
        blocks = self.stream(array_reader(np.atleast_2d(mixture)), sample_rate, mixture.shape[-1])
        stems = np.concatenate(list(blocks), axis=-1).reshape(len(self.sources), *mixture.shape)
        return dict(zip(self.sources, stems))


def principal_axes(channels):
    r"""Turn channels into signals that have nothing in common on average: the loudest first, the others ever softer.

    For two channels these are a mid and a side, but along the direction in which the music lies: of a song that is
    panned, inverted on one side or silent on one side they are the same signals as before. The turn is orthogonal, so
    `axes @ signals` gives the channels back.

    .. math:: x x^T = A \Lambda A^T, \qquad s = A^T x

    Parameters
    ----------
    channels : np.ndarray, (channels, samples)

    Returns
    -------
    signals : np.ndarray, float32, (channels, samples)
    axes : np.ndarray, float32, (channels, channels)
        a column for each signal; its largest entry is positive.
    """
    scale = np.abs(channels).max()
    scaled = channels / (scale if scale > 0 else 1)
    _, axes = np.linalg.eigh((scaled @ scaled.T).astype(np.float64))
    axes = axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    axes = (axes * np.sign(np.take_along_axis(axes, largest[None], axis=0))).astype(np.float32)
    return axes.T @ channels, axes


class MonoSeparator(Separator):
    """A separator whose process hears one channel: the others reach it along the `principal_axes` of each chunk.

    Every axis is separated by itself and turned back. So what is inverted on one side, or panned, is heard as well as
    what is in the middle, and a silent channel stays silent. A child has `separate_mono` in place of `separate_chunk`.
    """

    @abstractmethod
    def separate_mono(self, signal, sample_rate):
        """Separate a chunk of one channel: (samples,) -> (sources, samples), float32."""

    def separate_each(self, signals, sample_rate):
        """Separate chunks of one channel: (signals, samples) -> (sources, signals, samples)."""
        return np.stack([self.separate_mono(signal, sample_rate) for signal in signals], axis=1)

    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples)."""
        if len(chunk) == 1:
            return self.separate_each(chunk, sample_rate)
        signals, axes = principal_axes(chunk)
        heard = np.abs(signals).max(axis=1) > SILENT * np.abs(chunk).max()
        if not heard.any():
            return np.zeros((len(self.sources), *chunk.shape), np.float32)
        return axes[:, heard] @ self.separate_each(signals[heard], sample_rate)
