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
from importlib import import_module
from pathlib import Path
from unicodedata import category

import numpy as np
import soundfile

from audio_processing.chunks import LOUDEST, usable
from audio_processing.sound_files import AudioError, announced_samples, open_audio, read_block
from common.files import partial_folder

_MUSDB, _SONG = ("musdb",), ("air_traffic",)


@dataclass(frozen=True)
class System:
    """A row of the catalogue: something that estimates stems, with all its facts.

    Parameters
    ----------
    name : str
        key of the row, in result files and on the command line; never parsed.
    label : str
        what pages call it.
    kind : {"baseline", "oracle", "mask", "waveform", "resynthesis"}
        origin of its estimates: the mixture itself; the true stems; a real mask between 0 and 1; waveforms or
        complex masks; synthesis alone.
    purpose : str
        one line for `--help`: what a user would choose it for.
    make : callable, () -> audio_processing.chunks.Separator, optional
        loads it; None for what only the experiments can run. Keras is imported in here, since it takes seconds.
    weights : tuple of str
        trained files, relative to the repository's root: a changed one makes scores stale, a missing one leaves the
        system out.
    test_sets : tuple of str
        where it is scored by default: names of test sets, or of their places (`common.places.Places`).
    features : bool
        whether pitch, loudness and spectra of its estimates are scored, too.
    estimate : callable, (mixture, stems, sample_rate) -> dict of np.ndarray, optional
        of a row without `make` that is given the true stems.
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
    test_sets: tuple = ("band", "air_traffic")
    features: bool = True
    estimate: Callable | None = None
    true_f0_of: str = ""
    description: str = ""
    colour: str = ""
    marker: str = "o"


def _load(place, *arguments, **options):
    """What loads a separator when it is needed: importing Keras takes seconds.

    Parameters
    ----------
    place : str
        "<module>:<class>"; the other arguments are those of the class's `load`.
    """
    module, name = place.split(":")
    return lambda: getattr(import_module(module), name).load(*arguments, **options)


_DDSP = "ddsp_models.separation.separators:"
_CONV_TASNET = "mss_nn_implementation.convtas:ConvTasNetSeparator"


def _shipped(folder, *names):
    return tuple(f"{folder}/{name}" for name in names)


def _trained(*names):
    return _shipped("ddsp_models/trained", *(f"{name}.keras" for name in names))


def _decoders(name):
    return _trained(*(f"{name}-{source}" for source in ("drums", "bass", "vocals")))


_TASNET = "mss_nn_implementation/training_final_full"

SEPARATORS = {
    row.name: row
    for row in (
        System(
            "hps", "median-filter HPS", "mask", "drums and the rest of any song; has learned nothing",
            _load("mss_basic_implementation.hps:HarmonicPercussive"),
            test_sets=("band", *_MUSDB, *_SONG), colour="#aa845d", marker="v",
        ),
        System(
            "conv_tasnet", "Conv-TasNet", "waveform", "drums, bass, vocals of the virtual band's training artist",
            _load(_CONV_TASNET, "trio"), _shipped(_TASNET, "trio.keras"), colour="#e0187f",
        ),
        System(
            "conv_tasnet@many", "Conv-TasNet, trained on many artists", "waveform",
            "the same, trained on many virtual artists", _load(_CONV_TASNET, "many_trio"),
            _shipped(_TASNET, "many_trio.keras"),
        ),
        System(
            "musdb", "Conv-TasNet, trained on recordings", "waveform",
            "recorded songs, a little better than musdb@once, two to six times as slow",
            _load(_CONV_TASNET, "musdb", averaged=True), _shipped(_TASNET, "musdb.keras"), _MUSDB,
        ),
        System(
            "musdb@once", "Conv-TasNet, trained on recordings, one pass", "waveform",
            "recorded songs: drums, bass, other, vocals", _load(_CONV_TASNET, "musdb"),
            _shipped(_TASNET, "musdb.keras"), _MUSDB,
        ),
        System(
            "numpy_cnn", "NumPy network", "mask", "drums and the rest of the virtual band; needs NumPy alone",
            _load("neural_network_basics.drums_mask:DrumsMask"), _shipped("neural_network_basics", "drums_mask.npz"),
            colour="#769c49", marker="^",
        ),
        System(
            "ddsp_masked", "DDSP masks", "mask", "drums, bass, vocals of the training artist, by masks from synthesis",
            _load(_DDSP + "MaskedSeparator"), _trained("separator-one_artist"), colour="#7244f4", marker="s",
        ),
        System(
            "ddsp_resynthesis", "DDSP resynthesis", "resynthesis",
            "the same stems synthesised anew from estimated pitch and loudness",
            _load(_DDSP + "ResynthesisSeparator", "one_artist_played", decoders="heard"),
            (*_trained("separator-one_artist_played"), *_decoders("heard")), colour="#0899ad", marker="P",
        ),
        System(
            "ddsp_masked@refined", "DDSP masks, refined", "waveform",
            "ddsp_masked with a network that refines its masks",
            _load(_DDSP + "RefinedSeparator"), _trained("separator-one_artist_refined"), colour="#b678ea", marker="D",
        ),
        System(
            "ddsp_masked@many", "DDSP masks, trained on many artists", "mask", "virtual artists that are not the first",
            _load(_DDSP + "MaskedSeparator", "many_artists"), _trained("separator-many_artists"),
        ),
        System(
            "ddsp_masked@four", "DDSP masks of four sources", "mask", "virtual songs with an extra instrument",
            _load(_DDSP + "MaskedSeparator", "many_four"), _trained("separator-many_four"),
        ),
        System(
            "ddsp_masked@air_traffic", "DDSP masks, fine-tuned on the song's beginning", "mask",
            "one recorded song, trained on its first two minutes", _load(_DDSP + "MaskedSeparator", "air_traffic"),
            _trained("separator-air_traffic"), _SONG,
        ),
        System(
            "ddsp_resynthesis@air_traffic", "DDSP resynthesis, fine-tuned on the song's beginning", "resynthesis",
            "that song's stems synthesised anew",
            _load(_DDSP + "ResynthesisSeparator", "air_traffic", decoders="air_traffic"),
            (*_trained("separator-air_traffic"), *_decoders("air_traffic")), _SONG,
        ),
        System(
            "conv_tasnet_ddsp", "Conv-TasNet, then DDSP decoders", "resynthesis",
            "Conv-TasNet's stems tracked and synthesised anew", _load(_DDSP + "ChainSeparator"),
            (*_shipped(_TASNET, "trio.keras"), *_decoders("band")), colour="#bc6d98", marker="X",
        ),
        System(
            "ensemble", "Conv-TasNet and DDSP masks together", "waveform",
            "best for the training artist: conv_tasnet and ddsp_masked, weighted",
            _load("ddsp_models.separation.ensemble:Ensemble"),
            (*_shipped(_TASNET, "trio.keras"), *_trained("separator-one_artist"), "ddsp_models/trained/ensemble.json"),
            colour="#c0392b", marker="*",
        ),
    )
}  # fmt: skip

# The separator for songs of unknown origin: it was trained on recorded music and passes over each song once; `musdb`
# takes twice as long or longer and gains a little.
DEFAULT = "musdb@once"


@lru_cache(maxsize=2)
def separator(name=DEFAULT):
    """The separator of that name, its weights loaded once.

    Raises
    ------
    ValueError
        if there is none of that name; the message lists those there are.
    """
    if name not in SEPARATORS:
        raise ValueError(f"model: expected one of {', '.join(SEPARATORS)}, got {name!r}")
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
        a key of `SEPARATORS`.

    Returns
    -------
    dict of str to np.ndarray, float32
        a stem per source, shaped like `mixture`. `mixture - sum(stems.values())` is the residual.

    Raises
    ------
    ValueError
        for an unknown model, an empty mixture, one of more than two axes, or a sample rate that is not positive.

    See Also
    --------
    separate_file : the same for a file of any length.

    Examples
    --------
    >>> clicks = np.zeros(22050, np.float32)
    >>> clicks[::5000] = 1
    >>> stems = separate(clicks, 22050, "hps")
    >>> sorted(stems), stems["drums"].shape == clicks.shape
    (['drums', 'rest'], True)
    """
    return separator(model).separate(mixture, sample_rate)


