"""What the band plays: harmony, form and groove, and from them the notes of every part.

A score is made in three steps, each a function of the artist's style and a random generator:

1. `plan_song` draws tempo, metre, key, mode, the form (intro, verse, chorus, bridge, ending) and one chord per bar;
2. `play_drums`, `play_bass`, `sing`, `comp` write each part on a grid of sixteenth notes;
3. `perform` turns beats into seconds: swing, the players' habit of pushing or laying back, and their scatter.
"""

from dataclasses import dataclass, field

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
FORM = ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus")

CONSONANTS = ("", "h", "s", "sh", "f", "t", "k", "p", "d", "b", "m", "n", "l", "r", "w", "v")
VOWELS = ("a", "e", "i", "o", "u", "@", "ae")

STEPS_PER_BEAT = 4


@dataclass(frozen=True)
class Note:
    """One event of one part.

    Attributes
    ----------
    start, duration : float
        In beats while the score is written, in seconds once it is performed.
    pitch : int
        MIDI number; for drums the General MIDI number of the piece.
    velocity : float
        0 (silent) to 1 (as hard as this player plays).
    kind : str
        How it is played. Drums: the piece. Bass: pluck, slide (from the note before), dead. Vocals: the syllable,
        consonant and vowel joined by a dot ("s.a"), or "~" where the syllable of the note before goes on. Other:
        strum, up, hold.
    """

    start: float
    duration: float
    pitch: int
    velocity: float
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the form: its name, its first bar and its number of bars."""

    name: str
    first_bar: int
    bars: int


@dataclass(frozen=True)
class Style:
    """An artist's musical habits, drawn once per artist (`Style.draw`)."""

    tempo: tuple[float, float] = (84.0, 132.0)  # beats per minute, range of the artist's songs
    modes: tuple[str, ...] = ("major", "minor")
    swing_chance: float = 0.2
    waltz_chance: float = 0.08
    seventh_chance: float = 0.2
    busy_kick: float = 0.35  # chance of a kick on a free eighth
    ghost_notes: float = 0.15  # chance of a ghost note on a free sixteenth of the snare
    sixteenth_hats: float = 0.3
    ride_chorus: float = 0.4
    bass_busy: float = 0.5
    bass_octaves: float = 0.25
    bass_slides: float = 0.15
    bass_dead: float = 0.08
    syncopation: float = 0.3
    melisma: float = 0.15
    comping: tuple[str, ...] = ("strum", "hold", "offbeat", "arpeggio")
    tightness: float = 1.0  # scales the scatter of every player's timing

    @classmethod
    def draw(cls, rng):
        """Draw the habits of one artist.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        Style
        """
        centre = rng.uniform(88.0, 138.0)
        modes = tuple(str(m) for m in rng.choice(list(MODES), size=2, replace=False, p=[0.4, 0.35, 0.15, 0.1]))
        return cls(
            tempo=(max(70.0, centre - 22.0), min(160.0, centre + 22.0)),
            modes=modes,
            swing_chance=float(rng.choice([0.05, 0.2, 0.6])),
            waltz_chance=float(rng.uniform(0.0, 0.15)),
            seventh_chance=float(rng.choice([0.05, 0.2, 0.6])),
            busy_kick=rng.uniform(0.2, 0.5),
            ghost_notes=rng.uniform(0.03, 0.25),
            sixteenth_hats=rng.uniform(0.1, 0.5),
            ride_chorus=rng.uniform(0.1, 0.7),
            bass_busy=rng.uniform(0.3, 0.75),
            bass_octaves=rng.uniform(0.05, 0.4),
            bass_slides=rng.uniform(0.06, 0.25),
            bass_dead=rng.uniform(0.02, 0.15),
            syncopation=rng.uniform(0.1, 0.45),
            melisma=rng.uniform(0.08, 0.25),
            comping=tuple(str(c) for c in rng.permutation(["strum", "hold", "offbeat", "arpeggio"])[:3]),
            tightness=rng.uniform(0.6, 1.3),
        )


