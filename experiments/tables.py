"""What the tables and figures of results show: rows and points, read from result files, named by the catalogue.

The functions named after a table return the arguments of `display.table`, rows, caption and digits; `display` shows
them under the same name.
"""

from contextlib import suppress

from audio_processing.tracks import SOURCES
from common import results
from common.places import HERE
from experiments import statistics, values
from experiments.catalogue import METRICS, SYSTEMS, TEST_SETS, label, others

NOT_COMPUTED = "not computed"


def _label_of(test_set):
    return f"{TEST_SETS[test_set].label} ({test_set})" if test_set in TEST_SETS else test_set


def _scored(test_set, metric, systems):
    """System → `values.score`, of those that have the metric, other programs' stems last; an error if none has."""
    there = statistics.scored_systems(test_set)
    asked = [name for name in systems or there if name in there] or systems or []
    asked = list(dict.fromkeys([*asked, *others(test_set)]))
    rows = {name: row for name in asked if "mean" in (row := values.score.row(test_set, name, metric))}
    if not rows:
        raise results.ResultsError(f"results/scores/{test_set}-*.json: no {metric} in any; `make results` writes them")
    return rows


def scores(test_set, metric="si_sdr", systems=None):
    """The scores of systems on a test set, averaged over songs: one row per system, a column per source; a system that
    was not scored has a row that says so."""
    scored, metric = _scored(test_set, metric, systems), METRICS[metric]
    sources = [source for source in (*SOURCES, "mean") if any(source in row for row in scored.values())]
    rows = [{"system": label(name)} | {source: row.get(source) for source in sources} for name, row in scored.items()]
    for row in rows:
        if None in row.values():
            row["mean"] = None  # a mean of some sources would mislead beside a mean of all
    rows += [{"system": f"{label(name)}: {NOT_COMPUTED}"} for name in systems or [] if name not in scored]
    return {
        "rows": rows,
        "columns": ["system", *sources],
        "caption": _caption_of_scores(test_set, metric, scored),
        "digits": metric.digits,
    }


def _caption_of_scores(test_set, metric, scored):
    songs = max(row["songs"] for row in scored.values())
    over = f"{metric.average} over {songs} songs" if songs > 1 else "one song"
    unit = f" in {metric.unit}" if metric.unit in ("dB", "cents", "Hz") else f" ({metric.unit})"
    caption = f"{metric.label}{unit.replace('0-1', 'from 0 to 1')} on {_label_of(test_set)}, {over}"
    oracles = [SYSTEMS[name] for name in scored if name in SYSTEMS and SYSTEMS[name].kind == "oracle"]
    if oracles and metric.needs in ("samples", "filters"):
        wide = test_set in TEST_SETS and TEST_SETS[test_set].sample_rate > 16000
        caption += f"; STFT of the oracles: {'2048/512' if wide else '1024/256'}"
        if any("4096/128" in oracle.description for oracle in oracles):
            caption += ", 4096/128 with the window of the DDSP masks"
    if absent := statistics.not_defined(test_set, scored, metric.name):
        caption += f"; of {absent} stems it is not defined, and they are left out"
    return caption


def overview(test_set, systems, metrics):
    """Several metrics of several systems side by side: one row per system, a column per metric, means over the
    sources."""
    metrics = [METRICS[name] for name in metrics]
    rows = [
        {"system": label(system)}
        | {metric.short: values.score.row(test_set, system, metric.name).get("mean") for metric in metrics}
        for system in dict.fromkeys([*systems, *others(test_set)])
    ]
    digits = {"system": 0} | {metric.short: metric.digits for metric in metrics}
    return {"rows": rows, "caption": f"Means over the stems, on {_label_of(test_set)}", "digits": digits}


def facts(test_set, systems=None):
    """How large systems are and what they cost: one row each, with the time that training and separation take."""
    there = statistics.scored_systems(test_set)
    rows = [
        {"system": f"{label(system)}: {NOT_COMPUTED}"} if there and system not in there else _facts(test_set, system)
        for system in systems or there
    ]
    return {
        "rows": rows,
        "caption": "Parameters that were learnt, decoders included; music and time of training, with those of the "
        "networks that it went on from; time of separating",
        "digits": dict.fromkeys(rows[0], 2) | {"minutes of music": 0, "minutes of training": 0},
    }


