"""Malformed and unusual input for separate.py, each file with its expected outcome."""

import contextlib
import io
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

import separate
from audio_processing.audio_processing import load
from audio_processing.chunks import usable

HAS_FFMPEG = shutil.which("ffmpeg") is not None
N = 11025
"""Length in samples of the ordinary files."""


@dataclass(frozen=True)
class Case:
    """One file and its outcome.

    Parameters
    ----------
    make : callable, Path (a folder) → Path (the file)
    message : str
        a part of the one line on standard error; "" for none at all.
    samples : int, optional
        length of every stem; -1 for as much as can be decoded; None if nothing may be written and the exit status is 2.
    channels, rate : int
        of every stem.
    """

    make: Callable
    message: str = ""
    samples: int | None = None
    channels: int = 2
    rate: int = 22050


# --- makers of files -------------------------------------------------------------------------------------------------


def noise(channels=2, samples=N, seed=0, peak=0.3):
    return np.clip(peak * np.random.default_rng(seed).standard_normal((samples, channels)), -0.99, 0.99)


def with_values(values):
    """Quiet noise with these values in its first samples."""
    audio = noise().astype(np.float32)
    audio[: len(values), 0] = values
    return audio


def sound(name, audio=None, rate=22050, change=None, called=None, **options):
    """A maker of a sound file with this content, whose bytes are changed, and which then gets another name."""

    def make(folder):
        path = folder / name
        soundfile.write(path, noise() if audio is None else audio, rate, **options)
        if change is not None:
            path.write_bytes(change(path.read_bytes()))
        return path.rename(folder / (called or name))

    return make


def made_by(name, function):
    """A maker of whatever a function makes of a path."""

    def make(folder):
        function(folder / name)
        return folder / name

    return make


def cut(share):
    """A change that keeps this share of a file's bytes, or, if it is an integer, so many."""
    return lambda content: content[: share if isinstance(share, int) else int(share * len(content))]


def circle_of_links(path):
    path.symlink_to("b.wav")
    path.with_name("b.wav").symlink_to(path)


def without_length(content):
    """FLAC as a program writes it that does not know its end: its header holds no length."""
    content = bytearray(content)
    content[8 + 13] &= 0xF0  # the last four bits of this byte and the next four bytes count the samples
    content[8 + 14 : 8 + 18] = bytes(4)
    return bytes(content)


def header(rate=22050, channels=2, data=b"\x10\x20" * 6000):
    """A maker of a wav file whose header claims this rate and number of channels."""
    claims = 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2 % 2**16, 16
    start = b"RIFF", 36 + len(data), b"WAVEfmt ", 16, *claims, b"data", len(data)
    content = struct.pack("<4sI8sIHHIIHH4sI", *start) + data
    return made_by("header.wav", lambda path: path.write_bytes(content))


def through_ffmpeg(name, *options, change=bytes, audio=None, rate=22050):
    """A maker of a sound file that ffmpeg writes, whose bytes are changed."""

    def convert(path):
        source = sound("source.wav", audio, rate)(path.parent)
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, *options, path], check=True, capture_output=True)
        path.write_bytes(change(path.read_bytes()))

    return made_by(name, convert)


# --- the files -------------------------------------------------------------------------------------------------------

