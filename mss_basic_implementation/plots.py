"""Plots and the player table of chapter 4: every function shows given data, and computes nothing.

Notebook: mss_basic_implementation/hps_model.ipynb
"""

import html

import numpy as np

from audio_processing.plots import numbers
from player.clips import common_gain, data_address, mp3


def heat(values, rows, columns, ax, *, xlabel, ylabel, label):
    """Draw a table of numbers as an image with its values; NaN is left empty."""
    values = np.asarray(values, float)
    drawn = ax.imshow(values, cmap="viridis", aspect="auto", origin="lower")
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)])
    numbers(values, rows, columns, ax, lambda value: f"{value:.1f}".replace("-", "−"), values <= middle)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.02)


def player_table(rows, sample_rate, *, digits=1):
    """A table with a player for each sound, as HTML.

    Parameters
    ----------
    rows : list of dict
        column name → text, number, or sound (an array (samples,) or (channels, samples)). All sounds have one common
        gain.
    sample_rate : int
        in Hz.
    digits : int
        after the point, for floats.

    Returns
    -------
    IPython.display.HTML
    """
    from IPython.display import HTML

    gain = common_gain(cell for row in rows for cell in row.values() if isinstance(cell, np.ndarray))

    def shown(cell, label):
        if isinstance(cell, np.ndarray) and not cell.any():
            return "<td>silent</td>"
        if isinstance(cell, np.ndarray):
            address = data_address(mp3(gain * cell, sample_rate))
            style = 'controls preload="none" style="width:160px"'
            return f'<td><audio {style} aria-label="{html.escape(label)}" src="{address}"></audio></td>'
        text = f"{cell:.{digits}f}".replace("-", "−") if isinstance(cell, float) else html.escape(str(cell))
        return f'<td style="text-align:right">{text}</td>'

    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(shown(cell, f"{name}, row {i}") for name, cell in row.items()) + "</tr>"
        for i, row in enumerate(rows, 1)
    )
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
