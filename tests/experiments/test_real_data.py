"""Copies of MUSDB18 by one option, songs that cannot be read, and museval's files beside ours."""

import json
import shutil
from dataclasses import replace

import museval
import numpy as np
import pytest

from audio_processing.audio_processing import AudioError, load, save
from audio_processing.tracks import SOURCES, TRIO, Track, musdb_name, tracks
from common import results
from common.places import HERE, Places
from experiments import run
from experiments.catalogue import TEST_SETS
from tests.helpers import make_tree, needs_ffmpeg, run_module, save_song, stem_file


@pytest.fixture
def three(tiny):
    """The test set `tiny`, of three songs; returns its folder."""
    return make_tree(tiny.root, subset="test", songs=3, seconds=3.0)


def score(*options, test_set="tiny", system="mixture"):
    return run_module("experiments", "--test-sets", test_set, "--systems", system, *options)


def scores(system="mixture"):
    return results.read(results.score_path("tiny", system))


def said(capsys):
    """The lines on standard error but for progress bars."""
    return [line for line in capsys.readouterr().err.splitlines() if line.strip() and "song/s]" not in line]


@pytest.mark.parametrize("damage", ["a stem is missing", "a sound is damaged behind a good header"])
def test_a_song_that_cannot_be_read_stops_the_run_or_is_left_out_and_named(damage, three, monkeypatch, capsys):
    bad, stems = tracks(three)[1], Track.stems
    why = f"{bad.name}/bass.wav: no such file"
    if damage == "a stem is missing":
        (bad.path / "bass.wav").rename(three / "bass.wav")
    else:
        why = f"{bad.name}: the sound is damaged after 1.0 s"

        def read(song, *arguments, **options):
            if song == bad:
                raise AudioError(f"{song.path}: the sound is damaged after 1.0 s")
            return stems(song, *arguments, **options)

        monkeypatch.setattr(Track, "stems", read)
    assert score() == 2 and not HERE.results.exists()
    (line,) = said(capsys)
    assert line.startswith("experiments: ") and why in line
    assert score("--on-error", "skip") == 0 and said(capsys) == [f"tiny: {bad.name} is left out: {why}"]
    content = scores()
    assert content["left_out"] == {bad.name: why} and content["songs"] == 2
    assert {record["track"] for record in content["records"]} == {song.name for song in tracks(three)} - {bad.name}
    assert score("--on-error", "skip") == 0 and "all up to date" in capsys.readouterr().out
    assert score() == 2  # asked to stop, it stops at the same song
    if damage == "a stem is missing":
        (three / "bass.wav").rename(bad.path / "bass.wav")
    monkeypatch.setattr(Track, "stems", stems)
    assert score() == 0 and scores()["songs"] == 3 and "left_out" not in scores()


def test_no_song_that_can_be_read_is_one_line(three, capsys):
    for song in tracks(three):
        (song.path / "drums.wav").write_text("no sound")
    assert score("--on-error", "skip") == 2
    (line,) = said(capsys)
    assert "none of 3 songs can be read" in line and not HERE.results.exists()


@pytest.fixture
def copies(tmp_path):
    """One song, whole (11 s) and as an excerpt (2 s) in wav files; whole as a stem file, too, where there is ffmpeg."""
    found = {}
    for name, seconds in (("musdb18", 11.0), ("musdb18_7s", 2.0)):
        found[name, "wav"] = make_tree(tmp_path / name, subset="test", songs=1, seconds=seconds, sample_rate=44100)
    if shutil.which("ffmpeg"):
        (song,) = tracks(found["musdb18", "wav"])
        found["musdb18", "mp4"] = tmp_path / "mp4"
        stem_file(tmp_path / "mp4" / "test" / f"{song.name}.stem.mp4", song.path)
    return found


def test_one_option_for_every_copy_of_musdb18(copies, elsewhere, capsys):
    values = {}
    for (name, kind), root in copies.items():
        assert musdb_name(root) == name
        here = run.test_sets_here(Places(elsewhere, musdb=root))
        assert [test_set for test_set in here if TEST_SETS[test_set].place == "musdb"] == [name]
        out = elsewhere / f"{name}-{kind}"
        assert score("--musdb", root, "--out", out, test_set=name) == 0
        content = results.read(out / f"{name}-mixture.json")
        assert content["songs"] == 1 and content["config"]["sample_rate"] == 44100 and "excluded" in content
        values[name, kind] = [record["value"] for record in content["records"]]
        assert {record["test_set"] for record in content["records"]} == {name} and len(values[name, kind]) == 12
        other = "musdb18" if name == "musdb18_7s" else "musdb18_7s"
        capsys.readouterr()
        assert score("--musdb", root, "--out", out, test_set=other) == 2
        assert f"holds the songs of {name}" in capsys.readouterr().err
    if ("musdb18", "mp4") in values:  # coded with loss, and otherwise the same
        np.testing.assert_allclose(values["musdb18", "mp4"], values["musdb18", "wav"], atol=0.5)
    assert not HERE.results.exists()  # nothing where the committed results are


