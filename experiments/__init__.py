"""Chapter 9: scores, baselines and ceilings, test sets, and the runs that write `results/`."""
