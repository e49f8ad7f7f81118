"""Runs: what is up to date is kept, what was stopped goes on, in processes and on a cluster as in one process."""

import itertools
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from audio_processing.audio_processing import AudioError, load, save
from audio_processing.tracks import TRIO
from common import results
from common.places import HERE
from experiments import provenance, run, scores, statistics, systems
from experiments.catalogue import SYSTEMS, TEST_SETS
from experiments.run import Options
from tests.helpers import make_tree, noise, one_line, refused, run_module, save_song, tone

ONE_BY_ONE, FORCE = Options(), Options(force=True)


def score(test_set, *names, options=ONE_BY_ONE):
    return run.run(test_set, [SYSTEMS[name] for name in names], options)


def unfinished():
    return list((HERE.runs / "scores").rglob("*.json"))


def assert_alike(records, expected):
    """The same records in the same order, values up to what the order of a sum on several threads changes."""
    assert [{**r, "value": None} for r in records] == [{**r, "value": None} for r in expected]
    np.testing.assert_allclose([r["value"] for r in records], [r["value"] for r in expected], rtol=1e-6)


def test_oracle_is_above_the_mixture_and_files_follow_the_schema(tiny):
    written = score(tiny, "mixture", "irm")
    assert written == [results.score_path("tiny", name) for name in ("mixture", "irm")]
    records = statistics.read_scores("tiny", ["mixture", "irm"])
    assert len(records) == 2 * 2 * 3 * 3  # systems, songs, sources, metrics
    for metric in ("si_sdr", "snr", "sdr"):
        averages = statistics.averages(records, metric)
        assert all(averages["irm", source] > averages["mixture", source] + 3 for source in TRIO)
    content = results.read(written[1])
    assert content["config"]["sources"] == list(TRIO) and content["data"] and content["seconds"] > 0


def test_what_is_up_to_date_is_skipped_and_an_edited_value_is_restored(tiny):
    (path,) = score(tiny, "mixture")
    assert score(tiny, "mixture") == []
    value = results.read(path)["records"][0]["value"]
    path.write_text(path.read_text().replace(repr(value), repr(value + 1)))
    refused("checksum", statistics.read_scores, "tiny", ["mixture"], error=results.ResultsError)
    assert score(tiny, "mixture") == [path]
    assert results.read(path)["records"][0]["value"] == value


def test_what_a_run_left_that_was_killed_at_its_very_end_is_cleared_away(tiny, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run.shutil, "rmtree", lambda *_, **__: None)
        score(tiny, "mixture")
    assert unfinished()
    assert score(tiny, "mixture") == [] and not unfinished()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e11])
def test_a_song_with_samples_that_are_not_finite_is_named_and_left_out_or_stops_the_run(tiny, value, capsys):
    bad, good = tiny.songs()
    sound, rate = load(bad.path / "bass.wav")
    sound[:, 100:200] = value
    save(bad.path / "bass.wav", sound, rate)
    refused(f"{bad.name}/bass.wav: holds NaN or infinite", score, tiny, "mixture", error=AudioError)
    (path,) = score(tiny, "mixture", options=replace(ONE_BY_ONE, on_error="skip"))
    content = results.read(path)
    assert list(content["left_out"]) == [bad.name] and {r["track"] for r in content["records"]} == {good.name}
    assert f"tiny: {bad.name} is left out: {bad.name}/bass.wav: holds" in capsys.readouterr().err


def test_processes_give_the_same_scores_as_one(tiny):
    alone = results.read(score(tiny, "irm")[0])["records"]
    together = results.read(score(tiny, "irm", options=replace(FORCE, jobs=2))[0])["records"]
    assert_alike(together, alone)


