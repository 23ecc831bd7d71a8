"""A file is the old one or the new one whole, and nothing else is left in its folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from nst_manual.atomic import abandon, replacing, write_atomic
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


HOLD = """
import sys, time
from nst_manual.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half of")
    print(temporary, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def at_work(tmp_path):
    """Another process that is writing to a path of this folder; the name of its temporary file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a.bin")], stdout=subprocess.PIPE, text=True
    )
    name = os.path.basename(process.stdout.readline().strip())
    yield process, name
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other locks")
def test_what_a_killed_process_left_is_removed_by_the_next_write_and_what_a_live_one_needs_is_not(
    tmp_path, at_work
):
    process, name = at_work
    write_atomic(tmp_path / "a.bin", b"new")
    assert sorted(os.listdir(tmp_path)) == [name, "a.bin"]
    process.kill()
    process.wait()
    write_atomic(tmp_path / "b.bin", b"other")  # of another path, which has no business with it
    assert sorted(os.listdir(tmp_path)) == [name, "a.bin", "b.bin"]
    write_atomic(tmp_path / "a.bin", b"newer")
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "b.bin"]


def test_files_of_others_are_not_taken_for_temporary_ones(tmp_path):
    names = [
        ".a.bin.tmp",
        ".a.bin.123.tmp",
        "a.bin.12345678.tmp",
        ".a.bin.12345678.tmp.png",
        ".a.bin2.12345678.tmp",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, (0, 0))
    write_atomic(tmp_path / "a.bin", b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "a.bin"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links")
def test_a_link_under_a_temporary_name_is_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    os.symlink("precious", tmp_path / ".a.bin.abcdefgh.tmp")
    write_atomic(tmp_path / "a.bin", b"new")
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_an_empty_one_that_was_made_just_now_may_be_about_to_be_locked(tmp_path):
    empty = tmp_path / ".a.bin.abcdefgh.tmp"
    empty.write_bytes(b"")
    write_atomic(tmp_path / "a.bin", b"new")
    assert empty.exists()
    os.utime(empty, (0, 0))
    write_atomic(tmp_path / "a.bin", b"newer")
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("links", [True, False])
def test_the_file_before_is_kept(tmp_path, monkeypatch, links):
    """Also on a disk without links."""
    if not links:
        monkeypatch.setattr(
            os, "link", lambda *names: (_ for _ in ()).throw(OSError(1, "Operation not permitted"))
        )
    path, previous = tmp_path / "a.bin", tmp_path / "a.previous.bin"
    abandoned = tmp_path / ".a.previous.bin.abcdefgh.tmp"  # of a copy that was killed
    abandoned.write_bytes(b"half")
    for number in range(3):
        with replacing(path, previous) as temporary:
            temporary.write_bytes(b"%d" % number)
            assert not number or path.read_bytes() == b"%d" % (number - 1)
        assert path.read_bytes() == b"%d" % number
        assert not number or previous.read_bytes() == b"%d" % (number - 1)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.previous.bin"]


def test_where_the_new_one_fails_the_file_and_the_one_before_stay(tmp_path):
    path, previous = tmp_path / "a.bin", tmp_path / "a.previous.bin"
    path.write_bytes(b"now")
    previous.write_bytes(b"before")
    with pytest.raises(OutputError, match="No space left"), replacing(path, previous) as temporary:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert (path.read_bytes(), previous.read_bytes()) == (b"now", b"before")
    with pytest.raises(KeyError), replacing(path, previous) as temporary:
        temporary.write_bytes(b"half")
        raise KeyError
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.previous.bin"]


def test_a_process_that_ends_on_the_spot_takes_its_temporary_files_along(tmp_path):
    with pytest.raises(OutputError), replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        abandon()
        assert os.listdir(tmp_path) == []
    assert os.listdir(tmp_path) == []
