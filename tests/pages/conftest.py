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


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    started = Browser()
    yield started
    started.close()
