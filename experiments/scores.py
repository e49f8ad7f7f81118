"""Scores of one song: separate it, compare the estimates with the true stems, count what is not defined.

Notebook: experiments/experiments_report.ipynb
"""

import math
import time
from collections import Counter
from functools import partial

import museval
import numpy as np

from audio_processing.metrics import frame_sdr
from common.files import atomic_path, sha256_of
from experiments import systems
from experiments.catalogue import METRICS

FRAMES = ("SDR", "ISR", "SIR", "SAR")  # what museval stores of every frame
ROUNDING = 100.0  # decibels above which a ratio measures nothing but rounding: such values are left out
# Level of the noise that is added to every true stem before its filters are computed, relative to the stem: -60 dB.
NOISE = 1e-3


def score_track(stems, estimates, sample_rate, *, filters=False):
    """Compare estimates with the true stems.

    Parameters
    ----------
    stems, estimates : dict of np.ndarray
        true and estimated stems, (samples,) or (channels, samples). Sources without an estimate, and silent stems, are
        not scored.
    sample_rate : int
        in Hz.
    filters : bool
        whether sir and sar are computed, too, which takes a hundred times as long as the rest.

    Returns
    -------
    records : list of dict
        "source", "metric" (si_sdr, snr, sdr, sir, sar), "unit", "value"; values that are not finite are left out.
    dropped : int
        frames that `sdr` could not count because some stem or estimate is silent in them.

    See Also
    --------
    audio_processing.metrics : the formulas.
    experiments.feature_scores.score_features : loudness, pitch and spectra.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stems = {source: rng.standard_normal(8000) for source in ("drums", "bass")}
    >>> records, dropped = score_track(stems, {source: 0.5 * stem for source, stem in stems.items()}, 1000)
    >>> [f"{record['metric']} {record['value']:.2f} dB" for record in records if record["source"] == "bass"]
    ['snr 6.02 dB', 'sdr 6.02 dB']
    """
    return score_frames(stems, estimates, sample_rate, filters=filters)[:2]


def score_frames(stems, estimates, sample_rate, *, filters=False):
    """As `score_track`; returns what museval's files hold, too.

    Returns
    -------
    records : list of dict
    dropped : int
    frames : dict of dict of list of float
        source → SDR, ISR, SIR, SAR → one value per second in dB; NaN where a stem is silent or nothing was computed.
    """
    scored = [source for source in stems if source in estimates and np.any(stems[source])]
    if not scored:
        return [], 0, {}
    compute = {metric.name: metric.compute for metric in METRICS.values() if metric.compute}
    values = [(source, name, compute[name](stems[source], estimates[source])) for source in scored for name in compute]
    rows = frame_sdr([stems[s] for s in scored], [estimates[s] for s in scored], sample_rate)
    frames = {source: {name: [math.nan] * rows.shape[1] for name in FRAMES} for source in scored}
    # a frame counts if every stem sounds, estimated by this system or not: all systems are scored on the same frames
    sounding = [stem for stem in stems.values() if np.any(stem)]
    counted = ~np.isnan(rows).all(axis=0) & ~np.isnan(frame_sdr(sounding, sounding, sample_rate)).all(axis=0)
    for source, row in zip(scored, rows):
        frames[source]["SDR"] = row.tolist()
        values.append((source, "sdr", np.median(row[counted]) if counted.any() else np.nan))
    if filters and counted.any():
        for metric, rows in interference_and_artefacts(stems, estimates, scored, sample_rate).items():
            for source, row in zip(scored, rows):
                row = np.where(counted[: len(row)], row, np.nan)  # noise stands in for a silent stem there
                frames[source][metric.upper()] = row.tolist()
                value = np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan
                values.append((source, metric, value if value < ROUNDING else np.nan))
    records = [
        {"source": source, "metric": metric, "unit": METRICS[metric].unit, "value": float(value)}
        for source, metric, value in values
        if metric in METRICS and math.isfinite(value)  # isr stands in museval's files alone
    ]
    return records, int((~counted).sum()), frames


def write_museval(path, track, frames, made_of):
    """Write the scores of a track's frames as museval does, so that its own programs read them.

    Parameters
    ----------
    path : Path
    track : str
    frames : dict
        as returned by `score_frames`.
    made_of : str
        a checksum of settings and songs, kept in the file as "made_of": the same for all that belongs together.
    """
    store = museval.TrackStore(track)
    for source, values in frames.items():
        store.add_target(source, values)
    store.validate()
    store.scores["made_of"] = made_of
    with atomic_path(path) as temporary:
        store.save(temporary)


def interference_and_artefacts(stems, estimates, scored, sample_rate):
    """What is wrong with estimates, divided into other sources and everything else (museval, BSS Eval version 4).

    An estimate is projected onto the true stems, each through a filter of 512 taps: what the other stems explain is
    interference, what none explains artefact (Vincent et al. 2006, https://doi.org/10.1109/TSA.2005.858005). Each true
    stem gets white noise 60 dB below it: where no stem has any energy, such as next to the Nyquist frequency, the
    filters would otherwise be free to grow, and the division between the two measures would be rounding.

    Parameters
    ----------
    stems, estimates : dict of np.ndarray
    scored : list of str
        sources that are compared; the other stems count together as one more source.
    sample_rate : int

    Returns
    -------
    dict of np.ndarray
        "isr", "sir" and "sar", (sources, frames) in dB; where a stem is silent they compare with its noise.
    """
    rest = 0 if "rest" in scored else sum(stem for source, stem in stems.items() if source not in scored)
    others = [rest] if np.any(rest) else []  # its own estimate: others' scores do not change
    reference, estimate = (
        np.stack([np.atleast_2d(x).T for x in [*(of[name] for name in scored), *others]]).astype(np.float64)
        for of in (stems, estimates)
    )  # (sources, samples, channels)
    if reference.shape[1] < sample_rate:
        return {}
    noise = np.random.default_rng(0).standard_normal(reference.shape)
    reference = reference + NOISE * np.sqrt(np.mean(reference**2, axis=(1, 2), keepdims=True)) * noise
    _, isr, sir, sar, _ = museval.metrics.bss_eval(
        reference, estimate, window=sample_rate, hop=sample_rate, compute_permutation=False
    )
    return {name: rows[: len(scored)] for name, rows in (("isr", isr), ("sir", sir), ("sar", sar))}


# --- a system on a song ---------------------------------------------------------------------------------------------


def computed(test_set, system):
    """Which metrics are computed for a system on a test set, by what they need (`catalogue.Metric`)."""
    features = {"features", "f0", "crepe"} if test_set.features and system.features else set()
    return {"samples"} | ({"filters"} if test_set.filters else set()) | features


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
    estimated = systems.estimates(system, mixture, stems, rate, annotations)
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
