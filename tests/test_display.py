import numpy as np
import pytest

import display
from audio_processing import results
from experiments import __main__ as experiments
from tests.conftest import make_tree


@pytest.fixture
def scored(tmp_path, monkeypatch):
    root = make_tree(tmp_path / "songs", subset="test", seconds=2.0)
    monkeypatch.setitem(experiments.TEST_SETS, "tiny", (root, "test", ("drums", "bass", "vocals"), 16000, True))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(experiments, "SCORES", tmp_path / "results" / "scores")
    return experiments.run("tiny", ["mixture", "irm"])


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
    edit(scored[1], by=7.0)
    assert f"reaches {shown + 7:.1f} dB" in display.render_text(template)
    assert f">{shown + 7:.1f}<" in display.render_scores("tiny")
    assert display.rendered_again({"call": "text", "arguments": {"template": template}}) == {
        "text/markdown": display.render_text(template)
    }


def test_plots_follow_the_results(scored):
    before = [bar.get_height() for bar in display.score_plot("tiny").patches]
    edit(scored[0], by=3.0)
    after = [bar.get_height() for bar in display.score_plot("tiny").patches]
    np.testing.assert_allclose(sorted(np.subtract(after, before)), [0, 0, 0, 3, 3, 3], atol=1e-9)


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


def test_clips_share_one_gain(monkeypatch):
    import re
    from base64 import b64decode
    from io import BytesIO

    import soundfile

    shown = []
    monkeypatch.setattr(display.ipython, "display", shown.append)
    t = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * t)
    display.audio({"loud": 2 * tone, "soft": 0.2 * tone}, 16000, spectrogram=False)
    clips = re.findall(r"base64,([^\"]+)", shown[0].data)
    loud, soft = (soundfile.read(BytesIO(b64decode(clip)))[0] for clip in clips)
    assert np.std(loud) / np.std(soft) == pytest.approx(10, rel=0.05)
    assert np.abs(loud).max() < 1
