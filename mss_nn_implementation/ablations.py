"""Ablation of the training recipe: python -m mss_nn_implementation.ablations [--only NAME …] [--steps N] [--export]

Small Conv-TasNets, each trained with one thing changed and from two seeds, so that every difference stands beside the
spread of the seeds. A run that is up to date is not repeated; one that was stopped resumes from its last checkpoint.
With --export everything goes to results/ablations-conv_tasnet.json.

The networks of the virtual band's artist are scored by SI-SDR on new songs of that artist and on songs of others, those
of MUSDB18 (in the folder that MUSDB_PATH names) by the median of `sdr`, all in mono at the network's own 16 kHz.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections import namedtuple
from contextlib import suppress
from functools import lru_cache, partial

import numpy as np

from audio_processing.metrics import sdr, si_sdr
from audio_processing.tracks import EXCLUDED, SOURCES
from common import results
from common.checks import expect
from common.files import atomic_path, sha256_of
from common.places import HERE
from common.terminal import REFUSED, ended, note, reason
from mss_nn_implementation.convtas import ConvTasNetSeparator
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_songs, songs_of
from mss_nn_implementation.parameters import Parameters, Training
from mss_nn_implementation.train import MANY, ONE, REAL, network
from training import loop
from training.command import MUSDB, folder_of

SIZES = Parameters(N=128, L=64, B=48, H=96, P=3, X=6, R=2, Sc=48)
TRAINING = Training(seconds=1.5, optimizer="muon", learning_rate=2e-3, warmup=50, steps=1500, steps_per_epoch=150)
SEEDS = (0, 1)
SONG_SECONDS = 20  # of every song of the virtual band
OTHER_CROPS = 100  # added to the seed after initial weights, whose training has seen the crops of the seed itself
TESTS = {name: (name, "test") for name in ("same_artist", "other_artist")}
DATA = {
    # name: training songs, validation songs, test sets by name: see `training.command.Recipe`
    "band": (*ONE, TESTS),
    "long": (("one_artist_long", "train"), ONE[1], TESTS),
    "many": (*MANY, {}),
    "musdb": (*REAL, {"musdb18_7s": (MUSDB, "test")}),
}


class Ablation(
    namedtuple("Ablation", "what against data minutes sizes training start", defaults=("base", "band", 10, {}, {}, ""))
):
    """One row of the table: what it changes, and what it is compared with.

    Parameters
    ----------
    what : str
        the change in words.
    against : str
        name of the ablation that it is compared with; "" for a baseline.
    data : str
        a key of `DATA`.
    minutes : float
        of the virtual band's songs that are trained on, from the first song on; 0 for all.
    sizes, training : dict
        fields that differ from `SIZES` and `TRAINING`.
    start : str
        name of the ablation whose network of the same seed this one is initialised from.
    """


FOUR = {"sources": SOURCES}
# `again` takes as many steps as `pretrained` in all, and is trained on no other music.
ABLATIONS = {
    "base": Ablation("skip path, gLN, sigmoid masks, encoder with ReLU, 10 minutes, 70 % of crops remixed", against=""),
    "no_skip": Ablation("no skip path", sizes={"skip": False}),
    "cLN": Ablation("cLN in place of gLN", sizes={"norm": "cLN"}),
    "relu": Ablation("ReLU masks", sizes={"mask": "relu"}),
    "softmax": Ablation("softmax masks", sizes={"mask": "softmax"}),
    "linear": Ablation("an encoder without ReLU, as the paper's", sizes={"encoder": "linear"}),
    "no_remix": Ablation("no remixing across songs", training={"remix": 0.0}),
    "1min": Ablation("1 minute of music", minutes=1),
    "3min": Ablation("3 minutes of music", minutes=3),
    "30min": Ablation("30 minutes of music", minutes=30, data="long"),
    "musdb": Ablation("MUSDB18's excerpts alone", "", "musdb", 0, FOUR),
    "many": Ablation("many artists of the virtual band", "", "many", 40, FOUR),
    "pretrained": Ablation("MUSDB18's excerpts after many artists", "musdb", "musdb", 0, FOUR, start="many"),
    "again": Ablation("MUSDB18's excerpts after MUSDB18's excerpts", "musdb", "musdb", 0, FOUR, start="musdb"),
}


def settings(name, seed, steps):
    """What decides a run besides its data: all of it in plain types, the network's configuration, and its training."""
    ablation = ABLATIONS[name]
    config = dataclasses.replace(SIZES, **ablation.sizes)
    training = dataclasses.replace(
        TRAINING,
        **ablation.training,
        seed=seed + OTHER_CROPS * bool(ablation.start),
        steps=steps,
        steps_per_epoch=min(TRAINING.steps_per_epoch, steps),
    )
    plain = {"sizes": config.to_dict(), "training": training.to_dict()}
    return {"ablation": name, **ablation._asdict(), **plain}, config, training


