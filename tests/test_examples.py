"""The examples in the docstrings run, and give the results that they show."""

import doctest
import importlib
import re

import pytest

from tests.helpers import ROOT

ELSEWHERE = {"tests", "data", "site", "runs"}
MODULES = [
    path.relative_to(ROOT)
    for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("[a-z]*/**/*.py")])
    if path.relative_to(ROOT).parts[0] not in ELSEWHERE and re.search("^ +>>> ", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_examples_of_a_module_run(path):
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not result.failed
