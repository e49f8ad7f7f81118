"""Chapter 3: what an oracle-masked stem still lacks, where it lacks it, and why."""

from common import terminal

terminal.interrupt_quietly()
