"""Separate a song: python separate.py SONG [--model NAME] [--out DIR], or `separate(mixture, sample_rate)` in Python.

The stems are as long as the song and have its sample rate and channels. Together with the residual, which is what no
stem claims, they add up to the song.
"""

import argparse
import os
import shutil
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from unicodedata import category

import numpy as np
import soundfile

from audio_processing.audio_processing import AudioError, announced_samples, open_audio, read_block
from audio_processing.files import partial_folder
from audio_processing.windows import by_windows, even_window


def _conv_tasnet(name="trio", **options):
    from mss_nn_implementation.convtas import ConvTasNetSeparator

    return ConvTasNetSeparator(name, **options)


def _numpy_cnn():
    from neural_network_basics.drums_mask import DrumsMask

    return DrumsMask.load()


def _hps():
    from mss_basic_implementation.hps import HarmonicPercussive

    return HarmonicPercussive()


def _ddsp(kind, name="one_artist", **options):
    """What makes a separator of chapter 8, once it is asked for: importing Keras takes seconds."""

    def make():
        from ddsp_models import separators

        return getattr(separators, kind)(name, **options)

    return make


def _chain():
    from ddsp_models.separators import ChainSeparator

    return ChainSeparator()


def _ensemble():
    from ddsp_models.ensemble import Ensemble

    return Ensemble()


SEPARATORS = {
    "hps": _hps,
    "conv_tasnet": _conv_tasnet,
    "conv_tasnet@many": partial(_conv_tasnet, "many_trio"),
    "musdb": partial(_conv_tasnet, "musdb", averaged=True),
    "musdb@once": partial(_conv_tasnet, "musdb"),
    "numpy_cnn": _numpy_cnn,
    "ddsp_masked": _ddsp("MaskedSeparator"),
    "ddsp_resynthesis": _ddsp("ResynthesisSeparator", "one_artist_played", decoders="heard"),
    "ddsp_masked@refined": _ddsp("RefinedSeparator", "one_artist_refined"),
    "ddsp_masked@many": _ddsp("MaskedSeparator", "many_artists"),
    "ddsp_masked@four": _ddsp("MaskedSeparator", "many_four"),
    "ddsp_masked@air_traffic": _ddsp("MaskedSeparator", "air_traffic"),
    "ddsp_resynthesis@air_traffic": _ddsp("ResynthesisSeparator", "air_traffic", decoders="air_traffic"),
    "conv_tasnet_ddsp": _chain,
    "ensemble": _ensemble,
}
"""Every separator by name. Each has `sources`, `sample_rate`, `separate(mixture, sample_rate) -> stems` and
`window_seconds`, how much of a long song it wants to hear at once; or `chunk_seconds` and `overlap_seconds`, where it
cuts what it gets into windows by itself."""

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
    return SEPARATORS[name]()


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
