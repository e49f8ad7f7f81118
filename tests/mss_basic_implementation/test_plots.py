"""The chapter's player table and heat map show what they are given."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import soundfile

from mss_basic_implementation import plots


def test_player_table_plays_every_sound_at_one_gain():
    tone = 1.8 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    table = plots.player_table([{"name": "a<b", "dB": -1.25, "loud": tone, "soft": tone / 4}], 16000).data
    assert "a&lt;b" in table and "−1.2" in table
    loud, soft = (
        soundfile.read(io.BytesIO(base64.b64decode(data)))[0] for data in re.findall(r"base64,([^\"]+)", table)
    )
    assert 0.8 < np.abs(loud).max() < 1
    assert np.std(loud) / np.std(soft) == np.clip(np.std(loud) / np.std(soft), 3.9, 4.1)


def test_heat_writes_every_value():
    fig, ax = plt.subplots()
    plots.heat([[1.0, -2.0], [3.0, np.nan]], ["a", "b"], ["c", "d"], ax, xlabel="x", ylabel="y", label="dB")
    assert sorted(text.get_text() for text in ax.texts) == ["1.0", "3.0", "−2.0"]
    plt.close(fig)
