"""Separate a song: python separate.py SONG [--model NAME] [--out DIR], or `separate(mixture, sample_rate)` in Python.

The stems are as long as the song and have its sample rate and channels. Together with the residual, which is what no
stem claims, they add up to the song.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import category

import numpy as np
import soundfile

from audio_processing.audio_processing import AudioError, announced_samples, open_audio, read_block
from audio_processing.chunks import by_windows, even_window
from common.files import partial_folder

VIRTUAL = ("same_artist", "other_artist", "extra_instrument")
"""Test sets of the virtual band."""
MUSDB18 = ("musdb18_7s", "musdb18")
"""Test sets of MUSDB18: a copy of it is one of these, by what it holds, excerpts or whole songs."""


@dataclass(frozen=True)
class System:
    """A row of the catalogue: something that estimates stems, and all that is known about it by name.

    Parameters
    ----------
    name : str
        key of the row, in result files and on the command line; never parsed.
    label : str
        what pages call it.
    kind : {"baseline", "oracle", "mask", "waveform", "resynthesis"}
        where its estimates come from: the mixture itself; the true stems; a real mask between 0 and 1; waveforms or
        complex masks; synthesis alone.
    purpose : str
        one line for `--help`: what a user would choose it for.
    make : callable, () -> audio_processing.chunks.Separator, optional
        loads it; None for what only the experiments can run. Keras is imported in here, since it takes seconds.
    weights : tuple of str
        trained files, relative to the repository's root: a changed one makes scores stale, a missing one leaves the
        system out.
    test_sets : tuple of str
        where it is scored by default.
    features : bool
        whether pitch, loudness and spectra of its estimates are scored, too.
    true_f0_of : str
        name of the separator that is given the true f0 here; "" for none.
    description : str
        part of the key that tells whether scores are up to date; frozen, whatever the docstrings say.
    colour, marker : str
        in figures; without a colour of its own a system gets one by its order.
    """

    name: str
    label: str
    kind: str
    purpose: str = ""
    make: Callable | None = None
    weights: tuple = ()
    test_sets: tuple = (*VIRTUAL, "air_traffic")
    features: bool = True
    true_f0_of: str = ""
    description: str = ""
    colour: str = ""
    marker: str = "o"


def _conv_tasnet(name="trio", **options):
    def make():
        from mss_nn_implementation.convtas import ConvTasNetSeparator

        return ConvTasNetSeparator.load(name, **options)

    return make


def _ddsp(kind, *arguments, **options):
    def make():
        from ddsp_models.separation import separators

        return getattr(separators, kind).load(*arguments, **options)

    return make


def _numpy_cnn():
    from neural_network_basics.drums_mask import DrumsMask

    return DrumsMask.load()


def _hps():
    from mss_basic_implementation.hps import HarmonicPercussive

    return HarmonicPercussive()


def _ensemble():
    from ddsp_models.separation.ensemble import Ensemble

    return Ensemble.load()


def _shipped(folder, *names):
    return tuple(f"{folder}/{name}" for name in names)


def _trained(*names):
    return _shipped("ddsp_models/trained", *(f"{name}.keras" for name in names))


def _decoders(name):
    return _trained(*(f"{name}-{source}" for source in ("drums", "bass", "vocals")))


_TASNET = "mss_nn_implementation/training_final_full"
_SONG = ("air_traffic",)

SEPARATORS = {
    row.name: row
    for row in (
        System(
            "hps", "median-filter HPS", "mask", "drums and the rest of any song; has learned nothing", _hps,
            test_sets=(*VIRTUAL, *MUSDB18, "air_traffic"), colour="#6a6a6a", marker="v",
        ),
        System(
            "conv_tasnet", "Conv-TasNet", "waveform", "drums, bass, vocals of the virtual band's training artist",
            _conv_tasnet("trio"), _shipped(_TASNET, "trio.keras"), colour="#d55e00",
        ),
        System(
            "conv_tasnet@many", "Conv-TasNet, trained on many artists", "waveform",
            "the same, trained on many virtual artists", _conv_tasnet("many_trio"),
            _shipped(_TASNET, "many_trio.keras"),
        ),
        System(
            "musdb", "Conv-TasNet, trained on recordings", "waveform",
            "recorded songs, a little better than musdb@once, two to six times as slow",
            _conv_tasnet("musdb", averaged=True), _shipped(_TASNET, "musdb.keras"), MUSDB18,
        ),
        System(
            "musdb@once", "Conv-TasNet, trained on recordings, one pass", "waveform",
            "recorded songs: drums, bass, other, vocals", _conv_tasnet("musdb"), _shipped(_TASNET, "musdb.keras"),
            MUSDB18,
        ),
        System(
            "numpy_cnn", "NumPy network", "mask", "drums and the rest of the virtual band; needs NumPy alone",
            _numpy_cnn, _shipped("neural_network_basics", "drums_mask.npz"), marker="^",
        ),
        System(
            "ddsp_masked", "DDSP masks", "mask", "drums, bass, vocals of the training artist, by masks from synthesis",
            _ddsp("MaskedSeparator"), _trained("separator-one_artist"), colour="#0072b2", marker="s",
        ),
        System(
            "ddsp_resynthesis", "DDSP resynthesis", "resynthesis",
            "the same stems synthesised anew from estimated pitch and loudness",
            _ddsp("ResynthesisSeparator", "one_artist_played", decoders="heard"),
            (*_trained("separator-one_artist_played"), *_decoders("heard")),
        ),
        System(
            "ddsp_masked@refined", "DDSP masks, refined", "waveform", "ddsp_masked with a network that refines its masks",
            _ddsp("RefinedSeparator"), _trained("separator-one_artist_refined"), colour="#56b4e9", marker="D",
        ),
        System(
            "ddsp_masked@many", "DDSP masks, trained on many artists", "mask", "virtual artists that are not the first",
            _ddsp("MaskedSeparator", "many_artists"), _trained("separator-many_artists"),
        ),
        System(
            "ddsp_masked@four", "DDSP masks of four sources", "mask", "virtual songs with an extra instrument",
            _ddsp("MaskedSeparator", "many_four"), _trained("separator-many_four"),
        ),
        System(
            "ddsp_masked@air_traffic", "DDSP masks, fine-tuned on the song's beginning", "mask",
            "one recorded song, trained on its first two minutes", _ddsp("MaskedSeparator", "air_traffic"),
            _trained("separator-air_traffic"), _SONG,
        ),
        System(
            "ddsp_resynthesis@air_traffic", "DDSP resynthesis, fine-tuned on the song's beginning", "resynthesis",
            "that song's stems synthesised anew",
            _ddsp("ResynthesisSeparator", "air_traffic", decoders="air_traffic"),
            (*_trained("separator-air_traffic"), *_decoders("air_traffic")), _SONG,
        ),
        System(
            "conv_tasnet_ddsp", "Conv-TasNet, then DDSP decoders", "resynthesis",
            "Conv-TasNet's stems tracked and synthesised anew", _ddsp("ChainSeparator"),
            (*_shipped(_TASNET, "trio.keras"), *_decoders("band")),
        ),
        System(
            "ensemble", "Conv-TasNet and DDSP masks together", "waveform",
            "best for the training artist: conv_tasnet and ddsp_masked, weighted", _ensemble,
            (*_shipped(_TASNET, "trio.keras"), *_trained("separator-one_artist"), "ddsp_models/trained/ensemble.json"),
            colour="#009e73",
        ),
    )
}  # fmt: skip
"""Every separator by name."""

DEFAULT = "musdb@once"
"""The separator for songs of unknown origin: it learned from recorded music, and hears everything once; `musdb` takes
twice as long or longer and gains a little."""

CROSSFADE = 0.25
"""Share of a window that fades into the next."""


LOUDEST = 1e10
"""Samples beyond this count as silence, as infinite ones do. Files of 32-bit floats that were scaled like integers stay
below; powers of what lies beyond leave the range of the numbers."""


@lru_cache(maxsize=2)
def separator(name=DEFAULT):
    """The separator of that name, its weights loaded once.

    Raises
    ------
    ValueError
        where there is none of that name; the message lists those there are.
    """
    if name not in SEPARATORS:
        raise ValueError(f"model: {name!r} is none of {', '.join(SEPARATORS)}")
    return SEPARATORS[name].make()


def separate(mixture, sample_rate, model=DEFAULT):
    """Separate a song that is in memory.

    Parameters
    ----------
    mixture : np.ndarray, (samples,) or (channels, samples)
        full scale is [-1, 1]; samples that are not finite, or beyond `LOUDEST`, count as silence.
    sample_rate : int
        in Hz.
    model : str
        a name in `SEPARATORS`.

    Returns
    -------
    dict of np.ndarray
        one float32 stem per source, each shaped like `mixture`. `mixture - sum(stems.values())` is the residual.

    Raises
    ------
    ValueError
        for an unknown model, an empty mixture, one of more than two axes, or a sample rate that is not positive.

    Examples
    --------
    >>> stems = separate(mixture, 44100)  # doctest: +SKIP
    >>> stems["vocals"].shape == mixture.shape  # doctest: +SKIP
    True
    """
    mixture = np.asarray(mixture, np.float32)
    if mixture.ndim not in (1, 2) or mixture.size == 0:
        raise ValueError(f"mixture: (samples,) or (channels, samples) expected, got shape {mixture.shape}")
    if sample_rate <= 0:
        raise ValueError(f"sample_rate: a positive number of Hz expected, got {sample_rate}")
    return separator(model).separate(np.where(usable(mixture), mixture, np.float32(0)), sample_rate)


def usable(audio):
    """Which samples are finite and not beyond `LOUDEST`."""
    return np.abs(audio) <= LOUDEST  # False for NaN, too


class FiniteReader:
    """Reads (channels, samples) blocks of an open sound file, replaces what is not `usable` by 0, and counts it."""

    def __init__(self, sound, name, progress=None):
        self.sound, self.name, self.progress = sound, name, progress
        self.samples = self.usable = self.values = 0

    def __call__(self, samples):
        block = read_block(self.sound, samples, self.name)
        good = usable(block)
        self.samples += block.shape[-1]
        self.usable += int(good.sum())
        self.values += block.size
        if self.progress is not None:
            self.progress.update(block.shape[-1] / self.sound.samplerate)
        return block if good.all() else np.where(good, block, np.float32(0))


def separate_file(song, model=DEFAULT, out="separated", *, progress=True, limit=None):
    """Separate a sound file into wav files, in memory that does not grow with its length.

    Parameters
    ----------
    song : str or Path
        wav, flac, ogg or mp3, or what `open_audio` decodes with ffmpeg. Where it ends earlier than it says, what is
        there is separated, and a line on standard error says so.
    model : str
        a name in `SEPARATORS`.
    out : str or Path
        folder; the stems go to out/<name of the song>/<source>.wav and residual.wav, 32-bit float. They are written in
        a temporary folder and moved there when all are complete; stems of an earlier run are replaced.
    progress : bool
        show a progress bar on standard error.
    limit : float, optional
        seconds that separating may take; it ends with the first window that is finished later.

    Returns
    -------
    list of Path
        the files written.

    Raises
    ------
    AudioError
        where the song cannot be read, a stem would overwrite it, or `limit` is exceeded; nothing is written then.
    OSError
        where the folder cannot be written, or the disk is full; nothing is written then, either.
    """
    from tqdm import tqdm

    with open_audio(song) as sound:
        chosen = separator(model)
        rate, names = sound.samplerate, [*chosen.sources, "residual"]
        folder = Path(out) / folder_name(song)
        targets = [folder / f"{name}.wav" for name in names]
        check_targets(targets, song)
        announced = announced_samples(sound)
        bar = tqdm(
            total=round(announced / rate),
            unit="s",
            desc=Path(song).stem[:40],
            disable=not progress,
            leave=False,
        )
        with partial_folder(out) as partial, bar:
            complete = partial / "stems"
            complete.mkdir()
            reader = FiniteReader(sound, song, bar)
            mixture = Delayed(reader)
            with full_disk_named(out), ExitStack() as stack:
                files = [stack.enter_context(_stem_file(complete / target.name, sound)) for target in targets]
                seconds = getattr(chosen, "chunk_seconds", chosen.window_seconds)
                overlap = getattr(chosen, "overlap_seconds", CROSSFADE * seconds)
                window, overlap = round(seconds * rate), max(1, round(overlap * rate))
                if hasattr(chosen, "chunk_seconds"):  # it takes chunks of any length
                    window, overlap = even_window(len(sound), window, overlap)
                blocks = by_windows(
                    mixture,
                    lambda block: np.stack(list(chosen.separate(block, rate).values())),
                    window=window,
                    overlap=overlap,
                )
                begun = time.monotonic()
                for block in blocks:  # (sources, channels, samples)
                    if limit is not None and time.monotonic() - begun > limit:
                        raise AudioError(f"{song}: not separated in {limit:g} s, which is the limit")
                    rest = mixture.take(block.shape[-1]) - block.sum(axis=0)
                    for file, stem in zip(files, [*block, rest]):
                        file.write(stem.T)
            if reader.samples == 0:
                raise AudioError(f"{song}: the sound is zero samples long")
            if reader.usable == 0:
                raise AudioError(f"{song}: every sample is NaN, infinite or beyond {LOUDEST:.0e}")
            with full_disk_named(out):
                for target in targets:  # closing a file on a full disk says nothing
                    if soundfile.info(os.fsencode(complete / target.name)).frames != reader.samples:
                        raise soundfile.SoundFileRuntimeError(f"{target.name} is not complete")
            if reader.usable < reader.values:
                _note(f"{song}: {reader.values - reader.usable} samples were NaN or infinite and count as silence")
            if reader.samples < announced:
                is_there, said = (f"{samples / rate:.1f} s" for samples in (reader.samples, announced))
                _note(f"{song}: the sound ends after {is_there} of the {said} that it announces")
            publish(complete, targets)
    return targets


def folder_name(song):
    """What the folder of a song's stems is called: the file's name without its ending; never "." or ".."."""
    song = Path(song)
    return song.stem if song.stem.strip(".") else song.name


def check_targets(targets, song):
    """Refuse, before anything is computed, targets that are folders or the song itself, and a file in their way."""
    folder = targets[0].parent
    if folder.exists() and not folder.is_dir():
        raise AudioError(f"{folder}: the folder for the stems is to be there, and a file is; choose another --out")
    for target in targets:
        if target.is_dir():
            raise AudioError(f"{target}: a stem is to be there, and a folder is; choose another --out")
        if target.exists() and target.samefile(song):
            raise AudioError(f"{song}: a stem would overwrite the song; choose another --out")


def publish(complete, targets):
    """Move a folder of finished stems to where they belong: at once where there are none, else file by file."""
    folder = targets[0].parent
    umask = os.umask(0)
    os.umask(umask)
    complete.chmod(0o777 & ~umask)
    try:
        os.rename(complete, folder)
    except OSError:  # the folder is there and not empty
        for target in targets:
            os.replace(complete / target.name, target)
    others = sorted(path.name for path in folder.glob("*.wav") if path not in targets)
    if others:
        _note(f"{folder}: also holds {', '.join(others)}, not of this run")


@contextmanager
def full_disk_named(out):
    """Turn libsndfile's failures to write, which do not say why, into one that says how much room is left."""
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
        free = shutil.disk_usage(out).free / 1e6
        raise OSError(f"{out}: the stems could not be written, {free:.0f} MB are free there") from error


