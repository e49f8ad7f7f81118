"""Chapter 9: scores, baselines and ceilings, test sets, and the runs that write `results/`."""

from common import terminal

terminal.interrupt_quietly()
