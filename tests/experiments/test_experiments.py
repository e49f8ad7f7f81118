import json
import math
import os
import signal
import threading
import time

import numpy as np
import pytest

from audio_processing import recorded_song
from audio_processing.audio_processing import save
from common import results
from experiments import __main__ as experiments
from experiments import clips, feature_scores, provenance, statistics
from experiments.scores import score_frames, score_track
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
    monkeypatch.setattr(experiments, "TARGETS", tmp_path / "targets")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    return "tiny"


def assert_alike(records, expected):
    """The same records in the same order, values up to what the order of a sum on several threads changes."""
    assert [{**r, "value": None} for r in records] == [{**r, "value": None} for r in expected]
    np.testing.assert_allclose([r["value"] for r in records], [r["value"] for r in expected], rtol=1e-6)


def test_the_ceiling_is_above_the_floor_and_files_follow_the_schema(test_set):
    written = experiments.run(test_set, ["mixture", "irm"])
    assert [path.name for path in written] == ["tiny-mixture.json", "tiny-irm.json"]
    records = statistics.read_scores(test_set, ["mixture", "irm"])
    assert len([r for r in records if r["metric"] in ("si_sdr", "snr", "sdr")]) == 2 * 2 * 3 * 3
    for metric in ("si_sdr", "snr", "sdr"):
        averages = statistics.averages(records, metric)
        assert all(averages["irm", source] > averages["mixture", source] + 3 for source in SOURCES)
    content = results.read(written[1])
    assert content["config"]["sources"] == list(SOURCES) and content["data"] and content["seconds"] > 0


def test_what_is_current_is_skipped_and_an_edited_value_is_restored(test_set):
    path = experiments.run(test_set, ["mixture"])[0]
    assert experiments.run(test_set, ["mixture"]) == []
    value = results.read(path)["records"][0]["value"]
    path.write_text(path.read_text().replace(repr(value), repr(value + 1)))
    with pytest.raises(results.ResultsError):
        statistics.read_scores(test_set, ["mixture"])
    assert experiments.run(test_set, ["mixture"]) == [path]
    assert results.read(path)["records"][0]["value"] == value


def test_what_a_run_left_that_was_killed_at_its_very_end_is_cleared_away(test_set, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(experiments.shutil, "rmtree", lambda *_, **__: None)
        experiments.run(test_set, ["mixture"])
    assert list(experiments.UNFINISHED.iterdir())
    assert experiments.run(test_set, ["mixture"]) == [] and not list(experiments.UNFINISHED.iterdir())


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
        killed.append(len(list(experiments.UNFINISHED.rglob("*.json"))))

    killed = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        thread = threading.Thread(target=kill_one, args=(cluster, killed), daemon=True)
        thread.start()
        path = experiments.run("tiny", ["hps"], cluster=cluster.scheduler_address, force=True)[0]
        thread.join(10)
    assert killed and 1 <= killed[0] < 6  # midway: some songs were done, and others not
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


def test_a_frame_in_which_a_stem_is_silent_says_nothing_of_interference():
    rng = np.random.default_rng(0)
    stems = {source: rng.standard_normal(3 * 16000) for source in ("drums", "bass")}
    estimates = {"drums": stems["drums"] + 0.1 * stems["bass"], "bass": stems["bass"] + 0.1 * stems["drums"]}
    _, _, before = score_frames(stems, estimates, 16000, filters=True)
    stems["bass"][16000:32000] = 0.0
    estimates["bass"][16000:32000] = 0.1 * stems["drums"][16000:32000]
    records, dropped, frames = score_frames(stems, estimates, 16000, filters=True)
    assert dropped == 1 and np.isnan(frames["bass"]["SIR"][1]) and np.isnan(frames["drums"]["SAR"][1])
    assert np.isfinite(before["bass"]["SIR"]).all()
    values = {(r["source"], r["metric"]): r["value"] for r in records}
    assert values["bass", "sir"] == pytest.approx(20, abs=1.5)


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


def tone(hertz, seconds, rate):
    n = np.arange(int(seconds * rate)) / rate
    return sum(0.1 / k * np.sin(2 * np.pi * k * hertz * n) for k in range(1, 4)).astype(np.float32)


STRANGE = {
    "all silent": {},
    "no drums": {"bass": 55.0, "vocals": 220.0},
    "three voices": {"drums": 196.0, "bass": 247.0, "vocals": 330.0},
}
"""Songs that no band plays: source → Hz; the other sources are silent."""


def test_strange_songs_have_defined_results(test_set, tmp_path, monkeypatch):
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))  # none: pYIN stands in
    feature_scores.crepe_network.cache_clear(), feature_scores.crepe_path.cache_clear()
    monkeypatch.setattr(experiments, "FEATURES_ON", ("tiny",))
    for name, playing in STRANGE.items():
        stems = {s: tone(playing[s], 1.0, 16000) if s in playing else np.zeros(16000, np.float32) for s in SOURCES}
        for part, audio in {**stems, "mixture": sum(stems.values())}.items():
            save(tmp_path / "strange" / "test" / name / f"{part}.wav", audio, 16000)
    monkeypatch.setitem(experiments.TEST_SETS, "tiny", (tmp_path / "strange", "test", SOURCES, 16000, True))
    for path in experiments.run(test_set, ["irm", "hps"]):
        content = results.read(path)  # `results.write` refuses what is not finite
        scored = {(r["track"], r["source"]) for r in content["records"] if r["metric"] == "snr"}
        alone = content["config"]["system"] == "hps"  # drums and the rest
        assert not any(track == "all silent" for track, _ in scored)
        assert ("no drums", "drums") not in scored and ("three voices", "drums") in scored
        assert content["silent_stems"] == ({"drums": 2, "rest": 1} if alone else {"drums": 2, "bass": 1, "vocals": 1})
        assert content["songs"] == 3 and all(count > 0 for count in content["absent"].values())
        features = {r["metric"] for r in content["records"] if r["source"] == "vocals"}
        assert alone or ({"f0_l1_cents", "loudness_l1", "spectral_loss"} <= features and "crepe_bce" not in features)
    feature_scores.crepe_network.cache_clear(), feature_scores.crepe_path.cache_clear()


