"""Other programs' stems: scored as a separator's own, refused by name, and a row in tables and plots."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import display
from audio_processing.audio_processing import load, save
from audio_processing.tracks import SOURCES, TRIO
from common import results
from common.places import HERE
from experiments import catalogue, run, statistics
from experiments.catalogue import SYSTEMS, TEST_SETS, TestSet
from experiments.stems import main
from separate import separate
from tests.helpers import make_tree, noise, one_line

FIRST, SECOND = "Artist - Song 0", "Artist - Song 1"


def command(*arguments, name="theirs", test_set="tiny", folder=True):
    """The command's exit status, on the folder "stems"."""
    where = [HERE.root / "stems"] if folder else []
    return main([str(word) for word in (*where, "--test-set", test_set, "--name", name, *arguments)])


def records(system, test_set="tiny"):
    return results.read(results.score_path(test_set, system))["records"]


@pytest.fixture
def stems(tiny):
    """A folder of stems of both songs, at the test set's rate and as stereo: the true ones, and a little noise."""
    folder = HERE.root / "stems"
    for song in tiny.songs():
        for i, (source, stem) in enumerate(song.stems(sources=tiny.sources).items()):
            save(folder / song.name / f"{source}.wav", stem + 0.03 * noise(*stem.shape, seed=9 + i), 16000)
    return folder


@pytest.mark.parametrize("system", ["hps", pytest.param("conv_tasnet", marks=pytest.mark.slow)])
def test_a_separators_stems_score_as_the_separator_itself(tiny, system):
    for song in tiny.songs():
        mixture = sum(song.stems(16000, True, tiny.sources).values())
        for source, stem in separate(mixture, 16000, system).items():
            save(HERE.root / "stems" / song.name / f"{source}.wav", stem, 16000)
    assert command() == 0 and run.run(tiny, [SYSTEMS[system]])
    ours, theirs = records(system), records("theirs")
    assert [{**r, "value": 0, "system": ""} for r in theirs] == [{**r, "value": 0, "system": ""} for r in ours]
    np.testing.assert_allclose([r["value"] for r in theirs], [r["value"] for r in ours], atol=0.01)


def test_a_row_is_up_to_date_until_a_stem_or_its_label_changes(stems, capsys):
    path = results.score_path("tiny", "theirs")
    assert command("--label", "Their program") == 0
    said = capsys.readouterr().out
    assert "Their program on two songs of noise (tiny)" in said and f"wrote {HERE.shown(path)}" in said
    assert "no separator was scored" in said
    assert command("--label", "Their program") == 0 and "all up to date" in capsys.readouterr().out
    for change in (
        lambda: save(stems / FIRST / "bass.wav", 0.1 * noise(2, 48000), 16000),
        lambda: [(stems / song / "bass.wav").rename(stems / song / "rest.wav") for song in (FIRST, SECOND)],
    ):
        before = path.read_bytes()
        change()
        assert command("--label", "Their program") == 0
        assert path.read_bytes() != before and "wrote" in capsys.readouterr().out
    assert command("--remove", folder=False) == 0 and not path.exists()
    assert "removed results/scores/tiny-theirs.json" in capsys.readouterr().out
    assert command("--remove", folder=False) == 2 and "a row of tiny to remove" in one_line(capsys)


def test_other_names_endings_and_layouts_of_the_same_stems_score_alike(stems):
    assert command() == 0
    expected = [r["value"] for r in records("theirs")]
    for song in (FIRST, SECOND):
        audio, rate = load(stems / song / "vocals.wav")
        (stems / song / "bass.wav").rename(stems / song / "Bass.WAV")
        save(stems / song / "VOCALS.flac", audio, rate)
        (stems / song / "vocals.wav").unlink()
        save(stems / song / "accompaniment.wav", audio, rate)  # museval's, and unknown here
        (stems / "test").mkdir(exist_ok=True)
        (stems / song).rename(stems / "test" / song)
    assert command(name="again") == 0
    np.testing.assert_allclose([r["value"] for r in records("again")], expected, atol=0.01)


def test_stems_of_one_source_at_either_rate_and_mono_stems_of_stereo_songs(elsewhere, monkeypatch):
    root = make_tree(elsewhere / "songs", subset="test", seconds=3.0, sample_rate=32000)
    about = {"sources": SOURCES, "mono": False, "filters": False}
    monkeypatch.setitem(TEST_SETS, "tiny", TestSet("tiny", "two songs of noise", root, **about))
    for song, rate in zip(TEST_SETS["tiny"].songs(), (16000, 32000)):
        stem = song.stems(rate, mono=True)["vocals"]
        save(elsewhere / "stems" / song.name / "vocals.wav", stem, rate)
    assert command() == 0
    found = records("theirs")
    assert {(r["track"], r["source"]) for r in found} == {(song, "vocals") for song in (FIRST, SECOND)}
    assert all(-1 < r["value"] < 1 for r in found if r["metric"] == "si_sdr")  # half of the power is in both channels


