"""Figures, tables and players are numbered, titled, and described for those who cannot see them."""

import matplotlib.pyplot as plt
import nbformat
import pytest

import display
from player import captions
from tests.helpers import refused
from tools.build_site import prepared


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(captions, "_numbers", {})


def test_each_kind_is_numbered_by_itself_and_what_is_shown_again_keeps_its_number():
    made = [
        captions.numbered(*each) for each in (("Table", "A"), ("Table", "B?", "Look."), ("Player", "A"), ("Table", "A"))
    ]
    assert made == ["Table 1. A.", "Table 2. B? Look.", "Player 1. A.", "Table 1. A."]
    assert (
        captions.numbered("Table", "C", number=7) == "Table 7. C." and captions.numbered("Table", "D") == "Table 8. D."
    )


def test_a_caption_takes_the_place_of_a_tables_own():
    table = display.html_table([{"a": 1}], caption="plain & simple")
    assert "<caption>plain &amp; simple</caption>" in table and captions.with_caption(table, None) == table
    made = captions.with_caption(table, "Table 1. Ten & 2.5 dB. Look at a.")
    assert made.count("caption>") == 2 and "<caption><b>Table 1. Ten &amp; 2.5 dB.</b> Look at a.</caption>" in made


def test_a_figure_has_its_caption_in_a_notebook_and_on_a_page(monkeypatch):
    outputs = []

    def shown(data, raw, metadata):
        outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))

    monkeypatch.setattr(display.ipython, "display", shown)
    display.figure(plt.figure(), title="It rises", look="Look at its end.", alt="A line.")
    for lacking in ("title", "alt"):
        refused(lacking, display.figure, plt.figure(), **{"title": "It rises", "alt": "A line.", lacking: " "})
    picture, caption = outputs
    assert caption.data == {"text/markdown": "**Figure 1. It rises.** Look at its end."}
    assert set(picture.data) == {"image/svg+xml", "image/png", "text/plain"}
    assert picture.metadata["image/svg+xml"].alt == picture.metadata["image/png"].alt == "A line."
    (cell,) = prepared(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])).cells
    (page,) = (output.data["text/html"] for output in cell.outputs)
    assert page.startswith('<figure class="mss-captioned" id="figure-1"><svg') and 'aria-label="A line."' in page
    assert page.endswith("<figcaption><b>Figure 1. It rises.</b> Look at its end.</figcaption></figure>")
