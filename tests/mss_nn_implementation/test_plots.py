"""The chapter's figures show what they are given, where their labels say."""

import numpy as np
import pytest

from mss_nn_implementation import plots
from mss_nn_implementation.parameters import PRESETS

SIGNALS = np.sin(2 * np.pi * np.arange(64)[:, None] * [0.4, 0.05, 0.2])  # (time, signal), of so many cycles per sample


def test_low_basis_signals_lie_at_the_bottom(ax):
    image = plots.spectra(SIGNALS, 16000, ax)
    assert image.origin == "lower"
    assert (np.diff(image.get_array().argmax(axis=1)) > 0).all()
    assert image.get_array().max() == pytest.approx(0) and image.get_clim() == (-40, 0)


def test_a_pair_shows_one_signal_of_encoder_and_decoder_and_says_where_it_peaks(ax):
    axes = ax.figure.subplots(1, 2)
    plots.pairs(SIGNALS, 3 * SIGNALS, [1, 2], 16000, axes)
    for ax, kilohertz in zip(axes, ("0.81", "3.2")):
        first, second = (line.get_ydata() for line in ax.lines)
        assert first == pytest.approx(second) and np.abs(first).max() == pytest.approx(1)
        assert kilohertz in ax.get_title()


def test_masks_are_sorted_by_the_peaks_that_their_axis_names(ax):
    axes = ax.figure.subplots(3, 1)
    values = np.zeros((3, 16, 3)) + [0.5, 0.25, 1.0]  # of the highest, the lowest and the middle signal
    image = plots.masks(values, SIGNALS, 16000, 2.0, axes, ("a", "b", "c"), split=1)
    assert list(image.get_array()[:, 0]) == [0.25, 1.0, 0.5]
    assert list(axes[0].get_yticks()) == [0, 0, 1, 1, 2, 2]  # 0.25 … 6 kHz, of peaks at 0.8, 3.2 and 6.4 kHz
    assert axes[0].lines[0].get_ydata()[0] == 1


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