def _facts(test_set, system):
    row = values.facts.row(test_set, system)
    seconds = row.get("training_seconds")
    return {
        "system": label(system),
        "parameters": row.get("parameters"),
        "minutes of music": row.get("training_minutes"),
        "minutes of training": None if seconds is None else seconds / 60,
        "separation, s per s": row["realtime"],
    }


def comparisons():
    """Paired differences between systems, song by song, and the differences that were aimed at: one row per comparison
    of `statistics.COMPARISONS`, one that was not scored has a row that says so; and one per row of other programs'
    stems, with the best separator."""
    rows = [(test_set, name) for test_set in TEST_SETS for name in others(test_set)]
    best = [(*row, statistics.best_separator(*row), None, None) for row in rows]
    return {
        "rows": [_comparison(*row) for row in [*statistics.COMPARISONS, *(row for row in best if row[2])]],
        "caption": "Paired differences in SI-SDR, song by song, with their 95 % interval by bootstrap over songs; "
        "on how many songs the first is ahead; and what is asked of the mean",
    }


def _comparison(test_set, system, other, source, asked):
    row = {"songs of": test_set, "system": label(system), "compared with": label(other), "stem": source or "all"}
    wanted = "" if asked is None else f"{asked:+.0f} or more" if asked else "0 or more"
    ahead, interval, songs = NOT_COMPUTED, "", ""
    with suppress(results.ResultsError):
        found = statistics.compared(test_set, system, other, source, asked)
        wanted += {None: "", True: ": reached", False: ": not reached"}[found["reached"]]
        interval = "one song" if found["low"] is None else f"{found['low']:+.1f} to {found['high']:+.1f}"
        ahead, songs = f"{found['mean']:+.1f}", f"{found['ahead']} of {found['songs']}"
    measured = {"ahead (dB)": ahead, "95 %": interval, "songs": songs, "asked": wanted}
    return row | {name: words.replace("-", "−") for name, words in measured.items()}


def other_stems(test_set, name):
    """The scores of other programs' stems beside the best separator of the catalogue: one row per stem, with the paired
    difference in SI-SDR, its 95 % interval, and on how many songs the other program is ahead."""
    records, best = statistics.read_scores(test_set, [name]), statistics.best_separator(test_set, name)
    scored = {metric: statistics.averages(records, metric) for metric in ("si_sdr", "sdr")}
    rows = []
    for source in [*dict.fromkeys(record["source"] for record in records), None]:
        row = {"stem": source or "mean"}
        row |= {METRICS[metric].short: means.get((name, source or "mean")) for metric, means in scored.items()}
        found = _comparison(test_set, name, best, source, None) if best else {}
        rows.append(row | {column: found[column] for column in ("ahead (dB)", "95 %", "songs") if found})
    beside = f"ahead of {label(best)}, the best separator of the course" if best else "no separator was scored on them"
    return {"rows": rows, "caption": f"{label(name)} on {_label_of(test_set)}; SI-SDR: {beside}", "digits": 1}


def computed(studies):
    """The same list; an error if it is empty."""
    if not studies:
        raise results.ResultsError("results/studies: not computed; `python -m experiments.studies` writes them")
    return studies


def studies():
    """One row per training of `experiments.studies`."""
    rows = [
        {
            "model": label(p["model"]),
            "size": p["size"] + (", trained for longer" if p["long"] else ""),
            "parameters": p["parameters"],
            "minutes of music": p["minutes"],
            "seed": p["seed"],
            "steps": p["steps"],
            "best at": p["best_step"],
            "ended by": p["ended_by"],
            "minutes of training": p["training_seconds"] / 60,
            "its artist (dB)": p["si_sdr"],
            "others (dB)": p.get("si_sdr@other_artist"),
        }
        for p in computed(statistics.study_points())
    ]
    return {
        "rows": rows,
        "caption": "Trainings (minutes of wall-clock time on a shared machine; refined masks: without the base "
        "separator's training), and SI-SDR on new songs of the training artist (same_artist) and of others "
        "(other_artist)",
        "digits": 1,
    }


