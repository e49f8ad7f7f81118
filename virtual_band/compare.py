"""Is the band like recorded music? Measures of any song with stems, and where the band's values lie among real ones.

`python -m virtual_band.compare --musdb FOLDER` writes results/scores/band_vs_musdb.json.

All measures are taken on excerpts of `EXCERPT` seconds, the length of MUSDB18's free excerpts, so that long songs
have no advantage. A trio is compared with a trio: drums, bass and vocals of the real songs, their sum as mixture.
"""

import argparse
import sys
from pathlib import Path

import librosa
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import load, resample
from audio_processing.loudness import FRAME_RATE, loudness
from audio_processing.masks import irm
from audio_processing.metrics import si_sdr
from audio_processing.tracks import SOURCES, musdb_root, tracks
from common import results
from common.files import sha256_of

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
TRIO = ("drums", "bass", "vocals")
PAIRS = {"same_artist": ("musdb18_7s_trio", TRIO), "extra_instrument": ("musdb18_7s", SOURCES)}
DAMAGED = ("PR - Oh No", "PR - Happy Daze")  # stems that do not add up, and stems that are missing
RESULT = results.RESULTS / "scores" / "band_vs_musdb.json"


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
        Their sum is the mixture.
    sample_rate : int

    Returns
    -------
    dict of (str, str) -> float
        (source, measure) -> value, for the measures of `MEASURES`. A stem that sounds less than a tenth of the time has
        only its activity. `level` is the RMS relative to the mixture's; `irm_si_sdr` is what the ideal ratio mask
        (magnitudes, 1024/256, 16 kHz mono) reaches on the stem.
    """
    mono = {source: stem.mean(axis=0) for source, stem in stems.items()}
    mixture = sum(mono.values())
    estimates = irm({source: resample(stem, sample_rate, MASK_RATE) for source, stem in mono.items()})
    values = {}
    for source, stem in mono.items():
        values[source, "activity"] = activity(stem, mixture, sample_rate)
        if values[source, "activity"] < 0.1:
            continue
        values[source, "centroid"] = centroid(stem, sample_rate)
        values[source, "crest"] = crest(stem)
        values[source, "loudness_range"] = loudness_range(stem, sample_rate)
        values[source, "level"] = float(10.0 * np.log10(np.mean(stem**2) / np.mean(mixture**2)))
        values[source, "irm_si_sdr"] = si_sdr(resample(stem, sample_rate, MASK_RATE), estimates[source])
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
        Sources that play together, once for each way to look at a song.

    Returns
    -------
    list of list of dict
        For each of `bands`, results of `describe`, one per excerpt.
    """
    songs = [track for track in tracks(root, subset) if track.name not in DAMAGED]
    needed = [source for source in SOURCES if any(source in band for band in bands)]
    found = [[] for _ in bands]
    for track in tqdm(songs, desc=f"{Path(root).name}/{subset}", unit="song", leave=False):
        for excerpt in excerpts(track.stems(sources=needed), track.sample_rate):
            for values, band in zip(found, bands):
                values.append(describe({source: excerpt[source] for source in band}, track.sample_rate))
    return found


def pitch_agreement(audio, sample_rate, times, f0, lowest, highest):
    """Share of voiced frames in which pYIN (Mauch & Dixon 2014), made for recordings, hears the annotated pitch.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,)
    sample_rate : int
    times, f0 : np.ndarray, shape (frames,)
        The annotation: seconds, and Hz (0 = unvoiced).
    lowest, highest : float
        Hz, the range in which pYIN looks.

    Returns
    -------
    float
        0 to 1, within 50 cents; what pYIN itself calls unvoiced counts with its best guess.
    """
    hop = 256
    audio = resample(audio, sample_rate, MASK_RATE)
    heard, _, _ = librosa.pyin(
        audio, fmin=lowest, fmax=highest, sr=MASK_RATE, frame_length=1024, hop_length=hop, fill_na=None
    )
    nearest = np.searchsorted(times + 0.5 * (times[1] - times[0]), np.arange(heard.size) * hop / MASK_RATE)
    known = f0[np.minimum(nearest, f0.size - 1)]
    voiced = known > 0
    return float(np.mean(np.abs(1200.0 * np.log2(heard[voiced] / known[voiced])) < 50.0))


PITCH_RANGE = {"bass": (38.0, 350.0), "vocals": (60.0, 1000.0)}  # Hz


def pitch_records(root, test_set):
    """Pitch agreement of every song of a set of the band, on its first excerpt, as records of a result file."""
    records = []
    for track in tqdm(tracks(root / test_set, "test"), desc=f"pitch of {test_set}", unit="song", leave=False):
        known = track.annotations()
        frames = int(EXCERPT * FRAME_RATE)
        for source, (lowest, highest) in PITCH_RANGE.items():
            audio = track.stems(mono=True, sources=(source,))[source][: int(EXCERPT * track.sample_rate)]
            f0 = known[f"f0_{source}"][:frames]
            if f0.any():
                value = pitch_agreement(audio, track.sample_rate, known["times"][:frames], f0, lowest, highest)
                records.append(_pitch_record(test_set, track.name, source, value))
    return records


