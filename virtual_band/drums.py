"""Drums: each piece is a few decaying modes plus shaped noise.

A struck membrane rings in the modes of a circular drum, whose frequencies stand in the ratios of Bessel zeros
(Fletcher & Rossing, *The Physics of Musical Instruments*, chapter 18), and starts a little sharp because the blow
stretches it. Wires, sticks and cymbals add noise. A cymbal has so many modes that two hundred of them, spread at
random, and a band of noise stand for all.

A kit is rendered once per artist: for every piece a tone layer and `N_LAYERS` independent noise layers. A hit mixes
the noise layers with random weights of unit length, which is new noise of the same spectrum each time, so that no two
hits are the same.

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import make_dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from scipy.signal import butter, sosfilt

from virtual_band.form import drawn
from virtual_band.mix import panned

MEMBRANE = np.array([1.0, 1.593, 2.135, 2.295, 2.653, 2.917])  # zeros of Bessel functions, over the first
N_LAYERS = 4
N_PLATE_MODES = 200
# Where the pieces stand, seen by the audience: -1 left, 1 right.
PLACES = {
    "kick": 0.0, "snare": 0.08, "rim": 0.08, "hat_closed": 0.5, "hat_pedal": 0.5, "hat_open": 0.5, "tom_high": 0.35,
    "tom_mid": -0.1, "tom_low": -0.5, "ride": -0.6, "crash": 0.6,
}  # fmt: skip
HATS = ("hat_closed", "hat_pedal", "hat_open")
CHOKED = 0.02  # s that a hat needs to fall silent


KIT = {  # of a drum kit: frequencies in Hz, decays (to 1/e) in seconds, levels relative to the kick; and their ranges
    "kick_f0": (44.0, 62.0),
    "kick_sweep": (2.5, 5.0),  # start frequency over final frequency
    "kick_sweep_time": (0.012, 0.035),
    "kick_decay": (0.10, 0.24),
    "kick_click": (0.5, 1.2),
    "snare_f0": (165.0, 230.0),
    "snare_decay": (0.05, 0.11),
    "wire_decay": (0.07, 0.17),
    "wire_low": (400.0, 1100.0),
    "wire_level": (0.3, 0.6),
    "snare_level": (0.6, 0.95),
    "hat_low": (3200.0, 6000.0),
    "hat_decay": (0.025, 0.06),
    "hat_open_decay": (0.25, 0.6),
    "hat_level": (0.05, 0.11),
    "tom_mid": (1.25, 1.4),  # its frequency over the low tom's
    "tom_high": (1.6, 1.9),
    "tom_decay": (0.15, 0.35),
    "tom_level": (0.5, 0.9),
    "ride_decay": (0.5, 1.2),
    "ride_level": (0.05, 0.1),
    "crash_decay": (0.8, 1.6),
    "crash_level": (0.1, 0.22),
    "width": (0.3, 0.9),  # of the kit in the stereo image, 0 to 1
}
Kit = make_dataclass("Kit", ["tom_low", "seed", *KIT], frozen=True)


def draw(rng):
    """Draw one kit."""
    return Kit(tom_low=rng.uniform(75.0, 105.0), seed=int(rng.integers(2**31)), **drawn(KIT, rng))


@njit(cache=True)
def modes(frequencies, decays, amplitudes, phases, n_samples, sample_rate):
    """Sum of decaying sinusoids, each by the recursion of a two-pole resonator.

    Parameters
    ----------
    frequencies, decays, amplitudes, phases : np.ndarray, (modes,)
        in Hz, in seconds to 1/e, linear, in radians.
    n_samples : int
    sample_rate : float
        in Hz.

    Returns
    -------
    np.ndarray, (n_samples,)
    """
    out = np.zeros(n_samples)
    for m in range(frequencies.size):
        if frequencies[m] >= 0.45 * sample_rate:
            continue
        w = 2.0 * np.pi * frequencies[m] / sample_rate
        r = np.exp(-1.0 / (decays[m] * sample_rate))
        b1, b2 = 2.0 * r * np.cos(w), -r * r
        now = amplitudes[m] * np.sin(phases[m])
        before = amplitudes[m] * np.sin(phases[m] - w) / r
        for n in range(n_samples):
            out[n] += now
            now, before = b1 * now + b2 * before, now
    return out


def _membrane(t, f0, sweep, sweep_time, decay, strengths):
    """A drum head whose modes glide from `sweep` times their frequency down to it; high modes decay sooner."""
    angle = 2.0 * np.pi * f0 * (t + (sweep - 1.0) * sweep_time * (1.0 - np.exp(-t / sweep_time)))
    return sum(
        strength * np.exp(-t * ratio / decay) * np.sin(ratio * angle) for ratio, strength in zip(MEMBRANE, strengths)
    )


def _noise(rng, n_samples, sample_rate, low, high):
    """Layers of noise (N_LAYERS, n_samples) from `low` to `high` Hz."""
    edges = low, min(high, 0.45 * sample_rate)
    return sosfilt(
        butter(2, edges, "bandpass", fs=sample_rate, output="sos"), rng.standard_normal((N_LAYERS, n_samples))
    )


@lru_cache(maxsize=8)
def render_kit(kit, sample_rate):
    """Render every piece of a kit once.

    Parameters
    ----------
    kit : Kit
    sample_rate : int
        in Hz.

    Returns
    -------
    dict of str to (np.ndarray, np.ndarray)
        tone (samples,) and noise layers (N_LAYERS, samples) of each piece, float32.
    """
    rng = np.random.default_rng(kit.seed)

    def times(seconds):
        return np.arange(int(seconds * sample_rate)) / sample_rate

    def burst(t, level, low, high, decay):
        return level * _noise(rng, t.size, sample_rate, low, high) * np.exp(-t / decay)

    t = times(min(0.9, 5 * kit.kick_decay))
    tone = _membrane(t, kit.kick_f0, kit.kick_sweep, kit.kick_sweep_time, kit.kick_decay, (1.0, 0.25, 0.1))
    beater = burst(t, kit.kick_click, 900.0, 4500.0, 0.006)
    pieces = {"kick": (tone, beater + burst(t, 0.25, 80.0, 500.0, 0.03))}

    t = times(0.7)
    shell = _membrane(t, kit.snare_f0, 1.35, 0.012, kit.snare_decay, (0.8, 0.5, 0.3, 0.25, 0.15, 0.1))
    wires = burst(t, 1.0, kit.wire_low, 6500.0, kit.wire_decay) * (1 - np.exp(-t / 0.0015))
    stick = burst(t, 0.6, 1500.0, 7000.0, 0.004)
    pieces["snare"] = kit.snare_level * shell, kit.snare_level * (kit.wire_level * wires + stick)
    rim = modes(
        frequencies=np.array([430.0, 1050.0, 1720.0, 2600.0]),
        decays=np.array([0.02, 0.018, 0.012, 0.008]),
        amplitudes=np.array([0.5, 0.9, 0.6, 0.4]),
        phases=np.zeros(4),
        n_samples=t.size,
        sample_rate=sample_rate,
    )
    pieces["rim"] = 0.7 * kit.snare_level * rim, 0.3 * kit.snare_level * stick

    t = times(min(1.4, 4.5 * kit.tom_decay))
    for piece, ratio in (("tom_low", 1.0), ("tom_mid", kit.tom_mid), ("tom_high", kit.tom_high)):
        head = _membrane(t, kit.tom_low * ratio, 1.35, 0.03, kit.tom_decay, (1.0, 0.45, 0.25, 0.2, 0.1, 0.1))
        pieces[piece] = kit.tom_level * head, kit.tom_level * burst(t, 0.3, 400.0, 5000.0, 0.012)

    closed, opened = kit.hat_decay, kit.hat_open_decay
    for piece, low, decay, level, seconds, ping in (
        ("hat_closed", kit.hat_low, closed, kit.hat_level, min(1.5, 6 * closed), 0.8),
        ("hat_pedal", kit.hat_low, 0.7 * closed, kit.hat_level, min(1.5, 6 * (0.7 * closed)), 0.8),
        ("hat_open", kit.hat_low, opened, kit.hat_level, min(1.5, 6 * opened), 0.8),
        ("ride", 2200.0, kit.ride_decay, kit.ride_level, 2.0, 1.4),
        ("crash", 1300.0, kit.crash_decay, kit.crash_level, 3.0, 1.0),
    ):
        pieces[piece] = _cymbal(rng, times(seconds), low, decay, level, ping, sample_rate)
    return {name: (tone.astype(np.float32), noise.astype(np.float32)) for name, (tone, noise) in pieces.items()}


def _cymbal(rng, t, low, decay, level, ping, sample_rate):
    """A plate: modes at random above `low`/3, the higher the shorter, and two bands of noise for those between."""
    frequencies = np.exp(rng.uniform(np.log(low / 3.0), np.log(14000.0), N_PLATE_MODES))
    decays = decay * np.minimum(1.0, low / frequencies) ** 0.4 * rng.uniform(0.6, 1.2, N_PLATE_MODES)
    amplitudes = rng.uniform(0.3, 1.0, N_PLATE_MODES) * np.minimum(1.0, frequencies / low) ** 1.5
    amplitudes *= ping / np.sqrt(N_PLATE_MODES)
    tone = modes(frequencies, decays, amplitudes, rng.uniform(0, 2 * np.pi, N_PLATE_MODES), t.size, float(sample_rate))
    hit = 0.8 * np.exp(-t / 0.006)
    noise = _noise(rng, t.size, sample_rate, 0.6 * low, 2.5 * low) * (np.exp(-t / (0.5 * decay)) + hit)
    high = 0.7 * _noise(rng, t.size, sample_rate, min(2.5 * low, 9000.0), 14000.0)
    noise += high * (np.exp(-t / (0.3 * decay)) + hit)
    fade = np.minimum(1.0, (t.size - np.arange(t.size)) / (0.02 * sample_rate))
    return level * tone * fade, level * noise * (1.0 - np.exp(-t / 0.002)) * fade


def render(notes, kit, n_samples, sample_rate, rng):
    """Play a drum part.

    Parameters
    ----------
    notes : sequence of form.Note
        in seconds; `kind` names the piece.
    kit : Kit
    n_samples : int
    sample_rate : int
        in Hz.
    rng : numpy.random.Generator

    Returns
    -------
    np.ndarray, float32, (2, n_samples)
    """
    pieces = render_kit(kit, sample_rate)
    out = np.zeros((2, n_samples), dtype=np.float32)
    next_hat = iter([n.start for n in notes if n.kind in HATS][1:] + [np.inf])
    for note in notes:
        tone, layers = pieces[note.kind]
        weights = rng.standard_normal(N_LAYERS)
        weights = (weights / np.linalg.norm(weights)).astype(np.float32)
        v = note.velocity
        hit = np.float32(v * rng.uniform(0.9, 1.1)) * tone + (np.float32(v**1.4) * weights) @ layers
        if note.kind in HATS:  # the next hit on the hat, or the foot, stops what still rings
            keep = int(min(next(next_hat) - note.start, 60.0) * sample_rate)
            if keep < hit.size:
                fade = int(CHOKED * sample_rate)
                hit = hit[: max(1, keep + fade)]
                ramp = np.linspace(1.0, 0.0, min(fade, hit.size), dtype=np.float32)
                hit[-ramp.size :] *= ramp
        start = int(note.start * sample_rate)
        hit = hit[: max(0, n_samples - start)]
        out[:, start : start + hit.size] += np.outer(panned(kit.width * PLACES[note.kind]).astype(np.float32), hit)
    return out
