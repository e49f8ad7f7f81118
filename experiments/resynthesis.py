"""How well decoders play what they are told: python -m experiments.resynthesis [--test-sets NAME …] [--force]

Every test song's stems are described by their true features, played by the decoder of their source, and compared with
the stems. The recorded song is read from the folder that AIR_TRAFFIC_PATH names. Pitch is that of the annotations, or
of the tracker on the true stem; the same tracker listens to the resynthesis. What it hears in the true stem is scored
beside it as the system `stem`: no resynthesis can be expected to do better.

With --voice FILE, a recorded solo voice is sung by the band's singer instead: scores, and a clip of the resynthesis.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from audio_processing import recorded_song
from audio_processing.audio_processing import load
from audio_processing.tracks import tracks
from common import results
from common.files import atomic_path, sha256_of
from ddsp_models import features as feature
from ddsp_models import train_decoder as training
from ddsp_models.autoencoder import WeightsError, load_decoder, resynthesise
from experiments.__main__ import is_current
from experiments.clips import loudest_part
from experiments.feature_scores import (
    EVERY,
    EXAMPLE,
    HOP_LENGTH,
    UNITS,
    crepe_bce,
    listen,
    listeners,
    loudness_l1,
    pitch_scores,
    sound_scores,
)  # fmt: skip

SOURCES = ("drums", "bass", "vocals")
TEST_SETS = {"same_artist": "band", "air_traffic": "air_traffic"}
"""Test sets, and the first half of the names of the decoders that play them."""


def songs(test_set, source):
    """Name, true features and stem of each test song."""
    if test_set == "air_traffic":
        return [("Clara Berry And Wooldog - Air Traffic", *training.song_examples(source, "test")[0])]
    found = tracks(training.BAND / test_set, "test")
    return [(song.name, *feature.song_features(song, source)) for song in found]


def checksum(test_set):
    """SHA-256 of the stems that are read."""
    if test_set == "air_traffic":
        folder = recorded_song.song_path()
        return sha256_of(*[sorted(folder.glob(f"{source}.*"))[0] for source in SOURCES])
    found = tracks(training.BAND / test_set, "test")
    return sha256_of(*[song.path / f"{source}.wav" for song in found for source in SOURCES])


def score(test_set):
    """Records of one test set.

    Parameters
    ----------
    test_set : str
        of `TEST_SETS`.

    Returns
    -------
    list of dict
    """
    records = []
    for source in SOURCES:
        model, _ = load_decoder(f"{TEST_SETS[test_set]}-{source}")
        listened = tqdm(songs(test_set, source), desc=f"{test_set} {source}", unit="song", leave=False)
        for name, features, stem in listened:
            sound = resynthesise(model, features)
            found = {"ddsp_features": sound_scores(stem, sound)}
            if source != "drums":
                target = listen(stem, source)
                for system, heard in (("ddsp_features", listen(sound, source)), ("stem", target)):
                    scores = pitch_scores(told_pitch(features, heard), heard)
                    if "salience" in heard:
                        scores["crepe_bce"] = crepe_bce(target["salience"], heard["salience"])
                    found[system] = found.get(system, {}) | scores
            records += [
                {"track": name, "system": system, "source": source, "metric": metric, "unit": UNITS[metric], "value": v}
                for system, scores in found.items()
                for metric, v in scores.items()
            ]
    return [{"test_set": test_set, **record} for record in records]


def told_pitch(features, heard):
    """The pitch that a decoder was told, in Hz, 0 = unvoiced, where `feature_scores.listen` looks."""
    return (features["f0"] * (features["voiced"] > 0))[::EVERY, 0][: len(heard["f0"])]


def path_of(test_set):
    """The result file of a test set."""
    return results.RESULTS / "scores" / f"{test_set}-ddsp_features.json"


def run(test_set, *, force=False):
    """Score one test set; returns the paths written, none where the file is current."""
    names = [f"{TEST_SETS[test_set]}-{source}" for source in SOURCES]
    weights = {name: load_decoder(name)[1]["sha256"] for name in names}
    data = checksum(test_set)
    path = path_of(test_set)
    config = {"system": "ddsp_features", "weights": weights, "listeners": listeners(), "example_seconds": EXAMPLE}
    config["looks_per_second"] = feature.SAMPLE_RATE / HOP_LENGTH
    if not force and is_current(path, config, data):
        return []
    begun = time.perf_counter()
    records = score(test_set)
    content = results.head(f"{test_set} ddsp_features", config=config, data=data)
    content["seconds"] = round(time.perf_counter() - begun, 3)
    content["songs"] = len({record["track"] for record in records})
    content["records"] = records
    results.write(path, content)
    return [path]


def sing(path, name="band-vocals"):
    """Let a trained decoder sing what a recorded voice sings; returns the paths of a result file and of a clip's index.

    Parameters
    ----------
    path : str or Path
        a solo voice; its loudest eight seconds are used.
    name : str
        of the decoder.
    """
    begun = time.perf_counter()
    path, rate = Path(path), feature.SAMPLE_RATE
    audio, _ = load(path, sample_rate=rate, mono=True)
    start = loudest_part(audio, 8 * rate)
    audio = audio[start : start + 8 * rate]
    model, record = load_decoder(name)
    features = feature.pitched_features(audio, rate, **feature.LISTENING["vocals"])
    told = feature.adapted(features, record["statistics"])
    sound = resynthesise(model, told)
    heard = listen(sound, "vocals")
    scores = pitch_scores(told_pitch(told, heard), heard)
    scores["loudness_l1"] = loudness_l1(np.maximum(told["loudness"][:, 0], -80), sound)
    config = {"system": "ddsp_features", "weights": {name: record["sha256"]}, "listeners": listeners()}
    config |= {"start": start / rate, "octaves": float(np.log2(told["f0"].max() / max(features["f0"].max(), 1e-9)))}
    content = results.head(f"{path.stem} ddsp_features", config=config, data=sha256_of(path))
    content |= {"seconds": round(time.perf_counter() - begun, 3), "songs": 1}
    row = {"test_set": path.stem, "track": path.stem, "system": "ddsp_features", "source": "vocals"}
    content["records"] = [{**row, "metric": metric, "unit": UNITS[metric], "value": v} for metric, v in scores.items()]
    results.write(path_of(path.stem), content)

    folder = results.RESULTS / "audio" / f"{path.stem}-ddsp_features"
    with atomic_path(folder / "resynthesis.mp3") as temporary:
        soundfile.write(temporary, 0.9 / np.abs(sound).max() * sound, rate, format="MP3")
    index = results.head(f"clips {path.stem}", config=config, data=sha256_of(path))
    index |= {"sample_rate": rate, "start": start / rate, "rows": {"vocals": {name: "resynthesis.mp3"}}}
    index["caption"] = f"{path.stem}, as {name} sings it"
    index["files_sha256"] = sha256_of(folder / "resynthesis.mp3")
    results.write(folder / "index.json", index)
    return [path_of(path.stem), folder / "index.json"]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m experiments.resynthesis", description=__doc__)
    there = [name for name in TEST_SETS if name != "air_traffic" or _song_is_here()]
    parser.add_argument("--test-sets", nargs="+", default=there, choices=TEST_SETS, metavar="NAME")
    parser.add_argument("--force", action="store_true", help="score again what is current")
    parser.add_argument("--voice", type=Path, metavar="FILE", help="a solo voice to be sung by the band's singer")
    options = parser.parse_args(arguments)
    try:
        if options.voice:
            written = sing(options.voice)
        else:
            written = [path for name in options.test_sets for path in run(name, force=options.force)]
    except (OSError, WeightsError, ValueError) as error:
        print(f"experiments.resynthesis: {error}", file=sys.stderr)
        return 2
    print("wrote " + ", ".join(str(path.relative_to(results.ROOT)) for path in written) if written else "all current")
    return 0


def _song_is_here():
    try:
        return bool(recorded_song.song_path())
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
