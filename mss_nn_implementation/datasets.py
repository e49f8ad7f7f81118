"""Training examples: crops of stems, remixed; every tree that `audio_processing.tracks` reads will do."""

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.tracks import tracks


def load_stems(root, subset, sources, sample_rate):
    """Decode a dataset once, to mono at one sample rate.

    Parameters
    ----------
    root : str or Path
        a tree in MUSDB18-HQ layout or of .stem.mp4 files.
    subset : str
        "train" or "test".
    sources : sequence of str
    sample_rate : int
        in Hz.

    Returns
    -------
    list of np.ndarray, float32, (sources, samples)
        one per song, sorted by its name.
    """
    songs = tqdm(tracks(root, subset), desc=f"reading {subset} songs", unit="song", leave=False)
    return [np.stack(list(song.stems(sample_rate, mono=True, sources=sources).values())) for song in songs]


class RandomCrops(keras.utils.PyDataset):
    """Batches of random crops; each stem from a song and a moment of its own with probability `remix`.

    Stems that never met force the network to know each source by its own sound rather than by its company (Uhlich et
    al. 2017, https://doi.org/10.1109/ICASSP.2017.7952158). Each stem also gets a random level and polarity.

    Every batch is drawn from (seed, epoch, number in the epoch) alone, so a run that is resumed sees what it would have
    seen. Set `epoch` before an epoch begins.

    Parameters
    ----------
    songs : list of np.ndarray, (sources, samples)
        each at least a crop long.
    samples : int
        in a crop.
    training : parameters.Training

    Notes
    -----
    `dataset[i]` is (mixtures (batch, samples), stems (batch, sources, samples)), float32.
    """

    def __init__(self, songs, samples, training):
        super().__init__()
        short = [i for i, song in enumerate(songs) if song.shape[-1] < samples]
        if short or not songs:
            raise ValueError(f"songs: at least one, of at least {samples} samples each, expected; too short: {short}")
        self.songs, self.samples, self.training = songs, samples, training
        self.epoch = 0

    def __len__(self):
        return self.training.steps_per_epoch

    def __getitem__(self, index):
        t = self.training
        rng = np.random.default_rng((t.seed, self.epoch, index))
        n_sources = len(self.songs[0])
        stems = np.empty((t.batch_size, n_sources, self.samples), np.float32)
        for item in stems:
            together = rng.random() >= t.remix
            song, start = self._somewhere(rng)
            for i in range(n_sources):
                if not together:
                    song, start = self._somewhere(rng)
                gain = 10 ** (rng.uniform(-t.gain_db, t.gain_db) / 20) * rng.choice((-1, 1))
                item[i] = gain * song[i, start : start + self.samples]
        return stems.sum(axis=1), stems

    def _somewhere(self, rng):
        song = self.songs[rng.integers(len(self.songs))]
        return song, rng.integers(song.shape[-1] - self.samples + 1)


def fixed_crops(songs, samples):
    """Cut the songs into consecutive crops, for validation.

    Returns mixtures (crops, samples) and stems (crops, sources, samples); what is left at a song's end is not used.
    """
    crops = [song[:, i : i + samples] for song in songs for i in range(0, song.shape[-1] - samples + 1, samples)]
    stems = np.stack(crops)
    return stems.sum(axis=1), stems
