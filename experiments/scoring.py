"""Scores of one system on one song: separate it, compare the estimates with the true stems, count what is undefined."""

import time
from collections import Counter
from functools import partial

import numpy as np

from common.files import sha256_of
from experiments.catalogue import METRICS
from experiments.scores import score_frames
from experiments.systems import estimates


def computed(test_set, system):
    """Which metrics are computed for a system on a test set, by what they need (`catalogue.Metric`)."""
    needs = {"samples", "filters"} if test_set.filters else {"samples"}
    return needs | ({"features", "f0", "crepe"} if test_set.features and system.features else set())


def score_song(song, system, test_set, targets=None):
    """Score one system on one song.

    Parameters
    ----------
    song : audio_processing.tracks.Track or RecordedSong
    system : separate.System
    test_set : experiments.catalogue.TestSet
    targets : Path, optional
        a folder for the f0 of true stems, which is the same for all systems.

    Returns
    -------
    dict
        "records"; "seconds" that separating took; "audio_seconds", the song's length; "dropped" frames, those that sdr
        could not count; "silent", the sources whose true stem is silent, which are not scored; "absent", how many
        scores of each metric are not defined for this song's other stems; "frames", what `scores.write_museval` writes.
    """
    rate, needs = test_set.sample_rate, computed(test_set, system)
    stems = song.stems(rate, test_set.mono, test_set.sources)
    mixture = sum(stems.values())
    annotations = song.annotations() if "features" in needs or system.true_f0_of else {}
    start = time.perf_counter()
    estimated = estimates(system, mixture, stems, rate, annotations)
    seconds = time.perf_counter() - start
    if "rest" in estimated:  # drums against everything else
        stems = {**stems, "rest": mixture - stems["drums"]}
    records, dropped, frames = score_frames(stems, estimated, rate, filters=test_set.filters)
    available = dict.fromkeys(stems, needs & {"samples", "filters"})
    if "features" in needs:
        from experiments import feature_scores  # with Keras, which the other scores do not need

        keep = targets and partial(feature_scores.target_path, targets, sha256_of(*song.files()))
        named = {source: stem for source, stem in stems.items() if source != "rest"}
        records += feature_scores.score_features(named, estimated, annotations, keep)
        available |= {source: available[source] | feature_scores.available(source) for source in named}
    scored = [source for source in stems if source in estimated]
    sounding = [source for source in scored if np.any(stems[source])]
    expected = Counter(metric.name for s in sounding for metric in METRICS.values() if metric.needs in available[s])
    return {
        "records": [{"track": song.name, "system": system.name, **record} for record in records],
        "seconds": seconds,
        "audio_seconds": mixture.shape[-1] / rate,
        "dropped": dropped,
        "silent": [source for source in scored if source not in sounding],
        "absent": expected - Counter(record["metric"] for record in records),
        "frames": frames,
    }


def summary(scored):
    """Facts about a run from those about its songs.

    Parameters
    ----------
    scored : list of dict
        as returned by `score_song`.

    Returns
    -------
    dict
        "separation_seconds" of all songs; "realtime", the median over songs of seconds of separation per second of
        music (loading and compiling in the first song do not count); "songs"; "dropped_frames"; "silent_stems", which
        were not scored, by source; "absent", scores that are not defined, by metric.
    """
    return {
        "separation_seconds": round(sum(song["seconds"] for song in scored), 3),
        "realtime": round(float(np.median([song["seconds"] / song["audio_seconds"] for song in scored])), 5),
        "songs": len(scored),
        "dropped_frames": sum(song["dropped"] for song in scored),
        "silent_stems": dict(Counter(source for song in scored for source in song["silent"])),
        "absent": dict(sum((Counter(song["absent"]) for song in scored), Counter())),
    }
