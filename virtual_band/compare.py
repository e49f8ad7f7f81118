"""Is the band like recorded music? Measures of any song with stems, and where the band's values lie among real ones.

All measures are taken on excerpts of `EXCERPT` seconds, the length of MUSDB18's free excerpts, so that long songs
have no advantage.
"""

import librosa
import numpy as np

from audio_processing.audio_processing import resample
from audio_processing.masks import irm
from audio_processing.metrics import si_sdr
from virtual_band.annotations import FRAME_RATE, loudness

EXCERPT = 7.0  # s
MASK_RATE = 16000  # Hz, of the ideal ratio mask
MEASURES = {
    "centroid": "Hz",
    "crest": "dB",
    "loudness_range": "dB",
    "activity": "0-1",
    "level": "dB",
    "irm_si_sdr": "dB",
    "irm_si_sdr_trio": "dB",
}


def level_curve(audio, sample_rate, window=0.05):
    """RMS in consecutive windows, in dB of full scale.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,)
    sample_rate : int
    window : float
        In seconds.

    Returns
    -------
    np.ndarray, shape (windows,)
    """
    size = int(window * sample_rate)
    n = audio.shape[-1] // size * size
    return 10.0 * np.log10(np.mean(np.square(audio[:n].reshape(-1, size), dtype=np.float64), axis=1) + 1e-12)


def activity(stem, mixture, sample_rate):
    """Share of 50 ms windows in which a stem lies less than 35 dB below the mixture's RMS."""
    threshold = 10.0 * np.log10(np.mean(np.square(mixture, dtype=np.float64)) + 1e-12) - 35.0
    return float(np.mean(level_curve(stem, sample_rate) > threshold))


def crest(audio):
    """Peak over RMS, in dB."""
    return float(20.0 * np.log10(np.max(np.abs(audio)) / np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


def centroid(audio, sample_rate):
    """Median of the spectral centroid (Hz) over the frames within 30 dB of the loudest."""
    magnitude = np.abs(librosa.stft(np.asarray(audio, dtype=np.float32), n_fft=2048, hop_length=1024))
    power = np.sum(magnitude**2, axis=0)
    loud = power > 1e-3 * power.max()
    return float(np.median(librosa.feature.spectral_centroid(S=magnitude[:, loud], sr=sample_rate)))


def loudness_range(audio, sample_rate):
    """Distance between the 10th and the 95th percentile of the loudness in 400 ms windows that sound at all, in dB.

    The percentiles are those of EBU Tech 3342, whose windows of 3 s are too long for excerpts; windows more than 40
    dB below the loudest are rests and do not count.
    """
    power = 10.0 ** (loudness(audio, sample_rate) / 10.0)
    size = int(0.4 * FRAME_RATE)
    level = 10.0 * np.log10(np.convolve(power, np.full(size, 1.0 / size), mode="valid")[:: size // 4])
    level = level[level > level.max() - 40.0]
    return float(np.percentile(level, 95) - np.percentile(level, 10))


def describe(stems, sample_rate):
    """Measure one excerpt.

    Parameters
    ----------
    stems : dict of str -> np.ndarray, shape (channels, samples)
    sample_rate : int

    Returns
    -------
    dict of (str, str) -> float
        (source, measure) -> value, for the measures of `MEASURES`. A stem that is silent, or sounds less than a tenth
        of the time, has only its activity. `irm_si_sdr` is the ideal ratio mask (magnitudes, 1024/256, 16 kHz mono)
        on the sum of all stems, and `irm_si_sdr_trio` on drums, bass and vocals alone.
    """
    mono = {source: stem.mean(axis=0) for source, stem in stems.items()}
    mixture = sum(mono.values())
    values = {}
    sounding = []
    for source, stem in mono.items():
        values[source, "activity"] = activity(stem, mixture, sample_rate)
        if values[source, "activity"] < 0.1:
            continue
        sounding.append(source)
        values[source, "centroid"] = centroid(stem, sample_rate)
        values[source, "crest"] = crest(stem)
        values[source, "loudness_range"] = loudness_range(stem, sample_rate)
        values[source, "level"] = float(10.0 * np.log10(np.mean(stem**2) / np.mean(mixture**2)))
    small = {source: resample(stem, sample_rate, MASK_RATE) for source, stem in mono.items()}
    for measure, sources in (("irm_si_sdr", list(stems)), ("irm_si_sdr_trio", ["drums", "bass", "vocals"])):
        chosen = {source: small[source] for source in sources if source in small}
        estimates = irm(chosen)
        for source in chosen:
            if source in sounding:
                values[source, measure] = si_sdr(chosen[source], estimates[source])
    return values


def excerpts(stems, sample_rate, seconds=EXCERPT):
    """Cut stems into consecutive excerpts of equal length; what is left over at the end is dropped."""
    size = int(seconds * sample_rate)
    n_samples = next(iter(stems.values())).shape[-1]
    for start in range(0, n_samples - size + 1, size):
        yield {source: stem[..., start : start + size] for source, stem in stems.items()}


def place(band, real):
    """Where the band's median lies among real excerpts.

    Parameters
    ----------
    band, real : list of dict
        Results of `describe`.

    Returns
    -------
    list of dict
        One row per source and measure: `band` (median), `real_5`, `real_median`, `real_95` (percentiles), `inside`.
    """
    rows = []
    for source in ("drums", "bass", "other", "vocals"):
        for measure, unit in MEASURES.items():
            ours = [song[source, measure] for song in band if (source, measure) in song]
            theirs = [song[source, measure] for song in real if (source, measure) in song]
            if not ours or not theirs:
                continue
            low, middle, high = (float(v) for v in np.percentile(theirs, [5, 50, 95]))
            median = float(np.median(ours))
            rows.append(
                {
                    "source": source,
                    "measure": measure,
                    "unit": unit,
                    "band": median,
                    "real_5": low,
                    "real_median": middle,
                    "real_95": high,
                    "inside": low <= median <= high,
                }
            )
    return rows
