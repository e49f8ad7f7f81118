"""The prose check finds what WRITING's rules forbid, in real sentences of the pages, and leaves good ones alone."""

import json

import pytest

from tools import prose


def rules(text, kind="markdown", **page):
    """The rules that a cell breaks, by level; tables and figures that only the page's statistics concern left out."""
    found = prose.findings(prose.Page("page", **page), [{"cell_type": kind, "source": text}])
    return [f"{finding.rule} {finding.match}".strip() for finding in found if finding.rule != "mean"]


BAD = {
    "What is made small is the negative SNR.": ["headless What"],
    "Nothing is assumed but NumPy.": ["headless Nothing"],
    "One may also turn the chain around.": ["headless One"],
    "The mask scores less, and that of powers more.": ["reference that of"],
    "Below, each bin has the colour of its loudest source.": ["reference Below"],
    "The length of the window is measured below.": ["reference below"],
    "The last column of the table holds distances.": ["reference The last column"],
    "The table above gives the range.": ["reference table above"],
    "It passes this mask for: {}.": ["hole : ‹value›."],
    "Scores on other_artist are lower than ddsp_masked@refined, see combined_report.ipynb.": [
        "identifier other_artist",
        "identifier ddsp_masked@refined",
        "identifier combined_report.ipynb",
    ],
    "A wrong pitch it cannot mend.": ["word mend"],
    "The weights are computed anew beside the others.": ["word anew", "word beside"],
    "The network is told the true pitch.": ["word is told"],
    "It is 1.5 dB ahead of the ideal mask.": ["word is 1.5 dB ahead of"],
    "The floor is the mixture.": ["word floor"],
    "The network hears strangers.": ["word hears", "word strangers"],
    "Masks do not add up, and none is negative.": ["negations"],
    "It is evidence; it is no answer.": ["clause ;"],
    "That has a reason: its window is longer.": ["clause :"],
    "The scores are 1, 2, 3, 4 and 5 dB.": ["numbers"],
    "See Figure 7. There it is.": ["number Figure 7"],
    "word " * 36 + "end.": ["long"],
    "Table.\n\n| a | b |\n|---|---|\n| c | d |": ["table"],
}
GOOD = (
    "What is a mask?",
    "One method is the mask. So that of the ten songs two are left, 3 dB above the mixture, an octave below.",
    "The noise floor of the side lobes can be heard. In section 4.2 and Figure 2 of Luo et al. (2019) are 16 of 2 s.",
    "Set `pitch_report.ipynb` and $f_0$ as code. ![a_b](x_y.png) [here](a_b.md)",
    "**Table 3. Seen.** As Table 3 shows.\n\n| a | b |\n|---|---|\n| c | d |",
    "The drums, e.g. the snare, reach 10.5 dB. “Right.” The bass does not.",
    "Each frame is told apart from the next.",
    "## Other words\n\n- one item\n- two items",
    "# References\n\n1. E. Cano, what_ever.py. The floor, anew; below.",
    "```python\nnothing_here = 'anew'\n```\n\n~~~\nanew\n~~~",
)


@pytest.mark.parametrize("text, found", BAD.items(), ids=[text[:40] for text in BAD])
def test_each_rule_is_found_once_and_alone(text, found):
    assert rules(text) == found


@pytest.mark.parametrize("text", GOOD, ids=[text[:40] for text in GOOD])
def test_good_sentences_are_left_alone(text):
    assert rules(text) == []


@pytest.mark.parametrize(
    "text, made",
    {
        "A sum of E. Cano et al. (2019), cf. Fig. 3, i.e. of 2.5 dB. It is“.” True?": 3,
        "A mixture is\n\n$$x = s.$$\n\nGiven x, it ends.": 2,
        "A mixture is\n\n$$x = s,$$\n\nwhere s is a stem. librosa computes it.": 2,
        "- first item\n- second one\n\n1. third\n2. fourth": 4,
        "Well. `si_sdr` is next! $x$ follows. 2 are left.": 4,
    }.items(),
)
def test_sentences_are_split_where_they_end(text, made):
    assert sum(len(prose.sentences(passage.text)) for passage in prose.blocks(text)) == made


