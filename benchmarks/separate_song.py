"""`python separate.py` on whole songs of 44.1 kHz stereo, as a user meets it: from the command to the last file.

Time and memory are those of the whole process, Python, TensorFlow, loading and compiling the network included. The song
is one of the virtual band's, over and over, each time at another level. Its stems have to add up to it. `ratio` is how
many times faster than real time; the longest song is there for its memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

import virtual_band
from common.results import ROOT

MINUTES = (4, 2, 10, 60)
RATE = 44100
BLOCK = 20 * RATE


def write_song(path, minutes):
    """A song of that length, 16-bit stereo, written 20 s at a time."""
    piece = virtual_band.render_song(3, 7, BLOCK / RATE).mixture.T  # (samples, channels)
    rng = np.random.default_rng(0)
    left = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            file.write(rng.uniform(0.3, 0.9) * piece[: min(left, BLOCK)])
            left -= BLOCK


def largest_error(song, stems):
    """Largest difference of the sum of the stems and the song, read 20 s at a time; infinite where lengths differ."""
    error = 0.0
    with soundfile.SoundFile(song) as file:
        parts = [soundfile.SoundFile(path) for path in stems]
        while len(block := file.read(BLOCK)):
            together = [part.read(BLOCK) for part in parts]
            if any(len(stem) != len(block) for stem in together):
                return np.inf
            error = max(error, np.abs(sum(together) - block).max())
        ends = [part.read(1) for part in parts]
        for part in parts:
            part.close()
    return np.inf if any(len(end) for end in ends) else float(error)


def measure(minutes, model="conv_tasnet"):
    """A record: seconds and peak memory of the command on a song of so many minutes."""
    name = f"separate_song@{model}" if model != "conv_tasnet" else "separate_song"
    with tempfile.TemporaryDirectory() as folder:
        song, out = Path(folder) / "song.wav", Path(folder) / "out"
        write_song(song, minutes)
        command = [sys.executable, str(ROOT / "separate.py"), str(song), "--model", model, "--out", str(out)]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with process.stderr:
            message = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)  # what this one process took, not all before it
        taken = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}: {message.strip()[-300:]}")
        error = largest_error(song, sorted((out / "song").glob("*.wav")))
    return {
        "benchmark": name if minutes == MINUTES[0] else f"{name}@{minutes:g}min",
        "ours_s": taken,
        "peer": "the song's duration (real time)",
        "peer_s": 60 * minutes,
        "ratio": 60 * minutes / taken,
        "max_error": error,
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        "peer_peak_mb": 0.0,
    }


def run():
    """A record per length, and of the networks of recorded music one each."""
    return [measure(minutes) for minutes in MINUTES] + [measure(MINUTES[0], model) for model in ("musdb@once", "musdb")]
