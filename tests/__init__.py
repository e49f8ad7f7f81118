"""Tests, in folders named after those that they test. A package: IPython 7 brings another `tests` onto the path."""
