"""How well decoders resynthesise from given features: python -m experiments.resynthesis [--test-sets NAME …] [--force]

The decoder of each source gets the true features of every test song's stem, and its sound is compared with the stem.
The f0 is that of the annotations, or the tracker's on the true stem; the same tracker is run on the resynthesis. Its
estimate on the true stem is scored, too, as the system `stem`: no resynthesis can be expected to score better.

With --voice FILE, the virtual band's singer resynthesises a recorded solo voice instead: scores, and a clip.
"""

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import load
from audio_processing.tracks import TRIO
from common import results
from common.command import command
from common.files import sha256_of
from common.places import HERE
from ddsp_models import features as feature
from ddsp_models.autoencoder import load_decoder, resynthesise
from ddsp_models.train_decoder import recorded_examples
from experiments import feature_scores
from experiments.catalogue import TEST_SETS
from experiments.clips import loudest_part, write_folder
from experiments.feature_scores import pitch_scores, track
from experiments.run import is_up_to_date

SYSTEM = "ddsp_features"
VOICE_SECONDS = 8  # of a solo voice: its loudest part of that length is resynthesised


def examples(test_set, source, places=HERE):
    """Name, true features and stem of each test song."""
    songs = test_set.songs(places)
    if test_set.place == "air_traffic":
        return [(songs[0].name, *recorded_examples(None, songs[0].path, "test", source)[0])]
    return [(song.name, *feature.song_features(song, source)) for song in songs]


def checksum(test_set, places=HERE):
    """SHA-256 of the stems that are read."""
    songs = test_set.songs(places)
    stems = [song.path / f"{source}.wav" for song in songs for source in TRIO]
    return sha256_of(*(songs[0].files() if test_set.place == "air_traffic" else stems))


def score(test_set, places=HERE):
    """Records of one test set.

    Parameters
    ----------
    test_set : experiments.catalogue.TestSet
        one whose `decoders` are named.
    places : common.places.Places

    Returns
    -------
    list of dict
    """
    records = []
    for source in TRIO:
        model, _ = load_decoder(f"{test_set.decoders}-{source}")
        songs = examples(test_set, source, places)
        for name, features, stem in tqdm(songs, desc=f"{test_set.name} {source}", unit="song", leave=False):
            sound = resynthesise(model, features)
            scores = {SYSTEM: feature_scores.sound_scores(stem, sound)}
            if source != "drums":
                target = track(stem, source)
                scores[SYSTEM] |= _f0_scores(features, track(sound, source), target)
                scores["stem"] = _f0_scores(features, target, target)
            for system, values in scores.items():
                names = {"test_set": test_set.name, "track": name, "system": system, "source": source}
                records += feature_scores.as_records(values, **names)
    return records


def _f0_scores(features, tracked, target):
    """Scores of the f0 and the salience of a sound, given the decoder's features and the f0 track of the stem."""
    return feature_scores.f0_scores(decoder_f0(features, tracked), tracked, target)


def decoder_f0(features, tracked):
    """The f0 that a decoder is given, in Hz, 0 = unvoiced, at the frames of `feature_scores.track`."""
    return (features["f0"] * (features["voiced"] > 0))[:: feature_scores.EVERY, 0][: len(tracked["f0"])]


def run(test_set, *, force=False, places=HERE):
    """Score one test set; returns the paths written, none if the file is up to date."""
    names = [f"{test_set.decoders}-{source}" for source in TRIO]
    data, path = checksum(test_set, places), results.score_path(test_set.name, SYSTEM, places)
    config = {
        "system": SYSTEM,
        "weights": {name: load_decoder(name)[1]["sha256"] for name in names},
        "example_seconds": feature_scores.EXAMPLE,
        **feature_scores.listening(),
    }
    if not force and is_up_to_date(path, config, data):
        return []
    start = time.perf_counter()
    records = score(test_set, places)
    content = results.head(f"{test_set.name} {SYSTEM}", config=config, data=data) | {
        "seconds": round(time.perf_counter() - start, 3),
        "songs": len({record["track"] for record in records}),
        "records": records,
    }
    results.write(path, content)
    return [path]


def sing(path, name="band-vocals", places=HERE):
    """Resynthesise a recorded voice with a trained decoder; returns the paths of a result file and of a clip's index.

    Parameters
    ----------
    path : str or Path
        a solo voice.
    name : str
        of the decoder.
    places : common.places.Places
    """
    start_time = time.perf_counter()
    path, rate = Path(path), feature.SAMPLE_RATE
    audio, _ = load(path, sample_rate=rate, mono=True)
    start = loudest_part(audio, VOICE_SECONDS * rate)
    model, record = load_decoder(name)
    features = feature.pitched_features(
        audio[start : start + VOICE_SECONDS * rate], rate, **feature.PITCHED_SOURCES["vocals"]
    )
    adapted = feature.adapted(features, record["statistics"])
    sound = resynthesise(model, adapted)
    tracked = track(sound, "vocals")
    scores = pitch_scores(decoder_f0(adapted, tracked), tracked)
    scores["loudness_l1"] = feature_scores.loudness_l1(np.maximum(adapted["loudness"][:, 0], -80), sound)
    config = {
        "system": SYSTEM,
        "weights": {name: record["sha256"]},
        "listeners": feature_scores.trackers(),
        "start": start / rate,
        "octaves": float(np.log2(adapted["f0"].max() / max(features["f0"].max(), 1e-9))),
    }
    names = {"test_set": path.stem, "track": path.stem, "system": SYSTEM, "source": "vocals"}
    content = results.head(f"{path.stem} {SYSTEM}", config=config, data=sha256_of(path)) | {
        "seconds": round(time.perf_counter() - start_time, 3),
        "songs": 1,
        "records": feature_scores.as_records(scores, **names),
    }
    file = results.score_path(path.stem, SYSTEM, places)
    results.write(file, content)
    index = results.head(f"clips {path.stem}", config=config, data=sha256_of(path)) | {
        "start": start / rate,
        "caption": f"{path.stem}, as {name} sings it",
    }
    folder = places.results / "audio" / file.stem
    return [file, write_folder(folder, {"vocals": {name: ("resynthesis.mp3", sound)}}, rate, index)]


def write(test_sets, force, voice):
    """Score test sets, by name, or a solo voice."""
    return sing(voice) if voice else [path for name in test_sets for path in run(TEST_SETS[name], force=force)]


def main(arguments=None):
    scored = {name: row for name, row in TEST_SETS.items() if row.decoders}
    return command(
        "experiments.resynthesis",
        __doc__,
        write,
        {
            "--test-sets": dict(
                nargs="+",
                default=[name for name, row in scored.items() if row.folder() is not None],
                choices=scored,
                metavar="NAME",
            ),
            "--force": dict(action="store_true", help="score again what is up to date"),
            "--voice": dict(type=Path, metavar="FILE", help="a solo voice that the band's singer resynthesises"),
        },
        arguments,
    )


if __name__ == "__main__":
    raise SystemExit(main())
