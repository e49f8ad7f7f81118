"""`python -m residual_analysis` on a tree of two tiny songs, and where there is none."""

import pytest

from audio_processing.tracks import SOURCES
from common import results
from common.places import HERE
from residual_analysis import __main__ as command
from tests.helpers import noise, one_line, save_song


def test_the_command_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "PATH", tmp_path / "out.json")
    monkeypatch.setattr(HERE, "root", tmp_path)
    stems = dict(zip(SOURCES, 0.1 * noise(4, 2, 9000)))
    stems["other"] *= 0  # a silent stem has no scores
    for name in ("A - One", "PR - Oh No"):
        save_song(tmp_path / "test" / name, stems, 44100)
    assert command.main(["--musdb", str(tmp_path)]) == 0
    content = results.read(tmp_path / "out.json")
    assert content["songs"] == 1 and {r["track"] for r in content["records"]} == {"A - One"}
    assert {r["source"] for r in content["records"]} == {"drums", "bass", "vocals"}
    value = {(r["system"], r["source"], r["metric"]): r["value"] for r in content["records"]}
    assert value["mask_true_phase", "bass", "si_sdr"] > value["irm@power", "bass", "si_sdr"] + 3
    assert 0 < value["mixture", "bass", "phase_error"] < 90
    assert "wrote out.json" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--musdb", "nowhere"]])
def test_without_songs_it_says_so_in_one_line(arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(HERE, "musdb", None)
    assert command.main(arguments) == 2
    assert one_line(capsys).startswith("residual_analysis: ")
