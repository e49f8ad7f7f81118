"""Window and exponent of a separator's masks: python -m ddsp_models.separation.tune_masks [NAME] [--played]

Tries several on the validation songs, with --played also for masks made of what decoders play (those of
`ddsp_resynthesis`, told by the separator that tells them there), and writes the best to `trained/masks.json`, where
`separators.MaskedSeparator` finds it, and all of them to results/masks-validation.json.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import fix_length, istft, stft
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.separators import MaskedSeparator, decoded_masks, load_decoders, load_separator, play
from ddsp_models.separation.train import BAND, RECORDED, checksum, recorded_songs

WINDOWS = (1024, 2048, 4096)
POWERS = (0.7, 1.0, 1.3, 1.6, 2.0)
SONGS = {
    "one_artist": ("validation", "test"),
    "many_artists": ("many_validation", "test"),
    "many_four": ("many_validation", "test"),
    "air_traffic": (RECORDED, "validation"),
}
"""Which songs the masks of a separator are chosen on: a set of the virtual band, or a part of the recorded song."""


def trials(model, songs, decoders=None, teller=None):
    """SI-SDR with every window and exponent.

    Parameters
    ----------
    model : ParametricSeparator
    songs : dict of str to np.ndarray, (sources, samples)
        stems by the name of the song, at the separator's rate; none of them is tested on.
    decoders : dict of autoencoder.Decoder, optional
        also try masks from what they play.
    teller : MaskedSeparator, optional
        tells them what to play; the model itself by default.

    Returns
    -------
    list of dict
        "track", "system" (ddsp_masked or ddsp_masked@decoders), "n_fft", "power", "source", "value" in dB.
    """
    found = []
    separators = {n_fft: MaskedSeparator.of(model, n_fft=n_fft) for n_fft in WINDOWS}
    s = model.sizes
    size = round(MaskedSeparator.window_seconds * s.sample_rate)
    for song, stems in songs.items():
        mixture = stems.sum(axis=0)
        size = min(size, len(mixture) // s.hop * s.hop)
        starts = range(0, len(mixture) - size + 1, size)
        known = np.concatenate([stems[:, i : i + size] for i in starts], axis=1)
        sounds = None
        if decoders:
            described = (teller or separators[s.n_fft]).describe(mixture)
            sounds = fix_length(play(decoders, described), len(mixture))[:, : known.shape[1]]
        for n_fft, separator in separators.items():
            spectra = [stft(mixture[i : i + size], n_fft, s.hop) for i in starts]
            masks = [separator.analyse(mixture[i : i + size])["masks"] for i in starts]
            for power in POWERS:
                raised = [mask**power for mask in masks]  # as if the spectra had been
                parts = [
                    istft(mask / mask.sum(axis=0) * spectrum, s.hop, length=size)
                    for mask, spectrum in zip(raised, spectra)
                ]
                estimates = {"ddsp_masked": np.concatenate(parts, axis=1)}
                if sounds is not None:
                    spectrum = stft(mixture[: known.shape[1]], n_fft, s.hop)
                    shares = decoded_masks(sounds, n_fft, s.hop, power)
                    estimates["ddsp_masked@decoders"] = istft(shares * spectrum, s.hop, length=known.shape[1])
                for system, estimate in estimates.items():
                    found += [
                        {
                            "track": song,
                            "system": system,
                            "n_fft": n_fft,
                            "power": power,
                            "source": source,
                            "value": float(si_sdr(known[i], estimate[i])),
                        }
                        for i, source in enumerate(s.sources)
                        if known[i].any()
                    ]
    return found


def validation_songs(name, sizes, data=BAND, recorded=None):
    """The songs of `SONGS`, as `trials` takes them.

    Parameters
    ----------
    name : str
        of `SONGS`.
    sizes : Sizes
    data, recorded : str or Path, optional
        folders of the virtual band's sets and of the recorded song's stems.

    Returns
    -------
    dict of str to np.ndarray, (sources, samples)
    """
    which, part = SONGS[name]
    if which == RECORDED:
        [song] = recorded_songs(part, sizes, recorded)
        return {RECORDED: song.stems}
    found = tracks(Path(data) / which, part)
    return {song.name: np.stack(list(song.stems(sizes.sample_rate, True, sizes.sources).values())) for song in found}


def best(found, system="ddsp_masked"):
    """The window and exponent with the highest mean: {"n_fft", "power"}."""
    rows = [row for row in found if row["system"] == system]
    keys = sorted({(row["n_fft"], row["power"]) for row in rows})

    def mean(key):
        return np.mean([row["value"] for row in rows if (row["n_fft"], row["power"]) == key])

    n_fft, power = max(keys, key=mean)
    return {"n_fft": n_fft, "power": power}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m ddsp_models.separation.tune_masks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default="one_artist", choices=SONGS, help="(default: %(default)s)")
    parser.add_argument("--played", action="store_true", help="masks from what decoders play, too (one_artist)")
    parser.add_argument("--songs", type=int, default=0, help="the first so many (default: all)")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    parser.add_argument("--song", type=Path, help="folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)")
    options = parser.parse_args(arguments)
    which = SONGS[options.name]
    path, scores = WEIGHTS / "masks.json", results.RESULTS / "masks-validation.json"
    try:
        model, _ = load_separator(options.name)
        songs = validation_songs(options.name, model.sizes, options.data, options.song)
        songs = dict(list(songs.items())[: options.songs or None])
        played = ()
        if options.played:
            played = load_decoders("heard", model.sizes.sources), MaskedSeparator("one_artist_played")
        found = trials(model, songs, *played)
        chosen = results.read(path)["chosen"] if path.exists() else {}
    except (OSError, ValueError) as error:
        print(f"choices: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    data = checksum([which], options.data, options.song)
    head = results.head("windows and exponents of masks", data=data)
    results.write(path, head | {"chosen": chosen | {options.name: best(found) | {"data": data}}})
    row = {"test_set": which[0], "metric": "si_sdr", "unit": "dB"}
    written = [path]
    if options.name == "one_artist":
        written.append(scores)
        results.write(scores, head | {"records": [row | record for record in found]})
    print(options.name, best(found))
    print("wrote", ", ".join(os.path.relpath(each) for each in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