@lru_cache
def chosen(data, minutes, part):
    """Songs of `DATA` for "train", "valid", or a test set's name."""
    train, valid, tests = DATA[data]
    root, *which = folder_of({"train": train, "valid": valid, **tests}[part])
    songs = songs_of(root, *which)
    if part != "train" or not minutes:
        return [song for song in songs if song.name not in EXCLUDED]
    count = round(60 * minutes / SONG_SECONDS)
    if len(songs) < count:
        raise FileNotFoundError(f"{root}: expected {count} songs, got {len(songs)}")
    return songs[:count]


@lru_cache
def checksum(data, minutes):
    """SHA-256 over the sound files that training and validation read, and those of the test sets."""
    parts = ("train", "valid", *DATA[data][2])
    return sha256_of(*[path for part in parts for song in chosen(data, minutes, part) for path in song.files()])


@lru_cache
def stems_of(data, minutes, part, sources):
    """Decoded songs (sources, samples) of `chosen`; the files in runs/ablations/songs are made once."""
    cache = HERE.runs / "ablations" / "songs"
    return load_songs(chosen(data, minutes, part), sources, SIZES.sample_rate, cache=cache, dtype="float16")


def train(config, training, songs, validation, run, start=None):
    """Train a network from its seed's random weights, or from those of the file `start`.

    Returns
    -------
    separator : ConvTasNetSeparator
        with the best weights.
    history : dict
        "val_loss" in dB, "best_step", and the "data_share" of the last epoch.
    log : list of dict
        of the run.
    """
    samples = round(training.seconds * config.sample_rate)
    crops, (mixtures, stems) = RandomCrops(songs, samples, training), fixed_crops(validation, samples)
    whole = len(mixtures) // training.batch_size * training.batch_size  # a smaller batch would be compiled once more
    build = partial(network, training, config, start)
    model = loop.train(build, config, training, crops, (mixtures[:whole], stems[:whole]), run, start=start)
    log = loop.read_log(run / "log.csv")
    best = min(log, key=lambda row: float(row["val_loss"]))
    history = {"val_loss": float(best["val_loss"]), "best_step": int(best["step"])}
    return ConvTasNetSeparator(model, training.seconds), history | {"data_share": float(log[-1]["data_share"])}, log


def scores(separator, data):
    """Records of a network on the test sets of its data, one per song and source."""
    records = []
    metric = "sdr" if data == "musdb" else "si_sdr"
    for test_set in DATA[data][2]:
        for song, true in zip(chosen(data, 0, test_set), stems_of(data, 0, test_set, separator.sources)):
            true = np.asarray(true, np.float32)
            estimates = np.stack(list(separator.separate(true.sum(axis=0)).values()))
            values = sdr(true, estimates, SIZES.sample_rate) if metric == "sdr" else map(si_sdr, true, estimates)
            head = {"test_set": test_set, "track": song.name}
            records += [
                {**head, "source": source, "metric": metric, "unit": "dB", "value": float(value)}
                for source, value in zip(separator.sources, values)
                if np.isfinite(value)
            ]
    return records


def run_once(name, seed, steps, read_only=False):
    """Do one run, or read it if it was done with these settings on these songs.

    Returns
    -------
    dict
        the content of its file; None if it is only to be read and is not up to date.
    """
    ablation, run = ABLATIONS[name], HERE.runs / "ablations" / f"{name}-{seed}-{steps}"
    path = run / "run.json"
    if read_only and not path.exists():
        return None
    about, config, training = settings(name, seed, steps)
    about["data_sha256"] = checksum(ablation.data, ablation.minutes)
    start = run.with_name(f"{ablation.start}-{seed}-{steps}") / "best.keras" if ablation.start else None
    if start is not None:
        if run_once(ablation.start, seed, steps, read_only) is None:
            return None
        about["start_sha256"] = sha256_of(start)
    with suppress(OSError, ValueError, KeyError):
        content = json.loads(path.read_text())
        if content["settings"] == about and sha256_of(run / "best.keras") == content["weights_sha256"]:
            return content
    if read_only:
        return None
    if path.exists():  # of other settings, or damaged
        shutil.rmtree(run)
    songs, validation = (stems_of(ablation.data, ablation.minutes, part, config.sources) for part in ("train", "valid"))
    separator, history, log = train(config, training, songs, validation, run, start)
    content = {
        "settings": about,
        "weights": separator.model.count_params(),
        "weights_sha256": sha256_of(run / "best.keras"),
        "history": history,
        "records": scores(separator, ablation.data),
        "seconds": float(log[-1]["seconds"]),
        "cpu_seconds": float(log[-1]["processor_seconds"]),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content))
    return content


