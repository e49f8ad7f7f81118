"""Training crops for the analysis network: remixed stems with f0 and feature targets.

Notebook: ddsp_models/combined_report.ipynb
"""

from dataclasses import dataclass

import numpy as np

from audio_processing.audio_processing import fix_length, resample
from ddsp_models import features as feature
from ddsp_models.features import HOP_LENGTH, SAMPLE_RATE
from training.crops import SeededCrops


@dataclass(frozen=True)
class Song:
    """Stems of a song at 16 kHz, mono, with their f0 and features 250 times a second.

    Attributes
    ----------
    stems : np.ndarray, float32, (sources, frames · 64)
    f0 : np.ndarray, float32, (frames, pitched sources)
        in Hz, 0 = unvoiced.
    loudness : np.ndarray, float32, (frames, sources)
        in dB.
    bands : np.ndarray, float32, (frames, sources, N_BANDS)
        in dB.
    onset : np.ndarray, float32, (frames, 1)
        of the drums; 0 if there are none.
    sources, pitched : tuple of str
        names of the stems, and of those with a pitch.
    heard_as : {"mel", "decoders"}
        layout of the bands (see `features.layout_of`).
    """

    stems: np.ndarray
    f0: np.ndarray
    loudness: np.ndarray
    bands: np.ndarray
    onset: np.ndarray
    sources: tuple
    pitched: tuple
    heard_as: str = "mel"

    @classmethod
    def from_stems(cls, stems, f0, sources, pitched, heard_as="mel"):
        """Compute the features of stems of known pitch.

        Parameters
        ----------
        stems : np.ndarray, (sources, samples)
            at 16 kHz.
        f0 : np.ndarray, (frames, pitched sources)
            in Hz, 250 a second; cut or filled with 0 to the length of the stems.
        sources, pitched : sequence of str
        heard_as : {"mel", "decoders"}

        Returns
        -------
        Song
        """
        n_frames = stems.shape[1] // HOP_LENGTH
        stems = np.ascontiguousarray(stems[:, : n_frames * HOP_LENGTH], np.float32)
        loudness = np.stack([feature.loudness(stem, SAMPLE_RATE) for stem in stems], axis=-1).astype(np.float32)
        bands = np.stack(
            [feature.band_loudness(stem, feature.layout_of(source, heard_as)) for stem, source in zip(stems, sources)],
            axis=1,
        )
        drums = bands[:, list(sources).index("drums")] if "drums" in sources else np.zeros((n_frames, 1))
        f0 = fix_length(np.asarray(f0, np.float32).T, n_frames).T
        return cls(stems, f0, loudness, bands, feature.onset_strength(drums), tuple(sources), tuple(pitched), heard_as)


def resampled(song, factor):
    """Data augmentation: the song `factor` times as fast, as a tape plays it: higher, shorter, with another voice.

    Parameters
    ----------
    song : Song
    factor : float
        from 0.5 to 2.

    Returns
    -------
    Song
    """
    stems = resample(song.stems, round(SAMPLE_RATE * factor), SAMPLE_RATE)
    nearest = np.round(np.arange(stems.shape[1] // HOP_LENGTH) * factor).astype(int)
    f0 = song.f0[np.minimum(nearest, len(song.f0) - 1)] * np.float32(factor)
    return Song.from_stems(stems, f0, song.sources, song.pitched, song.heard_as)


class SongCrops(SeededCrops):
    """Batches of random crops; as `mss_nn_implementation.datasets.RandomCrops`, with f0 and features.

    Parameters
    ----------
    songs : list of Song
    training : train_separator.SeparatorTraining
    hop : int
        samples from frame to frame of the model; crops begin at frames.

    Notes
    -----
    `dataset[i]` is (inputs, targets), dicts of float32 arrays: "mixture" (batch, samples), "f0" (batch, frames,
    pitched), "taught" (batch, 1), 1 for teacher forcing; "stems" (batch, sources, samples), "f0", "loudness", "onset",
    "bands".
    """

    def __init__(self, songs, training, hop):
        samples = round(training.seconds * SAMPLE_RATE) // hop * hop
        super().__init__(songs, [song.stems.shape[1] for song in songs], samples, training, hop)

    def batch(self, rng, index):
        t = self.training
        crops = [self._crop(rng) for _ in range(t.batch_size)]
        taught = (self.epoch * t.steps_per_epoch + index) / t.steps < t.taught_until
        own = rng.random((t.batch_size, 1)) < (0.0 if taught else t.own_pitch)
        return examples(crops, self.samples, self.hop, taught=~own)

    def _crop(self, rng):
        """Song, first sample, gain in dB and polarity of every stem of an example."""
        t, parts = self.training, []
        together = rng.random() >= t.remix
        place = self.somewhere(rng)
        for _ in self.songs[0].sources:
            place = place if together else self.somewhere(rng)
            parts.append((*place, rng.uniform(-t.gain_db, t.gain_db), rng.choice((-1, 1))))
        return parts


def examples(crops, samples, hop, taught):
    """Assemble crops to a batch.

    Parameters
    ----------
    crops : list of list of (Song, int, float, int)
        per example and source: song, first sample, gain in dB, polarity.
    samples, hop : int
    taught : np.ndarray of bool, (batch, 1)
        examples with teacher forcing.

    Returns
    -------
    inputs, targets : dict of str -> np.ndarray
    """
    first, batch = crops[0][0][0], len(crops)
    n_sources, n_features, n_frames = len(first.sources), samples // HOP_LENGTH, samples // hop + 1
    stems = np.empty((batch, n_sources, samples), np.float32)
    f0 = np.zeros((batch, n_frames, len(first.pitched)), np.float32)
    loudness = np.empty((batch, n_features, n_sources), np.float32)
    bands = np.empty((batch, n_features, *first.bands.shape[1:]), np.float32)
    onset = np.zeros((batch, n_features, 1), np.float32)
    for b, parts in enumerate(crops):
        for i, (source, (song, start, gain, sign)) in enumerate(zip(first.sources, parts)):
            frames = slice(start // HOP_LENGTH, start // HOP_LENGTH + n_features)
            stems[b, i] = sign * 10 ** (gain / 20) * song.stems[i, start : start + samples]
            loudness[b, :, i], bands[b, :, i] = song.loudness[frames, i] + gain, song.bands[frames, i] + gain
            if source == "drums":
                onset[b] = song.onset[frames]
            if source in first.pitched:
                j = first.pitched.index(source)
                track = song.f0[frames.start : frames.stop + 1 : hop // HOP_LENGTH, j]
                f0[b, : len(track), j] = track
    inputs = {"mixture": stems.sum(axis=1), "f0": f0, "taught": taught.astype(np.float32)}
    return inputs, {"stems": stems, "f0": f0, "loudness": loudness, "onset": onset, "bands": bands}
