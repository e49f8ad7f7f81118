"""What a notebook shows: it follows the result files, and a box stands where one is missing."""

import json
import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import display
from audio_processing.tracks import TRIO
from common import results
from common.files import sha256_of
from common.places import HERE
from experiments import catalogue, plots, statistics, values
from player.clips import mp3
from tests.helpers import clips_in, recorded, refused, tone, write_study


@pytest.fixture
def score(write_results):
    """A function that writes the scores of a system on two songs: those of `MEASURED`, and so many dB more."""

    def write(system, more=0.0, **content):
        base = {"mixture": -3.0, "irm": 6.0}[system] + more
        scores = {s: {"si_sdr": [base + i, base + i + 2.0], "sdr": [base, base]} for i, s in enumerate(TRIO)}
        about = {"network": None, "realtime": 0.5} | content
        return write_results(f"scores/same_artist-{system}.json", recorded(system, scores), **about)

    return write


@pytest.fixture
def scored(score):
    """Paths of the scores of two systems."""
    return [score("mixture"), score("irm")]


@pytest.fixture
def outputs(monkeypatch):
    """What a notebook would show: (data, metadata) of each output."""
    shown = []

    def show(data, raw=False, metadata=None):
        shown.append((data if raw else {"text/html": data.data}, metadata or {}))

    monkeypatch.setattr(display.ipython, "display", show)
    return shown


def shown_again(outputs):
    """What the marks of outputs, as a notebook keeps them, amount to now."""
    marks = [metadata["shown_by"] for _, metadata in outputs if "shown_by" in metadata]
    return [display.rendered_again(json.loads(json.dumps(mark))) for mark in marks]


def test_text_and_tables_follow_the_results(scored, score, outputs):
    v = {"irm": values.score("same_artist", "irm"), "songs": np.int64(2)}
    v["lead"] = values.difference("same_artist", "irm", "mixture")
    display.text("The mask reaches {irm:.1f} dB on {songs} songs, {lead:.1f} ahead; drums {irm.drums:.1f}.", v)
    display.scores("same_artist", systems=("mixture", "irm", "hps"))
    display.overview("same_artist", ["mixture", "irm"], ["si_sdr", "f0_l1_hz"])
    text, table, overview = (data for data, _ in outputs)
    assert text == {"text/markdown": "The mask reaches 8.0 dB on 2 songs, 9.0 ahead; drums 7.0."}
    for words in (">8.0<", "−1.0", ">median-filter HPS: not computed<"):
        assert words in table["text/html"]
    assert ">f0 (Hz)<" in overview["text/html"] and overview["text/html"].count(">–<") == 2
    assert shown_again(outputs) == [text, table, overview]
    score("irm", more=7.0)
    text, table, overview = shown_again(outputs)
    assert text["text/markdown"] == "The mask reaches 15.0 dB on 2 songs, 16.0 ahead; drums 14.0."
    assert ">15.0<" in table["text/html"] and ">15.0<" in overview["text/html"]


def test_a_row_of_the_catalogue_is_in_text_table_and_plot(write_results, monkeypatch):
    monkeypatch.setitem(catalogue.SYSTEMS, "new", catalogue.System("new", "A new one", "mask", colour="#336699"))
    monkeypatch.setitem(catalogue.TEST_SETS, "fresh", catalogue.TestSet("fresh", "fresh songs"))
    monkeypatch.setitem(catalogue.METRICS, "ease", catalogue.Metric("ease", "Ease of use", "ease", "points", 3))
    records = recorded("new", {"bass": {"ease": [2.0, 3.0]}}, test_set="fresh", unit="points")
    write_results("scores/fresh-new.json", records, network=None, realtime=1.0)
    assert values.score("fresh", "new", "ease").mean == 2.5
    table = display.scores.render("fresh", "ease")
    assert "Ease of use (points) on fresh songs (fresh)" in table and ">A new one<" in table and ">2.500<" in table
    ax = display.score_plot("fresh", "ease")
    assert ax.get_ylabel() == "Ease of use (points)" and ax.patches[0].get_facecolor() == (0.2, 0.4, 0.6, 0.55)


