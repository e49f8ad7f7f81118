"""Train the drums mask: python -m neural_network_basics.train_drums_mask

Renders songs of the virtual band and writes `drums_mask.npz`, with a checksum beside it. Shown in `cnn_report.ipynb`.
"""

import argparse

import numpy as np

from audio_processing.audio_processing import resample, to_mono
from neural_network_basics.drums_mask import BANDS, SAMPLE_RATE, WEIGHTS, DrumsMask, band_power, features, new_network
from neural_network_basics.nn_scripts.loss import BinaryCrossEntropy
from neural_network_basics.nn_scripts.network import Adam, train

TRAINING_SONGS = 12


def target_mask(stems):
    """Share of the drums in each band's power, t = |D|^2 F / sum_j |S_j|^2 F: a ratio mask, gathered into bands."""
    power = {source: band_power(stem) for source, stem in stems.items()}
    total = sum(power.values())
    return power["drums"] / np.where(total > 0, total, 1)


def examples(songs, frames=125):
    """Cut songs into short examples.

    Parameters
    ----------
    songs : list of dict
        stems of each song, (samples,) at 16 kHz.
    frames : int
        length of an example: 125 frames are 2 s.

    Returns
    -------
    x, t, weight : np.ndarray, (examples, frames, bands)
        features, target mask, and the weight of each cell in the loss: its magnitude, with a mean of 1.
    """
    x, t, weight = [], [], []
    for stems in songs:
        power = band_power(sum(stems.values()))
        for values, array in ((x, features(power)), (t, target_mask(stems)), (weight, np.sqrt(power))):
            values.append(array[: len(array) // frames * frames].reshape(-1, frames, BANDS))
    weight = np.concatenate(weight)
    return np.concatenate(x), np.concatenate(t), weight / weight.mean()


def fit(songs, epochs=(40, 20), learning_rates=(1e-2, 2e-3), seed=0):
    """Train a drums mask.

    Parameters
    ----------
    songs : list of dict
        stems of each song, (samples,) at 16 kHz.
    epochs, learning_rates : sequence
        of each stage of the training: a fast one, then a slow one.
    seed : int
        of the weights and of the order of the examples.

    Returns
    -------
    model : DrumsMask
    history : list of dict
        as returned by `train`; "stage" is added.
    """
    x, t, weight = examples(songs)
    model = DrumsMask(new_network(seed=seed), x.mean(axis=(0, 1)), x.std(axis=(0, 1)))
    history, optimiser = [], Adam()
    for stage, (count, optimiser.learning_rate) in enumerate(zip(epochs, learning_rates)):
        rows = train(
            model.network, BinaryCrossEntropy(), optimiser, model.inputs(x), t, count, 8, seed + stage, weight=weight
        )
        history += [row | {"stage": stage} for row in rows]
    return model, history


def band_songs(name, count=None):
    """Names and stems, mono at 16 kHz, of songs of a set of the virtual band, rendered on the spot.

    Parameters
    ----------
    name : str
        "one_artist", "same_artist", ...: see `virtual_band.dataset.SETS`.
    count : int, optional
        use the first so many songs; all of the set if None.

    Returns
    -------
    dict of str to dict of np.ndarray
        the audible stems of every song, by its name.
    """
    from virtual_band import render_song
    from virtual_band.dataset import SETS, songs_of

    def audible(song):
        stems = {source: to_mono(stem) for source, stem in song.stems.items() if np.any(stem)}
        return {source: resample(stem, song.sample_rate, SAMPLE_RATE) for source, stem in stems.items()}

    songs = (render_song(artist, seed, other=SETS[name].other) for artist, seed in songs_of(name, count))
    return {song.name: audible(song) for song in songs}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m neural_network_basics.train_drums_mask", description=(__doc__ or "").partition("\n")[0]
    )
    parser.parse_args(arguments)
    songs = list(band_songs("one_artist", TRAINING_SONGS).values())
    model, history = fit(songs)
    model.save(training_minutes=sum(len(next(iter(stems.values()))) for stems in songs) / SAMPLE_RATE / 60)
    print(f"wrote {WEIGHTS.name}: {model.network.size} weights, loss {history[-1]['loss']:.3f}")


if __name__ == "__main__":
    main()
