"""Training examples for separators that name what they hear: crops of stems with their pitch and features, remixed."""

from dataclasses import dataclass

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import fix_length, resample
from audio_processing.tracks import tracks
from ddsp_models import features as feature
from ddsp_models.features import HOP_LENGTH, SAMPLE_RATE


@dataclass(frozen=True)
class Song:
    """Stems of a song at 16 kHz, mono, and what is known of them 250 times a second.

    Attributes
    ----------
    stems : np.ndarray, float32, (sources, frames · 64)
    f0 : np.ndarray, float32, (frames, pitched sources)
        in Hz, 0 = no pitch.
    loudness : np.ndarray, float32, (frames, sources)
        in dB.
    bands : np.ndarray, float32, (frames, sources, N_BANDS)
        in dB.
    onset : np.ndarray, float32, (frames, 1)
        of the drums; 0 where there are none.
    sources, pitched : tuple of str
        names of the stems, and of those with a pitch.
    heard_as : {"mel", "decoders"}
        what the bands are (see `described`).
    """

    stems: np.ndarray
    f0: np.ndarray
    loudness: np.ndarray
    bands: np.ndarray
    onset: np.ndarray
    sources: tuple
    pitched: tuple
    heard_as: str = "mel"


def described(stems, f0, sources, pitched, heard_as="mel"):
    """Add the features to stems of known pitch.

    Parameters
    ----------
    stems : np.ndarray, (sources, samples)
        at 16 kHz.
    f0 : np.ndarray, (frames, pitched sources)
        in Hz, 250 a second; cut or filled with 0 to the length of the stems.
    sources, pitched : sequence of str
    heard_as : {"mel", "decoders"}
        bands of every source equally wide in mel, or as the source's decoder wants them (`features.LISTENING`).

    Returns
    -------
    Song
    """
    n_frames = stems.shape[1] // HOP_LENGTH
    stems = np.ascontiguousarray(stems[:, : n_frames * HOP_LENGTH], np.float32)
    level = np.stack([feature.loudness(stem, SAMPLE_RATE) for stem in stems], axis=-1)
    bands = np.stack([feature.band_loudness(x, **bands_of(name, heard_as)) for name, x in zip(sources, stems)], axis=1)
    onset = np.zeros((n_frames, 1), np.float32)
    if "drums" in sources:
        onset = feature.onset_strength(bands[:, list(sources).index("drums")])
    f0 = fix_length(np.asarray(f0, np.float32).T, n_frames).T
    return Song(stems, f0, level.astype(np.float32), bands, onset, tuple(sources), tuple(pitched), heard_as)


def bands_of(source, heard_as="decoders"):
    """How the bands of a source are measured otherwise than usual: arguments of `features.band_loudness`."""
    listening = feature.LISTENING.get(source, {}) if heard_as == "decoders" else {}
    usual = {"n_fft": feature.BAND_FFT, "scale": "mel"}
    return {name: listening[name] for name in usual if listening.get(name, usual[name]) != usual[name]}


def load_songs(root, subset, sources, pitched, heard_as="mel"):
    """Read a tree of songs that know their pitch.

    Parameters
    ----------
    root : str or Path
        a tree in MUSDB18-HQ layout with annotations.
    subset : str
        "train" or "test".
    sources, pitched : sequence of str
    heard_as : {"mel", "decoders"}
        see `described`.

    Returns
    -------
    list of Song
    """
    found = []
    for track in tqdm(tracks(root, subset), desc=f"reading {subset} songs", unit="song", leave=False):
        stems = np.stack(list(track.stems(SAMPLE_RATE, mono=True, sources=sources).values()))
        known = track.annotations()
        f0 = np.stack([known[f"f0_{source}"] * known[f"voiced_{source}"] for source in pitched], axis=-1)
        found.append(described(stems, f0, sources, pitched, heard_as))
    return found


