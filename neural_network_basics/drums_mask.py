"""A separator of a few thousand weights, in NumPy: convolutions over the frames of a spectrogram predict a mask.

`python -m neural_network_basics.train_drums_mask` trains it on songs of the virtual band and writes `drums_mask.npz`.
Shown in `cnn_report.ipynb`.
"""

import json
import zipfile
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import fix_length, istft, resample, stft
from audio_processing.chunks import MonoSeparator
from common.files import atomic_path, sha256_of
from neural_network_basics.nn_scripts.activations import PReLU, Sigmoid
from neural_network_basics.nn_scripts.conv1d import Conv1D
from neural_network_basics.nn_scripts.depthwise import DepthwiseConv1D
from neural_network_basics.nn_scripts.network import Network, Residual

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH = 1024, 256
BANDS = 64
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
    return 700 * (10 ** np.linspace(0, np.log10(1 + SAMPLE_RATE / 2 / 700), bands) - 1)


def band_power(audio):
    """Power in each band, |X|^2 F: (samples,) at 16 kHz -> (frames, bands)."""
    return np.square(np.abs(stft(np.asarray(audio, np.float32), N_FFT, HOP_LENGTH))).T.astype(np.float32) @ F


def features(power):
    """Input of the network: log power relative to the song's mean, so that a louder song gives the same."""
    level = power.mean()
    return np.log10(power / (level if level > 0 else 1) + 1e-6).astype(np.float32)


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


class DrumsMask(MonoSeparator):
    """Drums and the rest of a mixture, by a mask that a NumPy network predicts.

    The network gets the song at 16 kHz, several channels along their `principal_axes`. Above 8 kHz the rest keeps
    everything. Drums and rest add up to the mixture.

    Parameters
    ----------
    network : Layer
        features (batch, frames, bands) -> logits of the same shape.
    mean, scale : np.ndarray, (bands,)
        of the features of the training songs; with these the features are brought to mean 0 and variance 1.
    """

    sources = ("drums", "rest")
    sample_rate = SAMPLE_RATE
    # The level that features are relative to is that of a chunk: songs up to this length have one level.
    chunk_seconds = 60.0
    overlap_seconds = 7.5

    def __init__(self, network, mean, scale):
        self.network, self.mean, self.scale = network, mean, scale

    def inputs(self, x):
        """Standardised features."""
        return (x - self.mean) / self.scale

    def mask(self, audio):
        """The drums' share of every bin: (samples,) at 16 kHz -> (bins, frames), from 0 to 1."""
        logits = self.network.forward(self.inputs(features(band_power(audio)))[None])[0]
        return (Sigmoid().forward(logits) @ F.T).T

    def separate_mono(self, signal, sample_rate):
        """Drums and rest, (2, samples), of (samples,)."""
        audio = resample(signal, sample_rate, SAMPLE_RATE)
        drums = istft(self.mask(audio) * stft(audio, N_FFT, HOP_LENGTH), HOP_LENGTH, length=len(audio))
        drums = fix_length(resample(drums.astype(np.float32), SAMPLE_RATE, sample_rate), len(signal))
        return np.stack([drums, signal - drums])

    def save(self, path=WEIGHTS, **facts):
        """Write the parameters, in the order of `network.pairs()`, and the standardisation; beside them facts of the
        training and a checksum."""
        arrays = {f"parameter_{i:02}": parameter for i, (parameter, _) in enumerate(self.network.pairs())}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, mean=self.mean, scale=self.scale, **arrays)
        with atomic_path(Path(path).with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps({**facts, "sha256": sha256_of(path)}) + "\n")

    @classmethod
    def load(cls, path=WEIGHTS):
        """Read what `save` wrote, into a network of the standard size.

        Raises
        ------
        ValueError
            if a file is missing or damaged, or if the weights are not those of the checksum.
        """
        again = "`python -m neural_network_basics.train_drums_mask` writes it again"
        network = new_network()
        try:
            intact = json.loads(Path(path).with_suffix(".json").read_text())["sha256"] == sha256_of(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: it or its checksum is missing or damaged; {again}") from error
        if not intact:
            raise ValueError(f"{path}: changed since it was saved; {again}")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for i, (parameter, _) in enumerate(network.pairs()):
                    parameter[...] = arrays[f"parameter_{i:02}"]
                return cls(network, arrays["mean"], arrays["scale"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: holds no such network; {again}") from error
