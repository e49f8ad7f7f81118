"""The promises of stress/README.md name the tests that keep them: those tests are there, and so are the commands."""

import re

import pytest

from tests.helpers import ROOT

PROMISES = (ROOT / "stress" / "README.md").read_text()
ROWS = [row.rsplit("| ", 1)[-1] for row in PROMISES.splitlines() if re.match(r"\| (?!promise)", row)]
"""What each promise is checked by."""


def named():
    """(path, test or "") of every test that a row names; "…" repeats the last path."""
    path = None
    for row in ROWS:
        for file, test in re.findall(r"`(…|tests/[\w/]+\.py)(?:::(\w+))?`", row):
            path = path if file == "…" else file
            yield path, test


def test_every_promise_names_what_keeps_it():
    assert len(ROWS) > 15
    assert [row for row in ROWS if not re.search(r"tests/[\w/]+\.py|…::\w+|make verify", row)] == []


@pytest.mark.parametrize("path, test", sorted(set(named())))
def test_every_test_that_is_named_is_there(path, test):
    assert (ROOT / path).is_file()
    assert not test or f"\ndef {test}(" in (ROOT / path).read_text()


def test_every_command_that_is_named_is_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = re.findall(r"`make ([a-z-]+)`", PROMISES + (ROOT / "README.md").read_text())
    assert len(commands) > 3 and set(commands) <= set(targets)
