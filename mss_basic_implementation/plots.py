"""Plots and the player table of chapter 4: every function shows given data, and computes nothing."""

import base64
import html
import io

import numpy as np
import soundfile


def heat(values, rows, columns, ax, *, xlabel, ylabel, label):
    """Draw a table of numbers as an image with its values written in; NaN is left empty."""
    values = np.asarray(values, float)
    drawn = ax.imshow(values, cmap="viridis", aspect="auto", origin="lower")
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)])
    for i, j in np.ndindex(*values.shape):
        if np.isfinite(values[i, j]):
            colour = "black" if values[i, j] > middle else "white"
            ax.text(j, i, f"{values[i, j]:.1f}".replace("-", "−"), ha="center", va="center", color=colour, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.02)


def player_table(rows, sample_rate, *, digits=1):
    """A table whose sounds can be played where they stand, as HTML.

    Parameters
    ----------
    rows : list of dict
        column name → text, number, or sound (an array (samples,) or (channels, samples)). All sounds are played at one
        common gain.
    sample_rate : int
        in Hz.
    digits : int
        after the point, for floats.

    Returns
    -------
    IPython.display.HTML
    """
    from IPython.display import HTML

    peak = max((np.abs(cell).max() for row in rows for cell in row.values() if isinstance(cell, np.ndarray)), default=0)
    gain = 0.9 / peak if peak > 0.9 else 1.0

    def shown(cell):
        if isinstance(cell, np.ndarray) and not cell.any():
            return "<td>silent</td>"
        if isinstance(cell, np.ndarray):
            return f"<td>{_player(gain * cell, sample_rate)}</td>"
        text = f"{cell:.{digits}f}".replace("-", "−") if isinstance(cell, float) else html.escape(str(cell))
        return f'<td style="text-align:right">{text}</td>'

    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(map(shown, row.values())) + "</tr>" for row in rows)
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _player(audio, sample_rate):
    """An audio element that holds its sound as MP3."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(audio, np.float32).T, sample_rate, format="MP3")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<audio controls preload="metadata" style="width:160px" src="data:audio/mpeg;base64,{data}"></audio>'
