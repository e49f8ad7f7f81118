"""The first chapters' plots draw the data at the right place."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from audio_processing import plots


def test_waveform_has_its_time_axis_in_the_unit_asked_for(ax):
    plots.waveform(np.zeros(100), 1000, ax, start=2.0, unit="ms")
    assert ax.lines[0].get_xdata()[[0, -1]] == pytest.approx([2000, 2099]) and ax.get_xlabel() == "time (ms)"


def test_time_frequency_spans_seconds_and_kilohertz(ax):
    plots.time_frequency(np.zeros((4, 5)), 3.0, 8.0, ax, label="dB")
    assert ax.images[0].get_extent() == [0, 3.0, 0, 8.0]


def test_winners_have_their_sources_colours_and_fade_to_black(ax):
    plots.winners(np.array([[0, 1]]), np.array([[1.0, 0.0]]), ["drums", "bass"], 1, 1, ax)
    red, black = ax.images[0].get_array()[0]
    assert to_hex(red) == plots.COLOURS["drums"] and not black.any()


def test_lines_named_after_sources_have_their_colours(ax):
    plots.lines([0, 1], {"vocals": [0, 1], "sum": [1, 2]}, ax, xlabel="x", ylabel="y", legend="right")
    assert ax.lines[0].get_color() == plots.COLOURS["vocals"] and ax.get_legend() is not None
