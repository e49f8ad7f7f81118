"""A singer after Klatt (1980) and Klatt & Klatt (1990): glottal pulses and noise through the resonances of the mouth.

The source is the derivative of the KLGLOTT88 pulse, read from tables that hold only the harmonics below the Nyquist
frequency (one table per half octave), softened by a spectral tilt when sung softly, roughened by jitter and shimmer,
with breath noise while the glottis is open. The filter is a cascade of sixteen formants, of which the first five
glide from vowel to vowel; fricatives and plosives are noise through a resonance of their own. Controls are drawn
first, at `CONTROL_RATE` frames per second, and can be plotted.

Notebook: virtual_band/dataset_report.ipynb
"""

from collections import namedtuple
from dataclasses import make_dataclass
from types import SimpleNamespace

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

from virtual_band.form import Note, drawn, hertz

CONTROL_RATE = 441  # frames per second; 100 samples at 44.1 kHz
STEP = 25  # samples from one update of the filters to the next
N_FORMANTS = 16
N_TABLES, TABLE_SIZE = 12, 4096
LOWEST_TABLE = 55.0  # Hz

# First five formants in Hz and their bandwidths (Peterson & Barney 1952 for the first three, a 17.5 cm tract above).
FORMANTS = {
    "a": (730, 1090, 2440, 3400, 4500),
    "e": (530, 1840, 2480, 3500, 4500),
    "i": (290, 2290, 3010, 3600, 4500),
    "o": (500, 870, 2410, 3300, 4500),
    "u": (320, 870, 2240, 3300, 4500),
    "@": (500, 1400, 2450, 3400, 4500),
    "ae": (660, 1720, 2410, 3450, 4500),
}
BANDWIDTHS = np.array([80.0, 100.0, 130.0, 180.0, 220.0])


class Consonant(namedtuple("Consonant", "closure noise centre width level voiced formants", defaults=(None,))):
    """A consonant: closure and noise in s; centre and width (Hz) and level of the noise; voicing 0-1; formants."""


NONE = Consonant(0.0, 0.0, 1000.0, 1000.0, 0.0, 1.0)
CONSONANTS = {
    "": NONE,
    "h": Consonant(0.0, 0.07, 1600.0, 1500.0, 0.25, 0.0),
    "s": Consonant(0.0, 0.10, 7200.0, 2500.0, 0.9, 0.0),
    "sh": Consonant(0.0, 0.11, 3400.0, 1600.0, 0.8, 0.0),
    "f": Consonant(0.0, 0.08, 8000.0, 6000.0, 0.35, 0.0),
    "t": Consonant(0.035, 0.03, 4200.0, 2500.0, 0.9, 0.0),
    "k": Consonant(0.035, 0.035, 2000.0, 900.0, 0.8, 0.0),
    "p": Consonant(0.04, 0.02, 900.0, 900.0, 0.6, 0.0),
    "d": Consonant(0.025, 0.010, 3800.0, 2500.0, 0.5, 0.12, (280, 1700, 2600, 3400, 4500)),
    "b": Consonant(0.03, 0.008, 800.0, 900.0, 0.4, 0.12, (250, 900, 2300, 3300, 4500)),
    "m": Consonant(0.055, 0.0, 1000.0, 1000.0, 0.0, 0.4, (270, 1000, 2200, 3300, 4500)),
    "n": Consonant(0.05, 0.0, 1000.0, 1000.0, 0.0, 0.4, (270, 1500, 2500, 3300, 4500)),
    "l": Consonant(0.05, 0.0, 1000.0, 1000.0, 0.0, 0.6, (350, 1100, 2700, 3400, 4500)),
    "r": Consonant(0.05, 0.0, 1000.0, 1000.0, 0.0, 0.6, (350, 1100, 1600, 3300, 4500)),
    "w": Consonant(0.05, 0.0, 1000.0, 1000.0, 0.0, 0.6, (300, 650, 2200, 3300, 4500)),
    "v": Consonant(0.0, 0.05, 6500.0, 6000.0, 0.15, 0.5, (300, 1100, 2300, 3300, 4500)),
}


