"""The chapter's figures show what they are given, where their labels say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mss_nn_implementation import plots
from mss_nn_implementation.parameters import PRESETS


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


@pytest.mark.parametrize("draw", [plots.waveforms, plots.spectra])
def test_low_basis_signals_lie_at_the_bottom(ax, draw):
    turns = np.arange(64)[:, None] * np.array([[0.4, 0.05, 0.2]])  # cycles per sample
    image = draw(np.sin(2 * np.pi * turns), 16000, ax)
    assert image.origin == "lower"
    rows = np.abs(np.fft.rfft(image.get_array(), axis=1)) if draw is plots.waveforms else image.get_array()
    assert (np.diff(rows.argmax(axis=1)) > 0).all()
    assert abs(image.get_array()).max() == pytest.approx(1)


def test_the_diagram_names_the_sizes(ax):
    sizes = PRESETS["laptop"]
    plots.network(sizes, ax)
    words = " ".join(text.get_text() for text in ax.texts)
    for name in ("N", "B", "H", "Sc", "P"):
        assert f"{name} = {getattr(sizes, name)}" in words


def test_the_reach_is_a_share_of_the_change_in_the_middle(ax):
    changes = np.array([0.1, 1.0, 2.0, 0.5, 0.2])
    plots.reach(changes, 32, 16000, 0.004, ax)
    seconds, shares = ax.lines[0].get_data()
    assert shares == pytest.approx(changes / 2)
    assert seconds == pytest.approx(np.arange(-2, 3) * 0.002)
