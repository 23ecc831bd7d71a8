"""Rows 1-6: pictures that are missing, no pictures, damaged, or larger than they look."""

from __future__ import annotations

import io
import os
import shutil

import pytest
from fault_program import SMALL
from fault_world import Peak, picture_files, without_privilege
from PIL import Image

files = picture_files()
EXPECTED = "expected an image file"


def encoded(kind: str, **options) -> bytes:
    """Return the photograph in another format."""
    file = io.BytesIO()
    with Image.open("photo.png") as photo:
        photo.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nope.png", "does not exist"),
        ("folder.png", f"is a directory, {EXPECTED}"),
        ("/dev/null", f"is a device, pipe or socket, {EXPECTED}"),
        ("pipe.png", f"is a device, pipe or socket, {EXPECTED}"),
    ],
)
def test_a_content_that_is_no_file(folder, program, path, said):
    (folder / "folder.png").mkdir()
    os.mkfifo("pipe.png")  # nobody writes to it: to open it would be to wait for ever
    error = program.refuses(3, "run", path, "painting.png", "-o", "old.png", seconds=30)
    assert error == f"error: content {path}: {said}"


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["photo.png", "painting.png", "nope.png"], "style 2 nope.png"),
        (["photo.png", "painting.png", "--init", "pipe.png"], "--init pipe.png"),
        (["photo.png", "painting.png", "--content-mask", "pipe.png", *SMALL], "--content-mask pipe.png"),
    ],
)
def test_every_picture_is_named_by_its_option(program, arguments, what):
    os.mkfifo("pipe.png")
    error = program.refuses(3, "run", *arguments, "-o", "old.png", seconds=30)
    assert error.startswith(f"error: {what}: ")


@pytest.mark.fault(1)
def test_a_content_that_may_not_be_read(folder, program):
    (folder / "photo.png").chmod(0)
    finished = program("run", "photo.png", "painting.png", "-o", "old.png", before=without_privilege)
    assert (finished.code, finished.error) == (
        3,
        "error: content photo.png: cannot be read, Permission denied",
    )


@pytest.mark.fault(2)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>\n", "is not an image"),
    ],
    ids=["empty", "html"],
)
def test_a_content_that_is_no_picture(folder, program, data, said):
    (folder / "photo.png").write_bytes(data)
    error = program.refuses(3, "run", "photo.png", "painting.png", "-o", "old.png")
    assert error.startswith(f"error: content photo.png: {said}")


@pytest.mark.fault(3)
def test_names_say_nothing_about_the_format(folder, program):
    shutil.copy("photo.png", "photo.jpg")
    (folder / "painting.png").write_bytes(encoded("JPEG"))
    finished = program.paints("run", "photo.jpg", "painting.png", *SMALL, "-o", "out.png")
    assert "warning" not in finished.err


def flipped(data: bytes, place: int) -> bytes:
    """Return the data with one bit flipped."""
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


DAMAGES = {
    "JPEG cut at half": ("JPEG", lambda data: data[: len(data) // 2], "truncated"),
    "JPEG without its last two bytes": ("JPEG", lambda data: data[:-2], "truncated"),
    "PNG cut at half": ("PNG", lambda data: data[: len(data) // 2], "the end is missing"),
    "PNG without its last two bytes": ("PNG", lambda data: data[:-2], "the end is missing"),
    "PNG with a flipped bit": ("PNG", lambda data: flipped(data, data.index(b"IDAT") + 99), "IDAT"),
    "PNG with a wrong sum": ("PNG", lambda data: flipped(data, data.index(b"IHDR") + 17), "IHDR"),
}


@pytest.mark.fault(4)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_picture(folder, program, damage):
    kind, change, said = DAMAGES[damage]
    (folder / "photo.png").write_bytes(change(encoded(kind)))
    error = program.refuses(3, "run", "photo.png", "painting.png", "-o", "old.png")
    assert error.startswith("error: content photo.png: is truncated or damaged, ")
    assert said in error


@pytest.mark.fault(5)
def test_a_header_of_3600_megapixels(folder, program):
    (folder / "photo.png").write_bytes(files.png_of_rows(60000, 60000, 8, 2, [bytes(100)]))
    assert (folder / "photo.png").stat().st_size < 1024
    peak = Peak(folder)
    error = program.refuses(
        6, "run", "photo.png", "painting.png", "-o", "old.png", environment=peak.environment
    )
    assert error.startswith("error: content photo.png: too many pixels, the limit is 178956970 ")
    assert "NST_MANUAL_MAX_PIXELS" in error
    assert peak.bytes < 300e6


@pytest.mark.fault(6)
def test_78_megapixels_of_one_bit(folder, program):
    """The picture in full as floats has 940 MB; nothing near that size comes on top of it."""
    (folder / "photo.png").write_bytes(files.png_of_rows(8840, 8840, 1, 0, [bytes(1105)] * 8840))
    assert (folder / "photo.png").stat().st_size < 21000
    peak = Peak(folder)
    finished = program(
        "run", "photo.png", "painting.png", *SMALL, "-o", "o.png", environment=peak.environment
    )
    if finished.code == 6:
        assert "memory" in finished.error
        return
    assert finished.code == 0, finished.err
    assert peak.bytes < 1.4e9
