"""Make it again and compare: python -m tools.verify [--write], or `make verify`

data        songs of the virtual band, rendered twice: the same bits both times, and those that are committed
            if Python, platform and versions are the same; otherwise levels within 0.0001 dB
training    a tiny Conv-TasNet, trained again for 24 steps: its validation loss within 0.02 dB of the committed curve of
            the same backend. TensorFlow, JAX and PyTorch (KERAS_BACKEND) begin with other random weights, so each has
            a curve of its own
evaluation  the shipped Conv-TasNet on a test song: the committed scores, made on TensorFlow, within 0.05 dB on every
            backend

What is compared with lies in results/verify.json (data and training, which --write writes) and in results/scores.
"""

import contextlib
import hashlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import resample, save, to_mono
from audio_processing.metrics import si_sdr
from common import command, results
from common.places import HERE
from common.terminal import ended

LEVEL, CURVE, SCORE = 1e-4, 0.02, 0.05
"""Largest differences in dB: of the level of a rendered stem, if machine or versions differ, and so the last bits; of a
loss after 24 steps, since backends and numbers of threads add up in another order; of the score of a stem."""
SONGS, SECONDS = 3, 4.0


def songs(count=SONGS, seconds=SECONDS):
    """Songs of the training artist, some seconds of each: dict of name to `virtual_band.Song`."""
    from virtual_band import dataset, render_song

    rendered = (render_song(artist, seed, seconds) for artist, seed in dataset.songs_of("one_artist", count))
    return {song.name: song for song in rendered}


def fingerprint(song):
    """SHA-256 over all stems and annotations of a song, and the level of each audible stem in dB.

    Returns
    -------
    dict
        "sha256", "levels".
    """
    digest = hashlib.sha256()
    for name, array in (*song.stems.items(), *sorted(song.annotations.items())):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    levels = {name: 10 * float(np.log10(np.mean(stem**2))) for name, stem in song.stems.items() if np.any(stem)}
    return {"sha256": digest.hexdigest(), "levels": levels}


def curve(rendered):
    """Validation losses of a tiny network that is trained on these songs: list of float, in dB."""
    from mss_nn_implementation.parameters import Parameters, Training
    from mss_nn_implementation.train import train
    from training import loop

    loop.JIT = False  # compiling would take longer than training
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, song in enumerate(rendered.values()):
            for name, audio in {"mixture": song.mixture, **song.stems}.items():
                save(folder / "songs" / "train" / f"Artist - {i}" / f"{name}.wav", audio, song.sample_rate)
        sizes = Parameters(N=16, L=16, B=8, H=16, P=3, X=3, R=1, Sc=8)
        where = (folder / "songs", "train")
        training = Training(seconds=0.5, batch_size=2, steps=24, steps_per_epoch=6, warmup=3, learning_rate=5e-3)
        with contextlib.redirect_stdout(io.StringIO()):
            train(training, sizes, where, where, folder / "run")
        return [float(row["val_loss"]) for row in loop.read_log(folder / "run" / "log.csv")]


def evaluated():
    """SI-SDR in dB of the shipped Conv-TasNet on the first test song: what is measured, and what is committed."""
    from separate import separate
    from virtual_band import dataset, render_song

    artist, seed = dataset.songs_of("same_artist", 1)[0]
    song = render_song(artist, seed, other=dataset.SETS["same_artist"].other)
    name = f"{song.name} {seed % 1_000_000 + 1:02d}"  # as its folder is called
    path = results.score_path("same_artist", "conv_tasnet")
    of_song = (record for record in results.read(path)["records"] if record["track"] == name)
    committed = {record["source"]: record["value"] for record in of_song if record["metric"] == "si_sdr"}
    if not committed:
        raise ValueError(f"{path.name}: expected scores of {name}, got none; `make results` writes them")
    stems = {source: resample(to_mono(song.stems[source]), song.sample_rate, 16000) for source in committed}
    estimates = separate(sum(stems.values()), 16000, "conv_tasnet")
    return {source: float(si_sdr(stems[source], estimates[source])) for source in committed}, committed


def compare(data, losses, scores, committed, reference):
    """Rows of what was compared: (what, difference, allowed, unit); the same machine is held to the bits."""
    here, there = results.environment(), reference["environment"]
    same = (here["python"], here["platform"]) == (there["python"], there["platform"])
    same &= here["versions"].items() >= there["versions"].items()
    rows = []
    for name, known in reference["data_fingerprints"].items():
        again = data.get(name, {"sha256": None, "levels": {}})
        differences = [abs(again["levels"].get(source, np.inf) - level) for source, level in known["levels"].items()]
        if same:
            rows.append((f"data: {name}, bits", float(again["sha256"] != known["sha256"]), 0, ""))
        rows.append((f"data: {name}, levels", float(np.max(differences)), LEVEL, "dB"))
    known = reference["curves"].get(here["backend"], [])
    difference = float(np.max(np.abs(np.subtract(losses, known)))) if len(losses) == len(known) else np.inf  # or NaN
    rows.append((f"training: validation loss on {here['backend']}", difference, CURVE, "dB"))
    return rows + [
        (f"evaluation: SI-SDR of {s}", abs(scores[s] - value), SCORE, "dB") for s, value in committed.items()
    ]


def write(path, data, losses):
    """Keep data, and the curve of the backend that runs; another than TensorFlow adds its curve to what is there."""
    content = results.head("verify", config={"songs": SONGS, "seconds_of_a_song": SECONDS}, seed=0) | {
        "data_fingerprints": data,
        "records": [],
        "curves": {},
    }
    backend = content["environment"]["backend"]
    if path.exists():
        before = results.read(path)
        content = content | {"curves": before["curves"]} if backend == "tensorflow" else before
    results.write(path, content | {"curves": {**content["curves"], backend: losses}})


def main(arguments=None, places=HERE):
    """The command. Returns its exit status: 0, 1 if anything differs, or 2 if nothing can be compared."""
    flags = {"--write": dict(action="store_true", help="keep data and curve as what is compared with")}
    options, path = command.options_of("tools.verify", __doc__, flags, arguments), places.results / "verify.json"
    return ended("verify", lambda: verified(options.write, path, places))


def verified(keep, path, places):
    """Make it again, keep it if asked to, and print what was compared; returns the exit status 0 or 1."""
    rendered = songs()
    data = {name: fingerprint(song) for name, song in rendered.items()}
    if data != {name: fingerprint(song) for name, song in songs().items()}:
        raise ValueError("data: rendered twice in a row, a song differs")
    losses = curve(rendered)
    if keep:
        write(path, data, losses)
        print("wrote", places.shown(path))
    rows = compare(data, losses, *evaluated(), results.read(path))
    for what, difference, allowed, unit in rows:
        verdict = "ok" if difference <= allowed else "differs"
        print(f"{verdict:8}{what}: {difference:.2g} of {allowed:g} {unit}".rstrip())
    return 0 if all(difference <= allowed for _, difference, allowed, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
