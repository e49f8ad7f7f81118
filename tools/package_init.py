"""Separate songs into stems: `separate` in memory, `separate_file` from file to files, and the command mss-separate."""

# `pip install` makes this file the package's __init__.py: see setup.py.

from importlib.metadata import version

__all__ = ["load", "separate", "separate_file"]  # noqa: F822
__version__ = version("music-source-separation")


def __getattr__(name):  # when it is asked for, since importing takes a second
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from mss_separate import _separate

    return getattr(_separate, name)


def main():
    """The command; Ctrl-C is one line while it imports, too. Returns its exit status."""
    from mss_separate.common.terminal import ended

    def run():
        from mss_separate import _separate

        return _separate.main()

    return ended("mss-separate", run)
