"""Everything the report shows: text with measured values, tables, plots, players. It computes nothing itself.

An output that shows result files is marked with the call that made it, so that a test can make it again from the files
and compare (`rendered_again`). If a result file is missing or damaged, a box that says so takes the place of the text,
table, plot or player, and is marked, so that the build can fail (`tools.notebooks`). Every notebook uses this module.
"""

import base64
import functools
import html
import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import soundfile
from IPython import display as ipython
from matplotlib.figure import Figure

from audio_processing import style
from audio_processing.tracks import SOURCES
from common import keras_config, results
from common.files import sha256_of
from common.places import HERE, ROOT
from experiments import plots, statistics, tables
from experiments.catalogue import METRICS, label
from experiments.values import as_plain, restored
from player import captions, pictures
from player import html as player_html
from player.captions import numbered
from player.clips import common_gain, mp3

spectrogram, spectrograms = pictures.spectrogram, pictures.spectrograms

BOX = "border: 2px solid #a3360b; border-radius: 5px; padding: 0.5em 0.8em"
"""Style of the box that stands in place of a missing result."""


def environment():
    """Print the versions of Python, Keras and what computes here, Keras's backend and its device."""
    keras_config.prepare()
    import keras

    here = results.environment()
    print(f"Python {here['python']}, Keras {keras.__version__} on {here['backend']} ({here['device']})")
    shown = ", ".join(f"{name} {version}" for name, version in here["versions"].items() if name != "keras")
    print(textwrap.fill(shown, 90, break_on_hyphens=False))


def source(function, brief=False):
    """Show the source of a function or class; `brief`: only with the first line of its docstring."""
    path = Path(inspect.getsourcefile(function)).relative_to(ROOT)
    code, line = inspect.getsource(function), inspect.getsourcelines(function)[1]
    if brief and function.__doc__:
        code = code.replace(function.__doc__, function.__doc__.strip().splitlines()[0], 1)
    ipython.display(ipython.Markdown(f"`{path}`, line {line}:\n\n```python\n{code}```"))


# --- results: marked, or a box ----------------------------------------------------------------------------------------


def in_its_place(show):
    """Let a function that shows results show a box instead if a result file is missing or damaged.

    A function that draws then returns the axes of a figure that is not shown, so that its caller can go on.
    """

    @functools.wraps(show)
    def shown(*args, **kwargs):
        try:
            return show(*args, **kwargs)
        except results.ResultsError as error:
            box = f'<p class="missing" role="alert" style="{BOX}"><b>Missing here:</b> {html.escape(str(error))}</p>'
            data = {"text/html": box, "text/plain": f"Missing here: {error}"}
            ipython.display(data, raw=True, metadata={"missing": str(error)})
            return Figure().subplots() if "ax" in inspect.signature(show).parameters else None

    return shown


def rendered(kind):
    """Let a function that returns text of a MIME type show it instead, marked with the call; `render` still returns it.

    The arguments are brought into JSON's types, since the mark stands in the notebook. `caption`, where one is given,
    takes the place of a table's own (`numbered`).
    """

    def decorate(render):
        @in_its_place
        @functools.wraps(render)
        def show(*args, caption=None, **kwargs):
            arguments = as_plain(inspect.signature(render).bind(*args, **kwargs).arguments)
            mark = {"call": render.__name__, "arguments": arguments} | ({"caption": caption} if caption else {})
            data = {kind: captions.with_caption(render(**arguments), caption)}
            ipython.display(data, raw=True, metadata={"shown_by": mark})

        show.kind, show.render = kind, render
        return show

    return decorate


@rendered("text/markdown")
def text(template, values=None):
    """Show Markdown whose {names} are values, with a minus sign before negative numbers.

    Parameters
    ----------
    template : str
        a format string: "Mask scores {masks:.1f} dB, {masks.vocals:.1f} dB in the vocals".
    values : dict, optional
        name → `experiments.values.Measured`, number or str.
    """
    values = {name: restored(value) for name, value in (values or {}).items()}
    filled = re.sub(r"(?<=[\s(*])-(?=0\.?0*(?!\d|\.\d))", "", template.format_map(values))  # no negative zero
    return re.sub(r"(?<=[\s(*])-(?=\d)", "−", filled)


# --- tables -----------------------------------------------------------------------------------------------------------


def table(rows, columns=None, *, caption=None, digits=2):
    """Show a table.

    Parameters
    ----------
    rows : list of dict
        column name → cell; a missing cell is shown as a dash.
    columns : list of str, optional
        which, and in what order; those of the first row if None.
    caption : str, optional
    digits : int or dict
        after the point, for floats; or for each column.
    """
    ipython.display(ipython.HTML(html_table(rows, columns, caption, digits)))


