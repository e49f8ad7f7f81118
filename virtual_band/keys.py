"""The chordal instrument: a strummed guitar (waveguide strings) or an electric piano (struck bars), as the artist prefers."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from virtual_band.drums import modes
from virtual_band.strings import pluck, string


@dataclass(frozen=True)
class ChordSound:
    """Parameters of the chordal instrument."""

    instrument: str  # guitar or piano
    place: float
    softness: float
    brightness: float
    sustain: float  # s
    strum: float  # s from the first string to the last
    tine: float  # level of the piano's second mode
    bite: float  # level of its hammer noise
    tremolo: float

    @classmethod
    def draw(cls, rng):
        """Draw one instrument."""
        u = rng.uniform
        return cls(
            instrument=str(rng.choice(["guitar", "piano"])),
            place=u(0.1, 0.28),
            softness=u(0.1, 0.5),
            brightness=u(0.6, 0.97),
            sustain=u(0.5, 1.4),
            strum=u(0.012, 0.035),
            tine=u(0.1, 0.5),
            bite=u(0.05, 0.2),
            tremolo=u(0.0, 0.35),
        )


def render(notes, sound, n_samples, sample_rate, rng):
    """Play the chords.

    Parameters
    ----------
    notes : sequence of score.Note
        In seconds; chords are notes with the same start.
    sound : ChordSound
    n_samples, sample_rate : int
    rng : numpy.random.Generator

    Returns
    -------
    np.ndarray, shape (n_samples,), float64
    """
    out = np.zeros(n_samples)
    play = _string_note if sound.instrument == "guitar" else _bar_note
    chord_start, rank = None, 0
    chords = {}
    for note in notes:
        chords.setdefault(note.start, []).append(note)
    for chord_start, chord in chords.items():
        ordered = sorted(chord, key=lambda n: n.pitch, reverse=chord[0].kind == "up")
        spread = sound.strum if sound.instrument == "guitar" else 0.2 * sound.strum
        for rank, note in enumerate(ordered):
            start = int((chord_start + rank * spread / max(1, len(ordered) - 1)) * sample_rate)
            length = min(int((note.duration + 0.08) * sample_rate), n_samples - start)
            if length < 64:
                continue
            out[start : start + length] += note.velocity * play(
                note.pitch, note.velocity, length, sound, sample_rate, rng
            )
    if sound.instrument == "piano":
        out *= 1.0 - sound.tremolo * (0.5 + 0.5 * np.sin(2 * np.pi * 5.2 * np.arange(n_samples) / sample_rate))
    else:  # the body: resonances of air and top plate
        out = out + 0.6 * sosfilt(butter(1, (90.0, 240.0), "bandpass", fs=sample_rate, output="sos"), out)
    return 0.3 * out


def _string_note(pitch, velocity, length, sound, sample_rate, rng):
    """One string of the guitar."""
    period = sample_rate / (440.0 * 2.0 ** ((pitch - 69 + 0.04 * rng.uniform(-1, 1)) / 12.0))
    release = min(length, int(0.08 * sample_rate))
    noise = rng.standard_normal(int(2 * period) + 4)
    burst = pluck(noise, period, sound.place, min(0.9, sound.softness + 0.2 * (1 - velocity)))[:length]
    excitation = np.zeros(length)
    excitation[: burst.size] = burst / (np.sqrt(np.mean(burst**2)) + 1e-9)
    damping = np.full(length, 0.01 + 0.12 * (1 - sound.brightness))
    loss = np.full(length, np.exp(-period / sample_rate / sound.sustain))
    loss[-release:] = np.exp(-period / sample_rate / 0.02)
    tone = string(excitation, np.full(length, period), damping, loss)
    tone[-release:] *= np.linspace(1.0, 0.0, release)
    return tone


def _bar_note(pitch, velocity, length, sound, sample_rate, rng):
    """One bar of the electric piano: fundamental, octave from the pick-up, and the tine's bright mode that dies at once."""
    f0 = 440.0 * 2.0 ** ((pitch - 69 + 0.03 * rng.uniform(-1, 1)) / 12.0)
    ratios = np.array([1.0, 2.0, 3.0, 4.0, 6.27, 7.1])
    decays = sound.sustain * np.array([1.0, 0.7, 0.5, 0.35, 0.12, 0.08]) * (220.0 / f0) ** 0.3
    strengths = np.array(
        [1.0, 0.35 * velocity, 0.2 * velocity**2, 0.1 * velocity**2, sound.tine * velocity, 0.4 * sound.tine * velocity]
    )
    tone = modes(f0 * ratios, decays, strengths, np.zeros(6), length, float(sample_rate))
    click = min(length, int(0.015 * sample_rate))
    tone[:click] += (
        sound.bite * velocity * rng.standard_normal(click) * np.exp(-np.arange(click) / (0.003 * sample_rate))
    )
    release = min(length, int(0.08 * sample_rate))
    tone[-release:] *= np.linspace(1.0, 0.0, release)
    return tone
