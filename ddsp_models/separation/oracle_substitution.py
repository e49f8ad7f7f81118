"""What each stage of separation by synthesis loses: python -m ddsp_models.separation.oracle_substitution [--songs N]

A stage is as good as the score that is gained when what it says is replaced by the truth: the tracker's pitch, the
predicted loudness, both, all features. What then is left to the ideal masks is lost by the synthesisers. The table goes
to results/substitution-separator.json.
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from audio_processing import masks
from audio_processing.audio_processing import fix_length, istft, stft
from audio_processing.chunks import array_reader, by_windows
from audio_processing.metrics import si_sdr
from audio_processing.tracks import tracks
from common import results
from ddsp_models.autoencoder import WEIGHTS
from ddsp_models.features import HOP_LENGTH, song_features
from ddsp_models.loudness import loudness as loudness_of
from ddsp_models.separation.analysis_network import ParametricSeparator, harmonic_lobes, mel_triangles
from ddsp_models.separation.separators import MaskedSeparator, decoded_masks, load_decoders, play
from ddsp_models.separation.train import BAND, checksum
from ddsp_models.spectral_loss import spectral_loss
from mss_nn_implementation.convtas import WeightsError

TRUE = {"": (), "@true_f0": ("f0",), "@true_loudness": ("loudness",), "@true_both": ("f0", "loudness")}
"""Suffix of a system's name, and what it is told."""


