"""An artist: a singer, a bass, a kit, a chordal instrument, a room with its desk and a set of habits.

All of it is drawn from one number, with a random generator of its own for each.

Notebook: virtual_band/dataset_report.ipynb
"""

from dataclasses import dataclass

import numpy as np

from common.checks import expect
from virtual_band.bass import BassSound
from virtual_band.drums import Kit
from virtual_band.form import Style
from virtual_band.keys import ChordSound
from virtual_band.mix import Desk
from virtual_band.voice import Voice

FIRST = (
    "Ada Bruno Cleo Dario Edda Falk Greta Hugo Ines Jonas Kaja Linus Mira Nilo Orla Piet Quinn Rosa Sven Tilda Ugo "
    "Vera Wim Xenia Yara Zeno Alba Boris Carla Dean Elsa Finn"
).split()
LAST = (
    "Amsel Birke Carrow Dorn Elster Fenn Garland Hale Ilves Jensen Kestrel Lark Marlow Nightjar Orme Pine Quill Reed "
    "Sorrel Thorne Umber Vale Wren Yarrow Zander Ash Brook Cliff Dale"
).split()
N_ARTISTS = len(FIRST) * len(LAST)  # their numbers of names have no common divisor, so every pair comes up once


@dataclass(frozen=True)
class Artist:
    """Everything that stays the same from song to song."""

    name: str
    seed: int
    style: Style
    kit: Kit
    bass: BassSound
    chords: ChordSound
    voice: Voice
    desk: Desk


def artist(key):
    """The artist with a number or a name.

    Parameters
    ----------
    key : int, str or Artist
        a seed from 0 to N_ARTISTS - 1, the name of such an artist, or an artist, which is returned as it is.

    Returns
    -------
    Artist

    Raises
    ------
    ValueError
        if no artist has this name or number.

    Examples
    --------
    >>> singer = artist("Dario Dorn").voice
    >>> singer.low, singer.high  # MIDI numbers
    (57, 72)
    >>> artist(3).name
    'Dario Dorn'
    """
    if isinstance(key, Artist):
        return key
    if isinstance(key, str):
        key = {artist_name(seed): seed for seed in range(N_ARTISTS)}.get(key, key)
    number = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
    names = f"a name such as {artist_name(0)!r}, or a number from 0 to {N_ARTISTS - 1}"
    expect(number and 0 <= key < N_ARTISTS, "artist", names, repr(key))
    seed = int(key)
    rngs = np.random.default_rng([seed, 1]).spawn(6)
    parts = (kind.draw(rng) for kind, rng in zip((Style, Kit, BassSound, ChordSound, Voice, Desk), rngs))
    return Artist(artist_name(seed), seed, *parts)


def artist_name(seed):
    """The name of artist number `seed`."""
    return f"{FIRST[seed % len(FIRST)]} {LAST[seed % len(LAST)]}"