def test_a_song_of_more_than_an_hour_is_scored_to_its_end(test_set, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "FILTERS_UP_TO", 0)  # minutes of computing
    rate, seconds = 1000, 3700
    rng = np.random.default_rng(0)
    stems = {s: (0.1 * rng.standard_normal(rate * seconds)).astype(np.float32) for s in SOURCES}
    for part, audio in {**stems, "mixture": sum(stems.values())}.items():
        save(tmp_path / "long" / "test" / "an hour" / f"{part}.wav", audio, rate)
    monkeypatch.setitem(experiments.TEST_SETS, "tiny", (tmp_path / "long", "test", SOURCES, rate, True))
    song = experiments.songs_of("tiny")[0]
    scored = experiments.score_song(song, "irm", SOURCES, rate, True)
    assert scored["audio_seconds"] == seconds and scored["dropped"] == 0 and not scored["absent"]
    assert all(np.isfinite(record["value"]) for record in scored["records"]) and len(scored["records"]) == 9


def test_scores_that_are_not_defined_are_counted():
    song = {"seconds": 1.0, "audio_seconds": 10.0, "dropped": 2, "silent": ["bass"], "absent": {"sar": 1}}
    other = {"seconds": 9.0, "audio_seconds": 10.0, "dropped": 0, "silent": [], "absent": {"sar": 2, "sir": 1}}
    told = experiments.told_of([song, song, other])
    assert told["absent"] == {"sar": 4, "sir": 1} and told["silent_stems"] == {"bass": 2}
    assert told["realtime"] == 0.1 and told["separation_seconds"] == 11.0  # the middle song, not the one that compiled


def test_changed_weights_make_a_score_stale_and_missing_ones_leave_a_system_out(
    test_set, tmp_path, monkeypatch, capsys
):
    weights = tmp_path / "net.keras"
    weights.write_bytes(b"one")
    weights.with_suffix(".json").write_text('{"weights": 1234, "seconds": 60.5, "training": {"minutes": 3.0}}')
    monkeypatch.setitem(provenance.WEIGHTS, "mixture", (weights,))
    path = experiments.run(test_set, ["mixture"])[0]
    content = results.read(path)
    assert content["network"] == {"parameters": 1234, "training_minutes": 3.0, "training_seconds": 60.5}
    assert experiments.run(test_set, ["mixture"]) == []
    weights.write_bytes(b"two")
    assert experiments.run(test_set, ["mixture"]) == [path]
    weights.unlink()
    monkeypatch.setattr(experiments, "systems_of", lambda name: ["mixture"])
    assert experiments.run(test_set) == [] and "net.keras" in capsys.readouterr().err
    with pytest.raises(ValueError, match="net.keras"):
        experiments.run(test_set, ["mixture"])


