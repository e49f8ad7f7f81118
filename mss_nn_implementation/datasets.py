"""Training examples: crops of stems, remixed; every tree that `audio_processing.tracks` reads will do."""

import hashlib
import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import AudioError, resample
from audio_processing.tracks import readable, reason, tracks
from common.checks import expect
from common.files import atomic_path, sha256_of
from training.crops import SeededCrops

# The 14 songs of MUSDB18's training set that the `musdb` package, and so everybody, keeps for validation.
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


def songs_of(root, subset, split=None, validation=""):
    """The songs of a dataset, or of one side of its training set.

    Parameters
    ----------
    root : str or Path
        a tree in MUSDB18-HQ layout or of .stem.mp4 files.
    subset : str
        "train" or "test".
    split : {None, "train", "valid"}
        all songs; those for training; those for validation.
    validation : str
        which songs of the subset are for validation: a share such as "0.1", which a checksum of their names chooses; a
        name, or several with commas between; or another folder like `root`, of whose names no song is trained on.
        By default those in `VALIDATION`.

    Returns
    -------
    list of audio_processing.tracks.Track

    Raises
    ------
    FileNotFoundError
        if there is no song.
    ValueError
        if no song is left for training or for validation, or if `validation` is none of these.
    """
    songs = tracks(root, subset)
    if split is None:
        return songs
    held_out = _held_out(validation, songs, root)
    names = {song.name for song in held_out}
    rest = [song for song in songs if song.name not in names]
    expect(rest, "--validation", f"songs to train on beside those of {validation or 'validation'} in {root}", "none")
    return held_out if split == "valid" else rest


def _held_out(validation, songs, root):
    """The validation songs, a list of Track: see `songs_of`."""
    names = {song.name for song in songs}
    chosen = {validation} & names or {name.strip() for name in validation.split(",")}
    if not validation:
        chosen, expected = names & set(VALIDATION), f"one of MUSDB18's {len(VALIDATION)} validation songs in {root}"
        expect(chosen, "--validation", expected, "none; choose a share such as 0.1, names of songs, or a folder")
    elif not chosen & names and Path(validation).is_dir():
        return tracks(validation)
    elif 0 < (share := _number(validation)) < 1:
        count = max(1, min(round(share * len(names)), len(names) - 1))
        chosen = set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count])
    unknown = ", ".join(sorted(chosen - names))
    expect(chosen <= names, "--validation", f"songs in {root}, a share such as 0.1, or a folder", unknown or "none")
    return [song for song in songs if song.name in chosen]


def _number(text):
    with suppress(ValueError):
        return float(text)
    return 0.0


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
        every song once more at each of these, resampled: 1.06 is 6 % faster and a semitone higher.
    at_least : float
        seconds that a song must last.
    cache : str or Path, optional
        folder of decoded songs, which are mapped into memory; without it they are held in memory.
    dtype : str
        of the files: "float16" takes half the space at an error 70 dB below each sample.
    left_out : dict, optional
        songs that cannot be read are added to it, name → reason; if it is None, the first of them stops.

    Returns
    -------
    list of np.ndarray, (sources, samples), or (sources, 2, samples) if `channels` is 2
        in the order given, each song itself first and then its speeds.

    Raises
    ------
    ValueError
        if songs are too short; the message names them.
    AudioError
        if one cannot be read, or none.
    """
    head = {"rate": sample_rate, "sources": list(sources), "channels": channels}
    settings = [{**head, "speed": speed} for speed in (1, *speeds)]
    loaded, short, every = [], [], songs
    if left_out is not None:
        songs, unreadable = readable(songs, "skip", sources)
        left_out |= unreadable
    for song in tqdm(songs, desc="reading songs", unit="song", leave=False):
        try:
            if cache is None:
                stems = _decode(song, settings[0])
                versions = [_at_speed(stems, each["speed"]) for each in settings]
            else:
                versions = _from_cache(song, settings, Path(cache), np.dtype(dtype))
        except AudioError as error:
            if left_out is None:
                raise
            left_out[song.name] = reason(song, error)
            continue
        loaded += versions
        if min(version.shape[-1] for version in versions) < at_least * sample_rate:
            short.append(song.name)
    if songs and not loaded:
        raise AudioError(f"none of {len(every)} songs can be read; the first: {left_out[every[0].name]}")
    if short:
        where = songs[0].path.parent.parent
        raise ValueError(f"{where}: shorter than a crop of {at_least:g} s: {', '.join(short)}; choose shorter crops")
    return loaded


def _decode(song, version):
    """The stems of a song at the rate and with the channels of a version, at the song's own speed."""
    rate, sources, channels = (version[name] for name in ("rate", "sources", "channels"))
    stems = np.stack(list(song.stems(rate, channels == 1, sources).values()))  # (sources, channels?, samples)
    if channels == 1:
        return stems
    if stems.shape[1] not in (1, channels):
        raise AudioError(f"{song.path}: expected 1 or {channels} channels, got {stems.shape[1]}")
    return np.ascontiguousarray(np.broadcast_to(stems, (len(stems), channels, stems.shape[-1])))


