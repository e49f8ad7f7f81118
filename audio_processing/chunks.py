"""Songs of any length through a process that takes a window at a time, in memory that does not grow with the song."""

import math

import numpy as np

from audio_processing.audio_processing import fix_length


def by_windows(read, process, *, window, overlap):
    """Apply `process` to overlapping windows of a stream and crossfade its results.

    The last window ends with the stream (it overlaps more) rather than being filled with zeros, so that a process whose
    statistics span the window always sees music. Only a stream shorter than one window is padded.

    Parameters
    ----------
    read : callable, int → np.ndarray, (channels, at most that many samples)
        gives the next samples of the stream; none at its end.
    process : callable, np.ndarray (channels, window) → np.ndarray (..., window)
        what to do with a window.
    window, overlap : int
        in samples; 1 ≤ overlap ≤ window / 2. Over `overlap` samples one window fades into the next, linearly.

    Yields
    ------
    np.ndarray, (..., samples)
        consecutive blocks of the result; together exactly as long as the stream.
    """
    if not 1 <= overlap <= window // 2:
        raise ValueError(f"overlap: between 1 and window / 2 = {window // 2} samples expected, got {overlap}")
    current = read(window)
    length = current.shape[-1]
    if length < window:
        if length:
            yield process(fix_length(current, window))[..., :length]
        return
    rise = ((np.arange(overlap) + 0.5) / overlap).astype(np.float32)
    fresh, tail = window, None  # samples of the window not given out yet; the end of the window before
    while True:
        result = process(current)[..., window - fresh :]
        if tail is not None:
            result[..., :overlap] = rise * result[..., :overlap] + (1 - rise) * tail
        following = read(window - overlap)
        if following.shape[-1] == 0:
            yield result
            return
        yield result[..., :-overlap]
        tail = result[..., -overlap:].copy()
        fresh = overlap + following.shape[-1]
        current = np.concatenate([current, following], axis=-1)[..., -window:]


def array_reader(audio):
    """A `read` for `by_windows` over an array (..., samples)."""
    position = 0

    def read(samples):
        nonlocal position
        block = audio[..., position : position + samples]
        position += block.shape[-1]
        return block

    return read


def even_window(samples, window, overlap):
    """The shortest window of which a stream needs no more than of `window`: then its last one overlaps no more either.

    Parameters
    ----------
    samples : int
        length of the stream.
    window, overlap : int
        in samples, as `by_windows` wants them.

    Returns
    -------
    window, overlap : int
        in samples; a stream shorter than a window is one of its own.
    """
    count = max(1, math.ceil((samples - overlap) / (window - overlap)))
    window = max(2, min(window, math.ceil((samples - overlap) / count) + overlap))
    return window, max(1, min(overlap, window // 2))
