"""Sound files with damage in them, and what separate.py makes of each: no traceback, no hang, no file elsewhere."""

import contextlib
import io
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

LONGEST = 30.0
"""Seconds that one file may take."""
FORMATS = {
    # kind: (ending, options of soundfile.write) of the files that are damaged
    "wav": [(".wav", {"subtype": subtype}) for subtype in ("PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM")],
    "flac": [(".flac", {})],
    "ogg": [(".ogg", {"subtype": "VORBIS"}), (".ogg", {"subtype": "OPUS"})],
    "mp3": [(".mp3", {})],
    "m4a": [(".m4a", {})],
}
FIELDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x01\0\0\0", b"\0\0\0\x01", b"\0\0\x80\x7f", b"data")
"""What a damaged number in a header may become: none, the largest, one, infinity, another chunk's name."""


def originals(kind):
    """The bytes of a few intact files of one kind: list of (ending, bytes)."""
    audio = 0.3 * np.random.default_rng(5).standard_normal((4000, 2)).clip(-3, 3)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for ending, options in FORMATS[kind]:
            path = Path(folder) / f"a{ending}"
            if ending == ".m4a":
                soundfile.write(Path(folder) / "a.wav", audio, 16000)
                command = ["ffmpeg", "-v", "error", "-y", "-i", Path(folder) / "a.wav", path]
                subprocess.run(command, check=True, capture_output=True)
            else:
                soundfile.write(path, audio, 16000, **options)
            found.append((ending, path.read_bytes()))
    return found


def mutate(content, rng):
    """Damage a file in one to eight places, half of them among its first 200 bytes, where headers are.

    Parameters
    ----------
    content : bytes
    rng : numpy.random.Generator

    Returns
    -------
    bytes
    """
    content = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if not content:
            break
        end = min(len(content), 200) if rng.random() < 0.5 else len(content)
        at = int(rng.integers(end))
        size = int(rng.integers(1, 65))
        match rng.integers(7):
            case 0:
                content[at] ^= 1 << int(rng.integers(8))
            case 1:
                content[at : at + size] = rng.bytes(len(content[at : at + size]))
            case 2:
                content[at : at + 4] = FIELDS[rng.integers(len(FIELDS))]
            case 3:
                del content[at : at + size]
            case 4:
                content[at:at] = content[at : at + size]
            case 5:
                content[at : at + size] = bytes(len(content[at : at + size]))
            case 6 if rng.random() < 0.3:
                del content[at:]
    return bytes(content)


def mutants(kind, count, seed=0):
    """Yield `count` names and contents of damaged files of one kind, the same ones for the same seed."""
    whole = originals(kind)
    for i in range(count):
        ending, content = whole[i % len(whole)]
        yield f"{kind} {i}{ending}", mutate(content, np.random.default_rng([seed, list(FORMATS).index(kind), i]))


def outcome(name, content, model="hps"):
    """Separate one file by the command's own function and compare what it leaves with what it promises.

    Returns
    -------
    str
        what is wrong; "" where nothing is.
    """
    import separate

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / name).write_bytes(content)
        out, printed, said = folder / "out", io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
                status = separate.main([str(folder / name), "--model", model, "--out", str(out)])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        left = sorted(path.name for path in folder.iterdir() if path != out)
        lines = said.getvalue().splitlines()
        stems = sorted(out.rglob("*")) if out.exists() else []
        if left != [name]:
            return f"files outside the output folder: {left}"
        if status == 2:
            return "" if len(lines) == 1 and not stems else f"{len(lines)} lines, files left: {stems}"
        if status != 0 or len(lines) > 2:
            return f"status {status}, lines {lines}"
        expected = [Path(line) for line in printed.getvalue().splitlines()]
        if [path for path in stems if path.is_file()] != sorted(expected):
            return f"printed {expected}, wrote {stems}"
        sounds = [soundfile.read(path)[0] for path in expected]
        if len({sound.shape for sound in sounds}) > 1 or not all(np.isfinite(sound).all() for sound in sounds):
            return "stems differ in length or are not finite"
        return ""


def _work(connection):
    while (task := connection.recv()) is not None:
        connection.send(outcome(*task))


def run(kind, count, seed=0, longest=LONGEST):
    """Offer damaged files of one kind to separate.py, in a process of its own that may crash or hang.

    Parameters
    ----------
    kind : str
        a key of `FORMATS`.
    count, seed : int
    longest : float
        seconds that one may take.

    Returns
    -------
    dict
        "tried", "passed", "worst" (seconds of the slowest) and "failures" (name → what is wrong).
    """
    context = multiprocessing.get_context("spawn")
    worker = connection = None
    failures, slowest = {}, 0.0
    for name, content in mutants(kind, count, seed):
        first = worker is None
        if first:
            connection, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs,), daemon=True)
            worker.start()
            theirs.close()
        begun = time.monotonic()
        connection.send((name, content))
        wrong = None
        if connection.poll(longest + 120 * first):  # it imports what it needs first
            with contextlib.suppress(EOFError):
                wrong = connection.recv()
            wrong = "the process died" if wrong is None else wrong
        else:
            wrong = f"no answer in {longest:.0f} s"
        if not first:
            slowest = max(slowest, time.monotonic() - begun)
        if wrong:
            failures[name] = wrong
        if wrong and ("died" in wrong or "no answer" in wrong):
            worker.kill()
            worker.join()
            worker = None
    if worker is not None:
        connection.send(None)
        worker.join(10)
    return {"tried": count, "passed": count - len(failures), "worst": slowest, "failures": failures}


def kinds():
    """The kinds of files that can be made here: m4a needs ffmpeg."""
    return [kind for kind in FORMATS if kind != "m4a" or shutil.which("ffmpeg")]
