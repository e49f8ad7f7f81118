"""What a decoder is told about a sound, 250 times a second: pitch, voicing and loudness, or onsets and bands.

A pitched source (bass, voice) is described by "f0" (Hz), "voiced" (0 or 1), "loudness" (dB) and the loudness of a few
wide "bands" (dB), which tell a bright vowel from a dark one. Drums have no pitch: "onset" says where something is
struck, "bands" how loud it is where. Every feature is an array (frames, channels), frame k centred on k / 250 s as
everywhere in these chapters. There are few of them, and all are smooth, because chapter 8 has to guess them from a
mixture.
"""

import librosa
import numpy as np

from audio_processing.audio_processing import fix_length, resample, stft
from audio_processing.loudness import FRAME_RATE, LOUDNESS_FLOOR, loudness
from ddsp_models.pitch import tracking

SAMPLE_RATE = 16000  # Hz
HOP_LENGTH = SAMPLE_RATE // FRAME_RATE
N_BANDS = 16
LOWEST_CENTRE, BANDS_PER_OCTAVE = 40.0, 2
"""Of the bands in octaves, in Hz: 40 Hz to 7.2 kHz."""
BAND_FFT = 256  # samples: 16 ms, short enough for the attack of a drum
PITCHED = ("f0", "voiced", "loudness", "bands")
STRUCK = ("onset", "bands")
CHANNELS = {"f0": 1, "voiced": 1, "loudness": 1, "onset": 1, "bands": N_BANDS}


class FeatureError(ValueError):
    """Features that no decoder can be given. The message is one line that names the feature."""


