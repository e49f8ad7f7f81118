"""From dry parts to a record: a room, panning, levels, and one gain curve for all stems.

Everything before the bus is linear and per stem, and the bus compressor multiplies every stem by the same curve. So the stems of
a finished song add up to its mixture, as they would not if each were compressed, or the mixture alone.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numba import njit
from scipy.ndimage import minimum_filter1d, uniform_filter1d

SOURCES = ("drums", "bass", "other", "vocals")
BLOCK = 64  # samples per step of the bus compressor


@dataclass(frozen=True)
class Desk:
    """How an artist's records are mixed. Levels in dB, times in seconds."""

    seed: int
    room_decay: float  # reverberation time RT60
    predelay: float
    room_bright: float  # Hz, where the room's tail has lost half
    sends: dict[str, float]  # room level per source, linear
    pans: dict[str, float]  # -1 left to 1 right
    levels: dict[str, float]  # RMS of the active parts, dB relative to the vocals
    spread: float  # dB, standard deviation of the levels from song to song
    compression: float  # ratio of the bus compressor
    loudness: float  # dB by which the limiter is driven

    @classmethod
    def draw(cls, rng):
        """Draw one desk and room."""
        u = rng.uniform
        return cls(
            seed=int(rng.integers(2**31)),
            room_decay=u(0.35, 0.9),
            predelay=u(0.004, 0.02),
            room_bright=u(2500.0, 6000.0),
            sends={"drums": u(0.15, 0.4), "bass": u(0.02, 0.08), "other": u(0.15, 0.4), "vocals": u(0.15, 0.45)},
            pans={
                "drums": 0.0,
                "bass": u(-0.05, 0.05),
                "other": u(0.25, 0.6) * (1 if rng.random() < 0.5 else -1),
                "vocals": u(-0.06, 0.06),
            },
            levels={"drums": u(-2.5, 1.5), "bass": u(-5.5, -1.5), "other": u(-3.0, 1.0), "vocals": 0.0},
            spread=u(1.0, 2.0),
            compression=u(1.5, 3.0),
            loudness=u(2.0, 6.0),
        )


def room_response(desk, sample_rate):
    """Impulse response of the artist's room, left and right, without the direct sound.

    Twelve early reflections at random times and places, then noise that decays exponentially and loses its treble sooner
    (Moorer 1979); unit energy.

    Returns
    -------
    np.ndarray, shape (2, samples), float32
    """
    rng = np.random.default_rng(desk.seed)
    n = int((desk.predelay + 1.1 * desk.room_decay) * sample_rate)
    response = np.zeros((2, n))
    for _ in range(12):
        delay = desk.predelay + rng.uniform(0.0, 0.045)
        pan = rng.uniform(0.0, np.pi / 2)
        at = int(delay * sample_rate)
        response[:, at] += rng.choice([-1, 1]) * (desk.predelay / delay) ** 0.7 * np.array([np.cos(pan), np.sin(pan)])
    tail_from = int((desk.predelay + 0.02) * sample_rate)
    t = np.arange(n - tail_from) / sample_rate
    noise = rng.standard_normal((2, n - tail_from))
    spectrum = scipy.fft.rfft(noise)
    frequency = scipy.fft.rfftfreq(n - tail_from, 1 / sample_rate)
    dark = scipy.fft.irfft(spectrum / np.sqrt(1.0 + (frequency / desk.room_bright) ** 2), n - tail_from)
    response[:, tail_from:] += 0.08 * dark * 10.0 ** (-3.0 * t / desk.room_decay) * (1.0 - np.exp(-t / 0.01))
    return (response / np.sqrt(np.sum(response**2) / 2.0)).astype(np.float32)


def high_pass(frequency, corner):
    """Complex response of a second-order Butterworth high-pass at the given frequencies (Hz)."""
    s = 1j * frequency / corner
    return s**2 / (s**2 + np.sqrt(2.0) * s + 1.0)