@dataclass(frozen=True)
class Plan:
    """The skeleton that all parts share.

    Attributes
    ----------
    tempo : float
        Beats per minute.
    beats : int
        Beats per bar.
    swing : float
        Where the second eighth of a beat falls, 0.5 (straight) to 0.67 (triplet).
    key : int
        Pitch class of the tonic, 0 = C.
    mode : str
        A key of `MODES`.
    sections : tuple of Section
    chords : tuple of tuple of int
        One per bar: pitch classes, root first.
    """

    tempo: float
    beats: int
    swing: float
    key: int
    mode: str
    sections: tuple[Section, ...]
    chords: tuple[tuple[int, ...], ...]

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


@dataclass(frozen=True)
class Score:
    """A performed score: the plan and, per part, its notes in seconds."""

    plan: Plan
    parts: dict[str, tuple[Note, ...]] = field(default_factory=dict)


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
    mode = style.modes[0] if rng.random() < 0.7 else style.modes[1]
    n_bars = max(1, int(np.ceil(seconds * tempo / 60.0 / beats)))

    progressions = {name: choices[rng.integers(len(choices))] for name, choices in PROGRESSIONS.items()}
    progressions["intro"] = progressions["verse"]
    sevenths = rng.random() < style.seventh_chance
    dominant_major = mode == "minor" and rng.random() < 0.5

    sections, chords = [], []
    position = int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.2, 0.2, 0.2, 0.2]))
    while len(chords) < n_bars:
        name = FORM[position % len(FORM)]
        length = int(rng.choice([1, 2])) if name == "intro" else 4
        length = min(length, n_bars - len(chords))
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


# ---------------------------------------------------------------------------------------------------------------- drums

PIECES = {
    "kick": 36, "rim": 37, "snare": 38, "tom_low": 41, "hat_closed": 42, "hat_pedal": 44, "tom_mid": 45, "hat_open": 46,
    "tom_high": 48, "crash": 49, "ride": 51,
}  # fmt: skip


def play_drums(plan, style, rng):
    """Write the drum part: one groove per section type, repeated with small variations, fills at the ends of sections.

    Returns
    -------
    list of Note
        In beats; `kind` is the piece (a key of `PIECES`).
    """
    grooves = {name: _groove(plan, style, name, rng) for name in ("intro", "verse", "chorus", "bridge", "ending")}
    notes = []

    def hit(beat, piece, velocity):
        velocity = float(np.clip(velocity * rng.normal(1.0, 0.07), 0.05, 1.0))
        notes.append(Note(beat, 0.25, PIECES[piece], velocity, piece))

    steps = plan.beats * STEPS_PER_BEAT
    for section in plan.sections:
        groove = grooves[section.name]
        for bar in range(section.first_bar, section.first_bar + section.bars):
            start = bar * plan.beats
            if section.name == "ending":
                hit(start, "crash", 0.9)
                hit(start, "kick", 0.95)
                continue
            first, last = bar == section.first_bar, bar == section.first_bar + section.bars - 1
            if first and section.name in ("chorus", "bridge") or first and bar and rng.random() < 0.4:
                hit(start, "crash", rng.uniform(0.75, 1.0))
            fill_from = (
                steps - int(rng.choice([4, 6, 8])) if last and section.bars > 1 and rng.random() < 0.85 else steps
            )
            for step in range(steps):
                beat = start + step / STEPS_PER_BEAT
                if step >= fill_from:
                    continue
                for piece, line in groove.items():
                    chance, velocity = line[step]
                    if rng.random() < chance:
                        hit(beat, piece, velocity)
            if fill_from < steps:
                _fill(hit, start, fill_from, steps, rng)
    return notes