SINGER = {  # ranges of what a singer with a low voice has
    "formant_scale": (0.94, 1.06),  # 1 = a tract of 17.5 cm, above 1 a shorter one
    "open_quotient": (0.5, 0.75),  # part of a period for which the glottis is open
    "tilt": (4500.0, 12000.0),  # Hz, corner of the spectral tilt when sung loud
    "breathiness": (0.05, 0.16),
    "vibrato_rate": (4.8, 6.6),  # Hz
    "vibrato_depth": (0.15, 0.55),  # semitones
    "vibrato_delay": (0.15, 0.4),  # s
    "portamento": (0.03, 0.08),  # s
    "jitter": (0.002, 0.006),  # relative period deviation
    "shimmer": (0.02, 0.06),
    "drift": (0.08, 0.18),  # semitones
    "consonants": (0.5, 1.2),  # level
}
HIGH_VOICE = {"formant_scale": (1.08, 1.22)}
Voice = make_dataclass("Voice", ["low", "high", *SINGER], frozen=True)  # low, high: range, MIDI numbers


def draw(rng):
    """Draw one singer, with a low or a high voice."""
    high_voice = rng.random() < 0.5
    low = int(rng.integers(55, 60) if high_voice else rng.integers(45, 51))
    high = low + int(rng.integers(14, 18))
    return Voice(low, high, **drawn(SINGER | HIGH_VOICE if high_voice else SINGER, rng))


def glottal_tables(open_quotient, sample_rate):
    """One period of the derivative of the KLGLOTT88 pulse, band-limited for each half octave of f0 from 55 Hz.

    Parameters
    ----------
    open_quotient : float
        part of the period for which the glottis is open.
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, (N_TABLES, TABLE_SIZE + 1)
        table k serves f0 from 55 * 2**(k/2) up to 55 * 2**((k+1)/2) Hz; the last sample repeats the first.
    """
    t = np.arange(TABLE_SIZE) / TABLE_SIZE / open_quotient
    spectrum = np.fft.rfft(np.where(t < 1.0, 2.0 * t - 3.0 * t**2, 0.0))  # derivative of t^2 - t^3
    spectrum[0] = 0.0
    highest = [int(0.45 * sample_rate / (LOWEST_TABLE * 2.0 ** ((k + 1) / 2.0))) for k in range(N_TABLES)]
    tables = np.stack([np.fft.irfft(spectrum[: max(2, last + 1)], TABLE_SIZE) for last in highest])
    return np.c_[tables, tables[:, 0]]


SINGING = SimpleNamespace(  # how every singer joins syllables into phrases: times in seconds, pitches in semitones
    shortest=0.05,  # shorter notes are left out
    legato=0.06,  # a shorter gap between two notes is sung through
    borrowed=0.12,  # a consonant takes half of the rest before it and of this much of the note before
    margin=0.02,  # the noise of a consonant has its colour so long before and after it sounds
    fading=0.15,  # part of its level that a vowel loses until the note ends
    vibrato_rise=0.35,
    release=0.10,  # fade at the end of a phrase, at most the part `release_part` of the note
    release_part=0.4,
    breath_rest=0.45,  # the singer breathes in during a longer rest
    breath=(0.32, 0.06),  # begin and end, before the phrase
    breath_noise=(0.18, 2200.0, 2500.0),  # level, centre and width in Hz
    fall_chance=0.5,  # of a pitch that drops at the end of a phrase,
    fall_note=0.3,  # where the last note is longer than this
    fall_time=0.14,
    fall_depth=(0.5, 2.5),
    scoop_rest=0.2,  # after a longer rest the pitch comes from below
    scoop_time=0.12,
    scoop_depth=(0.3, 1.5),
)


def controls(notes, voice, seconds, rng):
    """Draw the curves that drive the synthesiser.

    Parameters
    ----------
    notes : sequence of form.Note
        in seconds; `kind` is the syllable.
    voice : Voice
    seconds : float
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to np.ndarray, (frames, ...)
        at CONTROL_RATE frames per second: `f0` (Hz, always positive), `voicing` (amplitude of the pulses, 0 where
        unvoiced), `breath` (amplitude of the noise at the glottis), `noise` (amplitude of the consonants' noise),
        `centre` and `width` (of that noise, Hz), `effort` (0-1), `formants` (frames, 5) in Hz.
    """
    curves = _Curves(voice, seconds, rng)
    end_before = 0.0
    for note, following in zip(notes, [*notes[1:], Note(np.inf, 0.0, 0, 0.0)]):
        stop = min(note.start + note.duration, following.start)
        joined = following.start - stop < SINGING.legato
        stop = following.start if joined else stop
        consonant, vowel = curves.syllable(note.kind)
        if stop - note.start < SINGING.shortest:
            continue
        # The vowel starts on the beat; the consonant comes before it and takes its time from the note before.
        duration = consonant.closure + consonant.noise
        lead = min(duration, 0.5 * max(SINGING.shortest, note.start - end_before + SINGING.borrowed))
        begin, on, off = (curves.frame(time) for time in (note.start - lead, note.start, stop))
        if lead:
            curves.consonant(note, consonant, vowel, begin, on, lead / duration)
        curves.vowel(note, vowel, begin, on, off)
        if not joined:
            curves.phrase_end(on, off, stop - note.start)
        curves.phrase_start(note.start - lead, begin, on, off, rest=note.start - lead - end_before)
        end_before = stop
    return curves.smooth()


