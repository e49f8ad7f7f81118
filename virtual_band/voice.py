"""A singer after Klatt (1980) and Klatt & Klatt (1990): glottal pulses and noise through the resonances of the mouth.

The source is the derivative of the KLGLOTT88 pulse, read from tables that hold only the harmonics below the Nyquist
frequency (one table per half octave), softened by a spectral tilt when sung softly, roughened by jitter and shimmer,
with breath noise while the glottis is open. The filter is a cascade of sixteen formants, of which the first five
glide from vowel to vowel; fricatives and plosives are noise through a resonance of their own. Controls are drawn
first, at `CONTROL_RATE` frames per second, and can be plotted.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

CONTROL_RATE = 441  # frames per second; 100 samples at 44.1 kHz
N_FORMANTS = 16
TABLE_SIZE = 4096

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


@dataclass(frozen=True)
class Consonant:
    """A consonant: closure and noise in s; centre and width (Hz) and level of the noise; voicing 0-1; formants."""

    closure: float
    noise: float
    centre: float
    width: float
    level: float
    voiced: float
    formants: tuple[float, ...] | None = None


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


@dataclass(frozen=True)
class Voice:
    """Parameters of one singer."""

    low: int  # range, MIDI numbers
    high: int
    formant_scale: float  # 1 = a tract of 17.5 cm, above 1 a shorter one
    open_quotient: float  # part of a period for which the glottis is open
    tilt: float  # Hz, corner of the spectral tilt when sung loud
    breathiness: float
    vibrato_rate: float  # Hz
    vibrato_depth: float  # semitones
    vibrato_delay: float  # s
    portamento: float  # s
    jitter: float  # relative period deviation
    shimmer: float
    drift: float  # semitones
    consonants: float  # level

    @classmethod
    def draw(cls, rng):
        """Draw one singer, with a low or a high voice."""
        u = rng.uniform
        high_voice = rng.random() < 0.5
        low = int(rng.integers(55, 60)) if high_voice else int(rng.integers(45, 51))
        return cls(
            low=low,
            high=low + int(rng.integers(14, 18)),
            formant_scale=u(1.08, 1.22) if high_voice else u(0.94, 1.06),
            open_quotient=u(0.5, 0.75),
            tilt=u(4500.0, 12000.0),
            breathiness=u(0.05, 0.16),
            vibrato_rate=u(4.8, 6.6),
            vibrato_depth=u(0.15, 0.55),
            vibrato_delay=u(0.15, 0.4),
            portamento=u(0.03, 0.08),
            jitter=u(0.002, 0.006),
            shimmer=u(0.02, 0.06),
            drift=u(0.08, 0.18),
            consonants=u(0.5, 1.2),
        )


def glottal_tables(open_quotient, sample_rate):
    """One period of the derivative of the KLGLOTT88 pulse, band-limited for each half octave of f0 from 55 Hz.

    Returns
    -------
    np.ndarray, shape (12, TABLE_SIZE + 1)
        Table k serves f0 from 55 * 2**(k/2) up to 55 * 2**((k+1)/2) Hz; the last sample repeats the first.
    """
    t = np.arange(TABLE_SIZE) / TABLE_SIZE / open_quotient
    pulse = np.where(t < 1.0, 2.0 * t - 3.0 * t**2, 0.0)  # derivative of t^2 - t^3
    spectrum = np.fft.rfft(pulse)
    spectrum[0] = 0.0
    tables = np.empty((12, TABLE_SIZE + 1))
    for k in range(12):
        highest = int(0.45 * sample_rate / (55.0 * 2.0 ** ((k + 1) / 2.0)))
        cut = spectrum.copy()
        cut[max(2, highest + 1) :] = 0.0
        tables[k, :-1] = np.fft.irfft(cut)
    tables[:, -1] = tables[:, 0]
    return tables


def controls(notes, voice, seconds, rng):
    """From notes to the curves that drive the synthesiser.

    Parameters
    ----------
    notes : sequence of form.Note
        In seconds; `kind` is the syllable.
    voice : Voice
    seconds : float
    rng : numpy.random.Generator

    Returns
    -------
    dict of str -> np.ndarray, shape (frames, ...)
        At CONTROL_RATE frames per second: `f0` (Hz, always positive), `voicing` (amplitude of the pulses, 0 where
        unvoiced), `breath` (amplitude of the noise at the glottis), `noise` (amplitude of the consonants' noise),
        `centre` and `width` (of that noise, Hz), `effort` (0-1), `formants` (frames, 5) in Hz.
    """
    n = int(np.ceil(seconds * CONTROL_RATE)) + 2
    frame = lambda s: int(np.clip(round(s * CONTROL_RATE), 0, n))  # noqa: E731
    pitch, voicing, effort = np.full(n, np.nan), np.zeros(n), np.full(n, 0.6)
    breath, noise = np.zeros(n), np.zeros(n)
    centre, width = np.full(n, 3000.0), np.full(n, 2000.0)
    formants = np.full((n, 5), np.nan)
    vibrato = np.zeros(n)
    scatter = lambda: rng.uniform(0.96, 1.04, 5)  # noqa: E731
    end_before = 0.0
    for index, note in enumerate(notes):
        start, stop = note.start, note.start + note.duration
        following = notes[index + 1] if index + 1 < len(notes) else None
        if following is not None:
            stop = min(stop, following.start)
        joined = following is not None and following.start - stop < 0.06
        if joined:
            stop = following.start
        if note.kind == "~" and index:
            consonant = NONE
        else:
            consonant_name, vowel = note.kind.split(".")
            consonant = CONSONANTS[consonant_name]
            target = np.array(FORMANTS[vowel]) * scatter()
        if stop - start < 0.05:
            continue
        # The vowel starts on the beat, the consonant comes before it and takes its time from the note before.
        lead = min(consonant.closure + consonant.noise, 0.5 * max(0.05, start - end_before + 0.12))
        scale = lead / (consonant.closure + consonant.noise) if lead else 1.0
        begin = frame(start - lead)
        burst, on, off = frame(start - scale * consonant.noise), frame(start), frame(stop)
        if lead:
            voicing[begin:on] = consonant.voiced * note.velocity
            noise[burst:on] = consonant.level * voice.consonants * (0.5 + 0.5 * note.velocity)
            margin = frame(0.02)
            centre[max(0, begin - margin) : on + margin] = consonant.centre * rng.uniform(0.9, 1.1)
            width[max(0, begin - margin) : on + margin] = consonant.width
            formants[begin:on] = np.array(consonant.formants) if consonant.formants else target
        t = np.arange(off - on) / CONTROL_RATE
        pitch[begin:off] = note.pitch
        formants[on:off] = target
        voicing[on:off] = note.velocity * (1.0 - 0.15 * t / max(0.2, note.duration)) * rng.uniform(0.9, 1.1)
        effort[begin:off] = note.velocity
        depth = voice.vibrato_depth * rng.uniform(0.6, 1.2) * np.clip((t - voice.vibrato_delay) / 0.35, 0.0, 1.0)
        vibrato[on:off] = depth * np.sin(2 * np.pi * voice.vibrato_rate * rng.uniform(0.94, 1.06) * t)
        if not joined:
            tail = frame(min(0.10, 0.4 * (stop - start)))
            voicing[off - tail : off] *= np.linspace(1.0, 0.0, tail) if tail else 1.0
        rest = start - lead - end_before
        if rest > 0.45:  # breathe in before the phrase
            first, last = frame(start - lead - 0.32), frame(start - lead - 0.06)
            noise[first:last] = 0.18 * np.hanning(last - first) * voice.consonants
            centre[first:last], width[first:last] = 2200.0, 2500.0
        fall = not joined and stop - start > 0.3 and rng.random() < 0.5
        if fall:  # let the pitch drop at the end of a phrase
            span = min(off - on, frame(0.14))
            pitch[off - span : off] -= rng.uniform(0.5, 2.5) * np.linspace(0.0, 1.0, span) ** 2
        scoop = rng.uniform(0.3, 1.5) if rest > 0.2 else 0.0
        if scoop:
            rise = np.minimum(off, on + frame(0.12)) - begin
            pitch[begin : begin + rise] -= scoop * np.linspace(1.0, 0.0, rise) ** 2
        end_before = stop

    pitch = _hold(pitch, 60.0)
    formants = np.stack([_hold(formants[:, k], FORMANTS["@"][k]) for k in range(5)], axis=1)
    glide = voice.portamento * CONTROL_RATE / 2.0
    wander = gaussian_filter1d(rng.standard_normal(n), 0.08 * CONTROL_RATE)
    pitch = (
        gaussian_filter1d(pitch, glide)
        + gaussian_filter1d(vibrato, 3.0)
        + voice.drift * wander / (max(wander.std(), 0.02) + 1e-9)
    )
    formants = gaussian_filter1d(formants, 0.018 * CONTROL_RATE, axis=0) * voice.formant_scale
    f0 = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    # Singers raise the first formant to the pitch (Sundberg 1987).
    formants[:, 0] = np.maximum(formants[:, 0], 1.05 * f0)
    voicing = gaussian_filter1d(voicing, 0.006 * CONTROL_RATE)
    voicing[voicing < 0.01] = 0.0
    breath = voice.breathiness * voicing * (1.4 - 0.8 * effort)
    return {
        "f0": f0,
        "voicing": voicing,
        "breath": breath,
        "noise": gaussian_filter1d(noise, 0.004 * CONTROL_RATE),
        "centre": centre,
        "width": width,
        "effort": gaussian_filter1d(effort, 0.02 * CONTROL_RATE),
        "formants": formants,
    }


def _hold(values, default):
    """Fill gaps (NaN) with the value before them, and the first gap with the first value."""
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return np.full(values.shape, float(default))
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(values.size)))
    last[: known[0]] = known[0]
    return values[last]


@njit(cache=True)
def _synthesise(
    f0,
    voicing,
    breath,
    noise,
    centre,
    width,
    tilt,
    formants,
    bandwidths,
    tables,
    white,
    jitter,
    shimmer,
    hop,
    rate,
    n_samples,
):
    """Run source and filter sample by sample; controls are linear between frames. Returns the radiated sound."""
    out = np.empty(n_samples)
    n_formants = formants.shape[1]
    b = np.zeros(n_formants)
    b_step = np.zeros(n_formants)
    c = np.zeros(n_formants)
    z1 = np.zeros(n_formants)
    z2 = np.zeros(n_formants)
    phase = 0.0
    period_gain, period_shift, cycle = 1.0, 1.0, 0
    soft = 0.0
    f1 = f2 = 0.0
    fb = fc = fg = 0.0
    table_size = tables.shape[1] - 1
    bend = 0.0
    pole = 0.0
    last = (f0.size - 1) * hop - 1
    for n in range(n_samples):
        k = n // hop
        w = (n - k * hop) / hop
        pitch = f0[k] + w * (f0[k + 1] - f0[k])
        if n % 25 == 0:  # filters aim at new values 1,764 times a second and move there sample by sample
            ahead = min(n + 25, last)
            j = ahead // hop
            v = (ahead - j * hop) / hop
            for m in range(n_formants):
                frequency = formants[j, m] + v * (formants[j + 1, m] - formants[j, m])
                r = np.exp(-np.pi * bandwidths[m] / rate)
                aim = 2.0 * r * np.cos(2.0 * np.pi * frequency / rate)
                if n == 0:
                    b[m] = aim
                b_step[m] = (aim - b[m]) / 25.0
                c[m] = -r * r
            r = np.exp(-np.pi * width[k] / rate)
            fb = 2.0 * r * np.cos(2.0 * np.pi * min(centre[k], 0.4 * rate) / rate)
            fc = -r * r
            fg = (1.0 - r) * 1.5
            pole = np.exp(-2.0 * np.pi * (tilt[k] + w * (tilt[k + 1] - tilt[k])) / rate)
            bend = max(0.0, min(11.0, 2.0 * np.log2(max(pitch, 1.0) / 55.0)))
        phase += period_shift * pitch / rate
        if phase >= 1.0:
            phase -= 1.0
            cycle = (cycle + 1) % jitter.size
            period_shift = 1.0 + jitter[cycle]
            period_gain = 1.0 + shimmer[cycle]
        x = phase * table_size
        i = int(x)
        level = int(bend)
        pulse = tables[level, i] + (x - i) * (tables[level, i + 1] - tables[level, i])
        soft = (1.0 - pole) * pulse * period_gain + pole * soft
        open_phase = 1.0 if phase < 0.6 else 0.35
        voice = (voicing[k] + w * (voicing[k + 1] - voicing[k])) * soft
        y = (
            voice + (breath[k] + w * (breath[k + 1] - breath[k])) * open_phase * white[n] + 1e-15 * white[n]
        )  # keeps denormals out
        for m in range(n_formants):
            b[m] += b_step[m]
            y = (1.0 - b[m] - c[m]) * y + b[m] * z1[m] + c[m] * z2[m]
            z2[m], z1[m] = z1[m], y
        f = fg * (noise[k] + w * (noise[k + 1] - noise[k])) * white[n] + fb * f1 + fc * f2
        out[n] = y + (f - f2)  # a zero at 0 Hz and at Nyquist: the noise is a band
        f2, f1 = f1, f
    return out


def render(notes, voice, n_samples, sample_rate, rng):
    """Sing a part.

    Parameters
    ----------
    notes : sequence of form.Note
    voice : Voice
    n_samples : int
    sample_rate : int
        A multiple of CONTROL_RATE.
    rng : numpy.random.Generator

    Returns
    -------
    audio : np.ndarray, shape (n_samples,), float64
    f0 : np.ndarray, shape (n_samples,), float32
        Hz, without jitter; 0 where the voice is silent or only noise.
    """
    control_rng, noise_rng = rng.spawn(2)
    curves = controls(notes, voice, n_samples / sample_rate, control_rng)
    hop = sample_rate // CONTROL_RATE
    frames = curves["f0"].size
    higher = np.arange(5.5, N_FORMANTS + 0.4) * 1000.0 * voice.formant_scale
    formants = np.concatenate([curves["formants"], np.tile(higher, (frames, 1))], axis=1)
    formants = np.minimum(formants, 0.47 * sample_rate)
    bandwidths = np.concatenate([BANDWIDTHS, 200.0 + 0.035 * higher])
    tilt = voice.tilt * (0.3 + 0.7 * curves["effort"] ** 2)
    out = _synthesise(
        curves["f0"], curves["voicing"], curves["breath"], curves["noise"], curves["centre"], curves["width"], tilt,
        formants, bandwidths, glottal_tables(voice.open_quotient, sample_rate), noise_rng.standard_normal(n_samples),
        voice.jitter * noise_rng.standard_normal(4096), voice.shimmer * noise_rng.standard_normal(4096), hop,
        float(sample_rate), n_samples,
    )  # fmt: skip
    position = np.arange(n_samples) / hop
    f0 = np.interp(position, np.arange(frames), curves["f0"])
    voiced = np.interp(position, np.arange(frames), curves["voicing"]) > 0.03
    return out, np.where(voiced, f0, 0.0).astype(np.float32)
