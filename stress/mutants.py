"""Sound files with damage in them, and what separate.py makes of each: no traceback, no hang, no file elsewhere."""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from stress import hostile

LONGEST = 30.0
"""Seconds that one file may take."""
STARTING = 120.0
"""Seconds more for the first file of a process, which imports what it needs."""
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
    maker = hostile.through_ffmpeg if kind == "m4a" else hostile.sound
    with tempfile.TemporaryDirectory() as folder:
        return [
            (ending, maker(f"a{ending}", audio=audio, rate=16000, **options)(Path(folder)).read_bytes())
            for ending, options in FORMATS[kind]
        ]


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
        at, size = int(rng.integers(end)), int(rng.integers(1, 65))
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


def outcome(name, content):
    """Separate one file by the command's own function and compare what it leaves with what it promises.

    Returns
    -------
    str
        what is wrong; "" if nothing is.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / name, Path(folder) / "out"
        path.write_bytes(content)
        try:
            status, printed, messages = hostile.run(path, out)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if others := [other for other in path.parent.iterdir() if other not in (path, out)]:
            return f"files outside the output folder: {others}"
        stems = sorted(path for path in out.rglob("*") if path.is_file())
        if status == 2:
            return "" if len(messages) == 1 and not hostile.tree(out) else f"messages {messages}, files left: {stems}"
        if status != 0 or len(messages) > 2 or stems != sorted(map(Path, printed)):
            return f"status {status}, messages {messages}, printed {printed}, wrote {stems}"
        sounds = [soundfile.read(path)[0] for path in stems]
        if len({sound.shape for sound in sounds}) > 1 or not all(np.isfinite(sound).all() for sound in sounds):
            return "stems differ in length or are not finite"
        return ""


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
    context, pool = multiprocessing.get_context("spawn"), None
    failures, slowest = {}, 0.0
    for name, content in mutants(kind, count, seed):
        extra = 0.0 if pool else STARTING
        pool = pool or context.Pool(1)
        start = time.monotonic()
        try:
            failures[name] = pool.apply_async(outcome, (name, content)).get(longest + extra)
        except multiprocessing.TimeoutError:  # a process that dies gives no answer, either
            failures[name] = f"no answer in {longest:.0f} s"
            pool.terminate()
            pool = None
        slowest = max(slowest, 0.0 if extra else time.monotonic() - start)
    if pool:
        pool.terminate()
    failures = {name: error for name, error in failures.items() if error}
    return {"tried": count, "passed": count - len(failures), "worst": slowest, "failures": failures}


def kinds():
    """The kinds of files that can be made here: m4a needs ffmpeg."""
    return [kind for kind in FORMATS if kind != "m4a" or hostile.HAS_FFMPEG]
