"""The chapter's figures name their parts, in their places."""

import numpy as np

from ddsp_models.separation import plots
from ddsp_models.separation.analysis_network import Sizes, mel_triangles


def test_the_diagram_names_the_parts(ax):
    plots.network(Sizes(), ax)
    words = " ".join(text.get_text() for text in ax.texts)
    for part in ("pitch heads", "6 temporal blocks", "envelopes", "masks", "decoders", "stems", "f0"):
        assert part in words


def test_the_frequencies_of_an_envelope_are_those_of_its_bands(ax):
    image = plots.envelope(np.ones((10, 96)), 2.0, 16000, ax, "drums")
    assert image.get_array().shape == (96, 10) and ax.get_title() == "drums"
    triangles = mel_triangles(96, 16000, 16000)  # a bin per hertz
    for place, kilohertz in zip(ax.get_yticks(), (0.25, 0.5, 1, 2, 4)):
        assert triangles[round(1000 * kilohertz), round(place)] > 0.4  # the band whose triangle is highest there
