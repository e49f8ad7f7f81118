"""Is the band like recorded music? Measures of any song with stems, and where the band's values lie among real ones.

`python -m virtual_band.compare --musdb FOLDER` writes results/scores/band_vs_musdb.json.

All measures are taken on excerpts of `EXCERPT` seconds, the length of MUSDB18's free excerpts, so that long songs
have no advantage. A trio is compared with a trio: drums, bass and vocals of the real songs, their sum as mixture.

Notebook: virtual_band/dataset_report.ipynb
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import librosa
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import load, resample
from audio_processing.loudness import FRAME_RATE, loudness
from audio_processing.masks import irm
from audio_processing.metrics import si_sdr
from audio_processing.tracks import EXCLUDED, SOURCES, TRIO, tracks
from common import results
from common.checks import expect
from common.files import sha256_of
from common.places import HERE

EXCERPT = 7.0  # s
MASK_RATE = 16000  # Hz, of the ideal ratio mask
MEASURES = {
    "centroid": "Hz",
    "crest": "dB",
    "loudness_range": "dB",
    "activity": "0-1",
    "level": "dB",
    "irm_si_sdr": "dB",
}
PERCENTILES = {"5 %": 5, "median": 50, "95 %": 95}
PAIRS = {"same_artist": ("musdb18_7s_trio", TRIO), "extra_instrument": ("musdb18_7s", SOURCES)}
PITCH_RANGE = {"bass": (38.0, 350.0), "vocals": (60.0, 1000.0)}  # Hz
RESULT = HERE.results / "scores" / "band_vs_musdb.json"


def activity(stem, mixture, sample_rate):
    """Fraction of 50 ms windows in which a stem lies less than 35 dB below the mixture's RMS."""
    size = int(0.05 * sample_rate)
    windows = stem[: stem.shape[-1] // size * size].reshape(-1, size)
    level = 10.0 * np.log10(np.mean(np.square(windows, dtype=np.float64), axis=1) + 1e-12)
    threshold = 10.0 * np.log10(np.mean(np.square(mixture, dtype=np.float64)) + 1e-12) - 35.0
    return float(np.mean(level > threshold))


def crest(audio):
    """Peak over RMS, in dB."""
    return float(20.0 * np.log10(np.max(np.abs(audio)) / np.sqrt(np.mean(np.square(audio, dtype=np.float64)))))


def centroid(audio, sample_rate):
    """Median of the spectral centroid (Hz) over the frames within 30 dB of the loudest."""
    magnitude = np.abs(librosa.stft(np.asarray(audio, dtype=np.float32), n_fft=2048, hop_length=1024))
    power = np.sum(magnitude**2, axis=0)
    loud = magnitude[:, power > 1e-3 * power.max()]
    return float(np.median(librosa.feature.spectral_centroid(S=loud, sr=sample_rate)))


def loudness_range(audio, sample_rate):
    """Distance between the 10th and the 95th percentile of the loudness in 400 ms windows that sound at all, in dB.

    The percentiles are those of EBU Tech 3342, whose windows of 3 s are too long for excerpts; windows more than 40
    dB below the loudest are rests and do not count.
    """
    power = 10.0 ** (loudness(audio, sample_rate) / 10.0)
    size = int(0.4 * FRAME_RATE)
    level = 10.0 * np.log10(np.convolve(power, np.full(size, 1.0 / size), mode="valid")[:: size // 4])
    low, high = np.percentile(level[level > level.max() - 40.0], [10, 95])
    return float(high - low)


def describe(stems, sample_rate):
    """Measure one excerpt.

    Parameters
    ----------
    stems : dict of str to np.ndarray, (channels, samples)
        their sum is the mixture.
    sample_rate : int
        in Hz.

    Returns
    -------
    dict of (str, str) to float
        (source, measure) → value, for the measures of `MEASURES`. A stem that sounds less than a tenth of the time has
        only its activity. `level` is the RMS relative to the mixture's; `irm_si_sdr` is what the ideal ratio mask
        (magnitudes, 1024/256, 16 kHz mono) reaches on the stem.
    """
    mono = {source: stem.mean(axis=0) for source, stem in stems.items()}
    mixture = sum(mono.values())
    references = {source: resample(stem, sample_rate, MASK_RATE) for source, stem in mono.items()}
    estimates = irm(references)
    values = {}
    for source, stem in mono.items():
        values[source, "activity"] = activity(stem, mixture, sample_rate)
        if values[source, "activity"] < 0.1:
            continue
        values |= {
            (source, "centroid"): centroid(stem, sample_rate),
            (source, "crest"): crest(stem),
            (source, "loudness_range"): loudness_range(stem, sample_rate),
            (source, "level"): float(10.0 * np.log10(np.mean(stem**2) / np.mean(mixture**2))),
            (source, "irm_si_sdr"): si_sdr(references[source], estimates[source]),
        }
    return values


def excerpts(stems, sample_rate, seconds=EXCERPT):
    """Cut stems into consecutive excerpts of equal length; the rest is dropped, and a short song is one excerpt."""
    size = int(seconds * sample_rate)
    n_samples = next(iter(stems.values())).shape[-1]
    for start in range(0, max(1, n_samples - size + 1), size):
        yield {source: stem[..., start : start + size] for source, stem in stems.items()}


def describe_tree(root, subset, bands):
    """Measure every excerpt of every song of a tree in MUSDB18-HQ layout, or of a folder of MUSDB18's own files.

    Parameters
    ----------
    root : str or Path
    subset : str
    bands : sequence of tuple of str
        sources that play together, once for each way to look at a song.

    Returns
    -------
    list of list of dict
        for each of `bands`, results of `describe`, one per excerpt.
    """
    songs = [track for track in tracks(root, subset) if track.name not in EXCLUDED]
    needed = [source for source in SOURCES if any(source in band for band in bands)]
    measured = [[] for _ in bands]
    for track in tqdm(songs, desc=f"{Path(root).name}/{subset}", unit="song", leave=False):
        for excerpt in excerpts(track.stems(sources=needed), track.sample_rate):
            for values, band in zip(measured, bands):
                values.append(describe({source: excerpt[source] for source in band}, track.sample_rate))
    return measured


def pitch_agreement(audio, sample_rate, times, f0, lowest, highest):
    """Fraction of voiced frames in which pYIN (Mauch & Dixon 2014), made for recordings, finds the annotated pitch.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
    sample_rate : int
        in Hz.
    times, f0 : np.ndarray, (frames,)
        the annotation: seconds, and Hz (0 = unvoiced).
    lowest, highest : float
        in Hz, the range in which pYIN searches.

    Returns
    -------
    float
        0 to 1, within 50 cents; frames that pYIN calls unvoiced count with its best guess.
    """
    hop = 256
    estimate, _, _ = librosa.pyin(
        resample(audio, sample_rate, MASK_RATE),
        fmin=lowest,
        fmax=highest,
        sr=MASK_RATE,
        frame_length=1024,
        hop_length=hop,
        fill_na=None,
    )
    nearest = np.searchsorted(times + 0.5 * (times[1] - times[0]), np.arange(estimate.size) * hop / MASK_RATE)
    reference = f0[np.minimum(nearest, f0.size - 1)]
    voiced = reference > 0
    return float(np.mean(np.abs(1200.0 * np.log2(estimate[voiced] / reference[voiced])) < 50.0))


def pitch_records(root, test_set):
    """Pitch agreement of every song of a set of the band, on its first excerpt, as records of a result file."""
    records = []
    for track in tqdm(tracks(root / test_set, "test"), desc=f"pitch of {test_set}", unit="song", leave=False):
        annotations = track.annotations()
        first = np.s_[: int(EXCERPT * FRAME_RATE)]
        for source, limits in PITCH_RANGE.items():
            times, f0 = annotations["times"][first], annotations[f"f0_{source}"][first]
            if f0.any():
                audio = track.stems(mono=True, sources=(source,))[source][: int(EXCERPT * track.sample_rate)]
                share = pitch_agreement(audio, track.sample_rate, times, f0, *limits)
                records.append(_record(test_set, track.name, "pyin", source, "raw_pitch_accuracy", "0-1", share))
    return records


def _record(*values):
    return dict(zip(("test_set", "track", "system", "source", "metric", "unit", "value"), values))


def percentiles(measured, test_set):
    """Percentiles 5, 50 and 95 over excerpts, as records of a result file.

    Parameters
    ----------
    measured : list of dict
        as returned by `describe`.
    test_set : str
        the music that was measured.

    Returns
    -------
    list of dict
        `track` is "5 %", "median" or "95 %", `system` is "true_stems".
    """
    records = []
    for source, (measure, unit) in product(SOURCES, MEASURES.items()):
        values = [excerpt[source, measure] for excerpt in measured if (source, measure) in excerpt]
        records += [
            _record(test_set, name, "true_stems", source, measure, unit, float(np.percentile(values, percent)))
            for name, percent in PERCENTILES.items()
            if values
        ]
    return records


def table(records):
    """The band's medians beside the range of the real excerpts.

    Parameters
    ----------
    records : list of dict
        those of band_vs_musdb.json.

    Returns
    -------
    list of dict
        one row per set, source and measure: "set", "source", "measure", "unit", "band", "real 5 %", "real median",
        "real 95 %", "inside" (yes or NO).
    """
    value = {(r["test_set"], r["source"], r["metric"], r["track"]): r["value"] for r in records}
    rows = []
    for band, (real, sources) in PAIRS.items():
        for source, (measure, unit) in product(sources, MEASURES.items()):
            row = {"set": band, "source": source, "measure": measure, "unit": unit}
            places = {"band": (band, "median"), **{f"real {name}": (real, name) for name in PERCENTILES}}
            row |= {name: value[test_set, source, measure, track] for name, (test_set, track) in places.items()}
            rows.append(row | {"inside": "yes" if row["real 5 %"] <= row["band"] <= row["real 95 %"] else "NO"})
    return rows


def main(arguments=None):
    """Measure the band and real music, write the result file and print how many rows lie inside."""
    parser = argparse.ArgumentParser(
        prog="python -m virtual_band.compare", description="Compare the band with MUSDB18."
    )
    parser.add_argument("--data", type=Path, default=HERE.band, help="the band's sets (default: data/virtual_band)")
    parser.add_argument("--musdb", type=Path, default=HERE.musdb, help="MUSDB18 (default: $MUSDB_PATH)")
    parser.add_argument(
        "--voice", type=Path, help="a recorded solo voice, with its f0 beside it (NAME.wav, NAME_f0.csv: s, Hz)"
    )
    options = parser.parse_args(arguments)
    return results.report("virtual_band.compare", lambda: write(options.data, options.musdb, options.voice))


def write(root, musdb, voice=None):
    """Write the result file.

    Parameters
    ----------
    root, musdb : Path
        the band's sets, and MUSDB18.
    voice : Path, optional
        a recorded solo voice, with its f0 beside it.

    Returns
    -------
    list of Path
    """
    expect(musdb is not None, "--musdb", "a folder, or MUSDB_PATH set to one", "neither")
    records = []
    if voice:  # first: a wrong path should not cost the minutes of the rest
        audio, rate = load(voice, mono=True)
        times, f0 = np.loadtxt(voice.with_name(f"{voice.stem}_f0.csv"), delimiter=",").T
        share = pitch_agreement(audio, rate, times, f0, *PITCH_RANGE["vocals"])
        records.append(_record("recorded_voice", voice.stem, "pyin", "vocals", "raw_pitch_accuracy", "0-1", share))
    for band, (_, sources) in PAIRS.items():
        records += percentiles(*describe_tree(root / band, "test", [sources]), band)
    real, sources = zip(*PAIRS.values())
    for name, train, test in zip(real, *(describe_tree(musdb, subset, sources) for subset in ("train", "test"))):
        records += percentiles(train + test, name)
    for band in ("same_artist", "other_artist"):
        records += pitch_records(root, band)
    songs = [track for band in PAIRS for track in tracks(root / band, "test")] + tracks(musdb)
    data = sha256_of(*(path for track in songs for path in track.files()))
    config = {"excerpt_seconds": EXCERPT, "mask_rate": MASK_RATE, "mask": "magnitudes, 1024/256"}
    results.write(RESULT, {**results.head("band_vs_musdb", config=config, data=data), "records": records})
    rows = table(records)
    print(f"{sum(row['inside'] == 'yes' for row in rows)} of {len(rows)} medians lie inside the real 5-95 %")
    return [RESULT]


if __name__ == "__main__":
    sys.exit(main())
