"""The score: parts fit each other, and players stay in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import virtual_band
from virtual_band.form import Plan, Section, plan_song
from virtual_band.parts import PIECES, comp, play_bass, play_drums, sing
from virtual_band.score import bend, perform, write_score


def song_of(artist, seed, seconds=30.0):
    who = virtual_band.artist(artist)
    voice = who.voice.low, who.voice.high
    return write_score(who.style, seconds, who.bass.lowest, voice, np.random.default_rng(seed))


def planned(artist, seconds, seed):
    """A musician, the plan of a song, and the numbers that are drawn next."""
    who = virtual_band.artist(artist)
    rng = np.random.default_rng(seed)
    return who, plan_song(who.style, seconds, rng), rng


@pytest.mark.parametrize("artist", [3, 41, 107, 300])
def test_sections_cover_every_bar_once(artist):
    score = song_of(artist, 1, 90.0)
    bars = [bar for s in score.plan.sections for bar in range(s.first_bar, s.first_bar + s.bars)]
    assert bars == list(range(score.plan.bars))
    assert {"verse", "chorus", "ending"} <= {s.name for s in score.plan.sections}
    assert 70 <= score.plan.tempo <= 160


def test_a_long_song_has_every_part_of_the_form():
    assert {s.name for s in song_of(3, 5, 200.0).plan.sections} == {"intro", "verse", "chorus", "bridge", "ending"}


@settings(max_examples=15, deadline=None)
@given(artist=st.integers(0, 927), seed=st.integers(0, 10**6))
def test_singer_and_bass_play_one_note_at_a_time_within_their_range(artist, seed):
    who, plan, rng = planned(artist, 25.0, seed)
    drums = play_drums(plan, who.style, rng)
    bass = play_bass(plan, who.style, who.bass.lowest, drums, rng)
    voice = sing(plan, who.style, who.voice.low, who.voice.high, rng)
    for notes in (bass, voice):
        for one, two in zip(notes, notes[1:]):
            assert one.start + one.duration <= two.start + 1e-9
    assert all(who.voice.low <= n.pitch <= who.voice.high for n in voice)
    assert all(28 <= n.pitch <= who.bass.lowest + 12 + 12 + 11 for n in bass)
    assert all(0 < n.velocity <= 1 for n in [*drums, *bass, *voice])
    assert {n.kind for n in drums} <= set(PIECES)


@pytest.mark.parametrize("artist", [3, 42, 150])
def test_long_melody_notes_on_strong_beats_are_chord_tones_and_the_rest_in_key(artist):
    who, plan, rng = planned(artist, 120.0, 7)
    for note in sing(plan, who.style, who.voice.low, who.voice.high, rng):
        bar, beat = divmod(note.start, plan.beats)
        allowed = {*plan.chords[int(bar)], *(() if beat % 2 == 0 else plan.scale)}
        assert note.pitch % 12 in allowed


def test_bass_begins_new_chords_on_their_root_and_follows_the_kick():
    who, plan, rng = planned(3, 120.0, 11)
    drums = play_drums(plan, who.style, rng)
    bass = play_bass(plan, who.style, who.bass.lowest, drums, rng)
    on_bar = {n.start: n for n in bass if n.start % plan.beats == 0}
    assert len(on_bar) > 0.8 * plan.bars
    assert all(n.pitch % 12 == plan.chords[int(beat // plan.beats)][0] for beat, n in on_bar.items())
    kicks = {n.start for n in drums if n.kind == "kick"}
    assert len(kicks & {n.start for n in bass}) > 0.7 * len(kicks)


def test_grooves_repeat():
    who = virtual_band.artist(3)
    plan = Plan(100.0, 4, 0.5, 0, "major", (Section("verse", 0, 16),), ((0, 4, 7),) * 16)
    drums = play_drums(plan, who.style, np.random.default_rng(2))
    bars = [{(n.start % 4, n.kind) for n in drums if n.start // 4 == bar and n.kind != "crash"} for bar in range(15)]
    shared = np.mean([len(a & b) / len(a | b) for a, b in zip(bars, bars[1:])])
    assert shared > 0.75  # repeats ...
    assert len({frozenset(bar) for bar in bars}) > 3  # ... with variations


def test_chords_of_the_accompaniment_are_the_chords():
    who, plan, rng = planned(5, 40.0, 3)
    for note in comp(plan, who.style, rng):
        assert note.pitch % 12 in plan.chords[int(note.start // plan.beats)]


def test_swing_moves_only_the_second_eighth():
    assert [bend(b, 0.5) for b in (0.0, 0.25, 0.5, 0.75, 3.5)] == [0.0, 0.25, 0.5, 0.75, 3.5]
    assert bend(2.5, 2 / 3) == pytest.approx(2 + 2 / 3)
    assert bend(2.0, 2 / 3) == 2.0
    beats = np.linspace(0, 4, 200)
    assert np.all(np.diff([bend(b, 0.66) for b in beats]) > 0)


def test_players_stay_within_hundredths_of_a_second_of_the_grid():
    who, plan, rng = planned(3, 40.0, 4)
    notes = play_drums(plan, who.style, rng)
    played = perform(notes, plan, who.style, "drums", rng)
    grid = sorted(bend(n.start, plan.swing) * 60 / plan.tempo for n in notes)
    error = np.array(sorted(n.start for n in played)) - grid
    assert np.abs(error).max() < 0.02 and error.std() > 0.0005


def test_songs_of_one_artist_differ():
    scores = [song_of(3, seed) for seed in range(6)]
    assert len({score.parts["vocals"] for score in scores}) == 6
    assert len({score.plan.chords for score in scores}) == 6
