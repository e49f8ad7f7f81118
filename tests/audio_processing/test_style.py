"""One palette, of colours that differ and that a light and a dark page carry, and figures that both can show."""

from itertools import combinations
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

from audio_processing import style
from experiments.catalogue import SYSTEMS

LINEAR_TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
PAGES = ("#ffffff", "#16181b")  # of tools/page.css, light and dark
COLOURS = {name: row.colour for name, row in SYSTEMS.items() if row.colour} | style.STEMS | dict(enumerate(style.LINES))


def xyz(colour):
    values = np.array(to_rgb(colour))
    return LINEAR_TO_XYZ @ np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour):
    """CIELAB coordinates, in which a distance of 20 is a plain difference."""
    x, y, z = np.cbrt(xyz(colour) / xyz("#ffffff"))  # of colours that are not nearly black
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    low, high = sorted((xyz(one)[1], xyz(other)[1]))
    return (high + 0.05) / (low + 0.05)


def test_no_two_stems_or_systems_look_alike_and_all_stand_out_from_a_light_and_a_dark_page():
    places = {name: lab(colour) for name, colour in COLOURS.items()}
    assert [pair for pair in combinations(places, 2) if np.linalg.norm(places[pair[0]] - places[pair[1]]) < 20] == []
    assert [name for name, colour in COLOURS.items() if min(contrast(colour, page) for page in PAGES) < 3] == []
    assert SYSTEMS["mixture"].colour == style.MIXTURE


@mpl.rc_context()
def test_a_figures_svg_stands_in_any_page():
    figure, axes = style.figure(1, 2, 2.6)
    noise = np.random.default_rng(0).normal(size=(250, 400))
    axes[0].imshow(np.linspace(0, 9, 400) + noise, cmap="magma", aspect="auto")
    axes[1].plot([0, 1], color=style.STEMS["bass"])
    axes[1].set(xlabel="time (s)", title="small")
    axes[1].text(0.5, 0.2, "words", fontsize=6)
    svg = style.svg(figure, 'A "line".')
    elements = list(ElementTree.fromstring(svg).iter())
    texts = {element.text: float(element.get("font-size")[:-2]) for element in elements if element.tag.endswith("text")}
    assert {"time (s)", "small", "words", "0.5"} <= set(texts) and min(texts.values()) == style.TYPE
    assert [elements[0].get(name) for name in ("aria-label", "role", "width")] == ['A "line".', "img", "720"]
    assert not any(element.get("style") for element in elements)
    assert "#ffffff" not in svg and style.INK not in svg and svg.count("currentColor") > 10
    assert style.STEMS["bass"] in svg and "data:image/webp" in svg and len(svg) < 60_000
    figure.set_figwidth(2 * style.WIDTH)  # a page shows it at half of its size
    assert f'font-size="{2 * style.TYPE}px"' in style.svg(figure, "words")
    plt.close(figure)
