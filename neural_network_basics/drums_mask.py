"""A separator of a few thousand weights, in NumPy: a convolution over the frames of a spectrogram predicts a mask.

`python -m neural_network_basics.drums_mask` trains it on songs of the virtual band and writes `drums_mask.npz`.
"""

import argparse
import json
import zipfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import fix_length, istft, resample, stft, to_mono
from common.files import atomic_path, sha256_of
from neural_network_basics.nn_scripts.activations import PReLU, Sigmoid
from neural_network_basics.nn_scripts.conv1d import Conv1D
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D
from neural_network_basics.nn_scripts.loss import BinaryCrossEntropy
from neural_network_basics.nn_scripts.network import Adam, Network, Residual, train

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH = 1024, 256
BANDS = 64
TRAINING_SONGS = 12
WEIGHTS = Path(__file__).with_name("drums_mask.npz")


def band_matrix(bands=BANDS):
    """How the bins of the spectrum share in the bands: F, (bins, bands), whose rows add up to one.

    The centres are evenly spaced on the mel scale, 2595 log10(1 + f / 700 Hz); a bin between two centres belongs to
    both in proportion. So X F gathers bins into bands, and M F^T spreads a mask of bands over the bins.
    """
    hertz = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    mel = np.log10(1 + hertz / 700)
    position = mel / mel[-1] * (bands - 1)  # 0 at the first band's centre, bands - 1 at the last one's
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(bands))).astype(np.float32)


F = band_matrix()


def band_centres(bands=BANDS):
    """Centre frequency of each band in Hz."""
    mel = np.linspace(0, np.log10(1 + SAMPLE_RATE / 2 / 700), bands)
    return 700 * (10**mel - 1)


def band_power(audio):
    """Power in each band, |X|^2 F: (samples,) at 16 kHz -> (frames, bands)."""
    return np.square(np.abs(stft(np.asarray(audio, np.float32), N_FFT, HOP_LENGTH))).T.astype(np.float32) @ F


