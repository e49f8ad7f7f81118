"""The pages, built once, and a browser to look at them with."""

import pytest

from tests.browser import CHROMIUM, Browser
from tools.build_site import build


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the pages, as `make site` writes them from the notebooks as they are committed."""
    folder = tmp_path_factory.mktemp("pages") / "site"
    build(site=folder)
    return folder


@pytest.fixture
def browser(chromium):
    """Chromium, whose pages are closed after each test."""
    yield chromium
    chromium.close_pages()


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    started = Browser()
    yield started
    started.close()
