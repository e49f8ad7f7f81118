import re
import shutil
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

import display
from common import results
from common.files import sha256_of
from experiments import __main__ as experiments
from player.clips import mp3
from tests.conftest import make_tree


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with the scores of two systems on a tiny test set, measured once."""
    folder = tmp_path_factory.mktemp("measured")
    root = make_tree(folder / "songs", subset="test", seconds=2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(experiments.TEST_SETS, "tiny", (root, "test", ("drums", "bass", "vocals"), 16000, True))
        patch.setattr(results, "RESULTS", folder / "results")
        patch.setattr(results, "ROOT", folder)
        patch.setattr(experiments, "SCORES", folder / "results" / "scores")
        return experiments.run("tiny", ["mixture", "irm"])


@pytest.fixture
def scored(measured, tmp_path, monkeypatch):
    """Paths of a copy of them, which a test may change."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    scores = tmp_path / "results" / "scores"
    scores.mkdir(parents=True)
    return [Path(shutil.copy(path, scores)) for path in measured]


def edit(path, by):
    """Change every value of a result file as a run that measured something else would have."""
    content = results.read(path)
    for record in content["records"]:
        record["value"] += by
    content.pop("sha256")
    results.write(path, content)


def test_text_and_table_follow_the_results(scored):
    template = "The mask reaches {score/tiny/irm/mean/si_sdr:.1f} dB, {ahead/tiny/irm/mixture/si_sdr/mean:.1f} ahead."
    text, table = display.render_text(template), display.render_scores("tiny")
    shown = float(text.split("reaches ")[1].split(" dB")[0])
    assert f">{shown:.1f}<" in table
    beside = display.render_overview("tiny", ["mixture", "irm"], ["si_sdr", "f0_l1_hz"])
    assert f">{shown:.1f}<" in beside and ">pitch (Hz)<" in beside and beside.count(">–<") == 2
    edit(scored[1], by=7.0)
    assert f"reaches {shown + 7:.1f} dB" in display.render_text(template)
    assert f">{shown + 7:.1f}<" in display.render_scores("tiny")
    assert display.rendered_again({"call": "text", "arguments": {"template": template}}) == {
        "text/markdown": display.render_text(template)
    }


