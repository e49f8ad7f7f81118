"""What each part of the recipe is worth: python -m mss_nn_implementation.ablations [--only NAME …] [--steps N]

Small Conv-TasNets, each trained with one thing changed and from several seeds: with another one thing changes, too, and
the spread that luck alone makes is known. A run that is done is not done again; one that is stopped begins anew.
Everything goes to results/ablations-conv_tasnet.json.

The networks of the virtual band's artist are scored by SI-SDR on new songs of that artist and on songs of others, those
of MUSDB18 (in the folder that MUSDB_PATH names) by the median of `sdr`, all in mono at the network's own 16 kHz.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from functools import lru_cache

import keras
import numpy as np

from audio_processing.metrics import sdr, si_sdr
from audio_processing.tracks import SOURCES
from common import results
from common.files import atomic_path, sha256_of
from mss_nn_implementation.convtas import ConvTasNet, ConvTasNetSeparator
from mss_nn_implementation.datasets import RandomCrops, fixed_crops, load_songs, songs_of
from mss_nn_implementation.loss import LOSSES
from mss_nn_implementation.parameters import Parameters, Training
from mss_nn_implementation.train import BAND, JIT, MUSDB, at, make_optimizer, start_from
from training.loop import Clock

SIZES = Parameters(N=128, L=64, B=48, H=96, P=3, X=6, R=2, Sc=48)
TRAINING = Training(seconds=1.5, optimizer="muon", learning_rate=2e-3, warmup=50, steps=1500, steps_per_epoch=150)
SEEDS = (0, 1)
SONG_SECONDS = 20  # of every song of the virtual band
PATH = results.RESULTS / "ablations-conv_tasnet.json"
RUNS = results.ROOT / "runs" / "ablations"
EXCLUDED = ("PR - Oh No", "PR - Happy Daze")  # of MUSDB18's test songs: their stems do not add up, or are missing

DATA = {
    # name: training songs, validation songs, test sets by name: root, subset and which side of a split
    "band": (
        (BAND / "one_artist", "train"),
        (BAND / "validation", "test"),
        {"same_artist": (BAND / "same_artist", "test"), "other_artist": (BAND / "other_artist", "test")},
    ),
    "long": (
        (BAND / "one_artist_long", "train"),
        (BAND / "validation", "test"),
        {"same_artist": (BAND / "same_artist", "test"), "other_artist": (BAND / "other_artist", "test")},
    ),
    "many": ((BAND / "many_artists", "train"), (BAND / "many_validation", "test"), {}),
    "musdb": ((MUSDB, "train", "train"), (MUSDB, "train", "valid"), {"musdb18_7s": (MUSDB, "test")}),
}


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One row of the table: what it changes, and what it is compared with.

    Parameters
    ----------
    what : str
        the change in words.
    against : str
        name of the ablation that it is compared with; empty where it is one to compare with.
    data : str
        a name in `DATA`.
    minutes : float
        of the virtual band's songs that are trained on, from the first song; all where it is 0.
    sizes, training : dict
        fields that differ from `SIZES` and `TRAINING`.
    start : str
        name of the ablation whose network of the same seed this one starts from.
    """

    what: str
    against: str = "base"
    data: str = "band"
    minutes: float = 10
    sizes: dict = dataclasses.field(default_factory=dict)
    training: dict = dataclasses.field(default_factory=dict)
    start: str = ""


FOUR = {"sources": SOURCES}
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
"""All that is trained, by name. `again` takes as many steps as `pretrained` in all, and sees no other music."""


def settings(name, seed, steps):
    """What decides a run besides its data: network, training, and music, in plain types."""
    ablation = ABLATIONS[name]
    sizes = dataclasses.replace(SIZES, **ablation.sizes)
    crops = seed + 100 * bool(ablation.start)  # what goes on with a network shall not meet the same crops again
    training = dataclasses.replace(TRAINING, **ablation.training, seed=crops, steps=steps)
    training = dataclasses.replace(training, steps_per_epoch=min(training.steps_per_epoch, steps))
    found = {"ablation": name, **dataclasses.asdict(ablation), "sizes": sizes.to_dict(), "training": training.to_dict()}
    return json.loads(json.dumps(found)), sizes, training


@lru_cache
def chosen(data, minutes, part):
    """Songs of `DATA` for "train", "valid", or a test set's name."""
    train, valid, tests = DATA[data]
    songs = songs_of(*at({"train": train, "valid": valid, **tests}[part], None))
    if part != "train" or not minutes:
        return [song for song in songs if song.name not in EXCLUDED]
    count = round(60 * minutes / SONG_SECONDS)
    if len(songs) < count:
        raise FileNotFoundError(f"{train[0]}: {count} songs expected, {len(songs)} found")
    return songs[:count]


@lru_cache
def checksum(data, minutes):
    """SHA-256 over the sound files that training and validation read, and those of the test sets."""
    parts = ("train", "valid", *DATA[data][2])
    return sha256_of(*[path for part in parts for song in chosen(data, minutes, part) for path in song.files()])


