"""Two separators together: Conv-TasNet's waveforms and the DDSP masks err in different places.

`python -m ddsp_models.separation.ensemble` fits the weights of both on the validation songs and writes them to
`trained/ensemble.json`; it cross-validates every kind of weights for `results/ensemble-validation.json`.
"""

import sys
from pathlib import Path

import numpy as np

from audio_processing.audio_processing import istft, stft
from audio_processing.chunks import Separator
from audio_processing.masks import QUIET
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from common.checks import expect
from common.command import command
from common.places import HERE
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.separation.layers import mel_triangles
from ddsp_models.separation.separators import MaskedSeparator
from mss_nn_implementation.convtas import ConvTasNetSeparator
from training.weights import WeightsError

RATE = 16000  # sample rate at which the weights are fitted, in Hz
N_FFT, HOP = 2048, 512  # STFT at that rate, in samples; at other rates as long in s
N_BANDS = 24
EDGES = (0.1, 0.35, 0.65, 0.9)  # between the classes of `classes`: shares of the mixture's magnitude
N_CLASSES = (len(EDGES) + 1) ** 2
KINDS = ("mean", "shares", "table")


def _stft_size(sample_rate):
    return 2 * round(N_FFT / RATE * sample_rate / 2)


# --- one weight per band ---------------------------------------------------------------------------------------------


