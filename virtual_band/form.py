"""The skeleton of a song: an artist's habits, and from them tempo, metre, key, form and chords.

Notebook: virtual_band/dataset_report.ipynb
"""

from collections import namedtuple
from dataclasses import make_dataclass

import numpy as np

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

# Four-bar progressions as scale degrees from 0. The verse rests on the tonic, the chorus moves, the bridge leaves home.
PROGRESSIONS = {
    "verse": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 0, 3, 4), (0, 6, 3, 0), (0, 2, 3, 3)),
    "chorus": ((5, 3, 0, 4), (3, 4, 0, 5), (0, 4, 5, 3), (3, 0, 4, 5), (0, 3, 5, 4)),
    "bridge": ((3, 3, 1, 4), (5, 5, 3, 4), (1, 4, 2, 5), (3, 2, 1, 4)),
}
USUAL_MODE, MAJOR_DOMINANT = 0.7, 0.5  # chances: of the artist's first mode, and of a major V in a minor key
FORM = ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus")


class Note(namedtuple("Note", "start duration pitch velocity kind", defaults=("",))):
    """One event of one part.

    Attributes
    ----------
    start, duration : float
        in beats while the score is written, in seconds once it is performed.
    pitch : int
        MIDI number; for drums the General MIDI number of the piece.
    velocity : float
        0 (silent) to 1 (as hard as this player plays).
    kind : str
        how it is played. Drums: the piece. Bass: pluck, slide (from the note before), dead. Vocals: the syllable,
        consonant and vowel joined by a dot ("s.a"), or "~" where the syllable of the note before goes on. Other:
        strum, up, hold.
    """


def hertz(pitch, detune=0.0):
    """The frequency in Hz of a MIDI number (A4 = 69), or of many, so many semitones out of tune."""
    return 440.0 * 2.0 ** ((pitch - 69 + detune) / 12.0)


class Section(namedtuple("Section", "name first_bar bars")):
    """A part of the form: its name, its first bar and its number of bars."""


def drawn(ranges, rng):
    """Numbers drawn evenly from ranges, name → (lowest, highest), in the order of the table."""
    return {name: rng.uniform(*limits) for name, limits in ranges.items()}


HABITS = {  # that are chances, and the range of each over all artists
    "busy_kick": (0.2, 0.5),  # of a kick on a free eighth
    "ghost_notes": (0.03, 0.25),  # of a ghost note on a free sixteenth of the snare
    "sixteenth_hats": (0.1, 0.5),  # of sixteenths, where the tempo allows them
    "ride_chorus": (0.1, 0.7),  # of the ride in place of the hat
    "bass_busy": (0.3, 0.75),  # of a note on each eighth of a section's pattern
    "bass_octaves": (0.05, 0.4),
    "bass_slides": (0.06, 0.25),
    "bass_dead": (0.02, 0.15),  # of a dead note on a free sixteenth
    "syncopation": (0.1, 0.45),
    "melisma": (0.08, 0.25),  # of a syllable on more than one note
}
Style = make_dataclass(  # an artist's musical habits
    "Style",
    ["tempo", "modes", "swing_chance", "waltz_chance", "seventh_chance", *HABITS, "comping", "tightness"],
    frozen=True,
)


def draw(rng):
    """Draw the habits of one artist."""
    centre = rng.uniform(88.0, 138.0)
    return Style(
        modes=tuple(map(str, rng.choice(list(MODES), size=2, replace=False, p=[0.4, 0.35, 0.15, 0.1]))),  # usual first
        tempo=(max(70.0, centre - 22.0), min(160.0, centre + 22.0)),  # beats per minute, range of the artist's songs
        swing_chance=float(rng.choice([0.05, 0.2, 0.6])),
        waltz_chance=rng.uniform(0.0, 0.15),
        seventh_chance=float(rng.choice([0.05, 0.2, 0.6])),
        **drawn(HABITS, rng),
        comping=tuple(map(str, rng.permutation(["strum", "hold", "offbeat", "arpeggio"])[:3])),  # ways to play chords
        tightness=rng.uniform(0.6, 1.3),  # scales the scatter of every player's timing
    )


class Plan(namedtuple("Plan", "tempo beats swing key mode sections chords")):
    """The skeleton that all parts share.

    Attributes
    ----------
    tempo : float
        beats per minute.
    beats : int
        beats per bar.
    swing : float
        where the second eighth of a beat falls, 0.5 (straight) to 0.67 (triplet).
    key : int
        pitch class of the tonic, 0 = C.
    mode : str
        a key of `MODES`.
    sections : tuple of Section
    chords : tuple of tuple of int
        one per bar: pitch classes, root first.
    """

    @property
    def bars(self):
        """Number of bars."""
        return len(self.chords)

    @property
    def scale(self):
        """Pitch classes of the key, tonic first."""
        return tuple((self.key + step) % 12 for step in MODES[self.mode])

    def section_at(self, bar):
        """The section that holds bar number `bar`."""
        return next(s for s in self.sections if s.first_bar <= bar < s.first_bar + s.bars)


def plan_song(style, seconds, rng):
    """Draw the skeleton of a song that fills `seconds`.

    The form is a window on intro-verse-chorus-verse-chorus-bridge-chorus, so that short songs also meet the bridge;
    the last bar is the ending, on the tonic.

    Parameters
    ----------
    style : Style
    seconds : float
    rng : numpy.random.Generator

    Returns
    -------
    Plan
    """
    tempo = rng.uniform(*style.tempo)
    beats = 3 if rng.random() < style.waltz_chance else 4
    swing = rng.uniform(0.58, 0.67) if rng.random() < style.swing_chance else 0.5
    key = int(rng.integers(12))
    mode = style.modes[0] if rng.random() < USUAL_MODE else style.modes[1]
    n_bars = max(1, int(np.ceil(seconds * tempo / 60.0 / beats)))

    progressions = {name: choices[rng.integers(len(choices))] for name, choices in PROGRESSIONS.items()}
    progressions["intro"] = progressions["verse"]
    sevenths = rng.random() < style.seventh_chance
    dominant_major = mode == "minor" and rng.random() < MAJOR_DOMINANT

    sections, chords = [], []
    position = int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.2, 0.2, 0.2, 0.2]))
    while len(chords) < n_bars:
        name = FORM[position % len(FORM)]
        length = min(int(rng.choice([1, 2])) if name == "intro" else 4, n_bars - len(chords))
        sections.append(Section(name, len(chords), length))
        chords += [_chord(key, mode, progressions[name][bar % 4], sevenths, dominant_major) for bar in range(length)]
        position += 1
    if n_bars > 4:
        last = sections.pop()
        if last.bars > 1:
            sections.append(Section(last.name, last.first_bar, last.bars - 1))
        sections.append(Section("ending", n_bars - 1, 1))
        chords[-1] = _chord(key, mode, 0, sevenths, dominant_major)
    return Plan(tempo, beats, swing, key, mode, tuple(sections), tuple(chords))


def _chord(key, mode, degree, seventh, dominant_major):
    """Pitch classes of the chord of thirds on a scale degree, root first."""
    scale = MODES[mode]
    tones = [(key + scale[(degree + step) % 7]) % 12 for step in ((0, 2, 4, 6) if seventh else (0, 2, 4))]
    if dominant_major and degree == 4:
        tones[1] = (tones[0] + 4) % 12
    return tuple(tones)
