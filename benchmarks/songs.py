"""Whole songs: rendering them, synthesising them block by block, and separating them with the command."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import virtual_band
from benchmarks.timing import peak_mb, row, timed
from common.results import ROOT
from ddsp_models import synthesisers as ds
from ddsp_models.streaming import stream

REAL_TIME = "the song's duration (real time)"
SECONDS = 20.0
ARTISTS = (3, 41, 42, 43, 44)
BLOCK_FRAMES = 1000
"""Length of a block of controls, at 250 frames per second."""
RATE = 44100
BLOCK = 20 * RATE
MINUTES = (4, 2, 10, 60)
"""Lengths of the songs that are separated; the first has the benchmark's plain name, the longest is for its memory."""


def band_render():
    """Compose, synthesise and mix songs of 20 s with four stems, on one core: the median of five artists."""

    def render(artist):
        virtual_band.render_song(artist, 1, 1.0)  # compiles, and builds the kit
        return timed(lambda: virtual_band.render_song(artist, 2, SECONDS))

    seconds, songs = zip(*map(render, ARTISTS))
    error = abs(sum(songs[-1].stems.values()) - songs[-1].mixture).max()
    peak = peak_mb(lambda: virtual_band.render_song(ARTISTS[0], 2, SECONDS))
    yield row("band_render", statistics.median(seconds), REAL_TIME, SECONDS, error, peak)


def controls(seconds):
    """Blocks of controls for so many seconds, made as they are asked for."""
    share = np.arange(60, 0, -1, dtype=np.float32) / np.arange(60, 0, -1).sum()
    for start in range(0, int(250 * seconds), BLOCK_FRAMES):
        t = np.arange(start, start + BLOCK_FRAMES) / 250
        f0 = (110 * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * t)))[None, :, None]
        level = (0.5 + 0.4 * np.sin(t / 3))[None, :, None].astype(np.float32)
        yield {"f0": f0, "amplitudes": level * share, "magnitudes": 0.1 * level * np.ones(65, np.float32)}


def by_blocks(seconds):
    """Synthesise and forget: the energy, so that every block is computed."""
    return sum(float(np.sum(np.square(block))) for block in stream(controls(seconds)))


def in_one_piece(seconds):
    """The same with all controls and samples in memory."""
    blocks = list(controls(seconds))
    f0, amplitudes, magnitudes = (
        np.concatenate([block[name] for block in blocks], axis=1, dtype=np.float32)
        for name in ("f0", "amplitudes", "magnitudes")
    )
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, (f0.shape[1] * ds.HOP_LENGTH, 1)).T.astype(np.float32)
    sound = np.asarray(ds.harmonic_oscillator(f0, amplitudes)) + np.asarray(ds.fir_filter(noise, magnitudes))
    return float(np.sum(np.square(sound), dtype=np.float64))


def measured(function, seconds):
    """How long one call took in s, what it returned, and what it took at its peak in MB."""
    results = []
    peak = peak_mb(lambda: results.append(timed(lambda: function(seconds))))
    return *results[0], peak


def long_synthesis():
    """60 harmonics and 65 bands of noise by blocks of 4 s, against one piece; the error is the energy's, relative."""
    by_blocks(8), in_one_piece(8)  # what is needed once does not count
    for minutes in (1, 10):
        ours_s, energy, peak = measured(by_blocks, 60 * minutes)
        peer_s, whole, peer_peak = measured(in_one_piece, 60 * minutes)
        name, error = f"harmonic_synthesis@{minutes}min", abs(energy - whole) / whole
        yield row(name, ours_s, "the same in one piece", peer_s, error, peak, peer_peak)


def write_song(path, minutes):
    """A song of that length, 16-bit stereo: one of the virtual band's over and over, each time at another level."""
    piece = virtual_band.render_song(3, 7, BLOCK / RATE).mixture.T  # (samples, channels)
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        for left in range(round(minutes * 60 * RATE), 0, -BLOCK):
            file.write(rng.uniform(0.3, 0.9) * piece[: min(left, BLOCK)])


def largest_error(song, stems):
    """Largest difference of the sum of the stems and the song, read 20 s at a time; infinite where lengths differ."""
    if any(soundfile.info(path).frames != soundfile.info(song).frames for path in stems):
        return np.inf
    blocks = zip(*(soundfile.blocks(path, BLOCK) for path in (song, *stems)))
    return max(float(np.abs(sum(parts) - mixture).max()) for mixture, *parts in blocks)


def separated(minutes, model="conv_tasnet"):
    """A record of `python separate.py` on a song of so many minutes.

    Time and memory are those of the whole process, from the command to the last file: Python, TensorFlow, loading and
    compiling the network included. `ratio` is how many times faster than real time; the stems must add up to the song.
    """
    with tempfile.TemporaryDirectory() as folder:
        song, out = Path(folder) / "song.wav", Path(folder) / "out"
        write_song(song, minutes)
        command = [sys.executable, str(ROOT / "separate.py"), str(song), "--model", model, "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        seconds, (_, status, usage) = timed(lambda: os.wait4(process.pid, 0))  # of this process, not of all before it
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
        error = largest_error(song, sorted((out / "song").glob("*.wav")))
    variant = ("" if model == "conv_tasnet" else f"@{model}") + ("" if minutes == MINUTES[0] else f"@{minutes:g}min")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return row("separate_song" + variant, seconds, REAL_TIME, 60 * minutes, error, peak)


def separate_song():
    """A record for each length, and one for each network of recorded music."""
    yield from map(separated, MINUTES)
    yield from (separated(MINUTES[0], model) for model in ("musdb@once", "musdb"))