def test_a_formula_a_number_and_a_piece_of_code_are_a_word_each():
    (passage,) = prose.blocks("The *loss* `a b c` of $x + y$, [as here](long/address) – is {loss:.1f} dB.")
    assert prose.count(passage.text) == 10 and prose.NUMBER.findall(passage.text) == ["1.5"]


def test_prose_in_code_is_read_and_the_code_is_not():
    code = """
%matplotlib inline
anew = beside = {"the floor": 1}
display.text(f"Played {anew:.1f}; " "{x.low:.1f} anew.", x=anew)
display.figure(fig, title="What is mended", look="Look above.", alt="A plot.")
display.table(rows, caption=numbered("Table", "Whence it came"))
"""
    assert rules(code, "code") == [
        "clause ;",
        "word anew",
        "headless What",
        "word mended",
        "reference above",
        "word Whence",
    ]


def test_folded_text_counts_unless_the_page_leaves_it_out():
    fold = f"<details><summary>What it prints</summary>\n\n{'word ' * 36}\n\n</details>"
    assert rules(fold) == ["long"] and rules(fold, folds=False) == []


@pytest.mark.parametrize(
    "exception, found",
    {
        "<!-- prose: allow anew: a quotation -->": [],
        "<!-- prose: allow word: a quotation -->": [],
        "<!-- prose: allow anew -->": ["exception anew", "word anew"],
        "<!-- prose: allow mend: a quotation -->": ["exception mend", "word anew"],
    }.items(),
)
def test_an_exception_has_a_reason_and_excuses_something(exception, found):
    assert sorted(rules(f"Computed anew. {exception}")) == found
    code = f"display.text('Computed anew.')  {exception.replace('<!--', '#').replace(' -->', '')}"
    assert sorted(rules(code, "code")) == found


CAPTION = {"caption": "Figure 1. Seen.", "image/png": {"alt": "A plot."}}


@pytest.mark.parametrize(
    "data, metadata, found",
    [
        ({"image/png": ""}, CAPTION, []),
        ({"image/png": ""}, {"caption": "Figure 1. Seen."}, ["figure"]),
        ({"image/png": ""}, {"image/png": {"alt": "A plot."}}, ["figure"]),
        ({"text/html": "<table><caption><b>Table 2. Seen.</b></caption><td>a</td></table>"}, {}, []),
        ({"text/html": "<table><caption>seen</caption><th>si_sdr</th></table>"}, {}, ["identifier si_sdr", "table"]),
        ({"text/html": "<div class=mss-player><table><td>drums</td></table>"}, {}, ["player"]),
    ],
)
def test_figures_tables_and_players_have_number_title_and_alternative_text(data, metadata, found):
    output = {"data": data, "metadata": metadata}
    cells = [{"cell_type": "code", "source": "", "outputs": [output]}]
    assert [f"{f.rule} {f.match}".strip() for f in prose.findings(prose.Page(""), cells)] == found


def test_bound_pages_fail_and_others_are_only_counted(tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.ipynb"
    cells = [{"cell_type": "markdown", "source": ["# Title\n", "\n", "Here it is ", "told " * 20, "anew."]}]
    page.write_text(json.dumps({"cells": cells}))
    assert prose.main([]) == 0
    monkeypatch.setattr(prose, "BOUND", (prose.Page(str(page)),))
    assert prose.main([]) == 1
    assert "page.ipynb, cell 1: error mean: expected 17 words a sentence at most, got 24.0" in capsys.readouterr().out
    assert prose.main([str(page), "--report"]) == 0
    assert capsys.readouterr().out.split()[-9:] == "24 1 24 24 0 0 0 0 0".split()


def test_every_group_of_a_pattern_has_its_advice():
    assert all(rule.pattern.groups in (0, len(rule.advice)) for rule in prose.RULES)
