"""Run notebooks as Colab would: python -m tools.colab_check [NOTEBOOK …]

There is an environment with Colab's versions of the packages (tools/colab.txt), and for each notebook an empty folder
with nothing but that notebook in it. Its first cell has to clone the repository, here from this checkout's last commit,
and to install what is missing; then every cell has to run. None of Colab's own packages may have been replaced.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from common.command import options_of
from common.places import ROOT
from common.terminal import ended
from tools.notebooks import all_notebooks, release

ENVIRONMENT = ROOT / ".make" / "colab"
PACKAGES = ROOT / "tools" / "colab.txt"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
try:
    NotebookClient(notebook, timeout=1200, kernel_name="colab", resources={"metadata": {"path": "."}}).execute()
finally:
    nbformat.write(notebook, path)
"""


def environment(folder=ENVIRONMENT):
    """The interpreter of an environment that holds Colab's packages; one made from the same list is used again."""
    made_from, python = folder / "made-from.txt", folder / "bin" / "python"
    if not made_from.exists() or made_from.read_text() != PACKAGES.read_text():
        venv.create(folder, with_pip=True, clear=True)
        for module in (
            ["pip", "install", "-r", PACKAGES],
            ["ipykernel", "install", "--prefix", folder, "--name", "colab"],
        ):
            subprocess.run([python, "-m", *module], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(PACKAGES, made_from)
    return python


def versions(python):
    """Package → version of an environment."""
    command = [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    return {package["name"]: package["version"] for package in json.loads(subprocess.check_output(command))}


def clone_source(folder):
    """Copy the last commit so that a first cell can clone it, with the tag that it asks for."""
    if not (ROOT / ".git").exists():
        raise ValueError(f"{ROOT}: expected a git checkout, got a copy without .git; clone the repository")
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, folder], check=True)
    subprocess.run(["git", "-C", folder, "tag", "--force", release(), "HEAD"], check=True, capture_output=True)


def run_alone(python, notebook, source):
    """Execute one notebook in an empty folder.

    Returns
    -------
    str or None
        what failed, in one line.
    """
    with tempfile.TemporaryDirectory() as folder:
        alone = shutil.copy(notebook, folder)
        settings = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MUSDB", "CREPE"))}
        settings |= {
            "MSS_REPOSITORY": f"file://{source}",
            "VIRTUAL_ENV": str(ENVIRONMENT),
            "PATH": f"{python.parent}{os.pathsep}{settings['PATH']}",
        }
        options = {"cwd": folder, "env": settings, "stderr": subprocess.PIPE, "text": True}
        done = subprocess.run([python, "-c", EXECUTE, alone], **options)
        if done.returncode == 0:
            return None
        cells = [cell for cell in json.loads(Path(alone).read_text())["cells"] if cell["cell_type"] == "code"]
    failures = [
        f"code cell {number}: {output['ename']}: {output['evalue'].splitlines()[0]}"
        for number, cell in enumerate(cells, 1)
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
    return [*failures, *done.stderr.strip().splitlines()[-1:], "no message"][0]


def main(arguments=None):
    options = options_of(
        "tools.colab_check", __doc__, {"notebooks": dict(nargs="*", type=Path, help="(default: all)")}, arguments
    )
    chosen = [path.resolve() for path in options.notebooks] or all_notebooks()
    if others := set(chosen) - set(all_notebooks()):
        print(f"tools.colab_check: expected notebooks of the repository, got {min(others)}", file=sys.stderr)
        return 2
    python, failed = environment(), []
    before = versions(python)
    with tempfile.TemporaryDirectory() as folder:
        clone_source(source := Path(folder) / "music-source-separation")
        for notebook in chosen:
            start = time.monotonic()
            if error := run_alone(python, notebook, source):
                failed.append(notebook)
            found = f"{error or 'every cell runs'} ({time.monotonic() - start:.0f} s)"
            print(f"{notebook.relative_to(ROOT)}: {found}", flush=True)
    after = versions(python)
    replaced = [f"{name} {before[name]} → {after.get(name)}" for name in before if after.get(name) != before[name]]
    if replaced:
        print(f"colab_check: installing replaced what Colab has: {', '.join(replaced)}", file=sys.stderr)
    added = ", ".join(f"{name} {after[name]}" for name in after if name not in before)
    print(f"installed by the first cells: {added or 'nothing'}")
    return 1 if failed or replaced else 0


if __name__ == "__main__":
    sys.exit(ended("tools.colab_check", main))
