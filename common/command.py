"""Commands: the command line as a table of flags, and what a command says at its end."""

import argparse

from common import results, terminal

terminal.interrupt_quietly()  # this module is imported by commands alone


def options_of(module, description, flags, arguments=None):
    """What a command was asked for.

    Parameters
    ----------
    module : str
        that is run as a command; or a file, such as "app.py".
    description : str
        what `--help` says.
    flags : dict of str to dict
        each argument with its settings for `argparse`.
    arguments : list of str, optional
        by default those that the process was given.

    Returns
    -------
    argparse.Namespace
    """
    program, raw = module if module.endswith(".py") else f"python -m {module}", argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program, description=description, formatter_class=raw)
    for flag, settings in flags.items():
        parser.add_argument(flag, **settings)
    terminal.imported()
    return parser.parse_args(arguments)


def command(module, description, write, flags, arguments=None):
    """Parse a command line, call `write`, and name the files that it wrote.

    Parameters
    ----------
    module, description, flags, arguments
        see `options_of`.
    write : callable
        (**options) → list of Path, empty if all is up to date.

    Returns
    -------
    int
        exit status, as `terminal.ended` gives it.
    """
    options = vars(options_of(module, description, flags, arguments))
    return results.report(module, lambda: write(**options))
