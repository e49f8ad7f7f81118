"""Sounds of any length in the memory of one block: harmonics, filtered noise and reverb, block by block.

Controls come in as blocks of frames and sound goes out as blocks of samples. Each block carries over what the next one
needs: the phase, as the integer that `oscillators.turns` counts in, and the tails of filters and reverb. Joined, the
blocks are what the synthesisers make of the whole. This is for listening, not for training: no gradient flows from
block to block.
"""

import itertools

import numpy as np
from keras import ops
from scipy.signal import oaconvolve

from common.checks import expect
from ddsp_models.filters import fir_filter
from ddsp_models.framing import HOP_LENGTH, SAMPLE_RATE
from ddsp_models.oscillators import audible_f0, frames_to_sound, turns

HARMONICS, NOISE = {"f0", "amplitudes"}, {"magnitudes"}  # controls of a block's parts


def stream(blocks, *, room=None, seed=0, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE):
    """Synthesise controls as they come.

    Parameters
    ----------
    blocks : iterable of dict of str -> np.ndarray
        "f0" (batch, frames, 1) in Hz and "amplitudes" (batch, frames, n_harmonics), or "magnitudes" (batch, frames,
        bands) of the noise, or all three: as for `synthesisers.harmonic_oscillator` and `synthesisers.fir_filter`. The
        same keys in every block, and any number of frames from 1.
    room : np.ndarray, (taps,), optional
        an impulse response that is added to the dry sound, its first tap ignored (see `synthesisers.Reverb`).
    seed : int
        of the noise. Its samples do not depend on how frames are cut into blocks.
    hop_length, sample_rate : int

    Yields
    ------
    np.ndarray, (batch, samples), float32
        frames · hop_length samples in all. With noise the sound comes out half a filter later than its frames go in.

    Raises
    ------
    ValueError
        if a block has other controls than these, or controls of unequal length.

    See Also
    --------
    synthesisers.harmonic_oscillator, synthesisers.fir_filter : the same, all at once and with gradients.

    Examples
    --------
    Four seconds of a tone in blocks of one:

    >>> block = {"f0": np.full((1, 250, 1), 220.0), "amplitudes": np.full((1, 250, 4), 0.1)}
    >>> [sound.shape for sound in stream([block] * 4)]
    [(1, 16000), (1, 16000), (1, 16000), (1, 16000)]
    """
    dry = _dry(blocks, np.random.default_rng(seed), hop_length, sample_rate)
    yield from dry if room is None else _reverberant(dry, np.array(room, np.float32))


def _dry(blocks, rng, hop_length, sample_rate):
    """The sound of the blocks without reverb, each as soon as the next block is there."""
    turned, tail, reach, skip = 0, None, 0, 0
    for block, following in itertools.pairwise(itertools.chain(map(_checked, blocks), [None])):
        first = next(iter(block.values()))
        batch, n = first.shape[0], first.shape[1] * hop_length
        if tail is None:
            bands = block["magnitudes"].shape[-1] if "magnitudes" in block else 1
            reach = -(-(bands - 1) // hop_length) * hop_length  # samples that a filter reaches to either side
            tail, skip = np.zeros((batch, 2 * reach), np.float32), reach
        wide = np.zeros((batch, n + 2 * reach), np.float32)  # from `reach` before the block to `reach` behind it
        wide[:, : 2 * reach] = tail
        if "magnitudes" in block:
            noise = rng.uniform(-1.0, 1.0, (n, batch)).T.astype(np.float32)
            wide += _filtered(noise, block["magnitudes"], reach, hop_length)
        if "f0" in block:
            sound, turned = _harmonics(block, following, turned, hop_length, sample_rate)
            wide[:, reach : reach + n] += sound
        done, tail = wide[:, :n], wide[:, n:]
        if n > skip:
            yield done[:, skip:]
        skip = max(0, skip - n)
    if tail is not None and reach > skip:
        yield tail[:, skip:reach]


def _checked(block):
    """A block as float32 arrays, if its controls fit each other."""
    frames = {key: np.shape(value)[1] for key, value in block.items()}
    expect(
        set(frames) in (HARMONICS, NOISE, HARMONICS | NOISE) and len({*frames.values(), 0}) == 2,
        "blocks",
        "equally many frames of f0 and amplitudes, of magnitudes, or of all three",
        f"frames {frames}",
    )
    return {key: np.asarray(value, np.float32) for key, value in block.items()}


def _filtered(noise, magnitudes, reach, hop_length):
    """Noise through its filters, `reach` samples longer on both sides: nothing is cut off."""
    frames = reach // hop_length
    magnitudes = np.pad(magnitudes, ((0, 0), (frames, frames), (0, 0)))
    return ops.convert_to_numpy(fir_filter(np.pad(noise, ((0, 0), (reach, reach))), magnitudes, hop_length))


def _harmonics(block, following, turned, hop_length, sample_rate):
    """A block of the harmonic oscillator, and the phase behind it.

    Parameters
    ----------
    block, following : dict of str -> np.ndarray
        controls, and those of the next block, to whose first frame the last frame of this one leads; it is held if
        there is none.
    turned : int or np.ndarray, (batch, 1, 1)
        phase before the block, in steps of `oscillators.turns`.
    """
    f0, amplitudes = (
        np.concatenate([block[key], following[key][:, :1] if following else block[key][:, -1:]], axis=1)
        for key in ("f0", "amplitudes")
    )
    f0 = audible_f0(ops.convert_to_tensor(f0), sample_rate)
    now, after = f0[:, :-1], f0[:, 1:]
    steps, cycle = turns(now, after, hop_length, sample_rate)
    steps = ops.convert_to_numpy(steps).astype(np.int64)
    count = np.cumsum(np.concatenate([np.broadcast_to(turned, steps[:, :1].shape), steps], axis=1), axis=1) % cycle
    phase = count[:, :-1].astype(np.float32) / np.float32(cycle)  # before each frame, in cycles
    amplitudes = map(ops.convert_to_tensor, (amplitudes[:, :-1], amplitudes[:, 1:]))
    sound = frames_to_sound(ops.convert_to_tensor(phase), now, after, *amplitudes, hop_length, sample_rate)
    return ops.convert_to_numpy(sound), count[:, -1:]


def _reverberant(dry, room):
    """Each block and the reverb of those before it; the reverb behind the last one is cut."""
    room[:1] = 0.0
    tail = np.zeros((1, len(room) - 1), np.float32)
    for block in dry:
        wet = oaconvolve(block, room[None], axes=1).astype(np.float32)
        wet[:, : len(room) - 1] += tail
        yield block + wet[:, : block.shape[1]]
        tail = wet[:, block.shape[1] :]
