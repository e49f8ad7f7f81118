"""What `pip install .` makes: one package of its own name, from a download that has no git, and a command."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import soundfile

from tests.helpers import ROOT, noise

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LEFT_OUT = ".git", ".venv*", ".make", "data", "runs", "results", "site", "node_modules", "__pycache__", "*.ipynb"
INSTALL = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]


def test_every_place_names_the_same_version():
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    separate = (ROOT / "separate.py").read_text()
    assert re.findall(r'^VERSION = "(.*)"', separate, re.MULTILINE) in ([], [PROJECT["version"]])


def versions_of(classifiers):
    found = re.findall(r"Python :: 3\.(\d+)", "\n".join(classifiers))
    return min(map(int, found)), max(map(int, found))


def test_python_is_what_the_readme_says_and_tensorflow_has():
    first, last = versions_of(PROJECT["classifiers"])
    assert PROJECT["requires-python"] == f">=3.{first},<3.{last + 1}"
    assert f"You need Python 3.{first} to 3.{last} " in (ROOT / "README.md").read_text()
    if f"tensorflow=={metadata.version('tensorflow')}" not in (ROOT / "requirements.lock").read_text().split():
        pytest.skip("another TensorFlow than that of requirements.lock")
    oldest, newest = versions_of(metadata.metadata("tensorflow").get_all("Classifier"))
    assert oldest <= first and newest == last, "README.md, pyproject.toml: TensorFlow is there for other Pythons now"


def test_the_readme_shows_the_address_and_the_commands():
    text, address = (ROOT / "README.md").read_text(), PROJECT["urls"]["Repository"]
    for words in (f"git clone {address}", f"git+{address}", "python3 -m venv", "make help", *PROJECT["scripts"]):
        assert words in text, words


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """A copy of the repository as a download has it: without git."""
    folder = tmp_path_factory.mktemp("download") / "course"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return folder


@pytest.fixture(scope="module")
def installed(download):
    """The folder that the package is installed in."""
    target = download.parent / "site"
    subprocess.run([sys.executable, *INSTALL, "--target", target, download], check=True, cwd=download.parent)
    return target


def python(installed, *words, cwd):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_one_name_is_installed_and_its_modules_import_each_other(installed, download):
    assert sorted(path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")) == [
        "bin" if os.name == "posix" else "Scripts",
        "mss_separate",
    ]
    assert not (download / "build").exists() and list(download.glob("*.egg-info")) == []
    ours = {path.stem for path in [*ROOT.glob("*.py"), *(init.parent for init in ROOT.glob("*/__init__.py"))]}
    for path in installed.rglob("mss_separate/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not ours & {name.split(".")[0] for name in names}, path
    about = next(installed.glob("*.dist-info/METADATA")).read_text()
    assert {"numpy", "soundfile", "tensorflow", "keras"} <= set(
        re.findall(r"^Requires-Dist: ([\w-]+)", about, re.MULTILINE)
    )


@pytest.mark.slow
@pytest.mark.parametrize("model, stems", [("hps", 3), (None, 5)])
def test_the_command_separates_from_any_folder(model, stems, installed, tmp_path):
    (tmp_path / "common").mkdir()  # a package of the user's own, which is in nobody's way
    (tmp_path / "common" / "__init__.py").write_text("raise RuntimeError('not mine')")
    soundfile.write(tmp_path / "song.wav", 0.1 * noise(16000), 16000)
    command = next(path for path in installed.glob("*/mss-separate*") if path.is_file())
    words = ["song.wav", "--out", "out", *(["--model", model] if model else [])]
    done = python(installed, command, *words, cwd=tmp_path)
    assert done.stderr == ""
    assert len(list((tmp_path / "out" / "song").glob("*.wav"))) == stems == len(done.stdout.splitlines())
    code = "import mss_separate as m; print(m.__version__, m.separate.__name__, m.separate_file.__name__)"
    assert python(installed, "-c", code, cwd=tmp_path).stdout == f"{PROJECT['version']} separate separate_file\n"


@pytest.mark.slow
def test_a_source_distribution_holds_all_that_the_package_needs(download, installed):
    made = download.parent / "dist"
    code = f"import setuptools.build_meta as b; print(b.build_sdist({str(made)!r}))"
    made.mkdir()
    archive = python(installed, "-c", code, cwd=download).stdout.split()[-1]
    shutil.unpack_archive(made / archive, made, filter="data")
    unpacked = made / archive.removesuffix(".tar.gz")
    subprocess.run([sys.executable, *INSTALL, "--target", made / "site", unpacked], check=True, cwd=made)
    files = [
        {path.relative_to(site) for path in site.rglob("mss_separate/**/*.[jkn]*")}
        for site in (installed, made / "site")
    ]
    assert files[0] == files[1] and len(files[0]) > 20
