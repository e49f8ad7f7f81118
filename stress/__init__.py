"""Stress tests: hostile files, kills, mutations, long runs: python -m stress.reliability."""

from common import terminal

terminal.interrupt_quietly()
