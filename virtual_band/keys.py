"""The chordal instrument: a strummed guitar (waveguide strings) or an electric piano (struck bars).

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import make_dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from audio_processing.audio_processing import fix_length
from virtual_band.bass import saturate
from virtual_band.drums import modes
from virtual_band.form import drawn, hertz
from virtual_band.strings import pluck, pole_of_decay, string

RELEASE = 0.10  # s, from the end of a note until it is silent


SOUND = {  # of the chordal instrument: ranges
    "place": (0.1, 0.28),  # of the pluck
    "corner": (1500.0, 4000.0),  # Hz, above which the plectrum gives less
    "roughness": (0.2, 0.5),
    "brightness": (0.15, 0.5),  # s to 1/e of a string's partial at 2 kHz
    "sustain": (0.7, 1.8),  # s
    "strum": (0.012, 0.035),  # s from the first string to the last
    "tine": (0.2, 0.6),  # level of the piano's bright mode
    "bite": (0.05, 0.2),  # level of its hammer noise
    "drive": (2.0, 8.0),  # of the amplifier
    "tremolo": (0.0, 0.35),
}
ChordSound = make_dataclass("ChordSound", ["instrument", *SOUND], frozen=True)


def draw(rng):
    """Draw one instrument, a guitar or a piano."""
    return ChordSound(str(rng.choice(["guitar", "piano"], p=[0.65, 0.35])), **drawn(SOUND, rng))


def render(notes, sound, n_samples, sample_rate, rng):
    """Play the chords.

    Parameters
    ----------
    notes : sequence of form.Note
        in seconds; chords are notes with the same start.
    sound : ChordSound
    n_samples : int
    sample_rate : int
        in Hz.
    rng : numpy.random.Generator

    Returns
    -------
    np.ndarray, float64, (n_samples,)
    """
    out = np.zeros(n_samples)
    guitar = sound.instrument == "guitar"
    play = _string_note if guitar else _bar_note
    spread = sound.strum if guitar else 0.2 * sound.strum
    chords = {}
    for note in notes:
        chords.setdefault(note.start, []).append(note)
    for chord_start, chord in chords.items():
        ordered = sorted(chord, key=lambda n: n.pitch, reverse=chord[0].kind == "up")
        for rank, note in enumerate(ordered):
            start = int((chord_start + rank * spread / max(1, len(ordered) - 1)) * sample_rate)
            length = min(int((note.duration + RELEASE) * sample_rate), n_samples - start)
            if length >= 64:
                tone = play(note.pitch, note.velocity, length, sound, sample_rate, rng)
                release = min(length, int(RELEASE * sample_rate))
                tone[-release:] *= np.linspace(1.0, 0.0, release)
                out[start : start + length] += note.velocity * tone
    if guitar:  # the body: resonances of air and top plate
        out += 0.5 * sosfilt(butter(1, (90.0, 240.0), "bandpass", fs=sample_rate, output="sos"), out)
    else:
        out *= 1.0 - sound.tremolo * (0.5 + 0.5 * np.sin(2 * np.pi * 5.2 * np.arange(n_samples) / sample_rate))
    return saturate(0.15 * out, sound.drive)


def _string_note(pitch, velocity, length, sound, sample_rate, rng):
    """One string of the guitar."""
    period = sample_rate / hertz(pitch, 0.04 * rng.uniform(-1, 1))
    corner = sound.corner * 2.0 ** (1.5 * (velocity - 0.8))
    burst = pluck(rng.standard_normal(int(period) + 4), period, sound.place, corner, sound.roughness, sample_rate)
    damping = np.full(length, pole_of_decay(2000.0, sound.brightness, period, sample_rate))
    loss = np.full(length, np.exp(-period / sample_rate / sound.sustain))
    loss[-int(RELEASE * sample_rate) :] = np.exp(-period / sample_rate / 0.03)
    return string(fix_length(burst, length), np.full(length, period), damping, loss)


def _bar_note(pitch, velocity, length, sound, sample_rate, rng):
    """One bar of the electric piano: harmonics from the pick-up, and the tine's bright modes that decay sooner."""
    f0, v = hertz(pitch, 0.03 * rng.uniform(-1, 1)), velocity
    ratios = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.27, 7.1, 11.3])
    decays = sound.sustain * np.array([1.0, 0.8, 0.7, 0.5, 0.4, 0.3, 0.25, 0.15]) * (220.0 / f0) ** 0.3
    strengths = np.array(
        [1.0, 0.7 * v, 0.45 * v, 0.35 * v**2, 0.2 * v**2, sound.tine * v, 0.6 * sound.tine * v, 0.4 * sound.tine * v]
    )
    tone = modes(f0 * ratios, decays, strengths, np.zeros(8), length, float(sample_rate))
    click = min(length, int(0.015 * sample_rate))
    tone[:click] += sound.bite * v * rng.standard_normal(click) * np.exp(-np.arange(click) / (0.003 * sample_rate))
    return tone
