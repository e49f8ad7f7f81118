"""Speed against peers: a benchmark is a function that yields `timing.row`s, and a row of `runner.BENCHMARKS`."""

from common import terminal

terminal.interrupt_quietly()