def _groove(plan, style, name, rng):
    """One bar: piece -> (chance, velocity) of each sixteenth. Chance 1 is the pattern, less is its variation."""
    steps = plan.beats * STEPS_PER_BEAT
    silent = (0.0, 0.0)
    kick, snare, cymbal, pedal = ([silent] * steps for _ in range(4))

    kick[0] = (1.0, 0.95)
    for step in range(2, steps, 2):
        favoured = step in (8, 10, 6, 14)
        if rng.random() < style.busy_kick * (1.3 if favoured else 0.5):
            kick[step] = (0.95, rng.uniform(0.7, 0.9))
        elif rng.random() < 0.3:
            kick[step] = (0.08, 0.6)
    if rng.random() < style.syncopation:
        kick[int(rng.choice([3, 7, 11]))] = (0.9, 0.7)

    backbeat = [4, 12] if plan.beats == 4 else [4, 8]
    if name == "bridge" and plan.beats == 4 and rng.random() < 0.5:
        backbeat = [8]  # half time
    for step in range(1, steps):
        if step in backbeat:
            snare[step] = (1.0, 0.9 if name == "chorus" else 0.8)
            kick[step] = (0.3 * kick[step][0], kick[step][1])
        elif rng.random() < style.ghost_notes:
            snare[step] = (0.7, rng.uniform(0.15, 0.3))
    snare_piece = "rim" if name in ("verse", "intro") and rng.random() < 0.2 else "snare"

    every = 1 if rng.random() < style.sixteenth_hats and plan.tempo < 120 else 2
    for step in range(0, steps, every):
        accent = 0.8 if step % 4 == 0 else 0.55 if step % 2 == 0 else 0.4
        cymbal[step] = (0.97, accent)
    cymbal_piece = "ride" if name in ("chorus", "bridge") and rng.random() < style.ride_chorus else "hat_closed"
    groove = {"kick": kick, snare_piece: snare, cymbal_piece: cymbal}
    if cymbal_piece == "ride":
        for step in backbeat:
            pedal[step] = (0.9, 0.5)
        groove["hat_pedal"] = pedal
    else:
        opened = [silent] * steps
        for step in rng.choice(np.arange(2, steps, 4), size=rng.integers(0, 3), replace=False):
            opened[step], cymbal[step] = (0.9, 0.7), silent
        if name == "chorus" and rng.random() < 0.35:  # open hats all through
            opened = [
                (0.95, 0.75) if step % 4 == 0 else (0.8, 0.5) if step % 2 == 0 else silent for step in range(steps)
            ]
            groove.pop(cymbal_piece)
        groove["hat_open"] = opened
    if name == "intro" and rng.random() < 0.5:  # time-keeping only
        groove = {cymbal_piece: cymbal, "kick": [kick[0]] + [silent] * (steps - 1)}
    return groove


def _fill(hit, start, first, last, rng):
    """A fill that walks down the kit from the snare to the low tom, growing louder."""
    pieces = ("snare", "tom_high", "tom_mid", "tom_low")
    sparse = rng.random() < 0.4
    for step in range(first, last):
        if sparse and step % 2 and rng.random() < 0.7:
            continue
        through = (step - first) / max(1, last - first)
        piece = pieces[min(3, int(4 * through * rng.uniform(0.7, 1.2)))]
        hit(start + step / STEPS_PER_BEAT, piece, 0.55 + 0.4 * through)
    if rng.random() < 0.6:
        hit(start + first / STEPS_PER_BEAT, "kick", 0.8)


# ----------------------------------------------------------------------------------------------------------------- bass


