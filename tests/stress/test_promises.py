"""README's promises name the tests that keep them: those tests are there, and so are the commands."""

import re

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text()
PROMISES = TEXT.split("## What it promises", 1)[-1].split("\n## ", 1)[0]


def named():
    """(path, test or "") of everything in the table's second column that looks like one; "…" repeats the last path."""
    path = None
    for row in PROMISES.splitlines():
        for file, test in re.findall(r"`(…|tests/[\w/]+\.py)(?:::(\w+))?`", row.rsplit("| ", 1)[-1]):
            path = path if file == "…" else file
            yield path, test


def test_every_promise_names_what_keeps_it():
    rows = [row for row in PROMISES.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if not re.search(r"tests/[\w/]+\.py|…::\w+|make verify", row.rsplit("| ", 1)[-1])] == []


@pytest.mark.parametrize("path, test", sorted(set(named())))
def test_every_test_that_is_named_is_there(path, test):
    assert (ROOT / path).is_file()
    if test:
        assert f"\ndef {test}(" in (ROOT / path).read_text()


def test_every_command_that_is_named_is_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in re.findall(r"`make ([a-z-]+)`", TEXT):
        assert command in targets
