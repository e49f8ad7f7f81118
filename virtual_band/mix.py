"""From dry parts to a record: a room, panning, levels, and one gain curve for all stems.

Each part passes its own channel (panning, room, high-pass, compressor). The compressor and the limiter on the bus
follow the sum of all channels, and multiply every stem by the same curve. So the stems of a finished song add up
to its mixture.

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import make_dataclass

import numpy as np
import scipy.fft
from numba import njit
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import butter, sosfilt

from audio_processing.audio_processing import fix_length
from audio_processing.tracks import SOURCES
from virtual_band.form import drawn

BLOCK = 64  # samples per step of a compressor
LOWEST = {"drums": 28.0, "bass": 32.0, "other": 80.0, "vocals": 80.0}  # Hz, high-pass of each channel: no DC, no rumble
CHANNEL_RATIO = {"bass": 2.0, "other": 2.5, "vocals": 1.7}  # of the compressors that engineers put on single tracks
CEILINGS = (0.93, 0.99)  # of the limiter, and of the highest sample of any file
TRIO_VOICE = 1.3  # dB by which the voice is louder where no chords support it, as recorded trios have it


DESK = {  # how an artist's records are mixed: ranges. Levels in dB, times in seconds
    "room": {
        "room_decay": (0.35, 0.9),  # reverberation time RT60
        "predelay": (0.004, 0.02),
        "room_bright": (2500.0, 6000.0),  # Hz, where the room's tail has lost half
    },
    # room level per source, linear
    "sends": {"drums": (0.15, 0.4), "bass": (0.02, 0.08), "other": (0.15, 0.4), "vocals": (0.15, 0.45)},
    # RMS of the active parts, relative to the vocals
    "levels": {"drums": (-3.5, 0.5), "bass": (-5.5, -2.0), "other": (-3.0, 1.0)},
    "master": {
        "air": (0.5, 1.5),  # treble that the engineer adds to the voice: gain of a shelf above 3 kHz, less 1
        "spread": (1.0, 2.0),  # standard deviation of the levels from song to song
        "compression": (1.5, 3.0),  # ratio of the bus compressor
        "loudness": (2.0, 6.0),  # by which the limiter is driven
    },
}
Desk = make_dataclass("Desk", ["seed", *DESK["room"], "sends", "pans", "levels", *DESK["master"]], frozen=True)


def draw(rng):
    """Draw one desk and room."""
    return Desk(
        seed=int(rng.integers(2**31)),
        **drawn(DESK["room"], rng),
        sends=drawn(DESK["sends"], rng),
        pans={  # -1 left to 1 right
            "drums": 0.0,
            "bass": rng.uniform(-0.05, 0.05),
            "other": rng.uniform(0.25, 0.6) * (1 if rng.random() < 0.5 else -1),
            "vocals": rng.uniform(-0.06, 0.06),
        },
        levels=drawn(DESK["levels"], rng) | {"vocals": 0.0},
        **drawn(DESK["master"], rng),
    )


def room_response(desk, sample_rate):
    """Impulse response of the artist's room, left and right, without the direct sound.

    Twelve early reflections at random times and places, then noise that decays exponentially and loses its treble
    sooner (Moorer 1979); unit energy.

    Parameters
    ----------
    desk : Desk
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, float32, (2, samples)
    """
    rng = np.random.default_rng(desk.seed)
    n = int((desk.predelay + 0.8 * desk.room_decay) * sample_rate)  # to -48 dB
    response = np.zeros((2, n))
    for _ in range(12):
        delay = desk.predelay + rng.uniform(0.0, 0.045)
        pan = rng.uniform(0.0, np.pi / 2)
        at = int(delay * sample_rate)
        response[:, at] += rng.choice([-1, 1]) * (desk.predelay / delay) ** 0.7 * np.array([np.cos(pan), np.sin(pan)])
    tail_from = int((desk.predelay + 0.02) * sample_rate)
    t = np.arange(n - tail_from) / sample_rate
    spectrum = scipy.fft.rfft(rng.standard_normal((2, n - tail_from)))
    frequency = scipy.fft.rfftfreq(n - tail_from, 1 / sample_rate)
    dark = scipy.fft.irfft(spectrum / np.sqrt(1.0 + (frequency / desk.room_bright) ** 2), n - tail_from)
    response[:, tail_from:] += 0.08 * dark * 10.0 ** (-3.0 * t / desk.room_decay) * (1.0 - np.exp(-t / 0.01))
    response[:, -256:] *= np.linspace(1.0, 0.0, 256)
    return (response / np.sqrt(np.sum(response**2) / 2.0)).astype(np.float32)


def panned(place):
    """Gains (left, right) of a source between -1 (left) and 1 (right), of one power wherever it stands."""
    angle = (1.0 + place) * np.pi / 4.0
    return np.sqrt(2.0) * np.array([np.cos(angle), np.sin(angle)])


def convolve(audio, response, size=2**17):
    """Convolve every input channel with its response to every output channel, in overlapping blocks.

    Parameters
    ----------
    audio : np.ndarray, float32, (inputs, samples)
    response : np.ndarray, float32, (outputs, inputs, taps)
    size : int
        length of the FFT: blocks that stay in the processor's cache are faster than one long transform.

    Returns
    -------
    np.ndarray, float32, (outputs, samples)
        without the tail beyond the end of the input.
    """
    taps, n = response.shape[-1], audio.shape[-1]
    size = max(size, 2 * scipy.fft.next_fast_len(taps, real=True))
    step = size - taps + 1
    transfer = scipy.fft.rfft(response, size)  # (outputs, inputs, frequencies)
    out = np.zeros((response.shape[0], n + size), dtype=np.float32)
    for start in range(0, n, step):
        spectrum = scipy.fft.rfft(audio[:, start : start + step], size)
        for o in range(response.shape[0]):
            product = sum(transfer[o, i] * spectrum[i] for i in range(len(audio)))
            out[o, start : start + size] += scipy.fft.irfft(product, size, overwrite_x=True)
    return out[:, :n]


def active_rms(audio, sample_rate):
    """RMS over the 50 ms blocks that are within 30 dB of the loudest one; 0 for silence.

    Parameters
    ----------
    audio : np.ndarray, (..., samples)
    sample_rate : int
        in Hz.

    Returns
    -------
    float
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


