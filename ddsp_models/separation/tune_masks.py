"""Hyperparameter search for masks: python -m ddsp_models.separation.tune_masks [NAME] [--decoders]

Tries windows and exponents on the validation songs of a separator, with --decoders also for masks from the sounds of
decoders (those of `ddsp_resynthesis`), and writes the best to `trained/masks.json`, which `separators.MaskedSeparator`
reads, and all of one_artist's to results/masks-validation.json.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import fix_length, istft, stft
from audio_processing.masks import wiener_masks
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from common.command import command
from common.files import sha256_of
from common.places import HERE
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.separators import MaskedSeparator, decoded_masks, load_decoders, synthesise
from ddsp_models.separation.train import RECIPES
from ddsp_models.separation.train_separator import recorded_songs
from training.command import AIR_TRAFFIC, folder_of

WINDOWS = (1024, 2048, 4096)
POWERS = (0.7, 1.0, 1.3, 1.6, 2.0)
NAMES = ("one_artist", "many_artists", "many_four", "air_traffic")


def trials(model, songs, decoders=None, estimator=None):
    """SI-SDR with every window and exponent.

    Parameters
    ----------
    model : ParametricSeparator
    songs : dict of str to np.ndarray, (sources, samples)
        stems by the name of the song, at the separator's rate; none of them is in a test set.
    decoders : dict of autoencoder.Decoder, optional
        also try masks from their sounds.
    estimator : MaskedSeparator, optional
        whose features drive the decoders; the model itself by default.

    Returns
    -------
    list of dict
        "track", "system" (ddsp_masked or ddsp_masked@decoders), "n_fft", "power", "source", "value" in dB.
    """
    rows, sizes = [], model.sizes
    separators = {n_fft: MaskedSeparator(model, n_fft=n_fft) for n_fft in WINDOWS}
    longest = round(MaskedSeparator.chunk_seconds * sizes.sample_rate)
    for song, stems in songs.items():
        mixture = stems.sum(axis=0)
        longest = min(longest, len(mixture) // sizes.hop * sizes.hop)
        whole = mixture[: len(mixture) // longest * longest]
        chunks = np.split(whole, len(mixture) // longest)
        sounds = None
        if decoders:
            features = (estimator or separators[sizes.n_fft]).describe(mixture)
            sounds = fix_length(synthesise(decoders, features), len(whole))
        for n_fft, separator in separators.items():
            pairs = [(separator.analyse(chunk)["masks"], stft(chunk, n_fft, sizes.hop)) for chunk in chunks]
            for power in POWERS:
                parts = [  # masks to the power, as if the spectra had been raised
                    istft(wiener_masks(mask, power, floor=0) * part, sizes.hop, length=longest) for mask, part in pairs
                ]
                estimates = {"ddsp_masked": np.concatenate(parts, axis=1)}
                if sounds is not None:
                    divided = decoded_masks(sounds, n_fft, sizes.hop, power) * stft(whole, n_fft, sizes.hop)
                    estimates["ddsp_masked@decoders"] = istft(divided, sizes.hop, length=len(whole))
                rows += [
                    {
                        "track": song,
                        "system": system,
                        "n_fft": n_fft,
                        "power": power,
                        "source": source,
                        "value": float(si_sdr(stem[: len(whole)], estimate[i])),
                    }
                    for system, estimate in estimates.items()
                    for i, (source, stem) in enumerate(zip(sizes.sources, stems))
                    if stem[: len(whole)].any()
                ]
    return rows


def validation_songs(name, sizes, where=folder_of):
    """The songs that the masks of a separator are tuned on, as `trials` takes them.

    Parameters
    ----------
    name : str
        of a separator in `train.RECIPES`: its validation songs.
    sizes : Sizes
    where : callable
        see `training.command.folder_of`.

    Returns
    -------
    dict of str to np.ndarray, (sources, samples)
    """
    songs = RECIPES[name].validation
    root, part = where(songs)
    if songs[0] == AIR_TRAFFIC:
        return {AIR_TRAFFIC: recorded_songs(sizes, root, part)[0].stems}
    return {
        song.name: np.stack(list(song.stems(sizes.sample_rate, True, sizes.sources).values()))
        for song in tracks(root, part)
    }


def best(rows, system="ddsp_masked"):
    """The window and exponent with the highest mean: {"n_fft", "power"}."""
    values = {}
    for row in rows:
        if row["system"] == system:
            values.setdefault((row["n_fft"], row["power"]), []).append(row["value"])
    return dict(zip(("n_fft", "power"), max(sorted(values), key=lambda key: np.mean(values[key]))))


def write(name, decoders=False, first=None, data=None, song=None, places=HERE):
    """Try all masks of a separator, and write the best ones and the table; returns the files written, as a list."""
    recipe, where = RECIPES[name], partial(folder_of, data=data, song=song, places=places)
    model = MaskedSeparator.load(name).model
    songs = dict(list(validation_songs(name, model.sizes, where).items())[:first])
    heard = (load_decoders("heard", model.sizes.sources), MaskedSeparator.load("one_artist_played")) if decoders else ()
    rows = trials(model, songs, *heard)
    path = WEIGHTS / "masks.json"
    chosen = results.read(path)["chosen"] if path.exists() else {}
    checksum = sha256_of(*recipe.trainer.files(*where(recipe.validation)))
    written = {path: {"chosen": chosen | {name: best(rows) | {"data": checksum}}}}
    if name == NAMES[0]:
        about = {"test_set": recipe.validation[0], "metric": "si_sdr", "unit": "dB"}
        written[places.results / "masks-validation.json"] = {"records": [about | row for row in rows]}
    for file, content in written.items():
        results.write(file, results.head("windows and exponents of masks", data=checksum) | content)
    print(name, best(rows))
    return list(written)


def main(arguments=None, places=HERE):
    return command(
        "ddsp_models.separation.tune_masks",
        __doc__,
        partial(write, places=places),
        {
            "name": {"nargs": "?", "default": NAMES[0], "choices": NAMES, "help": "(default: %(default)s)"},
            "--decoders": {"action": "store_true", "help": "masks from the sounds of decoders, too (one_artist)"},
            "--first": {"type": int, "metavar": "N", "help": "use the first N songs (default: all)"},
            "--data": {"type": Path, "help": "folder of the virtual band's sets"},
            "--song": {"type": Path, "help": "folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)"},
        },
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