def test_speed_follows_the_results(write_results):
    record = {"benchmark": "fast", "ours_s": 0.0125, "peer": "a <peer>", "peer_s": 2.5, "ratio": 200.0, "peak_mb": 1.0}
    write_results("benchmarks.json", [record])
    table = display.benchmarks.render([("fast", "the work")])
    for cell in ("the work", "12.5\N{NO-BREAK SPACE}ms", "a &lt;peer&gt;", "2500\N{NO-BREAK SPACE}ms", "200.0"):
        assert f">{cell}<" in table
    refused(
        "no slow in it; `python -m benchmarks` measures",
        display.benchmarks.render,
        [("fast", "the work"), ("slow", "none")],
        error=results.ResultsError,
    )


def test_plots_follow_the_results(scored, score):
    def drawn():
        ax = display.score_plot("same_artist")
        lines = [each for each in ax.collections if isinstance(each, LineCollection)]
        return np.array([bar.get_height() for bar in ax.patches]), np.array([x.get_segments()[0][:, 1] for x in lines])

    bars, intervals = drawn()
    assert sorted(bars) == [-2, -1, 0, 7, 8, 9]
    assert intervals.shape == (6, 2) and (intervals[:, 0] <= bars).all() and (bars <= intervals[:, 1]).all()
    score("mixture", more=3.0)
    np.testing.assert_allclose(sorted(drawn()[0] - bars), [0, 0, 0, 3, 3, 3])
    np.testing.assert_allclose(sorted((drawn()[1] - intervals).mean(axis=1)), [0, 0, 0, 3, 3, 3])


def test_what_systems_cost_and_their_differences(scored, score, monkeypatch):
    asked = [("irm", "mixture", None, 3.0), ("irm", "mixture", "bass", 99.0), ("ensemble", "irm", None, 0.0)]
    monkeypatch.setattr(statistics, "COMPARISONS", [statistics.Comparison("same_artist", *row) for row in asked])
    table = display.comparisons.render()
    assert "+9.0" in table and "2 of 2" in table
    assert table.count(": reached") == 1 and table.count("not reached") == 1 and table.count("not computed") == 1
    assert display.facts.render("same_artist").count("<tr>") == 3
    assert len(display.difference_plot("same_artist", "irm", "mixture").patches) == 3
    refused(
        "no network was scored",
        display.cost_plot.__wrapped__,
        "same_artist",
        ["irm", "hps"],
        error=results.ResultsError,
    )
    score("irm", network={"parameters": 1234, "training_seconds": 60.0})
    assert len(display.cost_plot("same_artist", ["irm", "hps"]).lines) == 1
    assert ">1,234<" in display.facts.render("same_artist", ["irm", "hps"])


@pytest.fixture
def studied(write_results):
    """Seven trainings: two models, two amounts of music, for longer, too; and one of a refinement."""
    about = {"steps": 200, "best_step": 100, "ended_by": "patience", "training_seconds": 60.0}
    about |= {"processor_seconds": 50.0, "validation": [-1.0, -0.5]}
    for model, lead in (("conv_tasnet", 0.0), ("ddsp_masked", 2.0), ("ddsp_masked@refined", 3.0)):
        for minutes, long in ((3, False), (3, True), (10, False))[: 1 if "@" in model else 3]:
            write_study(write_results, model, minutes, lead, long=long, **about)


def test_studies_are_shown_as_table_and_figures(studied):
    table = display.studies.render()
    assert table.count("<tr>") == 8 and table.count("for longer") == 2 and "−1.5" in table
    for x in ("minutes", "parameters"):
        ax = display.study_plot(x)
        assert "SI-SDR on same_artist" in ax.get_ylabel() and len(ax.get_legend().get_texts()) == 2
    unseen = display.study_plot("minutes", "other_artist")
    assert sorted(line.get_ydata()[0] for line in unseen.lines[::2]) == [-2.0, 0.0]
    for long in (False, True):
        assert len(display.study_curves(3, long=long).lines) == 4  # two curves, and the lowest point of each


