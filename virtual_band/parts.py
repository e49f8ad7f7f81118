"""What each player plays over the skeleton: drums, bass, melody, chords, on a grid of sixteenth notes, in beats.

Notebook: virtual_band/dataset_report.ipynb
"""

from itertools import cycle
from types import SimpleNamespace

import numpy as np

from virtual_band import voice
from virtual_band.form import Note

STEPS_PER_BEAT = 4
SECTIONS = ("intro", "verse", "chorus", "bridge", "ending")
CONSONANTS, VOWELS = tuple(voice.CONSONANTS), tuple(voice.FORMANTS)
PIECES = {
    "kick": 36, "rim": 37, "snare": 38, "tom_low": 41, "hat_closed": 42, "hat_pedal": 44, "tom_mid": 45, "hat_open": 46,
    "tom_high": 48, "crash": 49, "ride": 51,
}  # fmt: skip
FAVOURED_KICKS = (6, 8, 10, 14)  # steps of a bar
ACCENTS = (0.8, 0.4, 0.55, 0.4)  # velocities of the cymbal on the four sixteenths of a beat
SILENT = (0.0, 0.0)  # chance and velocity of a step
OPEN_HATS = ((0.95, 0.75), SILENT, (0.8, 0.5), SILENT)  # on the four sixteenths of a beat
CHANCES = SimpleNamespace(  # that are the same for all artists; `form.Style` has those that are not
    crash=0.4,  # where a section begins that is neither chorus nor bridge
    fill=0.85,  # at the end of a section
    sparse_fill=0.4,
    sparse_gap=0.7,  # of an off-beat in a sparse fill
    fill_kick=0.6,
    rare_kick=0.3,  # of an eighth without a kick: that it gets one now and then
    half_time=0.5,  # in a bridge
    rim=0.2,  # in place of the snare, in verse and intro
    open_hats=0.35,  # all through a chorus
    bare_intro=0.5,  # cymbal and first kick alone
    bass_tacet=0.4,  # in an intro
    low_fifth=0.4,  # the fifth below the root, where the bass reaches it
    bass_with_kick=0.9,
    bass_eighth=0.92,  # of the eighths in the section's pattern
    fifth=0.12,  # beyond the artist's chance of octaves
    approach=0.55,  # of a note that leads to the next chord's root
    scale_approach=0.75,  # from within the key; otherwise from a semitone away
    bass_legato=0.3,
    voice_tacet=0.8,  # in an intro
    alternate=0.5,  # motifs in the order a b a b, otherwise a a b a
    bar_rest=0.08,  # of the voice, in a period's second bar
    note_rest=0.04,
    strum=0.8,  # of each eighth but the first of a bar
)


def _velocity(rng, mean, scatter, lowest=0.2):
    return float(np.clip(mean * rng.normal(1.0, scatter), lowest, 1.0))


def play_drums(plan, style, rng):
    """Write the drum part: one groove per section type, repeated with small variations, fills at the ends of sections.

    Parameters
    ----------
    plan : form.Plan
    style : form.Style
    rng : numpy.random.Generator

    Returns
    -------
    list of Note
        in beats; `kind` is the piece (a key of `PIECES`).
    """
    grooves = {name: _groove(plan, style, name, rng) for name in SECTIONS}
    notes = []

    def hit(beat, piece, velocity):
        notes.append(Note(beat, 0.25, PIECES[piece], _velocity(rng, velocity, 0.07, lowest=0.05), piece))

    steps = plan.beats * STEPS_PER_BEAT
    for section in plan.sections:
        for bar in range(section.first_bar, section.first_bar + section.bars):
            start, begins = bar * plan.beats, bar == section.first_bar
            if section.name == "ending":
                hit(start, "crash", 0.9)
                hit(start, "kick", 0.95)
                continue
            lifted = begins and section.name in ("chorus", "bridge")
            if lifted or begins and bar and rng.random() < CHANCES.crash:
                hit(start, "crash", rng.uniform(0.75, 1.0))
            ends = bar == section.first_bar + section.bars - 1
            filled = ends and not begins and rng.random() < CHANCES.fill
            fill_from = steps - int(rng.choice([4, 6, 8])) if filled else steps
            for step in range(fill_from):
                for piece, line in grooves[section.name].items():
                    chance, velocity = line[step]
                    if rng.random() < chance:
                        hit(start + step / STEPS_PER_BEAT, piece, velocity)
            if filled:
                _fill(hit, start, fill_from, steps, rng)
    return notes


