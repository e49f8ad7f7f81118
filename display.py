"""Everything the report shows: text with measured values, tables, plots, players. It reads and computes nothing itself.

What stands in a notebook's output because of a result file is marked with the call that made it, so that a test can
make it again from the files and compare (`rendered_again`). Where a result file is missing or damaged, a box that says
so stands where text, table, plot or player would be, and is marked, so that the build can fail (`tools.notebooks`).
"""

import base64
import functools
import html
import inspect
import io
import re
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import soundfile
from IPython import display as ipython
from matplotlib.figure import Figure

from audio_processing.audio_processing import amplitude_to_db, stft, to_mono
from audio_processing.tracks import SOURCES
from common import results
from common.files import sha256_of
from experiments import plots, statistics
from player.clips import common_gain, data_address, mp3

HERE = Path(__file__).resolve().parent
SYSTEM_NAMES = {
    "mixture": "mixture (floor)",
    "ibm": "ideal binary mask (oracle)",
    "ibm@sisec": "binary mask of SiSEC 2018 (oracle)",
    "irm": "ideal ratio mask (oracle)",
    "irm@4096": "ideal ratio mask, window of the DDSP masks (oracle)",
    "irm@ddsp": "ideal ratio mask, window and exponent of the DDSP masks (oracle)",
    "irm@power": "ideal ratio mask of powers (oracle)",
    "psm": "phase-sensitive mask (oracle)",
    "psm@4096": "phase-sensitive mask, window of the DDSP masks (oracle)",
    "mwf": "multichannel Wiener filter (oracle)",
    "hps": "median-filter HPS",
    "numpy_cnn": "NumPy network",
    "conv_tasnet": "Conv-TasNet",
    "conv_tasnet@many": "Conv-TasNet, trained on many artists",
    "conv_tasnet@air_traffic": "Conv-TasNet, fine-tuned on the song's beginning",
    "musdb": "Conv-TasNet, trained on recordings",
    "musdb@once": "Conv-TasNet, trained on recordings, hearing once",
    "conv_tasnet_ddsp": "Conv-TasNet, then DDSP decoders",
    "ddsp_features": "DDSP decoders, true features",
    "ddsp_resynthesis": "DDSP resynthesis",
    "ddsp_resynthesis@air_traffic": "DDSP resynthesis, fine-tuned on the song's beginning",
    "ddsp_masked": "DDSP masks",
    "ddsp_masked@true_f0": "DDSP masks, told the true pitch",
    "ddsp_masked@refined": "DDSP masks, corrected",
    "ddsp_masked@refined_true_f0": "DDSP masks, corrected, told the true pitch",
    "ddsp_masked@many": "DDSP masks, trained on many artists",
    "ddsp_masked@many_true_f0": "DDSP masks of many artists, told the true pitch",
    "ddsp_masked@four": "DDSP masks of four sources",
    "ddsp_masked@air_traffic": "DDSP masks, fine-tuned on the song's beginning",
    "ensemble": "Conv-TasNet and DDSP masks together",
    "stem": "the true stem",
}
METRIC_NAMES = {
    "si_sdr": "SI-SDR",
    "snr": "SNR",
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
    "loudness_l1": "Distance in loudness",
    "f0_l1_cents": "Distance in pitch",
    "f0_l1_hz": "Distance in pitch",
    "f0_confidence": "The pitch tracker's confidence",
    "raw_pitch_accuracy": "Share of voiced frames whose pitch is within 50 cents",
    "spectral_loss": "Spectral loss",
    "spectral_loss_per_bin": "Spectral loss per bin",
    "crepe_bce": "Cross-entropy of CREPE's activations",
}
SHORT_NAMES = {
    "si_sdr": "SI-SDR (dB)",
    "snr": "SNR (dB)",
    "sdr": "SDR (dB)",
    "sir": "SIR (dB)",
    "sar": "SAR (dB)",
    "loudness_l1": "loudness (dB)",
    "raw_pitch_accuracy": "within 50 cents",
    "f0_l1_hz": "pitch (Hz)",
    "spectral_loss": "spectral loss",
    "crepe_bce": "CREPE's cross-entropy",
}
"""Of metrics, where several stand side by side."""
STUDIED_BY = ("model", "minutes", "size", "long")
"""What tells the trainings of `experiments.studies` apart, but for their seeds."""
DIGITS = {"raw_pitch_accuracy": 3, "f0_confidence": 2, "spectral_loss": 2, "spectral_loss_per_bin": 2, "crepe_bce": 4}
"""After the point, where it is not 1."""
TEST_SET_NAMES = {
    "same_artist": "new songs of the training artist",
    "other_artist": "songs of artists it never heard",
    "extra_instrument": "the training artist with an extra instrument",
    "musdb18_7s": "MUSDB18's 7 s excerpts",
    "air_traffic": "the end of a recorded song",
}
COLOURS = {"drums": "#d55e00", "bass": "#0072b2", "other": "#8c6d00", "vocals": "#009e73", "mixture": "#555555"}
"""Okabe and Ito's colours, which differ for colour-blind readers too."""