def heard(audio, sample_rate):
    """A sound as the decoders hear it: one channel, 16 kHz, whole frames.

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
    FeatureError
        where it is not one finite channel of at least one frame.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise FeatureError(f"audio: shape {audio.shape} found, (samples,) expected; mix it to mono first")
    if len(audio) * FRAME_RATE < sample_rate:
        raise FeatureError(f"audio: {len(audio)} samples found, at least one frame of 1/{FRAME_RATE} s expected")
    if not np.isfinite(audio).all():
        raise FeatureError(f"audio: {np.count_nonzero(~np.isfinite(audio))} samples are NaN or infinite, none expected")
    frames = len(audio) * FRAME_RATE // sample_rate
    return fix_length(resample(audio, sample_rate, SAMPLE_RATE), frames * HOP_LENGTH)


def fill_gaps(f0, voiced=None):
    """A line of pitch without holes: straight in octaves from each voiced frame to the next, level at the ends.

    Parameters
    ----------
    f0 : np.ndarray, (frames,)
        in Hz. What cannot be played (0, negative, NaN, at or above 8 kHz) counts as not voiced.
    voiced : np.ndarray of bool, (frames,), optional
        by default wherever f0 can be played.

    Returns
    -------
    f0 : np.ndarray, float32, (frames,)
        in Hz; 0 everywhere where no frame is voiced.
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
    """Where frequencies lie on a scale on which the centres of the bands are equally far apart.

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
    hertz = np.asarray(hertz, np.float64)
    if scale == "mel":
        return librosa.hz_to_mel(hertz) / librosa.hz_to_mel(SAMPLE_RATE / 2) * (N_BANDS + 1) - 1
    if scale == "octave":
        return np.log2(np.maximum(hertz, 1.0) / LOWEST_CENTRE) * BANDS_PER_OCTAVE
    raise ValueError(f"scale: {scale!r} found, 'mel' or 'octave' expected")


def band_loudness(audio, n_fft=BAND_FFT, scale="mel"):
    """Power in bands of equal width in mel or in octaves, in dB: the outline of the spectrum.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        at 16 kHz, of whole frames.
    n_fft : int
        window in samples. The level of a steady note trembles unless several periods fit into it.
    scale : {"mel", "octave"}
        see `band_places`.

    Returns
    -------
    np.ndarray, float32, (frames, 16)
        at least -80.
    """
    if scale == "mel":
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=N_BANDS, norm=None)
    else:
        places = band_places(librosa.fft_frequencies(sr=SAMPLE_RATE, n_fft=n_fft), scale)
        filters = np.maximum(1 - np.abs(places - np.arange(N_BANDS)[:, None]), 0)  # triangles, (bands, frequencies)
    filters /= filters.sum(axis=1, keepdims=True)
    power = np.square(np.abs(stft(audio, n_fft, HOP_LENGTH))) * (BAND_FFT / n_fft)  # (frequencies, frames + 1)
    bands = (filters @ power)[:, : len(audio) // HOP_LENGTH].T
    decibels = 10 * np.log10(np.maximum(bands, 10 ** (LOUDNESS_FLOOR / 10)))
    return np.maximum(decibels, LOUDNESS_FLOOR).astype(np.float32)  # rounding of the logarithm


def onset_strength(bands):
    """How suddenly a sound gets louder: the rise over two frames, averaged over the bands.

    Parameters
    ----------
    bands : np.ndarray, (frames, bands)
        of `band_loudness`, in dB.

    Returns
    -------
    np.ndarray, float32, (frames, 1)
        in units of 20 dB, at least 0.
    """
    before = np.concatenate([np.full((2, bands.shape[1]), bands[:1].min()), bands])[: len(bands)]
    return (np.maximum(bands - before, 0).mean(axis=1, keepdims=True) / 20).astype(np.float32)


def pitched_features(
    audio, sample_rate, f0=None, voiced=None, *, fmin=32.7, fmax=1975.5, method="crepe", n_fft=BAND_FFT, scale="mel"
):
    """Describe a bass, a voice, or anything that plays one note at a time.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.
    f0, voiced : np.ndarray, (frames,), optional
        what is known of the pitch (Hz); by default somebody listens.
    fmin, fmax : float
        where, in Hz.
    method : str
        who, of `pitch.METHODS`; pYIN where it is CREPE and CREPE has no weights.
    n_fft, scale
        of `band_loudness`.

    Returns
    -------
    dict of np.ndarray, float32
        "f0", "voiced", "loudness" (frames, 1) and "bands" (frames, 16).

    Raises
    ------
    FeatureError
        where the audio is empty or not finite, or f0 has another number of frames.
    """
    sound = heard(audio, sample_rate)
    n_frames = len(sound) // HOP_LENGTH
    if f0 is None:
        options = {"fmin": fmin, "fmax": fmax}
        if method == "crepe":
            line = tracking.track_pitch_or_fall_back(sound, SAMPLE_RATE, **options)
        else:
            line = tracking.track_pitch(sound, SAMPLE_RATE, method, **options)
        f0, voiced = line.f0, line.voiced
    if np.shape(f0) != (n_frames,):
        raise FeatureError(f"f0: shape {np.shape(f0)} found, ({n_frames},) expected for {n_frames} frames of audio")
    f0, voiced = fill_gaps(f0, voiced)
    features = {"f0": f0, "voiced": voiced, "loudness": loudness(sound, SAMPLE_RATE)}
    features = {name: value[:, None].astype(np.float32) for name, value in features.items()}
    return {**features, "bands": band_loudness(sound, n_fft, scale)}


def drum_features(audio, sample_rate):
    """Describe drums.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.

    Returns
    -------
    dict of np.ndarray, float32
        "onset" (frames, 1), "bands" (frames, 16) and, for comparing, "loudness" (frames, 1).

    Raises
    ------
    FeatureError
        where the audio is empty or not finite.
    """
    sound = heard(audio, sample_rate)
    bands = band_loudness(sound)
    return {"onset": onset_strength(bands), "bands": bands, "loudness": loudness(sound, SAMPLE_RATE)[:, None]}


def adapted(features, statistics, octaves=None):
    """What one sound does, in the range of another: for playing the features of a voice on a bass.

    Parameters
    ----------
    features : dict of np.ndarray, (frames, channels)
        of `pitched_features`.
    statistics : dict
        of the songs that the decoder was trained on: its record's "statistics".
    octaves : float, optional
        how far to move the pitch; by default by the whole octaves that bring its mean nearest to the training songs'.

    Returns
    -------
    dict of np.ndarray, (frames, channels)
        loudness and bands moved to the training songs' means, frames below -60 dB excepted: silence stays silence.
    """
    moved = dict(features)
    sounds = features["loudness"][:, 0] > -60
    for name in ("loudness", "bands"):
        if name in statistics and sounds.any():
            shift = np.asarray(statistics[name]["mean"], np.float32) - features[name][sounds].mean(axis=0)
            moved[name] = np.where(sounds[:, None], features[name] + shift, features[name]).astype(np.float32)
    voiced = (features["voiced"][:, 0] > 0) & (features["f0"][:, 0] > 0)
    if octaves is None:
        octaves = 0.0
        if voiced.any():
            octaves = np.round(statistics["f0"]["mean"][0] - np.log2(features["f0"][voiced]).mean())
    moved["f0"] = (features["f0"] * 2.0**octaves).astype(np.float32)
    return moved


def batch(features, names):
    """Features as a decoder takes them: with a batch axis, checked, what is below -80 dB (even -inf) at -80 dB.

    Parameters
    ----------
    features : dict of array
        each (frames, channels), or (batch, frames, channels) already.
    names : sequence of str
        which the decoder listens to; others are left out.

    Returns
    -------
    dict of np.ndarray, float32, (batch, frames, channels)

    Raises
    ------
    FeatureError
        where one is missing, has another shape than the rest, or a loudness is NaN.
    """
    missing = [name for name in names if name not in features]
    if missing:
        raise FeatureError(f"features: {', '.join(sorted(features)) or 'none'} found, {missing[0]} is missing")
    arrays = {name: np.asarray(features[name], np.float32) for name in names}
    arrays = {name: array[None] if array.ndim == 2 else array for name, array in arrays.items()}
    n_frames = {array.shape[1] for array in arrays.values() if array.ndim == 3}
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape[2] != CHANNELS[name] or array.shape[1] == 0 or len(n_frames) > 1:
            shapes = ", ".join(f"{key} {value.shape}" for key, value in arrays.items())
            raise FeatureError(f"{name}: {shapes} found, (frames, {CHANNELS[name]}) and equally many frames expected")
        if name != "f0" and np.isnan(array).any():
            raise FeatureError(f"{name}: {np.isnan(array).sum()} NaN found, numbers expected")
        if name in ("loudness", "bands"):
            arrays[name] = np.maximum(array, LOUDNESS_FLOOR)
    return arrays


def song_features(song, source, sample_rate=SAMPLE_RATE):
    """The true features of one stem of a song, and the stem: the virtual band knows its pitch, others are listened to.

    Parameters
    ----------
    song : audio_processing.tracks.Track
    source : str
        "drums", "bass" or "vocals".
    sample_rate : int
        at which the stem is read, in Hz.

    Returns
    -------
    features : dict of np.ndarray
        of `drum_features` or `pitched_features`.
    audio : np.ndarray, (frames · 64,)
    """
    audio = song.stems(sample_rate, mono=True, sources=(source,))[source]
    if source == "drums":
        return drum_features(audio, sample_rate), heard(audio, sample_rate)
    known, frames = song.annotations(), len(audio) * FRAME_RATE // sample_rate
    f0 = known.get(f"f0_{source}")
    voiced = known.get(f"voiced_{source}")
    f0, voiced = (None if x is None else fix_length(x, frames) for x in (f0, voiced))
    return pitched_features(audio, sample_rate, f0, voiced, **LISTENING[source]), heard(audio, sample_rate)


LISTENING = {
    "bass": {"fmin": 32.7, "fmax": 350.0, "method": "yin", "n_fft": 1024, "scale": "octave"},
    "vocals": {"fmin": 60.0, "fmax": 1000.0, "method": "crepe", "n_fft": BAND_FFT, "scale": "mel"},
}
"""Where a source's pitch is looked for (Hz), by whom (the tracker that is right most often there: pitch_report), and
what its bands are: long and narrow enough for the first harmonics of a bass, short enough for a consonant."""
