"""Features that condition a decoder, 250 times a second: pitch, voicing and loudness, or onsets and bands.

Notebook: ddsp_models/autoencoder_report.ipynb

A pitched source (bass, voice) is described by "f0" (Hz), "voiced" (0 or 1), "loudness" (dB) and the loudness of a few
wide "bands" (dB), a coarse spectral envelope that distinguishes a bright vowel from a dark one. Drums have no pitch:
"onset" is where a hit begins, "bands" how loud it is at which frequencies. Every feature is an array (frames,
channels), frame k centred on k / 250 s as everywhere in these chapters. The features are few and smooth, because
chapter 8 has to estimate them from a mixture.
"""

from typing import NamedTuple

import librosa
import numpy as np

from audio_processing.audio_processing import fix_length, resample, stft
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FLOOR, loudness
from common.checks import expect
from ddsp_models.pitch import tracking

SAMPLE_RATE = 16000  # Hz
HOP_LENGTH = SAMPLE_RATE // FRAME_RATE
N_BANDS = 16
LOWEST_CENTRE, BANDS_PER_OCTAVE = 40.0, 2  # of the bands in octaves: from 40 Hz, in Hz, to 7.2 kHz
BAND_FFT = 256  # samples: 16 ms, short enough for the attack of a drum
SILENT = -60.0  # dB: frames below it keep their level when a sound is moved into another's range
PITCHED = ("f0", "voiced", "loudness", "bands")
STRUCK = ("onset", "bands")
CHANNELS = {"f0": 1, "voiced": 1, "loudness": 1, "onset": 1, "bands": N_BANDS}


class BandLayout(NamedTuple):
    """How the bands of a source are measured.

    Parameters
    ----------
    n_fft : int
        window in samples. The level of a steady note trembles unless several periods fit into it.
    scale : {"mel", "octave"}
        on which the bands are equally wide (see `band_places`).
    """

    n_fft: int = BAND_FFT
    scale: str = "mel"


MEL_BANDS = BandLayout()
BASS_BANDS = BandLayout(1024, "octave")  # long and narrow enough for the first harmonics of a bass
# Arguments of `pitched_features` for each pitched source: range of its pitch (Hz), the tracker that is right most often
# there (pitch_report.ipynb), and the layout of its bands.
PITCHED_SOURCES = {
    "bass": {"fmin": 32.7, "fmax": 350.0, "method": "yin", "layout": BASS_BANDS},
    "vocals": {"fmin": 60.0, "fmax": 1000.0, "method": "crepe", "layout": MEL_BANDS},
}


def layout_of(source, heard_as="decoders"):
    """The layout of a source's bands: that of its decoder, or `MEL_BANDS` for all sources ("mel")."""
    return PITCHED_SOURCES.get(source, {}).get("layout", MEL_BANDS) if heard_as == "decoders" else MEL_BANDS