def summary(records, ablations=None):
    """The table: mean over songs and sources by seed, and beside each difference what the seeds alone differ by.

    Parameters
    ----------
    records : list of dict
        of the result file.
    ablations : dict of str to Ablation, optional
        in the order of the table; `ABLATIONS` by default.

    Returns
    -------
    list of dict
        "ablation", "test_set", "metric", "seeds" (their values in dB), "mean", "low", "high"; and, if it is compared
        with another, "difference" of the means, and the "smallest" and "largest" difference of a seed of one and a seed
        of the other.
    """
    ablations = ABLATIONS if ablations is None else ablations
    values = {}  # by ablation, test set, metric; seed; source: those of the songs
    for record in records:
        key = tuple(record[name] for name in ("ablation", "test_set", "metric"))
        seeds = values.setdefault(key, {}).setdefault(record["seed"], {})
        seeds.setdefault(record["source"], []).append(record["value"])
    over = {"sdr": np.median, "si_sdr": np.mean}  # the songs, as their protocols have it; then the mean over sources
    means = {
        key: [float(np.mean(list(map(over[key[2]], sources.values())))) for sources in seeds.values()]
        for key, seeds in values.items()
    }
    rows = []
    for (name, test_set, metric), mine in means.items():
        row = {"ablation": name, "test_set": test_set, "metric": metric, "seeds": mine}
        row |= {"mean": float(np.mean(mine)), "low": min(mine), "high": max(mine)}
        if theirs := means.get((ablations[name].against, test_set, metric)):
            extremes = {"smallest": min(mine) - max(theirs), "largest": max(mine) - min(theirs)}
            row |= {"difference": float(np.mean(mine) - np.mean(theirs)), **extremes}
        rows.append(row)
    return sorted(rows, key=lambda row: list(ablations).index(row["ablation"]))


def song_differences(records, name, against, test_set):
    """How much higher one ablation scores than another on every song: means over its sources and seeds, in dB."""
    songs = {}
    for record in records:
        if record["test_set"] == test_set and record["ablation"] in (name, against):
            songs.setdefault(record["track"], {}).setdefault(record["ablation"], []).append(record["value"])
    return [float(np.mean(song[name]) - np.mean(song[against])) for song in songs.values() if len(song) == 2]


def collect(runs):
    """The result file's content, of {(name, seed): content of a run}."""
    rows = {name: json.loads(json.dumps(ABLATIONS[name]._asdict())) for name, _ in runs}
    config = {"sizes": SIZES.to_dict(), "training": TRAINING.to_dict(), "ablations": rows}
    about = [
        {
            "ablation": name,
            "seed": seed,
            "steps": run["settings"]["training"]["steps"],
            "weights": run["weights"],
            **run["history"],
            "seconds": run["seconds"],
            "cpu_seconds": run["cpu_seconds"],
            "data": run["settings"]["data_sha256"],
        }
        for (name, seed), run in runs.items()
    ]
    records = [
        {"ablation": name, "system": f"conv_tasnet@{name}", "seed": seed, **record}
        for (name, seed), run in runs.items()
        for record in run["records"]
    ]
    measured = {"runs": about, "seconds": sum(run["seconds"] for run in runs.values())}
    measured |= {"summary": summary(records), "records": records}
    return results.head("ablations-conv_tasnet", config=config, seed=list(SEEDS)) | measured


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m mss_nn_implementation.ablations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=ABLATIONS, help=f"of {', '.join(ABLATIONS)}")
    parser.add_argument("--steps", type=int, default=TRAINING.steps, help="of each run (default: %(default)s)")
    parser.add_argument("--export", action="store_true", help="write the table: results/ablations-conv_tasnet.json")
    options = parser.parse_args(arguments)
    return ended(
        "ablations", partial(_ablate, options), "interrupted; the same command resumes from the last checkpoint"
    )


def _ablate(options):
    expect(options.steps > TRAINING.warmup, "--steps", f"more than the warm-up of {TRAINING.warmup}", options.steps)
    runs = {}
    for name in ABLATIONS:
        for seed in SEEDS:
            try:
                run = run_once(name, seed, options.steps, read_only=name not in (options.only or ABLATIONS))
            except (OSError, ValueError) as error:
                note(f"ablations: {name} is left out: {reason(error)}")
                break
            if run is not None:
                runs[name, seed] = run
                done = f"{run['history']['val_loss']:.2f} dB, {run['cpu_seconds'] / 60:.1f} processor minutes"
                print(f"{name}, seed {seed}: validation loss {done}", flush=True)
    if not runs:
        return REFUSED
    if options.export:
        path = HERE.results / "ablations-conv_tasnet.json"
        results.write(path, collect(runs))
        print("wrote", os.path.relpath(path))


if __name__ == "__main__":
    sys.exit(main())
