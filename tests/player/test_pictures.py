"""Figures as small files."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from player.pictures import in_256_colours
from tools.notebooks import write


def encoded(picture):
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def picture():
    """What a spectrogram looks like, with a thin line over it."""
    shades = np.linspace([0, 20, 60], [255, 230, 40], 4000).round().astype(np.uint8)
    pixels = shades[np.random.default_rng(0).integers(0, 4000, (300, 400))]
    pixels[150] = (0, 255, 255)
    return Image.fromarray(pixels).convert("RGBA")


def test_a_palette_halves_a_figure_and_keeps_a_thin_line(picture):
    png = encoded(picture)
    small = in_256_colours(png)
    assert len(small) < 0.5 * len(png)
    before, after = (np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in (png, small))
    assert np.abs(after - before).max() <= 16
    assert in_256_colours(small) == small


def test_what_is_transparent_stays_so(picture):
    picture.putpixel((0, 0), (0, 0, 0, 128))
    assert in_256_colours(encoded(picture)) == encoded(picture)


def test_notebooks_are_written_with_small_figures(tmp_path, picture):
    png = base64.b64encode(encoded(picture)).decode()
    cell = nbformat.v4.new_code_cell("plot()", outputs=[nbformat.v4.new_output("display_data", {"image/png": png})])
    write(tmp_path / "a.ipynb", nbformat.v4.new_notebook(cells=[cell]))
    written = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[0].outputs[0].data["image/png"]
    assert len(written) < 0.5 * len(png)
