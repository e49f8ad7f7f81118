"""How much of a timbre pitch and loudness tell: a listener who only remembers.

A DDSP decoder learns a function from pitch and loudness to a spectrum (Engel et al. 2020). The simplest such function
looks its answer up: among all moments heard it takes those whose pitch and loudness are most alike, and averages their
spectra (nearest-neighbour regression; Cover & Hart 1967, https://doi.org/10.1109/TIT.1967.1053964). It needs no
training, so one can ask how its error depends on what was heard: on how many minutes, and on whose.
"""

import librosa
import numpy as np
from scipy.spatial import cKDTree

from audio_processing.audio_processing import resample
from virtual_band import bass, voice
from virtual_band.artist import artist as find_artist
from virtual_band.score import write_score
from virtual_band.song import SAMPLE_RATE, generators

HEARD_RATE = 16000  # Hz
N_FFT, HOP_LENGTH, BANDS = 1024, 320, 64  # 50 moments per second
SEMITONES_PER_DB = 0.5  # how far apart two moments are: a semitone counts as much as 2 dB
FLOOR = -80.0  # dB


def moments(audio, f0, sample_rate):
    """Pitch and loudness of each voiced moment of a monophonic sound, and the spectrum that belongs to them.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,)
    f0 : np.ndarray, shape (samples,)
        Hz, 0 where there is none.
    sample_rate : int

    Returns
    -------
    features : np.ndarray, shape (moments, 2)
        Pitch in semitones above 1 Hz, and level in dB times `SEMITONES_PER_DB`.
    spectra : np.ndarray, shape (moments, BANDS)
        Power in mel bands, in dB.
    """
    heard = resample(np.asarray(audio, dtype=np.float32), sample_rate, HEARD_RATE)
    power = np.abs(librosa.stft(heard, n_fft=N_FFT, hop_length=HOP_LENGTH)) ** 2
    centres = np.round(np.arange(power.shape[1]) * HOP_LENGTH * sample_rate / HEARD_RATE).astype(int)
    pitch = f0[np.minimum(centres, f0.size - 1)]
    mel = librosa.filters.mel(sr=HEARD_RATE, n_fft=N_FFT, n_mels=BANDS)
    level, spectra = _decibels(power.mean(axis=0)), _decibels(mel @ power).T
    sounds = (pitch > 0) & (level > level.max() - 50.0)
    features = np.stack([12.0 * np.log2(pitch[sounds]), SEMITONES_PER_DB * level[sounds]], axis=1)
    return features, spectra[sounds]


def _decibels(power):
    return 10.0 * np.log10(power + 10.0 ** (FLOOR / 10.0))


def hear(artist, number, seconds=20.0):
    """The moments of a song's bass and voice, each played alone and without the room.

    Parameters
    ----------
    artist : Artist, int or str
    number : int
        Of the song.
    seconds : float

    Returns
    -------
    dict of str -> (features, spectra)
        See `moments`.
    """
    who = find_artist(artist)
    draw = generators(who, number)
    parts = write_score(who.style, seconds, who.bass.lowest, (who.voice.low, who.voice.high), draw["score"]).parts
    n = int(round(seconds * SAMPLE_RATE))
    return {
        source: moments(*module.render(parts[source], sound, n, SAMPLE_RATE, draw[source]), SAMPLE_RATE)
        for source, module, sound in (("bass", bass, who.bass), ("vocals", voice, who.voice))
    }


def surprise(heard, asked, source, neighbours=16):
    """How far the spectrum is from what its pitch and loudness let the listener expect.

    Parameters
    ----------
    heard, asked : list of dict
        Songs as `hear` returns them: those remembered, and those asked about.
    source : str
        bass or vocals.
    neighbours : int
        How many moments are averaged.

    Returns
    -------
    float
        Mean absolute difference over bands and moments, in dB.

    Raises
    ------
    ValueError
        where fewer than `neighbours` moments were heard, or none is asked about.
    """
    known, spectra = (np.concatenate([song[source][i] for song in heard] or [np.empty((0, 2))]) for i in (0, 1))
    if len(known) < neighbours:
        raise ValueError(f"heard: {len(known)} moments of {source} found, {neighbours} or more expected")
    features, truth = (np.concatenate([song[source][i] for song in asked] or [np.empty((0, 2))]) for i in (0, 1))
    if len(features) == 0:
        raise ValueError(f"asked: no moment of {source} found, one or more expected")
    _, nearest = cKDTree(known).query(features, k=[*range(1, neighbours + 1)])
    return float(np.mean(np.abs(spectra[nearest].mean(axis=1) - truth)))
