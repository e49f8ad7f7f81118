"""What a command owes its terminal, in processes of their own: descriptors, signals, the last words of Python."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from common import terminal
from common.terminal import LONGEST, ended, printable
from tests.helpers import ROOT, hearing_ctrl_c, one_line

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
COMMAND = "import sys; from common.terminal import ended; sys.exit(ended('it', lambda: {}))"
PRINTS = "[print('x' * 99) for _ in range(2000)] and None"


def shell(does, redirected, *flags):
    """Run a command whose function is this expression: (exit status, standard output, standard error)."""
    line = f'"$0" {" ".join(flags)} -c "$1" {redirected}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, COMMAND.format(does)], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def _buffering(request, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("song: no such file"), "it: song: no such file"),
        (MemoryError(), "it: MemoryError"),
        (ImportError("bell\a and\nline"), "it: bell\\x07 and\\nline"),
        (OSError(errno.ENOSPC, "No space left on device"), "it: No space left on device"),
        (ValueError("first\n" + "x" * LONGEST), "it: first"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_2(error, line, capsys):
    assert ended("it", raising(error)) == 2
    assert one_line(capsys) == line + "\n"


def test_ctrl_c_is_one_line_and_130_and_other_statuses_are_kept(capsys):
    assert ended("it", raising(KeyboardInterrupt), "interrupted, nothing was written") == 130
    assert one_line(capsys) == "it: interrupted, nothing was written\n"
    assert (ended("it", lambda: None), ended("it", lambda: 1)) == (0, 1)
    with pytest.raises(ZeroDivisionError):  # a mistake of ours: its traceback helps
        ended("it", lambda: 1 / 0)


def test_nothing_in_a_message_moves_the_cursor():
    assert printable("a\x1b[2J\r\n\u2028\udcff é") == "a\\x1b[2J\\r\\n\\u2028\\udcff é"


@posix
@pytest.mark.usefixtures("_buffering")
@pytest.mark.parametrize("flags", [(), ("-OO",)], ids=str)
@pytest.mark.parametrize("does", ["print('x')", PRINTS], ids=["a line", "many lines"])
def test_a_reader_that_is_gone_is_no_error(does, flags):
    assert shell(does, '| true; exit "${PIPESTATUS[0]}"', *flags)[::2] in [(141, ""), (0, "")]
    assert shell(PRINTS, '| head -1; exit "${PIPESTATUS[0]}"') == (141, "x" * 99 + "\n", "")


@posix
@pytest.mark.usefixtures("_buffering")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line():
    for does in ("print('x')", PRINTS):
        assert shell(does, "> /dev/full") == (2, "", "it: No space left on device\n")
    assert shell("print('x')", "2> /dev/full") == (0, "x\n", "")
    assert shell("1 + int('x')", "2> /dev/full") == (2, "", "")


@posix
def test_no_file_gets_the_descriptor_of_a_stream_that_is_closed(tmp_path):
    file = tmp_path / "stems.wav"
    does = f"[open('{file}', 'wb'), __import__('os').write(2, b'library'), print('x', file=sys.stderr), int('x')]"
    assert shell(does, "2>&-") == (2, "", "")
    assert file.read_bytes() == b""
    assert shell("print('x')", "<&- >&- 2>&-") == (0, "", "")


def test_silence_takes_what_libraries_write_and_ends_with_the_last_of_several(capfd):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with terminal.silenced():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=other)
    with terminal.silenced():
        thread.start()
        inside.wait(5)
    os.write(2, b"still silent\n")
    leave.set()
    thread.join()
    os.write(2, b"shown\n")
    with pytest.raises(ValueError, match="real"), terminal.silenced():
        raise ValueError("real")
    assert capfd.readouterr().err == "shown\n"


COMMANDS = [
    "-m experiments --jobs 1 --out /dev/null/none",
    "-m tools.prose --report",
    "-m stress.reliability --dry-run",
    "separate.py nothing.wav",
]


@posix
@pytest.mark.slow
@pytest.mark.parametrize("after", [0.05, 0.5])
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_in_a_command_is_at_most_one_line(command, after):
    """So many seconds after `common.terminal` was imported. Modules still are, the first time: Python then dies of the
    signal, which a shell calls 130."""
    words = [sys.executable, "-X", "importtime", *command.split()]
    quiet = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(words, cwd=ROOT, preexec_fn=hearing_ctrl_c, **quiet)
    next(line for line in process.stderr if line.endswith(" common.terminal\n"))
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    said = [line for line in process.communicate(timeout=60)[1].splitlines() if not line.startswith("import time:")]
    assert process.returncode in (0, 2, 130, -signal.SIGINT) and len(said) <= 1, said