def play_bass(plan, style, lowest, drums, rng):
    """Write the bass: with the kick, roots on new chords, fifths and octaves between, approach notes before a change.

    Parameters
    ----------
    lowest : int
        MIDI number of the lowest note this player uses for a root.
    drums : list of Note
        The drum part; its kicks are where the bass plays.

    Returns
    -------
    list of Note
        In beats; they do not overlap. `kind` is pluck, slide or dead.
    """
    kicks = {round(n.start * STEPS_PER_BEAT) for n in drums if n.kind == "kick"}
    steps = plan.beats * STEPS_PER_BEAT
    onsets = {}
    patterns = {name: rng.random(steps) < style.bass_busy for name in ("intro", "verse", "chorus", "bridge", "ending")}
    rest_bars = {s.first_bar for s in plan.sections if s.name == "intro" and rng.random() < 0.4}
    for bar, chord in enumerate(plan.chords):
        if bar in rest_bars:
            continue
        root = lowest + (chord[0] - lowest) % 12
        fifth = root + (chord[2] - chord[0]) % 12
        fifth = fifth - 12 if fifth - 12 >= lowest and rng.random() < 0.4 else fifth
        name = plan.section_at(bar).name
        onsets[bar * steps] = (root, "pluck")
        if name == "ending":
            break
        for step in range(1, steps):
            now = bar * steps + step
            eighth = step % 2 == 0
            wanted = now in kicks and rng.random() < 0.9 or eighth and patterns[name][step] and rng.random() < 0.92
            if wanted:
                r = rng.random()
                pitch = root + 12 if r < style.bass_octaves * 0.5 else fifth if r < style.bass_octaves + 0.12 else root
                onsets[now] = (pitch, "pluck")
            elif not eighth and rng.random() < style.bass_dead:
                onsets[now] = (root, "dead")
        following = plan.chords[bar + 1] if bar + 1 < plan.bars else None
        if following and following[0] != chord[0] and rng.random() < 0.55:
            target = lowest + (following[0] - lowest) % 12
            below = [
                p
                for p in range(max(lowest, target - 2), target + 3)
                if p != target and p % 12 in plan.scale and abs(p - target) <= 2
            ]
            approach = (
                int(rng.choice(below)) if below and rng.random() < 0.75 else target + (1 if target == lowest else -1)
            )
            onsets[(bar + 1) * steps - 2] = (approach, "pluck")

    staccato = rng.uniform(0.55, 0.95)
    notes, times = [], sorted(onsets)
    for here, after in zip(times, times[1:] + [plan.bars * steps]):
        pitch, kind = onsets[here]
        if (
            notes
            and kind == "pluck"
            and notes[-1].kind != "dead"
            and 0 < abs(pitch - notes[-1].pitch) <= 5
            and rng.random() < style.bass_slides
        ):
            kind = "slide"
        gap = (after - here) / STEPS_PER_BEAT
        held = 0.2 if kind == "dead" else min(gap, 4.0) * min(1.0, staccato * rng.uniform(0.85, 1.15))
        if after in onsets and onsets[after][1] == "pluck" and rng.random() < 0.3:
            held = gap  # legato into the next note
        velocity = (0.85 if here % STEPS_PER_BEAT == 0 else 0.72) * rng.normal(1.0, 0.08)
        notes.append(Note(here / STEPS_PER_BEAT, min(held, gap), int(pitch), float(np.clip(velocity, 0.2, 1.0)), kind))
    return notes


# --------------------------------------------------------------------------------------------------------------- vocals


