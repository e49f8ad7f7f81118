"""Sound files of every kind that ffmpeg writes here, and what `open_audio` reads of them, against ffmpeg's decoding."""

import subprocess

import numpy as np
import soundfile

from audio_processing.audio_processing import load
from separate import separate_file

LOSSY_LIMIT = 1e-4
"""Largest difference of a sample from ffmpeg's, of full scale, where the format has losses; without losses it is 0."""
LOSSLESS = "wav flac aiff au caf w64 wv tta oga alac.m4a flac.mka thd 24.wav float.wav 5.1.flac".split()
_LAVC = {  # ending → ffmpeg's options
    **dict.fromkeys("wav flac aiff au caf w64 wv tta ogg mp3 m4a mp4 opus aac ac3 eac3 mp2 wma webm".split(), ()),
    **dict.fromkeys("mkv mka mov avi flv ts mpg nut rm voc".split(), ()),
    "dts": ("-strict", "-2"),
    "thd": ("-c:a", "truehd", "-strict", "-2"),
    "oga": ("-c:a", "flac"),
    "spx": ("-ar", "16000", "-ac", "1"),
    "alac.m4a": ("-c:a", "alac"),
    "flac.mka": ("-c:a", "flac"),
    "adpcm.wav": ("-c:a", "adpcm_ima_wav"),
    "mp3.wav": ("-c:a", "mp3"),
    "24.wav": ("-c:a", "pcm_s24le"),
    "float.wav": ("-c:a", "pcm_f32le"),
    "vbr.mp3": ("-q:a", "2", "-write_xing", "0"),
    "cbr.mp3": ("-b:a", "128k", "-write_xing", "0"),
    "low.mp3": ("-ar", "22050", "-b:a", "48k"),
    "mono.mp3": ("-ac", "1"),
}  # fmt: skip
SURROUND = {
    "5.1.ogg": (6, "-c:a", "libvorbis"), "5.1.opus": (6, "-c:a", "libopus", "-mapping_family", "1"), "5.1.flac": (6,),
    "7.1.opus": (8, "-af", "channelmap=channel_layout=7.1", "-c:a", "libopus", "-mapping_family", "1"),
    "5.0.ogg": (5, "-af", "channelmap=channel_layout=5.0", "-c:a", "libvorbis"), "5.1.ac3": (6,), "5.1.m4a": (6,),
}  # fmt: skip
KINDS = {**{ending: (2, *options) for ending, options in _LAVC.items()}, **SURROUND}
"""Kinds of files: ending → number of channels, options of ffmpeg."""


def song(channels, seconds=3, rate=44100):
    """Chords that fade from loud to soft, another in each channel: (samples, channels), 16 bits."""
    rng, t = np.random.default_rng(channels), np.arange(seconds * rate) / rate
    tones = [np.sin(2 * np.pi * (200 + 77 * c) * t) * (1 + np.sin(7 * t + c)) for c in range(channels)]
    loud = np.where(t < seconds / 3, 1.0, 0.01)
    audio = (0.1 * np.stack(tones) + 0.05 * rng.standard_normal((channels, len(t)))) * loud
    return np.round(audio.T * 2**15).astype(np.int16)


def write(folder, ending):
    """Write a file of this kind; returns its path."""
    channels, *options = KINDS[ending]
    source, path = folder / "source.wav", folder / f"song.{ending}"
    soundfile.write(source, song(channels), 44100, format="WAVEX" if channels > 2 else "WAV")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *options, path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def decoded(path, channels):
    """A file as ffmpeg decodes it: float32, (channels, samples).

    Opus by libopus, the reference: where a loud sound ends, ffmpeg's own decoder differs from it by 6e-3.
    """
    decoder = ["-c:a", "libopus"] if path.suffix == ".opus" else []
    command = ["ffmpeg", "-v", "error", "-nostdin", *decoder, "-i", path, "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.float32).reshape(-1, channels).T


def difference(path):
    """Largest difference of what `load` reads from what ffmpeg decodes; infinite if they differ in length."""
    ours, _ = load(path)
    theirs = decoded(path, len(ours))
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def sum_error(path, model):
    """Largest difference of the sum of the files that `separate_file` writes from the song."""
    stems = [load(stem)[0] for stem in separate_file(path, model, path.parent / "out", progress=False)]
    return float(np.abs(sum(stems) - load(path)[0]).max())


def limit(ending):
    """Largest difference that is allowed."""
    return 0.0 if ending in LOSSLESS else LOSSY_LIMIT