def _groove(plan, style, name, rng):
    """One bar: piece → (chance, velocity) of each sixteenth. Chance 1 is the pattern, less is its variation."""
    steps = plan.beats * STEPS_PER_BEAT
    kick, snare, opened = ([SILENT] * steps for _ in range(3))

    kick[0] = (1.0, 0.95)
    for step in range(2, steps, 2):
        if rng.random() < style.busy_kick * (1.3 if step in FAVOURED_KICKS else 0.5):
            kick[step] = (0.95, rng.uniform(0.7, 0.9))
        elif rng.random() < CHANCES.rare_kick:
            kick[step] = (0.08, 0.6)
    if rng.random() < style.syncopation:
        kick[int(rng.choice([3, 7, 11]))] = (0.9, 0.7)

    backbeat = [4, 12] if plan.beats == 4 else [4, 8]
    if name == "bridge" and plan.beats == 4 and rng.random() < CHANCES.half_time:
        backbeat = [8]
    for step in range(1, steps):
        if step in backbeat:
            snare[step] = (1.0, 0.9 if name == "chorus" else 0.8)
            kick[step] = (0.3 * kick[step][0], kick[step][1])
        elif rng.random() < style.ghost_notes:
            snare[step] = (0.7, rng.uniform(0.15, 0.3))
    snare_piece = "rim" if name in ("verse", "intro") and rng.random() < CHANCES.rim else "snare"

    every = 1 if rng.random() < style.sixteenth_hats and plan.tempo < 120 else 2
    cymbal = [SILENT if step % every else (0.97, ACCENTS[step % STEPS_PER_BEAT]) for step in range(steps)]
    ride = name in ("chorus", "bridge") and rng.random() < style.ride_chorus
    cymbal_piece = "ride" if ride else "hat_closed"
    groove = {"kick": kick, snare_piece: snare, cymbal_piece: cymbal}
    if ride:
        groove["hat_pedal"] = [(0.9, 0.5) if step in backbeat else SILENT for step in range(steps)]
    else:
        for step in rng.choice(np.arange(2, steps, 4), size=rng.integers(0, 3), replace=False):
            opened[step], cymbal[step] = (0.9, 0.7), SILENT
        if name == "chorus" and rng.random() < CHANCES.open_hats:
            opened = OPEN_HATS * plan.beats
            groove.pop(cymbal_piece)
        groove["hat_open"] = opened
    if name == "intro" and rng.random() < CHANCES.bare_intro:
        groove = {cymbal_piece: cymbal, "kick": [kick[0]] + [SILENT] * (steps - 1)}
    return groove


def _fill(hit, start, first, last, rng):
    """A fill that walks down the kit from the snare to the low tom, growing louder."""
    pieces = ("snare", "tom_high", "tom_mid", "tom_low")
    sparse = rng.random() < CHANCES.sparse_fill
    for step in range(first, last):
        if not (sparse and step % 2 and rng.random() < CHANCES.sparse_gap):
            through = (step - first) / (last - first)
            piece = pieces[min(3, int(4 * through * rng.uniform(0.7, 1.2)))]
            hit(start + step / STEPS_PER_BEAT, piece, 0.55 + 0.4 * through)
    if rng.random() < CHANCES.fill_kick:
        hit(start + first / STEPS_PER_BEAT, "kick", 0.8)


def play_bass(plan, style, lowest, drums, rng):
    """Write the bass: with the kick, roots on new chords, fifths and octaves between, approach notes before a change.

    Parameters
    ----------
    plan : form.Plan
    style : form.Style
    lowest : int
        MIDI number of the lowest note this player uses for a root.
    drums : list of Note
        the drum part; its kicks are where the bass plays.
    rng : numpy.random.Generator

    Returns
    -------
    list of Note
        in beats; they do not overlap. `kind` is pluck, slide or dead.
    """
    onsets = _bass_onsets(plan, style, lowest, drums, rng)
    staccato = rng.uniform(0.55, 0.95)
    notes, steps = [], sorted(onsets)
    for step, following in zip(steps, [*steps[1:], plan.bars * plan.beats * STEPS_PER_BEAT]):
        pitch, kind = onsets[step]
        near = notes and notes[-1].kind != "dead" and 0 < abs(pitch - notes[-1].pitch) <= 5
        if near and kind == "pluck" and rng.random() < style.bass_slides:
            kind = "slide"
        gap = (following - step) / STEPS_PER_BEAT
        held = 0.2 if kind == "dead" else min(gap, 4.0) * min(1.0, staccato * rng.uniform(0.85, 1.15))
        if following in onsets and onsets[following][1] == "pluck" and rng.random() < CHANCES.bass_legato:
            held = gap
        velocity = _velocity(rng, 0.85 if step % STEPS_PER_BEAT == 0 else 0.72, 0.08)
        notes.append(Note(step / STEPS_PER_BEAT, min(held, gap), int(pitch), velocity, kind))
    return notes