# --- files -----------------------------------------------------------------------------------------------------------


def separate_file(song, model=DEFAULT, out="separated", *, progress=True, limit=None):
    """Separate a sound file into wav files, in memory that does not grow with its length.

    Parameters
    ----------
    song : str or Path
        wav, flac, ogg or mp3, or what `open_audio` decodes with ffmpeg. A truncated file is separated as far as it
        goes, and a line on standard error says so.
    model : str
        a key of `SEPARATORS`.
    out : str or Path
        folder; the stems go to out/<name of the song>/<source>.wav and residual.wav, 32-bit float. They are written in
        a temporary folder and moved there when all are complete; stems of an earlier run are replaced.
    progress : bool
        show a progress bar on standard error.
    limit : float, optional
        seconds that separating may take; it ends with the first chunk that is finished later.

    Returns
    -------
    list of Path
        the files written.

    Raises
    ------
    AudioError
        if the song cannot be read, a stem would overwrite it, or `limit` is exceeded; nothing is written then.
    OSError
        if the folder cannot be written, or the disk is full; nothing is written then, either.
    """
    with open_audio(song) as sound:
        chosen = separator(model)
        folder = Path(out) / folder_name(song)
        targets = [folder / f"{name}.wav" for name in (*chosen.sources, "residual")]
        check_targets(targets, song)
        with partial_folder(out) as partial, _progress_bar(sound, song, progress) as bar:
            complete = partial / "stems"
            complete.mkdir()
            reader = SongReader(sound, song, bar)
            with full_disk_named(out):
                write_stems(chosen, reader, [complete / target.name for target in targets], limit)
            reader.check()
            with full_disk_named(out):
                check_lengths(complete, reader.samples)
            reader.report_losses()
            publish(complete, targets)
    return targets