def _pitch_record(test_set, track, source, value):
    return {
        "test_set": test_set,
        "track": track,
        "system": "pyin",
        "source": source,
        "metric": "raw_pitch_accuracy",
        "unit": "0-1",
        "value": value,
    }


def percentiles(measured, test_set):
    """Percentiles 5, 50 and 95 over excerpts, as records of a result file.

    Parameters
    ----------
    measured : list of dict
        Results of `describe`.
    test_set : str
        What was measured.

    Returns
    -------
    list of dict
        `track` is "5 %", "median" or "95 %", `system` is "true_stems".
    """
    records = []
    for source in SOURCES:
        for measure, unit in MEASURES.items():
            values = [excerpt[source, measure] for excerpt in measured if (source, measure) in excerpt]
            if not values:
                continue
            for name, value in zip(("5 %", "median", "95 %"), np.percentile(values, [5, 50, 95])):
                records.append(
                    {
                        "test_set": test_set,
                        "track": name,
                        "system": "true_stems",
                        "source": source,
                        "metric": measure,
                        "unit": unit,
                        "value": float(value),
                    }
                )
    return records


def table(records):
    """Put the band's medians beside the range of the real excerpts.

    Parameters
    ----------
    records : list of dict
        Of band_vs_musdb.json.

    Returns
    -------
    list of dict
        One row per set, source and measure: "set", "source", "measure", "unit", "band", "real 5 %", "real median",
        "real 95 %", "inside" (yes or NO).
    """
    value = {(r["test_set"], r["source"], r["metric"], r["track"]): r["value"] for r in records}
    rows = []
    for band, (real, sources) in PAIRS.items():
        for source in sources:
            for measure, unit in MEASURES.items():
                ours = value[band, source, measure, "median"]
                low, middle, high = (value[real, source, measure, name] for name in ("5 %", "median", "95 %"))
                rows.append(
                    {
                        "set": band,
                        "source": source,
                        "measure": measure,
                        "unit": unit,
                        "band": ours,
                        "real 5 %": low,
                        "real median": middle,
                        "real 95 %": high,
                        "inside": "yes" if low <= ours <= high else "NO",
                    }
                )
    return rows


def main(arguments=None):
    """Measure band and real music, write the result file and say how many rows lie inside."""
    parser = argparse.ArgumentParser(
        prog="python -m virtual_band.compare", description="Compare the band with MUSDB18."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("data/virtual_band"), help="the band's sets (default: %(default)s)"
    )
    parser.add_argument("--musdb", type=Path, default=musdb_root(), help="MUSDB18 (default: $MUSDB_PATH)")
    parser.add_argument(
        "--voice", type=Path, help="a recorded solo voice, beside it its f0 (NAME.wav, NAME_f0.csv: s, Hz)"
    )
    options = parser.parse_args(arguments)
    try:
        if options.musdb is None:
            raise ValueError("--musdb: no folder given, and MUSDB_PATH is not set")
        records = []
        if options.voice:  # first: a wrong path should not cost the minutes of the rest
            audio, rate = load(options.voice, mono=True)
            times, f0 = np.loadtxt(options.voice.with_name(f"{options.voice.stem}_f0.csv"), delimiter=",").T
            value = pitch_agreement(audio, rate, times, f0, *PITCH_RANGE["vocals"])
            records.append(_pitch_record("recorded_voice", options.voice.stem, "vocals", value))
        for band, (_, sources) in PAIRS.items():
            records += percentiles(*describe_tree(options.root / band, "test", [sources]), band)
        subsets = [
            describe_tree(options.musdb, s, [sources for _, sources in PAIRS.values()]) for s in ("train", "test")
        ]
        for (real, _), train, test in zip(PAIRS.values(), *subsets):
            records += percentiles(train + test, real)
        for band in ("same_artist", "other_artist"):
            records += pitch_records(options.root, band)
    except (ValueError, OSError) as error:
        print(f"virtual_band.compare: {error}", file=sys.stderr)
        return 2
    songs = [track for band in PAIRS for track in tracks(options.root / band, "test")] + tracks(options.musdb)
    files = [path for track in songs for path in track.files()]
    config = {"excerpt_seconds": EXCERPT, "mask_rate": MASK_RATE, "mask": "magnitudes, 1024/256"}
    results.write(RESULT, {**results.head("band_vs_musdb", config=config, data=sha256_of(*files)), "records": records})
    rows = table(records)
    print(f"{RESULT}: {sum(row['inside'] == 'yes' for row in rows)} of {len(rows)} medians inside the real 5-95 %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
