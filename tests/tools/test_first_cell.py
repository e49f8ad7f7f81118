"""The common first cell, alone in a folder as on Colab, with a small repository that git clones from this machine."""

import os
import shutil
import subprocess
import sys

import pytest

from tools.notebooks import first_cell

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
FILES = {
    "separate.py": "",
    "display.py": "import os\ndef environment(): print(os.path.basename(os.getcwd()))",
    "requirements.txt": "",
}


@pytest.fixture
def fork(tmp_path):
    """A repository of another name than ours."""
    folder = tmp_path / "from" / "my-fork.git"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", folder]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    return folder


@pytest.fixture
def content(tmp_path):
    """The folder that a notebook begins in."""
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


def run(folder, address, **environment):
    """Run the cell: (the repository's folder as it names it, last line of an error)."""
    environment = {**os.environ, "MSS_REPOSITORY": str(address), **environment}
    done = subprocess.run(
        [sys.executable, "-c", first_cell()], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stdout.strip(), "".join(done.stderr.splitlines()[-1:])


@needs_git
def test_a_fork_is_cloned_under_its_name_and_found_again_after_a_restart(fork, content):
    assert run(content, f"file://{fork}") == ("my-fork", "")
    assert run(content, "file:///nowhere") == ("my-fork", "")  # nobody asks the network
    assert run(content / "my-fork", "file:///nowhere") == ("my-fork", "")
    (content / "my-fork").rename(content / "another name")
    assert run(content, "file:///nowhere") == ("another name", "")
    assert [path.name for path in content.iterdir()] == ["another name"]


@needs_git
@pytest.mark.parametrize("left", ["my-fork/.git/config", ".cloning/separate.py", "my-fork/separate.py"])
def test_after_an_interrupted_clone_another_one_is_made(left, fork, content):
    (content / left).parent.mkdir(parents=True)
    (content / left).touch()
    assert run(content, f"file://{fork}") == ("my-fork" if "cloning" in left else "my-fork-2", "")
    assert not (content / ".cloning").exists() and run(content, "file:///nowhere")[0].startswith("my-fork")


@pytest.mark.parametrize("environment", [{}, {"PATH": ""}], ids=["offline", "without git"])
def test_without_network_or_git_one_line_helps(environment, content):
    said, error = run(content, "file:///nowhere/course", **environment)
    assert said == "" and "file:///nowhere/course: no clone; go online" in error and "install git" in error
    assert list(content.iterdir()) == []
