"""Sounds of any length in the memory of one block: harmonics, filtered noise and a room, block after block.

Controls come in as blocks of frames and sound goes out as blocks of samples. What a block needs of those before it is
carried along: the phase, as the integer that `synthesisers.frame_phase` counts in, and the tails of filters and room.
Joined, the blocks are what the synthesisers make of the whole. This is for playing, not for training: no gradient
follows from block to block.
"""

import itertools
import math

import numpy as np
from keras import ops
from scipy.signal import oaconvolve

from ddsp_models import synthesisers as ds


def stream(blocks, *, room=None, seed=0, hop_length=ds.HOP_LENGTH, sample_rate=ds.SAMPLE_RATE):
    """Play controls as they come.

    Parameters
    ----------
    blocks : iterable of dict of np.ndarray
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
        where a block has other parts than these, or parts of unequal length.
    """
    dry = _dry(blocks, np.random.default_rng(seed), hop_length, sample_rate)
    yield from dry if room is None else _in_room(dry, np.array(room, np.float32))


def _dry(blocks, rng, hop_length, sample_rate):
    turned, late, reach, skip = 0, None, 0, 0
    for block, following in itertools.pairwise(itertools.chain(map(_checked, blocks), [None])):
        first = next(iter(block.values()))
        batch, n = first.shape[0], first.shape[1] * hop_length
        if late is None:
            bands = block["magnitudes"].shape[-1] if "magnitudes" in block else 1
            reach = -(-(bands - 1) // hop_length) * hop_length  # samples that a filter reaches to either side
            late, skip = np.zeros((batch, 2 * reach), np.float32), reach
        wide = np.zeros((batch, n + 2 * reach), np.float32)  # from `reach` before the block to `reach` behind it
        wide[:, : 2 * reach] = late
        if "magnitudes" in block:
            noise = rng.uniform(-1.0, 1.0, (n, batch)).T.astype(np.float32)
            wide += _filtered(noise, block["magnitudes"], reach, hop_length)
        if "f0" in block:
            sound, turned = _harmonics(block, following, turned, hop_length, sample_rate)
            wide[:, reach : reach + n] += sound
        done, late = wide[:, :n], wide[:, n:]
        if n > skip:
            yield done[:, skip:]
        skip = max(0, skip - n)
    if late is not None and reach > skip:
        yield late[:, skip:reach]


def _checked(block):
    """A block as float32 arrays, if its parts fit each other."""
    frames = {key: np.shape(value)[1] for key, value in block.items()}
    known = set(frames) in ({"f0", "amplitudes"}, {"magnitudes"}, {"f0", "amplitudes", "magnitudes"})
    if not known or len(set(frames.values())) > 1 or 0 in frames.values():
        raise ValueError(f"blocks: frames {frames} found, equally many of f0 and amplitudes, of magnitudes, or of all")
    return {key: np.asarray(value, np.float32) for key, value in block.items()}


def _filtered(noise, magnitudes, reach, hop_length):
    """Noise through its filters, `reach` samples longer on both sides: nothing is cut off."""
    frames = reach // hop_length
    noise = np.pad(noise, ((0, 0), (reach, reach)))
    magnitudes = np.pad(magnitudes, ((0, 0), (frames, frames), (0, 0)))
    return ops.convert_to_numpy(ds.fir_filter(noise, magnitudes, hop_length))


def _harmonics(block, following, turned, hop_length, sample_rate):
    """A block of the harmonic oscillator, and the phase behind it.

    Parameters
    ----------
    block, following : dict of np.ndarray
        controls, and the next block's, to whose first frame the last one leads; None at the end.
    turned : int or np.ndarray, (batch, 1, 1)
        phase before the block, in the fixed point of `synthesisers.frame_phase`.
    """
    following = following or {key: value[:, -1:] for key, value in block.items()}
    ends = {key: np.concatenate([block[key], following[key][:, :1]], axis=1) for key in ("f0", "amplitudes")}
    f0 = ops.convert_to_numpy(ds.audible_f0(ops.convert_to_tensor(ends["f0"]), sample_rate))
    scale = 2 ** math.floor(math.log2(2**30 / (2 * sample_rate)))
    modulus = 2 * sample_rate * scale
    whole, broken = np.floor(f0).astype(np.int64), f0 - np.floor(f0)
    hertz = (hop_length + 1) * whole[:, :-1] + (hop_length - 1) * whole[:, 1:]
    rest = np.round(scale * ((hop_length + 1) * broken[:, :-1] + (hop_length - 1) * broken[:, 1:])).astype(np.int64)
    steps = np.concatenate([np.broadcast_to(turned, f0[:, :1].shape), hertz * scale + rest], axis=1)
    count = np.cumsum(steps, axis=1) % modulus  # before each frame, and behind the last
    phase = (count[:, :-1] / modulus).astype(np.float32)
    controls = (phase, f0[:, :-1], f0[:, 1:], ends["amplitudes"][:, :-1], ends["amplitudes"][:, 1:])
    sound = ds._frames_to_sound(*map(ops.convert_to_tensor, controls), hop_length, sample_rate)
    return ops.convert_to_numpy(sound), count[:, -1:]


def _in_room(dry, room):
    """Each block and what the room still says to those before it; the echoes behind the last one are cut."""
    room[:1] = 0.0
    tail = np.zeros((1, len(room) - 1), np.float32)
    for block in dry:
        wet = oaconvolve(block, room[None], axes=1).astype(np.float32)
        wet[:, : len(room) - 1] += tail
        yield block + wet[:, : block.shape[1]]
        tail = wet[:, block.shape[1] :]
