"""The package `mss_separate`: separate.py with the rooms and weights that it needs, under one name of its own.

The rooms import each other by their names here, which are too common for a folder that all packages share: the copies
import each other as mss_separate.ROOM.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT, NAME = Path(__file__).resolve().parent, "mss_separate"
RENAMED = {"separate.py": "_separate.py", "tools/package_init.py": "__init__.py"}  # a function has the first one's name
ROOMS = (
    "common", "audio_processing", "training", "player", "virtual_band", "mss_basic_implementation",
    "neural_network_basics", "mss_nn_implementation", "ddsp_models",
)  # fmt: skip
KINDS = (".py", ".keras", ".npz", ".json")
NEEDED = ("numpy", "scipy", "librosa", "soundfile", "numba", "tensorflow", "keras", "tqdm")
"""Of requirements.txt; the others are for notebooks, data and scores."""


def sources():
    """Every file of the package, relative to the repository's root."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*")) if path.suffix in KINDS)
    return [*RENAMED, *(path.relative_to(ROOT).as_posix() for path in files)]


def inside_the_package(code):
    """Code whose imports, and whose strings that name modules, are those of the package."""
    rooms = "|".join(ROOMS)
    code = re.sub(rf"^( *from )(?=(?:{rooms})[\w.]* import )", rf"\1{NAME}.", code, flags=re.MULTILINE)
    code = re.sub(rf"^( *)import (?={rooms}$)", rf"\1from {NAME} import ", code, flags=re.MULTILINE)
    return re.sub(rf'"(?=(?:{rooms})(?:\.\w+)+:\w*")', f'"{NAME}.', code)


class Package(build_py):
    """Copies the sources into the package."""

    editable_mode = False

    def run(self):
        if self.editable_mode:
            raise SystemExit("music-source-separation: no editable install; run separate.py where it is")
        folder = Path(self.build_lib, NAME)
        shutil.rmtree(folder, ignore_errors=True)
        for name in sources():
            path = folder / RENAMED.get(name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".py":
                path.write_text(inside_the_package((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
            else:
                shutil.copyfile(ROOT / name, path)

    def get_source_files(self):
        return [*sources(), "requirements.txt", "LICENSE", "LICENSE-TEXT.md"]

    def get_outputs(self, include_bytecode=True):
        return [str(Path(self.build_lib, NAME, RENAMED.get(name, name))) for name in sources()]


def requirements():
    """What pip installs with the package, with the bounds of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.split("[<>=~! ]", line)[0] in NEEDED]


(ROOT / ".make").mkdir(exist_ok=True)
setup(
    packages=[NAME],
    install_requires=requirements(),
    cmdclass={"build_py": Package},
    options={"build": {"build_base": ".make/build"}, "egg_info": {"egg_base": ".make"}},
)