class _Curves:
    """Control curves while they are drawn, note by note. Every method writes into frames between two times."""

    def __init__(self, voice, seconds, rng):
        self.voice, self.rng = voice, rng
        self.frames = n = int(np.ceil(seconds * CONTROL_RATE)) + 2
        self.pitch, self.vibrato, self.voicing, self.noise = np.full(n, np.nan), np.zeros(n), np.zeros(n), np.zeros(n)
        self.effort, self.centre, self.width = np.full(n, 0.6), np.full(n, 3000.0), np.full(n, 2000.0)
        self.formants = np.full((n, 5), np.nan)
        self.target = np.array(FORMANTS["@"])

    def frame(self, seconds):
        """The frame at a time, or the first or last one."""
        return int(np.clip(round(seconds * CONTROL_RATE), 0, self.frames))

    def syllable(self, kind):
        """The consonant of a syllable and the formants of its vowel, which no singer sings twice alike."""
        if kind == "~":  # the syllable goes on
            return NONE, self.target
        consonant, vowel = kind.split(".")
        self.target = np.array(FORMANTS[vowel]) * self.rng.uniform(0.96, 1.04, 5)
        return CONSONANTS[consonant], self.target

    def consonant(self, note, consonant, vowel, begin, on, scale):
        """A closure and a noise before the beat, `scale` times as long as the consonant wants to be."""
        burst = self.frame(note.start - scale * consonant.noise)
        self.voicing[begin:on] = consonant.voiced * note.velocity
        self.noise[burst:on] = consonant.level * self.voice.consonants * (0.5 + 0.5 * note.velocity)
        margin = self.frame(SINGING.margin)
        coloured = slice(max(0, begin - margin), on + margin)
        self.centre[coloured] = consonant.centre * self.rng.uniform(0.9, 1.1)
        self.width[coloured] = consonant.width
        self.formants[begin:on] = consonant.formants or vowel

    def vowel(self, note, vowel, begin, on, off):
        """A sung vowel that fades a little, with vibrato some time after its start."""
        t = np.arange(off - on) / CONTROL_RATE
        self.pitch[begin:off] = note.pitch
        self.formants[on:off] = vowel
        self.voicing[on:off] = (
            note.velocity * (1.0 - SINGING.fading * t / max(0.2, note.duration)) * self.rng.uniform(0.9, 1.1)
        )
        self.effort[begin:off] = note.velocity
        rise = np.clip((t - self.voice.vibrato_delay) / SINGING.vibrato_rise, 0.0, 1.0)
        depth = self.voice.vibrato_depth * self.rng.uniform(0.6, 1.2) * rise
        self.vibrato[on:off] = depth * np.sin(2 * np.pi * self.voice.vibrato_rate * self.rng.uniform(0.94, 1.06) * t)

    def phrase_end(self, on, off, duration):
        """Fade the voice out, and sometimes let the pitch drop."""
        tail = self.frame(min(SINGING.release, SINGING.release_part * duration))
        self.voicing[off - tail : off] *= np.linspace(1.0, 0.0, tail)
        if duration > SINGING.fall_note and self.rng.random() < SINGING.fall_chance:
            span = min(off - on, self.frame(SINGING.fall_time))
            self.pitch[off - span : off] -= self.rng.uniform(*SINGING.fall_depth) * np.linspace(0.0, 1.0, span) ** 2

    def phrase_start(self, start, begin, on, off, rest):
        """After a rest, breathe in before the phrase, and reach its first pitch from below."""
        if rest > SINGING.breath_rest:
            breath = slice(*(self.frame(start - before) for before in SINGING.breath))
            level, self.centre[breath], self.width[breath] = SINGING.breath_noise
            self.noise[breath] = level * np.hanning(breath.stop - breath.start) * self.voice.consonants
        if rest > SINGING.scoop_rest:
            span = min(off, on + self.frame(SINGING.scoop_time)) - begin
            depth = self.rng.uniform(*SINGING.scoop_depth)
            self.pitch[begin : begin + span] -= depth * np.linspace(1.0, 0.0, span) ** 2

    def smooth(self):
        """The finished curves: nothing in a throat jumps."""
        wander = _smoothed(self.rng.standard_normal(self.frames), 0.08)
        f0 = hertz(
            _smoothed(_hold(self.pitch, 60.0), self.voice.portamento / 2.0)
            + _smoothed(self.vibrato, 3.0 / CONTROL_RATE)
            + self.voice.drift * wander / (max(wander.std(), 0.02) + 1e-9)
        )
        formants = np.stack([_hold(self.formants[:, k], FORMANTS["@"][k]) for k in range(5)], axis=1)
        formants = _smoothed(formants, 0.018) * self.voice.formant_scale
        # Singers raise the first formant to the pitch (Sundberg 1987).
        formants[:, 0] = np.maximum(formants[:, 0], 1.05 * f0)
        voicing = _smoothed(self.voicing, 0.006)
        voicing[voicing < 0.01] = 0.0
        return {
            "f0": f0,
            "voicing": voicing,
            "breath": self.voice.breathiness * voicing * (1.4 - 0.8 * self.effort),
            "noise": _smoothed(self.noise, 0.004),
            "centre": self.centre,
            "width": self.width,
            "effort": _smoothed(self.effort, 0.02),
            "formants": formants,
        }


