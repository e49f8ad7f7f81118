"""A small notebook as a page: what is kept, what is changed, and what is said where something could not be shown."""

import json
import re
import shutil

import nbformat
import pytest

from tests.helpers import recorded
from tools import build_site, notebooks
from tools.notebooks import not_shown

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A repository of one report and one chapter."""
    shutil.copy(notebooks.ROOT / "pyproject.toml", tmp_path)
    chapters = {}
    for module in (notebooks, build_site):
        monkeypatch.setattr(module, "CHAPTERS", chapters)
        monkeypatch.setattr(module, "ROOT", tmp_path)

    def write(name, *cells):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        chapters[name] = str(len(chapters))
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
        return path

    return write


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, *outputs):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)


def shown(metadata=None, **data):
    data = {kind.replace("_", "/"): value for kind, value in data.items()}
    return nbformat.v4.new_output("display_data", data, metadata=metadata or {})


def test_pages_link_to_one_another_and_can_be_searched(course, tmp_path):
    course(
        "main_report.ipynb",
        text("# The report\n\nSee [the song](virtual_band/song.ipynb)."),
        text("## A *part*\n\nwords"),
    )
    course("virtual_band/song.ipynb", text("# A song\n\n## Where `f0` lies"), code("x = 1"))
    pages, failures = build_site.build(site=tmp_path / "site")
    assert [page.name for page in pages] == ["index.html", "virtual_band-song.html"] and failures == []
    report, song = (page.read_text() for page in pages)
    assert 'See <a href="virtual_band-song.html">the song</a>' in report
    assert 'rel="next"' in report and 'rel="prev"' not in report and 'rel="prev"' in song
    assert "mathjax.js" not in report  # there is no equation on it
    words = (tmp_path / "site" / "assets" / "search.js").read_text()
    sections = json.loads(words.removeprefix("window.SECTIONS = ").removesuffix(";\n"))
    assert [section["heading"] for section in sections] == ["The report", "A part", "A song", "Where f0 lies"]
    assert sections[1]["text"] == "words" and sections[3]["page"] == "virtual_band-song.html"


def test_tables_scroll_pictures_are_described_and_the_player_comes_once(course, tmp_path):
    player = '<div class="mss-player"><table><tr><td><audio src="data:,"></audio></td></tr></table></div>'
    program = "<style data-mss-player>p{}</style><script data-mss-player>let x;</script>"
    outputs = [shown(image_png=PIXEL), shown(text_html=player), shown(text_html=program)]
    course("main_report.ipynb", text("# T $x$"), text("## Results"), code("show()", *outputs))
    build_site.build(site=tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert 'alt="Figure: Results"' in page and "mathjax.js" in page
    assert '<div class="scroll"><table>' in page
    assert "data-mss-player" not in page and page.count("assets/player.js") == 1


def test_what_is_missing_or_failed_is_said_in_its_place_and_the_build_fails(course, tmp_path, capsys):
    missing = shown(
        {"missing": "results/a.json: no such file"}, text_html='<p class="missing">Missing here: a.json</p>'
    )
    failed = nbformat.v4.new_output(
        "error", ename="AudioError", evalue="notes.txt: not a sound <file>", traceback=["x"]
    )
    course("main_report.ipynb", text("# T"), code("display.scores('a')", missing), text("## Next"), code("f()", failed))
    assert build_site.main(["--out", str(tmp_path / "site")]) == 1
    said = capsys.readouterr().err
    assert "index.html: cell 2 has nothing to show: results/a.json: no such file" in said
    assert "index.html: cell 4 failed: AudioError: notes.txt: not a sound <file>" in said
    page = (tmp_path / "site" / "index.html").read_text()
    assert page.index("Missing here: a.json") < page.index('id="Next"') < page.index("not a sound &lt;file&gt;")
    assert 'role="alert"' in page and "Traceback" not in page


def test_a_report_that_was_not_executed_is_refused(course, tmp_path, capsys):
    course("main_report.ipynb", text("# T"))
    assert build_site.main(["--report", str(tmp_path / "nowhere.ipynb"), "--out", str(tmp_path / "site")]) == 2
    assert "--report" in capsys.readouterr().err and not (tmp_path / "site").exists()


BAD = {
    "no such file": "display.scores('nobody_scored_this', systems=['irm'])",
    "expected schema 1": "results.read('other.json')",
    "zero.txt": "separate.separate_file('zero.txt', out='stems', progress=False)",
    "expected one of": "separate.separator('no_such_weights')",
}


def test_a_notebook_with_bad_input_is_executed_to_its_end(course, tmp_path):
    """Real cells, a real kernel: each says what is wrong, and the cells behind it run."""
    (tmp_path / "other.json").write_text('{"schema": 99}')
    (tmp_path / "zero.txt").write_text("this is no song")
    find = f"import sys\nsys.path.insert(0, {str(build_site.HERE.parent)!r})\n"
    first = code(find + "import display, separate\nfrom common import results")
    path = course("main_report.ipynb", text("# T"), first, *map(code, BAD.values()), code("print('the end')"))
    failures = notebooks.run(path, tmp_path / "executed.ipynb", keep_going=True)
    assert len(failures) == len(BAD)
    for failure, says in zip(failures, BAD):
        assert says in failure and "\n" not in failure, failure
    assert not_shown(nbformat.read(tmp_path / "executed.ipynb", 4)) == failures
    assert "the end" in (tmp_path / "executed.ipynb").read_text()


def test_a_changed_result_changes_text_table_and_plot_of_the_page(course, tmp_path, write_results):
    """From the result file through a real kernel to the page: nothing on the way holds a number of its own."""
    find = f"import sys\nsys.path.insert(0, {str(build_site.HERE.parent)!r})\nimport display\n"
    here = f"from pathlib import Path\nfrom experiments import values\ndisplay.HERE.root = Path({str(tmp_path)!r})"
    cells = [
        find + here,
        "v = dict(irm=values.score('same_artist', 'irm'))\ndisplay.text('The mask: {irm:.1f} dB.', v)",
        "display.scores('same_artist')",
        "%matplotlib inline\nax = display.score_plot('same_artist')",
    ]
    path = course("main_report.ipynb", text("# T"), *map(code, cells))
    shown = []
    for value in (4.5, -7.25):
        songs = dict.fromkeys(("drums", "bass", "vocals"), {"si_sdr": [value, value]})
        write_results("scores/same_artist-irm.json", recorded("irm", songs))
        assert notebooks.run(path, tmp_path / "executed.ipynb", keep_going=True) == []
        build_site.build({path: tmp_path / "executed.ipynb"}, tmp_path / "site")
        page = (tmp_path / "site" / "index.html").read_text()
        words = re.search(r"The mask: ([−\d.]+) dB", page).group(1)
        cells = re.findall(r'<td style="text-align:\s*right">(.*?)</td>', page)
        shown.append((words, cells, re.search(r'<img[^>]*src="data:image/png;base64,([^"]+)"', page).group(1)))
    assert [each[:2] for each in shown] == [("4.5", ["4.5"] * 4), ("−7.2", ["−7.2"] * 4)]
    assert shown[0][2] != shown[1][2]


def test_the_report_types_no_level_into_its_prose():
    """A number of decibels in the report's own text is somebody else's, with the year of the paper in its paragraph."""
    report = next(path for path in notebooks.all_notebooks() if path.stem == "main_report")
    for cell in nbformat.read(report, 4).cells:
        if cell.cell_type == "markdown":
            for paragraph in re.split(r"\n\s*\n", cell.source):
                assert not re.search(r"\d\s?dB\b", paragraph) or re.search(r"(19|20)\d\d", paragraph), paragraph
