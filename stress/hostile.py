"""Files that a stranger might offer to separate.py, and what has to come of each."""

import contextlib
import io
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

import separate
from audio_processing.audio_processing import load

HAS_FFMPEG = shutil.which("ffmpeg") is not None


@dataclass(frozen=True)
class Case:
    """One file and its outcome.

    Parameters
    ----------
    make : callable, Path (a folder) → Path (the file)
    says : str
        a part of the one line on standard error; "" for none at all.
    samples : int, optional
        length of every stem; -1 for as much as can be decoded; None where nothing may be written and the exit status
        is 2.
    channels, rate : int
        of every stem.
    """

    make: callable
    says: str = ""
    samples: int | None = None
    channels: int = 2
    rate: int = 22050


def noise(channels=2, samples=11025, seed=0, peak=0.3):
    return np.clip(peak * np.random.default_rng(seed).standard_normal((samples, channels)), -0.99, 0.99)


def sound(name, audio=None, rate=22050, **options):
    """A maker of a sound file with this content."""

    def make(folder):
        path = folder / name
        soundfile.write(path, noise() if audio is None else audio, rate, **options)
        return path

    return make


def bytes_of(name, change, audio=None, rate=22050, **options):
    """A maker of a file whose bytes are `change` of those of a sound file."""

    def make(folder):
        path = sound(name, audio, rate, **options)(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def cut(share):
    return lambda content: content[: int(share * len(content))]


def with_values(values):
    """Quiet noise with these values in its first samples."""
    audio = noise().astype(np.float32)
    audio[: len(values), 0] = values
    return audio


def text(folder):
    (folder / "letter.wav").write_text("Dear Sir or Madam,\n" * 100)
    return folder / "letter.wav"


def picture(folder):
    path = folder / "picture.mp3"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    return path


def nothing(folder):
    (folder / "nothing.wav").touch()
    return folder / "nothing.wav"


def sub_folder(folder):
    (folder / "album.wav").mkdir()
    return folder / "album.wav"


def pipe(folder):
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def loop_of_links(folder):
    (folder / "a.wav").symlink_to(folder / "b.wav")
    (folder / "b.wav").symlink_to(folder / "a.wav")
    return folder / "a.wav"


def link(folder):
    (folder / "link.wav").symlink_to(sound("target.wav")(folder))
    return folder / "link.wav"


def renamed(name, original, **options):
    """A sound file under another ending than its own."""

    def make(folder):
        return sound(original, **options)(folder).rename(folder / name)

    return make


def name_of_bytes(folder):
    """A name that is no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav"))
    return sound("a.wav")(folder).rename(path)


def through_ffmpeg(name, *options):
    def make(folder):
        source = sound("source.wav")(folder)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", source, *options, folder / name], check=True, capture_output=True
        )
        return folder / name

    return make


def streamed(folder):
    """FLAC as a program writes it that does not know its end: its header holds no length."""
    path = sound("streamed.flac")(folder)
    content = bytearray(path.read_bytes())
    content[8 + 13] &= 0xF0  # the last four bits of this byte and the next four bytes count the samples
    content[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(content)
    return path


def headed(rate=22050, channels=2, data=b"\x10\x20" * 6000):
    """A wav file whose header claims this rate and number of channels."""

    def make(folder):
        fields = b"".join(
            value.to_bytes(size, "little")
            for value, size in [
                (1, 2),
                (channels, 2),
                (rate, 4),
                (min(rate * channels * 2, 2**32 - 1), 4),
                (channels * 2 % 2**16, 2),
                (16, 2),
            ]
        )
        size = (36 + len(data)).to_bytes(4, "little")
        chunk = b"data" + len(data).to_bytes(4, "little") + data
        (folder / "header.wav").write_bytes(b"RIFF" + size + b"WAVEfmt \x10\0\0\0" + fields + chunk)
        return folder / "header.wav"

    return make


def square(samples=11025):
    return np.where(np.arange(samples) // 50 % 2, -1.0, 1.0)[:, None] * np.ones((1, 2))


N = 11025
CASES = {
    "text": Case(text, "letter.wav: not a sound file"),
    "picture": Case(picture, "picture.mp3: not a sound file"),
    "zero bytes": Case(nothing, "the file is empty (0 bytes)"),
    "missing": Case(lambda folder: folder / "none.wav", "none.wav: no such file"),
    "folder": Case(sub_folder, "album.wav: a folder, not a sound file"),
    "pipe": Case(pipe, "pipe.wav: not a regular file"),
    "loop of links": Case(loop_of_links, "a.wav: "),
    "name too long": Case(lambda folder: folder / ("x" * 300 + ".wav"), "name too long"),
    "header cut, wav": Case(bytes_of("h.wav", lambda content: content[:30]), "h.wav: not a sound file"),
    "header cut, flac": Case(bytes_of("h.flac", lambda content: content[:30]), "h.flac: not a sound file"),
    "header cut, ogg": Case(bytes_of("h.ogg", lambda content: content[:30]), "h.ogg: not a sound file"),
    "header cut, mp3": Case(bytes_of("h.mp3", lambda content: content[:3]), "h.mp3: not a sound file"),
    "data cut, wav": Case(bytes_of("d.wav", cut(0.6)), "ends after 0.3 s of the 0.5 s that it announces", 6610),
    "data cut, flac": Case(bytes_of("d.flac", cut(0.6)), "d.flac: the sound is damaged after 0.0 s"),
    "data cut, ogg": Case(bytes_of("d.ogg", cut(0.6), noise(samples=44100)), "", -1),  # its pages announce nothing
    "data cut, mp3": Case(bytes_of("d.mp3", cut(0.6)), "that it announces", -1),
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
    "square at full scale": Case(sound("square.wav", square(), subtype="PCM_16"), "", N),
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
    "a header of 1 Hz": Case(headed(rate=1), "a sample rate of 1 Hz"),
    "a header of 4 GHz": Case(headed(rate=2**31 - 1), "a sample rate of 2147483647 Hz"),
    "a header of 1,000 channels": Case(headed(channels=1000), "1000 channels, at most 64"),
    "flac called wav": Case(renamed("f.wav", "f.flac"), "", N),
    "ogg called mp3": Case(renamed("o.mp3", "o.ogg"), "", N),
    "mp3 called wav": Case(renamed("m.wav", "m.mp3"), "", N),
    "wav called txt": Case(renamed("w.txt", "w.wav"), "", N),
    "wav called raw": Case(renamed("w.raw", "w.wav"), "", N),
    "wav without an ending": Case(renamed("w", "x.wav"), "", N),
    "link": Case(link, "", N),
    "Unicode name": Case(sound("Зво́ник – 音楽 🎵.wav"), "", N),
    "name of 255 bytes": Case(sound("ü" * 125 + "a.wav"), "", N),
    "name that is no UTF-8": Case(name_of_bytes, "", N),
    "name with a line break": Case(sound("two\nlines.wav"), "", N),
    "name with an escape sequence": Case(bytes_of("\x1b[31mred.wav", lambda _: b"no sound"), "\\x1b[31mred.wav: not"),
    "name that would lead out": Case(renamed("...wav", "a.wav"), "", N),
    "name that would be the folder": Case(renamed("..wav", "a.wav"), "", N),
    "name like an option": Case(sound("--model.wav"), "", N),
}
if HAS_FFMPEG:
    CASES["length unknown"] = Case(streamed, "", N)
    CASES["m4a"] = Case(through_ffmpeg("phone.m4a"), "", -1)
    CASES["webm"] = Case(through_ffmpeg("talk.webm", "-ar", "48000"), "", -1, 2, 48000)
    CASES["m4a cut"] = Case(
        lambda folder: _cut_in_place(through_ffmpeg("cut.m4a")(folder)), "cut.m4a: not a sound file that ffmpeg"
    )


def _cut_in_place(path):
    path.write_bytes(cut(0.6)(path.read_bytes()))
    return path


def run(path, out, model="hps"):
    """The command, in this process: its exit status, lines on standard output, lines on standard error."""
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = separate.main(["--model", model, "--out", str(out), "--", str(path)])
    return status, printed.getvalue().splitlines(), said.getvalue().splitlines()


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
        where the outcome is another than the case's.
    """
    inside, out = folder / "in", folder / "out"
    inside.mkdir()
    path = case.make(inside)
    before = tree(inside)
    status, printed, said = run(path, out)
    assert tree(inside) == before and set(os.listdir(folder)) <= {"in", "out"}, "files outside the output folder"
    assert len(said) == (1 if case.says else 0) and case.says in "".join(said), f"said {said}"
    if case.samples is None:
        assert status == 2 and not printed and tree(out) == [], f"status {status}, left {tree(out)}"
        return 0.0
    assert status == 0 and len(printed) == 3, f"status {status}, printed {printed}"
    folders = list(out.iterdir())
    assert len(folders) == 1, f"left {folders}"
    assert sorted(os.listdir(folders[0])) == ["drums.wav", "residual.wav", "rest.wav"], f"left {tree(out)}"
    mixture, rate = load(path)
    mixture = np.where(np.abs(mixture) <= separate.LOUDEST, mixture, 0)  # what is not finite or absurd is silence
    samples = mixture.shape[1] if case.samples == -1 else case.samples
    total = 0
    for stem in folders[0].iterdir():
        audio, stem_rate = soundfile.read(os.fsencode(stem), always_2d=True)
        assert audio.shape == (samples, case.channels) and stem_rate == rate == case.rate, f"{stem.name}: {audio.shape}"
        assert np.isfinite(audio).all(), f"{stem.name} is not finite"
        total = total + audio.T
    error = float(np.abs(total - mixture).max() / max(np.abs(mixture).max(), 1))
    assert error < 1e-6, f"the stems add up to the song within {error:.1e} only"
    return error