def environment():
    """Print Python, Keras, its backend and device, and the versions of what computes here."""
    import keras

    here = results.environment()
    versions = here["versions"]
    print(f"Python {here['python']}, Keras {keras.__version__} on {here['backend']} ({here['device']})")
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "keras")
    print(textwrap.fill(shown, 90, break_on_hyphens=False))


def source(function, brief=False):
    """Show the source of a function or class, as it stands in its module; `brief` with the first line of its
    docstring alone."""
    path = inspect.getsourcefile(function)
    line = inspect.getsourcelines(function)[1]
    name = Path(path).relative_to(results.ROOT)
    code = inspect.getsource(function)
    if brief and function.__doc__:
        code = code.replace(function.__doc__, function.__doc__.strip().splitlines()[0], 1)
    ipython.display(ipython.Markdown(f"`{name}`, line {line}:\n\n```python\n{code}```"))


# --- where a result is missing --------------------------------------------------------------------


def in_its_place(show):
    """Let a function that shows results show a box instead, where a result file is missing or damaged.

    One that draws returns axes of a figure that is not shown, so that what the caller does to them still can be done.
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


BOX = "border: 2px solid #a3360b; border-radius: 5px; padding: 0.5em 0.8em"


# --- values in prose ------------------------------------------------------------------------------


def value(name):
    """One measured number by its name, from the result files.

    Parameters
    ----------
    name : str
        score/TEST_SET/SYSTEM/SOURCE/METRIC: the average over songs (median for sdr); SOURCE may be "mean".
        ahead/TEST_SET/SYSTEM/OTHER/METRIC/{mean,low,high}: paired difference and its 95 % interval.
        above/TEST_SET/SYSTEM/OTHER/METRIC: the sources on which the one's average is above the other's, in words.
        songs/TEST_SET/SYSTEM: how many were scored.
        training/RUN/FIELD: a field of its settings, or steps_done, minutes, weights, best_loss, history.
        compared/TEST_SET/SYSTEM/OTHER/SOURCE/FIELD: mean, low, high, songs, ahead of `summary.compared`; SOURCE may be
        "all".
        facts/TEST_SET/SYSTEM/FIELD: parameters, training_minutes, training_seconds, realtime.
        study/TEST_SET/MINUTES/MODEL/OTHER/FIELD: as compared, of two models trained on so many minutes; without OTHER
        and FIELD: its mean SI-SDR over songs, stems and seeds. MINUTES may be 3long, of the long trainings, or 3small
        and 3large, of the short ones of these sizes; MODEL+long is that model's long training beside a short one.
        ablation/VARIANT/METRIC/SOURCE: of `ddsp_models.separation.ablations`, mean over seeds; SOURCE may be "mean".
        substituted/TEST_SET/SYSTEM/SOURCE: SI-SDR of `ddsp_models.separation.oracle_substitution`; SOURCE may be "mean".
        bench/NAME/FIELD: ours_s, peer_s, ratio, peak_mb of a benchmark.

    Returns
    -------
    float, int or str
    """
    kind, *rest = name.split("/")
    if kind == "score":
        test_set, system, source, metric = rest
        records = statistics.read_scores(test_set, [system])
        averages = statistics.averages(records, metric, over=_protocol(metric))
        if (system, source) not in averages:
            raise results.ResultsError(f"results/scores/{test_set}-{system}.json: no {metric} of {source} in it")
        return averages[system, source]
    if kind == "ahead":
        test_set, system, other, metric, part = rest
        records = statistics.read_scores(test_set, [system, other])
        mean, (low, high), _ = statistics.paired_difference(records, metric, system, other)
        return {"mean": mean, "low": low, "high": high}[part]
    if kind == "above":
        test_set, system, other, metric = rest
        averages = statistics.averages(
            statistics.read_scores(test_set, [system, other]), metric, over=_protocol(metric)
        )
        sources = [s for s in SOURCES if averages.get((system, s), -np.inf) > averages.get((other, s), np.inf)]
        return ", ".join(sources) or "none"
    if kind == "songs":
        return len({record["track"] for record in statistics.read_scores(rest[0], [rest[1]])})
    if kind == "training":
        return statistics.training(rest[0])[rest[1]]
    if kind == "compared":
        test_set, system, other, source, field = rest
        return statistics.compared(test_set, system, other, None if source == "all" else source)[field]
    if kind == "facts":
        test_set, system, field = rest
        facts = statistics.run_facts(test_set, system)
        found = (facts["network"] or {}) | {"realtime": facts["realtime"]}
        if found.get(field) is None:
            raise results.ResultsError(f"results/scores/{test_set}-{system}.json: no {field} in it")
        return found[field]
    if kind == "study":
        test_set, asked, *models = rest
        minutes, kind_of = re.fullmatch(r"(\d+)(|long|small|large)", asked).groups()
        size, long = ("middle", bool(kind_of)) if kind_of in ("", "long") else (kind_of, False)
        records = []
        for model in models[:2]:
            name = model.removesuffix("+long")
            wanted = (name, int(minutes), size, long or name != model)
            found = [s for s in statistics.read_studies() if tuple(s[key] for key in STUDIED_BY) == wanted]
            there = [r | {"system": model} for s in found for r in s["records"] if r["test_set"] == test_set]
            if not there:
                raise results.ResultsError(
                    f"results/studies: {name}@{minutes}min on {test_set} is not computed; "
                    "`python -m experiments.studies` does"
                )
            records += there
        if len(models) == 1:
            return statistics.averages(records, "si_sdr")[models[0], "mean"]
        return statistics.difference_row(records, "si_sdr", *models[:2])[models[2]]
    if kind == "ablation":
        variant, metric, source = rest
        averages = statistics.averages(_ablations()["records"], metric)
        if (variant, source) not in averages:
            raise results.ResultsError(f"results/ablations-separator.json: no {metric} of {variant}, {source}, in it")
        return averages[variant, source]
    if kind == "substituted":
        test_set, system, source = rest
        records = results.read(results.RESULTS / "substitution-separator.json")["records"]
        records = [r for r in records if r["test_set"] == test_set]
        averages = statistics.averages(records, "si_sdr")
        if (system, source) not in averages:
            raise results.ResultsError(
                f"results/substitution-separator.json: no {system} of {source} on {test_set} in it"
            )
        return averages[system, source]
    if kind == "bench":
        name, field = rest
        return statistics.benchmark(name)[field]
    kinds = "score, ahead, above, songs, training, compared, facts, study, ablation, substituted, bench"
    raise ValueError(f"name: {name!r} begins with none of {kinds}")


def _protocol(metric):
    return "median" if metric == "sdr" else "mean"


class _Values(dict):
    def __missing__(self, name):
        return value(name)


@in_its_place
def text(template):
    """Show Markdown whose {names} are measured values: "… {score/same_artist/irm/mean/si_sdr:.1f} dB"."""
    _show("text", {"text/markdown": render_text(template)}, {"template": template})


def render_text(template):
    """The paragraph of `text`, as Markdown, with a minus sign before negative numbers."""
    filled = re.sub(r"(?<=[\s(*])-(?=0\.?0*(?!\d|\.\d))", "", template.format_map(_Values()))  # no negative zero
    return re.sub(r"(?<=[\s(*])-(?=\d)", "−", filled)


# --- tables ---------------------------------------------------------------------------------------


def table(rows, columns=None, *, caption=None, digits=2):
    """Show a table.

    Parameters
    ----------
    rows : list of dict
        column name → cell; a missing cell is shown as a dash.
    columns : list of str, optional
        which, and in what order; those of the first row where it is None.
    caption : str, optional
    digits : int or dict
        after the point, for floats; or so for each column.
    """
    ipython.display(ipython.HTML(_table(rows, columns, caption, digits)))


def _table(rows, columns=None, caption=None, digits=2):
    columns = list(rows[0]) if columns is None else columns

    def cell(x, digits):
        if x is None:
            return '<td style="text-align:right">–</td>'
        if isinstance(x, bool) or not isinstance(x, (int, float, np.number)):
            return f'<td style="text-align:left">{html.escape(str(x))}</td>'
        shown = f"{x:.{digits}f}" if isinstance(x, (float, np.floating)) else f"{x:,}"
        return f'<td style="text-align:right">{shown.replace("-", "−")}</td>'

    def heading(column):
        numeric = all(not isinstance(row.get(column), str) for row in rows)
        return f'<th style="text-align:{"right" if numeric else "left"}">{html.escape(column)}</th>'

    lines = ["<table>"]
    if caption:
        lines.append(f"<caption>{html.escape(caption)}</caption>")
    lines.append("<thead><tr>" + "".join(heading(column) for column in columns) + "</tr></thead><tbody>")
    places = {column: digits if isinstance(digits, int) else digits[column] for column in columns}
    lines += ["<tr>" + "".join(cell(row.get(c), places[c]) for c in columns) + "</tr>" for row in rows]
    return "\n".join([*lines, "</tbody></table>"])


@in_its_place
def scores(test_set, metric="si_sdr", systems=None):
    """Show the scores of systems on a test set: one row each, a column per source, averaged over songs."""
    arguments = {"test_set": test_set, "metric": metric, "systems": systems}
    _show("scores", {"text/html": render_scores(**arguments)}, arguments)


def _scored(test_set, metric, systems):
    """The records of a metric, of those systems that have results; an error where none has."""
    if systems is not None:
        there = statistics.scored_systems(test_set)
        systems = [system for system in systems if system in there] or systems
    records = [r for r in statistics.read_scores(test_set, systems) if r["metric"] == metric]
    if not records:
        raise results.ResultsError(f"results/scores/{test_set}-*.json: no {metric} in any; `make results` writes them")
    return records


def render_scores(test_set, metric="si_sdr", systems=None):
    """The table of `scores`, as HTML. A system that was asked for and not scored has a row that says so."""
    records = _scored(test_set, metric, systems)
    averages = statistics.averages(records, metric, over=_protocol(metric))
    found = list(dict.fromkeys(record["system"] for record in records))
    sources = [s for s in (*SOURCES, "mean") if any(key[1] == s for key in averages)]
    rows = [
        {"system": SYSTEM_NAMES.get(system, system)} | {s: averages.get((system, s)) for s in sources}
        for system in found
        if (system, "mean") in averages
    ]
    for row in rows:
        if any(row[s] is None for s in sources):
            row["mean"] = None  # of some sources alone, beside a mean of all, would mislead
    gone = [system for system in systems or [] if system not in found]
    rows += [{"system": f"{SYSTEM_NAMES.get(system, system)}: not computed"} for system in gone]
    songs = len({record["track"] for record in records})
    over = f"{_protocol(metric)} over {songs} songs" if songs > 1 else "one song"
    unit = records[0]["unit"]
    unit = f" in {unit}" if unit in ("dB", "cents", "Hz") else f" ({unit.replace('0-1', 'from 0 to 1')})"
    caption = (
        f"{METRIC_NAMES.get(metric, metric)}{unit} on {TEST_SET_NAMES.get(test_set, test_set)} ({test_set}), {over}"
    )
    if metric in ("si_sdr", "snr", "sdr", "sir", "sar") and any("(oracle)" in row["system"] for row in rows):
        caption += f"; STFT of the oracles: {'2048/512' if test_set.startswith('musdb18') else '1024/256'}"
        if {"irm@4096", "irm@ddsp", "psm@4096"} & set(found):
            caption += ", 4096/128 with the window of the DDSP masks"
    if absent := statistics.not_defined(test_set, found, metric):
        caption += f"; of {absent} stems it is not defined, and they are left out"
    return _table(rows, ["system", *sources], caption, DIGITS.get(metric, 1))


@in_its_place
def overview(test_set, systems, metrics):
    """Show several metrics of several systems side by side: means over the stems."""
    arguments = {"test_set": test_set, "systems": list(systems), "metrics": list(metrics)}
    _show("overview", {"text/html": render_overview(**arguments)}, arguments)


def render_overview(test_set, systems, metrics):
    """The table of `overview`, as HTML."""
    names = {metric: SHORT_NAMES.get(metric, METRIC_NAMES.get(metric, metric)) for metric in metrics}
    rows = []
    for system in systems:
        records = statistics.read_scores(test_set, [system])
        means = {metric: statistics.averages(records, metric, over=_protocol(metric)) for metric in metrics}
        row = {name: means[metric].get((system, "mean")) for metric, name in names.items()}
        rows.append({"system": SYSTEM_NAMES.get(system, system), **row})
    digits = {"system": 0} | {name: DIGITS.get(metric, 1) for metric, name in names.items()}
    caption = f"Means over the stems, on {TEST_SET_NAMES.get(test_set, test_set)} ({test_set})"
    return _table(rows, caption=caption, digits=digits)


@in_its_place
def facts(test_set, systems=None):
    """Show what systems are made of and what they cost: one row each."""
    arguments = {"test_set": test_set, "systems": systems}
    _show("facts", {"text/html": render_facts(**arguments)}, arguments)


def render_facts(test_set, systems=None):
    """The table of `facts`, as HTML."""
    rows = []
    there = statistics.scored_systems(test_set)
    for system in systems or there:
        if system not in there and there:
            rows.append({"system": f"{SYSTEM_NAMES.get(system, system)}: not computed"})
            continue
        found = statistics.run_facts(test_set, system)
        network = found["network"] or {}
        seconds = network.get("training_seconds")
        rows.append({
            "system": SYSTEM_NAMES.get(system, system),
            "parameters": network.get("parameters"),
            "minutes of music": network.get("training_minutes"),
            "minutes of training": None if seconds is None else seconds / 60,
            "separation, s per s": found["realtime"],
        })  # fmt: skip
    caption = (
        "Parameters that were learnt, decoders included; music and time of training, with those of the networks that "
        "it went on from; time of separating"
    )
    digits = {"minutes of music": 0, "minutes of training": 0}
    return _table(rows, caption=caption, digits={name: digits.get(name, 2) for name in rows[0]})


@in_its_place
def comparisons():
    """Show by how much systems are ahead of others, song by song, and what was asked of them."""
    _show("comparisons", {"text/html": render_comparisons()}, {})


def render_comparisons():
    """The table of `comparisons`, as HTML. What was not scored is said to be not computed, and never left out."""
    rows = []
    for test_set, system, other, source, asked in statistics.COMPARISONS:
        row = {
            "songs of": test_set,
            "system": SYSTEM_NAMES.get(system, system),
            "compared with": SYSTEM_NAMES.get(other, other),
            "stem": source or "all",
        }
        try:
            found = statistics.compared(test_set, system, other, source, asked)
        except results.ResultsError:
            rows.append(row | {"ahead (dB)": "not computed", "95 %": "", "songs": "", "asked": _asked(asked, None)})
            continue
        interval = "one song" if found["low"] is None else f"{found['low']:+.1f} to {found['high']:+.1f}"
        row |= {"ahead (dB)": f"{found['mean']:+.1f}", "95 %": interval}
        row |= {"songs": f"{found['ahead']} of {found['songs']}", "asked": _asked(asked, found["reached"])}
        rows.append({name: cell.replace("-", "\u2212") if name in ("ahead (dB)", "95 %") else cell
                     for name, cell in row.items()})  # fmt: skip
    caption = (
        "Paired differences in SI-SDR, song by song, with their 95 % interval by bootstrap over songs; "
        "on how many songs the first is ahead; and what is asked of the mean"
    )
    return _table(rows, caption=caption)


def _asked(asked, reached):
    if asked is None:
        return ""
    words = f"{asked:+.0f} or more" if asked else "0 or more"
    return words.replace("-", "\u2212") + {None: "", True: ": reached", False: ": not reached"}[reached]


# --- plots ----------------------------------------------------------------------------------------


def _axes(ax, size=(8, 3)):
    import matplotlib.pyplot as plt

    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def spectrogram(audio, sample_rate, ax=None, title=None, *, top_db=80.0, reference=None):
    """Draw a spectrogram, (samples,) or (channels, samples), in dB below `reference` (its own peak where it is None).

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    magnitude = np.abs(stft(np.asarray(to_mono(audio), np.float32), 1024, 256))
    decibels = amplitude_to_db(magnitude, reference=reference or max(magnitude.max(), 1e-9))
    seconds, top = audio.shape[-1] / sample_rate, sample_rate / 2000
    ax.imshow(
        decibels, origin="lower", aspect="auto", extent=(0, seconds, 0, top), vmin=-top_db, vmax=0, cmap="magma",
        interpolation="nearest",
    )  # fmt: skip
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)", title=title)
    return ax