@lru_cache
def stems_of(data, minutes, part, sources):
    """Decoded songs (sources, samples) of `chosen`; the files in runs/ablations/songs are made once."""
    songs = chosen(data, minutes, part)
    return load_songs(songs, sources, SIZES.sample_rate, cache=RUNS / "songs", dtype="float16")


@lru_cache
def compiled(sizes, steps):
    """A network that is compiled once for all runs of its sizes, and what its optimiser holds at first."""
    training = dataclasses.replace(TRAINING, steps=steps)
    model = ConvTasNet(sizes)
    model.compile(optimizer=make_optimizer(training), loss=LOSSES[training.loss](), jit_compile=JIT)
    model.build((None, round(training.seconds * sizes.sample_rate)))
    model.optimizer.build(model.trainable_variables)
    first = [keras.ops.convert_to_numpy(variable).copy() for variable in model.optimizer.variables]
    return model, first, ConvTasNetSeparator.of(model, training.seconds)


def fit(sizes, training, songs, validation, run, start=None):
    """Train a network from its seed's random weights, or from those of the file `start`; the best ones stay in it.

    Returns
    -------
    separator : ConvTasNetSeparator
    history : dict
        "val_loss" in dB, "best_step", "seconds" without compiling, and the "data_share" of them.
    """
    model, first, separator = compiled(sizes, training.steps)
    keras.utils.set_random_seed(training.seed)
    fresh = ConvTasNet(sizes)
    fresh.build((None, None))
    if start is not None:
        start_from(fresh, start)
    model.set_weights(fresh.get_weights())
    for variable, value in zip(model.optimizer.variables, first):
        variable.assign(value)
    samples = round(training.seconds * sizes.sample_rate)
    crops = RandomCrops(songs, samples, training)
    mixtures, stems = fixed_crops(validation, samples)
    whole = len(mixtures) // training.batch_size * training.batch_size  # a smaller batch would be compiled anew
    (run / "seconds.txt").unlink(missing_ok=True)
    found = model.fit(
        crops,
        validation_data=(mixtures[:whole], stems[:whole]),
        validation_batch_size=training.batch_size,
        shuffle=False,
        epochs=training.steps // training.steps_per_epoch,
        callbacks=[
            Clock(crops, run / "seconds.txt"),
            keras.callbacks.EarlyStopping(patience=training.steps, restore_best_weights=True),  # it never stops
        ],
        verbose=0,
    ).history
    best = int(np.argmin(found["val_loss"]))
    return separator, {
        "val_loss": found["val_loss"][best],
        "best_step": (best + 1) * training.steps_per_epoch,
        "data_share": found["data_share"][-1],
    }


def scores(separator, data):
    """Records of a network on the test sets of its data, one per song and source."""
    records = []
    for test_set in DATA[data][2]:
        songs = chosen(data, 0, test_set)
        for song, true in zip(songs, stems_of(data, 0, test_set, separator.sources)):
            true = np.asarray(true, np.float32)
            estimates = np.stack(list(separator.separate(true.sum(axis=0)).values()))
            metric = "sdr" if data == "musdb" else "si_sdr"
            values = sdr(true, estimates, SIZES.sample_rate) if metric == "sdr" else map(si_sdr, true, estimates)
            head = {"test_set": test_set, "track": song.name}
            records += [
                {**head, "source": source, "metric": metric, "unit": "dB", "value": float(value)}
                for source, value in zip(separator.sources, values)
                if np.isfinite(value)
            ]
    return records


def run_once(name, seed, steps, read_only=False):
    """Do one run, or read it where it was done with these settings on these songs.

    Returns
    -------
    dict
        the content of its file; None where it would have to be done and is only to be read.
    """
    ablation, run = ABLATIONS[name], RUNS / f"{name}-{seed}"
    if read_only and not (run / "run.json").exists():
        return None
    wanted, sizes, training = settings(name, seed, steps)
    wanted["data_sha256"] = checksum(ablation.data, ablation.minutes)
    start = RUNS / f"{ablation.start}-{seed}" / "best.keras" if ablation.start else None
    if start is not None:
        if run_once(ablation.start, seed, steps, read_only) is None:
            return None
        wanted["start_sha256"] = sha256_of(start)
    try:
        found = json.loads((run / "run.json").read_text())
        if found["settings"] == wanted and sha256_of(run / "best.keras") == found["weights_sha256"]:
            return found
    except (OSError, ValueError, KeyError):
        pass
    if read_only:
        return None
    begun, cpu = time.monotonic(), time.process_time()
    run.mkdir(parents=True, exist_ok=True)
    songs = stems_of(ablation.data, ablation.minutes, "train", sizes.sources)
    validation = stems_of(ablation.data, ablation.minutes, "valid", sizes.sources)
    separator, history = fit(sizes, training, songs, validation, run, start)
    with atomic_path(run / "best.keras") as temporary:
        separator.model.copy().save(temporary)
    found = {
        "settings": wanted,
        "weights": separator.model.count_params(),
        "weights_sha256": sha256_of(run / "best.keras"),
        "history": history,
        "records": scores(separator, ablation.data),
        "seconds": time.monotonic() - begun,
        "cpu_seconds": time.process_time() - cpu,
    }
    with atomic_path(run / "run.json") as temporary:
        temporary.write_text(json.dumps(found))
    return found


