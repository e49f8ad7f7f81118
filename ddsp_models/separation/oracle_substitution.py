"""What each stage of separation by synthesis loses: python -m ddsp_models.separation.oracle_substitution [--first N]

The loss of a stage is the score that is gained when its output is replaced by the truth: the tracked f0, the predicted
loudness, both, all features. What ideal masks gain beyond that is lost by the synthesisers. The table goes to
results/substitution-separator.json. Shown in `ddsp_models/combined_report.ipynb`.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import fix_length, istft, stft
from audio_processing.chunks import array_reader, crossfade
from audio_processing.masks import QUIET, irm, wiener_masks
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from common.command import command
from common.files import sha256_of
from common.places import HERE
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import HOP_LENGTH, song_features
from ddsp_models.loudness import loudness as loudness_of
from ddsp_models.separation.layers import harmonic_lobes, mel_triangles
from ddsp_models.separation.separators import MaskedSeparator, decoded_masks, load_decoders, synthesise, true_f0
from ddsp_models.separation.train_separator import initialised
from ddsp_models.spectral_loss import spectral_loss

# Suffix of a system's name, and which of the truth it is given.
GIVEN = {"": (), "@true_f0": ("f0",), "@true_loudness": ("loudness",), "@true_both": ("f0", "loudness")}
# Other separators, and whether loudness and bands are measured in their stems (`MaskedSeparator.describe`): it suits
# those that were trained to separate.
OTHERS = {"one_artist_played": True, "one_artist_unplayed": True, "one_artist_mixtures": False}


def truth(annotations, sizes, samples):
    """What a song's annotations give, in the frames of the separators.

    Parameters
    ----------
    annotations : dict of np.ndarray
        of a song: "f0_<source>", "voiced_<source>", "loudness_<source>", 250 a second.
    sizes : Sizes
    samples : int
        length of the song at 16 kHz, a multiple of `sizes.hop`.

    Returns
    -------
    dict
        "f0" (frames of the network, pitched sources) in Hz, 0 = none; "loudness" (frames, sources) in dB, 250 a second.

    Raises
    ------
    ValueError
        if the song's f0 is not annotated.
    """
    f0 = true_f0(annotations, sizes, samples)
    levels = np.stack([annotations[f"loudness_{name}"] for name in sizes.sources]).astype(np.float32)
    return {"f0": f0, "loudness": fix_length(levels, samples // HOP_LENGTH + 1).T}


def masked(separator, mixture, f0=None, loudness=None):
    """`MaskedSeparator.separate` of a mono song at 16 kHz, given some of the truth.

    Parameters
    ----------
    separator : MaskedSeparator
    mixture : np.ndarray, (samples,)
    f0 : np.ndarray, (samples // 128 + 1, pitched sources), optional
    loudness : np.ndarray, (samples // 64 + 1, sources), optional
        in dB.

    Returns
    -------
    dict of np.ndarray, (samples,)
    """
    s, samples = separator.model.sizes, np.arange(len(mixture))
    rows = {"mixture": np.asarray(mixture, np.float32)[None]}
    for name, lines, hop in (("f0", f0, s.hop), ("loudness", loudness, HOP_LENGTH)):
        if lines is not None:  # held from sample to sample, the truth is cut into chunks as the sound is
            frames = np.minimum(np.round(samples / hop).astype(int), len(lines) - 1)
            rows[name] = np.asarray(lines, np.float32)[frames].T

    def separate_chunk(chunk):
        parts = dict(zip(rows, np.split(chunk, np.cumsum([len(row) for row in rows.values()])[:-1])))
        audio = parts.pop("mixture")[0]
        given = {name: np.append(part[:, :: s.hop], part[:, -1:], axis=1).T for name, part in parts.items()}
        return separator.analyse(audio, **given)["stems"]

    chunks, overlap = separator.chunks(array_reader(np.concatenate(list(rows.values()))), s.sample_rate, len(mixture))
    blocks = crossfade(((separate_chunk(chunk), part) for chunk, part in chunks), overlap)
    return dict(zip(s.sources, np.concatenate(list(blocks), axis=-1)))


def fitted_spectra(model, stems, f0, n_fft, rounds=60):
    """The spectra of the synthesisers with spectral envelopes that are fitted to the true stems.

    Envelopes are numbers above 0 that multiply fixed shapes, so they are fitted as in non-negative matrix
    factorisation, by multiplicative updates for the Kullback-Leibler divergence (Lee & Seung 2001).

    Parameters
    ----------
    model : ParametricSeparator
    stems : np.ndarray, (sources, samples)
    f0 : np.ndarray, (frames, pitched sources)
        in Hz, 0 = none.
    n_fft : int
        window of the spectrogram.
    rounds : int
        updates.

    Returns
    -------
    np.ndarray, (sources, frequencies, frames)
    """
    s = model.sizes
    shapes = {n: mel_triangles(n, n_fft, s.sample_rate) for n in (s.harmonic_bands, s.noise_bands, s.bands)}
    spectra = []
    for source, stem in zip(s.sources, stems):
        true = np.abs(stft(stem, n_fft, s.hop)).T.astype(np.float32) + QUIET
        if source in s.pitched:
            i = s.pitched.index(source)
            pitch = np.asarray(f0, np.float32)[: len(true), i]
            line = np.where(pitch > 0, pitch, 100.0)[None]
            lobes = np.asarray(harmonic_lobes(line, model.widths[i], n_fft, s.sample_rate, n_fft / s.n_fft))[0]
            lobes = (lobes + 1e-3) * (pitch > 0)[:, None]
            parts = [(shapes[s.harmonic_bands], lobes), (shapes[s.noise_bands], np.ones_like(true))]
        else:
            parts = [(shapes[s.bands], np.ones_like(true))]
        envelopes = [np.full((len(true), shape.shape[1]), true.mean(), np.float32) for shape, _ in parts]
        for _ in range(rounds):
            ratio = true / _drawn(envelopes, parts)
            for envelope, (shape, where) in zip(envelopes, parts):
                envelope *= ((ratio * where) @ shape) / (where @ shape + QUIET)
        spectra.append(_drawn(envelopes, parts).T)
    return np.stack(spectra)


def _drawn(envelopes, parts):
    """The spectrum (frames, frequencies) of envelopes (frames, bands) times their shapes, where each applies."""
    return sum(envelope @ shape.T * where for envelope, (shape, where) in zip(envelopes, parts)) + QUIET


def mono_stems(song, sizes):
    """A song's true stems at the network's rate, a whole number of hops long: dict of (samples,)."""
    stems = song.stems(sizes.sample_rate, True, sizes.sources)
    return {source: stem[: len(stem) // sizes.hop * sizes.hop] for source, stem in stems.items()}


def decoded(decoders, features, mixture, separator):
    """The sounds of decoders, and the mixture divided by them: two of (sources, samples)."""
    n_fft, hop = separator.n_fft, separator.mask_hop
    sounds = fix_length(synthesise(decoders, features), len(mixture))
    masks = decoded_masks(sounds, n_fft, hop, separator.power)
    return sounds, istft(masks * stft(mixture, n_fft, hop), hop, length=len(mixture))


def substitutions(song, separator, decoders, estimator, band_decoders):
    """Estimates of one song with every substitution; parameters as for `song_records`.

    Yields
    ------
    system : str
    estimates : np.ndarray, (sources, samples)
    synthesised : bool
        whether by decoders alone, not by masks.
    """
    s = separator.model.sizes
    stems = mono_stems(song, s)
    true, mixture = np.stack(list(stems.values())), sum(stems.values())
    known = truth(song.annotations(), s, len(mixture))
    spectrum = stft(mixture, separator.n_fft, s.hop)

    def divided(spectra):
        return istft(wiener_masks(spectra, separator.power) * spectrum, s.hop, length=len(mixture))

    yield "irm@same_masks", divided(np.abs(stft(true, separator.n_fft, s.hop))), False
    yield (
        "ddsp_masked@true_outlines",
        divided(fitted_spectra(separator.model, true, known["f0"], separator.n_fft)),
        False,
    )
    yield "irm", list(irm(stems, n_fft=1024, hop_length=256, mixture=mixture).values()), False
    for suffix, names in GIVEN.items():
        given = {name: known[name] for name in names}
        yield f"ddsp_masked{suffix}", list(masked(separator, mixture, **given).values()), False
        features = estimator.describe(mixture, **given)
        sounds, stems_of_sounds = decoded(decoders, features, mixture, separator)
        yield f"ddsp_resynthesis{suffix}", sounds, True
        yield f"ddsp_masked@decoders{suffix.replace('@', '_')}", stems_of_sounds, False
        if not given:
            yield "ddsp_resynthesis@band", decoded(band_decoders, features, mixture, separator)[0], True
    features = {source: song_features(song, source)[0] for source in s.sources}
    sounds, stems_of_sounds = decoded(band_decoders, features, mixture, separator)
    yield "ddsp_features", sounds, True
    yield "ddsp_masked@decoders_true_features", stems_of_sounds, False


def song_records(song, separator, band_decoders, estimator=None, decoders=None):
    """Scores of one song with every substitution.

    Parameters
    ----------
    song : audio_processing.tracks.Track
        with annotations.
    separator : MaskedSeparator
        whose masks divide the mixture.
    band_decoders : dict of autoencoder.Decoder
        which were trained on true features.
    estimator : MaskedSeparator, optional
        whose estimated features drive the decoders; `separator` by default.
    decoders : dict of autoencoder.Decoder, optional
        of the estimated features; `band_decoders` by default, which synthesise them, too, as ddsp_resynthesis@band.

    Returns
    -------
    list of dict
        "system", "source", "metric" (si_sdr, spectral_loss, loudness_l1), "unit", "value".
    """
    stems, records = mono_stems(song, separator.model.sizes), []
    for system, estimates, synthesised in substitutions(
        song, separator, decoders or band_decoders, estimator or separator, band_decoders
    ):
        metrics = ("spectral_loss", "loudness_l1") if synthesised else ("si_sdr",)
        records += _records(system, stems, dict.fromkeys(metrics, estimates))
    return records


def through_synthesisers(song, separators, decoders):
    """Scores of other separators whose features drive the decoders, and which are given the true f0 themselves.

    Parameters
    ----------
    song : audio_processing.tracks.Track
    separators : dict of str to (MaskedSeparator, bool)
        whether loudness and bands are measured in stems, as in `OTHERS`.
    decoders : dict of autoencoder.Decoder
    """
    records = []
    for name, (separator, measured) in separators.items():
        stems = mono_stems(song, separator.model.sizes)
        mixture = sum(stems.values())
        f0 = true_f0(song.annotations(), separator.model.sizes, len(mixture))
        sounds, divided = decoded(decoders, separator.describe(mixture, f0, measured=measured), mixture, separator)
        records += _records(f"{name}_true_f0", stems, {"spectral_loss": sounds, "si_sdr": divided})
    return records


# Unit and function of every metric.
METRICS = {
    "si_sdr": ("dB", si_sdr),
    "spectral_loss": ("1", lambda stem, estimate: spectral_loss(stem[None], np.asarray(estimate, np.float32)[None])),
    "loudness_l1": (
        "dB",
        lambda stem, estimate: np.mean(np.abs(np.asarray(loudness_of(stem) - loudness_of(estimate)))),
    ),
}


def _records(system, stems, estimates):
    """The finite scores of a system, from its estimates (sources, samples) by the metric that they are scored with."""
    rows = [
        {
            "system": system,
            "source": source,
            "metric": metric,
            "unit": METRICS[metric][0],
            "value": float(METRICS[metric][1](stem, sounds[i])),
        }
        for i, (source, stem) in enumerate(stems.items())
        for metric, sounds in estimates.items()
    ]
    return [row for row in rows if np.isfinite(row["value"])]


def untrained(sizes, power, n_fft):
    """A separator that was not trained: its score is what the f0 alone achieves."""
    keras.utils.set_random_seed(0)
    return MaskedSeparator(initialised(sizes), power, n_fft)


def write(sets, first=None, data=None, weights=WEIGHTS):
    """Score every substitution on the test songs of some sets; returns the files written, as a list.

    Parameters
    ----------
    sets : list of str
        of the virtual band.
    first : int, optional
        of each set, use the first so many songs.
    data, weights : Path
        folders of the sets, and of the trained networks.
    """
    separator = MaskedSeparator.load("one_artist", weights)
    settings = {"power": separator.power, "n_fft": separator.n_fft}
    band_decoders, decoders = (load_decoders(name, separator.sources, weights) for name in ("band", "heard"))
    others = {
        name: (MaskedSeparator.load(name, weights, **settings), measured)
        for name, measured in OTHERS.items()
        if (weights / f"separator-{name}.keras").exists()
    }
    estimator, _ = others.get("one_artist_played", (separator, True))
    others |= {"one_artist": (separator, True), "untrained": (untrained(separator.model.sizes, **settings), False)}
    songs = [(name, song) for name in sets for song in tracks((data or HERE.band) / name, "test")[:first]]
    records = []
    for name, song in tqdm(songs, unit="song", leave=False):
        rows = song_records(song, separator, band_decoders, estimator, decoders)
        rows += through_synthesisers(song, others, band_decoders)
        records += [{"test_set": name, "track": song.name, **row} for row in rows]
    head = results.head(
        "oracle substitution in the separator",
        config={
            "sets": sets,
            "songs": first or 0,
            **settings,
            "told_by": "one_artist" if estimator is separator else "one_artist_played",
        },
        data=sha256_of(*(path for _, song in songs for path in song.files())),
    )
    path = HERE.results / "substitution-separator.json"
    results.write(path, head | {"records": records})
    return [path]


def main(arguments=None):
    return command(
        "ddsp_models.separation.oracle_substitution",
        __doc__,
        write,
        {
            "--sets": {"nargs": "+", "default": ["same_artist", "other_artist"], "help": "(default: %(default)s)"},
            "--first": {"type": int, "metavar": "N", "help": "use the first N songs of each set (default: all)"},
            "--data": {"type": Path, "help": "folder of the virtual band's sets"},
            "--weights": {"type": Path, "default": WEIGHTS, "help": "folder of the trained separators and decoders"},
        },
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