def html_table(rows, columns=None, caption=None, digits=2):
    """The HTML of `table`."""
    columns = list(rows[0]) if columns is None else columns
    places = dict.fromkeys(columns, digits) if isinstance(digits, int) else digits
    words = {c for c in columns if any(isinstance(row.get(c), str) for row in rows)}
    head = "".join(f'<th style="text-align:{_side(c in words)}">{html.escape(c)}</th>' for c in columns)
    lines = [
        "<table>",
        *([f"<caption>{captions.as_html(caption)}</caption>"] if caption else []),
        f"<thead><tr>{head}</tr></thead><tbody>",
        *("<tr>" + "".join(_cell(row.get(c), places[c]) for c in columns) + "</tr>" for row in rows),
        "</tbody></table>",
    ]
    return "\n".join(lines)


def _side(words):
    return "left" if words else "right"


def _cell(x, digits):
    words = isinstance(x, bool) or not isinstance(x, (int, float, np.number, type(None)))
    if words:
        shown = html.escape(str(x))
    else:
        shown = "–" if x is None else f"{x:.{digits}f}" if isinstance(x, (float, np.floating)) else f"{x:,}"
        shown = shown.replace("-", "−")
    return f'<td style="text-align:{_side(words)}">{shown}</td>'


def _shown(rows):
    """Show what a function of `experiments.tables` returns, under its name and with its arguments."""
    return rendered("text/html")(functools.wraps(rows)(lambda *args, **kwargs: html_table(**rows(*args, **kwargs))))


scores, overview, facts, comparisons, studies, ablations, benchmarks = (
    _shown(rows)
    for rows in (
        tables.scores, tables.overview, tables.facts, tables.comparisons, tables.studies, tables.ablations,
        tables.benchmarks,
    )
)  # fmt: skip
"""Tables of results."""


# --- plots ------------------------------------------------------------------------------------------------------------


def figure(drawn, *, title, alt, look="", number=None):
    """Show a figure with its caption: SVG, with a PNG or JPEG file for readers that show none, and the caption below.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
        of `style.figure`, or any other; it is closed.
    title : str
        the takeaway, as a sentence.
    alt : str
        what it shows, for those who cannot see it.
    look : str
        what to look at: "Look at the second peak: …"
    number : int, optional
        by default the next one in this notebook.
    """
    if not alt.strip():
        raise ValueError(f"alt: expected what the figure {title!r} shows, for those who cannot see it, got {alt!r}")
    caption = numbered("Figure", title, look, number)
    data = {"image/svg+xml": style.svg(drawn, alt), "text/plain": alt}
    kind, file = pictures.smallest_of(drawn)
    data[kind] = base64.b64encode(file).decode()
    described = {kind: {"alt": alt} for kind in ("image/svg+xml", kind)}
    ipython.display(data, raw=True, metadata=described | {"caption": caption})
    ipython.display({"text/markdown": captions.as_markdown(caption)}, raw=True, metadata={"caption_of": caption})


@in_its_place
def training_curve(name, ax=None):
    """Draw the loss of a training on its training crops and on the validation songs, over minutes."""
    ylabel = "loss: negative SNR (dB)" if name.startswith("conv_tasnet") else "loss"
    return plots.training_curve(statistics.training_log(name), pictures.axes_of(ax, (8, 3.2)), ylabel=ylabel)


@in_its_place
def score_plot(test_set, metric="si_sdr", systems=None, ax=None):
    """Draw every song's score as a dot and the average as a bar, per source, systems side by side.

    Averages that are means carry their 95 % interval over songs (`statistics.bootstrap_interval`).
    """
    bars, row = tables.score_bars(test_set, metric, systems), METRICS[metric]
    return plots.score_bars(bars, pictures.axes_of(ax, (9, 3.4)), ylabel=f"{row.label} ({row.unit})")


@in_its_place
def study_plot(x="minutes", test_set="same_artist", ax=None):
    """Draw SI-SDR against minutes of music (middle size), or against parameters (three minutes), of the short
    trainings of `experiments.studies`."""
    key, only, xlabel = {
        "minutes": ("size", "middle", "minutes of music"),
        "parameters": ("minutes", 3, "parameters"),
    }[x]
    y = "si_sdr" if test_set == "same_artist" else f"si_sdr@{test_set}"
    points = [p for p in statistics.study_points() if p[key] == only and y in p and _alone(p)]
    ylabel = f"SI-SDR on {test_set},\nmean over songs and stems (dB)"
    return plots.against(tables.computed(points), x, y, pictures.axes_of(ax, (8, 3.4)), xlabel=xlabel, ylabel=ylabel)


@in_its_place
def study_curves(minutes, ax=None, long=False):
    """Draw the validation loss of the trainings on so many minutes of music over their steps."""
    trainings = [s for s in statistics.read_studies() if (s["minutes"], s["size"]) == (minutes, "middle")]
    return plots.validation_curves(tables.computed([s for s in trainings if _alone(s, long)]), pictures.axes_of(ax))


def _alone(training, long=False):
    """Whether a training is of this length and starts from random weights."""
    return training["long"] == long and training["model"] != "ddsp_masked@refined"


