"""Chapter 3's plots draw the data at the right place."""

import numpy as np

from residual_analysis import plots


def test_forecast_begins_where_the_past_ends(ax):
    plots.forecast(np.zeros(50), np.ones(10), np.ones(10), np.zeros(10), 2 * np.ones(10), 1000, ax)
    past, forecast, future = ax.lines
    assert past.get_xdata()[-1] == 49 and forecast.get_xdata()[0] == future.get_xdata()[0] == 50


def test_matrix_and_correlogram_show_all_values(ax):
    axes = ax.figure.subplots(1, 2)
    plots.matrix([[1, 0.25], [0.25, 1]], ["a", "b"], axes[0], label="x")
    assert [text.get_text() for text in axes[0].texts] == ["1.00", "0.25", "0.25", "1.00"]
    plots.correlogram(np.array([1, 0.5, -0.2]), 0.1, axes[1], ylabel="r")
    assert len(axes[1].collections[0].get_segments()) == 3
