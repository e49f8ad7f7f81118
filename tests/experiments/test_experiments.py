import math
import os
import signal
import threading
import time

import numpy as np
import pytest

from audio_processing import results
from experiments import __main__ as experiments
from experiments import clips, summary
from experiments.scores import score_track
from experiments.systems import SYSTEMS
from tests.conftest import make_tree

SOURCES = ("drums", "bass", "vocals")


@pytest.fixture
def test_set(tmp_path, monkeypatch):
    """A test set of two songs and a results folder of its own."""
    root = make_tree(tmp_path / "songs", subset="test", seconds=3.0)
    monkeypatch.setitem(experiments.TEST_SETS, "tiny", (root, "test", SOURCES, 16000, True))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(experiments, "SCORES", tmp_path / "results" / "scores")
    monkeypatch.setattr(experiments, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    return "tiny"


def assert_alike(records, expected):
    """The same records in the same order, values up to what the order of a sum on several threads changes."""
    assert [{**r, "value": None} for r in records] == [{**r, "value": None} for r in expected]
    np.testing.assert_allclose([r["value"] for r in records], [r["value"] for r in expected], rtol=1e-6)


def test_the_ceiling_is_above_the_floor_and_files_follow_the_schema(test_set):
    written = experiments.run(test_set, ["mixture", "irm"])
    assert [path.name for path in written] == ["tiny-mixture.json", "tiny-irm.json"]
    records = summary.read_scores(test_set, ["mixture", "irm"])
    assert len([r for r in records if r["metric"] in ("si_sdr", "snr", "sdr")]) == 2 * 2 * 3 * 3
    for metric in ("si_sdr", "snr", "sdr"):
        averages = summary.averages(records, metric)
        assert all(averages["irm", source] > averages["mixture", source] + 3 for source in SOURCES)
    content = results.read(written[1])
    assert content["config"]["sources"] == list(SOURCES) and content["data"] and content["seconds"] > 0


def test_what_is_current_is_skipped_and_an_edited_value_is_restored(test_set):
    path = experiments.run(test_set, ["mixture"])[0]
    assert experiments.run(test_set, ["mixture"]) == []
    value = results.read(path)["records"][0]["value"]
    path.write_text(path.read_text().replace(repr(value), repr(value + 1)))
    with pytest.raises(results.ResultsError):
        summary.read_scores(test_set, ["mixture"])
    assert experiments.run(test_set, ["mixture"]) == [path]
    assert results.read(path)["records"][0]["value"] == value


def test_processes_give_the_same_scores_as_one(test_set):
    alone = results.read(experiments.run(test_set, ["irm"])[0])["records"]
    together = results.read(experiments.run(test_set, ["irm"], jobs=2, force=True)[0])["records"]
    assert_alike(together, alone)


def test_a_stopped_run_goes_on_after_the_songs_that_are_done(test_set, monkeypatch):
    score_song, done = experiments.score_song, []

    def stop_at_the_second(song, *arguments):
        if done:
            raise KeyboardInterrupt
        done.append(song.name)
        return score_song(song, *arguments)

    monkeypatch.setattr(experiments, "score_song", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(test_set, ["irm"])
    assert not list(experiments.SCORES.glob("*.json")) and len(list(experiments.UNFINISHED.rglob("*.json"))) == 1
    again = []
    monkeypatch.setattr(
        experiments, "score_song", lambda song, *rest: again.append(song.name) or score_song(song, *rest)
    )
    resumed = results.read(experiments.run(test_set, ["irm"])[0])["records"]
    assert len(again) == 1 and again != done and not list(experiments.UNFINISHED.iterdir())
    assert_alike(resumed, results.read(experiments.run(test_set, ["irm"], force=True)[0])["records"])


def test_a_dask_cluster_finishes_what_a_killed_worker_began(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the package `distributed` is not installed")
    root = make_tree(tmp_path / "songs", subset="test", songs=6, seconds=4.0)
    monkeypatch.setitem(experiments.TEST_SETS, "tiny", (root, "test", SOURCES, 16000, True))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(experiments, "SCORES", tmp_path / "results" / "scores")
    monkeypatch.setattr(experiments, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    alone = results.read(experiments.run("tiny", ["hps"])[0])["records"]

    def kill_one(cluster, killed):
        while not list(experiments.UNFINISHED.rglob("*.json")):
            time.sleep(0.02)
        victim = next(iter(cluster.workers.values())).pid
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killed = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        thread = threading.Thread(target=kill_one, args=(cluster, killed), daemon=True)
        thread.start()
        path = experiments.run("tiny", ["hps"], cluster=cluster.scheduler_address, force=True)[0]
        thread.join(10)
    assert killed
    assert_alike(results.read(path)["records"], alone)  # nothing lost, nothing twice


def test_a_cluster_that_does_not_answer_is_named(test_set, capsys):
    pytest.importorskip("distributed", reason="the package `distributed` is not installed")
    options = ["--test-sets", test_set, "--systems", "mixture", "--dask", "tcp://127.0.0.1:9"]
    assert experiments.main(options) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err


def test_scores_of_a_known_error():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(4000) for source in SOURCES}
    estimates = {source: 0.5 * stem for source, stem in stems.items()}
    records, dropped = score_track(stems, estimates, 1000)
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    assert dropped == 0
    assert values["bass", "snr"] == pytest.approx(20 * math.log10(2))
    assert values["bass", "sdr"] == pytest.approx(20 * math.log10(2))


def test_interference_and_artefacts_are_told_apart():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(8000) for source in SOURCES}
    noise = rng.standard_normal(8000)
    estimates = {
        "drums": stems["drums"] + 0.1 * stems["bass"],  # 20 dB of another source
        "bass": stems["bass"] + 0.1 * noise,  # 20 dB of what is no source
        "vocals": np.convolve(stems["vocals"], [0.5, 0.3], "same"),  # a filter is neither
    }
    records, _ = score_track(stems, estimates, 1000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    assert values["drums", "sir"] == pytest.approx(20, abs=1) and ("drums", "sar") not in values  # above 100 dB
    assert values["bass", "sar"] == pytest.approx(20, abs=2) and values["bass", "sir"] > 25
    assert values["vocals", "sir"] > 40 and values["vocals", "sar"] > 30
    alone, _ = score_track(stems, {"drums": estimates["drums"]}, 1000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in alone}
    assert values["drums", "sir"] == pytest.approx(23, abs=1)  # the others count as one, which is half bass


def test_stems_without_treble_do_not_spoil_interference():
    rng = np.random.default_rng(0)
    dark = np.fft.rfftfreq(16000) < 0.4
    stems = {s: np.fft.irfft(dark * np.fft.rfft(rng.standard_normal(16000))) for s in SOURCES}
    noise = np.fft.irfft(dark * np.fft.rfft(rng.standard_normal(16000)))
    estimates = {s: stems[s] + 0.1 * stems["drums" if s != "drums" else "bass"] + 0.05 * noise for s in SOURCES}
    records, _ = score_track(stems, estimates, 2000, filters=True)
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    for source in SOURCES:
        assert values[source, "sir"] == pytest.approx(20, abs=1.5)
        assert values[source, "sar"] == pytest.approx(26, abs=2.5)


def test_silent_stems_are_not_scored_and_dropped_frames_are_counted():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(4000) for source in SOURCES}
    stems["bass"] = np.zeros(4000)
    stems["drums"][:1000] = 0
    estimates = {source: rng.standard_normal(4000) for source in SOURCES}
    records, dropped = score_track(stems, estimates, 1000)
    assert {r["source"] for r in records} == {"drums", "vocals"} and dropped == 1
    assert score_track({"bass": np.zeros(10)}, {"bass": np.ones(10)}, 5) == ([], 0)


def test_a_separator_of_drums_is_scored_on_the_rest_as_well(test_set):
    songs = 2
    records = results.read(experiments.run(test_set, ["hps"])[0])["records"]
    assert sorted({r["source"] for r in records}) == ["drums", "rest"] and len(records) == songs * 2 * 5


def test_paired_difference_and_its_interval():
    records = [
        {"track": str(i), "system": system, "source": "bass", "metric": "snr", "value": i + shift}
        for i in range(20)
        for system, shift in (("a", 1.0 + 0.1 * (i % 2)), ("b", 0.0))
    ]
    mean, (low, high), songs = summary.paired_difference(records, "snr", "a", "b")
    assert mean == pytest.approx(1.05) and 1.0 <= low < mean < high <= 1.1 and songs == 20
    alone = [{**r, "source": "drums", "value": 100.0} for r in records if r["system"] == "b"]
    assert summary.paired_difference(records + alone, "snr", "a", "b")[0] == mean  # a does not estimate drums
    with pytest.raises(ValueError, match="no song"):
        summary.paired_difference(records, "snr", "a", "c")


def test_clips_show_the_median_song_at_one_gain(test_set):
    experiments.run(test_set, ["mixture"])
    index = results.read(clips.write_clips(test_set, "mixture", "mixture again"))
    assert index["config"]["song"] == clips.typical_song(test_set, "mixture")
    assert list(index["rows"]) == ["mixture", *SOURCES]
    folder = results.RESULTS / "audio" / test_set
    assert clips.write_clips(test_set, "mixture", "mixture again") is None  # current
    (folder / "mixture-true.mp3").write_bytes(b"damaged")
    assert clips.write_clips(test_set, "mixture", "mixture again")
    assert sorted(p.name for p in folder.glob("*.mp3")) == sorted(
        f for row in index["rows"].values() for f in row.values()
    )


def test_an_absent_test_set_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(experiments.TEST_SETS, "same_artist", (tmp_path / "none", "test", SOURCES, 16000, True))
    assert experiments.main(["--test-sets", "same_artist", "--systems", "mixture"]) == 2
    assert "make dataset" in capsys.readouterr().err


def test_every_system_says_what_it_is():
    assert all(system.__doc__ for system in SYSTEMS.values())
