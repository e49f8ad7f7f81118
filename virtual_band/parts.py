"""What each player plays over the skeleton: drums, bass, melody, chords, on a grid of sixteenth notes, in beats."""

import numpy as np

from virtual_band.form import Note

STEPS_PER_BEAT = 4
CONSONANTS = ("", "h", "s", "sh", "f", "t", "k", "p", "d", "b", "m", "n", "l", "r", "w", "v")
VOWELS = ("a", "e", "i", "o", "u", "@", "ae")

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
