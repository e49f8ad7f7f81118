"""The figures of the chapter on pitch put points where their axes say."""

import numpy as np
import pytest

from ddsp_models.pitch import plots


def record(track, value, system="yin"):
    keys = {"test_set": "low_notes", "source": "bass", "metric": "raw_pitch_accuracy"}
    return {**keys, "track": track, "system": system, "value": value}


@pytest.mark.parametrize("falling", [False, True])
def test_hardness_grows_to_the_right_and_steps_keep_their_size(ax, falling):
    records = [record("40 dB", 0.1), record("-10 dB", 0.3), record("0 dB", 0.2)]
    plots.hardness(records, "low_notes", "bass", ax, xlabel="", falling=falling)
    x, y = ax.lines[0].get_data()
    assert (list(x), list(y)) == ([-10, 0, 40], [0.3, 0.2, 0.1])
    left, right = ax.get_xlim()
    assert (left > right) == falling


def test_unvoiced_frames_are_shaded_and_have_no_line(ax):
    times, truth = np.arange(5) / 250, np.array([0, 0, 220.0, 220.0, 0])
    plots.tracks(times, truth, {}, ax)
    assert np.isnan(ax.lines[0].get_ydata()).tolist() == [True, True, False, False, True]
    assert [c.get_label() for c in ax.collections] == ["unvoiced"]


def test_a_line_over_activations_lies_on_its_bin(ax):
    hertz = 100 * 2 ** (np.arange(60) / 12)
    values = np.zeros((3, 60))
    values[:, 24] = 1
    plots.salience(values, hertz, 0.3, ax, {"line": np.array([400.0, 400.0, 0.0])}, limits=(200, 800))
    assert ax.lines[0].get_ydata() == pytest.approx([24, 24, np.nan], nan_ok=True)
    assert ax.get_ylim() == pytest.approx((12, 36))