def truth(known, sizes, samples, frames_per_hop=2):
    """What a song's annotations say, as the separators take it.

    Parameters
    ----------
    known : dict of np.ndarray
        annotations of a song: "f0_<source>", "voiced_<source>", "loudness_<source>", 250 a second.
    sizes : Sizes
    samples : int
        length of the song at 16 kHz.
    frames_per_hop : int
        annotated frames to a frame of the network.

    Returns
    -------
    dict
        "f0" (frames of the network, pitched sources) in Hz, 0 = none; "loudness" (frames, sources) in dB, 250 a second.

    Raises
    ------
    ValueError
        where the song does not know its pitch.
    """
    missing = [name for name in sizes.pitched if f"f0_{name}" not in known]
    if missing:
        raise ValueError(
            f"known: annotations with f0_{missing[0]} expected, {', '.join(sorted(known)) or 'none'} found"
        )
    lines = [known[f"f0_{name}"] * known[f"voiced_{name}"] for name in sizes.pitched]
    f0 = fix_length(np.stack(lines).astype(np.float32), samples // HOP_LENGTH + frames_per_hop)
    levels = np.stack([known[f"loudness_{name}"] for name in sizes.sources], axis=-1)
    return {
        "f0": f0[:, ::frames_per_hop].T[: samples // sizes.hop + 1],
        "loudness": fix_length(levels.T.astype(np.float32), samples // HOP_LENGTH + 1).T,
    }


def masked(separator, mixture, f0=None, loudness=None):
    """`MaskedSeparator.separate` of a mono song at 16 kHz, told some of the truth.

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
    s = separator.model.sizes
    samples = np.arange(len(mixture))
    rows, cuts = [np.asarray(mixture, np.float32)[None]], {}
    for name, lines, hop in (("f0", f0, s.hop), ("loudness", loudness, HOP_LENGTH)):
        if lines is not None:  # held from sample to sample, the truth is cut into windows as the sound is
            places = np.minimum(np.round(samples / hop).astype(int), len(lines) - 1)
            cuts[name] = slice(sum(map(len, rows)), sum(map(len, rows)) + lines.shape[1])
            rows.append(np.asarray(lines, np.float32)[places].T)

    def window(block):
        told = {name: np.append(block[cut, :: s.hop], block[cut, -1:], axis=1).T for name, cut in cuts.items()}
        return separator.analyse(block[0], **told)["stems"]

    size = round(separator.window_seconds * s.sample_rate)
    overlap = round(separator.crossfade * size)
    blocks = by_windows(array_reader(np.concatenate(rows)), window, window=size, overlap=overlap)
    return dict(zip(s.sources, np.concatenate(list(blocks), axis=-1)))


def fitted_spectra(model, stems, f0, n_fft, rounds=60):
    """The spectra that the synthesisers would have if their outlines were fitted to the true stems.

    Outlines are numbers above 0 that multiply known shapes, so they are found as in non-negative matrix factorisation,
    by multiplicative updates for the Kullback-Leibler divergence (Lee & Seung 2001).

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
    f0 = np.asarray(f0, np.float32)
    shapes = {n: mel_triangles(n, n_fft, s.sample_rate) for n in (s.harmonic_bands, s.noise_bands, s.bands)}
    found = []
    for source, stem in zip(s.sources, stems):
        true = np.abs(stft(stem, n_fft, s.hop)).T.astype(np.float32) + 1e-9
        if source in s.pitched:
            pitch = f0[: len(true), s.pitched.index(source)]
            width = model.widths[s.pitched.index(source)]
            line = np.where(pitch > 0, pitch, 100.0)[None]
            lobes = np.asarray(harmonic_lobes(line, width, n_fft, s.sample_rate, n_fft / s.n_fft))[0]
            lobes = (lobes + 1e-3) * (pitch > 0)[:, None]
            parts = [(shapes[s.harmonic_bands], lobes), (shapes[s.noise_bands], np.ones_like(true))]
        else:
            parts = [(shapes[s.bands], np.ones_like(true))]
        outlines = [np.full((len(true), shape.shape[1]), true.mean(), np.float32) for shape, _ in parts]

        def drawn(outlines=outlines, parts=parts):
            return sum(outline @ shape.T * where for outline, (shape, where) in zip(outlines, parts)) + 1e-9

        for _ in range(rounds):
            ratio = true / drawn()
            for outline, (shape, where) in zip(outlines, parts):
                outline *= ((ratio * where) @ shape) / (where @ shape + 1e-9)
        found.append(drawn().T)
    return np.stack(found)


def described(separator, mixture, known, told):
    """The features that decoders get, some of them true.

    Parameters
    ----------
    separator : MaskedSeparator
    mixture : np.ndarray, (samples,)
        at 16 kHz.
    known : dict
        of `truth`.
    told : tuple of str
        which of it: "f0", "loudness".
    """
    return separator.describe(mixture, **{name: known[name] for name in told})


def song_records(song, listener, decoders, teller=None, players=None):
    """Scores of one song with every substitution.

    Parameters
    ----------
    song : audio_processing.tracks.Track
        that knows its pitch.
    listener : MaskedSeparator
        whose masks divide the mixture.
    decoders : dict of autoencoder.Decoder
        which learned from true features.
    teller : MaskedSeparator, optional
        who tells the decoders what to play; `listener` by default.
    players : dict of autoencoder.Decoder, optional
        who play what is heard in the mixture; `decoders` by default. Beside them, as ddsp_resynthesis@band, `decoders`
        play it, too.

    Returns
    -------
    list of dict
        "system", "source", "metric" (si_sdr, spectral_loss, loudness_l1), "unit", "value".
    """
    s, teller, players = listener.model.sizes, teller or listener, players or decoders
    stems = song.stems(s.sample_rate, True, s.sources)
    length = len(next(iter(stems.values()))) // s.hop * s.hop
    stems = {source: stem[:length] for source, stem in stems.items()}
    mixture = sum(stems.values())
    known = truth(song.annotations(), s, length)
    records = []

    def add(system, estimates, played=False):
        for source, stem in stems.items():
            row = {"system": system, "source": source}
            if not played:
                records.append(row | {"metric": "si_sdr", "unit": "dB", "value": si_sdr(stem, estimates[source])})
                continue
            sound = np.asarray(estimates[source], np.float32)
            apart = float(spectral_loss(stem[None], sound[None]))
            records.append(row | {"metric": "spectral_loss", "unit": "1", "value": apart})
            levels = [np.asarray(loudness_of(each)) for each in (stem, sound)]
            apart = float(np.mean(np.abs(levels[0] - levels[1])))
            records.append(row | {"metric": "loudness_l1", "unit": "dB", "value": apart})

    spectrum = stft(mixture, listener.n_fft, s.hop)
    true = np.stack(list(stems.values()))
    ideal = {
        "irm@same_masks": np.abs(stft(true, listener.n_fft, s.hop)),
        "ddsp_masked@true_outlines": fitted_spectra(listener.model, true, known["f0"], listener.n_fft),
    }
    for name, spectra in ideal.items():
        shares = (spectra + 1e-9) ** listener.power
        divided = istft(shares / shares.sum(axis=0) * spectrum, s.hop, length=length)
        add(name, dict(zip(s.sources, divided)))
    add("irm", masks.irm(stems, n_fft=1024, hop_length=256, mixture=mixture))
    for suffix, told in TRUE.items():
        add(f"ddsp_masked{suffix}", masked(listener, mixture, **{name: known[name] for name in told}))
        heard = described(teller, mixture, known, told)
        sounds = fix_length(play(players, heard), length)
        add(f"ddsp_resynthesis{suffix}", dict(zip(s.sources, sounds)), played=True)
        add(f"ddsp_masked@decoders{suffix.replace('@', '_')}", _divided(sounds, spectrum, listener, length))
        if not told:
            add("ddsp_resynthesis@band", dict(zip(s.sources, fix_length(play(decoders, heard), length))), played=True)
    true = {source: song_features(song, source)[0] for source in s.sources}
    sounds = fix_length(play(decoders, true), length)
    add("ddsp_features", dict(zip(s.sources, sounds)), played=True)
    add("ddsp_masked@decoders_true_features", _divided(sounds, spectrum, listener, length))
    return [record for record in records if np.isfinite(record["value"])]


def _divided(sounds, spectrum, listener, length):
    shares = decoded_masks(sounds, listener.n_fft, listener.model.sizes.hop, listener.power)
    return dict(zip(listener.sources, istft(shares * spectrum, listener.model.sizes.hop, length=length)))


def through_synthesisers(song, listeners, decoders):
    """Scores of other separators that tell the decoders what to play, and are told the pitch themselves.

    Parameters
    ----------
    song : audio_processing.tracks.Track
    listeners : dict of (MaskedSeparator, bool)
        by name; whether loudness and bands are measured in stems (`MaskedSeparator.describe`), which suits those that
        learned to separate.
    decoders : dict of autoencoder.Decoder
    """
    records = []
    for name, (listener, measured) in listeners.items():
        s = listener.model.sizes
        stems = song.stems(s.sample_rate, True, s.sources)
        length = len(next(iter(stems.values()))) // s.hop * s.hop
        stems = {source: stem[:length] for source, stem in stems.items()}
        mixture = sum(stems.values())
        f0 = truth(song.annotations(), s, length)["f0"]
        sounds = fix_length(play(decoders, listener.describe(mixture, f0, measured=measured)), length)
        divided = _divided(sounds, stft(mixture, listener.n_fft, s.hop), listener, length)
        for i, (source, stem) in enumerate(stems.items()):
            row = {"system": f"{name}_true_f0", "source": source}
            apart = float(spectral_loss(stem[None], sounds[i : i + 1]))
            records.append(row | {"metric": "spectral_loss", "unit": "1", "value": apart})
            records.append(row | {"metric": "si_sdr", "unit": "dB", "value": si_sdr(stem, divided[source])})
    return [record for record in records if np.isfinite(record["value"])]


def untrained(sizes, power, n_fft):
    """A separator that learned nothing: what is left when only the pitch is known."""
    keras.utils.set_random_seed(0)
    model = ParametricSeparator(sizes)
    model.build(None)
    return MaskedSeparator.of(model, power, n_fft)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m ddsp_models.separation.oracle_substitution",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sets", nargs="+", default=["same_artist", "other_artist"], help="(default: %(default)s)")
    parser.add_argument("--songs", type=int, default=0, help="of each set, the first so many (default: all)")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the trained separators and decoders")
    options = parser.parse_args(arguments)
    try:
        listener = MaskedSeparator("one_artist", options.weights)
        decoders, players = (load_decoders(name, listener.sources, options.weights) for name in ("band", "heard"))
        trained = {
            name: (MaskedSeparator(name, options.weights, listener.power, listener.n_fft), measured)
            for name, measured in (
                ("one_artist_played", True), ("one_artist_unplayed", True), ("one_artist_mixtures", False)
            )
            if (options.weights / f"separator-{name}.keras").exists()
        }  # fmt: skip
        teller, _ = trained.get("one_artist_played", (listener, True))
        trained["one_artist"] = listener, True
        trained["untrained"] = untrained(listener.model.sizes, listener.power, listener.n_fft), False
        records = []
        for name in options.sets:
            songs = tracks(options.data / name, "test")[: options.songs or None]
            for song in tqdm(songs, desc=name, unit="song", leave=False):
                found = song_records(song, listener, decoders, teller, players)
                found += through_synthesisers(song, trained, decoders)
                records += [{"test_set": name, "track": song.name, **record} for record in found]
    except (OSError, ValueError, WeightsError) as error:
        print(f"substitution: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    data = checksum([(name, "test") for name in options.sets], options.data)
    config = {"sets": options.sets, "songs": options.songs, "power": listener.power, "n_fft": listener.n_fft}
    config["told_by"] = "one_artist" if teller is listener else "one_artist_played"
    head = results.head("oracle substitution in the separator", config=config, data=data)
    path = results.RESULTS / "substitution-separator.json"
    results.write(path, head | {"records": records})
    print(f"wrote {path.relative_to(results.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