def test_speed_follows_the_results(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    record = {"benchmark": "fast", "ours_s": 0.0125, "peer": "a <peer>", "peer_s": 2.5, "ratio": 200.0, "peak_mb": 1.0}
    for ratio in (200.0, 3.0):
        results.write(
            tmp_path / "benchmarks.json", results.head("benchmarks") | {"records": [record | {"ratio": ratio}]}
        )
        assert display.render_text("{bench/fast/ratio:.0f} times") == f"{ratio:.0f} times"
        table = display.render_benchmarks({"fast": "the work"})
        for cell in (
            "the work",
            "12.5\N{NO-BREAK SPACE}ms",
            "a &lt;peer&gt;",
            "2500\N{NO-BREAK SPACE}ms",
            f"{ratio:.1f}",
        ):
            assert f">{cell}<" in table
    with pytest.raises(results.ResultsError, match="no slow in it; `python -m benchmarks slow` measures"):
        display.render_benchmarks({"fast": "the work", "slow": "none"})


def test_plots_follow_the_results(scored):
    before = [bar.get_height() for bar in display.score_plot("tiny").patches]
    edit(scored[0], by=3.0)
    after = [bar.get_height() for bar in display.score_plot("tiny").patches]
    np.testing.assert_allclose(sorted(np.subtract(after, before)), [0, 0, 0, 3, 3, 3], atol=1e-9)


def test_what_systems_cost_and_how_far_they_are_ahead(scored, monkeypatch):
    asked = [("irm", "mixture", None, 3.0), ("irm", "mixture", "bass", 99.0), ("new", "irm", None, 0)]
    asked = [("tiny", *row) for row in asked]
    monkeypatch.setattr(display.summary, "COMPARISONS", asked)
    table = display.render_comparisons()
    ahead = display.value("compared/tiny/irm/mixture/all/mean")
    assert f"+{ahead:.1f}" in table and "2 of 2" in table
    assert table.count(": reached") == 1 and table.count("not reached") == 1 and table.count("not computed") == 1
    assert display.render_facts("tiny").count("<tr>") == 3 and display.value("facts/tiny/irm/realtime") > 0
    with pytest.raises(results.ResultsError):
        display.value("facts/tiny/irm/training_seconds_of_none")


@pytest.fixture
def studied(tmp_path, monkeypatch):
    """Results of seven trainings: two models, two amounts of music, one of them for longer, too; and a corrector."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    for model, lead in (("conv_tasnet", 0.0), ("ddsp_masked", 2.0), ("ddsp_masked@refined", 3.0)):
        for minutes, long in ((3, False), (3, True), (10, False)):
            if "@" in model and (minutes, long) != (3, False):
                continue
            config = {"model": model, "minutes": minutes, "size": "middle", "seed": 0, "long": long}
            content = results.head(f"study {model}", config=config)
            facts = {"parameters": 1000, "steps": 200, "best_step": 100, "ended_by": "patience"}
            content |= facts | {"training_seconds": 60.0, "processor_seconds": 50.0, "validation": [-1.0, -0.5]}
            content["records"] = [
                {"test_set": test_set, "track": str(i), "system": f"{model}@{minutes}min", "source": "bass",
                 "metric": "si_sdr", "unit": "dB", "value": minutes + lead + i + 0.5 * long - away, "seed": 0}
                for test_set, away in (("same_artist", 0.0), ("other_artist", 6.0)) for i in range(3)
            ]  # fmt: skip
            results.write(tmp_path / "results" / "studies" / f"{model}-{minutes}-{long}.json", content)


def test_studies_are_shown_as_table_figures_and_differences(studied):
    assert display.value("study/same_artist/3/ddsp_masked/conv_tasnet/mean") == pytest.approx(2.0)
    assert display.value("study/same_artist/10/conv_tasnet") == pytest.approx(11.0)
    assert display.value("study/same_artist/3/conv_tasnet") == pytest.approx(4.0)
    assert display.value("study/same_artist/3long/conv_tasnet") == pytest.approx(4.5)
    assert display.value("study/other_artist/3long/conv_tasnet") == pytest.approx(-1.5)
    assert display.value("study/same_artist/3/ddsp_masked/conv_tasnet+long/mean") == pytest.approx(1.5)
    assert "−1.5" in display.render_studies()
    with pytest.raises(results.ResultsError, match="not computed"):
        display.value("study/same_artist/3small/conv_tasnet")
    assert display.value("study/same_artist/3/ddsp_masked@refined/conv_tasnet+long/mean") == pytest.approx(2.5)
    assert display.render_studies().count("<tr>") == 8 and display.render_studies().count("for longer") == 2
    for x in ("minutes", "parameters"):
        ax = display.study_plot(x)
        assert "SI-SDR on same_artist" in ax.get_ylabel() and len(ax.get_legend().get_texts()) == 2
    strangers = display.study_plot("minutes", "other_artist")
    assert sorted(line.get_ydata()[0] for line in strangers.lines[::2]) == pytest.approx([-2.0, 0.0])
    for long in (False, True):
        assert len(display.study_curves(3, long=long).lines) == 4  # two curves, and the best look of each
    with pytest.raises(results.ResultsError, match="conv_tasnet@1min on same_artist is not"):
        display.value("study/same_artist/1/conv_tasnet")


def test_ticks_of_nearly_equal_places_are_not_written_over_each_other():
    points = [{"model": "m", "parameters": n, "y": 1.0} for n in (72_000, 209_000, 214_000, 915_000)]
    ax = display.plots.against(points, "parameters", "y", Figure().subplots(), names={}, xlabel="", ylabel="")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["72 k", "209 k", "915 k"]
    assert len(ax.lines[1].get_xdata()) == 4


def test_scores_that_are_not_defined_are_said_to_be_missing(scored):
    content = results.read(scored[1])
    content["silent_stems"], content["absent"] = {"bass": 1}, {"snr": 2}
    content.pop("sha256")
    results.write(scored[1], content)
    assert "of 3 stems it is not defined" in display.render_scores("tiny", "snr")
    assert "of 1 stems it is not defined" in display.render_scores("tiny", "si_sdr")


def test_a_changed_file_is_not_shown(scored):
    scored[0].write_text(scored[0].read_text().replace('"value": ', '"value": 1'))
    with pytest.raises(results.ResultsError, match="make results"):
        display.render_scores("tiny")


def test_unknown_names_are_refused(scored):
    with pytest.raises(ValueError, match="begins with none of"):
        display.value("nonsense/tiny")
    with pytest.raises(results.ResultsError, match="no such file"):
        display.value("score/tiny/nonsense/mean/si_sdr")


def test_tables_escape_and_align():
    shown = display._table([{"a": "<b>", "n": -1.234, "none": None}], digits=1)
    assert "&lt;b&gt;" in shown and "−1.2" in shown and "–" in shown


def test_plots_carry_intervals_that_follow_the_results(scored):
    from matplotlib.collections import LineCollection

    def intervals():
        ax = display.score_plot("tiny")
        lines = [c for c in ax.collections if isinstance(c, LineCollection)]
        return np.array([line.get_segments()[0][:, 1] for line in lines])

    before = intervals()
    assert before.shape == (6, 2) and (before[:, 0] <= before[:, 1]).all()
    edit(scored[1], by=2.0)
    moved = np.sort((intervals() - before).mean(axis=1))
    np.testing.assert_allclose(moved, [0, 0, 0, 2, 2, 2], atol=1e-9)


def test_minus_signs_stand_before_negative_numbers_alone(monkeypatch):
    monkeypatch.setattr(display, "value", lambda name: {"below": -0.06, "nearly": -0.04, "far": -10.0}[name])
    found = display.render_text("It is {below:.1f} dB ({nearly:.1f}), {far:.0f}, well-known: {nearly:+.1f}.")
    assert found == "It is −0.1 dB (0.0), −10, well-known: 0.0."


def test_long_names_do_not_squeeze_the_plot(scored, monkeypatch):
    names = {name: f"a system whose name is quite long: {name}" for name in ("mixture", "irm", "new")}
    monkeypatch.setattr(display, "SYSTEM_NAMES", names)
    ax = display.score_plot("tiny")
    ax.figure.canvas.draw()
    assert ax.get_position().width > 0.8 and ax.get_position().height > 0.6


@pytest.fixture
def outputs(monkeypatch):
    """What a notebook would show: (data, metadata) of each output."""
    shown = []

    def show(data, raw=False, metadata=None):
        shown.append((data if raw else {"text/html": data.data}, metadata or {}))

    monkeypatch.setattr(display.ipython, "display", show)
    return shown


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda path: path.unlink(), "no such file; `make results` writes it"),
        (lambda path: path.write_text("{"), "not JSON"),
        (lambda path: path.write_text('{"schema": 99}'), "schema 1 expected"),
    ],
)
def test_what_is_missing_is_said_where_it_would_stand(scored, outputs, spoil, says):
    spoil(scored[1])
    display.text("The mask reaches {score/tiny/irm/mean/si_sdr:.1f} dB.")
    display.scores("tiny", systems=["irm"])
    display.score_plot("tiny", systems=["irm"]).set_title("the caller may still dress it")
    display.training_curve("nobody").set_ylim(0, 1)
    display.player("tiny")
    assert len(outputs) == 5
    assert all(says in metadata["missing"] for _, metadata in outputs[:3])
    for data, metadata in outputs:
        assert 'role="alert"' in data["text/html"] and metadata["missing"] in data["text/plain"]


def test_a_test_set_that_nobody_scored_is_missing(scored):
    with pytest.raises(results.ResultsError, match=r"results/scores/nonsense-\*.json: no si_sdr"):
        display.render_scores("nonsense")
    with pytest.raises(results.ResultsError, match="no loudness of bass"):
        display.value("score/tiny/irm/bass/loudness")


def clips_in(page):
    found = re.findall(r"audio/mpeg;base64,([^\"]+)", page)
    return [soundfile.read(BytesIO(b64decode(clip)))[0] for clip in found]


def tone(frequency, level, seconds=1.0):
    return level * np.sin(2 * np.pi * frequency * np.arange(int(16000 * seconds)) / 16000)


def test_clips_share_one_gain(outputs):
    display.audio({"loud": tone(440, 2.0), "soft": tone(440, 0.2)}, 16000, spectrogram=False)
    loud, soft = clips_in(outputs[0][0]["text/html"])
    assert np.std(loud) / np.std(soft) == pytest.approx(10, rel=0.05)
    assert np.abs(loud).max() < 1


def test_a_player_degrades_to_labelled_audio_elements_and_a_link(outputs):
    display.audio({"drums, <true>": tone(100, 0.5), "gap": None, "bass": tone(60, 0.5)}, 16000)
    picture, table, code = (data for data, _ in outputs)
    assert "drums, <true>" in outputs[0][1]["image/png"]["alt"] and len(picture["image/png"]) < 150_000
    without_scripts = table["text/html"]
    assert "<script" not in without_scripts and without_scripts.count("<audio controls") == 2
    assert (
        'aria-label="drums, &lt;true&gt;"' in without_scripts
        and "https://colab.research.google.com/" in without_scripts
    )
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
def test_stems_sound_together_and_alternatives_one_by_one(outputs, labels, mode):
    display.audio({label: tone(100, 0.1) for label in labels}, 16000, spectrogram=False)
    page = outputs[0][0]["text/html"]
    assert f'data-mode="{mode}"' in page
    assert page.count("data-whole") == (mode == "mix" and labels[0].startswith("mixture"))


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The clips of a test set, as experiments.clips writes them: an index and MP3 files."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    folder = tmp_path / "audio" / "tiny"
    folder.mkdir(parents=True)
    rows = {"mixture": {"true": "m.mp3"}, "bass": {"true": "b.mp3", "ours": "o.mp3"}}
    for i, file in enumerate(("m.mp3", "b.mp3", "o.mp3")):
        (folder / file).write_bytes(mp3(tone(110 * (i + 1), 0.5), 16000))
    index = results.head("clips tiny") | {"sample_rate": 16000, "caption": "a <song>", "rows": rows}
    index["files_sha256"] = sha256_of(*sorted(folder.glob("*.mp3")))
    results.write(folder / "index.json", index)
    return folder


def test_the_player_holds_every_version_of_every_stem(example, outputs):
    display.player("tiny")
    page = outputs[1][0]["text/html"]
    assert len(clips_in(page)) == 3
    assert 'data-mode="mix" data-seconds="1.0000" data-rate="16000"' in page and "a &lt;song&gt;" in page
    assert re.search(r'<tr data-whole=""><th[^>]*>mixture', page)
    assert display.rendered_again(outputs[1][1]["shown_by"])["text/html"] == page


def test_clips_that_are_not_those_of_the_index_are_not_played(example, outputs):
    (example / "b.mp3").write_bytes(mp3(tone(220, 0.1), 16000))
    display.player("tiny")
    assert "clips missing or changed" in outputs[0][1]["missing"] and len(outputs) == 1


def test_a_source_can_be_shown_without_most_of_its_docstring(monkeypatch):
    shown = []
    monkeypatch.setattr(display.ipython, "display", lambda what: shown.append(what.data))
    display.source(display.table)
    display.source(display.table, brief=True)
    assert '"""Show a table."""' in shown[1] and "caption : str" in shown[0] and "caption : str" not in shown[1]
    assert shown[1].splitlines()[-2] == shown[0].splitlines()[-2]  # the code is all there


def test_what_a_substitution_scored_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    row = {"test_set": "tiny", "system": "told", "metric": "si_sdr", "unit": "dB"}
    rows = [
        row | {"track": t, "source": s, "value": v}
        for t, s, v in (("1", "bass", 3.0), ("2", "bass", 5.0), ("1", "drums", 8.0))
    ]
    other = row | {"test_set": "other", "track": "1", "source": "bass", "value": 99.0}
    results.write(tmp_path / "substitution-separator.json", results.head("substitution") | {"records": [*rows, other]})
    assert display.value("substituted/tiny/told/bass") == 4.0 and display.value("substituted/tiny/told/mean") == 6.0
    with pytest.raises(results.ResultsError, match="no told of vocals on tiny"):
        display.value("substituted/tiny/told/vocals")


def test_variants_of_the_separator_are_shown_by_mean_and_by_seed(tmp_path, monkeypatch, outputs):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    scored = {"raw_pitch_accuracy": 0.5, "f0_l1_hz": 30.0, "f0_l1_hz@all": 40.0, "loudness_l1": 3.0, "si_sdr": -1.0}
    records = [
        {
            "system": "old way",
            "seed": seed,
            "source": source,
            "metric": metric,
            "value": x + 2 * seed + (source == "bass"),
        }
        for metric, x in scored.items()
        for source in (("bass", "vocals") if "l1_hz" in metric or "pitch" in metric else ("drums", "bass", "vocals"))
        for seed in (0, 1)
    ]
    content = results.head("ablations", config={"steps": 7}, seed=2)
    content |= {"variants": {"old way": {"parameters": 1234}}, "records": records}
    results.write(tmp_path / "ablations-separator.json", content)
    assert display.value("ablation/old way/si_sdr/drums") == 0.0
    assert display.value("ablation/old way/raw_pitch_accuracy/mean") == 2.0
    with pytest.raises(results.ResultsError, match="no si_sdr of new way, mean"):
        display.value("ablation/new way/si_sdr/mean")
    display.ablations()
    display.ablations(each_seed=True)
    means, seeds = (data["text/html"] for data, _ in outputs)
    assert "means of 2 seeds" in means and '<td style="text-align:right">0.3</td>' in means and "1,234" not in means
    assert "−0.7 / 1.3" in seeds and "1.50 / 3.50" in seeds and "0.50 / 2.50" in seeds and "1,234" in seeds
    for _, metadata in outputs:
        assert display.rendered_again(metadata["shown_by"])["text/html"] in (means, seeds)
