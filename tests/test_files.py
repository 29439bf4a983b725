"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from oamip.errors import InputError, ModelFileError
from oamip.files import write_atomically


@pytest.mark.parametrize("content", ["naïve ≤\nlines\n", b"\x00\xff\r\n"])
def test_text_and_bytes_are_written_as_they_are_into_new_folders(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "deep" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(path / "below.json", "a file is no folder")


def test_a_place_that_is_taken_is_named_with_the_reason_in_the_wanted_kind_of_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ModelFileError, match=r"taken: cannot be written \(Is a directory\)"):
        write_atomically(tmp_path / "taken", b"new", error=ModelFileError)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_check_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    seen = []

    def check(written: Path) -> None:
        seen.append((written.read_text(), path.read_text()))
        if len(seen) == 1:
            raise LookupError

    with pytest.raises(LookupError):
        write_atomically(path, "new", check=check)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_atomically(path, "new", check=check)
    assert path.read_text() == "new"
    assert seen == [("new", "old"), ("new", "old")]


def test_permissions_are_those_of_a_plain_open(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "ours", "x")
        (tmp_path / "plain").write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
