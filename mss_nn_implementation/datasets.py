"""Training examples: crops of stems, remixed; every tree that `audio_processing.tracks` reads will do."""

import hashlib
import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import AudioError, resample
from audio_processing.tracks import readable, reason, tracks
from common.files import atomic_path, sha256_of

VALIDATION = (
    "ANiMAL - Rockshow",
    "Actions - One Minute Smile",
    "Alexander Ross - Goodbye Bolero",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Fergessen - Nos Palpitants",
    "James May - On The Line",
    "Johnny Lokke - Promises & Lies",
    "Leaf - Summerghost",
    "Meaxic - Take A Step",
    "Patrick Talbot - A Reason To Leave",
    "Skelpolu - Human Mistakes",
    "Traffic Experiment - Sirens",
    "Triviul - Angelsaint",
    "Young Griffo - Pennies",
)
"""The 14 songs of MUSDB18's training set that the `musdb` package, and so everybody, keeps for validation."""


def songs_of(root, subset, split=None):
    """The songs of a dataset, or of one side of its training set.

    Parameters
    ----------
    root : str or Path
        a tree in MUSDB18-HQ layout or of .stem.mp4 files.
    subset : str
        "train" or "test".
    split : {None, "train", "valid"}
        all songs; those that are not in `VALIDATION`; those that are.

    Returns
    -------
    list of audio_processing.tracks.Track

    Raises
    ------
    FileNotFoundError
        where there is no such song.
    """
    found = tracks(root, subset)
    if split is None:
        return found
    chosen = [song for song in found if (song.name in VALIDATION) == (split == "valid")]
    if not chosen:
        raise FileNotFoundError(f"{root}: none of MUSDB18's {len(VALIDATION)} validation songs is in {subset}")
    return chosen


def load_stems(root, subset, sources, sample_rate, *, split=None, left_out=None, **options):
    """Decode a dataset once, at one sample rate: `load_songs` of `songs_of(root, subset, split)`."""
    songs = songs_of(root, subset, split)
    if left_out is not None:
        songs, unreadable = readable(songs, "skip", sources)
        left_out |= unreadable
    return load_songs(songs, sources, sample_rate, left_out=left_out, **options)


def load_songs(
    songs, sources, sample_rate, *, channels=1, speeds=(), at_least=0.0, cache=None, dtype="float32", left_out=None
):
    """Decode songs once, at one sample rate.

    Parameters
    ----------
    songs : list of audio_processing.tracks.Track
    sources : sequence of str
    sample_rate : int
        in Hz.
    channels : int
        1 averages each song's channels; 2 keeps them, and doubles that of a mono song.
    speeds : sequence of float
        every song is there once more at each of these: 1.06 is played 6 % faster, a semitone higher. Made beforehand by
        resampling, such a song costs no more in training than any other.
    at_least : float
        seconds that a song must last.
    cache : str or Path, optional
        keep the decoded songs as files of this folder and map them into memory, which then does not grow with the
        dataset; without it they are held in memory.
    dtype : str
        of the files: "float16" takes half the space at an error 70 dB below each sample.
    left_out : dict, optional
        songs that cannot be read are added to it, name → reason, and the others are returned; where it is None, the
        first of them stops.

    Returns
    -------
    list of np.ndarray, (sources, samples), or (sources, 2, samples) where `channels` is 2
        one per song, in the order given, the song itself first and then its speeds.

    Raises
    ------
    ValueError
        where songs are too short; the message names them.
    AudioError
        where one cannot be read, or none.
    """
    decoded, kept = [], []
    for song in tqdm(songs, desc="reading songs", unit="song", leave=False):
        wanted = [
            {"rate": sample_rate, "sources": list(sources), "channels": channels, "speed": s} for s in (1, *speeds)
        ]
        try:
            if cache is None:
                first = _decode(song, wanted[0])
                variants = [first, *(_at_speed(first, want["speed"]) for want in wanted[1:])]
            else:
                variants = _from_cache(song, wanted, Path(cache), np.dtype(dtype))
        except AudioError as error:
            if left_out is None:
                raise
            left_out[song.name] = reason(song, error)
            continue
        decoded.append(variants)
        kept.append(song)
    if songs and not kept:
        raise AudioError(f"none of {len(songs)} songs can be read; the first: {left_out[songs[0].name]}")
    short = [s.name for s, d in zip(kept, decoded) if min(v.shape[-1] for v in d) < at_least * sample_rate]
    if short:
        where = songs[0].path.parent.parent
        raise ValueError(f"{where}: shorter than a crop of {at_least:g} s: {', '.join(short)}; choose shorter crops")
    return [variant for variants in decoded for variant in variants]