def _bass_onsets(plan, style, lowest, drums, rng):
    """Where the bass plays: step of the song → (MIDI number, pluck or dead)."""
    kicks = {round(n.start * STEPS_PER_BEAT) for n in drums if n.kind == "kick"}
    steps = plan.beats * STEPS_PER_BEAT
    onsets = {}
    patterns = {name: rng.random(steps) < style.bass_busy for name in SECTIONS}
    tacet = {s.first_bar for s in plan.sections if s.name == "intro" and rng.random() < CHANCES.bass_tacet}
    for bar, (chord, following) in enumerate(zip(plan.chords, [*plan.chords[1:], None])):
        if bar in tacet:
            continue
        root = lowest + (chord[0] - lowest) % 12
        fifth = root + (chord[2] - chord[0]) % 12
        if fifth - 12 >= lowest and rng.random() < CHANCES.low_fifth:
            fifth -= 12
        onsets[bar * steps] = (root, "pluck")
        name = plan.section_at(bar).name
        if name == "ending":
            break
        for step in range(1, steps):
            now, eighth = bar * steps + step, step % 2 == 0
            with_kick = now in kicks and rng.random() < CHANCES.bass_with_kick
            if with_kick or eighth and patterns[name][step] and rng.random() < CHANCES.bass_eighth:
                onsets[now] = (_bass_pitch(root, fifth, style, rng), "pluck")
            elif not eighth and rng.random() < style.bass_dead:
                onsets[now] = (root, "dead")
        if following and following[0] != chord[0] and rng.random() < CHANCES.approach:
            target = lowest + (following[0] - lowest) % 12
            onsets[(bar + 1) * steps - 2] = (_approach(plan, lowest, target, rng), "pluck")
    return onsets


def _bass_pitch(root, fifth, style, rng):
    drawn = rng.random()
    if drawn < 0.5 * style.bass_octaves:
        return root + 12
    return fifth if drawn < style.bass_octaves + CHANCES.fifth else root


def _approach(plan, lowest, target, rng):
    """A note that leads to the target: at most two semitones away, in the key or chromatic."""
    near = [p for p in range(max(lowest, target - 2), target + 3) if p != target and p % 12 in plan.scale]
    if near and rng.random() < CHANCES.scale_approach:
        return int(rng.choice(near))
    return target + 1 if target == lowest else target - 1


def sing(plan, style, low, high, rng):
    """Write the melody: a motif per section type, repeated and bent to the chords, in phrases with rests.

    Notes on strong beats move to the nearest chord tone, the others to the nearest note of the key. The chorus lies
    higher and repeats its words; the verse brings new ones.

    Parameters
    ----------
    plan : form.Plan
    style : form.Style
    low, high : int
        range of the singer, MIDI numbers.
    rng : numpy.random.Generator

    Returns
    -------
    list of Note
        in beats; they do not overlap. `kind` is the syllable.
    """
    names = ("verse", "chorus", "bridge", "intro", "ending")  # the order in which motifs are drawn
    motifs = {name: [_motif(plan, style, rng) for _ in range(2)] for name in names}
    words = {name: [_syllable(rng) for _ in range(64)] for name in ("chorus", "ending")}
    middle = (low + high) / 2.0
    centres = {"verse": middle - 2, "chorus": middle + 2.5, "bridge": middle, "intro": middle - 2, "ending": middle}
    notes = []
    for section in plan.sections:
        if section.name == "intro" and rng.random() < CHANCES.voice_tacet:
            continue
        lyric = cycle(words.get(section.name) or [_syllable(rng) for _ in range(64)])
        first, second = motifs[section.name]
        order = (first, second, first, second) if rng.random() < CHANCES.alternate else (first, first, second, first)
        for index in range(section.bars):
            bar = section.first_bar + index
            rhythm, contour, rest_after = order[index % 4]
            if section.name == "ending":
                rhythm, contour, rest_after = [(0.0, plan.beats * 0.8)], [0], 0.0
            elif index % 4 == 1 and rng.random() < CHANCES.bar_rest:
                continue
            start = bar * plan.beats
            answer = -2 if index % 4 == 3 else 0  # the last bar of a period falls
            limit = plan.beats - (rest_after if index % 2 else 0.0)  # phrases of two bars
            for (at, length), step in zip(rhythm, contour):
                held = min(length, limit - at)
                if at >= limit or rng.random() < CHANCES.note_rest and at > 0 or held < 0.2:
                    continue
                before = notes[-1] if notes else Note(0.0, 0.0, middle, 0.0)
                goal = 0.7 * (centres[section.name] + 1.7 * (step + answer)) + 0.3 * before.pitch
                strong = at % 2 == 0 or length >= 1.0
                pitch = _nearest(goal, plan.chords[bar] if strong else plan.scale, low, high)
                melisma = notes and at > 0 and pitch != before.pitch and rng.random() < style.melisma
                joined = melisma and abs(before.start + before.duration - start - at) < 0.05
                kind = "~" if joined else next(lyric)
                velocity = (0.86 if section.name == "chorus" else 0.72) + (0.08 if strong else 0.0)
                notes.append(Note(start + at, held, pitch, _velocity(rng, velocity, 0.06, lowest=0.3), kind))
    return notes