class SongReader:
    """Reads an open sound file in blocks (channels, samples), and keeps the song until it is taken with its stems.

    Samples that are not `usable` are replaced by 0 and counted.
    """

    def __init__(self, sound, song, progress):
        self.sound, self.song, self.progress = sound, song, progress
        self.samples = self.unusable = 0
        self.kept = []

    def __call__(self, samples):
        block = read_block(self.sound, samples, self.song)
        good = usable(block)
        self.samples += block.shape[-1]
        self.unusable += block.size - int(good.sum())
        self.progress.update(block.shape[-1] / self.sound.samplerate)
        self.kept.append(block if good.all() else np.where(good, block, np.float32(0)))
        return self.kept[-1]

    def take(self, samples):
        """The next `samples` samples (channels, samples) that were read and not taken yet."""
        kept = np.concatenate(self.kept, axis=-1)
        self.kept = [kept[:, samples:]]
        return kept[:, :samples]

    def check(self):
        """Refuse a song that turned out to hold no sound."""
        if self.samples == 0:
            raise AudioError(f"{self.song}: the sound is zero samples long")
        if self.unusable == self.samples * self.sound.channels:
            raise AudioError(f"{self.song}: every sample is NaN, infinite or beyond {LOUDEST:.0e}")

    def report_losses(self):
        """Say on standard error what of the song was not usable, or not there."""
        if self.unusable:
            _note(f"{self.song}: {self.unusable} samples were NaN or infinite and count as silence")
        announced = announced_samples(self.sound)
        if self.samples < announced:
            seconds = [f"{samples / self.sound.samplerate:.1f} s" for samples in (announced, self.samples)]
            _note(f"{self.song}: truncated: expected {seconds[0]} as its header says, got {seconds[1]}")


