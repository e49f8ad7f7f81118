"""Hyperparameter search for masks: python -m ddsp_models.separation.tune_masks [NAME] [--decoders]

Tries windows and exponents on the validation songs of a separator, with --decoders also for masks from the sounds of
decoders (those of `ddsp_resynthesis`), and writes the best to `trained/masks.json`, which `separators.MaskedSeparator`
reads, and all of one_artist's to results/masks-validation.json.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import fix_length, istft, stft
from audio_processing.masks import wiener_masks
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from common.files import sha256_of
from common.places import HERE
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.separators import MaskedSeparator, decoded_masks, load_decoders, load_separator, synthesise
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
        chunks = np.split(mixture[: len(mixture) // longest * longest], len(mixture) // longest)
        whole = np.concatenate(chunks)
        sounds = None
        if decoders:
            features = (estimator or separators[sizes.n_fft]).describe(mixture)
            sounds = fix_length(synthesise(decoders, features), len(mixture))[:, : len(whole)]
        for n_fft, separator in separators.items():
            pairs = [(separator.analyse(chunk)["masks"], stft(chunk, n_fft, sizes.hop)) for chunk in chunks]
            spectrum = stft(whole, n_fft, sizes.hop)
            for power in POWERS:
                parts = [  # masks to the power, as if the spectra had been raised
                    istft(wiener_masks(mask, power, floor=0) * part, sizes.hop, length=longest) for mask, part in pairs
                ]
                estimates = {"ddsp_masked": np.concatenate(parts, axis=1)}
                if sounds is not None:
                    masks = decoded_masks(sounds, n_fft, sizes.hop, power)
                    estimates["ddsp_masked@decoders"] = istft(masks * spectrum, sizes.hop, length=len(whole))
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
        [song] = recorded_songs(sizes, root, part)
        return {AIR_TRAFFIC: song.stems}
    read = {song.name: song.stems(sizes.sample_rate, True, sizes.sources) for song in tracks(root, part)}
    return {name: np.stack(list(stems.values())) for name, stems in read.items()}


def best(rows, system="ddsp_masked"):
    """The window and exponent with the highest mean: {"n_fft", "power"}."""
    values = {}
    for row in rows:
        if row["system"] == system:
            values.setdefault((row["n_fft"], row["power"]), []).append(row["value"])
    n_fft, power = max(sorted(values), key=lambda key: np.mean(values[key]))
    return {"n_fft": n_fft, "power": power}


def main(arguments=None, places=HERE):
    parser = argparse.ArgumentParser(
        prog="python -m ddsp_models.separation.tune_masks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default=NAMES[0], choices=NAMES, help="(default: %(default)s)")
    parser.add_argument("--decoders", action="store_true", help="masks from the sounds of decoders, too (one_artist)")
    parser.add_argument("--first", type=int, metavar="N", help="use the first N songs (default: all)")
    parser.add_argument("--data", type=Path, help="folder of the virtual band's sets")
    parser.add_argument("--song", type=Path, help="folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)")
    options = parser.parse_args(arguments)
    where = partial(folder_of, data=options.data, song=options.song, places=places)
    path, scores = WEIGHTS / "masks.json", places.results / "masks-validation.json"
    try:
        model, _ = load_separator(options.name)
        songs = dict(list(validation_songs(options.name, model.sizes, where).items())[: options.first])
        estimator = ()
        if options.decoders:
            estimator = load_decoders("heard", model.sizes.sources), MaskedSeparator.load("one_artist_played")
        rows = trials(model, songs, *estimator)
        chosen = results.read(path)["chosen"] if path.exists() else {}
    except (OSError, ValueError) as error:
        print(f"tune_masks: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    validation = RECIPES[options.name].validation
    data = sha256_of(*RECIPES[options.name].trainer.files(*where(validation)))
    head = results.head("windows and exponents of masks", data=data)
    written = {path: {"chosen": chosen | {options.name: best(rows) | {"data": data}}}}
    if options.name == NAMES[0]:
        about = {"test_set": validation[0], "metric": "si_sdr", "unit": "dB"}
        written[scores] = {"records": [about | row for row in rows]}
    for file, content in written.items():
        results.write(file, head | content)
    print(options.name, best(rows))
    print("wrote", ", ".join(map(os.path.relpath, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
