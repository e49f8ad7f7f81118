"""A few of the kills of `make stress`, in a process that has started nothing else."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("task", ["separation", "dataset", "results"])  # of training: tests/mss_nn_implementation
def test_killed_at_random_moments_it_finishes_as_ever(task):
    command = [sys.executable, "-m", "stress.kills", task, "--kills", "4", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == {} and found["tried"] == found["passed"] == 4, found
    assert done.returncode == 0
