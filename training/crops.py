"""Batches of random crops that a resumed run gets again."""

import time

import keras
import numpy as np

from common.checks import expect


class SeededCrops(keras.utils.PyDataset):
    """Batches of random crops of songs, each drawn from (seed, epoch, number in the epoch) alone.

    A run that is resumed therefore sees what it would have seen. Set `epoch` before an epoch begins. The children have
    a method `batch`: (generator of random numbers, number in the epoch) → inputs and targets.

    Parameters
    ----------
    songs : list
    lengths : list of int
        of the songs in samples, each at least a crop long.
    samples : int
        in a crop.
    training : settings.Training
    hop : int
        crops begin at multiples of so many samples.

    Attributes
    ----------
    spent : float
        seconds that making batches took so far.
    """

    def __init__(self, songs, lengths, samples, training, hop=1):
        super().__init__()
        expect(samples > 0, "seconds", "a crop of one sample or more", training.seconds)
        short = [i for i, length in enumerate(lengths) if length < samples]
        expect(
            songs and not short,
            "songs",
            f"one or more of at least {samples} samples each",
            f"{len(songs)}, too short: {short}",
        )
        self.songs, self.lengths, self.samples, self.training, self.hop = songs, lengths, samples, training, hop
        self.epoch, self.spent = 0, 0.0

    def __len__(self):
        return self.training.steps_per_epoch

    def __getitem__(self, index):
        start = time.perf_counter()
        batch = self.batch(np.random.default_rng((self.training.seed, self.epoch, index)), index)
        self.spent += time.perf_counter() - start
        return batch

    def somewhere(self, rng):
        """A random song and the first sample of a crop of it."""
        i = rng.integers(len(self.songs))
        return self.songs[i], self.hop * int(rng.integers((self.lengths[i] - self.samples) // self.hop + 1))