def write_stems(chosen, reader, paths, limit=None):
    """Separate a song chunk by chunk into files: a stem each, and last the residual.

    Parameters
    ----------
    chosen : Separator
    reader : SongReader
    paths : list of Path
    limit : float, optional
        seconds that it may take.
    """
    sound, start = reader.sound, time.monotonic()
    with ExitStack() as stack:
        files = [stack.enter_context(_stem_file(path, sound)) for path in paths]
        for stems in chosen.stream(reader, sound.samplerate, len(sound)):  # (sources, channels, samples)
            if limit is not None and time.monotonic() - start > limit:
                raise AudioError(f"{reader.song}: not separated in {limit:g} s, which is the limit")
            residual = reader.take(stems.shape[-1]) - stems.sum(axis=0)
            for file, stem in zip(files, [*stems, residual]):
                file.write(stem.T)


def check_lengths(folder, samples):
    """Make sure that every stem in a folder is whole: closing a file on a full disk raises nothing."""
    for path in folder.iterdir():
        if soundfile.info(os.fsencode(path)).frames != samples:
            raise soundfile.SoundFileRuntimeError(f"{path.name} is not complete")


def folder_name(song):
    """Name of the folder of a song's stems: the file's without its ending; never "." or ".."."""
    song = Path(song)
    return song.stem if song.stem.strip(".") else song.name


def check_targets(targets, song):
    """Refuse, before anything is computed, targets that are folders or the song itself, and a file in their way."""
    folder = targets[0].parent
    if folder.exists() and not folder.is_dir():
        raise AudioError(f"{folder}: exists and is not a folder; choose another --out")
    for target in targets:
        if target.is_dir():
            raise AudioError(f"{target}: exists and is a folder; choose another --out")
        if target.exists() and target.samefile(song):
            raise AudioError(f"{song}: a stem would overwrite the song; choose another --out")


def publish(complete, targets):
    """Move a folder of finished stems to its place: at once if nothing is there, else file by file."""
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
    """Turn libsndfile's failures to write, which give no reason, into one that tells how much room is left."""
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
        free = shutil.disk_usage(out).free / 1e6
        raise OSError(f"{out}: the stems could not be written, {free:.0f} MB are free there") from error


def _progress_bar(sound, song, shown):
    """A bar on standard error that counts the seconds of a song."""
    from tqdm import tqdm

    seconds = round(announced_samples(sound) / sound.samplerate)
    return tqdm(total=seconds, unit="s", desc=Path(song).stem[:40], disable=not shown, leave=False)


def _stem_file(path, sound):
    """A wav file of 32-bit floats open for writing, with the rate and channels of `sound`; RF64 near 4 GB."""
    kind = "RF64" if 4 * sound.channels * len(sound) > 2**32 - 2**20 else "WAV"
    return soundfile.SoundFile(os.fsencode(path), "w", sound.samplerate, sound.channels, "FLOAT", format=kind)


# --- the command -----------------------------------------------------------------------------------------------------


def _note(message):
    print(printable(message), file=sys.stderr)


def printable(message):
    """A message as one line that leaves a terminal as it is: line breaks, control characters and bytes that are no
    UTF-8 are escaped."""
    escaped = ("Cc", "Cs", "Zl", "Zp")
    return "".join(c if category(c) not in escaped else c.encode("unicode_escape").decode() for c in str(message))


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 if the song or the model is no good."""
    width = max(map(len, SEPARATORS)) + 2
    models = "\n".join(f"  {row.name:{width}}{row.purpose}" for row in SEPARATORS.values())
    parser = argparse.ArgumentParser(
        prog="separate.py",
        description=__doc__.split("\n")[0],
        epilog=f"models:\n{models}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("song", help="a wav, flac, ogg or mp3 file; with ffmpeg also m4a, webm, wma")
    parser.add_argument(
        "--model", default=DEFAULT, choices=SEPARATORS, metavar="NAME", help="one of those below (default: %(default)s)"
    )
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
