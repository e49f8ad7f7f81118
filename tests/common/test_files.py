import hashlib

import pytest

from common.files import PARTIAL, allowed_name, atomic_path, partial_folder, sha256_of


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_succeeds_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_path(path) as temporary:
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o600 == 0o600


def test_sha256_is_that_of_the_bytes_in_order(tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    assert sha256_of(tmp_path / "a", tmp_path / "b") == hashlib.sha256(b"firstsecond").hexdigest()


def test_what_is_being_written_has_no_ending_in_the_folder(tmp_path):
    """A reader that lists all .json files finds complete ones only."""
    with atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("{")
        assert temporary.suffix == ".json" and list(tmp_path.glob("*.json")) == []
    assert [path.name for path in tmp_path.glob("*.json")] == ["a.json"]


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_holds_is_not(tmp_path):
    abandoned = tmp_path / f"{PARTIAL}abc"
    abandoned.mkdir()
    (abandoned / "half.wav").write_bytes(b"RIFF")
    (tmp_path / f"{PARTIAL}file").touch()  # no folder: not ours
    with partial_folder(tmp_path) as first:
        (first / "kept").touch()
        assert not abandoned.exists()
        with partial_folder(tmp_path) as second:
            assert (first / "kept").exists() and second != first
    assert [path.name for path in tmp_path.iterdir()] == [f"{PARTIAL}file"]


def test_a_folder_may_be_moved_out_of_its_partial_one(tmp_path):
    with partial_folder(tmp_path) as folder:
        (folder / "whole").mkdir()
        (folder / "whole").rename(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    "name", ["song", "a.b (live) [1]", ".hidden", "Где", "東京 🎵", "console", "com10", "aux-in", "e\u0301"]
)
def test_names_that_every_system_allows_stay(name):
    assert allowed_name(name) == name


@pytest.mark.parametrize(
    "name, expected",
    {
        "": "_", ".": "_", "..": "__", " ": "_", "a.": "a_", "a. .": "a___", "con": "_con", "Nul.tar.gz": "_Nul.tar.gz",
        "COM1": "_COM1", "lpt³.x": "_lpt³.x", "aux .b": "_aux .b", "AC/DC": "AC_DC",
        '<>:"\\|?*': "________", "a\tb\n": "a_b_",
    }.items(),
)  # fmt: skip
def test_names_that_windows_refuses_are_replaced(name, expected):
    assert allowed_name(name) == expected and allowed_name(expected) == expected
