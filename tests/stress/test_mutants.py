"""A sample of the damaged files of `make stress`."""

import numpy as np

from stress.mutants import kinds, mutants, mutate, outcome, run


def test_thirty_damaged_files_each_end_in_stems_or_in_one_line(capfd):
    failures, outcomes = {}, set()
    for kind in kinds():
        for name, content in mutants(kind, 6, seed=1):
            if wrong := outcome(name, content):
                failures[name] = wrong
            outcomes.add(kind)
    assert not failures and outcomes >= {"wav", "flac", "ogg", "mp3"}
    assert capfd.readouterr() == ("", "")  # nor do the decoders print anything by themselves


def test_damage_is_the_same_for_the_same_seed_and_is_damage():
    content = bytes(range(256)) * 10
    found = [mutate(content, np.random.default_rng(i)) for i in range(50)]
    assert found == [mutate(content, np.random.default_rng(i)) for i in range(50)]
    assert sum(damaged != content for damaged in found) > 40


def test_a_process_that_hangs_or_dies_is_counted_and_replaced(monkeypatch):
    """With no time at all, every file but the first of a process hangs."""
    found = run("flac", 3, longest=-130.0)
    assert found["tried"] == 3 and found["passed"] == 0 and set(found["failures"].values()) == {"no answer in -130 s"}
