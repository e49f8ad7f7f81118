"""A sample of the damaged files of `make stress`."""

import numpy as np

from stress.mutants import kinds, mutants, mutate, outcome, run


def test_thirty_damaged_files_each_end_in_stems_or_in_one_line(capfd):
    files = {name: content for kind in kinds() for name, content in mutants(kind, 6, seed=1)}
    assert len(files) == 6 * len(kinds()) >= 24
    assert {name: wrong for name, content in files.items() if (wrong := outcome(name, content))} == {}
    assert capfd.readouterr() == ("", "")  # nor do the decoders print anything by themselves


def test_damage_is_the_same_for_the_same_seed_and_is_damage():
    content = bytes(range(256)) * 10
    damaged = [mutate(content, np.random.default_rng(i)) for i in range(50)]
    assert damaged == [mutate(content, np.random.default_rng(i)) for i in range(50)]
    assert sum(each != content for each in damaged) > 40


def test_a_process_that_hangs_or_dies_is_counted_and_replaced():
    """With no time at all, every file hangs."""
    counted = run("flac", 3, longest=-130.0)
    assert counted["tried"] == 3 and counted["passed"] == 0
    assert set(counted["failures"].values()) == {"no answer in -130 s"}
