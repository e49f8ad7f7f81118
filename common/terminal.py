"""What a command owes its terminal: an exit status, one line for what went wrong, and no line that nobody needs."""

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from unicodedata import category

from common.places import ROOT

REFUSED, INTERRUPTED, UNREAD = 2, 130, 141
"""Exit statuses: an argument, a file or the machine is no good; Ctrl-C; nobody reads standard output any more."""
LONGEST = 500
"""Characters of a message that are shown whole; of a longer one the first line."""
STREAMS = ("stdin", "r"), ("stdout", "w"), ("stderr", "w")

_running = _silent = 0  # commands, and blocks that want silence
_kept = None  # descriptor of standard error while it is silenced
_lock = threading.Lock()


def printable(message):
    """A message as one line that leaves a terminal as it is: line breaks, control characters and bytes that are no
    UTF-8 are escaped."""
    escaped = ("Cc", "Cs", "Zl", "Zp")
    return "".join(c if category(c) not in escaped else c.encode("unicode_escape").decode() for c in str(message))


def say(message):
    """Print one line on standard output."""
    try:
        print(printable(message), flush=True)
    except UnicodeEncodeError:  # a terminal that knows ASCII alone
        print(printable(message).encode("ascii", "backslashreplace").decode(), flush=True)


def note(message):
    """Print one line on standard error, if there is one that takes it."""
    if sys.stderr is not None:
        try:
            print(printable(message), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            _abandon(sys.stderr)


def ended(program, function, interrupted="interrupted", at_once=None):
    """Run what a command does, and turn what it raises into one line on standard error.

    Parameters
    ----------
    program : str
        name of the command, with which the line begins.
    function : callable
        () → exit status, or None for 0.
    interrupted : str
        what the line says after Ctrl-C.
    at_once : callable, optional
        () → None, which cleans up: Ctrl-C, SIGTERM and SIGHUP then end the process there and then. Otherwise Ctrl-C is
        a KeyboardInterrupt, which some libraries swallow.

    Returns
    -------
    int
        exit status: that of `function`, or `REFUSED`, `INTERRUPTED`, `UNREAD`. A reader that wants no more lines, as in
        `COMMAND | head -1`, is no error: nothing is said.
    """
    global _running
    _open_streams()
    imported()
    _running += 1
    before = _leaving(program, interrupted, at_once) if at_once else {}
    try:
        status = function() or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where it can be told: at its end Python could only complain
        return status
    except KeyboardInterrupt:
        note(f"{program}: {interrupted}")
        return INTERRUPTED
    except (ValueError, OSError, ImportError, MemoryError) as error:
        if isinstance(error, BrokenPipeError) and (_is_unread(sys.stdout) or _is_unread(sys.stderr)):
            return UNREAD
        note(f"{program}: {reason(error)}")
        return REFUSED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _running -= 1
        if not _flushed(sys.stdout):
            _abandon(sys.stdout)


def _leaving(program, interrupted, clean_up):
    """Let signals end this process at once; returns the handlers that they had."""

    def leave(number, _):
        with suppress(OSError):
            os.write(2, f"{program}: {interrupted}\n".encode())
        clean_up()
        os._exit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {n: signal.signal(n, leave) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}


def reason(error):
    """The message of an error; of a long one its first line, of an empty one the name of its class."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "\n".join(lines) if len(str(error)) <= LONGEST else lines[0]


def is_importing():
    """Whether Python still imports the modules of one of the course's commands: no command catches an error then."""
    main = sys.modules["__main__"]
    module, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if module is not None:
        ours = (ROOT / module.name.partition(".")[0]).is_dir()
    else:
        ours = sys.argv[:1] == ["-m"] or (file is not None and Path(file).resolve().parent == ROOT)
    return ours and not _running


def interrupt_quietly():
    """Let Ctrl-C say one line, too, while the modules of a command are imported.

    It ends the process there: an exception would be lost in an import that somebody catches.
    """
    if is_importing():
        sys.excepthook = _uncaught
        with suppress(ValueError):  # not in the main thread
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, _leave)


def imported():
    """Let Ctrl-C raise KeyboardInterrupt again: a command has begun."""
    with suppress(ValueError):
        if signal.getsignal(signal.SIGINT) is _leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*_):
    note("interrupted")
    os._exit(INTERRUPTED)


def _uncaught(kind, error, traceback):
    if issubclass(kind, KeyboardInterrupt):
        note("interrupted")
    else:
        sys.__excepthook__(kind, error, traceback)


@contextmanager
def silenced(file=None):
    """Keep off standard error what libraries write to its descriptor.

    Several threads may be inside: the first to enter redirects the descriptor, the last to leave restores it.

    Parameters
    ----------
    file : file object, optional
        where it goes instead; nowhere by default.
    """
    global _silent, _kept
    with _lock:
        _silent += 1
        if _silent == 1:
            with suppress(OSError):  # there may be no standard error
                _kept = os.dup(2)
                with open(os.devnull, "wb") as nowhere:
                    os.dup2((file or nowhere).fileno(), 2)
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if _silent == 0 and _kept is not None:
                os.dup2(_kept, 2)
                os.close(_kept)
                _kept = None


def _open_streams():
    """Give each standard stream that is closed the null device: else the next file that is opened gets its number, and
    the messages of libraries with it."""
    for number, (name, mode) in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _is_unread(stream):
    """Whether a stream is a pipe at whose other end nobody reads."""
    with suppress(AttributeError, OSError, ValueError):  # a system without poll, a stream without descriptor
        pipes = select.poll()
        pipes.register(stream.fileno(), 0)
        return bool(pipes.poll(0))
    return False


def _flushed(stream):
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _abandon(stream):
    """Let a stream that takes nothing any more end nowhere, so that Python does not complain when it exits."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
        stream.flush()