SEED_BY_SEED = {
    "bass within 50 cents": ("raw_pitch_accuracy", "bass", 2),
    "vocals within 50 cents": ("raw_pitch_accuracy", "vocals", 2),
    "f0 L1, voiced (Hz)": ("f0_l1_hz", "mean", 0),
    "f0 L1, all frames (Hz)": ("f0_l1_hz@all", "mean", 0),
    "loudness L1 (dB)": ("loudness_l1", "mean", 1),
    "SI-SDR (dB)": ("si_sdr", "mean", 1),
}
"""Columns of `ablations`: metric, source and digits."""
MEANS = {"frames within 50 cents": ("raw_pitch_accuracy", "mean", 2)} | {
    name: SEED_BY_SEED[name] for name in ("f0 L1, voiced (Hz)", "loudness L1 (dB)", "SI-SDR (dB)")
}


def ablations(each_seed=False):
    """The variants of the DDSP separator (`ddsp_models.separation.ablations`), from the earlier report's to ours: one
    row each, with means over seeds; `each_seed`: the values of every seed, in more columns."""
    content = results.read(HERE.results / "ablations-separator.json")
    columns = SEED_BY_SEED if each_seed else MEANS
    seeds = sorted({record["seed"] for record in content["records"]}) if each_seed else [None]
    groups = [[record for record in content["records"] if seed in (None, record["seed"])] for seed in seeds]
    averages = [{metric: statistics.averages(group, metric) for metric, _, _ in columns.values()} for group in groups]
    rows = []
    for variant, about in content["variants"].items():
        row = {"each with one change more": variant} | ({"weights": about["parameters"]} if each_seed else {})
        for name, (metric, source, digits) in columns.items():
            found = [average[metric][variant, source] for average in averages]
            row[name] = " / ".join(f"{x:.{digits}f}".replace("-", "−") for x in found) if each_seed else found[0]
        rows.append(row)
    shown = "each seed" if each_seed else f"means of {content['seed']} seeds"
    return {
        "rows": rows,
        "caption": f"{content['config']['steps']} steps each, on the validation songs; {shown}",
        "digits": dict.fromkeys(rows[0], 0) | {name: digits for name, (_, _, digits) in columns.items()},
    }


def benchmarks(names):
    """What `python -m benchmarks` measured, our time and the peer's: one row per benchmark.

    Parameters
    ----------
    names : list of (str, str)
        benchmark, and what its row calls it.
    """
    rows = []
    for name, words in names:
        record = statistics.benchmark(name)
        unit, scale = ("ms", 1e3) if record["ours_s"] < 2 else ("s", 1)
        rows.append({
            "": words,
            "ours": f"{scale * record['ours_s']:.3g}\N{NO-BREAK SPACE}{unit}",
            "compared with": record["peer"],
            "its time": f"{scale * record['peer_s']:.4g}\N{NO-BREAK SPACE}{unit}",
            "times as fast": record["ratio"],
        })  # fmt: skip
    where = results.read(HERE.results / "benchmarks.json")["environment"]
    return {
        "rows": rows,
        "caption": "Medians of one run in which both took turns; "
        f"{where['platform']}, {where['cores']} processor cores",
        "digits": 1,
    }


# --- points of figures ------------------------------------------------------------------------------------------------


def score_bars(test_set, metric, systems):
    """Songs' scores by system and source with their average and, of means, its 95 % interval: a list of dict."""
    bars = []
    for system, row in _scored(test_set, metric, systems).items():
        records = [r for r in statistics.read_scores(test_set, [system]) if r["system"] == system]
        for source in [name for name in SOURCES if name in row]:
            songs = [r["value"] for r in records if (r["metric"], r["source"]) == (metric, source)]
            several = METRICS[metric].average == "mean" and len(songs) > 1
            bars.append({
                "system": system,
                "source": source,
                "values": songs,
                "average": row[source],
                "interval": statistics.bootstrap_interval(songs) if several else None,
            })  # fmt: skip
    return bars


def costs(test_set, systems):
    """Parameters and mean SI-SDR of the systems that were scored on all stems: a list of dict."""
    scored = _scored(test_set, "si_sdr", ["mixture", *systems])
    stems = scored.pop("mixture").keys()
    parameters = {name: values.facts.row(test_set, name).get("parameters") for name in scored}
    points = [
        {"system": name, "parameters": parameters[name], "value": row["mean"]}
        for name, row in scored.items()
        if parameters[name] and row.keys() == stems
    ]
    if not points:
        raise results.ResultsError(f"results/scores/{test_set}-*.json: no network was scored; `make results` does")
    return points