def test_ticks_of_nearly_equal_places_are_not_written_over_each_other():
    points = [{"model": "m", "parameters": n, "y": 1.0} for n in (72_000, 209_000, 214_000, 915_000)]
    ax = plots.against(points, "parameters", "y", Figure().subplots(), xlabel="", ylabel="")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["72 k", "209 k", "915 k"]
    assert len(ax.lines[1].get_xdata()) == 4


def test_scores_that_are_not_defined_are_counted(score):
    score("irm", silent_stems={"bass": 1}, absent={"sdr": 2})
    assert "of 3 stems it is not defined" in display.scores.render("same_artist", "sdr")
    assert "of 1 stems it is not defined" in display.scores.render("same_artist", "si_sdr")


def test_tables_escape_and_align():
    shown = display.html_table([{"a": "<b>", "n": -1.234, "none": None}], digits=1)
    assert "&lt;b&gt;" in shown and "−1.2" in shown and "–" in shown


def test_minus_signs_stand_before_negative_numbers_alone():
    template = "It is {below:.1f} dB ({nearly:.1f}), {far:.0f}, well-known: {nearly:+.1f}."
    shown = display.text.render(template, {"below": -0.06, "nearly": -0.04, "far": -10.0})
    assert shown == "It is −0.1 dB (0.0), −10, well-known: 0.0."


def test_long_names_do_not_squeeze_the_plot(scored, monkeypatch):
    monkeypatch.setattr(plots, "label", lambda name: f"a system whose name is quite long: {name}")
    ax = display.score_plot("same_artist")
    ax.figure.canvas.draw()
    assert ax.get_position().width > 0.8 and ax.get_position().height > 0.6


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda path: path.unlink(), "no such file; `make results` writes it"),
        (lambda path: path.write_text(path.read_text().replace('"value": ', '"value": 1')), "make results"),
        (lambda path: path.write_text("{"), "not JSON"),
        (lambda path: path.write_text('{"schema": 99}'), "schema"),
    ],
)
def test_what_is_missing_is_said_where_it_would_stand(scored, outputs, spoil, says):
    spoil(scored[1])
    display.text("The mask reaches {irm:.1f} dB.", {"irm": values.score("same_artist", "irm")})
    display.scores("same_artist", systems=["irm"])
    display.score_plot("same_artist", systems=["irm"]).set_title("the caller may still dress it")
    display.training_curve("nobody").set_ylim(0, 1)
    display.player("same_artist")
    display.scores("nonsense")
    assert len(outputs) == 6
    assert all(says in metadata["missing"] for _, metadata in outputs[:3])
    assert "results/scores/nonsense-*.json: no si_sdr" in outputs[5][1]["missing"]
    for data, metadata in outputs:
        assert 'role="alert"' in data["text/html"] and metadata["missing"] in data["text/plain"]


def sine(hertz, level):
    return level * tone(hertz, harmonics=1)


def test_clips_share_one_gain(outputs):
    display.audio({"loud": sine(440, 2.0), "soft": sine(440, 0.2)}, 16000, spectrogram=False)
    (loud, _), (soft, _) = clips_in(outputs[0][0]["text/html"])
    assert np.std(loud) / np.std(soft) == pytest.approx(10, rel=0.05) and np.abs(loud).max() < 1


def test_a_player_degrades_to_labelled_audio_elements_and_a_link(outputs):
    display.audio({"drums, <true>": sine(100, 0.5), "gap": None, "bass": sine(60, 0.5)}, 16000)
    picture, table, code = (data for data, _ in outputs)
    assert "drums, <true>" in outputs[0][1]["image/png"]["alt"] and len(picture["image/png"]) < 150_000
    bare = table["text/html"]
    assert "<script" not in bare and bare.count("<audio controls") == 2
    assert 'aria-label="drums, &lt;true&gt;"' in bare and "https://colab.research.google.com/" in bare
    assert "<script data-mss-player>" in code["text/html"] and len(code["text/html"]) < 25_000