def _smoothed(curve, seconds):
    """A curve under a Gaussian of so many seconds (its standard deviation)."""
    return gaussian_filter1d(curve, seconds * CONTROL_RATE, axis=0)


def _hold(values, default):
    """Fill gaps (NaN) with the value before them, and the first gap with the first value."""
    drawn = np.flatnonzero(~np.isnan(values))
    if not drawn.size:
        return np.full(values.shape, float(default))
    before = np.searchsorted(drawn, np.arange(values.size), side="right") - 1
    return values[drawn[np.maximum(before, 0)]]


# The controls of one frame, as the synthesiser reads them: amplitudes, Hz, and the frequencies of all formants in Hz.
FRAME = np.dtype([
    *((name, float) for name in ("f0", "voicing", "breath", "noise", "centre", "width", "tilt")),
    ("formants", float, N_FORMANTS),
])  # fmt: skip


@njit(cache=True)
def _synthesise(frames, bandwidths, tables, white, jitter, shimmer, hop, rate):
    """Run source and filter sample by sample, and return the radiated sound (samples,).

    `frames` (FRAME) are the controls, `hop` samples apart and linear between (but for `centre` and `width`); `white` is
    white noise (samples,); `jitter` and `shimmer` are the deviations of each period's length and strength.
    """
    out = np.empty(white.size)
    a1, a1_step, a2 = np.zeros(bandwidths.size), np.zeros(bandwidths.size), np.zeros(bandwidths.size)
    y1, y2 = np.zeros(bandwidths.size), np.zeros(bandwidths.size)
    phase, cycle, length, strength, soft, pole, octave = 0.0, 0, 1.0, 1.0, 0.0, 0.0, 0.0
    hiss_a1 = hiss_a2 = hiss_gain = hiss_1 = hiss_2 = 0.0
    last = (frames.size - 1) * hop - 1
    for n in range(white.size):
        k, w = n // hop, (n - n // hop * hop) / hop
        now, then = frames[k], frames[k + 1]
        pitch = _between(now.f0, then.f0, w)
        if n % STEP == 0:  # filters aim at new values 1,764 times a second and move there sample by sample
            ahead = min(n + STEP, last)
            j, v = ahead // hop, (ahead - ahead // hop * hop) / hop
            for m in range(bandwidths.size):
                frequency = _between(frames[j].formants[m], frames[j + 1].formants[m], v)
                aim, a2[m] = _resonance(frequency, bandwidths[m], rate)
                if n == 0:
                    a1[m] = aim
                a1_step[m] = (aim - a1[m]) / STEP
            hiss_a1, hiss_a2 = _resonance(min(now.centre, 0.4 * rate), now.width, rate)
            hiss_gain = (1.0 - np.exp(-np.pi * now.width / rate)) * 1.5
            pole = np.exp(-2.0 * np.pi * _between(now.tilt, then.tilt, w) / rate)
            octave = max(0.0, min(len(tables) - 1.0, 2.0 * np.log2(max(pitch, 1.0) / LOWEST_TABLE)))
        phase += length * pitch / rate
        if phase >= 1.0:
            phase -= 1.0
            cycle = (cycle + 1) % jitter.size
            length, strength = 1.0 + jitter[cycle], 1.0 + shimmer[cycle]
        x = phase * (tables.shape[1] - 1)
        pulse = _between(tables[int(octave), int(x)], tables[int(octave), int(x) + 1], x - int(x))
        soft = (1.0 - pole) * pulse * strength + pole * soft
        open_phase = 1.0 if phase < 0.6 else 0.35  # more air passes while the glottis is open
        breath = _between(now.breath, then.breath, w) * open_phase * white[n]
        y = _between(now.voicing, then.voicing, w) * soft + breath + 1e-15 * white[n]  # keeps denormals out
        for m in range(bandwidths.size):
            a1[m] += a1_step[m]
            y = (1.0 - a1[m] - a2[m]) * y + a1[m] * y1[m] + a2[m] * y2[m]
            y2[m], y1[m] = y1[m], y
        hiss = hiss_gain * _between(now.noise, then.noise, w) * white[n] + hiss_a1 * hiss_1 + hiss_a2 * hiss_2
        out[n] = y + (hiss - hiss_2)  # a zero at 0 Hz and at Nyquist: the noise is a band
        hiss_2, hiss_1 = hiss_1, hiss
    return out


