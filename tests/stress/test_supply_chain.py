"""What is loaded is data: nothing unpickles, networks load in safe mode, weights and results have their checksums."""

import json
import re
import subprocess
import sys

import pytest

from common import results
from common.files import sha256_of
from common.places import HERE
from tests.helpers import ROOT

FORBIDDEN = (
    r"\bimport (c?pickle|marshal|shelve|dill|joblib\.externals)",
    r"\b(pickle|marshal|dill)\.loads?\(",
    r"\b(joblib|torch)\.load\(",
    r"allow_pickle=True",
    r"safe_mode=False",
    r"enable_unsafe_deserialization",
    r"yaml\.(unsafe_)?load\(",
    r"(?<![\w.])(eval|exec)\(",
    r"shell=True",
    r"os\.system\(",
    r"\b(urlopen|urlretrieve)\(",
)
"""Ways to run what a file holds, or to fetch what nobody checks."""


def sources():
    """Code of the repository but for its tests: (name, text), of notebooks their code cells."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.ipynb"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        if not name.startswith("tests/") and (ROOT / name).exists():
            text = (ROOT / name).read_text()
            if name.endswith(".ipynb"):
                cells = json.loads(text)["cells"]
                text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
            yield name, text


def suspicious(line):
    return any(re.search(pattern, line) for pattern in FORBIDDEN)


def test_no_code_unpickles_evaluates_or_fetches_unchecked():
    read = dict(sources())
    assert len(read) > 50  # it did look
    assert [(name, line) for name, text in read.items() for line in text.splitlines() if suspicious(line)] == []


def test_the_search_finds_what_it_looks_for():
    for line in ("import pickle", "x = np.load(f, allow_pickle=True)", "eval(text)", "torch.load(f)", "os.system('x')"):
        assert suspicious(line), line
    for line in ("model.eval()", "np.load(f, allow_pickle=False)", "keras.saving.load_model(f, safe_mode=True)"):
        assert not suspicious(line), line


def test_every_shipped_weight_is_the_one_of_its_record():
    listed = subprocess.run(["git", "ls-files", "*.keras", "*.npz", "*.h5"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    weights = [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("tests/")]
    assert len(weights) >= 3
    for path in weights:
        assert json.loads(path.with_suffix(".json").read_text())["sha256"] == sha256_of(path), path.name


def test_every_result_file_is_intact():
    paths = [path for path in HERE.results.rglob("*.json") if path.name != "index.json"]
    assert len(paths) > 20
    for path in paths:
        results.read(path)


@pytest.mark.slow
def test_importing_a_chapter_loads_no_weights_and_opens_no_connection():
    """What a reader imports neither computes nor asks another machine."""
    code = """
import socket, sys
def refuse(*_, **__):
    raise SystemExit("a connection was opened")
socket.socket.connect = socket.create_connection = refuse
import audio_processing.tracks, separate, mss_basic_implementation.hps, neural_network_basics.drums_mask
import virtual_band.dataset, residual_analysis.residual, tools.fetch_musdb, stress.mutants
assert not {"tensorflow", "keras", "torch", "jax"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
