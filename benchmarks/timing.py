"""How two programs are timed side by side, and how much memory one of them takes."""

import ctypes
import statistics
import time
import tracemalloc
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def in_turn(ours, peer, *, repeats=7):
    """Time two functions one after the other, `repeats` times: ours, peer, ours, peer, …

    Both run once before, so that compiling and first allocations do not count. Whatever else disturbs the machine then
    disturbs both.

    Returns
    -------
    ours_s, peer_s : float
        medians in seconds.
    """
    ours(), peer()
    seconds = ([], [])
    for _ in range(repeats):
        for function, times in zip((ours, peer), seconds):
            begun = time.perf_counter()
            function()
            times.append(time.perf_counter() - begun)
    return tuple(statistics.median(times) for times in seconds)


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


def record(benchmark, ours, peer, *, peer_name, max_error, repeats=7, peer_peak=None):
    """Compare two functions that do the same, and write the result down.

    Parameters
    ----------
    benchmark : str
        its name; a variant is a suffix after "@".
    ours, peer : callable without arguments
    peer_name : str
        what the peer is, as a reader would look it up.
    max_error : float
        largest difference of the two results.
    repeats : int
    peer_peak : callable, optional
        gives the peer's peak memory in MB, where it computes in another process.

    Returns
    -------
    dict
        benchmark, ours_s, peer, peer_s, ratio (above 1: ours is faster), max_error, peak_mb, peer_peak_mb.
    """
    ours_s, peer_s = in_turn(ours, peer, repeats=repeats)
    return {
        "benchmark": benchmark,
        "ours_s": ours_s,
        "peer": peer_name,
        "peer_s": peer_s,
        "ratio": peer_s / ours_s,
        "max_error": float(max_error),
        "peak_mb": peak_mb(ours),
        "peer_peak_mb": peer_peak() if peer_peak else peak_mb(peer),
    }
