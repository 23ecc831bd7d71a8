"""Rows 26 and 27: outputs that cannot be written, known before the run; disks that are full, after it."""

from __future__ import annotations

import os

import pytest
from fault_program import SMALL
from fault_world import largest_file, small_disk, without_privilege
from PIL import Image

GOOD = ["run", "photo.png", "painting.png"]
LONG = ["--iterations", "1000000"]  # what would not end: the fault has to be known before the run
IMPOSSIBLE = [
    ([*GOOD, *LONG, "-o", "nowhere/out.png"], "nowhere/out.png: the folder nowhere does not exist"),
    ([*GOOD, *LONG, "-o", "photo.png/out.png"], "photo.png/out.png: photo.png is not a folder"),
    ([*GOOD, *LONG, "-o", "folder.png"], "folder.png: is a directory"),
    (
        [*GOOD, *LONG, "-o", "out.xyz"],
        "out.xyz: '.xyz' is not an extension that can be written (one of: .png",
    ),
    ([*GOOD, *LONG, "-o", "out.jpgg"], "out.jpgg: '.jpgg' is not an extension that can be written, did you"),
    ([*GOOD, *LONG, "-o", "old.png", "--log", "nowhere/log"], "nowhere/log: the folder nowhere does not"),
    ([*GOOD, *LONG, "-o", "old.png", "--log", "old.png"], "old.png: is asked for twice"),
    ([*GOOD, *LONG, "-o", "old.png", "--progress-sheet", "nowhere/a.png"], "nowhere/a.png: the folder"),
    ([*GOOD, *LONG, "-o", "old.png", "--progress-sheet", "a.txt"], "a.txt: '.txt' is not an extension"),
    (["invert", "photo.png", *LONG, "-o", "nowhere/out.png"], "nowhere/out.png: the folder nowhere"),
    (["figure", "layers", *LONG, "-o", "nowhere/out.png"], "nowhere/out.png: the folder nowhere"),
]


@pytest.mark.fault(26)
@pytest.mark.parametrize(("arguments", "said"), IMPOSSIBLE, ids=lambda value: " ".join(value)[-50:])
def test_an_output_that_cannot_be_is_known_before_the_run(folder, program, arguments, said):
    (folder / "folder.png").mkdir()
    error = program.refuses(5, *arguments, seconds=60)
    assert error.startswith(f"error: {said}")


@pytest.mark.fault(26)
@pytest.mark.parametrize("option", ["-o", "--log"])
def test_a_folder_that_may_not_be_written(folder, program, option):
    (folder / "shut").mkdir(mode=0o555)
    arguments = [*GOOD, *LONG, *([] if option == "-o" else ["-o", "old.png"]), option, "shut/out.png"]
    error = program.refuses(5, *arguments, before=without_privilege, seconds=60)
    assert error == "error: shut/out.png: the folder shut is not writable, Permission denied"


def refuses_where_it_is_full(program, at: str, **more) -> None:
    """Run into a full disk with an older picture there; hold that it stays alone, and what is said."""
    old = program.snapshot()
    spare = program.folder.with_name(program.folder.name + "-spare")  # where a picture may be put instead
    spare.mkdir()
    environment = {"TMPDIR": str(spare)}
    finished = program(*GOOD, *SMALL, "--iterations", "0", "-o", at, environment=environment, **more)
    assert (finished.code, finished.error.split(",")[0]) == (5, f"error: {at}: cannot be written")
    assert program.snapshot() == old


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("kind", "room"), [("png", 0), ("jpg", 100), ("tif", 1000), ("bmp", 4096), ("webp", 9)]
)
def test_a_disk_full_in_the_middle_of_the_picture(folder, program, kind, room):
    (folder / f"there.{kind}").write_bytes(b"an older picture")
    refuses_where_it_is_full(program, f"there.{kind}", before=largest_file(room))


@pytest.mark.fault(27)
def test_a_small_disk_that_is_full(folder, program):
    with small_disk(folder / "disk", 4 * os.sysconf("SC_PAGE_SIZE")) as disk:
        (disk / "there.bmp").write_bytes(b"an older picture")
        (disk / "other").write_bytes(bytes(2 * os.sysconf("SC_PAGE_SIZE")))
        refuses_where_it_is_full(program, "disk/there.bmp")


@pytest.mark.fault(27)
@pytest.mark.parametrize("option", ["--log", "--progress-sheet"])
def test_a_disk_full_on_the_way_costs_no_picture(folder, program, option):
    """The picture is a small JPEG, for which there is room: it is saved, and what could not be is told."""
    made = {"--log": "made.jsonl", "--progress-sheet": "made.png"}[option]
    arguments = [*GOOD, *SMALL, "--size", "24", "--iterations", "30", "-o", "out.jpg", option, made]
    finished = program(*arguments, before=largest_file(4400))
    assert finished.code == 5
    assert made in finished.error
    assert "cannot be written, File too large" in finished.error
    with Image.open("out.jpg") as picture:
        picture.load()
    assert not [name for name in program.snapshot() if name.endswith(".tmp")]


@pytest.mark.fault(27)
def test_a_disk_full_at_a_picture_on_the_way(folder, program):
    (folder / "out.png").write_bytes(b"an older picture")
    old = program.snapshot()
    finished = program(*GOOD, *SMALL, "-o", "out.png", "--save-every", "1", before=largest_file(100))
    assert finished.code == 5
    assert "cannot be written, File too large" in finished.error
    assert program.snapshot() == old
