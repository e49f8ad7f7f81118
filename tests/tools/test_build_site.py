"""The pages as a browser sees them."""

import re
import shutil
import subprocess

import pytest

from tools.build_site import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages") / "site"
    return {page.name: page for page in build(site=folder)}


def test_pages_are_there_and_ask_no_other_host_for_anything(site):
    assert "index.html" in site
    for page in site.values():
        text = page.read_text()
        assert not re.findall(r'(?:src|srcset)="(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]+href="(?:https?:)?//', text), page
        assert "{{" not in re.sub(r"<(script|pre|code).*?</\1>", "", text, flags=re.DOTALL), page


def test_links_between_pages_lead_somewhere(site):
    for page in site.values():
        for target in re.findall(r'href="([^"#:]+\.html)"', page.read_text()):
            assert target in site, (page, target)


@pytest.fixture(scope="module")
def opened(site, tmp_path_factory):
    """The report as headless Chromium has it once its scripts have run, and what it logged."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    profile = tmp_path_factory.mktemp("profile")
    quiet = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-gpu"
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet.split(), f"--user-data-dir={profile}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", site["index.html"].as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-500:]
    return result.stdout, result.stderr


def test_the_report_shows_equations_figures_a_table_and_players(opened):
    text, _ = opened
    assert text.count("<mjx-container") >= 5 and "data-mjx-error" not in text
    assert text.count("<img") >= 3 and text.count("<audio") >= 7 and text.count("<table") >= 2


def test_the_console_stays_silent(opened):
    assert not re.findall(r"CONSOLE.*(?:error|Uncaught|Failed)", opened[1], re.IGNORECASE)
