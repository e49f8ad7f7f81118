"""A performed score: the skeleton, the parts, and the players' timing.

A score is made in three steps, each a function of the artist's style and a random generator:

1. `form.plan_song` draws tempo, metre, key, mode, the form and one chord per bar;
2. `parts.play_drums`, `play_bass`, `sing` and `comp` write each part in beats;
3. `perform` turns beats into seconds: swing, a player's habit of pushing or laying back, and scatter.
"""

from dataclasses import dataclass, field

import numpy as np

from virtual_band.form import Note, Plan, plan_song
from virtual_band.parts import comp, play_bass, play_drums, sing


@dataclass(frozen=True)
class Score:
    """A performed score: the plan and, per part, its notes in seconds."""

    plan: Plan
    parts: dict[str, tuple[Note, ...]] = field(default_factory=dict)


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
