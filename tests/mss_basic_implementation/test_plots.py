"""The chapter's player table and heat map show what they are given."""

import numpy as np

from mss_basic_implementation import plots
from tests.helpers import clips_in, tone


def test_player_table_plays_every_sound_at_one_gain():
    sound = 1.8 * tone(440, 0.5, harmonics=1)
    table = plots.player_table([{"name": "a<b", "dB": -1.25, "loud": sound, "soft": sound / 4}], 16000).data
    assert "a&lt;b" in table and "−1.2" in table
    (loud, _), (soft, _) = clips_in(table)
    assert 0.8 < np.abs(loud).max() < 1
    assert np.std(loud) / np.std(soft) == np.clip(np.std(loud) / np.std(soft), 3.9, 4.1)


def test_heat_writes_every_value(ax):
    plots.heat([[1.0, -2.0], [3.0, np.nan]], ["a", "b"], ["c", "d"], ax, xlabel="x", ylabel="y", label="dB")
    assert sorted(text.get_text() for text in ax.texts) == ["1.0", "3.0", "−2.0"]
