"""Every committed notebook: executed, lean, and in agreement with the result files."""

import json
import re

import pytest

import display
from tools.notebooks import CHAPTERS, ROOT, all_notebooks, faults

NOTEBOOKS = all_notebooks()


def test_every_notebook_has_its_place_in_the_order_of_reading():
    folders = [ROOT, *(path for path in ROOT.iterdir() if (path / "__init__.py").is_file())]
    assert {path for folder in folders for path in folder.glob("*.ipynb")} == set(NOTEBOOKS)


def test_the_readme_lists_the_chapters_in_the_order_of_reading():
    rows = re.findall(r"^\| (\d*) *\|(.*\.ipynb.*)\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {path: number for number, row in rows for path in re.findall(r"\((\S+\.ipynb)\)", row)}
    assert list(listed.items()) == list(CHAPTERS.items())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_spoils_it(path):
    assert faults(path) == []


def marked_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            if shown_by := output.get("metadata", {}).get("shown_by"):
                yield shown_by, output["data"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_shows_is_what_the_results_say(path):
    for shown_by, data in marked_outputs(path):
        for kind, text in display.rendered_again(shown_by).items():
            assert "".join(data[kind]) == text, shown_by


def test_the_report_shows_results():
    calls = [shown_by["call"] for shown_by, _ in marked_outputs(next(p for p in NOTEBOOKS if p.stem == "main_report"))]
    assert {"text", "scores", "player_table"} <= set(calls)