def resampled(song, factor):
    """The song as a tape that runs `factor` times as fast plays it: higher, shorter, and by another singer.

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
    n_frames = stems.shape[1] // HOP_LENGTH
    nearest = np.minimum(np.round(np.arange(n_frames) * factor).astype(int), len(song.f0) - 1)
    f0 = song.f0[nearest] * np.float32(factor)
    return described(stems, f0, song.sources, song.pitched, song.heard_as)


class SongCrops(keras.utils.PyDataset):
    """Batches of random crops; as `mss_nn_implementation.datasets.RandomCrops`, with pitch and features.

    Every batch is drawn from (seed, epoch, number in the epoch) alone. Set `epoch` before an epoch begins.

    Parameters
    ----------
    songs : list of Song
    training : object
        such as `train_separator.Training`.
    hop : int
        samples from frame to frame of the model; crops begin at frames.

    Notes
    -----
    `dataset[i]` is (inputs, targets), dicts of float32 arrays: "mixture" (batch, samples), "f0" (batch, frames,
    pitched), "taught" (batch, 1); "stems" (batch, sources, samples), "f0", "loudness", "onset", "bands".
    """

    def __init__(self, songs, training, hop):
        super().__init__()
        self.songs, self.training, self.hop = songs, training, hop
        self.samples = round(training.seconds * SAMPLE_RATE) // hop * hop
        self.epoch = 0
        short = [i for i, song in enumerate(songs) if song.stems.shape[1] < self.samples]
        if short or not songs:
            raise ValueError(
                f"songs: at least one, of at least {self.samples} samples each, expected; too short: {short}"
            )

    def __len__(self):
        return self.training.steps_per_epoch

    def __getitem__(self, index):
        t = self.training
        rng = np.random.default_rng((t.seed, self.epoch, index))
        crops = [self._crop(rng) for _ in range(t.batch_size)]
        done = (self.epoch * t.steps_per_epoch + index) / t.steps
        own = rng.random((t.batch_size, 1)) < (t.own_pitch if done >= t.taught_until else 0.0)
        return examples(crops, self.samples, self.hop, taught=~own)

    def _crop(self, rng):
        t = self.training
        n_sources = len(self.songs[0].stems)
        together = rng.random() >= t.remix
        song, start = self._somewhere(rng)
        parts = []
        for _ in range(n_sources):
            if not together:
                song, start = self._somewhere(rng)
            parts.append((song, start, rng.uniform(-t.gain_db, t.gain_db), rng.choice((-1, 1))))
        return parts

    def _somewhere(self, rng):
        song = self.songs[rng.integers(len(self.songs))]
        return song, self.hop * int(rng.integers((song.stems.shape[1] - self.samples) // self.hop + 1))


def examples(crops, samples, hop, taught):
    """Put crops together.

    Parameters
    ----------
    crops : list of list of (Song, int, float, int)
        per example and source: from which song, from which sample, how many dB louder, with which sign.
    samples, hop : int
    taught : np.ndarray of bool, (batch, 1)

    Returns
    -------
    inputs, targets : dict of np.ndarray
    """
    first = crops[0][0][0]
    n_sources, n_pitched = len(first.sources), len(first.pitched)
    n_features, n_frames = samples // HOP_LENGTH, samples // hop + 1
    every = hop // HOP_LENGTH
    stems = np.empty((len(crops), n_sources, samples), np.float32)
    f0 = np.zeros((len(crops), n_frames, n_pitched), np.float32)
    loudness = np.empty((len(crops), n_features, n_sources), np.float32)
    bands = np.empty((len(crops), n_features, *first.bands.shape[1:]), np.float32)
    onset = np.zeros((len(crops), n_features, 1), np.float32)
    for b, parts in enumerate(crops):
        for i, (song, start, gain, sign) in enumerate(parts):
            frame = start // HOP_LENGTH
            stems[b, i] = sign * 10 ** (gain / 20) * song.stems[i, start : start + samples]
            loudness[b, :, i] = song.loudness[frame : frame + n_features, i] + gain
            bands[b, :, i] = song.bands[frame : frame + n_features, i] + gain
            if first.sources[i] == "drums":
                onset[b] = song.onset[frame : frame + n_features]
            if first.sources[i] in first.pitched:
                j = first.pitched.index(first.sources[i])
                line = song.f0[frame : frame + n_features + 1 : every, j]
                f0[b, : len(line), j] = line
    inputs = {"mixture": stems.sum(axis=1), "f0": f0, "taught": taught.astype(np.float32)}
    return inputs, {"stems": stems, "f0": f0, "loudness": loudness, "onset": onset, "bands": bands}
