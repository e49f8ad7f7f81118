"""Speed against peers: one module per benchmark, each with a function `run()` that returns its records.

A record is what `timing.record` returns. `python -m benchmarks` finds the modules, and keeps the records of those that
it did not run.
"""
