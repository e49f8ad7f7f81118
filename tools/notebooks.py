"""The notebooks as files: python -m tools.notebooks {header,run,check} [NOTEBOOK …]

header  writes the Colab badge and the common first cell, both from pyproject.toml's repository address
run     executes in place, from a fresh kernel, top to bottom
check   prints what would spoil a notebook for its readers; exits with 1 if anything does
"""

import base64
import json
import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from common.command import options_of
from common.files import atomic_path
from common.places import ROOT
from common.terminal import ended
from player.html import repository
from player.pictures import in_256_colours

MOST_BYTES = 2 * 2**20

CHAPTERS = {
    "main_report.ipynb": "",
    "virtual_band/dataset_report.ipynb": "1",
    "audio_processing/spectrogram_report.ipynb": "2",
    "audio_processing/spectrogram_limits.ipynb": "2",
    "residual_analysis/residual_analysis.ipynb": "3",
    "mss_basic_implementation/hps_model.ipynb": "4",
    "neural_network_basics/nn_basic.ipynb": "5",
    "neural_network_basics/nn_report.ipynb": "5",
    "neural_network_basics/cnn_report.ipynb": "5",
    "mss_nn_implementation/convtas_report.ipynb": "6",
    "mss_nn_implementation/model_report.ipynb": "6",
    "ddsp_models/ddsp_report.ipynb": "7",
    "ddsp_models/pitch_report.ipynb": "7",
    "ddsp_models/autoencoder_report.ipynb": "7",
    "ddsp_models/combined_report.ipynb": "8",
    "experiments/experiments_report.ipynb": "9",
}
"""Every notebook, in the order of reading → number of its chapter; the report has none."""

FIRST_CELL = """\
# The common first cell: find the repository, or clone it if the notebook is alone.
import importlib.util, os, shutil, subprocess, sys
from pathlib import Path

here, complete = Path.cwd(), ("separate.py", "display.py")
near = [here, *here.parents, *sorted(here.glob("[!.]*/"))]
root = next((p for p in near if all(os.path.exists(p / name) for name in complete)), None)
if root is None:
    address, new = os.environ.get("MSS_REPOSITORY", "{repository}"), here / ".cloning"
    name = Path(address).name.removesuffix(".git")
    root = next(here / (name + end) for end in ("", "-2", "-3", "-4") if not (here / (name + end)).exists())
    for branch in (["--branch", "{release}"], []):  # there may be no such release
        shutil.rmtree(new, ignore_errors=True)  # what an interrupted clone left
        clone = ["git", "clone", "--quiet", "--depth", "1", *branch, address, new]
        if shutil.which("git") and not subprocess.run(clone, stderr=subprocess.DEVNULL).returncode:
            break
    else:
        raise RuntimeError(f"{{address}}: no clone; go online, install git, or open the notebook in a copy")
    new.rename(root)
needed = ("musdb", "museval", "mido", "soundfile", "librosa")
if root not in (here, *here.parents) and not all(map(importlib.util.find_spec, needed)):
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", root / "requirements.txt"], check=True)
os.chdir(root)
sys.path.insert(0, str(root))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import display

display.environment()"""


def release():
    """The tag that a notebook on its own clones: that of the version in pyproject.toml."""
    return "v" + tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def first_cell():
    """Source of the first code cell of every notebook."""
    return FIRST_CELL.format(repository=repository(), release=release())


def name_of(path):
    """A notebook's path inside the repository, as a key of `CHAPTERS`."""
    return path.relative_to(ROOT).as_posix()


def badge(path):
    """The Colab badge of a notebook, as Markdown."""
    place, colab = repository().removeprefix("https://github.com/"), "https://colab.research.google.com"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{place}/blob/main/{name_of(path)})"


def all_notebooks():
    """Every notebook of the repository, in the order of reading."""
    return [ROOT / name for name in CHAPTERS]


def write(path, notebook):
    """Write a notebook, complete or not at all, without what does not belong in it, its figures in 256 colours."""
    for key in ("widgets", "jupytext"):
        notebook.metadata.pop(key, None)
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_start_up_noise(output)]
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                output.data["image/png"] = base64.b64encode(in_256_colours(base64.b64decode(png))).decode()
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


def _is_start_up_noise(output):
    """Whether an output is only what TensorFlow's C++ logs while it starts: which devices the machine lacks."""
    noise = re.compile(r"WARNING: All log messages before absl|[IWE]0000 |$")
    return output.get("name") == "stderr" and all(map(noise.match, output.text.split("\n")))


def set_header(path):
    """Put the badge into the first text cell and the common first cell after it."""
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
    path, destination : Path
    timeout : float
        of a cell, in seconds.
    keep_going : bool
        execute the cells after one that fails, too, and write the notebook with its failures in it.

    Returns
    -------
    list of str
        `not_shown` of the notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        if a cell fails; nothing is written then.
    """
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
    """What a notebook could not show: failed cells, and results that `display` missed, as a list of sentences."""
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
    warnings = ["".join(output["text"])[:80] for output in outputs if output.get("name") == "stderr"]
    machine_path = re.search(r"/(?:work|farm|tmp|root|home)/\w+", path.read_text())
    header = "`python -m tools.notebooks header` writes it"
    found = {
        f"{path.stat().st_size / 2**20:.1f} MB, over 2 MB": path.stat().st_size > MOST_BYTES,
        "widget metadata, which stops GitHub from showing it": "widgets" in notebook["metadata"],
        "not executed top to bottom from a fresh kernel": (
            [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1))
        ),
        f"a warning in its output: {warnings[0] if warnings else ''}": warnings,
        "no figure, table or sound": not any(
            output["output_type"] in ("display_data", "execute_result") for output in outputs
        ),
        f"a path of the machine that it ran on: {machine_path and machine_path.group()}": machine_path,
        f"not the common first cell; {header}": code and "".join(code[0]["source"]) != first_cell(),
        f"no Colab badge, or one for another place; {header}": badge(path)
        not in "".join(notebook["cells"][0]["source"]),
    }
    return [fault for fault, there in found.items() if there] + not_shown(nbformat.from_dict(notebook))


def main(arguments=None):
    options = options_of(
        "tools.notebooks",
        __doc__,
        {
            "action": dict(choices=("header", "run", "check")),
            "notebooks": dict(nargs="*", type=Path, help="(default: all)"),
            "--out": dict(type=Path, help="with run: write the executed notebook here"),
            "--keep-going": dict(
                action="store_true", help="with run: write the notebook with its failures; the site shows them"
            ),
        },
        arguments,
    )
    bad = 0
    for path in [path.resolve() for path in options.notebooks] or all_notebooks():
        try:
            if options.action == "run":
                print(f"running {name_of(path)}", flush=True)
                found = run(path, options.out, keep_going=options.keep_going)
            else:
                found = {"header": set_header, "check": faults}[options.action](path) or []
        except CellExecutionError as error:
            found = [f"{error.ename}: {error.evalue}; nothing is written"]
        for words in found:
            print(f"{name_of(path)}: {words}", file=sys.stderr)
        bad += 0 if options.keep_going else len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(ended("tools.notebooks", main))
