"""Ten minutes of 60 harmonics and 65 bands of noise by blocks of 4 s, and one minute, against one piece."""

import numpy as np

from benchmarks.timing import record
from ddsp_models import synthesisers as ds
from ddsp_models.streaming import stream

BLOCK = 1000  # frames


def controls(seconds):
    """Blocks of controls for so many seconds, made as they are asked for."""
    share = np.arange(60, 0, -1, dtype=np.float32) / np.arange(60, 0, -1).sum()
    for start in range(0, int(250 * seconds), BLOCK):
        t = np.arange(start, start + BLOCK) / 250
        f0 = (110 * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * t)))[None, :, None]
        level = (0.5 + 0.4 * np.sin(t / 3))[None, :, None].astype(np.float32)
        yield {"f0": f0, "amplitudes": level * share, "magnitudes": 0.1 * level * np.ones(65, np.float32)}


def by_blocks(seconds):
    """Play and forget: the energy, so that every block is computed."""
    return sum(float(np.sum(np.square(block))) for block in stream(controls(seconds)))


def in_one_piece(seconds):
    """The same with all controls and samples in memory."""
    blocks = list(controls(seconds))
    f0, amplitudes, magnitudes = (
        np.concatenate([block[key] for block in blocks], axis=1).astype(np.float32)
        for key in ("f0", "amplitudes", "magnitudes")
    )
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, (f0.shape[1] * ds.HOP_LENGTH, 1)).T.astype(np.float32)
    sound = np.asarray(ds.harmonic_oscillator(f0, amplitudes)) + np.asarray(ds.fir_filter(noise, magnitudes))
    return float(np.sum(np.square(sound), dtype=np.float64))


def run():
    """harmonic_synthesis@10min and @1min; both sides are ours. `max_error` is that of the energy, relative."""
    records = []
    for minutes in (1, 10):
        seconds = 60 * minutes
        whole = in_one_piece(seconds)
        records.append(
            record(
                f"harmonic_synthesis@{minutes}min",
                lambda seconds=seconds: by_blocks(seconds),
                lambda seconds=seconds: in_one_piece(seconds),
                peer_name="the same in one piece",
                max_error=abs(by_blocks(seconds) - whole) / whole,
                repeats=1,
            )
        )
    return records
