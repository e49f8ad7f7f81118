"""A command line as a table of flags, and what a command says at its end."""

import pytest

from common.command import command, options_of

FLAGS = {"names": dict(nargs="*", default=["all"]), "--dry-run": dict(action="store_true", help="write nothing")}


def test_the_table_is_the_command_line():
    options = options_of("some.module", "What it does.", FLAGS, ["a", "b", "--dry-run"])
    assert vars(options) == {"names": ["a", "b"], "dry_run": True}
    assert vars(options_of("some.module", "What it does.", FLAGS, [])) == {"names": ["all"], "dry_run": False}


@pytest.mark.parametrize("module, shown", [("some.module", "python -m some.module"), ("app.py", "app.py")])
def test_help_says_how_it_is_called_and_keeps_the_lines_of_its_description(module, shown, capsys):
    with pytest.raises(SystemExit) as end:
        options_of(module, "What it does.\n\na  one\nb  two", FLAGS, ["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and out.startswith(f"usage: {shown} ") and "a  one\nb  two" in out and "nothing" in out


def test_a_command_hands_its_options_on_and_names_what_it_wrote(capsys):
    given = []
    assert command("m", "", lambda **options: given.append(options) or ["a.json"], FLAGS, ["x"]) == 0
    assert given == [{"names": ["x"], "dry_run": False}] and capsys.readouterr().out == "wrote a.json\n"