def spectrograms(clips, sample_rate, *, columns=1, height=1.6, top=None):
    """Draw several spectrograms at one common reference level: label → audio, filled row by row.

    A clip of None leaves its place empty; `top` limits the frequency axis, in kHz.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(clips) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, 0.5 + height * rows), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    sounding = [np.asarray(to_mono(clip), np.float32) for clip in clips.values() if clip is not None]
    loudest = max(np.abs(stft(clip, 1024, 256)).max() for clip in sounding)
    for ax, (label, clip) in zip(axes.flat, clips.items()):
        if clip is None:
            ax.axis("off")
            continue
        spectrogram(clip, sample_rate, ax, reference=max(loudest, 1e-9))
        ax.set(xlabel=None, ylabel=None)
        ax.set_title(label, fontsize=10, loc="left", pad=3)
        if top:
            ax.set_ylim(0, top)
    for ax in axes.flat[len(clips) :]:
        ax.axis("off")
    figure.supxlabel("time (s)", fontsize=10)
    figure.supylabel("frequency (kHz)", fontsize=10)
    return figure


@in_its_place
def training_curve(name, ax=None):
    """Draw the loss of a training run on its training crops and on the validation songs, over minutes."""
    rows = statistics.training_log(name)
    ax = _axes(ax, (8, 3.2))
    minutes = [row["seconds"] / 60 for row in rows]
    ax.plot(minutes, [row["loss"] for row in rows], color="#0072b2", label="training crops (remixed, random levels)")
    ax.plot(minutes, [row["val_loss"] for row in rows], color="#d55e00", label="validation songs")
    ylabel = "loss: negative SNR (dB)" if name.startswith("conv_tasnet") else "loss"
    ax.set(xlabel="minutes of training", ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


@in_its_place
def score_plot(test_set, metric="si_sdr", systems=None, ax=None):
    """Draw every song's score as a dot and the average as a bar, per source, systems side by side.

    Averages that are means carry their 95 % interval over songs (`summary.bootstrap_interval`).
    """
    records = _scored(test_set, metric, systems)
    ax = _axes(ax, (9, 3.4))
    found = list(dict.fromkeys(record["system"] for record in records))
    sources = [s for s in SOURCES if any(r["source"] == s for r in records)]
    averages = statistics.averages(records, metric, over=_protocol(metric))
    width = 0.8 / len(found)
    colour = plots.colours(found)
    for i, system in enumerate(found):
        for j, name in enumerate(sources):
            x = j + (i - (len(found) - 1) / 2) * width
            dots = [r["value"] for r in records if (r["system"], r["source"]) == (system, name)]
            label = SYSTEM_NAMES.get(system, system) if j == 0 else None
            if dots:
                ax.bar(x, averages[system, name], width * 0.9, color=colour[system], alpha=0.55, label=label)
                ax.plot(np.full(len(dots), x - width / 6), dots, ".", color="black", markersize=3, alpha=0.6)
                if _protocol(metric) == "mean" and len(dots) > 1:
                    ax.vlines(x + width / 6, *statistics.bootstrap_interval(dots), color="black", linewidth=1.8)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(range(len(sources)), sources)
    ax.set(ylabel=f"{METRIC_NAMES.get(metric, metric)} ({records[0]['unit']})")
    ax.grid(axis="y", alpha=0.3)
    handles, names = ax.get_legend_handles_labels()
    columns = min(len(names), 4 if max(map(len, names)) < 25 else 3)  # else it is wider than the plot
    if ax.figure.get_layout_engine() is None:
        ax.figure.set_layout_engine("constrained")
    ax.figure.legend(handles, names, frameon=False, fontsize=9, ncols=columns, loc="outside upper center")
    return ax


@in_its_place
def study_plot(x="minutes", test_set="same_artist", ax=None):
    """Draw SI-SDR against minutes of music, or against parameters, of the short trainings of `experiments.studies`:
    those of the middle size, or those on three minutes."""
    key, only = {"minutes": ("size", "middle"), "parameters": ("minutes", 3)}[x]
    y = "si_sdr" if test_set == "same_artist" else f"si_sdr@{test_set}"
    points = [p for p in _studied(statistics.study_points()) if p[key] == only and not p["long"] and y in p]
    points = [p for p in points if "@" not in p["model"]]
    ax = _axes(ax, (8, 3.4))
    label = {"minutes": "minutes of music", "parameters": "parameters"}[x]
    ylabel = f"SI-SDR on {test_set},\nmean over songs and stems (dB)"
    return plots.against(_studied(points), x, y, ax, names=SYSTEM_NAMES, xlabel=label, ylabel=ylabel)


@in_its_place
def study_curves(minutes, ax=None, long=False):
    """Draw how the validation loss of the trainings on so many minutes fell, and where each was best."""
    found = _studied(statistics.read_studies())
    found = [s for s in found if (s["minutes"], s["size"], s["long"]) == (minutes, "middle", long)]
    found = [s for s in found if "@" not in s["model"]]  # a corrector's steps come after others
    return plots.validation_curves(_studied(found), _axes(ax, (8, 3)), names=SYSTEM_NAMES)


@in_its_place
def studies():
    """Show every training of `experiments.studies`: one row each."""
    _show("studies", {"text/html": render_studies()}, {})


def render_studies():
    """The table of `studies`, as HTML."""
    rows = [
        {
            "model": SYSTEM_NAMES.get(p["model"], p["model"]),
            "size": p["size"] + (", trained for longer" if p["long"] else ""),
            "parameters": p["parameters"],
            "minutes of music": p["minutes"],
            "seed": p["seed"],
            "steps": p["steps"],
            "best at": p["best_step"],
            "ended by": p["ended_by"],
            "minutes of training": p["training_seconds"] / 60,
            "its artist (dB)": p["si_sdr"],
            "others (dB)": p.get("si_sdr@other_artist"),
        }
        for p in _studied(statistics.study_points())
    ]
    caption = (
        "Trainings (minutes on a machine that did other things beside; of corrected masks the corrector's, after the "
        "masks' own), and SI-SDR on new songs of the training artist (same_artist) and of others (other_artist)"
    )
    return _table(rows, caption=caption, digits=1)


@in_its_place
def ablations(each_seed=False):
    """Show the variants of the separator by synthesis, from the earlier report's to ours (`ddsp_models.separation.ablations`).

    Parameters
    ----------
    each_seed : bool
        what every seed came to, and weights, pitch by source and the distance over all frames; otherwise four means.
    """
    _show("ablations", {"text/html": render_ablations(each_seed)}, {"each_seed": each_seed})


def render_ablations(each_seed=False):
    """The table of `ablations`, as HTML."""
    content = _ablations()
    columns = {"f0 L1, voiced (Hz)": ("f0_l1_hz", "mean", 0)}
    if each_seed:
        columns = {
            "bass within 50 cents": ("raw_pitch_accuracy", "bass", 2),
            "vocals within 50 cents": ("raw_pitch_accuracy", "vocals", 2),
            **columns,
            "f0 L1, all frames (Hz)": ("f0_l1_hz@all", "mean", 0),
        }
    else:
        columns = {"frames within 50 cents": ("raw_pitch_accuracy", "mean", 2), **columns}
    columns |= {"loudness L1 (dB)": ("loudness_l1", "mean", 1), "SI-SDR (dB)": ("si_sdr", "mean", 1)}
    groups = [content["records"]]
    if each_seed:
        seeds = sorted({record["seed"] for record in content["records"]})
        groups = [[record for record in content["records"] if record["seed"] == seed] for seed in seeds]
    rows = []
    for variant, about in content["variants"].items():
        row = {"each with one change more": variant} | ({"weights": about["parameters"]} if each_seed else {})
        for name, (metric, source, digits) in columns.items():
            found = [statistics.averages(group, metric)[variant, source] for group in groups]
            row[name] = " / ".join(f"{x:.{digits}f}".replace("-", "−") for x in found) if each_seed else found[0]
        rows.append(row)
    shown = "each seed" if each_seed else f"means of {content['seed']} seeds"
    caption = f"{content['config']['steps']} steps each, on the validation songs; {shown}"
    return _table(rows, caption=caption, digits=dict.fromkeys(rows[0], 0) | {name: x[2] for name, x in columns.items()})


def _ablations():
    return results.read(results.RESULTS / "ablations-separator.json")


@in_its_place
def benchmarks(names):
    """Show what `python -m benchmarks` measured: our time and the peer's, one run, in turn.

    Parameters
    ----------
    names : dict
        benchmark → what the row calls it.
    """
    rows = [list(pair) for pair in names.items()]  # a notebook would sort the keys of a dict
    _show("benchmarks", {"text/html": render_benchmarks(rows)}, {"names": rows})


def render_benchmarks(names):
    """The table of `benchmarks`, as HTML; `names` may be pairs."""
    rows = []
    for name, label in dict(names).items():
        found = statistics.benchmark(name)
        unit, scale = ("ms", 1e3) if found["ours_s"] < 2 else ("s", 1)
        rows.append({
            "": label,
            "ours": f"{scale * found['ours_s']:.3g}\N{NO-BREAK SPACE}{unit}",
            "compared with": found["peer"],
            "its time": f"{scale * found['peer_s']:.4g}\N{NO-BREAK SPACE}{unit}",
            "times as fast": found["ratio"],
        })  # fmt: skip
    where = results.read(results.RESULTS / "benchmarks.json")["environment"]
    caption = f"Medians of one run in which both took turns; {where['platform']}, {where['cores']} processor cores"
    return _table(rows, caption=caption, digits=1)


def _studied(found):
    if not found:
        raise results.ResultsError("results/studies: not computed; `python -m experiments.studies` writes them")
    return found


@in_its_place
def cost_plot(test_set, systems, ax=None):
    """Draw SI-SDR against parameters for the systems that were scored on all stems; others are left out."""
    points = []
    floor = statistics.averages(statistics.read_scores(test_set, ["mixture"]), "si_sdr")
    for system in systems:
        try:
            parameters = (statistics.run_facts(test_set, system)["network"] or {}).get("parameters")
            means = statistics.averages(statistics.read_scores(test_set, [system]), "si_sdr")
        except results.ResultsError:
            continue
        if parameters and {source for _, source in means} == {source for _, source in floor}:
            point = {"system": system, "name": SYSTEM_NAMES.get(system, system), "parameters": parameters}
            points.append(point | {"value": means[system, "mean"]})
    if not points:
        raise results.ResultsError(f"results/scores/{test_set}-*.json: no network was scored; `make results` does")
    return plots.cost(points, _axes(ax, (8, 3.4)))


@in_its_place
def difference_plot(test_set, better, worse, metric="si_sdr", ax=None):
    """Draw how far one system is ahead of another on each song, and the 95 % interval of the mean."""
    found = statistics.compared(test_set, better, worse, metric=metric)
    values = statistics.differences(statistics.read_scores(test_set, [better, worse]), metric, better, worse)
    interval = None if found["low"] is None else (found["low"], found["high"])
    label = f"{SYSTEM_NAMES.get(better, better)} ahead of {SYSTEM_NAMES.get(worse, worse)} (dB)"
    return plots.song_differences(values, _axes(ax, (8, 2.6)), interval=interval, xlabel=label)


# --- sound ----------------------------------------------------------------------------------------


def audio(clips, sample_rate, *, spectrogram=True, together=None):
    """Show a player for clips at one common gain, so that soft stays soft, with a spectrogram of each.

    Parameters
    ----------
    clips : dict of str to np.ndarray
        label → (samples,) or (channels, samples); None leaves a place empty among the spectrograms.
    sample_rate : int
        in Hz.
    spectrogram : bool
        draw them, too: where sound cannot be played, that is what remains.
    together : bool, optional
        the clips are stems that sound together, each with solo and mute; one whose label begins with "mixture" is their
        sum, and sounds alone. Otherwise one clip sounds at a time, and the reader switches between them without a gap.
        Where it is None: whether the labels are those of a song's sources, with or without the mixture.
    """
    sounding = {label: clip for label, clip in clips.items() if clip is not None}
    gain = common_gain(sounding.values())
    if together is None:
        stems = [label for label in sounding if not label.startswith("mixture")]
        together = len(stems) > 1 and set(stems) <= set(SOURCES)
    if spectrogram:
        _show_picture(
            spectrograms(clips, sample_rate, columns=2 if len(clips) > 1 else 1), f"Spectrograms: {', '.join(sounding)}"
        )
    rows = {label: {"": mp3(gain * np.asarray(clip), sample_rate)} for label, clip in sounding.items()}
    seconds = max(clip.shape[-1] for clip in sounding.values()) / sample_rate
    ipython.display(ipython.HTML(_player(rows, seconds, sample_rate, together=together)))
    _show_player_code()


@in_its_place
def player(test_set):
    """Show the test set's example song: its stems, true and estimated, in one player beside their spectrograms."""
    folder, index = _example(test_set)
    columns = _columns(index)
    decoded = {
        (f"{row}, {column}" if len(files) > 1 or column not in files else row): (
            soundfile.read(folder / files[column])[0].T if column in files else None
        )
        for row, files in index["rows"].items()
        for column in columns
    }
    _show_picture(
        spectrograms(decoded, index["sample_rate"], columns=len(columns), height=1.5),
        f"Spectrograms of the mixture and of each stem: {', '.join(columns)}",
    )
    arguments = {"test_set": test_set}
    _show("player", {"text/html": render_player(**arguments)}, arguments)
    _show_player_code()