@njit(cache=True)
def _between(a, b, part):
    """The value at a part of the way from a to b."""
    return a + part * (b - a)


@njit(cache=True)
def _resonance(frequency, bandwidth, rate):
    """Coefficients a1 and a2 of the two-pole resonator y[n] = gain x[n] + a1 y[n-1] + a2 y[n-2] (Klatt 1980)."""
    r = np.exp(-np.pi * bandwidth / rate)
    return 2.0 * r * np.cos(2.0 * np.pi * frequency / rate), -r * r


def render(notes, voice, n_samples, sample_rate, rng):
    """Sing a part.

    Parameters
    ----------
    notes : sequence of form.Note
        in seconds; `kind` is the syllable.
    voice : Voice
    n_samples : int
    sample_rate : int
        in Hz, a multiple of CONTROL_RATE.
    rng : numpy.random.Generator

    Returns
    -------
    audio : np.ndarray, float64, (n_samples,)
    f0 : np.ndarray, float32, (n_samples,)
        in Hz, without jitter; 0 where the voice is silent or only noise.
    """
    control_rng, noise_rng = rng.spawn(2)
    curves = controls(notes, voice, n_samples / sample_rate, control_rng)
    hop = sample_rate // CONTROL_RATE
    frames = np.zeros(curves["f0"].size, FRAME)
    for name in ("f0", "voicing", "breath", "noise", "centre", "width"):
        frames[name] = curves[name]
    frames["tilt"] = voice.tilt * (0.3 + 0.7 * curves["effort"] ** 2)
    higher = np.arange(5.5, N_FORMANTS + 0.4) * 1000.0 * voice.formant_scale
    frames["formants"] = np.minimum(np.c_[curves["formants"], np.tile(higher, (frames.size, 1))], 0.47 * sample_rate)
    white, jitter, shimmer = (noise_rng.standard_normal(size) for size in (n_samples, 4096, 4096))
    out = _synthesise(
        frames,
        np.r_[BANDWIDTHS, 200.0 + 0.035 * higher],
        glottal_tables(voice.open_quotient, sample_rate),
        white,
        voice.jitter * jitter,
        voice.shimmer * shimmer,
        hop,
        float(sample_rate),
    )
    position = np.arange(n_samples) / hop
    f0, voicing = (np.interp(position, np.arange(frames.size), curves[name]) for name in ("f0", "voicing"))
    return out, np.where(voicing > 0.03, f0, 0.0).astype(np.float32)
