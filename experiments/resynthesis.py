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
from keras import ops
from tqdm import tqdm

from audio_processing import results
from audio_processing.audio_processing import load
from audio_processing.files import atomic_path, sha256_of
from audio_processing.tracks import tracks
from ddsp_models import crepe, pitch
from ddsp_models import features as feature
from ddsp_models import train as training
from ddsp_models.autoencoder import WeightsError, load_decoder, resynthesise
from ddsp_models.loudness import loudness
from ddsp_models.spectral_loss import spectral_loss
from experiments.clips import loudest_part

SOURCES = ("drums", "bass", "vocals")
EXAMPLE = 4.0  # s
TEST_SETS = {"same_artist": "band", "air_traffic": "air_traffic"}
"""Test sets, and the first half of the names of the decoders that play them."""
UNITS = {
    "spectral_loss": "sum over 6 scales",
    "spectral_loss_per_bin": "mean over bins",
    "loudness_l1": "dB",
    "f0_l1_cents": "cents",
    "f0_l1_hz": "Hz",
    "raw_pitch_accuracy": "0-1",
}


def songs(test_set, source):
    """Name, true features and stem of each test song."""
    if test_set == "air_traffic":
        return [("Clara Berry And Wooldog - Air Traffic", *training.song_examples(source, "test")[0])]
    found = tracks(training.BAND / test_set, "test")
    return [(song.name, *feature.song_features(song, source)) for song in found]


def checksum(test_set):
    """SHA-256 of the stems that are read."""
    if test_set == "air_traffic":
        folder = training.song_path()
        return sha256_of(*[sorted(folder.glob(f"{source}.*"))[0] for source in SOURCES])
    found = tracks(training.BAND / test_set, "test")
    return sha256_of(*[song.path / f"{source}.wav" for song in found for source in SOURCES])


def sound_scores(stem, sound):
    """Spectral losses over examples of 4 s, and the distance in loudness over the whole.

    Parameters
    ----------
    stem, sound : np.ndarray, (samples,)
        at 16 kHz, at least 4 s.

    Returns
    -------
    dict of float
    """
    size = round(EXAMPLE * feature.SAMPLE_RATE)
    true, played = (x[: len(x) // size * size].reshape(-1, size) for x in (stem, sound))
    decibels = [ops.convert_to_numpy(loudness(x)) for x in (stem, sound)]
    return {
        "spectral_loss": float(spectral_loss(true, played)),
        "spectral_loss_per_bin": float(spectral_loss(true, played, "per_bin")),
        "loudness_l1": float(np.mean(np.abs(decibels[0] - decibels[1]))),
    }


def pitch_scores(f0, voiced, sound, source):
    """What a tracker hears in a sound, against the true pitch, over the voiced frames.

    Parameters
    ----------
    f0, voiced : np.ndarray, (frames,)
        in Hz, and where that counts.
    sound : np.ndarray, (frames · 64,)
        at 16 kHz.
    source : str
        which says who listens.

    Returns
    -------
    scores : dict of float
        a frame in which nothing is heard is wrong for the accuracy, and left out of the distances.
    method : str
        who listened.
    """
    options = {name: feature.LISTENING[source][name] for name in ("fmin", "fmax", "method")}
    try:
        heard = pitch.track_pitch(sound, feature.SAMPLE_RATE, **options)
    except crepe.WeightsError:
        heard = pitch.track_pitch(sound, feature.SAMPLE_RATE, **{**options, "method": "pyin"})
    truth = np.where(voiced, f0, 0.0)
    both = (truth > 0) & (heard.f0 > 0)
    scores = {"raw_pitch_accuracy": pitch.raw_pitch_accuracy(truth, heard.f0)}
    if both.any():
        scores["f0_l1_cents"] = float(np.mean(np.abs(1200 * np.log2(heard.f0[both] / truth[both]))))
        scores["f0_l1_hz"] = float(np.mean(np.abs(heard.f0[both] - truth[both])))
    return {name: value for name, value in scores.items() if np.isfinite(value)}, heard.method


def score(test_set):
    """Records of one test set, and which tracker judged each source.

    Parameters
    ----------
    test_set : str
        of `TEST_SETS`.

    Returns
    -------
    records : list of dict
    trackers : dict
        source → method.
    """
    records, trackers = [], {}
    for source in SOURCES:
        model, _ = load_decoder(f"{TEST_SETS[test_set]}-{source}")
        listened = tqdm(songs(test_set, source), desc=f"{test_set} {source}", unit="song", leave=False)
        for name, features, stem in listened:
            sound = resynthesise(model, features)
            found = {"ddsp_features": sound_scores(stem, sound)}
            if source != "drums":
                f0, voiced = features["f0"][:, 0], features["voiced"][:, 0] > 0
                for system, audio in (("ddsp_features", sound), ("stem", stem)):
                    scores, trackers[source] = pitch_scores(f0, voiced, audio, source)
                    found[system] = found.get(system, {}) | scores
            records += [
                {"track": name, "system": system, "source": source, "metric": metric, "unit": UNITS[metric], "value": v}
                for system, scores in found.items()
                for metric, v in scores.items()
            ]
    return [{"test_set": test_set, **record} for record in records], trackers


def path_of(test_set):
    """The result file of a test set."""
    return results.RESULTS / "scores" / f"{test_set}-ddsp_features.json"


def run(test_set, *, force=False):
    """Score one test set; returns the paths written, none where the file is current."""
    names = [f"{TEST_SETS[test_set]}-{source}" for source in SOURCES]
    weights = {name: load_decoder(name)[1]["sha256"] for name in names}
    data = checksum(test_set)
    path = path_of(test_set)
    try:
        content = results.read(path)
        if not force and content["config"]["weights"] == weights and content["data"] == data:
            return []
    except results.ResultsError:
        pass
    begun = time.perf_counter()
    records, trackers = score(test_set)
    config = {"system": "ddsp_features", "weights": weights, "trackers": trackers, "example_seconds": EXAMPLE}
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
    scores, tracker = pitch_scores(told["f0"][:, 0], told["voiced"][:, 0] > 0, sound, "vocals")
    heard = ops.convert_to_numpy(loudness(sound))
    scores["loudness_l1"] = float(np.mean(np.abs(heard - np.maximum(told["loudness"][:, 0], -80))))
    config = {"system": "ddsp_features", "weights": {name: record["sha256"]}, "trackers": {"vocals": tracker}}
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
        return bool(training.song_path())
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