SQUARE = np.where(np.arange(N) // 50 % 2, -1.0, 1.0)[:, None] * np.ones((1, 2))
SOFTER = noise(samples=8 * 22050) * np.where(np.arange(8 * 22050) < 22050, 1.0, 0.01)[:, None]
CASES = {
    "text": Case(
        made_by("letter.wav", lambda path: path.write_text("Dear Sir or Madam,\n" * 100)),
        "letter.wav: not a sound file",
    ),
    "picture": Case(
        made_by("picture.mp3", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)),
        "picture.mp3: not a sound file",
    ),
    "zero bytes": Case(made_by("nothing.wav", Path.touch), "the file is empty (0 bytes)"),
    "missing": Case(lambda folder: folder / "none.wav", "none.wav: no such file"),
    "folder": Case(
        made_by("album.wav", Path.mkdir), "album.wav: a folder without a sound file, stems of an earlier run aside"
    ),
    "pipe": Case(made_by("pipe.wav", os.mkfifo), "pipe.wav: not a regular file"),
    "loop of links": Case(made_by("a.wav", circle_of_links), "a.wav: "),
    "name too long": Case(lambda folder: folder / ("x" * 300 + ".wav"), "name too long"),
    **{
        f"header cut, {kind}": Case(sound(f"h.{kind}", change=cut(size)), f"h.{kind}: not a sound file")
        for kind, size in (("wav", 30), ("flac", 30), ("ogg", 30), ("mp3", 3))
    },
    "data cut, wav": Case(sound("d.wav", change=cut(0.6)), "expected 0.5 s as its header says, got 0.3 s", 6610),
    "data cut, flac": Case(sound("d.flac", noise(samples=88200), change=cut(0.6)), "truncated: expected 4.0 s", -1),
    "data cut, ogg": Case(sound("d.ogg", noise(samples=44100), change=cut(0.6)), "", -1),  # its pages claim nothing
    "data cut, mp3": Case(sound("d.mp3", change=cut(0.6)), "as its header says", -1),
    "zero samples": Case(sound("z.wav", np.zeros((0, 2))), "zero samples long"),
    "one sample": Case(sound("one.wav", noise(samples=1)), "", 1),
    "10 ms": Case(sound("short.wav", noise(samples=220)), "", 220),
    "all NaN": Case(sound("nan.wav", np.full((N, 2), np.nan), subtype="FLOAT"), "nan.wav: every sample is NaN"),
    "all infinite": Case(sound("inf.wav", np.full((N, 2), np.inf), subtype="FLOAT"), "inf.wav: every sample is NaN"),
    "some NaN and infinite": Case(
        sound("some.wav", with_values([np.nan, np.inf, -np.inf]), subtype="FLOAT"), "3 samples were NaN or infinite", N
    ),
    "some absurdly loud": Case(
        sound("loud.wav", with_values([3e38, -1e30]), subtype="FLOAT"), "2 samples were NaN or infinite", N
    ),
    "scaled like integers": Case(sound("scaled.wav", noise() * 2**31, subtype="FLOAT"), "", N),
    "all zeros": Case(sound("zeros.wav", np.zeros((N, 2))), "", N),
    "constant": Case(sound("dc.wav", np.full((N, 2), 0.5)), "", N),
    "square at full scale": Case(sound("square.wav", SQUARE, subtype="PCM_16"), "", N),
    "float above full scale": Case(sound("above.wav", 4 * noise(), subtype="FLOAT"), "", N),
    "denormal": Case(sound("denormal.wav", 1e-40 * noise(), subtype="FLOAT"), "", N),
    **{
        f"sample format {subtype}": Case(sound("format.wav", subtype=subtype), "", N)
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
    },
    **{
        f"channels: {channels}": Case(sound("channels.wav", noise(channels)), "", N, channels)
        for channels in range(1, 9)
    },
    **{
        f"rate: {rate}": Case(sound("rate.wav", noise(samples=rate // 20), rate), "", rate // 20, 2, rate)
        for rate in (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
    },
    "8 channels at 192 kHz": Case(sound("much.wav", noise(8, 9600), 192000), "", 9600, 8, 192000),
    "a header of 1 Hz": Case(header(rate=1), "expected a sample rate of 1000 to 768000 Hz, got 1"),
    "a header of 4 GHz": Case(header(rate=2**31 - 1), "768000 Hz, got 2147483647"),
    "a header of 1,000 channels": Case(header(channels=1000), "expected at most 64 channels, got 1000"),
    "flac called wav": Case(sound("f.flac", called="f.wav"), "", N),
    "ogg called mp3": Case(sound("o.ogg", called="o.mp3"), "", N),
    "mp3 called wav": Case(sound("m.mp3", called="m.wav"), "", N),
    "wav called txt": Case(sound("w.wav", called="w.txt"), "", N),
    "wav called raw": Case(sound("w.wav", called="w.raw"), "", N),
    "wav without an ending": Case(sound("x.wav", called="w"), "", N),
    "link": Case(made_by("link.wav", lambda path: path.symlink_to(sound("target.wav")(path.parent))), "", N),
    "Unicode name": Case(sound("Зво́ник – 音楽 🎵.wav"), "", N),
    "name of 255 bytes": Case(sound("ü" * 125 + "a.wav"), "", N),
    "name that is no UTF-8": Case(sound("a.wav", called=os.fsdecode(b"caf\xe9.wav")), "", N),
    "name with a line break": Case(sound("two\nlines.wav"), "", N),
    "name with an escape sequence": Case(sound("\x1b[31mred.wav", change=lambda _: b"no"), "\\x1b[31mred.wav: not"),
    "name that would lead out": Case(sound("a.wav", called="...wav"), "", N),
    "name that would be the folder": Case(sound("a.wav", called="..wav"), "", N),
    "name like an option": Case(sound("--model.wav"), "", N),
}
if HAS_FFMPEG:
    CASES |= {
        "length unknown": Case(sound("streamed.flac", change=without_length), "", N),
        "m4a": Case(through_ffmpeg("phone.m4a"), "", -1),
        "webm": Case(through_ffmpeg("talk.webm", "-ar", "48000"), "", -1, 2, 48000),
        "m4a cut": Case(through_ffmpeg("cut.m4a", change=cut(0.6)), "cut.m4a: not a sound file"),
        "mp3 without a length": Case(
            through_ffmpeg("vbr.mp3", "-q:a", "2", "-write_xing", "0", audio=SOFTER, rate=44100),
            "ffmpeg decoded",
            -1,
            2,
            44100,
        ),
        "two mp3s joined": Case(through_ffmpeg("two.mp3", change=lambda content: 2 * content), "ffmpeg decoded 1.", -1),
        "mp3 without its beginning": Case(
            through_ffmpeg("late.mp3", change=lambda content: content[700:], audio=SOFTER), "", -1
        ),
        **{
            f"{kind} file": Case(through_ffmpeg(f"song.{kind}", "-ar", "44100"), "", -1, 2, 44100)
            for kind in ("ac3", "wv", "tta", "flv", "avi", "ts")
        },
        "several sounds": Case(
            through_ffmpeg("two.mkv", "-map", "0", "-map", "0"), "holds 2 sounds, number 1 is read", -1
        ),
        "ogg of six channels": Case(through_ffmpeg("six.ogg", audio=noise(6)), "", N, 6),
    }


# --- their outcomes --------------------------------------------------------------------------------------------------


def run(path, out, model="hps"):
    """The command, in this process: its exit status, lines on standard output, lines on standard error."""
    printed, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(messages):
        status = separate.main(["--model", model, "--out", str(out), "--", str(path)])
    return status, printed.getvalue().splitlines(), messages.getvalue().splitlines()


def tree(folder):
    """Everything in a folder, as relative names; hidden things, too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def check(case, folder):
    """Offer one file to separate.py.

    Parameters
    ----------
    case : Case
    folder : Path
        an empty one.

    Returns
    -------
    float
        largest difference of the sum of all stems from the song, relative to the song's peak or full scale.

    Raises
    ------
    AssertionError
        if the outcome is another than the case's.
    """
    inside, out = folder / "in", folder / "out"
    inside.mkdir()
    path = case.make(inside)
    before = tree(inside)
    status, printed, messages = run(path, out)
    assert tree(inside) == before and set(os.listdir(folder)) <= {"in", "out"}, "files outside the output folder"
    assert len(messages) == (1 if case.message else 0) and case.message in "".join(messages), f"messages {messages}"
    if case.samples is None:
        assert status == 2 and not printed and tree(out) == [], f"status {status}, left {tree(out)}"
        return 0.0
    assert status == 0 and len(printed) == 3, f"status {status}, printed {printed}"
    stems = sorted(out.glob("*/*"))
    assert len(tree(out)) == 4, f"left {tree(out)}"
    assert [stem.name for stem in stems] == ["drums.wav", "residual.wav", "rest.wav"], f"left {tree(out)}"
    with contextlib.redirect_stderr(io.StringIO()):
        mixture, rate = load(path)
    mixture = np.where(usable(mixture), mixture, 0)
    shape = mixture.shape[1] if case.samples == -1 else case.samples, case.channels
    total = 0
    for stem in stems:
        audio, stem_rate = soundfile.read(os.fsencode(stem), always_2d=True)
        assert audio.shape == shape and stem_rate == rate == case.rate, f"{stem.name}: {audio.shape} at {stem_rate} Hz"
        assert np.isfinite(audio).all(), f"{stem.name} is not finite"
        total = total + audio.T
    error = float(np.abs(total - mixture).max() / max(np.abs(mixture).max(), 1))
    assert error < 1e-6, f"the stems add up to the song within {error:.1e} only"
    return error
