"""Do it again and compare: python -m tools.verify [--write], or `make verify`

data        songs of the virtual band, rendered twice: the same bits both times, and those that are committed
            where Python, platform and versions are; elsewhere levels within 0.0001 dB
training    a tiny Conv-TasNet, trained anew for 24 steps: its validation loss within 0.02 dB of the committed curve of
            the same backend. TensorFlow, JAX and PyTorch (KERAS_BACKEND) begin with other random weights, so each has
            a curve of its own
evaluation  the shipped Conv-TasNet on a test song: the committed scores, made on TensorFlow, within 0.05 dB on every
            backend

What is compared with lies in results/verify.json (data and training, which --write writes) and in results/scores.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import resample, save, to_mono
from audio_processing.metrics import si_sdr
from common import results

PATH = results.RESULTS / "verify.json"
LEVEL = 1e-4
"""dB by which the level of a rendered stem may differ where machine or versions differ, and so the last bits."""
CURVE = 0.02
"""dB by which a loss may differ after 24 steps: backends and numbers of threads add up in another order."""
SCORE = 0.05
"""dB by which the score of a stem may differ."""
SONGS, SECONDS = 3, 4.0


def songs():
    """Songs of the training artist, some seconds of each: dict of name to `virtual_band.Song`."""
    from virtual_band import render_song
    from virtual_band.dataset import songs_of

    rendered = [render_song(artist, seed, SECONDS) for artist, seed in songs_of("one_artist", SONGS)]
    return {song.name: song for song in rendered}


def fingerprint(song):
    """SHA-256 over all stems and annotations of a song, and the level of each audible stem in dB.

    Returns
    -------
    dict
        "sha256", "levels".
    """
    import hashlib

    digest = hashlib.sha256()
    for name, stem in song.stems.items():
        digest.update(name.encode() + np.ascontiguousarray(stem).tobytes())
    for name, array in sorted(song.annotations.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    levels = {name: 10 * float(np.log10(np.mean(stem**2))) for name, stem in song.stems.items() if np.any(stem)}
    return {"sha256": digest.hexdigest(), "levels": levels}


def curve(rendered):
    """Validation losses of a tiny network that is trained on these songs: list of float, in dB."""
    import csv

    from mss_nn_implementation import train
    from mss_nn_implementation.parameters import Parameters, Training

    train.JIT = False  # compiling would take longer than training
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, song in enumerate(rendered.values()):
            for name, audio in {"mixture": song.mixture, **song.stems}.items():
                save(folder / "songs" / "train" / f"Artist - {i}" / f"{name}.wav", audio, song.sample_rate)
        sizes = Parameters(N=16, L=16, B=8, H=16, P=3, X=3, R=1, Sc=8)
        training = Training(seconds=0.5, batch_size=2, steps=24, steps_per_epoch=6, warmup=3, learning_rate=5e-3)
        where = (folder / "songs", "train")
        with contextlib.redirect_stdout(io.StringIO()):
            train.train("verify", training, sizes, where, where, folder / "run")
        with open(folder / "run" / "log.csv", newline="") as file:
            return [float(row["val_loss"]) for row in csv.DictReader(file)]


def evaluated():
    """SI-SDR in dB of the shipped Conv-TasNet on the first test song: what is measured, and what is committed."""
    from separate import separate
    from virtual_band import render_song
    from virtual_band.dataset import SETS, songs_of

    path = results.RESULTS / "scores" / "same_artist-conv_tasnet.json"
    records = results.read(path)["records"]
    artist, seed = songs_of("same_artist", 1)[0]
    song = render_song(artist, seed, other=SETS["same_artist"].other)
    name = f"{song.name} {seed % 1_000_000 + 1:02d}"  # as its folder is called
    committed = {r["source"]: r["value"] for r in records if r["track"] == name and r["metric"] == "si_sdr"}
    if not committed:
        raise ValueError(f"{path.name}: no scores of {name}; `make results` writes them")
    stems = {source: resample(to_mono(song.stems[source]), song.sample_rate, 16000) for source in committed}
    estimates = separate(sum(stems.values()), 16000, "conv_tasnet")
    return {source: float(si_sdr(stems[source], estimates[source])) for source in committed}, committed


def compare(data, losses, scores, committed, reference):
    """Rows of what was compared: (what, difference, allowed, unit); the same machine is held to the bits."""
    rows = []
    here = results.environment()
    there = reference["environment"]
    same = all(here[key] == there[key] for key in ("python", "platform"))
    same = same and here["versions"].items() >= there["versions"].items()
    for name, known in reference["data_fingerprints"].items():
        found = data.get(name, {"sha256": None, "levels": {}})
        differences = [abs(found["levels"].get(s, np.inf) - level) for s, level in known["levels"].items()]
        if same:
            rows.append((f"data: {name}, bits", float(found["sha256"] != known["sha256"]), 0, ""))
        rows.append((f"data: {name}, levels", float(np.max(differences)), LEVEL, "dB"))
    backend = here["backend"]
    known = reference["curves"].get(backend, [])
    difference = float(np.max(np.abs(np.subtract(losses, known)))) if len(losses) == len(known) else np.inf  # or NaN
    rows.append((f"training: validation loss on {backend}", difference, CURVE, "dB"))
    rows += [(f"evaluation: SI-SDR of {s}", abs(scores[s] - value), SCORE, "dB") for s, value in committed.items()]
    return rows


def write(data, losses):
    """Keep data, and the curve of the backend that runs; another than TensorFlow adds its curve to what is there."""
    content = results.head("verify", config={"songs": SONGS, "seconds_of_a_song": SECONDS}, seed=0)
    backend = content["environment"]["backend"]
    before = results.read(PATH) if PATH.exists() else {"curves": {}}
    if before["curves"] and backend != "tensorflow":
        content = before
    else:
        content |= {"data_fingerprints": data, "records": []}
    results.write(PATH, {**content, "curves": {**before["curves"], backend: losses}})


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.verify", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep data and curve as what is compared with")
    options = parser.parse_args(arguments)
    try:
        rendered = songs()
        data = {name: fingerprint(song) for name, song in rendered.items()}
        if data != {name: fingerprint(song) for name, song in songs().items()}:
            raise ValueError("data: rendered twice in a row, a song differs")
        losses = curve(rendered)
        if options.write:
            write(data, losses)
            print("wrote", PATH.relative_to(results.ROOT))
        rows = compare(data, losses, *evaluated(), results.read(PATH))
    except (ValueError, OSError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    bad = [row for row in rows if not row[1] <= row[2]]
    for what, difference, allowed, unit in rows:
        mark = "differs" if not difference <= allowed else "ok"
        print(f"{mark:8}{what}: {difference:.2g} of {allowed:g} {unit}".rstrip())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