@njit(cache=True)
def _apply(audio, gain, pole):
    """Multiply by a gain curve in place, and block the DC that a moving gain makes; returns the peak."""
    peak = 0.0
    for channel in range(audio.shape[0]):
        before = blocked = 0.0
        for n in range(audio.shape[1]):
            now = audio[channel, n] * gain[n]
            blocked = now - before + pole * blocked
            before = now
            audio[channel, n] = blocked
            peak = max(peak, abs(blocked))
    return peak


def blocks_of(audio):
    """Stereo audio in blocks of BLOCK samples, (2, blocks, BLOCK); the last one is filled with zeros."""
    length = -(-audio.shape[-1] // BLOCK) * BLOCK
    return fix_length(np.asarray(audio, np.float32), length).reshape(2, -1, BLOCK)


def compressor_gain(blocks, ratio, sample_rate, attack=0.012, release=0.15):
    """Gain of a compressor whose threshold is the signal's own RMS.

    Parameters
    ----------
    blocks : np.ndarray, (2, blocks, BLOCK)
        as returned by `blocks_of`.
    ratio : float
        1 does nothing; 3 lets the level rise by 1 dB where it would rise by 3.
    sample_rate : int
        in Hz.
    attack, release : float
        in seconds.

    Returns
    -------
    np.ndarray, (blocks,)
    """
    power = np.mean(np.square(blocks), axis=(0, 2), dtype=np.float64)
    level = 10.0 * np.log10(power / (np.mean(power) + 1e-20) + 1e-6)
    rate = sample_rate / BLOCK
    over = _follow(np.maximum(level, -20.0), np.exp(-1 / (attack * rate)), np.exp(-1 / (release * rate)))
    return 10.0 ** (-(1.0 - 1.0 / ratio) * np.maximum(over, 0.0) / 20.0)


def per_sample(gain, n_samples):
    """A gain per block as a gain per sample, linear between the middles of the blocks."""
    centres = (np.arange(gain.size) + 0.5) * BLOCK
    return np.interp(np.arange(n_samples), centres, gain).astype(np.float32)


def bus_gain(mixture, desk, sample_rate):
    """The gain curve of bus compressor and limiter, computed from the mixture.

    Parameters
    ----------
    mixture : np.ndarray, (2, samples)
    desk : Desk
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, float32, (samples,)
        peaks of `mixture * gain` stay below 0.97.
    """
    blocks = blocks_of(mixture)
    gain = compressor_gain(blocks, desk.compression, sample_rate)
    rms = np.sqrt(np.mean(np.square(blocks, dtype=np.float64))) + 1e-12
    gain *= 0.11 * 10.0 ** (desk.loudness / 20.0) / rms
    peaks = np.max(np.abs(blocks), axis=(0, 2)) * gain
    needed = np.minimum(1.0, CEILINGS[0] / np.maximum(peaks, 1e-9))
    # A limiter that looks ahead: the mean over 13 blocks of the lowest gain within 7 never exceeds what any needs.
    return per_sample(gain * uniform_filter1d(minimum_filter1d(needed, 15), 13), mixture.shape[-1])


def mix(dry, desk, sample_rate, rng):
    """Mix a song.

    Parameters
    ----------
    dry : dict of str to np.ndarray, (samples,) or (2, samples)
        parts by source; a missing source stays silent.
    desk : Desk
    sample_rate : int
        in Hz.
    rng : numpy.random.Generator
        draws the levels of this song.

    Returns
    -------
    stems : dict of str to np.ndarray, float32, (2, samples)
        in MUSDB's order.
    mixture : np.ndarray, float32, (2, samples)
        their sum.
    """
    room = room_response(desk, sample_rate)
    n = next(iter(dry.values())).shape[-1]
    stems = {}
    for source in SOURCES:
        level = desk.levels[source] + desk.spread * rng.standard_normal()
        if source == "vocals" and "other" not in dry:
            level += TRIO_VOICE
        if source not in dry or np.max(np.abs(dry[source])) < 1e-9:
            stems[source] = np.zeros((2, n), dtype=np.float32)
            continue
        audio = np.atleast_2d(dry[source]).astype(np.float32)
        stem = convolve(audio, _channel_response(source, len(audio), room, desk, sample_rate))
        if source in CHANNEL_RATIO:
            stem *= per_sample(compressor_gain(blocks_of(stem), CHANNEL_RATIO[source], sample_rate), n)
        stems[source] = stem * np.float32(10.0 ** (level / 20.0) / (active_rms(stem, sample_rate) + 1e-12))
    mixture = sum(stems.values())
    if not np.any(mixture):
        return stems, mixture
    gain = bus_gain(mixture, desk, sample_rate)
    ramp = min(n // 2, int(0.01 * sample_rate))
    gain[:ramp] *= np.linspace(0.0, 1.0, ramp, dtype=np.float32)
    gain[n - ramp :] *= np.linspace(1.0, 0.0, ramp, dtype=np.float32)
    pole = np.exp(-2.0 * np.pi * 8.0 / sample_rate)
    peaks = [_apply(stem, gain, pole) for stem in stems.values()]
    loudest = max(*peaks, float(np.max(np.abs(sum(stems.values())))))
    if loudest > CEILINGS[1]:  # a stem alone may peak higher than the mixture
        for stem in stems.values():
            stem *= np.float32(CEILINGS[1] / loudest)
    return stems, sum(stems.values())


def _channel_response(source, inputs, room, desk, sample_rate):
    """Impulse responses from a channel's inputs to left and right: panned direct sound, room, high-pass, treble."""
    response = np.zeros((2, inputs, room.shape[-1]))
    if inputs == 1:
        response[:, 0, 0] = panned(desk.pans[source])
    else:
        response[:, :, 0] = np.eye(2)
    response += desk.sends[source] / inputs * room[:, None, :]
    if source == "vocals":
        response += desk.air * sosfilt(butter(1, 3000.0, "highpass", fs=sample_rate, output="sos"), response)
    return sosfilt(butter(2, LOWEST[source], "highpass", fs=sample_rate, output="sos"), response).astype(np.float32)
