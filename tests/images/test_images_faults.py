"""Files that are missing, hostile or damaged end in an error that names them; the faults are real."""

import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from picture_files import chunk, png, png_of_rows
from PIL import Image

from nst_manual.errors import ImageError, ResourceError, UsageError
from nst_manual.images import LIMIT_VARIABLE, read_image, read_metadata

# the most memory that the program had, in bytes; getrusage would count that of the process which started it
PEAK = """
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
"""

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(kind, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def message(path, what="content"):
    """Return what `read_image` says of the file, and see that the message is one line with path and role."""
    with pytest.raises(ImageError) as caught:
        read_image(path, what)
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert text.startswith(f"{what} {path}: ")
    assert "\n" not in text
    return text


def written(tmp_path, data, name="picture.png"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_missing(tmp_path):
    assert "does not exist" in message(tmp_path / "none.jpg")
    assert "does not exist" in message(str(tmp_path / "none.jpg"), "style 2")


def test_not_a_file(tmp_path):
    assert message(tmp_path) == f"content {tmp_path}: is a directory, expected an image file"
    assert message("/dev/null") == "content /dev/null: is a device, pipe or socket, expected an image file"
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:  # 108 bytes at most
        server.bind(f"{short}/s")
        assert "is a device, pipe or socket" in message(f"{short}/s")


def test_pipe_without_a_writer_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    program = "import sys; from nst_manual.images import read_image; read_image(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "pipe.png"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "ImageError" in done.stderr
    assert "pipe" in done.stderr


def test_unreadable():
    """Without the rights of the superuser, who may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "secret.png")
        path.write_bytes(encoded("PNG"))
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            assert "cannot be read, Permission denied" in message(path)
        finally:
            os.seteuid(user)


def test_a_disk_that_fails_while_reading():
    # a regular file that can be opened, and whose first page cannot be read
    assert "cannot be read, Input/output error" in message("/proc/self/mem")


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "zero\0byte.png"])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(ImageError, match="cannot be"):
        read_image(tmp_path / name)


def test_control_characters_of_a_name_stay_out_of_the_message(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_image(f"{tmp_path}/a\n\x1b[31m\udcff.png")
    text = str(caught.value)
    assert r"a\n\x1b[31m\udcff.png" in text
    text.encode()


def test_empty(tmp_path):
    assert message(written(tmp_path, b"")).endswith("is empty")


@pytest.mark.parametrize(
    "data",
    [
        b"just some text\n",
        b"<!DOCTYPE html><html><body><svg></svg>404</body></html>",
        b"\0" * 100,
        b"P3tunia\n",
        b"x",
        np.random.default_rng(1).bytes(5000),
    ],
    ids=["text", "html", "zeros", "like ppm", "one byte", "random"],
)
def test_not_an_image(tmp_path, data):
    assert "is not an image (expected JPEG, PNG," in message(written(tmp_path, data))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("SVG", b'<?xml version="1.0"?>\n<!-- a drawing -->\n<svg width="9" height="9"></svg>'),
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("AVIF", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"),
        ("FITS", b"SIMPLE  =                    T".ljust(2880)),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("PDF", b"%PDF-1.7\n"),
        ("PSD", b"8BPS\0\1"),
    ],
)
def test_known_formats_that_are_not_read(tmp_path, name, data):
    assert f"is {name}, which is not supported (expected JPEG" in message(written(tmp_path, data))


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "AVIF"])
def test_the_list_of_formats_is_closed(tmp_path, kind):
    """Whole files that Pillow itself would open."""
    path = written(tmp_path, encoded(kind))
    assert "is not an image" in message(path) or "not supported" in message(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_a_file_cut_at_any_place(tmp_path, kind):
    data = encoded(kind)
    read_image(written(tmp_path, data))
    for length in (len(data) // 2, len(data) * 9 // 10, 30):
        assert "truncated or damaged" in message(written(tmp_path, data[:length])), length


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpeg_without_its_last_bytes(tmp_path, options):
    data = encoded("JPEG", **options)
    for lost in (1, 2, 3):
        assert "truncated or damaged" in message(written(tmp_path, data[:-lost])), lost


def test_png_without_its_last_bytes(tmp_path):
    """All rows are there, so that a decoder alone does not notice."""
    data = encoded("PNG")
    for lost in (1, 2, 12, 14):
        assert "truncated or damaged, the end is missing" in message(written(tmp_path, data[:-lost])), lost


def test_flipped_bits_in_the_pixels_of_a_png(tmp_path):
    data = encoded("PNG")
    start = data.index(b"IDAT") + 4
    end = data.index(b"IEND") - 8
    for place in np.random.default_rng(2).integers(start, end, 40):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(place) % 8
        assert "truncated or damaged, wrong check sum in IDAT" in message(written(tmp_path, damaged)), place


def test_wrong_check_sum_of_the_png_header(tmp_path):
    data = bytearray(encoded("PNG"))
    data[data.index(b"IHDR") + 4 + 13] ^= 1
    assert "truncated or damaged, wrong check sum in IHDR" in message(written(tmp_path, data))


def test_a_damaged_comment_does_not_hurt(tmp_path):
    """Ancillary chunks are no part of the picture; Pillow may refuse some, this package refuses none."""
    extra = chunk(b"prVt", b"private data")
    data = png(PIXELS, 2, extra[:-1] + bytes([extra[-1] ^ 1]))
    try:
        np.testing.assert_array_equal(read_image(written(tmp_path, data)), PIXELS)
    except ImageError as error:
        assert "wrong check sum" not in str(error)


def test_damaged_exif_is_reported_and_the_picture_read(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x06\0"
    path = written(tmp_path, encoded("JPEG", exif=exif))
    with pytest.warns(UserWarning, match=r"content .*picture\.png: "):
        assert read_image(path, "content").shape[2] == 3


def test_header_of_3600_megapixels_costs_no_memory(tmp_path):
    path = written(tmp_path, png_of_rows(60000, 60000, 8, 2, [bytes(100)]))
    assert path.stat().st_size < 1024
    program = """
import sys
from nst_manual.errors import ResourceError
from nst_manual.images import read_image
try:
    read_image(sys.argv[1], "content")
except ResourceError as error:
    print(error.exit_code, peak(), error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", PEAK + program, path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    code, most, text = done.stdout.split(" ", 2)
    assert code == "6"
    assert int(most) < 300e6
    assert text.startswith(f"content {path}: ")
    assert "178956970" in text
    assert LIMIT_VARIABLE in text


def test_the_limit_is_exact_and_can_be_set(tmp_path, monkeypatch):
    path = written(tmp_path, encoded("PNG"))
    before = Image.MAX_IMAGE_PIXELS
    for limit, fits in (("2400", True), ("2399", False), ("1199", False), ("9999999999", True)):
        monkeypatch.setenv(LIMIT_VARIABLE, limit)
        if fits:
            assert read_image(path).shape == PIXELS.shape
        else:
            with pytest.raises(ResourceError, match=f"the limit is {limit} .*{LIMIT_VARIABLE}"):
                read_image(path)
            with pytest.raises(ResourceError):
                read_image(Image.fromarray(PIXELS))
            with pytest.raises(ResourceError, match=f"the limit is {limit} "):
                read_metadata(path)
        assert before == Image.MAX_IMAGE_PIXELS, "Pillow's setting was not put back"


def test_a_raised_limit_goes_beyond_that_of_pillow(tmp_path, monkeypatch):
    path = written(tmp_path, encoded("PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow alone would refuse 2400 pixels
    assert read_image(path).shape == PIXELS.shape
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("text", ["abc", "-5", "0", "1e9"])
def test_a_limit_that_is_no_number(tmp_path, monkeypatch, text):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(UsageError, match=f"{LIMIT_VARIABLE}: expected a number of pixels"):
        read_image(written(tmp_path, encoded("PNG")))


def test_a_large_picture_of_one_bit_takes_little_beyond_the_result(tmp_path):
    """16 megapixels from 2 kB: the result has 192 MB; a whole copy as RGB and as bytes would add 112 MB."""
    path = written(tmp_path, png_of_rows(4000, 4000, 1, 0, [bytes(500)] * 4000))
    assert path.stat().st_size < 5000
    program = """
import sys
from PIL import Image, PngImagePlugin
from nst_manual.images import read_image
before = peak()
pixels = read_image(sys.argv[1])
assert pixels.shape == (4000, 4000, 3)
print(peak() - before - pixels.nbytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", PEAK + program, path], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 60e6


def test_without_memory(tmp_path):
    path = written(tmp_path, png_of_rows(9000, 9000, 8, 0, [bytes(9000)] * 9000))
    program = """if True:
        import resource, sys
        import numpy
        from PIL import Image
        from nst_manual.errors import ResourceError
        from nst_manual.images import read_image
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
        try:
            read_image(sys.argv[1], "content")
        except ResourceError as error:
            print(error.exit_code, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"6 content {path}: not enough memory to decode it\n"


def test_metadata_of_damaged_files(tmp_path):
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_metadata(written(tmp_path, encoded("PNG")[:-20]))
    with pytest.raises(ImageError, match="does not exist"):
        read_metadata(tmp_path / "none.png")


def test_importing_the_package_does_not_import_pillow():
    program = "import sys, nst_manual.images; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
