"""What is tested: the lower bounds are those of requirements-min.txt, and the lock is within all bounds."""

from packaging.requirements import Requirement
from packaging.version import Version

from tests.helpers import ROOT


def read(name):
    """The requirements of a file: dict of package to `packaging.requirements.Requirement`."""
    lines = [line.split(" #")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


BOUNDS = {**read("requirements.txt"), **read("requirements-dev.txt")}


def version(requirement, operator):
    """The version behind the only specifier of a requirement."""
    (specifier,) = requirement.specifier
    assert specifier.operator == operator, requirement
    return Version(specifier.version)


def test_the_oldest_versions_that_are_tested_are_the_lower_bounds():
    oldest = read("requirements-min.txt")
    assert oldest.keys() == BOUNDS.keys()
    for name, requirement in BOUNDS.items():
        assert version(requirement, ">=") == version(oldest[name], "=="), name


def test_the_lock_is_within_the_bounds():
    locked = read("requirements.lock")
    for name, requirement in BOUNDS.items():
        assert version(locked[name], "==") in requirement.specifier, name