def _note(message):
    print(printable(message), file=sys.stderr)


def printable(message):
    """A message as one line that leaves a terminal as it is: line breaks, control characters and bytes that are no
    UTF-8 are escaped."""
    escaped = ("Cc", "Cs", "Zl", "Zp")
    return "".join(c if category(c) not in escaped else c.encode("unicode_escape").decode() for c in str(message))


def _stem_file(path, sound):
    """A wav file of 32-bit floats open for writing, with the rate and channels of `sound`; RF64 where 4 GB are near."""
    kind = "RF64" if 4 * sound.channels * len(sound) > 2**32 - 2**20 else "WAV"
    return soundfile.SoundFile(os.fsencode(path), "w", sound.samplerate, sound.channels, "FLOAT", format=kind)


class Delayed:
    """Passes a reader's blocks on and keeps them until they are taken: the mixture beside the stems made from it."""

    def __init__(self, read):
        self.read, self.kept = read, []

    def __call__(self, samples):
        block = self.read(samples)
        self.kept.append(block)
        return block

    def take(self, samples):
        """The next `samples` samples (channels, samples) that were read and not taken yet."""
        kept = np.concatenate(self.kept, axis=-1)
        self.kept = [kept[:, samples:]]
        return kept[:, :samples]


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 where the song or the model is no good."""
    parser = argparse.ArgumentParser(prog="separate.py", description=__doc__.split("\n")[0])
    parser.add_argument("song", help="a wav, flac, ogg or mp3 file; with ffmpeg also m4a, webm, wma")
    parser.add_argument("--model", default=DEFAULT, choices=SEPARATORS, help="which separator (default: %(default)s)")
    parser.add_argument("--out", default="separated", help="folder for the stems (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        shown = sys.stderr.isatty()
        written = separate_file(options.song, options.model, options.out, progress=shown)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        _note(f"separate.py: {error or type(error).__name__}")
        return 2
    except KeyboardInterrupt:
        _note("separate.py: interrupted, nothing was written")
        return 130
    for path in written:
        try:
            print(printable(path))
        except UnicodeEncodeError:  # a terminal that knows ASCII alone
            print(printable(path).encode("ascii", "backslashreplace").decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
