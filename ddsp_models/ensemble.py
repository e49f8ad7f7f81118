"""Two separators together: Conv-TasNet's waveforms and the parametric separator's masks fail in different places.

`python -m ddsp_models.ensemble` finds, on the validation songs, how far each is to be trusted for every source and
frequency band, and writes `trained/ensemble.json`.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from audio_processing import results
from audio_processing.audio_processing import istft, stft
from audio_processing.tracks import tracks
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.parametric import mel_triangles
from ddsp_models.separators import MaskedSeparator
from mss_nn_implementation.convtas import ConvTasNetSeparator, WeightsError

RATE = 16000
"""Sample rate at which the shares are found, in Hz."""
WINDOW = 2048 / RATE
"""Length of the STFT's window, in s."""
N_BANDS = 24


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


class Ensemble:
    """Conv-TasNet and the parametric separator, weighted per source and frequency band.

    Parameters
    ----------
    shares : str or Path, optional
        file of `best_shares`; None for plain means.
    folder : str or Path
        of the parametric separator's weights.
    """

    def __init__(self, shares=WEIGHTS / "ensemble.json", folder=WEIGHTS):
        self.first, self.second = ConvTasNetSeparator("trio"), MaskedSeparator("one_artist", folder)
        if self.first.sources != self.second.sources:
            raise WeightsError(f"ensemble: its members know {self.first.sources} and {self.second.sources}")
        self.sources, self.sample_rate = self.first.sources, self.first.sample_rate
        self.window_seconds = self.second.window_seconds
        if shares is None:
            self.shares = np.full((len(self.sources), N_BANDS), 0.5)
            return
        try:
            self.shares = np.array(results.read(Path(shares))["shares"], np.float32)
        except results.ResultsError as error:
            raise WeightsError(f"{error} (`python -m ddsp_models.ensemble` writes it)") from error

    def separate(self, mixture, sample_rate=None):
        """Separate one song; parameters and result as `MaskedSeparator.separate`."""
        sample_rate = sample_rate or self.sample_rate
        mixture = np.asarray(mixture, np.float32)
        both = [np.stack(list(member.separate(mixture, sample_rate).values())) for member in (self.first, self.second)]
        return dict(zip(self.sources, combine(*both, self.shares, sample_rate)))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.ensemble", description=__doc__)
    folder = results.ROOT / "data" / "virtual_band" / "validation"
    parser.add_argument("--songs", type=Path, default=folder, help="the validation songs, which no test uses")
    options = parser.parse_args(arguments)
    try:
        ensemble = Ensemble(shares=None)
        songs = tracks(options.songs, "test")
    except (FileNotFoundError, WeightsError) as error:
        print(f"ensemble: {error}", file=sys.stderr)
        return 2

    def heard(song):
        stems = song.stems(RATE, True, ensemble.sources)
        mixture = sum(stems.values())
        members = (ensemble.first, ensemble.second)
        return [np.stack(list(x.values())) for x in (stems, *(member.separate(mixture) for member in members))]

    shares = best_shares(heard(song) for song in songs)
    path = WEIGHTS / "ensemble.json"
    content = results.head("ensemble", config={"bands": N_BANDS, "songs": [song.name for song in songs]})
    results.write(path, content | {"sources": list(ensemble.sources), "shares": np.round(shares, 4).tolist()})
    print("wrote", os.path.relpath(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
