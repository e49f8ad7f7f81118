"""The notebooks as files: python -m tools.notebooks {header,run,check} [NOTEBOOK …]

header  writes the Colab badge and the common first cell, both from pyproject.toml's repository address
run     executes in place, from a fresh kernel, top to bottom
check   says what would spoil a notebook for its readers; exits with 1 if anything does
"""

import argparse
import base64
import json
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

import display
from common.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 2 * 2**20

FIRST_CELL = """\
# The common first cell: find the repository (or clone it, where the notebook is alone), and say what runs here.
import importlib.util, os, subprocess, sys
from pathlib import Path

root = next((p for p in [Path.cwd(), *Path.cwd().parents] if (p / "separate.py").exists()), None)
if root is None:
    address = os.environ.get("MSS_REPOSITORY", "{repository}")
    clone = ["git", "clone", "--quiet", "--depth", "1", address]
    if subprocess.run([*clone, "--branch", "{release}"]).returncode:  # what this notebook was released with
        subprocess.run(clone, check=True)  # or, where that is no release, the newest
    root = Path("{folder}").resolve()
    if any(importlib.util.find_spec(name) is None for name in ("musdb", "museval", "mido", "soundfile", "librosa")):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", root / "requirements.txt"], check=True)
os.chdir(root)
sys.path.insert(0, str(root))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import display

display.environment()"""


def repository():
    """The address that badges and first cells name."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def release():
    """The tag that a notebook on its own clones: that of the version in pyproject.toml."""
    return "v" + tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def first_cell():
    """Source of the first code cell of every notebook."""
    return FIRST_CELL.format(repository=repository(), release=release(), folder=repository().rsplit("/", 1)[1])


def badge(path):
    """The Colab badge of a notebook, as Markdown."""
    owner_and_name = repository().removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{owner_and_name}/blob/main/{path.relative_to(ROOT).as_posix()}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


CHAPTERS = {
    ".": "",
    "virtual_band": "1",
    "audio_processing": "2",
    "residual_analysis": "3",
    "mss_basic_implementation": "4",
    "neural_network_basics": "5",
    "mss_nn_implementation": "6",
    "ddsp_models": "7",
    "experiments": "9",
}
"""Folder → number of its chapter, in the order of reading."""

READING = (
    "main_report",
    "spectrogram_report",
    "nn_basic",
    "nn_report",
    "convtas_report",
    "model_report",
    "ddsp_report",
    "pitch_report",
    "autoencoder_report",
    "combined_report",
)
"""Which notebooks of a folder come first; the others follow by name."""


def chapter_of(path):
    """Number of a notebook's chapter, as a string; the report has none."""
    if path.stem == "combined_report":  # chapter 8 shares its folder with chapter 7
        return "8"
    return CHAPTERS[path.parent.relative_to(ROOT).as_posix()]


def all_notebooks():
    """Every notebook of the repository, in the order of the chapters: the report first."""
    found = [path for chapter in CHAPTERS for path in (ROOT / chapter).glob("*.ipynb")]

    def order(path):
        place = READING.index(path.stem) if path.stem in READING else len(READING)
        return list(CHAPTERS).index(path.parent.relative_to(ROOT).as_posix()), place, path.stem

    return sorted(found, key=order)


def write(path, notebook):
    """Write a notebook, whole or not at all, without what does not belong in it, its figures in 256 colours."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_start_up_noise(output)]
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    small = display.in_256_colours(base64.b64decode(png))
                    output.data["image/png"] = base64.b64encode(small).decode()
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


def _is_start_up_noise(output):
    """Whether an output is only what TensorFlow's C++ logs while it starts: which devices the machine lacks."""
    if output.get("name") != "stderr":
        return False
    return all(
        re.match(r"WARNING: All log messages before absl|[IWE]0000 |$", line) for line in output.text.split("\n")
    )


def set_header(path):
    """Put the badge into the first text cell and the common first cell behind it."""
    notebook = nbformat.read(path, as_version=4)
    text = re.sub(r"\n*\[!\[Open in Colab\].*", "", notebook.cells[0].source).rstrip()
    notebook.cells[0].source = f"{text}\n\n{badge(path)}"
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.source = first_cell()
    cell.metadata["tags"] = ["hide-input"]
    write(path, notebook)


def run(path, destination=None, timeout=600, *, keep_going=False):
    """Execute a notebook from a fresh kernel in the repository's root; write it back, or to `destination`.

    Parameters
    ----------
    keep_going : bool
        execute the cells behind one that fails, too, and write the notebook with its failures in it.

    Returns
    -------
    list of str
        `not_shown` of the notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        where a cell fails; nothing is written then.
    """
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        allow_errors=keep_going,
        resources={"metadata": {"path": str(ROOT)}},
    ).execute()
    write(destination or path, notebook)
    return not_shown(notebook)


def not_shown(notebook):
    """What a notebook could not show: failed cells, and results that `display` did not find, as a list of sentences."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"cell {number} failed: {output.ename}: {output.evalue}")
            elif missing := output.get("metadata", {}).get("missing"):
                found.append(f"cell {number} has nothing to show: {missing}")
    return found


def faults(path):
    """What would spoil a notebook for its readers, as a list of sentences."""
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    outputs = [output for cell in code for output in cell["outputs"]]
    found = []
    if path.stat().st_size > MOST_BYTES:
        found.append(f"{path.stat().st_size / 2**20:.1f} MB, over 2 MB")
    if "widgets" in notebook["metadata"]:
        found.append("widget metadata, which stops GitHub from showing it")
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("not executed top to bottom from a fresh kernel")
    found += not_shown(nbformat.from_dict(notebook))
    if any(output.get("name") == "stderr" for output in outputs):
        found.append(
            "a warning in its output: " + next("".join(o["text"])[:80] for o in outputs if o.get("name") == "stderr")
        )
    if not any(output["output_type"] in ("display_data", "execute_result") for output in outputs):
        found.append("no figure, table or sound")
    if match := re.search(r"/(?:work|farm|tmp|root|home)/\w+", path.read_text()):
        found.append(f"a path of the machine it ran on: {match.group()}")
    if code and "".join(code[0]["source"]) != first_cell():
        found.append("a first cell of its own; `python -m tools.notebooks header` writes the common one")
    if badge(path) not in "".join(notebook["cells"][0]["source"]):
        found.append("no Colab badge, or one for another place; `python -m tools.notebooks header` writes it")
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=("header", "run", "check"))
    parser.add_argument("notebooks", nargs="*", type=Path, help="(default: all)")
    parser.add_argument("--to", type=Path, help="with run: write the executed notebook here")
    parser.add_argument(
        "--keep-going", action="store_true", help="with run: write what fails into the notebook; the site's build tells"
    )
    options = parser.parse_args(arguments)
    bad = 0
    for path in [path.resolve() for path in options.notebooks] or all_notebooks():
        name = path.relative_to(ROOT)
        if options.action == "header":
            set_header(path)
        elif options.action == "run":
            print(f"running {name}", flush=True)
            try:
                failed = run(path, options.to, keep_going=options.keep_going)
            except CellExecutionError as error:
                failed = [f"{error.ename}: {error.evalue}; nothing is written"]
            for what in failed:
                print(f"{name}: {what}", file=sys.stderr)
            bad += 0 if options.keep_going else len(failed)
        else:
            for fault in faults(path):
                bad += 1
                print(f"{name}: {fault}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