def features(power):
    """What the network sees: log power relative to the song's mean, so that a louder song looks the same."""
    level = power.mean()
    return np.log10(power / (level if level > 0 else 1) + 1e-6).astype(np.float32)


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
        Stems of each song, (samples,) at 16 kHz.
    frames : int
        Length of an example: 125 frames are 2 s.

    Returns
    -------
    x, t, weight : ndarray (examples, frames, bands)
        Features, target mask, and the weight of each cell in the loss: its magnitude, with a mean of 1.
    """
    x, t, weight = [], [], []
    for stems in songs:
        power = band_power(sum(stems.values()))
        for values, array in ((x, features(power)), (t, target_mask(stems)), (weight, np.sqrt(power))):
            values.append(array[: len(array) // frames * frames].reshape(-1, frames, BANDS))
    weight = np.concatenate(weight)
    return np.concatenate(x), np.concatenate(t), weight / weight.mean()


def new_network(channels=24, dilations=(1, 2, 4), seed=0):
    """The network: bands -> channels, residual blocks that look at neighbouring frames, channels -> bands.

    A block is Conv-TasNet's in small: a depthwise convolution over time, a PReLU, and a convolution of one tap, which
    is a dense layer across the channels of each frame. The output are logits; their sigmoid is the mask.
    """
    rng = np.random.default_rng(seed)
    blocks = [
        Residual(
            DepthwiseConv1D(channels, 3, dilation, gain=2, rng=rng), PReLU(), Conv1D(channels, channels, 1, rng=rng)
        )
        for dilation in dilations
    ]
    return Network(Conv1D(BANDS, channels, 1, rng=rng), *blocks, PReLU(), Conv1D(channels, BANDS, 1, rng=rng))


class DrumsMask:
    """Drums and the rest of a mixture, by a mask that a NumPy network predicts.

    Parameters
    ----------
    network : Layer
        Features (batch, frames, bands) -> logits of the same shape.
    mean, scale : ndarray (bands,)
        The features are brought to mean 0 and variance 1 with these, which the training songs had.

    Attributes
    ----------
    sources : tuple of str
    sample_rate : int
        Assumed where none is given, in Hz.
    window_seconds : float
        How much of a long song to separate at once.
    """

    sources = ("drums", "rest")
    sample_rate = SAMPLE_RATE
    window_seconds = 30.0

    def __init__(self, network, mean, scale):
        self.network, self.mean, self.scale = network, mean, scale

    def inputs(self, x):
        """Standardised features."""
        return (x - self.mean) / self.scale

    def mask(self, audio):
        """The drums' share of every bin: (samples,) at 16 kHz -> (bins, frames), from 0 to 1."""
        x = self.inputs(features(band_power(audio)))
        logits = self.network.forward(x[None])[0]
        return (Sigmoid().forward(logits) @ F.T).T

    def separate(self, mixture, sample_rate=None):
        """Separate a mixture.

        Parameters
        ----------
        mixture : ndarray (..., samples)
            Any length, rate and number of channels; the mask is that of the channels' mean, at 16 kHz. Above 8 kHz
            the rest keeps everything.
        sample_rate : int, optional
            Of the mixture, in Hz; 16,000 where it is None.

        Returns
        -------
        dict of ndarray (..., samples)
            "drums" and "rest", which add up to the mixture.

        Raises
        ------
        ValueError
            Where the mixture is empty or not finite.
        """
        mixture = np.asarray(mixture)
        if mixture.size == 0:
            raise ValueError(f"mixture: shape {mixture.shape} given, at least one sample expected")
        if not np.isfinite(mixture).all():
            raise ValueError("mixture: NaN or infinity found, finite samples expected")
        rate = SAMPLE_RATE if sample_rate is None else sample_rate
        audio = resample(mixture.astype(np.float32), rate, SAMPLE_RATE)
        mask = self.mask(to_mono(audio) if audio.ndim > 1 else audio)
        drums = istft(mask * stft(audio, N_FFT, HOP_LENGTH), HOP_LENGTH, length=audio.shape[-1])
        drums = fix_length(resample(drums.astype(np.float32), SAMPLE_RATE, rate), mixture.shape[-1])
        return {"drums": drums, "rest": mixture - drums}

    def save(self, path=WEIGHTS):
        """Write the parameters, in the order of `network.pairs()`, and the standardisation; beside them a checksum."""
        arrays = {f"parameter_{i:02}": parameter for i, (parameter, _) in enumerate(self.network.pairs())}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, mean=self.mean, scale=self.scale, **arrays)
        with atomic_path(Path(path).with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps({"sha256": sha256_of(path)}) + "\n")

    @classmethod
    def load(cls, path=WEIGHTS):
        """Read what `save` wrote, into a network of the standard size.

        Raises
        ------
        ValueError
            Where a file is missing or damaged, or the weights are not those that the checksum is of.
        """
        again = "`python -m neural_network_basics.drums_mask` writes it anew"
        try:
            intact = json.loads(Path(path).with_suffix(".json").read_text())["sha256"] == sha256_of(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: it or its checksum is missing or damaged; {again}") from error
        if not intact:
            raise ValueError(f"{path}: changed since it was saved; {again}")
        network = new_network()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for i, (parameter, _) in enumerate(network.pairs()):
                    parameter[...] = arrays[f"parameter_{i:02}"]
                return cls(network, arrays["mean"], arrays["scale"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: holds no such network; {again}") from error


def fit(songs, epochs=(40, 20), learning_rates=(1e-2, 2e-3), seed=0):
    """Train a drums mask.

    Parameters
    ----------
    songs : list of dict
        Stems of each song, (samples,) at 16 kHz.
    epochs, learning_rates : sequence
        Of each stage of the training: a fast one, then a slow one that settles.
    seed : int
        Of the weights and of the order of the examples.

    Returns
    -------
    model : DrumsMask
    history : list of dict
        See `train`; "stage" is added.
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
        The first so many songs; all of the set where it is None.

    Returns
    -------
    dict of dict of ndarray
        Name of the song -> its audible stems.
    """
    from virtual_band import render_song
    from virtual_band.dataset import SETS, songs_of

    songs = {}
    for artist, seed in songs_of(name, count):
        song = render_song(artist, seed, other=SETS[name].other)
        songs[song.name] = {
            source: resample(to_mono(stem), song.sample_rate, SAMPLE_RATE)
            for source, stem in song.stems.items()
            if np.any(stem)
        }
    return songs


def main(arguments=None):
    """Train on `TRAINING_SONGS` songs and write the weights."""
    argparse.ArgumentParser(prog="python -m neural_network_basics.drums_mask", description=main.__doc__).parse_args(
        arguments
    )
    model, history = fit(list(band_songs("one_artist", TRAINING_SONGS).values()))
    model.save()
    print(f"wrote {WEIGHTS.name}: {model.network.size} weights, loss {history[-1]['loss']:.3f}")


if __name__ == "__main__":
    main()
