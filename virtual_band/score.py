"""A performed score: the skeleton, the parts, and the players' timing.

A score is made in three steps, each a function of the artist's style and a random generator:

1. `form.plan_song` draws tempo, metre, key, mode, the form and one chord per bar;
2. `parts.play_drums`, `play_bass`, `sing` and `comp` write each part in beats;
3. `perform` turns beats into seconds: swing, a player's habit of pushing or laying back, and scatter.

Notebook: virtual_band/dataset_report.ipynb
"""

from collections import namedtuple

import numpy as np

from virtual_band.form import plan_song
from virtual_band.parts import comp, play_bass, play_drums, sing

HABITS = {  # seconds: range of a player's mean offset against the beat, and scatter
    "drums": (0.000, 0.002, 0.004),
    "bass": (0.000, 0.008, 0.005),
    "other": (-0.004, 0.008, 0.006),
    "vocals": (0.000, 0.025, 0.012),
}


class Score(namedtuple("Score", "plan parts")):
    """A performed score: the plan (form.Plan) and, per part, its notes in seconds (a tuple of form.Note)."""


def perform(notes, plan, style, part, rng):
    """Turn beats into seconds.

    Every eighth of a beat is bent by the swing; the player's mean offset is drawn per song, the scatter per moment
    (notes that start together stay together), as measured for human players by Hennig et al. (2011).

    Parameters
    ----------
    notes : list of Note
        in beats.
    plan : form.Plan
    style : form.Style
    part : str
        a key of `HABITS`.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of Note
        in seconds, sorted by start; no start is negative.
    """
    low, high, scatter = HABITS[part]
    offset = rng.uniform(low, high)
    beat = 60.0 / plan.tempo
    starts = {}
    for start in sorted({n.start for n in notes}):
        late = style.tightness * scatter * float(np.clip(rng.normal(), -2, 2))
        starts[start] = max(0.0, bend(start, plan.swing) * beat + offset + late)
    lengths = [(bend(n.start + n.duration, plan.swing) - bend(n.start, plan.swing)) * beat for n in notes]
    played = [n._replace(start=starts[n.start], duration=length) for n, length in zip(notes, lengths)]
    return tuple(sorted(played, key=lambda n: (n.start, n.pitch)))


def bend(beat, swing):
    """Beat number with the second eighth of each beat moved from 0.5 to `swing`; 0.5 changes nothing."""
    whole, part = divmod(beat, 1.0)
    return float(whole + (part * 2.0 * swing if part < 0.5 else swing + (part - 0.5) * 2.0 * (1.0 - swing)))


def write_score(style, seconds, lowest_bass, voice_range, rng):
    """Plan, write and perform all four parts.

    Parameters
    ----------
    style : Style
    seconds : float
        length to fill; the last bar may end later.
    lowest_bass : int
        MIDI number of the bass player's lowest root.
    voice_range : (int, int)
        lowest and highest note of the singer, MIDI numbers.
    rng : numpy.random.Generator

    Returns
    -------
    Score
        parts in MUSDB's order: drums, bass, other, vocals.
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