def active_rms(audio, sample_rate):
    """RMS over the 50 ms blocks that are within 30 dB of the loudest one; 0 for silence.

    Parameters
    ----------
    audio : np.ndarray, shape (..., samples)
    sample_rate : int
    """
    size = int(0.05 * sample_rate)
    n = audio.shape[-1] // size * size
    if n == 0:
        return float(np.sqrt(np.mean(np.square(audio))))
    power = np.mean(np.square(audio[..., :n].reshape(-1, n // size, size), dtype=np.float64), axis=(0, 2))
    return float(np.sqrt(np.mean(power[power >= 1e-3 * power.max()])))


@njit(cache=True)
def _follow(level, attack, release):
    """One-pole follower with two time constants, given as poles per step."""
    out = np.empty(level.size)
    state = level[0]
    for n in range(level.size):
        pole = attack if level[n] > state else release
        state = pole * state + (1.0 - pole) * level[n]
        out[n] = state
    return out


def bus_gain(mixture, desk, sample_rate):
    """The gain curve of compressor and limiter, computed from the mixture.

    Parameters
    ----------
    mixture : np.ndarray, shape (2, samples)
    desk : Desk
    sample_rate : int

    Returns
    -------
    np.ndarray, shape (samples,), float32
        Peaks of `mixture * gain` stay below 0.97.
    """
    n = mixture.shape[-1]
    blocks = -(-n // BLOCK)
    padded = np.zeros((2, blocks * BLOCK), dtype=np.float32)
    padded[:, :n] = mixture
    shaped = padded.reshape(2, blocks, BLOCK)
    power = np.mean(np.square(shaped), axis=(0, 2), dtype=np.float64)
    rms = np.sqrt(np.mean(power)) + 1e-12
    level = 10.0 * np.log10(power / rms**2 + 1e-6)
    rate = sample_rate / BLOCK
    over = _follow(np.maximum(level, -20.0), np.exp(-1 / (0.012 * rate)), np.exp(-1 / (0.15 * rate)))
    gain = 10.0 ** (-(1.0 - 1.0 / desk.compression) * np.maximum(over, 0.0) / 20.0)

    target_rms = 0.11 * 10.0 ** (desk.loudness / 20.0)
    gain *= target_rms / rms
    peaks = np.max(np.abs(shaped), axis=(0, 2)) * gain
    reduction = np.minimum(1.0, 0.93 / np.maximum(peaks, 1e-9))
    # Look-ahead limiter: the lowest gain within 2 x 7 blocks, smoothed over as many, never exceeds what any block needs.
    reduction = uniform_filter1d(minimum_filter1d(reduction, 15), 13)
    centres = (np.arange(blocks) + 0.5) * BLOCK
    return np.interp(np.arange(n), centres, gain * reduction).astype(np.float32)


def mix(dry, desk, sample_rate, rng):
    """Mix a song.

    Parameters
    ----------
    dry : dict of str -> np.ndarray, shape (samples,) or (2, samples)
        Parts by source; a missing source stays silent.
    desk : Desk
    sample_rate : int
    rng : numpy.random.Generator
        Draws the levels of this song.

    Returns
    -------
    stems : dict of str -> np.ndarray, shape (2, samples), float32
        In MUSDB order.
    mixture : np.ndarray, shape (2, samples), float32
        Their sum.
    """
    response = room_response(desk, sample_rate)
    n = next(iter(dry.values())).shape[-1]
    size = scipy.fft.next_fast_len(n + response.shape[-1], real=True)
    room = scipy.fft.rfft(response, size)
    frequency = scipy.fft.rfftfreq(size, 1 / sample_rate).astype(np.float32)
    corners = {"drums": 28.0, "bass": 32.0, "other": 80.0, "vocals": 80.0}
    stems = {}
    for source in SOURCES:
        level = desk.levels[source] + desk.spread * rng.standard_normal()
        if source not in dry or not np.any(dry[source]):
            stems[source] = np.zeros((2, n), dtype=np.float32)
            continue
        audio = dry[source].astype(np.float32)
        spectrum = scipy.fft.rfft(audio, size) * high_pass(frequency, corners[source]).astype(np.complex64)
        if audio.ndim == 1:
            angle = (1.0 + desk.pans[source]) * np.pi / 4.0
            direct = np.sqrt(2.0) * np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * spectrum
            centre = spectrum
        else:
            direct, centre = spectrum, 0.5 * (spectrum[0] + spectrum[1])
        wet = scipy.fft.irfft(direct + np.float32(desk.sends[source]) * room * centre, size)[:, :n]
        stems[source] = wet * np.float32(10.0 ** (level / 20.0) / (active_rms(wet, sample_rate) + 1e-12))
    mixture = sum(stems.values())
    if not np.any(mixture):
        return stems, mixture
    gain = bus_gain(mixture, desk, sample_rate)
    ramp = min(n // 2, int(0.01 * sample_rate))
    gain[:ramp] *= np.linspace(0.0, 1.0, ramp, dtype=np.float32)
    gain[n - ramp :] *= np.linspace(1.0, 0.0, ramp, dtype=np.float32)
    stems = {source: stem * gain for source, stem in stems.items()}
    loudest = max(float(np.max(np.abs(stem))) for stem in [*stems.values(), sum(stems.values())])
    if loudest > 0.99:  # a stem alone may peak higher than the mixture
        stems = {source: stem * np.float32(0.99 / loudest) for source, stem in stems.items()}
    return stems, stems["drums"] + stems["bass"] + stems["other"] + stems["vocals"]
