"""Run notebooks as Colab would: python -m tools.colab_check [NOTEBOOK …]

There is an environment with Colab's versions of the packages (tools/colab.txt), and for each notebook an empty folder
with nothing but that notebook in it. Its first cell has to clone the repository, here from this checkout's last commit,
and to install what is missing; then every cell has to run. None of Colab's own packages may have been replaced.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from tools.notebooks import ROOT, all_notebooks, release

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
    """An environment that holds Colab's packages; one made from the same list is taken as it is.

    Returns
    -------
    Path
        of its interpreter.
    """
    made, wanted = folder / "made-from.txt", PACKAGES.read_text()
    python = folder / "bin" / "python"
    if not made.exists() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip(python, "install", "-r", PACKAGES)
        name = ["-m", "ipykernel", "install", "--prefix", str(folder), "--name", "colab"]
        subprocess.run([python, *name], check=True, capture_output=True)
        made.write_text(wanted)
    return python


def pip(python, *arguments):
    """Run an environment's pip; returns what it printed."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def versions(python):
    """Package → version of an environment."""
    return {package["name"]: package["version"] for package in json.loads(pip(python, "list", "--format", "json"))}


def clone_source(folder):
    """A copy of the last commit that a first cell can clone, with the tag that it asks for; returns its path."""
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, folder], check=True)
    subprocess.run(["git", "-C", folder, "tag", "--force", release(), "HEAD"], check=True, capture_output=True)
    return folder


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
        settings |= {"MSS_REPOSITORY": f"file://{source}", "VIRTUAL_ENV": str(ENVIRONMENT)}
        settings["PATH"] = f"{python.parent}{os.pathsep}{settings['PATH']}"
        done = subprocess.run(
            [python, "-c", EXECUTE, alone], cwd=folder, env=settings, stderr=subprocess.PIPE, text=True
        )
        if done.returncode == 0:
            return None
        cells = [cell for cell in json.loads(Path(alone).read_text())["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(cells, 1):
            for output in cell["outputs"]:
                if output["output_type"] == "error":
                    return f"code cell {number}: {output['ename']}: {output['evalue'].splitlines()[0]}"
        return (done.stderr.strip().splitlines() or ["no message"])[-1]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.colab_check", description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="(default: all)")
    options = parser.parse_args(arguments)
    chosen = [path.resolve() for path in options.notebooks] or all_notebooks()
    if strangers := [path for path in chosen if path not in all_notebooks()]:
        print(f"colab_check: {strangers[0]}: none of the repository's notebooks", file=sys.stderr)
        return 2
    python = environment()
    before, failed = versions(python), 0
    with tempfile.TemporaryDirectory() as folder:
        source = clone_source(Path(folder) / "music-source-separation")
        for notebook in chosen:
            begun = time.monotonic()
            wrong = run_alone(python, notebook, source)
            failed += wrong is not None
            name, seconds = notebook.relative_to(ROOT), time.monotonic() - begun
            print(f"{name}: {wrong or 'every cell runs'} ({seconds:.0f} s)", flush=True)
    after = versions(python)
    replaced = [f"{name} {before[name]} → {after.get(name)}" for name in before if after.get(name) != before[name]]
    if replaced:
        print(f"colab_check: installing replaced what Colab has: {', '.join(replaced)}", file=sys.stderr)
    added = ", ".join(f"{name} {after[name]}" for name in after if name not in before)
    print(f"installed by the first cells: {added or 'nothing'}")
    return 1 if failed or replaced else 0


if __name__ == "__main__":
    sys.exit(main())