def shares_over_frequency(shares, n_fft, sample_rate):
    """Shares per band, of equal width in mel up to 8 kHz, as shares per bin; the last band extends above 8 kHz.

    Parameters
    ----------
    shares : np.ndarray, (sources, bands)
    n_fft, sample_rate : int
        of the spectrum.

    Returns
    -------
    np.ndarray, (sources, n_fft / 2 + 1)
    """
    grid = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    by_bin = shares @ mel_triangles(shares.shape[1], N_FFT, RATE).T  # (sources, 1025)
    frequency = np.minimum(np.arange(n_fft // 2 + 1) * sample_rate / n_fft, RATE / 2)
    return np.stack([np.interp(frequency, grid, row) for row in by_bin]).astype(np.float32)


def combine(first, second, shares, sample_rate):
    """Combine two estimates: weighted means of their spectra.

    Parameters
    ----------
    first, second : np.ndarray, (sources, ..., samples)
    shares : np.ndarray, (sources, bands)
        weight of `first`; that of `second` is the rest to 1.
    sample_rate : int

    Returns
    -------
    np.ndarray, float32, (sources, ..., samples)
    """
    n_fft = _stft_size(sample_rate)
    weight = shares_over_frequency(shares, n_fft, sample_rate)
    weight = weight.reshape(len(weight), *(1,) * (first.ndim - 2), -1, 1)  # (sources, ..., frequencies, 1)
    difference = istft(weight * stft(first - second, n_fft, n_fft // 4), n_fft // 4, length=first.shape[-1])
    return (second + difference).astype(np.float32)


def best_shares(songs):
    """The shares that bring the weighted means nearest to the true stems, by least squares.

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
    bands = mel_triangles(N_BANDS, N_FFT, RATE)
    products, energy = 0.0, 0.0
    for true, first, second in songs:
        error, step = stft(true - second, N_FFT, HOP), stft(first - second, N_FFT, HOP)
        products = products + np.sum(np.real(error * np.conj(step)), axis=-1) @ bands
        energy = energy + np.sum(np.abs(step) ** 2, axis=-1) @ bands
    differ = energy > 1e-9 * energy.max()
    return np.clip(np.where(differ, products / np.where(differ, energy, 1.0), 0.5), 0.0, 1.0)


# --- two weights per band and class ----------------------------------------------------------------------------------


def classes(first, second, mixture):
    """Class of every bin: how much of the mixture's magnitude each of two estimates has there.

    Parameters
    ----------
    first, second : np.ndarray, (..., frequencies, frames)
        spectra of two estimates.
    mixture : np.ndarray, (..., frequencies, frames)

    Returns
    -------
    np.ndarray of int, (..., frequencies, frames)
        0 where both have less than a tenth of it, up to 24 where both have more than nine tenths.
    """
    one, other = (np.digitize(np.abs(estimate) / (np.abs(mixture) + QUIET), EDGES) for estimate in (first, second))
    return one * (len(EDGES) + 1) + other


def bands_of_bins(n_fft, sample_rate):
    """The band, of 24, in which each bin lies most; above 8 kHz the last one: (n_fft / 2 + 1,)."""
    frequency = np.minimum(np.arange(n_fft // 2 + 1) * sample_rate / n_fft, RATE / 2)
    nearest = np.argmax(mel_triangles(N_BANDS, N_FFT, RATE), axis=1)
    return nearest[np.round(frequency * N_FFT / RATE).astype(int)]


def best_table(songs, prior=0.02):
    r"""The weights of either estimate in each band and class that bring their sum nearest to the true stems.

    Least squares again, with two unknowns: :math:`|s - (\alpha a + \beta b)|^2`, drawn towards their mean where a class
    is rare.

    Parameters
    ----------
    songs : iterable of (np.ndarray, np.ndarray, np.ndarray)
        true stems, first and second estimates, each (sources, samples) at 16 kHz; the stems add up to the mixture.
    prior : float
        weight of the mean in each band and class, as a share of the energy of all.

    Returns
    -------
    np.ndarray, (sources, 24, 25, 2)
    """
    band, sums = bands_of_bins(N_FFT, RATE)[:, None], 0.0
    for song in songs:
        true, first, second = (stft(x, N_FFT, HOP) for x in song)
        mixture, products = true.sum(axis=0), []
        for s, a, b in zip(true, first, second):
            cell = (band * N_CLASSES + classes(a, b, mixture)).ravel()
            pairs = (a, a), (a, b), (b, b), (a, s), (b, s)
            products.append([np.bincount(cell, np.real(x * np.conj(y)).ravel(), N_BANDS * N_CLASSES) for x, y in pairs])
        sums = sums + np.array(products)  # (sources, 5, bands · classes)
    aa, ab, bb, sa, sb = np.moveaxis(sums, 1, 0)
    ridge = prior * (aa + bb).mean(axis=1, keepdims=True) + 1e-12
    aa, bb, sa, sb = aa + ridge, bb + ridge, sa + 0.5 * ridge, sb + 0.5 * ridge
    weights = np.stack([sa * bb - sb * ab, sb * aa - sa * ab], axis=-1) / (aa * bb - ab**2)[..., None]
    return np.clip(weights, -1.0, 2.0).reshape(len(aa), N_BANDS, -1, 2)


def combine_by_table(first, second, table, mixture, sample_rate):
    """Combine two estimates: weighted sums of their spectra, the weights looked up bin by bin.

    Parameters
    ----------
    first, second : np.ndarray, (sources, ..., samples)
    table : np.ndarray, (sources, 24, 25, 2)
        as `best_table` gives it.
    mixture : np.ndarray, (..., samples)
    sample_rate : int

    Returns
    -------
    np.ndarray, float32, (sources, ..., samples)
    """
    n_fft = _stft_size(sample_rate)
    hop, band = n_fft // 4, bands_of_bins(n_fft, sample_rate)[:, None]
    m, stems = stft(mixture, n_fft, hop), []
    for a, b, weights in zip(first, second, table):
        a, b = stft(a, n_fft, hop), stft(b, n_fft, hop)
        alpha, beta = np.moveaxis(weights[band, classes(a, b, m)], -1, 0)
        stems.append(istft(alpha * a + beta * b, hop, length=mixture.shape[-1]))
    return np.stack(stems).astype(np.float32)


# --- the separator ---------------------------------------------------------------------------------------------------


class Ensemble(Separator):
    """Conv-TasNet and DDSP masks, combined with weights fitted on the validation songs.

    Parameters
    ----------
    first, second : Separator
        its members, of the same sources.
    kind : {"mean", "shares", "table"}
        plain mean, a weight per source and band, or weights per source, band and class.
    weights : np.ndarray, optional
        of `best_shares` for "shares", of `best_table` for "table".
    """

    chunk_seconds, overlap_seconds = 18.5, 1.0

    def __init__(self, first, second, kind="mean", weights=None):
        expect(first.sources == second.sources, "second", f"the sources {first.sources} of the first", second.sources)
        expect(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", repr(kind))
        self.first, self.second, self.kind = first, second, kind
        self.sources, self.sample_rate = first.sources, first.sample_rate
        self.weights = np.full((len(self.sources), N_BANDS), 0.5) if kind == "mean" else weights

    @classmethod
    def load(cls, folder=WEIGHTS, kind=None):
        """Load both members, and the weights that this module's command writes.

        Parameters
        ----------
        folder : str or Path
            of the weights and of the analysis network.
        kind : str, optional
            by default the one that was best on songs that it was not fitted on.
        """
        members = ConvTasNetSeparator.load("trio"), MaskedSeparator.load("one_artist", folder)
        if kind == "mean":
            return cls(*members)
        try:
            record = results.read(Path(folder) / "ensemble.json")
            kind = kind or record.get("kind", "shares")
            return cls(*members, kind, np.array(record[kind], np.float32) if kind != "mean" else None)
        except (results.ResultsError, KeyError) as error:
            raise WeightsError(f"{error} (`python -m ddsp_models.separation.ensemble` writes it)") from error

    def separate_chunk(self, chunk, sample_rate):
        """Separate a chunk: (channels, samples) -> (sources, channels, samples)."""
        both = [np.stack(list(each.separate(chunk, sample_rate).values())) for each in (self.first, self.second)]
        return (
            combine_by_table(*both, self.weights, chunk, sample_rate)
            if self.kind == "table"
            else combine(*both, self.weights, sample_rate)
        )


# --- the fit ---------------------------------------------------------------------------------------------------------


def compare(songs):
    """Cross-validate every kind of combination: weights fitted on every other song are scored on the songs between.

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
        shares, table = (fit(songs[1 - held_out :: 2]) for fit in (best_shares, best_table))
        for i, (true, first, second) in list(enumerate(songs))[held_out::2]:
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


def write(data=None):
    """Fit the weights on the validation songs and cross-validate every kind; returns the files written, as a list."""
    ensemble = Ensemble.load(kind="mean")
    folder = (data or HERE.band) / "validation"
    songs = tracks(folder, "test")
    expect(len(songs) >= 2, folder, "at least 2 songs, one to fit and one to test", len(songs))
    examples = []
    for song in songs:
        stems = song.stems(RATE, True, ensemble.sources)
        estimates = [member.separate(sum(stems.values())) for member in (ensemble.first, ensemble.second)]
        examples.append([np.stack(list(x.values())) for x in (stems, *estimates)])
    rows = compare(examples)
    mean = {kind: np.mean([row["si_sdr"] for row in rows if row["kind"] == kind]) for kind in KINDS}
    print(", ".join(f"{kind} {value:.2f} dB" for kind, value in mean.items()))
    kind = max(mean, key=mean.get)
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
    written = {
        WEIGHTS / "ensemble.json": {
            "sources": list(ensemble.sources),
            "kind": kind,
            "shares": np.round(best_shares(examples), 4).tolist(),
            "table": np.round(best_table(examples), 3).tolist(),
        },
        HERE.results / "ensemble-validation.json": {"kind": kind, "records": records},
    }
    head = results.head("ensemble", config={"bands": N_BANDS, "songs": [song.name for song in songs]})
    for path, content in written.items():
        results.write(path, head | content)
    return list(written)


def main(arguments=None):
    flags = {"--data": {"type": Path, "help": "folder of the virtual band's sets"}}
    return command("ddsp_models.separation.ensemble", __doc__, write, flags, arguments)


if __name__ == "__main__":
    sys.exit(main())