def whole_frames(audio, sample_rate):
    """A sound at 16 kHz, cut to whole frames.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.

    Returns
    -------
    np.ndarray, float32, (frames · 64,)
        what is left after the last whole frame is cut off.

    Raises
    ------
    ValueError
        if the sound is not one finite channel of at least one frame.
    """
    audio = tracking.checked(audio, sample_rate)
    return fix_length(resample(audio, sample_rate, SAMPLE_RATE), len(audio) * FRAME_RATE // sample_rate * HOP_LENGTH)


def fill_gaps(f0, voiced=None):
    """Interpolate f0 where it is not voiced: linear in octaves between voiced frames, constant at the ends.

    Parameters
    ----------
    f0 : np.ndarray, (frames,)
        in Hz. What cannot be played (0, negative, NaN, at or above 8 kHz) counts as not voiced.
    voiced : np.ndarray of bool, (frames,), optional
        all frames whose f0 can be played if None.

    Returns
    -------
    f0 : np.ndarray, float32, (frames,)
        in Hz; 0 everywhere if no frame is voiced.
    voiced : np.ndarray of bool, (frames,)
    """
    f0 = np.asarray(f0, np.float64)
    playable = (f0 > 0) & (f0 < SAMPLE_RATE / 2)  # a NaN is neither
    voiced = playable if voiced is None else playable & np.asarray(voiced, bool)
    if not voiced.any():
        return np.zeros(f0.shape, np.float32), voiced
    k = np.arange(len(f0))
    return np.exp2(np.interp(k, k[voiced], np.log2(f0[voiced]))).astype(np.float32), voiced


def band_places(hertz, scale):
    """Positions of frequencies on a scale on which the centres of the bands are equally far apart.

    Parameters
    ----------
    hertz : np.ndarray
    scale : {"mel", "octave"}
        "mel" suits a voice; "octave" has four bands below 160 Hz, where a bass has its first harmonics.

    Returns
    -------
    np.ndarray
        0 for the centre of the first band, 1 for that of the second.
    """
    expect(scale in ("mel", "octave"), "scale", "'mel' or 'octave'", repr(scale))
    if scale == "mel":
        return librosa.hz_to_mel(hertz) / librosa.hz_to_mel(SAMPLE_RATE / 2) * (N_BANDS + 1) - 1
    return np.log2(np.maximum(hertz, 1.0) / LOWEST_CENTRE) * BANDS_PER_OCTAVE


def triangles(positions, centres, width=1.0):
    """Weights of linear interpolation, (positions, centres): 1 at a centre, 0 at a distance of `width` and more."""
    return np.maximum(0.0, 1.0 - np.abs(positions[:, None] - centres) / width)


def band_loudness(audio, layout=MEL_BANDS):
    """Power in bands of equal width in mel or in octaves, in dB: a coarse spectral envelope.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        at 16 kHz, of whole frames.
    layout : BandLayout

    Returns
    -------
    np.ndarray, float32, (frames, 16)
        at least -80.
    """
    n_fft, scale = layout
    if scale == "mel":
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=N_BANDS, norm=None)
    else:
        places = band_places(librosa.fft_frequencies(sr=SAMPLE_RATE, n_fft=n_fft), scale)
        filters = triangles(places, np.arange(N_BANDS)).T  # (bands, frequencies)
    filters /= filters.sum(axis=1, keepdims=True)
    power = np.square(np.abs(stft(audio, n_fft, HOP_LENGTH))) * (BAND_FFT / n_fft)  # (frequencies, frames + 1)
    bands = (filters @ power)[:, : len(audio) // HOP_LENGTH].T  # (frames, bands)
    decibels = 10 * np.log10(np.maximum(bands, 10 ** (LOUDNESS_FLOOR / 10)))
    return np.maximum(decibels, LOUDNESS_FLOOR).astype(np.float32)  # rounding of the logarithm


def onset_strength(bands):
    """How suddenly a sound gets louder: the rise over two frames, averaged over the bands (spectral flux).

    Parameters
    ----------
    bands : np.ndarray, (frames, bands)
        as returned by `band_loudness`, in dB.

    Returns
    -------
    np.ndarray, float32, (frames, 1)
        in units of 20 dB, at least 0.
    """
    before = np.concatenate([np.full((2, bands.shape[1]), bands[:1].min()), bands])[: len(bands)]
    return (np.maximum(bands - before, 0).mean(axis=1, keepdims=True) / 20).astype(np.float32)


def pitched_features(
    audio, sample_rate, f0=None, voiced=None, *, fmin=32.7, fmax=1975.5, method="crepe", layout=MEL_BANDS
):
    """Features of a bass, a voice, or anything that plays one note at a time.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.
    f0, voiced : np.ndarray, (frames,), optional
        ground truth, f0 in Hz; estimated with `method` if None.
    fmin, fmax : float
        range of the estimated pitch, in Hz.
    method : str
        pitch tracker, one of `tracking.METHODS`; CREPE falls back to pYIN if its weights are missing.
    layout : BandLayout

    Returns
    -------
    dict of str -> np.ndarray, float32
        "f0", "voiced", "loudness" (frames, 1) and "bands" (frames, 16).

    Raises
    ------
    ValueError
        if the audio is empty or not finite, or f0 has another number of frames.

    See Also
    --------
    drum_features : for sources without pitch.
    batch : the form that a decoder takes.

    Examples
    --------
    >>> tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)
    >>> features = pitched_features(tone, 16000, method="yin")
    >>> {name: array.shape for name, array in features.items()}
    {'f0': (250, 1), 'voiced': (250, 1), 'loudness': (250, 1), 'bands': (250, 16)}
    >>> round(float(features["f0"][125, 0]))
    220
    """
    sound = whole_frames(audio, sample_rate)
    n_frames = len(sound) // HOP_LENGTH
    if f0 is None:
        pitch = tracking.track_pitch_or_fall_back(sound, SAMPLE_RATE, method, fmin=fmin, fmax=fmax)
        f0, voiced = pitch.f0, pitch.voiced
    expect(np.shape(f0) == (n_frames,), "f0", f"shape ({n_frames},), a value for each frame of audio", np.shape(f0))
    f0, voiced = fill_gaps(f0, voiced)
    lines = {"f0": f0, "voiced": voiced, "loudness": loudness(sound, SAMPLE_RATE)}
    columns = {name: line[:, None].astype(np.float32) for name, line in lines.items()}
    return columns | {"bands": band_loudness(sound, layout)}


def drum_features(audio, sample_rate):
    """Features of drums.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.

    Returns
    -------
    dict of str -> np.ndarray, float32
        "onset" (frames, 1), "bands" (frames, 16) and, for comparisons, "loudness" (frames, 1).

    Raises
    ------
    ValueError
        if the audio is empty or not finite.
    """
    sound = whole_frames(audio, sample_rate)
    bands = band_loudness(sound)
    return {"onset": onset_strength(bands), "bands": bands, "loudness": loudness(sound, SAMPLE_RATE)[:, None]}


def features_of(source, audio, sample_rate, f0=None, voiced=None):
    """`drum_features` of drums; `pitched_features` of a bass or a voice, with its tracker and layout."""
    return (
        drum_features(audio, sample_rate)
        if source == "drums"
        else pitched_features(audio, sample_rate, f0, voiced, **PITCHED_SOURCES[source])
    )


def adapted(features, statistics, octaves=None):
    """Features of one sound, moved into the range of another: for playing the melody of a voice on a bass.

    Parameters
    ----------
    features : dict of str -> np.ndarray, (frames, channels)
        as returned by `pitched_features`.
    statistics : dict
        of the songs that the decoder was trained on: its record's "statistics".
    octaves : float, optional
        by which the pitch moves; if None, the whole octaves that bring its mean nearest to the training songs'.

    Returns
    -------
    dict of str -> np.ndarray, (frames, channels)
        loudness and bands moved to the training songs' means, frames below -60 dB excepted: silence stays silence.
    """
    moved = dict(features)
    sounds = features["loudness"][:, 0] > SILENT
    for name in ("loudness", "bands"):
        if name in statistics and sounds.any():
            shift = np.asarray(statistics[name]["mean"], np.float32) - features[name][sounds].mean(axis=0)
            moved[name] = np.where(sounds[:, None], features[name] + shift, features[name]).astype(np.float32)
    voiced = (features["voiced"][:, 0] > 0) & (features["f0"][:, 0] > 0)
    if octaves is None:
        mean = statistics["f0"]["mean"][0]
        octaves = np.round(mean - np.log2(features["f0"][voiced]).mean()) if voiced.any() else 0.0
    moved["f0"] = (features["f0"] * 2.0**octaves).astype(np.float32)
    return moved


def batch(features, names):
    """Features as a decoder takes them: with a batch axis, checked, levels below -80 dB (even -inf) raised to -80 dB.

    Parameters
    ----------
    features : dict of str -> array
        each (frames, channels), or (batch, frames, channels) already.
    names : sequence of str
        inputs of the decoder; other features are left out.

    Returns
    -------
    dict of str -> np.ndarray, float32, (batch, frames, channels)

    Raises
    ------
    ValueError
        if a feature is missing, has another shape than the rest, or a loudness is NaN.
    """
    expect(set(names) <= features.keys(), "features", ", ".join(names), ", ".join(sorted(features)) or "none")
    arrays = {name: np.asarray(features[name], np.float32) for name in names}
    arrays = {name: array[None] if array.ndim == 2 else array for name, array in arrays.items()}
    shapes = ", ".join(f"{key} {value.shape}" for key, value in arrays.items())
    n_frames = {array.shape[1] for array in arrays.values() if array.ndim == 3}
    for name, array in arrays.items():
        expect(
            array.ndim == 3 and array.shape[2] == CHANNELS[name] and len({*n_frames, 0}) == 2,
            name,
            f"(frames, {CHANNELS[name]}) and equally many frames, at least one",
            shapes,
        )
        expect(name == "f0" or not np.isnan(array).any(), name, "numbers", f"{np.isnan(array).sum()} NaN")
        if name in ("loudness", "bands"):
            arrays[name] = np.maximum(array, LOUDNESS_FLOOR)
    return arrays


def song_features(song, source, sample_rate=SAMPLE_RATE):
    """The true features of one stem of a song, and the stem. The pitch is annotated (virtual band) or estimated.

    Parameters
    ----------
    song : audio_processing.tracks.Track
    source : str
        "drums", "bass" or "vocals".
    sample_rate : int
        at which the stem is read, in Hz.

    Returns
    -------
    features : dict of str -> np.ndarray
        as returned by `drum_features` or `pitched_features`.
    audio : np.ndarray, (frames · 64,)
    """
    audio = song.stems(sample_rate, mono=True, sources=(source,))[source]
    sound, known = whole_frames(audio, sample_rate), song.annotations()
    names = (f"f0_{source}", f"voiced_{source}")
    pitch = [fix_length(known[name], len(sound) // HOP_LENGTH) for name in names if name in known]
    return features_of(source, audio, sample_rate, *pitch), sound