def test_training_time_counts_what_a_network_began_with_once(tmp_path, monkeypatch):
    records = {
        "separator-old": {"weights": 10, "seconds": 100.0, "training": {}},
        "separator-new": {"weights": 10, "seconds": 20.0, "training": {"minutes": 1.0, "start_from": "old"}},
        "player": {"weights": 5, "seconds": 3.0, "training": {"minutes": 2.0, "start": "played-before"}},
        "newer": {"weights": 5, "seconds": 7.0, "training": {"minutes": 2.0, "start": "player"}},
    }
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    paths = tuple(tmp_path / f"{name}.keras" for name in ("separator-new", "player", "newer"))
    monkeypatch.setitem(provenance.WEIGHTS, "tiny", paths)
    assert provenance.facts("tiny") == {"parameters": 20, "training_minutes": 2.0, "training_seconds": 130.0}


def test_every_trained_system_has_a_row_of_weights():
    untrained = {"hps", *experiments.CEILINGS}
    assert set(SYSTEMS) - untrained <= set(provenance.WEIGHTS)


def test_what_was_made_for_one_song_is_not_tried_on_others(monkeypatch):
    for name in ("conv_tasnet@air_traffic", "musdb"):
        monkeypatch.setitem(SYSTEMS, name, SYSTEMS["mixture"])
    assert "musdb" in experiments.systems_of("musdb18_7s") and "conv_tasnet" not in experiments.systems_of("musdb18_7s")
    assert "conv_tasnet@air_traffic" in experiments.systems_of("air_traffic")
    assert "musdb" not in experiments.systems_of("air_traffic")
    assert not {"musdb", "conv_tasnet@air_traffic"} & set(experiments.systems_of("same_artist"))


def test_the_true_pitch_of_a_song_that_knows_none_is_asked_for_by_name():
    with pytest.raises(ValueError, match="annotations: f0_bass expected by ddsp_masked@refined"):
        SYSTEMS["ddsp_masked@refined_true_f0"](np.zeros(16000, np.float32), {}, 16000, {})


def test_the_recorded_song_begins_where_training_ended(tmp_path):
    seconds = 121.5
    for source in SOURCES:
        save(tmp_path / f"{source}.wav", tone(100.0, seconds, 1000), 1000)
    song = recorded_song.RecordedSong(tmp_path)
    stems = song.stems(1000, sources=SOURCES)
    assert list(stems) == list(SOURCES) and all(stem.shape == (1500,) for stem in stems.values())
    with pytest.raises(FileNotFoundError, match="other"):
        song.stems(1000)
    assert song.annotations() == {} and len(song.files()) == 3


def test_paired_difference_and_its_interval():
    records = [
        {"track": str(i), "system": system, "source": "bass", "metric": "snr", "value": i + shift}
        for i in range(20)
        for system, shift in (("a", 1.0 + 0.1 * (i % 2)), ("b", 0.0))
    ]
    mean, (low, high), songs = statistics.paired_difference(records, "snr", "a", "b")
    assert mean == pytest.approx(1.05) and 1.0 <= low < mean < high <= 1.1 and songs == 20
    alone = [{**r, "source": "drums", "value": 100.0} for r in records if r["system"] == "b"]
    assert statistics.paired_difference(records + alone, "snr", "a", "b")[0] == mean  # a does not estimate drums
    with pytest.raises(ValueError, match="no song"):
        statistics.paired_difference(records, "snr", "a", "c")


def test_clips_show_the_median_song_at_one_gain(test_set):
    experiments.run(test_set, ["mixture"])
    index = results.read(clips.write_clips(test_set, {"mixture": "mixture again"}))
    assert index["config"]["song"] == clips.typical_song(test_set, "mixture")
    assert list(index["rows"]) == ["mixture", *SOURCES]
    folder = results.RESULTS / "audio" / test_set
    assert clips.write_clips(test_set, {"mixture": "mixture again"}) is None  # current
    (folder / "mixture-true.mp3").write_bytes(b"damaged")
    assert clips.write_clips(test_set, {"mixture": "mixture again"})
    assert sorted(p.name for p in folder.glob("*.mp3")) == sorted(
        f for row in index["rows"].values() for f in row.values()
    )


def test_an_absent_test_set_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(experiments.TEST_SETS, "same_artist", (tmp_path / "none", "test", SOURCES, 16000, True))
    assert experiments.main(["--test-sets", "same_artist", "--systems", "mixture"]) == 2
    assert "make dataset" in capsys.readouterr().err


def test_every_system_says_what_it_is():
    assert all(system.__doc__ for system in SYSTEMS.values())