def summary(records, ablations=None):
    """The table: mean over songs and sources by seed, and beside each difference what the seeds alone differ by.

    Parameters
    ----------
    records : list of dict
        of the result file.
    ablations : dict of str to Ablation, optional
        in the order of the table; `ABLATIONS` where it is None.

    Returns
    -------
    list of dict
        "ablation", "test_set", "metric", "seeds" (their values in dB), "mean", "low", "high"; and, where it is compared
        with another, "difference" of the means, and the "smallest" and "largest" difference of a seed of one and a seed
        of the other.
    """
    ablations = ABLATIONS if ablations is None else ablations
    songs = {}  # values by what is averaged over the songs
    for record in records:
        key = tuple(record[name] for name in ("ablation", "test_set", "metric", "seed", "source"))
        songs.setdefault(key, []).append(record["value"])
    over = {"sdr": np.median, "si_sdr": np.mean}  # as their protocols have it; then the mean over the sources
    sources = {}
    for (*key, _), values in songs.items():
        sources.setdefault(tuple(key), []).append(over[key[2]](values))
    seeds = {}
    for (*key, _), values in sources.items():
        seeds.setdefault(tuple(key), []).append(float(np.mean(values)))
    rows = []
    for (name, test_set, metric), mine in seeds.items():
        row = {"ablation": name, "test_set": test_set, "metric": metric, "seeds": mine}
        row |= {"mean": float(np.mean(mine)), "low": min(mine), "high": max(mine)}
        if theirs := seeds.get((ablations[name].against, test_set, metric)):
            row["difference"] = float(np.mean(mine) - np.mean(theirs))
            row["smallest"], row["largest"] = min(mine) - max(theirs), max(mine) - min(theirs)
        rows.append(row)
    return sorted(rows, key=lambda row: list(ablations).index(row["ablation"]))


def song_differences(records, name, against, test_set):
    """By how much one ablation is above another on every song: means over its sources and over the seeds, in dB."""
    songs = {}
    for record in records:
        if record["test_set"] == test_set and record["ablation"] in (name, against):
            of = songs.setdefault(record["track"], {}).setdefault(record["ablation"], [])
            of.append(record["value"])
    return [float(np.mean(of[name]) - np.mean(of[against])) for of in songs.values() if len(of) == 2]


def collect(runs):
    """The result file's content, of {(name, seed): content of a run}."""
    head = results.head(
        "ablations-conv_tasnet",
        config={"sizes": SIZES.to_dict(), "training": TRAINING.to_dict()},
        seed=list(SEEDS),
    )
    head["config"]["ablations"] = {name: dataclasses.asdict(ABLATIONS[name]) for name, _ in runs}
    content = json.loads(json.dumps(head))
    records = [
        {"ablation": name, "system": f"conv_tasnet@{name}", "seed": seed, **record}
        for (name, seed), found in runs.items()
        for record in found["records"]
    ]
    content["runs"] = [
        {
            "ablation": name,
            "seed": seed,
            "steps": found["settings"]["training"]["steps"],
            "weights": found["weights"],
            **found["history"],
            "seconds": found["seconds"],
            "cpu_seconds": found["cpu_seconds"],
            "data": found["settings"]["data_sha256"],
        }
        for (name, seed), found in runs.items()
    ]
    content["seconds"] = sum(found["seconds"] for found in runs.values())
    content["summary"] = summary(records)
    content["records"] = records
    return content


def tell(name, seed, found):
    """A line about a run that is done."""
    records = [{"ablation": name, "seed": seed, **record} for record in found["records"]]
    means = "".join(f", {row['test_set']} {row['mean']:.2f} dB" for row in summary(records))
    took, loss = found["cpu_seconds"] / 60, found["history"]["val_loss"]
    print(f"{name}, seed {seed}: {took:.1f} processor minutes, validation loss {loss:.2f}{means}", flush=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m mss_nn_implementation.ablations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(ABLATIONS)}")
    parser.add_argument("--steps", type=int, default=TRAINING.steps, help="of each run (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="train and print, but leave the results alone")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.only or () if name not in ABLATIONS]:
        print(f"ablations: --only: {unknown[0]!r} is none of {', '.join(ABLATIONS)}", file=sys.stderr)
        return 2
    if options.steps <= TRAINING.warmup:
        print(f"ablations: --steps: more than {TRAINING.warmup} expected, got {options.steps}", file=sys.stderr)
        return 2
    runs = {}
    for name in ABLATIONS:
        for seed in SEEDS:
            try:
                found = run_once(name, seed, options.steps, read_only=name not in (options.only or ABLATIONS))
            except (OSError, ValueError) as error:
                print(f"ablations: {name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
                break
            if found is not None:
                runs[name, seed] = found
                tell(name, seed, found)
    if not runs:
        return 2
    if not options.dry:
        results.write(PATH, collect(runs))
        print("wrote", os.path.relpath(PATH))
    return 0


if __name__ == "__main__":
    sys.exit(main())
