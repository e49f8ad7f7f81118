"""Stress tests: hostile files, kills, mutations, long runs: python -m stress.reliability."""