@needs_ffmpeg
def test_stem_files_without_ffmpeg_are_one_line(copies, elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    root = copies["musdb18", "mp4"]
    for mode in ("stop", "skip"):
        assert score("--musdb", root, "--on-error", mode, test_set="musdb18") == 2
        (line,) = said(capsys)
        assert "needs ffmpeg" in line
    assert "musdb18_7s" in run.test_sets_here(Places(elsewhere, musdb=root))  # unknown; scoring says why


def test_museval_puts_its_files_together(tiny, tmp_path, monkeypatch):
    root, folder, rate = make_tree(tmp_path / "one", subset="test", songs=1, seconds=2.0), tmp_path / "museval", 2000
    for system in ("irm", "mixture"):
        row = replace(tiny, root=root, sample_rate=rate, filters=system == "mixture")
        monkeypatch.setitem(TEST_SETS, "tiny", row)
        assert score("--museval", folder, system=system) == 0
    methods = museval.MethodStore()
    for system in ("mixture", "irm"):
        methods.add_eval_dir(folder / "tiny" / system)
    theirs = methods.agg_frames_scores()
    (song,) = tracks(root)
    for system, metrics in {"mixture": ("sdr", "sir", "sar"), "irm": ("sdr",)}.items():
        records = scores(system)["records"]
        ours = {(r["source"], r["metric"]): r["value"] for r in records if r["metric"] in metrics}
        assert len(ours) == 3 * len(metrics)
        for (source, metric), value in ours.items():
            assert theirs[system, song.name, source, metric.upper()] == pytest.approx(value, abs=2e-5)
    stems = song.stems(rate, mono=True, sources=TRIO)
    true = np.stack([stem[:, None] for stem in stems.values()])
    given = np.repeat(true.sum(axis=0, keepdims=True), 3, axis=0)
    sdr, isr, sir, sar = museval.evaluate(true, given, win=rate, hop=rate)
    written = json.loads((folder / "tiny" / "mixture" / "test" / f"{song.name}.json").read_text())
    assert [target["name"] for target in written["targets"]] == list(TRIO)
    for i, target in enumerate(written["targets"]):
        found = {m: [frame["metrics"][m] for frame in target["frames"]] for m in ("SDR", "ISR", "SIR")}
        np.testing.assert_allclose(found["SDR"], sdr[i], atol=2e-5)
        np.testing.assert_allclose(found["ISR"], isr[i], atol=0.1)  # white noise 60 dB below the stems (scores.py)
        np.testing.assert_allclose(found["SIR"], sir[i], atol=0.1)


def test_what_museval_does_not_get_is_nan_and_files_follow_the_scores(three, tmp_path):
    """Without sir and sar, as at 44.1 kHz; a changed song is scored again, one that is gone leaves no file."""
    folder = tmp_path / "museval"
    assert score() == 0
    assert score("--museval", folder) == 0  # the scores were current, museval's files were not there
    assert score("--museval", folder) == 0
    files = sorted((folder / "tiny" / "mixture" / "test").iterdir())
    assert [path.stem for path in files] == [song.name for song in tracks(three)]
    written = files[0].stat().st_mtime_ns
    assert score("--museval", folder) == 0 and files[0].stat().st_mtime_ns == written
    store = museval.EvalStore()
    store.add_eval_dir(folder / "tiny" / "mixture")
    scores = store.agg_frames_tracks_scores()
    assert np.isfinite(scores["vocals", "SDR"]) and np.isnan(scores["vocals", "SIR"]) and "SAR:     nan" in repr(store)
    songs = tracks(three)
    audio, rate = load(songs[0].path / "bass.wav")
    save(songs[0].path / "bass.wav", 0.5 * audio, rate)
    shutil.rmtree(songs[2].path)
    (folder / "tiny" / "mixture" / "test" / "notes.json").write_text("{}")
    assert score("--museval", folder) == 0
    left = sorted(path.name for path in (folder / "tiny" / "mixture" / "test").iterdir())
    assert left == ["Artist - Song 0.json", "Artist - Song 1.json", "notes.json"]  # what is not ours stays


def test_a_song_of_silence_has_no_file_of_museval(three, tmp_path):
    song = tracks(three)[0]
    save_song(song.path, dict.fromkeys(SOURCES, np.zeros((2, 48000), np.float32)), 16000)
    for _ in range(2):
        assert score("--museval", tmp_path / "museval") == 0
    found = sorted(path.stem for path in (tmp_path / "museval" / "tiny" / "mixture" / "test").iterdir())
    assert found == [song.name for song in tracks(three)[1:]]
    assert scores()["silent_stems"] == {"drums": 1, "bass": 1, "vocals": 1}