@pytest.mark.parametrize(
    "labels, mode",
    [
        (["mixture (stereo)", "drums", "bass"], "mix"),
        (["bass", "vocals"], "mix"),
        (["mixture", "bass"], "choose"),
        (["bass, true", "bass, ours"], "choose"),
    ],
)
def test_stems_play_together_and_alternatives_one_by_one(outputs, labels, mode):
    display.audio({label: sine(100, 0.1) for label in labels}, 16000, spectrogram=False)
    page = outputs[0][0]["text/html"]
    assert f'data-mode="{mode}"' in page
    assert page.count("data-whole") == (mode == "mix" and labels[0].startswith("mixture"))


@pytest.fixture
def example(write_results):
    """The clips of a test set, as experiments.clips writes them: an index and MP3 files."""
    folder = HERE.results / "audio" / "same_artist"
    folder.mkdir(parents=True)
    rows = {"mixture": {"true": "m.mp3"}, "bass": {"true": "b.mp3", "ours": "o.mp3"}}
    for i, file in enumerate(("m.mp3", "b.mp3", "o.mp3")):
        (folder / file).write_bytes(mp3(sine(110 * (i + 1), 0.5), 16000))
    checksum = sha256_of(*sorted(folder.glob("*.mp3")))
    about = {"sample_rate": 16000, "caption": "a <song>", "rows": rows, "files_sha256": checksum}
    write_results("audio/same_artist/index.json", [], **about)
    return folder


def test_the_player_holds_every_version_of_every_stem(example, outputs):
    display.player("same_artist")
    page = outputs[1][0]["text/html"]
    assert len(clips_in(page)) == 3
    assert 'data-mode="mix" data-seconds="1.0000" data-rate="16000"' in page and "a &lt;song&gt;" in page
    assert re.search(r'<tr data-whole=""><th[^>]*>mixture', page)
    assert shown_again(outputs) == [{"text/html": page}]


def test_clips_that_are_not_those_of_the_index_are_not_played(example, outputs):
    (example / "b.mp3").write_bytes(mp3(sine(220, 0.1), 16000))
    display.player("same_artist")
    assert "clips missing or changed" in outputs[0][1]["missing"] and len(outputs) == 1


def test_a_source_can_be_shown_without_most_of_its_docstring(outputs):
    display.source(display.table)
    display.source(display.table, brief=True)
    whole, brief = (data["text/html"] for data, _ in outputs)
    assert '"""Show a table."""' in brief and "caption : str" in whole and "caption : str" not in brief
    assert brief.splitlines()[-2] == whole.splitlines()[-2]  # the code is all there


def test_variants_of_the_separator_are_shown_by_mean_and_by_seed(write_results, outputs):
    metrics = {"raw_pitch_accuracy": 0.5, "f0_l1_hz": 30.0, "f0_l1_hz@all": 40.0, "loudness_l1": 3.0, "si_sdr": -1.0}
    records = [
        row
        for seed in (0, 1)
        for source in TRIO
        for name, x in metrics.items()
        if source != "drums" or name in ("loudness_l1", "si_sdr")
        for row in recorded("old way", {source: {name: [x + 2 * seed + (source == "bass")]}}, seed=seed)
    ]
    about = {"config": {"steps": 7}, "seed": 2, "variants": {"old way": {"parameters": 1234}}}
    write_results("ablations-separator.json", records, **about)
    display.ablations()
    display.ablations(each_seed=True)
    means, seeds = (data["text/html"] for data, _ in outputs)
    assert "means of 2 seeds" in means and '<td style="text-align:right">0.3</td>' in means and "1,234" not in means
    assert "−0.7 / 1.3" in seeds and "1.50 / 3.50" in seeds and "0.50 / 2.50" in seeds and "1,234" in seeds
    assert shown_again(outputs) == [{"text/html": means}, {"text/html": seeds}]
