"""How two programs are timed side by side, and how much memory one of them takes."""

import ctypes
import statistics
import time
import tracemalloc
from pathlib import Path

import numpy as np

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def in_turn(ours, peer, *, repeats=7):
    """Time two functions one after the other, `repeats` times: ours, peer, ours, peer, …

    Whatever disturbs the machine then disturbs both. Each should have run once before, so that compiling and first
    allocations do not count.

    Returns
    -------
    ours_s, peer_s : float
        medians in seconds.
    """
    seconds = [(timed(ours)[0], timed(peer)[0]) for _ in range(repeats)]
    return tuple(statistics.median(column) for column in zip(*seconds))


def timed(function):
    """Call a function without arguments; returns the seconds that it took, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def peak_mb(function):
    """Memory in MB (10^6 bytes) that a call takes at its peak, over what was taken before it.

    On Linux the high-water mark of the resident memory, reset before the call, after giving free memory back (otherwise
    the call would find it there, and take nothing); elsewhere what Python's allocators report.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text("5")
    except (OSError, AttributeError, TypeError):
        tracemalloc.start()
        function()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6
    before = _status("VmRSS")
    function()
    return (_status("VmHWM") - before) / 1e6


def _status(key):
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key + ":"))
    return 1024 * int(line.split()[1])


def row(benchmark, ours_s, peer, peer_s, max_error, peak, peer_peak=0.0):
    """A record of results/benchmarks.json.

    Parameters
    ----------
    benchmark : str
        a variant is a suffix after "@".
    ours_s, peer_s : float
        seconds; of a peer that is real time, the sound's duration.
    peer : str
        what the peer is, as a reader would look it up.
    max_error : float
        largest difference of the two results.
    peak, peer_peak : float
        memory in MB, see `peak_mb`.

    Returns
    -------
    dict
        benchmark, ours_s, peer, peer_s, ratio (above 1: ours is faster), max_error, peak_mb, peer_peak_mb.
    """
    return {
        "benchmark": benchmark,
        "ours_s": ours_s,
        "peer": peer,
        "peer_s": peer_s,
        "ratio": peer_s / ours_s,
        "max_error": float(max_error),
        "peak_mb": peak,
        "peer_peak_mb": peer_peak,
    }


def largest_error(ours, theirs, least=1.0):
    """Largest difference of two sequences of arrays; of arrays whose largest value is above `least`, relative to it."""
    pairs = [(np.asarray(a), np.reshape(b, np.shape(a))) for a, b in zip(ours, theirs, strict=True)]
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), least)) for a, b in pairs)


def record(benchmark, ours, peer_name, peer, *, max_error=None, repeats=7, peer_peak=None):
    """Compare two functions that do the same: their results once, then their time `in_turn`; the `row` of both.

    Parameters
    ----------
    benchmark : str
    ours, peer : callable
        without arguments.
    peer_name : str
    max_error : float, optional
        largest difference of the two results; by default `largest_error` of what both return.
    repeats : int
    peer_peak : callable, optional
        gives the peer's peak memory in MB, if it computes in another process.
    """
    results = ours(), peer()
    max_error = largest_error(*results) if max_error is None else max_error
    del results
    ours_s, peer_s = in_turn(ours, peer, repeats=repeats)
    peaks = peak_mb(ours), peer_peak() if peer_peak else peak_mb(peer)
    return row(benchmark, ours_s, peer_name, peer_s, max_error, *peaks)