def test_a_stopped_run_goes_on_after_the_songs_that_are_done(tiny, monkeypatch):
    done, separate = [], systems.estimates

    def stop_at_the_second(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(arguments)
        return separate(*arguments)

    monkeypatch.setattr(systems, "estimates", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        score(tiny, "irm")
    assert not (HERE.results / "scores").exists() and len(unfinished()) == 1
    rest = []
    monkeypatch.setattr(systems, "estimates", lambda *arguments: rest.append(arguments) or separate(*arguments))
    resumed = results.read(score(tiny, "irm")[0])["records"]
    assert len(rest) == 1 and not np.array_equal(rest[0][1], done[0][1]) and not unfinished()
    assert_alike(resumed, results.read(score(tiny, "irm", options=FORCE)[0])["records"])


@pytest.mark.slow
def test_a_dask_cluster_finishes_what_a_killed_worker_began(tiny):
    distributed = pytest.importorskip("distributed", reason="the package `distributed` is not installed")
    six = replace(tiny, root=make_tree(HERE.root / "six", subset="test", songs=6, seconds=4.0), filters=True)
    alone = results.read(score(six, "hps")[0])["records"]

    def kill_one(cluster, killed):
        while not unfinished():
            time.sleep(0.02)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        killed.append(len(unfinished()))

    killed = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        thread = threading.Thread(target=kill_one, args=(cluster, killed), daemon=True)
        thread.start()
        (path,) = score(six, "hps", options=replace(FORCE, cluster=cluster.scheduler_address))
        thread.join(10)
    assert killed and 1 <= killed[0] < 6  # midway: some songs were done, and others not
    assert_alike(results.read(path)["records"], alone)  # nothing lost, nothing twice


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(tiny, capsys):
    pytest.importorskip("distributed", reason="the package `distributed` is not installed")
    options = ["--test-sets", "tiny", "--systems", "mixture", "--dask", "tcp://127.0.0.1:9"]
    assert run_module("experiments", *options) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err


def test_a_separator_of_drums_is_scored_on_the_rest_as_well(tiny):
    records = results.read(score(tiny, "hps")[0])["records"]
    assert sorted({r["source"] for r in records}) == ["drums", "rest"] and len(records) == 2 * 2 * 3


STRANGE = {
    "all silent": {},
    "no drums": {"bass": 55.0, "vocals": 220.0},
    "three voices": {"drums": 196.0, "bass": 247.0, "vocals": 330.0},
}
"""Songs that no band plays: source → Hz; the other sources are silent."""


@pytest.fixture
def strange(tiny, monkeypatch):
    """A test set of these songs, on which pitch, loudness and spectra are compared, without CREPE."""
    monkeypatch.setenv("CREPE_WEIGHTS", str(HERE.root))  # none: pYIN stands in
    root = HERE.root / "strange"
    for name, playing in STRANGE.items():
        stems = {s: 0.025 * tone(playing[s]) if s in playing else np.zeros(16000, np.float32) for s in TRIO}
        save_song(root / "test" / name, stems, 16000)
    return replace(tiny, root=root, features=True)


@pytest.mark.parametrize(
    "system, silent, metrics",
    [
        ("irm", {"drums": 2, "bass": 1, "vocals": 1}, {"f0_l1_cents", "loudness_l1", "spectral_loss"}),
        ("hps", {"drums": 2, "rest": 1}, set()),
    ],
)
def test_strange_songs_have_defined_results(strange, system, silent, metrics):
    content = results.read(score(strange, system)[0])  # `results.write` refuses what is not finite
    scored = {(r["track"], r["source"]) for r in content["records"] if r["metric"] == "snr"}
    assert {track for track, _ in scored} == {"no drums", "three voices"}
    assert ("no drums", "drums") not in scored and ("three voices", "drums") in scored
    assert content["silent_stems"] == silent and content["songs"] == 3
    assert all(count > 0 for count in content["absent"].values())
    found = {r["metric"] for r in content["records"] if r["source"] == "vocals"}
    assert metrics <= found and "crepe_bce" not in found


def test_a_song_of_more_than_an_hour_is_scored_to_its_end(tiny):
    rate, seconds = 1000, 3700
    stems = dict(zip(TRIO, 0.1 * noise(3, rate * seconds)))
    save_song(HERE.root / "long" / "test" / "an hour", stems, rate)
    test_set = replace(tiny, root=HERE.root / "long", sample_rate=rate)
    scored = scores.score_song(test_set.songs()[0], SYSTEMS["irm"], test_set)
    assert scored["audio_seconds"] == seconds and scored["dropped"] == 0 and not scored["absent"]
    assert all(np.isfinite(record["value"]) for record in scored["records"]) and len(scored["records"]) == 9


def test_scores_that_are_not_defined_are_counted():
    song = {"seconds": 1.0, "audio_seconds": 10.0, "dropped": 2, "silent": ["bass"], "absent": {"sar": 1}}
    other = {"seconds": 9.0, "audio_seconds": 10.0, "dropped": 0, "silent": [], "absent": {"sar": 2, "sir": 1}}
    facts = scores.summary([song, song, other])
    assert facts["absent"] == {"sar": 4, "sir": 1} and facts["silent_stems"] == {"bass": 2}
    assert facts["realtime"] == 0.1 and facts["separation_seconds"] == 11.0  # of the middle song


def test_changed_weights_make_a_score_stale_and_missing_ones_leave_a_system_out(tiny, capsys):
    weights = HERE.root / "net.keras"
    weights.write_bytes(b"one")
    weights.with_suffix(".json").write_text('{"weights": 1234, "seconds": 60.5, "training_minutes": 3.0}')
    trained = replace(SYSTEMS["mixture"], weights=(str(weights),), test_sets=("tiny",))
    (path,) = run.run(tiny, [trained])
    network = results.read(path)["network"]
    assert network == {"parameters": 1234, "training_minutes": 3.0, "training_seconds": 60.5}
    assert run.run(tiny, [trained]) == [] and run.by_default(tiny, trained)
    weights.write_bytes(b"two")
    assert run.run(tiny, [trained]) == [path]
    weights.unlink()
    assert not run.by_default(tiny, trained) and "net.keras" in capsys.readouterr().err
    refused("net.keras", run.run, tiny, [trained])


def test_the_true_f0_of_a_song_without_annotations_is_asked_for_by_name():
    refused(
        "annotations: expected f0_bass, got none",
        systems.estimates,
        SYSTEMS["ddsp_masked@refined_true_f0"],
        np.zeros(16000, np.float32),
        {},
        16000,
        {},
    )


def test_an_absent_test_set_is_named(elsewhere, capsys):
    for name, advice in (("same_artist", "make dataset"), ("air_traffic", "AIR_TRAFFIC_PATH")):
        assert run_module("experiments", "--test-sets", name, "--systems", "mixture") == 2
        assert advice in one_line(capsys)


def test_no_committed_score_is_out_of_date_because_of_a_row(monkeypatch, tmp_path):
    """The settings of the catalogue are those of the files; trackers alone depend on the machine."""
    monkeypatch.setenv("CREPE_WEIGHTS", str(tmp_path))
    rows = itertools.product(TEST_SETS.values(), SYSTEMS.values())
    scored = [row for row in rows if results.score_path(*(each.name for each in row)).exists()]
    assert len(scored) > 100
    for test_set, system in scored:
        content, config = results.read(results.score_path(test_set.name, system.name)), run.settings(test_set, system)
        if "listeners" in config:
            config["listeners"] = content["config"]["listeners"]
        assert content["config"] == config, content["name"]
        assert content["network"] == provenance.facts(system) and content["excluded"] == test_set.excluded
