"""How well pitch and loudness predict a timbre: nearest-neighbour regression.

A DDSP decoder learns a function from pitch and loudness to a spectrum (Engel et al. 2020). The simplest such function
is a table: it takes the training frames whose pitch and loudness are most alike, and averages their spectra (Cover &
Hart 1967, https://doi.org/10.1109/TIT.1967.1053964). It needs no training, so one can measure how its error depends
on the training music: on its minutes, and on its artist.

Notebook: virtual_band/dataset_report.ipynb
"""

import librosa
import numpy as np
from scipy.spatial import cKDTree

from audio_processing.audio_processing import resample
from common.checks import expect
from virtual_band import bass, voice
from virtual_band.artist import artist as find_artist
from virtual_band.score import write_score
from virtual_band.song import SAMPLE_RATE, generators

RATE = 16000  # Hz
N_FFT, HOP_LENGTH, BANDS = 1024, 320, 64  # 50 frames per second
SEMITONES_PER_DB = 0.5  # in the distance of two frames a semitone counts as much as 2 dB
FLOOR = -80.0  # dB
QUIETEST = -50.0  # dB below the loudest frame; what is quieter does not count


def moments(audio, f0, sample_rate):
    """Pitch, loudness and spectrum of each voiced frame of a monophonic sound.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    f0 : np.ndarray, (samples,)
        in Hz, 0 where there is none.
    sample_rate : int
        in Hz.

    Returns
    -------
    features : np.ndarray, (moments, 2)
        pitch in semitones above 1 Hz, and level in dB times `SEMITONES_PER_DB`.
    spectra : np.ndarray, (moments, BANDS)
        power in mel bands, in dB.
    """
    audio = resample(np.asarray(audio, dtype=np.float32), sample_rate, RATE)
    power = np.abs(librosa.stft(audio, n_fft=N_FFT, hop_length=HOP_LENGTH)) ** 2
    centres = np.round(np.arange(power.shape[1]) * HOP_LENGTH * sample_rate / RATE).astype(int)
    pitch = f0[np.minimum(centres, f0.size - 1)]
    mel = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=BANDS)
    level, spectra = (10.0 * np.log10(x + 10.0 ** (FLOOR / 10.0)) for x in (power.mean(axis=0), mel @ power))
    sounds = (pitch > 0) & (level > level.max() + QUIETEST)
    features = np.stack([12.0 * np.log2(pitch[sounds]), SEMITONES_PER_DB * level[sounds]], axis=1)
    return features, spectra.T[sounds]


def hear(artist, number, seconds=20.0):
    """The moments of a song's bass and voice, each rendered alone and without reverb.

    Parameters
    ----------
    artist : Artist, int or str
    number : int
        of the song.
    seconds : float

    Returns
    -------
    dict of str to (np.ndarray, np.ndarray)
        features and spectra of `bass` and `vocals`, as returned by `moments`.
    """
    who = find_artist(artist)
    draw = generators(who, number)
    parts = write_score(who.style, seconds, who.bass.lowest, (who.voice.low, who.voice.high), draw["score"]).parts
    size = int(round(seconds * SAMPLE_RATE)), SAMPLE_RATE
    return {
        source: moments(*module.render(parts[source], sound, *size, draw[source]), SAMPLE_RATE)
        for source, module, sound in (("bass", bass, who.bass), ("vocals", voice, who.voice))
    }


def surprise(training, test, source, neighbours=16):
    """How far a spectrum is from the prediction of its pitch and loudness.

    Parameters
    ----------
    training, test : list of dict
        songs as returned by `hear`: those in the table, and those whose spectra are predicted.
    source : str
        bass or vocals.
    neighbours : int
        how many training moments are averaged.

    Returns
    -------
    float
        mean absolute error over bands and moments, in dB.

    Raises
    ------
    ValueError
        if there are fewer than `neighbours` training moments, or no test moment.
    """
    table, spectra = (np.concatenate([song[source][i] for song in training] or [np.empty((0, 2))]) for i in (0, 1))
    features, reference = (np.concatenate([song[source][i] for song in test] or [np.empty((0, 2))]) for i in (0, 1))
    for name, values, least in (("training", table, neighbours), ("test", features, 1)):
        expect(len(values) >= least, name, f"{least} or more moments of {source}", len(values))
    _, nearest = cKDTree(table).query(features, k=[*range(1, neighbours + 1)])
    return float(np.mean(np.abs(spectra[nearest].mean(axis=1) - reference)))
