"""An artist: a singer, a bass, a kit, a chordal instrument, a room with its desk and a set of habits.

All of it is drawn from one number, with a random generator of its own for each.
"""

from dataclasses import dataclass

import numpy as np

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
        A seed from 0 to 899, the name of such an artist, or an artist, which is returned as it is.

    Returns
    -------
    Artist

    Raises
    ------
    ValueError
        where no artist has this name or number.
    """
    if isinstance(key, Artist):
        return key
    if isinstance(key, str):
        names = {artist_name(seed): seed for seed in range(N_ARTISTS)}
        if key not in names:
            raise ValueError(
                f"artist: no artist is called {key!r}; expected a name such as {artist_name(0)!r}, or a number"
            )
        key = names[key]
    if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < N_ARTISTS:
        raise ValueError(f"artist: {key!r} is no artist; expected a name or a whole number from 0 to {N_ARTISTS - 1}")
    key = int(key)
    style, kit, bass, chords, voice, desk = np.random.default_rng([key, 1]).spawn(6)
    return Artist(
        artist_name(key),
        key,
        Style.draw(style),
        Kit.draw(kit),
        BassSound.draw(bass),
        ChordSound.draw(chords),
        Voice.draw(voice),
        Desk.draw(desk),
    )


N_ARTISTS = len(FIRST) * len(LAST)  # their numbers of names have no common divisor, so every pair comes up once


def artist_name(seed):
    """The name of artist number `seed`."""
    return f"{FIRST[seed % len(FIRST)]} {LAST[seed % len(LAST)]}"