@in_its_place
def cost_plot(test_set, systems, ax=None):
    """Draw SI-SDR against parameters for the systems that were scored on all stems; others are left out."""
    return plots.cost(tables.costs(test_set, systems), pictures.axes_of(ax, (8, 3.4)))


@in_its_place
def difference_plot(test_set, better, worse, metric="si_sdr", ax=None):
    """Draw the difference of two systems on each song, and the 95 % interval of the mean."""
    row = statistics.compared(test_set, better, worse, metric=metric)
    songs = statistics.differences(statistics.read_scores(test_set, [better, worse]), metric, better, worse)
    interval = None if row["low"] is None else (row["low"], row["high"])
    return plots.song_differences(
        songs,
        pictures.axes_of(ax, (8, 2.6)),
        interval=interval,
        xlabel=f"{label(better)} ahead of {label(worse)} (dB)",
    )


# --- sound ------------------------------------------------------------------------------------------------------------


def audio(clips, sample_rate, *, spectrogram=True, together=None, caption=None):
    """Show a player for clips at one common gain, so that soft stays soft, with a spectrogram of each.

    Parameters
    ----------
    clips : dict of str to np.ndarray
        label → (samples,) or (channels, samples); None leaves a place empty among the spectrograms.
    sample_rate : int
        in Hz.
    spectrogram : bool
        draw them, too: they remain where sound cannot be played.
    together : bool, optional
        the clips are stems that play together, each with solo and mute; one whose label begins with "mixture" is their
        sum, and plays alone. Otherwise one clip plays at a time, and the reader switches between them without a gap.
        By default: whether the labels are those of a song's sources, with or without the mixture.
    caption : str, optional
        of `numbered`.
    """
    sounding = {name: clip for name, clip in clips.items() if clip is not None}
    if together is None:
        stems = [name for name in sounding if not name.startswith("mixture")]
        together = len(stems) > 1 and set(stems) <= set(SOURCES)
    if spectrogram:
        drawn = spectrograms(clips, sample_rate, columns=2 if len(clips) > 1 else 1)
        _show_picture(drawn, f"Spectrograms: {', '.join(sounding)}")
    gain = common_gain(sounding.values())
    rows = {name: {"": mp3(gain * np.asarray(clip), sample_rate)} for name, clip in sounding.items()}
    seconds = max(clip.shape[-1] for clip in sounding.values()) / sample_rate
    ipython.display(ipython.HTML(player_html.table(rows, seconds, sample_rate, together=together, caption=caption)))
    _show_program()


@in_its_place
def player(test_set, caption=None):
    """Show the test set's example song: its stems, true and estimated, in one player, and their spectrograms; `caption`
    takes the place of its own."""
    folder, index = _example(test_set)
    columns = list(dict.fromkeys(column for files in index["rows"].values() for column in files))
    clips = {
        (f"{row}, {column}" if len(files) > 1 or column not in files else row): (
            soundfile.read(folder / files[column])[0].T if column in files else None
        )
        for row, files in index["rows"].items()
        for column in columns
    }
    _show_picture(
        spectrograms(clips, index["sample_rate"], columns=len(columns), height=1.5),
        f"Spectrograms of the mixture and of each stem: {', '.join(columns)}",
    )
    player_table(test_set, caption=caption)
    _show_program()


@rendered("text/html")
def player_table(test_set):
    """Show the player of `player` alone."""
    folder, index = _example(test_set)
    rows = {
        row: {column: (folder / file).read_bytes() for column, file in files.items()}
        for row, files in index["rows"].items()
    }
    seconds = min(soundfile.info(path).duration for path in folder.glob("*.mp3"))
    return player_html.table(rows, seconds, index["sample_rate"], together=True, caption=index["caption"])


def _example(test_set):
    """Folder and index of a test set's clips, checked."""
    folder = HERE.results / "audio" / test_set
    index = results.read(folder / "index.json")
    if index["files_sha256"] != sha256_of(*sorted(folder.glob("*.mp3"))):
        raise results.ResultsError(f"results/audio/{test_set}: clips missing or changed; `make results` writes them")
    return folder, index


def _show_program():
    """Show what turns the tables of a cell into players."""
    ipython.display({"text/html": player_html.program(), "text/plain": ""}, raw=True)


def _show_picture(figure, words):
    """Show a figure with a description for those who cannot see it."""
    data = {"image/png": base64.b64encode(pictures.png_of(figure)).decode(), "text/plain": words}
    ipython.display(data, raw=True, metadata={"image/png": {"alt": words}})


# --- what is shown, and how to check it -------------------------------------------------------------------------------

RENDERED = {
    function.__name__: function
    for function in (
        text, scores, overview, facts, comparisons, studies, ablations, benchmarks, player_table,
    )
}  # fmt: skip
"""The functions whose outputs are marked, by the names in the marks."""


def rendered_again(shown_by):
    """The marked output of a notebook as it would be if it were made now: {MIME type: text}."""
    function = RENDERED[shown_by["call"]]
    made = function.render(**shown_by["arguments"])
    return {function.kind: captions.with_caption(made, shown_by.get("caption"))}
