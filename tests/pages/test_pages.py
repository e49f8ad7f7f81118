"""Every page, as headless Chromium has it, at the width of a desk and of a phone."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from tools.build_site import page_name
from tools.notebooks import all_notebooks

pytestmark = pytest.mark.slow
PAGES = [page_name(path) for path in all_notebooks()]
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
SET = "(async () => { if (window.MathJax) await MathJax.startup.promise; return performance.now() / 1000; })()"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_it_loads_alone_in_time_and_fits(site, browser, name, width):
    """No console error or warning, nothing asked for outside the site, no sideways scroll, usable within 2 s.

    The 2 s are processor time of the page's one thread, which other programs do not lengthen, and where the machine is
    idle they are seconds of the clock as well; "usable" is: loaded, and every equation set.
    """
    idle = os.getloadavg()[0] < 0.5
    page = browser.page(site / name, width=width)
    seconds = page.js(SET)
    assert page.busy() < 2
    assert seconds < 2 or not idle
    assert page.console_errors() == []
    inside = site.as_uri() + "/"
    assert [address for address in page.requests() if not address.startswith(inside)] == []
    assert page.js("document.querySelectorAll('[data-mjx-error], mjx-merror').length") == 0
    assert page.js("document.documentElement.scrollWidth") <= width
    assert page.js("[...document.images].every((image) => image.alt && image.naturalWidth > 0)")


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_violation(site, browser, name):
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci --prefix tests/pages")
    page = browser.page(site / name)
    page.js(SET)
    page.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.js("dispatchEvent(new Event('resize'))")
    page.js(AXE.read_text() + "; null")
    run = """axe.run(document, {resultTypes: ['violations'], preload: false, ...%s}).then((found) => found.violations
        .filter((each) => ['serious', 'critical'].includes(each.impact))
        .map(({id, nodes}) => [id, nodes.length, nodes[0].html.slice(0, 200), nodes[0].failureSummary]))"""
    assert page.js(run % "{}") == []
    if name in PAGES[:3]:  # one style sheet for all: text, code and players in the dark
        page.js("document.documentElement.dataset.theme = 'dark'")
        assert page.js(run % "{runOnly: ['color-contrast']}") == []


def test_no_page_names_anything_elsewhere_that_a_browser_would_load(site):
    assert sorted(page.name for page in site.glob("*.html")) == sorted(PAGES)
    for page in site.glob("*.html"):
        text = page.read_text()
        assert not re.findall(r'(?:src|srcset)="(?:https?:)?//', text), page.name
        assert not re.findall(r'<link[^>]+href="(?:https?:)?//', text), page.name
        assert "{{" not in re.sub(r"<(script|pre|code).*?</\1>", "", text, flags=re.DOTALL), page.name
        for target in re.findall(r'href="([^"#:]+\.html)"', text):
            assert target in PAGES, (page.name, target)


def test_the_whole_site_is_small(site):
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) <= 60 * 2**20


def test_contents_and_turns_lead_somewhere(site, browser):
    for i, name in enumerate(PAGES):
        page = browser.page(site / name)
        lost = page.js(
            "[...document.querySelectorAll('.contents a')].filter("
            "(a) => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map((a) => a.textContent)"
        )
        assert lost == []
        turns = page.js("Object.fromEntries([...document.querySelectorAll('.turn a')].map((a) => [a.rel, a.pathname]))")
        expected = {"prev": PAGES[i - 1] if i else None, "next": PAGES[i + 1] if i + 1 < len(PAGES) else None}
        assert {rel: Path(to).name for rel, to in turns.items()} == {k: v for k, v in expected.items() if v}


def test_search_finds_a_section_of_another_page_and_leads_there(site, browser):
    page = browser.page(site / "index.html")
    page.press("/")
    assert page.js("document.activeElement.id") == "words"
    page.send("Input.insertText", text="overlap-add window")
    page.until("!document.getElementById('results').hidden")
    first = page.js("document.querySelector('#results a').getAttribute('href')")
    assert first.startswith("audio_processing-") and page.js("document.querySelectorAll('#results mark').length") > 0
    page.press("Enter")
    page.until(f"location.href.includes({json.dumps(first.split('#')[0])})")
    page.until("document.readyState === 'complete'")
    assert page.js("Boolean(document.getElementById(decodeURIComponent(location.hash.slice(1))))")
    page.open((site / "index.html").as_uri())
    page.click("#words")
    page.send("Input.insertText", text="xylophonic zebra")
    page.until("document.getElementById('found').textContent === 'Nothing found'")
    assert [address for address in page.requests() if not address.startswith(site.as_uri())] == []


def test_light_and_dark_can_be_chosen_and_stay(site, browser):
    def ground(page):
        return page.js("getComputedStyle(document.body).backgroundColor")

    page = browser.page(site / "index.html", dark=True)
    assert ground(page) == "rgb(22, 24, 27)"
    page.click("#theme")
    assert ground(page) == "rgb(255, 255, 255)"
    page.open((site / PAGES[1]).as_uri())
    assert ground(page) == "rgb(255, 255, 255)"
    page.js("localStorage.clear()")


def test_tables_sort_by_their_headings(site, browser):
    page = browser.page(site / "index.html")
    table = (
        "[...document.querySelectorAll('caption')].find((each) => each.textContent.includes('SI-SDR')).parentElement"
    )
    column = f"[...({table}).tBodies[0].rows].map((row) => row.cells[1].textContent)"

    def numbers():
        shown = [cell.replace("−", "-") for cell in page.js(column)]
        return [float(cell) for cell in shown if cell != "–"], [cell for cell in shown if cell == "–"]

    before = numbers()[0]
    page.js(f"({table}).tHead.rows[0].cells[1].querySelector('button').click()")
    assert numbers()[0] == sorted(before, reverse=True)
    assert page.js(f"({table}).tHead.rows[0].cells[1].getAttribute('aria-sort')") == "descending"
    page.js(f"({table}).tHead.rows[0].cells[1].querySelector('button').click()")
    assert numbers()[0] == sorted(before)


def test_a_table_of_sounds_has_a_button_in_each_cell(site, browser):
    page = browser.page(site / "mss_basic_implementation-hps_model.html", width=390)
    assert page.js("document.querySelectorAll('.sound').length") >= 20
    playing = "[...document.querySelectorAll('.scroll > table td > audio')].filter((each) => !each.paused).length"
    for i in (0, 3):
        page.js(f"document.querySelectorAll('.sound')[{i}].click()")
        page.until(f"document.querySelectorAll('.sound')[{i}].ariaLabel.startsWith('Pause')")
        assert page.js(playing) == 1
    page.js("document.querySelectorAll('.sound')[3].click()")
    page.until(f"{playing} === 0")


def test_figures_and_players_are_on_the_report(site, browser):
    page = browser.page(site / "index.html")
    page.js(SET)
    assert page.js("document.querySelectorAll('mjx-container').length") >= 5
    assert page.js("document.images.length") >= 3
    assert page.js("document.querySelectorAll('.mss-player[data-ready] .mss-play').length") >= 2
    assert page.js("document.querySelectorAll('script[data-mss-player]').length") == 0  # the page brings it once


def test_only_what_is_looked_at_is_decoded(site, browser):
    """A page with many clips stays quick: none is decoded before it comes near the window."""
    counting = """
        window.decodings = 0;
        const decode = BaseAudioContext.prototype.decodeAudioData;
        BaseAudioContext.prototype.decodeAudioData = function (...given) {
            window.decodings++;
            return decode.apply(this, given);
        };
    """
    page = browser.page(site / "index.html", before=counting)
    time.sleep(0.3)
    assert page.js("window.decodings") == 0
    page.js("[...document.querySelectorAll('.mss-player')].at(-1).scrollIntoView({behavior: 'instant'})")
    page.until("window.decodings > 0")