SPOILT = {
    "expected a folder with the stems of this song, got none": lambda song: song.rename(song.parent / "other song"),
    "expected vocals.wav, .flac or .mp3, got drums, bass alone": lambda song: (song / "vocals.wav").unlink(),
    "bass.wav: expected 48000 samples at 16000 Hz, got 47999": lambda song: save(
        song / "bass.wav", noise(2, 47999), 16000
    ),
    "bass.wav: expected 16000 Hz, got 22050": lambda song: save(song / "bass.wav", noise(2, 66150), 22050),
    "bass.wav: expected 1 or 2 channels, got 3": lambda song: save(song / "bass.wav", noise(3, 48000), 16000),
    "bass.wav: expected finite samples up to 1e+10, got others": lambda song: save(
        song / "bass.wav", np.where(np.arange(48000) == 9, np.nan, noise(2, 48000)), 16000
    ),
    "bass.wav: expected finite samples up to": lambda song: save(song / "bass.wav", np.full(48000, 1e11), 16000),
    "bass.wav: the file is empty": lambda song: (song / "bass.wav").write_bytes(b""),
}
"""What is said of a song, and what is done to it before."""


@pytest.mark.parametrize("words", SPOILT)
def test_a_song_that_cannot_be_scored_is_named(stems, capsys, words):
    SPOILT[words](stems / SECOND)
    assert command() == 2
    said = one_line(capsys)
    assert words in said and SECOND in said and not results.score_path("tiny", "theirs").exists()
    assert command("--on-error", "skip") == 0
    assert words in one_line(capsys)
    content = results.read(results.score_path("tiny", "theirs"))
    assert words in content["left_out"][SECOND] and {r["track"] for r in content["records"]} == {FIRST}
    assert command("--on-error", "skip") == 0 and "all up to date" in capsys.readouterr().out
    assert command() == 2  # what was left out is not forgotten


@pytest.mark.parametrize(
    "options, words",
    [
        ({"name": "Theirs"}, "--name: expected small letters"),
        ({"name": "hps"}, "--name: expected a name that no row of the catalogue has, got 'hps'"),
        ({"label": "Conv-TasNet"}, "--label: expected one that no row has"),
        ({"label": "_hidden"}, "--label: expected one line that begins with a letter"),
        ({"folder": False}, "FOLDER: expected a folder of stems, got none"),
        ({"test_set": "air_traffic"}, "AIR_TRAFFIC_PATH"),
    ],
)
def test_a_name_label_or_place_that_cannot_be_is_refused_in_one_line(stems, capsys, options, words):
    label = ["--label", options.pop("label")] if "label" in options else []
    assert command(*label, **options) == 2
    assert words in one_line(capsys)


def test_a_folder_without_stems_and_an_unknown_test_set_are_refused(tiny, capsys):
    for there, made in (("no folder", ""), ("an empty folder", "htdemucs"), ("htdemucs", "test")):
        assert command() == 2
        assert f"expected {FIRST}/drums.wav and the like, got {there}" in one_line(capsys)
        (HERE.root / "stems" / made).mkdir()
    with pytest.raises(SystemExit) as end:
        command(test_set="nowhere")
    assert end.value.code == 2 and "same_artist" in capsys.readouterr().err


def test_a_row_stands_last_in_tables_plots_and_intervals(stems, capsys):
    run.run(TEST_SETS["tiny"], [SYSTEMS[name] for name in ("mixture", "irm")])
    assert command("--label", "Their <program>") == 0
    assert statistics.scored_systems("tiny") == ["irm", "mixture", "theirs"]
    assert catalogue.label("theirs") == "Their <program>" and catalogue.label("unknown") == "unknown"
    for table in (
        display.scores.render("tiny"),
        display.scores.render("tiny", "sdr", ["mixture"]),
        display.overview.render("tiny", ["irm"], ["si_sdr", "sdr"]),
        display.facts.render("tiny"),
    ):
        assert "Their &lt;program&gt;" in table.splitlines()[-2]
    bars = display.score_plot("tiny", systems=["mixture", "irm"], ax=Figure().subplots()).containers
    assert "Their <program>" in [bar.get_label() for bar in bars]
    assert len({bar[0].get_facecolor() for bar in bars}) == 3
    assert len(display.difference_plot("tiny", "theirs", "mixture", ax=Figure().subplots()).patches) == 3


def test_it_is_compared_with_the_best_separator_of_the_same_stems(stems, add_separator, capsys):
    def scored(name, level):
        about = {"test_set": "tiny", "unit": "dB", "metric": "si_sdr", "system": name}
        rows = [about | {"track": r["track"], "source": r["source"], "value": level} for r in records("theirs")]
        content = results.head("test", config={}) | {"records": rows}
        results.write(results.score_path("tiny", add_separator(name, int)), content)

    assert command() == 0
    for name, level in (("good", 4.0), ("better", 5.0)):
        scored(name, level)
    assert statistics.best_separator("tiny", "theirs") == "better"
    capsys.readouterr()
    assert command() == 0
    said = capsys.readouterr().out
    ahead = statistics.averages(records("theirs"), "si_sdr")["theirs", "mean"] - 5
    assert "ahead of better" in said and f"{ahead:+.1f}" in said and "2 of 2" in said
    assert said.count(" to +") == len(TRIO) + 1
    row = display.comparisons.render().splitlines()[-2]
    assert ">theirs<" in row and ">better<" in row and f"{ahead:+.1f}".replace("-", "−") in row


def test_a_damaged_row_names_the_command_that_restores_it(stems):
    assert command() == 0
    path = results.score_path("tiny", "theirs")
    path.write_text(path.read_text().replace('"seed": null', '"seed": 1'))
    with pytest.raises(results.ResultsError, match="tiny-theirs.json: damaged; `python -m experiments.stems`"):
        display.scores.render("tiny")
    assert command() == 0 and "theirs" in display.scores.render("tiny")
