"""Ten minutes of 60 harmonics and 65 bands of noise by blocks of 4 s, and one minute, against one piece."""

import time

import numpy as np

from benchmarks.timing import peak_mb
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


def measured(function, seconds):
    """What one call returns, how long it took in s, and what it took at its peak in MB."""
    energy = []
    begun = time.perf_counter()
    peak = peak_mb(lambda: energy.append(function(seconds)))
    return energy[0], time.perf_counter() - begun, peak


def run():
    """harmonic_synthesis@1min and @10min; both sides are ours. `max_error` is that of the energy, relative."""
    records = []
    by_blocks(8), in_one_piece(8)  # what is needed once does not count
    for minutes in (1, 10):
        energy, seconds, peak = measured(by_blocks, 60 * minutes)
        whole, whole_seconds, whole_peak = measured(in_one_piece, 60 * minutes)
        records.append(
            {
                "benchmark": f"harmonic_synthesis@{minutes}min",
                "ours_s": seconds,
                "peer": "the same in one piece",
                "peer_s": whole_seconds,
                "ratio": whole_seconds / seconds,
                "max_error": abs(energy - whole) / whole,
                "peak_mb": peak,
                "peer_peak_mb": whole_peak,
            }
        )
    return records
