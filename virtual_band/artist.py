"""An artist: a singer, a bass, a kit, a chordal instrument, a room with its desk and a set of habits.

All of it is drawn from one number, with a random generator of its own for each.

Notebook: virtual_band/dataset_report.ipynb
"""

from collections import namedtuple

import numpy as np

from common.checks import expect
from virtual_band import bass, drums, form, keys, mix, voice

FIRST = (
    "Ada Bruno Cleo Dario Edda Falk Greta Hugo Ines Jonas Kaja Linus Mira Nilo Orla Piet Quinn Rosa Sven Tilda Ugo "
    "Vera Wim Xenia Yara Zeno Alba Boris Carla Dean Elsa Finn"
).split()
LAST = (
    "Amsel Birke Carrow Dorn Elster Fenn Garland Hale Ilves Jensen Kestrel Lark Marlow Nightjar Orme Pine Quill Reed "
    "Sorrel Thorne Umber Vale Wren Yarrow Zander Ash Brook Cliff Dale"
).split()
N_ARTISTS = len(FIRST) * len(LAST)  # their numbers of names have no common divisor, so every pair comes up once


class Artist(namedtuple("Artist", "name seed style kit bass chords voice desk")):
    """Everything that stays the same from song to song: a name, a number, and what each module draws from it."""


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
    names = f"a name such as {artist_name(0)!r}, or a number from 0 to {N_ARTISTS - 1}"
    expect(is_whole(key) and 0 <= key < N_ARTISTS, "artist", names, repr(key))
    seed = int(key)
    modules = (form, drums, bass, keys, voice, mix)  # each draws its part
    rngs = np.random.default_rng([seed, 1]).spawn(len(modules))
    return Artist(artist_name(seed), seed, *(module.draw(rng) for module, rng in zip(modules, rngs)))


def is_whole(value):
    """Whether a value is a whole number of Python or NumPy."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def artist_name(seed):
    """The name of artist number `seed`."""
    return f"{FIRST[seed % len(FIRST)]} {LAST[seed % len(LAST)]}"
