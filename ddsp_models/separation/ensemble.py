"""Two separators together: Conv-TasNet's waveforms and the parametric separator's masks fail in different places.

`python -m ddsp_models.separation.ensemble` finds, on the validation songs, how far each is to be trusted where, and writes
`trained/ensemble.json`, and what that is worth on songs it was not found on to `results/ensemble-validation.json`.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import istft, stft
from audio_processing.chunks import array_reader, by_windows, even_window
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.analysis_network import mel_triangles
from ddsp_models.separation.separators import MaskedSeparator, checked
from mss_nn_implementation.convtas import ConvTasNetSeparator, WeightsError

RATE = 16000
"""Sample rate at which the shares are found, in Hz."""
WINDOW = 2048 / RATE
"""Length of the STFT's window, in s."""
N_BANDS = 24
EDGES = (0.1, 0.35, 0.65, 0.9)
"""Between the classes of `classes`: shares of the mixture's magnitude."""
KINDS = ("mean", "shares", "table")


# --- one weight per band ---------------------------------------------------------------------------------------------


def shares_over_frequency(shares, n_fft, sample_rate):
    """Shares per band, of equal width in mel up to 8 kHz, as shares per bin; above 8 kHz the last band goes on.

    Parameters
    ----------
    shares : np.ndarray, (sources, bands)
    n_fft, sample_rate : int
        of the spectrum that they are for.

    Returns
    -------
    np.ndarray, (sources, n_fft / 2 + 1)
    """
    grid = np.arange(1025) * RATE / 2048
    known = shares @ mel_triangles(shares.shape[1], 2048, RATE).T  # (sources, 1025)
    frequency = np.minimum(np.arange(n_fft // 2 + 1) * sample_rate / n_fft, RATE / 2)
    return np.stack([np.interp(frequency, grid, row) for row in known]).astype(np.float32)


def combine(first, second, shares, sample_rate):
    """Estimates whose spectra are the weighted means of two others'.

    Parameters
    ----------
    first, second : np.ndarray, (sources, ..., samples)
    shares : np.ndarray, (sources, bands)
        weight of `first`; `second` has the rest.
    sample_rate : int

    Returns
    -------
    np.ndarray, float32, (sources, ..., samples)
    """
    n_fft = 2 * round(WINDOW * sample_rate / 2)
    weight = shares_over_frequency(shares, n_fft, sample_rate)
    weight = weight.reshape(len(weight), *(1,) * (first.ndim - 2), -1, 1)  # (sources, ..., frequencies, 1)
    difference = istft(weight * stft(first - second, n_fft, n_fft // 4), n_fft // 4, length=first.shape[-1])
    return (second + difference).astype(np.float32)


def best_shares(songs):
    """The shares that bring the estimates nearest to the true stems, in the sense of least squares.

    With one weight w for a band, |s - (w a + (1 - w) b)|² is least at w = <s - b, a - b> / |a - b|².

    Parameters
    ----------
    songs : iterable of (np.ndarray, np.ndarray, np.ndarray)
        true stems, first and second estimates, each (sources, samples) at 16 kHz.

    Returns
    -------
    np.ndarray, (sources, 24)
        in [0, 1]; 0.5 where both estimates are alike.
    """
    bands = mel_triangles(N_BANDS, 2048, RATE)
    agree, apart = 0.0, 0.0
    for true, first, second in songs:
        wanted, step = stft(true - second, 2048, 512), stft(first - second, 2048, 512)
        agree = agree + np.sum(np.real(wanted * np.conj(step)), axis=-1) @ bands
        apart = apart + np.sum(np.abs(step) ** 2, axis=-1) @ bands
    known = apart > 1e-9 * apart.max()
    return np.clip(np.where(known, agree / np.where(known, apart, 1.0), 0.5), 0.0, 1.0)


# --- two weights per band and circumstance ---------------------------------------------------------------------------


def classes(first, second, mixture):
    """Under which circumstances two estimates are combined, bin by bin: how much of the mixture each of them claims.

    Parameters
    ----------
    first, second : np.ndarray, (..., frequencies, frames)
        spectra of two estimates.
    mixture : np.ndarray, (..., frequencies, frames)

    Returns
    -------
    np.ndarray of int, (..., frequencies, frames)
        0 where both claim less than a tenth of its magnitude, up to 24 where both claim more than nine tenths.
    """
    magnitude = np.abs(mixture) + 1e-9
    claimed = [np.digitize(np.abs(estimate) / magnitude, EDGES) for estimate in (first, second)]
    return claimed[0] * (len(EDGES) + 1) + claimed[1]


def bands_of_bins(n_fft, sample_rate):
    """In which of the 24 bands each bin lies most; above 8 kHz the last one: (n_fft / 2 + 1,)."""
    frequency = np.minimum(np.arange(n_fft // 2 + 1) * sample_rate / n_fft, RATE / 2)
    nearest = np.argmax(mel_triangles(N_BANDS, 2048, RATE), axis=1)
    return nearest[np.round(frequency * 2048 / RATE).astype(int)]


def best_table(songs, prior=0.02):
    r"""The weights of either estimate in each band and class that bring their sum nearest to the true stems.

    Least squares again, with two unknowns: :math:`|s - (\alpha a + \beta b)|^2`, drawn towards their mean where a class
    is rare.

    Parameters
    ----------
    songs : iterable of (np.ndarray, np.ndarray, np.ndarray)
        true stems, first and second estimates, each (sources, samples) at 16 kHz; the stems add up to the mixture.
    prior : float
        share of all energy with which the mean is believed in, in each band and class.

    Returns
    -------
    np.ndarray, (sources, 24, 25, 2)
    """
    band, count = bands_of_bins(2048, RATE), N_BANDS * (len(EDGES) + 1) ** 2
    sums = 0.0
    for true, first, second in songs:
        s, a, b = (stft(x, 2048, 512) for x in (true, first, second))
        m = s.sum(axis=0)
        found = []
        for i in range(len(s)):
            place = (band[:, None] * (len(EDGES) + 1) ** 2 + classes(a[i], b[i], m)).ravel()
            products = (a[i], a[i]), (a[i], b[i]), (b[i], b[i]), (a[i], s[i]), (b[i], s[i])
            found.append([np.bincount(place, np.real(x * np.conj(y)).ravel(), count) for x, y in products])
        sums = sums + np.array(found)  # (sources, 5, bands · classes)
    aa, ab, bb, sa, sb = np.moveaxis(sums, 1, 0)
    ridge = prior * (aa + bb).mean(axis=1, keepdims=True) + 1e-12
    aa, bb, sa, sb = aa + ridge, bb + ridge, sa + 0.5 * ridge, sb + 0.5 * ridge
    determinant = aa * bb - ab**2
    weights = np.stack([(sa * bb - sb * ab) / determinant, (sb * aa - sa * ab) / determinant], axis=-1)
    return np.clip(weights, -1.0, 2.0).reshape(len(aa), N_BANDS, -1, 2)


def combine_by_table(first, second, table, mixture, sample_rate):
    """Estimates whose spectra are weighted sums of two others', the weights looked up bin by bin.

    Parameters
    ----------
    first, second : np.ndarray, (sources, ..., samples)
    table : np.ndarray, (sources, 24, 25, 2)
        of `best_table`.
    mixture : np.ndarray, (..., samples)
    sample_rate : int

    Returns
    -------
    np.ndarray, float32, (sources, ..., samples)
    """
    n_fft = 2 * round(WINDOW * sample_rate / 2)
    hop, band = n_fft // 4, bands_of_bins(n_fft, sample_rate)[:, None]
    m, stems = stft(mixture, n_fft, hop), []
    for a, b, weights in zip(first, second, table):
        a, b = stft(a, n_fft, hop), stft(b, n_fft, hop)
        alpha, beta = np.moveaxis(weights[band, classes(a, b, m)], -1, 0)
        stems.append(istft(alpha * a + beta * b, hop, length=mixture.shape[-1]))
    return np.stack(stems).astype(np.float32)


# --- the separator ---------------------------------------------------------------------------------------------------


class Ensemble:
    """Conv-TasNet and the parametric separator, each trusted where it was right on the validation songs.

    Parameters
    ----------
    shares : str or Path, optional
        file that this module's command writes; None for plain means.
    folder : str or Path
        of the parametric separator's weights.
    kind : {"mean", "shares", "table"}, optional
        plain mean, a weight per source and band, or weights per source, band and class; by default the one that was
        best on songs that it was not found on.
    """

    chunk_seconds, overlap_seconds = 18.5, 1.0

    def __init__(self, shares=WEIGHTS / "ensemble.json", folder=WEIGHTS, kind=None):
        self.first, self.second = ConvTasNetSeparator("trio"), MaskedSeparator("one_artist", folder)
        if self.first.sources != self.second.sources:
            raise WeightsError(f"ensemble: its members know {self.first.sources} and {self.second.sources}")
        if kind not in (None, *KINDS):
            raise ValueError(f"kind: {kind!r} found, one of {', '.join(KINDS)} expected")
        self.sources, self.sample_rate = self.first.sources, self.first.sample_rate
        self.window_seconds = self.chunk_seconds
        self.kind = "mean" if shares is None else kind
        self.shares, self.table = np.full((len(self.sources), N_BANDS), 0.5), None
        if self.kind == "mean":
            return
        try:
            found = results.read(Path(shares))
            self.kind = kind or found.get("kind", "shares")
            self.shares = np.array(found["shares"], np.float32)
            self.table = np.array(found["table"], np.float32) if self.kind == "table" else None
        except (results.ResultsError, KeyError) as error:
            raise WeightsError(f"{error} (`python -m ddsp_models.separation.ensemble` writes it)") from error

    def separate(self, mixture, sample_rate=None):
        """Separate one song; parameters, result and errors as `MaskedSeparator.separate`."""
        sample_rate = sample_rate or self.sample_rate
        mixture = checked(mixture)
        longest, overlap = (max(2, round(s * sample_rate)) for s in (self.chunk_seconds, self.overlap_seconds))
        window, overlap = even_window(mixture.shape[-1], longest, overlap)
        blocks = by_windows(
            array_reader(mixture), lambda block: self._chunk(block, sample_rate), window=window, overlap=overlap
        )
        return dict(zip(self.sources, np.concatenate(list(blocks), axis=-1)))

    def _chunk(self, block, sample_rate):
        both = [np.stack(list(member.separate(block, sample_rate).values())) for member in (self.first, self.second)]
        if self.kind == "table":
            return combine_by_table(*both, self.table, block, sample_rate)
        return combine(*both, self.shares, sample_rate)


def compare(songs):
    """What every kind of combination is worth on songs that it was not found on: half are held out, then the others.

    Parameters
    ----------
    songs : list of (np.ndarray, np.ndarray, np.ndarray)
        as for `best_shares`; at least two.

    Returns
    -------
    list of dict
        per song (its number), source (its number) and kind, also "first" and "second" alone: "si_sdr" in dB.
    """
    rows = []
    for held_out in (0, 1):
        known = [song for i, song in enumerate(songs) if i % 2 != held_out]
        shares, table = best_shares(known), best_table(known)
        for i, (true, first, second) in enumerate(songs):
            if i % 2 != held_out:
                continue
            estimates = {
                "first": first,
                "second": second,
                "mean": (first + second) / 2,
                "shares": combine(first, second, shares, RATE),
                "table": combine_by_table(first, second, table, true.sum(axis=0), RATE),
            }
            rows += [
                {"song": i, "source": j, "kind": kind, "si_sdr": si_sdr(true[j], estimate[j])}
                for kind, estimate in estimates.items()
                for j in range(len(true))
                if true[j].any()
            ]
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.separation.ensemble", description=__doc__)
    folder = results.ROOT / "data" / "virtual_band" / "validation"
    parser.add_argument("--songs", type=Path, default=folder, help="the validation songs, which no test uses")
    options = parser.parse_args(arguments)
    try:
        ensemble = Ensemble(shares=None)
        songs = tracks(options.songs, "test")
        if len(songs) < 2:
            raise ValueError(f"{options.songs}: {len(songs)} song found, at least 2 expected: one to find, one to test")
    except (OSError, ValueError) as error:
        print(f"ensemble: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2

    def heard(song):
        stems = song.stems(RATE, True, ensemble.sources)
        mixture = sum(stems.values())
        members = (ensemble.first, ensemble.second)
        return [np.stack(list(x.values())) for x in (stems, *(member.separate(mixture) for member in members))]

    heard = [heard(song) for song in songs]
    rows = compare(heard)
    mean = {kind: np.mean([row["si_sdr"] for row in rows if row["kind"] == kind]) for kind in KINDS}
    kind = max(mean, key=mean.get)
    path = WEIGHTS / "ensemble.json"
    head = results.head("ensemble", config={"bands": N_BANDS, "songs": [song.name for song in songs]})
    content = {"sources": list(ensemble.sources), "kind": kind, "shares": np.round(best_shares(heard), 4).tolist()}
    results.write(path, head | content | {"table": np.round(best_table(heard), 3).tolist()})
    systems = {"first": "conv_tasnet", "second": "ddsp_masked"} | {kind: f"ensemble@{kind}" for kind in KINDS}
    records = [
        {
            "test_set": "validation",
            "track": songs[row["song"]].name,
            "system": systems[row["kind"]],
            "source": ensemble.sources[row["source"]],
            "metric": "si_sdr",
            "unit": "dB",
            "value": float(row["si_sdr"]),
        }
        for row in rows
    ]
    scores = results.RESULTS / "ensemble-validation.json"
    results.write(scores, head | {"kind": kind, "records": records})
    print(", ".join(f"{kind} {value:.2f} dB" for kind, value in mean.items()))
    print("wrote", ", ".join(os.path.relpath(each) for each in (path, scores)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