def sing(plan, style, low, high, rng):
    """Write the melody: a motif per section type, repeated and bent to the chords, in phrases with rests.

    Notes on strong beats move to the nearest chord tone, the others to the nearest note of the key. The chorus lies
    higher and repeats its words; the verse brings new ones.

    Parameters
    ----------
    low, high : int
        Range of the singer, MIDI numbers.

    Returns
    -------
    list of Note
        In beats; they do not overlap. `kind` is the syllable.
    """
    motifs = {
        name: [_motif(plan, style, rng) for _ in range(2)] for name in ("verse", "chorus", "bridge", "intro", "ending")
    }
    words = {name: [_syllable(rng) for _ in range(64)] for name in ("chorus", "ending")}
    middle = (low + high) / 2.0
    centres = {"verse": middle - 2, "chorus": middle + 2.5, "bridge": middle, "intro": middle - 2, "ending": middle}
    notes, previous = [], middle
    for section in plan.sections:
        if section.name == "intro" and rng.random() < 0.8:
            continue
        lyric, spoken = words.get(section.name) or [_syllable(rng) for _ in range(64)], 0
        first, second = motifs[section.name]
        order = (first, second, first, second) if rng.random() < 0.5 else (first, first, second, first)
        for index in range(section.bars):
            bar = section.first_bar + index
            start = bar * plan.beats
            rhythm, contour, rest_after = order[index % 4]
            chord = plan.chords[bar]
            if section.name == "ending":
                rhythm, contour, rest_after = [(0.0, plan.beats * 0.8)], [0], 0.0
            elif index % 4 == 1 and rng.random() < 0.08:
                continue  # a bar of rest
            answer = -2 if index % 4 == 3 else 0  # the last bar of a period falls
            limit = plan.beats - (rest_after if index % 2 else 0.0)  # phrases of two bars
            for (at, length), step in zip(rhythm, contour):
                if at >= limit:
                    break
                if rng.random() < 0.04 and at > 0:
                    continue
                wished = centres[section.name] + 1.7 * (step + answer)
                wished = 0.7 * wished + 0.3 * previous
                strong = at % 2 == 0 or length >= 1.0
                pitch = _nearest(wished, chord if strong else plan.scale, low, high)
                length = min(length, limit - at, plan.beats - at)
                if length < 0.2:
                    continue
                melisma = bool(notes) and at > 0 and pitch != notes[-1].pitch and rng.random() < style.melisma
                kind = (
                    "~"
                    if melisma and abs(notes[-1].start + notes[-1].duration - start - at) < 0.05
                    else lyric[spoken % 64]
                )
                spoken += kind != "~"
                velocity = (0.86 if section.name == "chorus" else 0.72) + (0.08 if strong else 0.0)
                velocity = float(np.clip(velocity * rng.normal(1.0, 0.06), 0.3, 1.0))
                notes.append(Note(start + at, length, pitch, velocity, kind))
                previous = pitch
    return notes


def _motif(plan, style, rng):
    """A bar of melody: rhythm as (beat, length), contour in scale steps around 0, rest at the end of a phrase."""
    at = float(rng.choice([0.0, 0.0, 0.0, 0.5]))
    rhythm = []
    while at < plan.beats - 0.2:
        length = float(rng.choice([0.5, 1.0, 0.5, 1.5, 2.0, 0.25], p=[0.36, 0.3, 0.1, 0.12, 0.07, 0.05]))
        if at % 1 == 0 and length == 0.5 and rng.random() < style.syncopation:
            length = 0.75
        length = min(length, plan.beats - at)
        rhythm.append((at, length))
        at += length
    steps = rng.choice([-2, -1, -1, 0, 1, 1, 2, 3], size=len(rhythm)).cumsum()
    contour = [int(step) for step in np.clip(steps - round(float(np.mean(steps))), -4, 4)]
    return rhythm, contour, float(rng.choice([0.5, 0.75, 1.0, 1.5]))


def _nearest(wished, pitch_classes, low, high):
    """The MIDI number in [low, high] with one of the pitch classes that lies closest to a wished pitch."""
    choices = [p for p in range(low, high + 1) if p % 12 in pitch_classes]
    return min(choices, key=lambda p: (abs(p - wished), p))


def _syllable(rng):
    return f"{CONSONANTS[rng.integers(len(CONSONANTS))]}.{VOWELS[rng.integers(len(VOWELS))]}"


# ---------------------------------------------------------------------------------------------------------------- other


def comp(plan, style, rng):
    """Write the chordal part: one way of comping per section type, voicings that move as little as possible.

    Returns
    -------
    list of Note
        In beats; chords are several notes with one start. `kind` is strum (downwards), up or hold.
    """
    ways = {name: str(rng.choice(style.comping)) for name in ("intro", "verse", "chorus", "bridge")}
    ways["ending"] = "hold"
    voicing = [52 + (plan.chords[0][0] - 52) % 12 + i for i in (0, 4, 7)]
    notes = []
    for bar, chord in enumerate(plan.chords):
        start, name = bar * plan.beats, plan.section_at(bar).name
        centre = float(np.mean(voicing))
        voicing = _voicing(chord, 0.5 * centre + 0.5 * 61)
        way = ways[name]
        if way == "hold":
            half = plan.beats / 2.0
            events = [(0.0, half + 0.5, "hold", 0.75), (half, half + 0.5, "hold", 0.65)]
        elif way == "offbeat":
            events = [(b + 0.5, 0.6, "up", 0.75) for b in range(plan.beats)] + [(0.0, 0.6, "strum", 0.6)]
        elif way == "strum":
            events = [
                (b / 2, 0.75, "up" if b % 2 else "strum", 0.85 if b % 4 == 0 else 0.6) for b in range(2 * plan.beats)
            ]
            events = [e for e in events if e[0] == 0 or rng.random() < 0.8]
        else:
            order = voicing + voicing[-2:0:-1]
            for i in range(2 * plan.beats):
                velocity = float(np.clip(0.65 * rng.normal(1, 0.08), 0.2, 1))
                notes.append(Note(start + i / 2, 2.0, order[i % len(order)], velocity, "hold"))
            continue
        for at, length, kind, velocity in events:
            velocity = float(np.clip(velocity * rng.normal(1.0, 0.07), 0.2, 1.0))
            notes += [Note(start + at, length, pitch, velocity, kind) for pitch in voicing]
    return notes


