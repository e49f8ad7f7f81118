"""Separate a song: python separate.py SONG [--model NAME] [--out DIR], or `separate(mixture, sample_rate)` in Python.

The stems are as long as the song and have its sample rate and channels. Together with the residual, which is what no
stem claims, they add up to the song.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from audio_processing.audio_processing import AudioError, open_audio
from audio_processing.windows import by_windows, even_window


def _conv_tasnet():
    from mss_nn_implementation.convtas import ConvTasNetSeparator

    return ConvTasNetSeparator("trio")


def _numpy_cnn():
    from neural_network_basics.drums_mask import DrumsMask

    return DrumsMask.load()


def _hps():
    from mss_basic_implementation.hps import HarmonicPercussive

    return HarmonicPercussive()


SEPARATORS = {
    "hps": _hps,
    "conv_tasnet": _conv_tasnet,
    "numpy_cnn": _numpy_cnn,
}
"""Every separator by name. Each has `sources`, `sample_rate`, `separate(mixture, sample_rate) -> stems` and
`window_seconds`, how much of a long song it wants to hear at once; or `chunk_seconds` and `overlap_seconds`, where it
cuts what it gets into windows by itself."""

CROSSFADE = 0.25
"""Share of a window that fades into the next."""


@lru_cache(maxsize=2)
def separator(name="conv_tasnet"):
    """The separator of that name, its weights loaded once.

    Raises
    ------
    ValueError
        where there is none of that name; the message lists those there are.
    """
    if name not in SEPARATORS:
        raise ValueError(f"model: {name!r} is none of {', '.join(SEPARATORS)}")
    return SEPARATORS[name]()


def separate(mixture, sample_rate, model="conv_tasnet"):
    """Separate a song that is in memory.

    Parameters
    ----------
    mixture : np.ndarray, (samples,) or (channels, samples)
        full scale is [-1, 1]; samples that are not finite count as silence.
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
    return separator(model).separate(np.nan_to_num(mixture, nan=0, posinf=0, neginf=0), sample_rate)


class FiniteReader:
    """Reads (channels, samples) blocks of an open sound file, replaces what is not finite by 0, and counts it."""

    def __init__(self, sound, progress=None):
        self.sound, self.progress = sound, progress
        self.samples = self.finite = self.values = 0

    def __call__(self, samples):
        try:
            block = self.sound.read(samples, dtype="float32", always_2d=True).T  # (channels, samples)
        except soundfile.LibsndfileError as error:
            seconds = self.samples / self.sound.samplerate
            raise AudioError(f"{self.sound.name}: the sound is damaged after {seconds:.1f} s ({error})") from error
        finite = np.isfinite(block)
        self.samples += block.shape[-1]
        self.finite += int(finite.sum())
        self.values += block.size
        if self.progress is not None:
            self.progress.update(block.shape[-1] / self.sound.samplerate)
        return block if finite.all() else np.where(finite, block, np.float32(0))


def separate_file(song, model="conv_tasnet", out="separated", *, progress=True):
    """Separate a sound file into wav files, in memory that does not grow with its length.

    Parameters
    ----------
    song : str or Path
        wav, flac, ogg or mp3.
    model : str
        a name in `SEPARATORS`.
    out : str or Path
        folder; the stems go to out/<name of the song>/<source>.wav and residual.wav, 32-bit float. They are written in
        a temporary folder and moved there when all are complete.
    progress : bool
        show a progress bar on standard error.

    Returns
    -------
    list of Path
        the files written.

    Raises
    ------
    AudioError
        where the song cannot be read; nothing is written then.
    """
    from tqdm import tqdm

    with open_audio(song) as sound:
        chosen = separator(model)
        folder = Path(out) / Path(song).stem
        folder.parent.mkdir(parents=True, exist_ok=True)
        rate, names = sound.samplerate, [*chosen.sources, "residual"]
        bar = tqdm(
            total=round(len(sound) / rate), unit="s", desc=Path(song).stem[:40], disable=not progress, leave=False
        )
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial, bar:
            reader = FiniteReader(sound, bar)
            mixture = Delayed(reader)
            with ExitStack() as stack:
                files = [stack.enter_context(_stem_file(Path(partial) / f"{name}.wav", sound)) for name in names]
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
                for block in blocks:  # (sources, channels, samples)
                    rest = mixture.take(block.shape[-1]) - block.sum(axis=0)
                    for file, stem in zip(files, [*block, rest]):
                        file.write(stem.T)
            if reader.samples == 0:
                raise AudioError(f"{song}: the sound is zero samples long")
            if reader.finite == 0:
                raise AudioError(f"{song}: every sample is NaN or infinite")
            if reader.finite < reader.values:
                print(
                    f"{song}: {reader.values - reader.finite} samples were NaN or infinite and count as silence",
                    file=sys.stderr,
                )
            folder.mkdir(exist_ok=True)
            for name in names:
                os.replace(Path(partial) / f"{name}.wav", folder / f"{name}.wav")
    return [folder / f"{name}.wav" for name in names]


def _stem_file(path, sound):
    """A wav file of 32-bit floats open for writing, with the rate and channels of `sound`; RF64 where 4 GB are near."""
    large = 4 * sound.channels * len(sound) > 2**32 - 2**20
    return soundfile.SoundFile(path, "w", sound.samplerate, sound.channels, "FLOAT", format="RF64" if large else "WAV")


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
    parser.add_argument("song", help="a wav, flac, ogg or mp3 file")
    parser.add_argument(
        "--model", default="conv_tasnet", choices=SEPARATORS, help="which separator (default: %(default)s)"
    )
    parser.add_argument("--out", default="separated", help="folder for the stems (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        written = separate_file(options.song, options.model, options.out)
    except (ValueError, OSError) as error:
        print(f"separate.py: {error}", file=sys.stderr)
        return 2
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
