"""Electric bass: one plucked string at a time, slides, dead notes, finger noise, an amplifier that saturates.

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import make_dataclass

import numpy as np
from numba import njit
from scipy.signal import butter, sosfilt

from audio_processing.audio_processing import fix_length
from virtual_band.form import Note, drawn, hertz
from virtual_band.strings import pluck, pole_of_decay, string

SHORTEST = 0.03  # s; shorter notes are left out
RELEASE = 0.035  # s, from the end of a note until the string is silent
DEAD_LEVEL, DEAD_BRIGHTNESS, DEAD_DECAY = 0.5, 0.15, 0.03  # of a damped string: factors, and s to 1/e


SOUND = {  # of a bass and its player's fingers: ranges
    "place": (0.08, 0.25),  # of the pluck, fraction of the string
    "corner": (120.0, 350.0),  # Hz, above which the finger or the plectrum gives less
    "roughness": (0.05, 0.15),  # fraction of noise in a pluck
    "brightness": (0.06, 0.2),  # s to 1/e of a partial at 1 kHz: 0.05 (old flat-wound strings) to 0.5 (new round-wound)
    "sustain": (0.7, 2.0),  # s to 1/e of the fundamental
    "attack_noise": (0.03, 0.1),
    "drive": (1.5, 4.0),  # of the amplifier
    "presence": (0.1, 0.5),  # level of the amplifier's band from 700 to 2600 Hz
}
PLECTRUM = {"corner": (350.0, 900.0), "roughness": (0.1, 0.25), "brightness": (0.1, 0.3), "attack_noise": (0.08, 0.2)}
BassSound = make_dataclass("BassSound", ["lowest", *SOUND], frozen=True)  # lowest: MIDI number of the lowest root


def draw(rng):
    """Draw one bass and its player, who uses fingers or a plectrum."""
    ranges = SOUND | PLECTRUM if rng.random() < 0.4 else SOUND
    return BassSound(int(rng.integers(28, 32)), **drawn(ranges, rng))


@njit(cache=True)
def saturate(x, drive):
    """Saturate: tanh(drive x) / drive, as the mean of tanh between two samples.

    The mean is the difference of the antiderivative, log cosh, over the step; it holds far less aliasing than tanh of
    the samples (Parker, Zavalishin & Le Bivic 2016, "Reducing the aliasing of nonlinear waveshaping", DAFx).
    """
    out = np.empty(x.size)
    before = area_before = 0.0
    for n in range(x.size):
        now = drive * x[n]
        area = abs(now) + np.log1p(np.exp(-2.0 * abs(now))) - np.log(2.0)  # log cosh
        step = now - before
        out[n] = ((area - area_before) / step if abs(step) > 1e-5 else np.tanh(0.5 * (now + before))) / drive
        before, area_before = now, area
    return out


def render(notes, sound, n_samples, sample_rate, rng):
    """Play a bass line.

    Parameters
    ----------
    notes : sequence of form.Note
        in seconds, not overlapping; `kind` is pluck, slide or dead.
    sound : BassSound
    n_samples : int
    sample_rate : int
        in Hz.
    rng : numpy.random.Generator

    Returns
    -------
    audio : np.ndarray, float64, (n_samples,)
    f0 : np.ndarray, float32, (n_samples,)
        in Hz; 0 where no string sounds at a pitch (rests, dead notes).
    """
    out, f0 = np.zeros(n_samples), np.zeros(n_samples, dtype=np.float32)
    previous = None  # MIDI number of the note that a slide starts from
    for note, following in zip(notes, [*notes[1:], Note(np.inf, 0.0, 0, 0.0)]):
        start, dead = int(note.start * sample_rate), note.kind == "dead"
        held = int(min(note.start + note.duration, following.start) * sample_rate) - start
        length = min(held + int(RELEASE * sample_rate), n_samples - start)
        sounds = held >= SHORTEST * sample_rate and length >= 64
        if sounds:
            tone, pitch = _pluck(note, previous, held, length, sound, sample_rate, rng)
            out[start : start + length] += note.velocity * (DEAD_LEVEL if dead else 1.0) * tone
            f0[start : start + min(held, length)] = 0.0 if dead else pitch[:held]
        previous = note.pitch if sounds and not dead else None
    body = sosfilt(butter(2, 5500.0, fs=sample_rate, output="sos"), out)
    presence = sosfilt(butter(1, (700.0, 2600.0), "bandpass", fs=sample_rate, output="sos"), out)
    return saturate(0.5 * (body + sound.presence * presence), sound.drive), f0


def _pluck(note, previous, held, length, sound, sample_rate, rng):
    """One note of `length` samples, damped after `held`, and its pitch in Hz: two arrays (length,)."""
    t = np.arange(length) / sample_rate
    cents = 6.0 * rng.uniform(-1, 1) + 10.0 * note.velocity * np.exp(-t / 0.04)  # a hard pluck starts sharp
    if note.kind == "slide" and previous is not None:
        done = np.clip(t / rng.uniform(0.06, 0.14), 0.0, 1.0)
        cents = cents + 100.0 * np.clip(previous - note.pitch, -5, 5) * (1.0 - done * done * (3.0 - 2.0 * done))
    frequency, dead = hertz(note.pitch), note.kind == "dead"
    pitch = frequency * 2.0 ** (cents / 1200.0)
    period = sample_rate / pitch

    bright = sound.brightness * (0.6 + 0.6 * note.velocity) * (DEAD_BRIGHTNESS if dead else 1.0)
    damping = np.full(length, pole_of_decay(1000.0, bright, sample_rate / frequency, sample_rate))
    damping[held:] = max(damping[0], 0.8)
    decay = DEAD_DECAY if dead else sound.sustain * (110.0 / frequency) ** 0.3
    loss = np.exp(-period / sample_rate / decay)
    loss[held:] = np.exp(-period[held:] / sample_rate / 0.012)
    noise = rng.standard_normal(int(period.max()) + 4)
    corner = sound.corner * 2.0 ** (1.5 * (note.velocity - 0.8)) * rng.uniform(0.85, 1.15)
    burst = pluck(noise, period[0], sound.place * rng.uniform(0.9, 1.1), corner, sound.roughness, sample_rate)
    tone = string(fix_length(burst, length), period, damping, loss)
    tone *= 1.0 / (np.sqrt(np.mean(tone[: int(0.15 * sample_rate)] ** 2)) + 1e-9)

    click = min(length, int(0.02 * sample_rate))
    tone[:click] += sound.attack_noise * rng.standard_normal(click) * np.exp(-t[:click] / 0.004)
    release = min(int(RELEASE * sample_rate), length)
    tone[-release:] *= np.linspace(1.0, 0.0, release)
    return tone, pitch
