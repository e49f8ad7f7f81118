"""The audio player as HTML: a table of <audio> elements, which player.js turns into a player if scripts run."""

import html
import re
import tomllib
from pathlib import Path

from audio_processing.plots import COLOURS
from common.places import ROOT
from player.captions import as_html
from player.clips import data_address


def repository():
    """Address of the repository, from pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def table(rows, seconds, sample_rate, *, together, caption=None):
    """The player without its program.

    Parameters
    ----------
    rows : dict of str to dict of str to bytes
        lane → version → MP3. A lane without a version plays the first that it has.
    seconds : float
        length of the player; clips are cut or filled with silence to it.
    sample_rate : int
        of the clips, in Hz: spectrograms go up to half of it.
    together : bool
        the lanes are stems that play together; one whose name begins with "mixture" is their sum.
    caption : str, optional

    Returns
    -------
    str
    """
    versions = list(dict.fromkeys(version for clips in rows.values() for version in clips))
    head = "".join(f"<th>{html.escape(version)}</th>" for version in versions)
    place = f"https://colab.research.google.com/github/{repository().removeprefix('https://github.com/')}"
    lines = [
        f'<div class="mss-player" data-mode="{"mix" if together else "choose"}" data-seconds="{seconds:.4f}" '
        f'data-rate="{sample_rate}"><table>',
        *([f"<caption>{as_html(caption)}</caption>"] if caption else []),
        *([f"<thead><tr><td></td>{head}</tr></thead>"] if len(versions) > 1 else []),
        "<tbody>",
        *(_lane(lane, clips, versions, together) for lane, clips in rows.items()),
        "</tbody></table>",
        '<p class="mss-elsewhere">Where no players are shown, as on GitHub: listen on '
        f'<a href="{place}">Colab</a>.</p></div>',
    ]
    return "\n".join(lines)


def _lane(lane, clips, versions, together):
    marks = ' data-whole=""' if together and lane.startswith("mixture") else ""
    if (colour := COLOURS.get(re.split(r"\W", lane)[0])) and not lane.startswith("mixture"):
        marks += f' data-colour="{colour}"'
    cells = ""
    for version in versions:
        label = html.escape(f"{lane}, {version}" if len(clips) > 1 else lane)
        about = f'<audio controls preload="none" aria-label="{label}"'
        cells += f'<td>{about} src="{data_address(clips[version])}"></audio></td>' if version in clips else "<td></td>"
    return f'<tr{marks}><th style="text-align:left">{html.escape(lane)}</th>{cells}</tr>'


def program():
    """What turns the tables of a cell into players, as HTML: style and program, without their comments."""
    style, code = (Path(__file__).with_name(name).read_text() for name in ("player.css", "player.js"))
    style = re.sub(r"/\*.*?\*/\n?", "", style, flags=re.DOTALL)
    code = "\n".join(line.strip() for line in code.split("\n") if not line.strip().startswith("//"))
    return f"<style data-mss-player>{style}</style><script data-mss-player>{code}</script>"