def _at_speed(stems, speed):
    return stems if speed == 1 else resample(stems, round(1000 * speed), 1000).astype(np.float32)


def _from_cache(song, settings, folder, dtype):
    """Map a song's versions from files in `folder`, named by a checksum of what they hold; make what is missing."""
    data = sha256_of(*song.files())
    stems, versions = None, []
    for each in settings:
        key = json.dumps([data, each, dtype.name], sort_keys=True)
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
        mark = path.with_suffix(".sha256")  # written last: if it is there, the file is complete
        if path.exists() and not (mark.exists() and mark.read_text() == sha256_of(path)):
            print(f"{path}: damaged, decoding {song.name} again", file=sys.stderr)
            path.unlink()
        if not path.exists():
            mark.unlink(missing_ok=True)
            stems = _decode(song, settings[0]) if stems is None else stems
            with atomic_path(path) as temporary:
                np.save(temporary, _at_speed(stems, each["speed"]).astype(dtype))
            with atomic_path(mark) as temporary:
                temporary.write_text(sha256_of(path))
        versions.append(np.load(path, mmap_mode="r", allow_pickle=False))
    return versions


class RandomCrops(SeededCrops):
    """Batches of random crops; each stem from a song and a moment of its own with probability `remix`.

    Data augmentation: stems of different songs force the network to recognise each source by its own sound rather than
    by what plays with it (Uhlich et al. 2017, https://doi.org/10.1109/ICASSP.2017.7952158). Each stem also gets a
    random level and polarity, and a stereo one its channels exchanged with probability `swap`.

    Parameters
    ----------
    songs : list of np.ndarray, (sources, samples) or (sources, channels, samples)
        each at least a crop long.
    samples : int
        in a crop.
    training : parameters.Training

    Notes
    -----
    `dataset[i]` is (mixtures (batch, samples), stems (batch, sources, samples)), float32, with an axis of channels
    before that of the samples if the songs have it.
    """

    def __init__(self, songs, samples, training):
        super().__init__(songs, [song.shape[-1] for song in songs], samples, training)

    def batch(self, rng, index):
        t = self.training
        n_sources, *channels, _ = self.songs[0].shape
        stems = np.empty((t.batch_size, n_sources, *channels, self.samples), np.float32)
        for item in stems:
            together = rng.random() >= t.remix
            song, start = self.somewhere(rng)
            for i in range(n_sources):
                if not together:
                    song, start = self.somewhere(rng)
                gain = 10 ** (rng.uniform(-t.gain_db, t.gain_db) / 20) * rng.choice((-1, 1))
                item[i] = gain * song[i, ..., start : start + self.samples]
                if channels and rng.random() < t.swap:
                    item[i] = item[i, ::-1].copy()
        return stems.sum(axis=1), stems


def fixed_crops(songs, samples):
    """Cut the songs into consecutive crops, for validation.

    Returns mixtures (crops, samples) and stems (crops, sources, samples), with an axis of channels before that of the
    samples if the songs have it; what is left at a song's end is not used.
    """
    crops = [song[..., i : i + samples] for song in songs for i in range(0, song.shape[-1] - samples + 1, samples)]
    stems = np.stack(crops).astype(np.float32)
    return stems.sum(axis=1), stems