def _motif(plan, style, rng):
    """A bar of melody: rhythm as (beat, length), contour in scale steps around 0, rest at the end of a phrase."""
    at, rhythm = float(rng.choice([0.0, 0.0, 0.0, 0.5])), []
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


def _nearest(goal, pitch_classes, low, high):
    """The MIDI number in [low, high] with one of the pitch classes that lies closest to a goal."""
    choices = [p for p in range(low, high + 1) if p % 12 in pitch_classes]
    return min(choices, key=lambda p: (abs(p - goal), p))


def _syllable(rng):
    return f"{CONSONANTS[rng.integers(len(CONSONANTS))]}.{VOWELS[rng.integers(len(VOWELS))]}"


def comp(plan, style, rng):
    """Write the chordal part: one way of comping per section type, voicings that move as little as possible.

    Parameters
    ----------
    plan : form.Plan
    style : form.Style
    rng : numpy.random.Generator

    Returns
    -------
    list of Note
        in beats; chords are several notes with one start. `kind` is strum (downwards), up or hold.
    """
    ways = {name: str(rng.choice(style.comping)) for name in SECTIONS[:-1]} | {"ending": "hold"}
    voicing = [52 + (plan.chords[0][0] - 52) % 12 + i for i in (0, 4, 7)]
    notes = []
    for bar, chord in enumerate(plan.chords):
        voicing = _voicing(chord, 0.5 * float(np.mean(voicing)) + 0.5 * 61)
        way = ways[plan.section_at(bar).name]
        for at, length, kind, velocity, pitches in _comping(way, plan.beats, voicing, rng):
            velocity = _velocity(rng, velocity, 0.08 if way == "arpeggio" else 0.07)
            notes += [Note(bar * plan.beats + at, length, pitch, velocity, kind) for pitch in pitches]
    return notes


def _comping(way, beats, voicing, rng):
    """One bar of chords as (beat, length, kind, velocity, pitches)."""
    if way == "arpeggio":
        order = voicing + voicing[-2:0:-1]
        return [(i / 2, 2.0, "hold", 0.65, [order[i % len(order)]]) for i in range(2 * beats)]
    if way == "hold":
        half = beats / 2.0
        return [(0.0, half + 0.5, "hold", 0.75, voicing), (half, half + 0.5, "hold", 0.65, voicing)]
    if way == "offbeat":
        return [(b + 0.5, 0.6, "up", 0.75, voicing) for b in range(beats)] + [(0.0, 0.6, "strum", 0.6, voicing)]
    strummed = [i for i in range(2 * beats) if i == 0 or rng.random() < CHANCES.strum]
    return [(i / 2, 0.75, "up" if i % 2 else "strum", 0.6 if i % 4 else 0.85, voicing) for i in strummed]


def _voicing(chord, centre):
    """Chord tones, each in the octave that lies closest to a centre, low to high, without doubling a pitch."""
    return sorted({int(round((centre - tone) / 12.0)) * 12 + tone for tone in chord} | {chord[0] + 48})