def _voicing(chord, centre):
    """Chord tones, each in the octave that lies closest to a centre, low to high, without doubling a pitch."""
    return sorted({int(round((centre - tone) / 12.0)) * 12 + tone for tone in chord} | {chord[0] + 48})


# ---------------------------------------------------------------------------------------------------------- performance

HABITS = {  # seconds: mean offset range of a player against the beat, and scatter
    "drums": (0.000, 0.002, 0.004),
    "bass": (0.000, 0.008, 0.005),
    "other": (-0.004, 0.008, 0.006),
    "vocals": (0.000, 0.025, 0.012),
}


def perform(notes, plan, style, part, rng):
    """Turn beats into seconds.

    Every eighth of a beat is bent by the swing; the player's mean offset is drawn per song, the scatter per moment
    (notes that start together stay together), as measured for human players by Hennig et al. (2011).

    Parameters
    ----------
    notes : list of Note
        In beats.
    part : str
        A key of `HABITS`.

    Returns
    -------
    tuple of Note
        In seconds, sorted by start; no start is negative.
    """
    low, high, scatter = HABITS[part]
    offset = rng.uniform(low, high)
    beat = 60.0 / plan.tempo
    moments = sorted({n.start for n in notes})
    moved = {
        m: max(
            0.0, bend(m, plan.swing) * beat + offset + style.tightness * scatter * float(np.clip(rng.normal(), -2, 2))
        )
        for m in moments
    }
    played = []
    for n in notes:
        length = (bend(n.start + n.duration, plan.swing) - bend(n.start, plan.swing)) * beat
        played.append(Note(moved[n.start], length, n.pitch, n.velocity, n.kind))
    return tuple(sorted(played, key=lambda n: (n.start, n.pitch)))


def bend(beat, swing):
    """Beat number with the second eighth of each beat moved from 0.5 to `swing`; 0.5 changes nothing."""
    whole = np.floor(beat)
    part = beat - whole
    return float(whole + (part * 2.0 * swing if part < 0.5 else swing + (part - 0.5) * 2.0 * (1.0 - swing)))


def write_score(style, seconds, lowest_bass, voice_range, rng):
    """Plan, write and perform all four parts.

    Parameters
    ----------
    style : Style
    seconds : float
        Length to fill; the last bar may end later.
    lowest_bass : int
        MIDI number of the bass player's lowest root.
    voice_range : tuple of int
        Lowest and highest note of the singer, MIDI numbers.
    rng : numpy.random.Generator

    Returns
    -------
    Score
        Parts in MUSDB order: drums, bass, other, vocals.
    """
    plan_rng, drum_rng, bass_rng, other_rng, vocal_rng, play_rng = rng.spawn(6)
    plan = plan_song(style, seconds, plan_rng)
    drums = play_drums(plan, style, drum_rng)
    parts = {
        "drums": drums,
        "bass": play_bass(plan, style, lowest_bass, drums, bass_rng),
        "other": comp(plan, style, other_rng),
        "vocals": sing(plan, style, *voice_range, vocal_rng),
    }
    return Score(plan, {name: perform(notes, plan, style, name, play_rng) for name, notes in parts.items()})
