"""Which trained files a system is made of, and what follows from them: its parameters and what its training took."""

import json

import numpy as np

from common import results
from common.files import sha256_of
from virtual_band.dataset import MANIFEST

CONV_TASNET = results.ROOT / "mss_nn_implementation" / "training_final_full"
DDSP = results.ROOT / "ddsp_models" / "trained"
BAND = results.ROOT / "data" / "virtual_band"


def _decoders(name):
    return tuple(DDSP / f"{name}-{source}.keras" for source in ("drums", "bass", "vocals"))


ONE, MANY, FOUR, SONG = (
    DDSP / f"separator-{name}.keras" for name in ("one_artist", "many_artists", "many_four", "air_traffic")
)
TRIO = CONV_TASNET / "trio.keras"
PLAYED = DDSP / "separator-one_artist_played.keras"
REFINED = DDSP / "separator-one_artist_refined.keras"
WEIGHTS = {
    "numpy_cnn": (results.ROOT / "neural_network_basics" / "drums_mask.npz",),
    "conv_tasnet": (TRIO,),
    "conv_tasnet@many": (CONV_TASNET / "many_trio.keras",),
    "conv_tasnet@air_traffic": (CONV_TASNET / "air_traffic.keras",),
    "musdb": (CONV_TASNET / "musdb.keras",),
    "musdb@once": (CONV_TASNET / "musdb.keras",),
    "ddsp_masked": (ONE,),
    "ddsp_masked@true_f0": (ONE,),
    "ddsp_masked@refined": (REFINED,),
    "ddsp_masked@refined_true_f0": (REFINED,),
    "ddsp_masked@many": (MANY,),
    "ddsp_masked@many_true_f0": (MANY,),
    "ddsp_masked@four": (FOUR,),
    "ddsp_masked@air_traffic": (SONG,),
    "ddsp_resynthesis": (PLAYED, *_decoders("heard")),
    "ddsp_resynthesis@air_traffic": (SONG, *_decoders("air_traffic")),
    "conv_tasnet_ddsp": (TRIO, *_decoders("band")),
    "ensemble": (TRIO, ONE, DDSP / "ensemble.json"),
}
"""The trained files of every system that has any: a changed one makes its scores stale, a missing one leaves it out."""

MUSIC = {
    "drums_mask": "one_artist", "trio": "one_artist", "many_trio": "many_artists", "separator-one_artist": "one_artist",
    "band-drums": "one_artist", "band-bass": "one_artist", "band-vocals": "one_artist",
    "heard-drums": "one_artist", "heard-bass": "one_artist", "heard-vocals": "one_artist",
    "separator-one_artist_played": "one_artist", "separator-one_artist_refined": "one_artist",
    "separator-many_artists": "many_artists", "separator-many_four": "many_artists",
}  # fmt: skip
"""Which set of the virtual band a network was trained on."""
RECORDED_MINUTES = {"musdb": 9.0, "air_traffic": 106 / 60}
"""Of recorded music: 80 of MUSDB18's 7 s excerpts (94 last 10.6 minutes), and the song's part before validation."""


MASKS = DDSP / "masks.json"
"""What was found best for the masks, of all parametric separators; without it they use their defaults."""


def missing(system):
    """The trained files of a system that are not there."""
    return [path for path in WEIGHTS.get(system, ()) if not path.exists()]


def checksums(system):
    """SHA-256 of each of a system's trained files, by name, and what was chosen for its masks on validation songs."""
    found = {path.name: sha256_of(path) for path in WEIGHTS.get(system, ())}
    chosen = results.read(MASKS)["chosen"] if MASKS.exists() else {}
    names = [name.removeprefix("separator-").removesuffix(".keras") for name in found]
    masks = [{key: chosen[name][key] for key in ("n_fft", "power")} for name in names if name in chosen]
    return found | ({"masks": masks[0]} if masks else {})


def facts(system):
    """What a system is made of.

    Returns
    -------
    dict
        "parameters": numbers that were learnt, those of its decoders included; "training_minutes" of music (the most
        that one of its networks heard; None where that set is not on this machine); "training_seconds", all its
        networks one after the other, and those that they began with, where these ship, too, each once, as their records
        have it (None where one has no record).
    """
    parameters, minutes, seconds = 0, [], {}
    for path in WEIGHTS.get(system, ()):
        record = path.with_suffix(".json")
        content = json.loads(record.read_text()) if record.exists() else {}
        if path.suffix == ".json":  # what was learnt is in the file itself
            parameters += np.size(content["shares"]) + np.size(content.get("table", []))
            continue
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                learnt = [arrays[name] for name in arrays.files]
            parameters += sum(array.size for array in learnt if np.issubdtype(array.dtype, np.floating))
        else:
            parameters += content["weights"]
        minutes.append(_minutes(path.stem, content))
        seconds[path.stem] = content.get("seconds")
        seconds |= _beginnings(path, content)
    return {
        "parameters": int(parameters),
        "training_minutes": None if None in minutes else max(minutes, default=0.0),
        "training_seconds": None if None in seconds.values() else round(sum(seconds.values()), 1),
    }


def _beginnings(path, record):
    """Seconds of training of the networks that one began with, as far back as there are records, by name."""
    training = record.get("training", {})
    start = training.get("start") or training.get("start_from")
    if not start:
        return {}
    name = f"separator-{start}" if path.stem.startswith("separator-") else start
    before = path.with_name(f"{name}.json")
    if not before.exists():
        return {}
    content = json.loads(before.read_text())
    return {name: content.get("seconds")} | _beginnings(before, content)


def _minutes(name, record):
    for recorded, minutes in RECORDED_MINUTES.items():
        if recorded in name:
            return minutes
    if given := record.get("training", {}).get("minutes"):
        return given
    try:
        manifest = json.loads((BAND / MUSIC.get(name, name) / MANIFEST).read_text())
        return len(manifest["songs"]) * manifest["seconds"] / 60
    except (OSError, ValueError, KeyError):
        return None