def _decode(song, want):
    """The stems of a song as `load_stems` wants them, at its own speed."""
    if want["channels"] == 1:
        return np.stack(list(song.stems(want["rate"], mono=True, sources=want["sources"]).values()))
    stems = np.stack(list(song.stems(want["rate"], sources=want["sources"]).values()))  # (sources, channels, samples)
    if stems.shape[1] not in (1, want["channels"]):
        raise AudioError(f"{song.path}: {stems.shape[1]} channels found, 1 or {want['channels']} expected")
    return np.ascontiguousarray(np.broadcast_to(stems, (len(stems), want["channels"], stems.shape[-1])))


def _at_speed(stems, speed):
    return stems if speed == 1 else resample(stems, round(1000 * speed), 1000).astype(np.float32)


def _from_cache(song, wanted, folder, dtype):
    """Map a song's variants from files in `folder`, named by what they were made of; make those that are not intact."""
    data = sha256_of(*song.files())
    made, variants = None, []
    for want in wanted:
        settings = json.dumps([data, want, dtype.name], sort_keys=True)
        path = folder / f"{hashlib.sha256(settings.encode()).hexdigest()[:32]}.npy"
        mark = path.with_suffix(".sha256")  # written last: where it is there, the file was complete
        if path.exists() and not (mark.exists() and mark.read_text() == sha256_of(path)):
            print(f"{path}: damaged, decoding {song.name} again", file=sys.stderr)
            path.unlink()
        if not path.exists():
            mark.unlink(missing_ok=True)
            made = _decode(song, wanted[0]) if made is None else made
            with atomic_path(path) as temporary:
                np.save(temporary, _at_speed(made, want["speed"]).astype(dtype))
            with atomic_path(mark) as temporary:
                temporary.write_text(sha256_of(path))
        variants.append(np.load(path, mmap_mode="r", allow_pickle=False))
    return variants


class RandomCrops(keras.utils.PyDataset):
    """Batches of random crops; each stem from a song and a moment of its own with probability `remix`.

    Stems that never met force the network to know each source by its own sound rather than by its company (Uhlich et
    al. 2017, https://doi.org/10.1109/ICASSP.2017.7952158). Each stem also gets a random level and polarity, and a
    stereo one its channels exchanged with probability `swap`.

    Every batch is drawn from (seed, epoch, number in the epoch) alone, so a run that is resumed sees what it would have
    seen. Set `epoch` before an epoch begins.

    Parameters
    ----------
    songs : list of np.ndarray, (sources, samples) or (sources, channels, samples)
        each at least a crop long.
    samples : int
        in a crop.
    training : parameters.Training

    Attributes
    ----------
    spent : float
        seconds that making batches took so far.

    Notes
    -----
    `dataset[i]` is (mixtures (batch, samples), stems (batch, sources, samples)), float32, with an axis of channels
    before that of the samples where the songs have it.
    """

    def __init__(self, songs, samples, training):
        super().__init__()
        short = [i for i, song in enumerate(songs) if song.shape[-1] < samples]
        if short or not songs:
            raise ValueError(f"songs: at least one, of at least {samples} samples each, expected; too short: {short}")
        self.songs, self.samples, self.training = songs, samples, training
        self.epoch, self.spent = 0, 0.0

    def __len__(self):
        return self.training.steps_per_epoch

    def __getitem__(self, index):
        begun = time.perf_counter()
        t = self.training
        rng = np.random.default_rng((t.seed, self.epoch, index))
        n_sources, *channels, _ = self.songs[0].shape
        stems = np.empty((t.batch_size, n_sources, *channels, self.samples), np.float32)
        for item in stems:
            together = rng.random() >= t.remix
            song, start = self._somewhere(rng)
            for i in range(n_sources):
                if not together:
                    song, start = self._somewhere(rng)
                gain = 10 ** (rng.uniform(-t.gain_db, t.gain_db) / 20) * rng.choice((-1, 1))
                item[i] = gain * song[i, ..., start : start + self.samples]
                if channels and rng.random() < t.swap:
                    item[i] = item[i, ::-1].copy()
        batch = stems.sum(axis=1), stems
        self.spent += time.perf_counter() - begun
        return batch

    def _somewhere(self, rng):
        song = self.songs[rng.integers(len(self.songs))]
        return song, rng.integers(song.shape[-1] - self.samples + 1)


def fixed_crops(songs, samples):
    """Cut the songs into consecutive crops, for validation.

    Returns mixtures (crops, samples) and stems (crops, sources, samples), with an axis of channels before that of the
    samples where the songs have it; what is left at a song's end is not used.
    """
    crops = [song[..., i : i + samples] for song in songs for i in range(0, song.shape[-1] - samples + 1, samples)]
    stems = np.stack(crops).astype(np.float32)
    return stems.sum(axis=1), stems
