"""A few of the kills of `make stress`, in a process that has started nothing else."""

import subprocess
import sys

import pytest

from stress.kills import TASKS
from tests.helpers import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_killed_at_random_moments_it_finishes_as_ever(task):
    options = ["--only", task, "--kills", "4", "--seed", "7", "--dry-run"]
    command = [sys.executable, "-m", "stress.reliability", "kills", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and done.stdout.startswith(f"kills: {task}: 4 of 4"), done.stdout + done.stderr
