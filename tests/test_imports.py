"""The order of the rooms: every import is read from the code, also those in functions and those that are strings.

CONTRIBUTING.md holds the map of rooms and what each imports. After a change this test prints the table it should hold.
"""

import ast
import graphlib
import re

import pytest

from tests.helpers import ROOT

FOUNDATIONS = ("common", "audio_processing", "training", "player")
CHAPTERS = (
    "virtual_band", "residual_analysis", "mss_basic_implementation", "neural_network_basics", "mss_nn_implementation",
    "ddsp_models", "ddsp_models.separation",
)  # fmt: skip
"""Chapters 1 and 3 to 8; chapter 2 is `audio_processing`."""
ORDER = [{room} for room in (*FOUNDATIONS, *CHAPTERS, "separate", "experiments", "display")]
ORDER.append({"app", "benchmarks", "stress", "tools"})
"""A room imports only rooms that stand before it; those on top do not import each other."""
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
NARROW = {"common": set(), "player": {"common", "audio_processing"}}
"""Rooms that import less than their place in the order would allow."""
CALLS = ("import_module", "__import__", "run_module", "run_path")
"""Functions whose first argument names a module."""
PLACE = re.compile(r"^(\w+(?:\.\w+)+):\w*$")
"""A string that names a module and what is in it, as the catalogue of separators has them."""


def modules(root=ROOT):
    """Every module of the repository but its tests: dotted name → path; a package has the name of its folder."""
    folders = {room.split(".")[0] for room in RANK}
    paths = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0].removesuffix(".py") in folders]
    named = {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imports(source, module, known):
    """Modules of the repository that a source imports, anywhere in it: list of (name, line).

    Parameters
    ----------
    source : str
    module : str
        its dotted name; of a package, with `.__init__` behind it.
    known : collection of str
        names of all modules, as in `modules`.
    """
    rooms = {name.split(".")[0] for name in known}
    targets = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in CALLS:
                names = [_literal(node.args[0])]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = PLACE.findall(node.value)
        targets += [(name, node.lineno) for name in names if name.split(".")[0] in rooms]
    return [(_longest(name, known), line) for name, line in targets]


def _literal(node):
    """The text of a string, or of the beginning of an f-string; "" for what is computed."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _longest(name, known):
    """The module that an imported name lies in: the name itself, or what is left of it without its last parts."""
    while name not in known and not name.endswith("__main__") and "." in name:
        name = name.rpartition(".")[0]
    return name


def room(module):
    """The room of a module: the longest name in `ORDER` that it begins with."""
    return max((name for name in RANK if f"{module}.".startswith(f"{name}.")), key=len)


def every_import():
    """(module, imported module, line) of the whole repository."""
    named = modules()
    for module, path in named.items():
        full = f"{module}.__init__" if path.name == "__init__.py" else module
        yield from ((module, target, line) for target, line in imports(path.read_text(), full, named))


EVERY = list(every_import())


def map_of_rooms():
    """Room → the rooms that it imports, from the code."""
    arrows = {name: set() for name in RANK}
    for module, target, _ in EVERY:
        arrows[room(module)].add(room(target))
    return {name: targets - {name} for name, targets in arrows.items()}


def test_every_room_is_in_the_order():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    single = {path.stem for path in ROOT.glob("*.py")} - {"setup"}
    assert packages | single == {name for name in RANK if "." not in name}
    assert len(EVERY) > 300  # it did read


def test_arrows_point_one_way():
    """In functions, too: an import that is hidden there is still one."""
    wrong = [
        f"{module}:{line} imports {target}"
        for module, target, line in EVERY
        if room(module) != room(target) and RANK[room(target)] >= RANK[room(module)]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", NARROW)
def test_rooms_below_all_stay_narrow(name):
    assert map_of_rooms()[name] <= NARROW[name]


def test_nobody_imports_an_entry_point_or_a_notebook():
    notebooks = {path.stem for path in ROOT.glob("*/*.ipynb")} | {"main_report"}
    wrong = [(m, t, line) for m, t, line in EVERY if t.endswith("__main__") or t.rpartition(".")[2] in notebooks]
    assert wrong == []


def test_no_module_imports_itself_by_a_detour():
    graph = {}
    for module, target, _ in EVERY:
        graph.setdefault(module, set()).add(target)
    list(graphlib.TopologicalSorter(graph).static_order())  # raises a CycleError that names the circle


def test_tests_share_by_their_helpers_alone():
    paths = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    known = {"tests", "tests.helpers", "tests.browser"}
    named = {target for path, text in paths.items() for target, _ in imports(text, "tests.x", known)}
    assert named <= known and "tests.helpers" in named
    strings = [path.name for path, text in paths.items() if re.search(r"^from tests\.\w+\.", text, re.MULTILINE)]
    assert strings == []  # also in scripts that a test hands to another process


def test_the_map_of_rooms_is_that_of_the_code():
    """CONTRIBUTING.md: a table of rooms between two marks; its first column names a room, its last what it imports."""
    arrows, named = map_of_rooms(), modules()
    expected = ["| room | what it holds | imports |", "|---|---|---|"]
    for name in sorted(RANK, key=_place):
        what = ast.get_docstring(ast.parse(named[name].read_text())).split("\n")[0]
        targets = ", ".join(f"`{target}`" for target in sorted(arrows[name], key=_place))
        expected.append(f"| `{name}` | {what} | {targets} |")
    _, _, rest = (ROOT / "CONTRIBUTING.md").read_text().partition("<!-- rooms -->")
    cells = [line.strip("| ").split("|") for line in rest.partition("<!-- /rooms -->")[0].strip().splitlines()[2:]]
    written = {re.findall(r"[\w.]+", row[0])[0]: set(re.findall(r"`([\w.]+)`", row[-1])) for row in cells}
    assert written == arrows, "CONTRIBUTING.md: the map of rooms should be\n" + "\n".join(expected)


def _place(name):
    return RANK[name], name


SOURCE = """
import virtual_band.song, numpy
from audio_processing import chunks
from . import drums
def late():
    from experiments.__main__ import run
    import importlib
    importlib.import_module("ddsp_models.pitch.crepe"), importlib.import_module(f"benchmarks.{run}")
    load("ddsp_models.gru:Gru")
"""


def test_the_reading_finds_imports_wherever_they_are():
    known = {"virtual_band.song", "audio_processing.chunks", "ddsp_models.drums", "ddsp_models.gru"}
    known |= {"experiments", "benchmarks", "ddsp_models.pitch.crepe"}
    names = {name for name, _ in imports(SOURCE, "ddsp_models.synthesisers", known)}
    assert names == known - {"experiments", "benchmarks"} | {"experiments.__main__", "benchmarks"}
    assert (
        room("ddsp_models.separation.train") == "ddsp_models.separation" and room("ddsp_models.drums") == "ddsp_models"
    )
