"""A file is the old one or the new one whole, and nothing else is left in its folder."""

from __future__ import annotations

import os
import stat

import pytest

from nst_manual.atomic import write_atomic
from nst_manual.errors import OutputError


@pytest.mark.parametrize("name", ["a.bin", "with space\nand newline", "\N{WATER WAVE}" * 60, "x" * 250])
def test_a_file_is_written_under_any_name_that_fits(tmp_path, name):
    for data in (b"first", b"second, longer"):
        write_atomic(tmp_path / name, data)
        assert (tmp_path / name).read_bytes() == data
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["picture.png"]


def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path):
    old, new, usual = tmp_path / "old", tmp_path / "new", tmp_path / "usual"
    old.write_bytes(b"")
    old.chmod(0o604)
    usual.write_bytes(b"")
    for path in (old, new):
        write_atomic(path, b"data")
    assert stat.S_IMODE(old.stat().st_mode) == 0o604
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_atomic(tmp_path / "nowhere" / "a.bin", b"data")