def _example(test_set):
    """Folder and index of a test set's clips, checked."""
    folder = results.RESULTS / "audio" / test_set
    index = results.read(folder / "index.json")
    if index["files_sha256"] != sha256_of(*sorted(folder.glob("*.mp3"))):
        raise results.ResultsError(f"results/audio/{test_set}: clips missing or changed; `make results` writes them")
    return folder, index


def _columns(index):
    return list(dict.fromkeys(column for files in index["rows"].values() for column in files))


def render_player(test_set):
    """The player of `player`, as HTML."""
    folder, index = _example(test_set)
    rows = {
        row: {column: (folder / file).read_bytes() for column, file in files.items()}
        for row, files in index["rows"].items()
    }
    seconds = min(soundfile.info(path).duration for path in folder.glob("*.mp3"))
    return _player(rows, seconds, index["sample_rate"], together=True, caption=index["caption"])


def _player(rows, seconds, sample_rate, *, together, caption=None):
    """A table of <audio> elements, which player/player.js makes into a player where scripts run.

    Parameters
    ----------
    rows : dict of str to dict of str to bytes
        lane → version → MP3. A lane without a version plays the first that it has.
    seconds : float
        how long the player is; clips are cut or filled with silence to it.
    sample_rate : int
        of the clips, in Hz: up to which frequency spectrograms go.
    together : bool
        the lanes are stems that sound together; one whose name begins with "mixture" is their sum.
    caption : str, optional
    """
    versions = list(dict.fromkeys(version for clips in rows.values() for version in clips))
    mode = "mix" if together else "choose"
    lines = [
        f'<div class="mss-player" data-mode="{mode}" data-seconds="{seconds:.4f}" data-rate="{sample_rate}"><table>'
    ]
    if caption:
        lines.append(f"<caption>{html.escape(caption)}</caption>")
    if len(versions) > 1:
        head = "".join(f"<th>{html.escape(version)}</th>" for version in versions)
        lines.append(f"<thead><tr><td></td>{head}</tr></thead>")
    lines.append("<tbody>")
    for row, clips in rows.items():
        marks = ' data-whole=""' if together and row.startswith("mixture") else ""
        if (colour := COLOURS.get(re.split(r"\W", row)[0])) and not row.startswith("mixture"):
            marks += f' data-colour="{colour}"'
        cells = ""
        for version in versions:
            label = html.escape(f"{row}, {version}" if len(clips) > 1 else row)
            address = data_address(clips[version]) if version in clips else None
            tag = f'<audio controls preload="none" aria-label="{label}" src="{address}"></audio>' if address else ""
            cells += f"<td>{tag}</td>"
        lines.append(f'<tr{marks}><th style="text-align:left">{html.escape(row)}</th>{cells}</tr>')
    lines.append("</tbody></table>")
    pyproject = tomllib.loads((HERE / "pyproject.toml").read_text())
    place = pyproject["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    link = f'<a href="https://colab.research.google.com/github/{place}">Colab</a>'
    lines.append(f'<p class="mss-elsewhere">Where no players are shown, as on GitHub: listen on {link}.</p></div>')
    return "\n".join(lines)


def _show_player_code():
    """Show what makes the tables of a cell into players: style and program, without the comments."""
    style, program = ((HERE / "player" / name).read_text() for name in ("player.css", "player.js"))
    program = "\n".join(line.strip() for line in program.split("\n") if not line.strip().startswith("//"))
    style = re.sub(r"/\*.*?\*/\n?", "", style, flags=re.DOTALL)
    code = f"<style data-mss-player>{style}</style><script data-mss-player>{program}</script>"
    ipython.display({"text/html": code, "text/plain": ""}, raw=True)


def _show_picture(figure, words):
    """Show a figure with a description for those who cannot see it."""
    import matplotlib.pyplot as plt

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight")
    plt.close(figure)
    data = {"image/png": base64.b64encode(in_256_colours(drawn.getvalue())).decode(), "text/plain": words}
    ipython.display(data, raw=True, metadata={"image/png": {"alt": words}})


def in_256_colours(png):
    """A figure's PNG file with a palette, about half the size, as bytes; as it was where that is not smaller."""
    from PIL import Image

    picture, small = Image.open(io.BytesIO(png)), io.BytesIO()
    if picture.mode == "P" or (picture.mode == "RGBA" and picture.getextrema()[3] != (255, 255)):
        return png  # has a palette, or is transparent somewhere, which a palette would not keep
    # the palette that covers most keeps rare colours, such as that of a thin line over a spectrogram
    few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, 1, dither=Image.Dither.NONE)
    few.save(small, format="PNG", optimize=True)
    return min(png, small.getvalue(), key=len)


# --- what is shown, and how to check it -----------------------------------------------------------


def _show(call, data, arguments):
    ipython.display(data, raw=True, metadata={"shown_by": {"call": call, "arguments": arguments}})


def rendered_again(shown_by):
    """What the marked output of a notebook would be if it were made now: {mime type: text}."""
    made = globals()[f"render_{shown_by['call']}"](**shown_by["arguments"])
    return {"text/markdown" if shown_by["call"] == "text" else "text/html": made}
