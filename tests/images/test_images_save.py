"""Saving: refused before the run where it cannot work, whole or not at all later; the faults are real."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_manual.errors import DivergedError, OutputError, ShapeError
from nst_manual.images import (
    OUTPUT_FORMATS,
    ImageWarning,
    check_output,
    encode_image,
    read_image,
    read_metadata,
    save_image,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def refusal(path, *arguments, **options):
    with pytest.raises(OutputError) as caught:
        check_output(path, *arguments, **options)
    assert caught.value.exit_code == 5
    return str(caught.value)


@pytest.mark.parametrize("extension", [*OUTPUT_FORMATS, ".PNG", ".Jpg"])
def test_each_format_is_written_as_what_it_is_called(tmp_path, extension):
    path = tmp_path / f"out{extension}"
    assert check_output(path) == path
    assert list(tmp_path.iterdir()) == [], "the check left something behind"
    save_image(path, PIXELS.astype(np.float32))
    with Image.open(path) as image:
        assert image.format == OUTPUT_FORMATS[extension.lower()]
    lossy = extension.lower() in (".jpg", ".jpeg", ".webp")
    if not lossy:
        np.testing.assert_array_equal(read_image(path), PIXELS)
    assert list(tmp_path.iterdir()) == [path]


def test_jpeg_keeps_the_colours_of_single_pixels():
    """Red and blue columns: with colours of half the resolution (4:2:0) both would turn purple."""
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    with Image.open(io.BytesIO(encode_image(stripes, ".jpg"))) as image:
        np.testing.assert_allclose(np.asarray(image, float), stripes, atol=40)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif"])
def test_metadata_comes_back(tmp_path, extension):
    texts = {"nst_manual": '{"size": 512, "style": "a\\nb"}', "title": "Über 画"}
    save_image(tmp_path / f"a{extension}", PIXELS, texts)
    assert read_metadata(tmp_path / f"a{extension}") == texts
    save_image(tmp_path / f"b{extension}", PIXELS)
    assert read_metadata(tmp_path / f"b{extension}") == {}


def test_metadata_where_there_is_no_place_and_of_strangers(tmp_path):
    save_image(tmp_path / "a.bmp", PIXELS, {"a": "b"})
    assert read_metadata(tmp_path / "a.bmp") == {}
    exif = Image.Exif()
    exif[0x010E] = "SONY DSC"
    Image.fromarray(PIXELS).save(tmp_path / "camera.jpg", exif=exif)
    assert read_metadata(tmp_path / "camera.jpg") == {}


def test_a_picture_is_not_lost_over_its_metadata(tmp_path):
    save_image(tmp_path / "a.png", PIXELS, {"content": "bad\udcff.png"})
    assert read_metadata(tmp_path / "a.png") == {"content": r"bad\udcff.png"}
    with pytest.warns(ImageWarning, match="saved without them"):
        save_image(tmp_path / "a.jpg", PIXELS, {"long": "x" * 70000})
    assert read_image(tmp_path / "a.jpg").shape == PIXELS.shape


def test_folder_missing_or_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert f"the folder {tmp_path}/none does not exist" in refusal(tmp_path / "none" / "a.png")
    assert f"{tmp_path}/file is not a folder" in refusal(tmp_path / "file" / "a.png")


def test_folder_not_writable():
    """For anyone without the rights of the superuser, whom permissions do not stop."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            assert f"the folder {folder} is not writable, Permission denied" in refusal(f"{folder}/a.png")
        finally:
            os.seteuid(user)


def test_folder_where_nobody_can_write():
    assert "is not writable" in refusal("/proc/a.png")


@pytest.mark.parametrize("path", [".", "", "/tmp"])
def test_no_file_name(path):
    with pytest.raises(OutputError):
        check_output(path)


def test_a_directory_of_that_name(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert "a.png: is a directory" in refusal(tmp_path / "a.png")


def test_a_device_or_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert "is a device, pipe or socket" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.jpgg", "did you mean '.jpg'?"),
        ("a.pn", "did you mean '.png'?"),
        ("a.xyz", "'.xyz'"),
        ("a", "no extension"),
    ],
)
def test_unknown_extension(tmp_path, name, hint):
    text = refusal(tmp_path / name)
    assert hint in text
    assert all(extension in text for extension in OUTPUT_FORMATS)
    with pytest.raises(OutputError, match="one of:"):
        save_image(tmp_path / name, PIXELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "zero\0byte.png"])
def test_names_that_no_file_can_have(tmp_path, name):
    assert "cannot be written" in refusal(tmp_path / name)
    with pytest.raises(OutputError, match="cannot be written"):
        save_image(tmp_path / name, PIXELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [b"bad\xff.png", "brush 🖌.png".encode(), b"two\nlines.png"])
def test_odd_names(tmp_path, name):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
    check_output(path)
    save_image(path, PIXELS)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    with pytest.raises(OutputError) as caught:
        check_output(path, [path])
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


def test_output_that_is_an_input(tmp_path):
    path = tmp_path / "a.png"
    save_image(path, PIXELS)
    os.link(path, tmp_path / "hard.png")
    os.symlink(path, tmp_path / "soft.png")
    for name in ("a.png", "hard.png", "soft.png", "../" + tmp_path.name + "/a.png"):
        text = refusal(tmp_path / name, ["elsewhere.jpg", str(path)])
        assert "is the input" in text
        assert "--force" in text
        assert check_output(tmp_path / name, [path], force=True) == tmp_path / name
    others = [PIXELS, Image.fromarray(PIXELS), tmp_path / "none.png"]
    assert check_output(path, others) == path, "only the same file counts"


def test_force_does_not_excuse_the_rest(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert "is a directory" in refusal(tmp_path / "a.png", force=True)


FULL = """if True:
    import resource, signal, sys
    import numpy as np
    from nst_manual.errors import OutputError
    from nst_manual.images import save_image
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    try:
        save_image(sys.argv[1], pixels)
    except OutputError as error:
        print(error.exit_code, error)
"""


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("room", [0, 1, 4096, 20000])
def test_a_full_disk_leaves_the_old_file(tmp_path, extension, room):
    path = tmp_path / f"a{extension}"
    save_image(path, PIXELS)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-B", "-c", FULL, path, str(room)], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"5 {path}: cannot be written, ")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_test_of_the_full_disk_can_save_where_there_is_room(tmp_path):
    done = subprocess.run(
        [sys.executable, "-B", "-c", FULL, tmp_path / "a.png", "1000000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    assert read_image(tmp_path / "a.png").shape == (200, 200, 3)


CALLS = ("mkstemp", "fchmod", "fsync", "replace")


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_each_call_of_the_system_fails_in_turn(tmp_path, monkeypatch, number):
    path = tmp_path / "a.png"
    save_image(path, PIXELS)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    module = tempfile if hasattr(tempfile, CALLS[number]) else os
    monkeypatch.setattr(module, CALLS[number], fail)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written, No space left on device"):
        save_image(path, 255 - PIXELS)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    save_image(path, 255 - PIXELS)
    np.testing.assert_array_equal(read_image(path), 255 - PIXELS)


def test_a_folder_lost_during_the_run(tmp_path):
    with pytest.raises(OutputError, match="cannot be written, No such file"):
        save_image(tmp_path / "gone" / "a.png", PIXELS)


def test_what_a_format_cannot_hold(tmp_path):
    wide = np.zeros((1, 70000, 3), np.uint8)
    for extension in (".jpg", ".webp"):
        with pytest.raises(OutputError, match="cannot hold this picture of 1 x 70000 pixels"):
            save_image(tmp_path / f"a{extension}", wide)
    assert list(tmp_path.iterdir()) == []


def test_pixels_that_are_none(tmp_path):
    path = tmp_path / "a.png"
    save_image(path, PIXELS)
    with pytest.raises(DivergedError, match="1 of 1800 values"):
        wrong = PIXELS.astype(float)
        wrong[3, 4, 1] = np.nan
        save_image(path, wrong)
    with pytest.raises(ShapeError):
        save_image(path, PIXELS[..., :2])
    np.testing.assert_array_equal(read_image(path), PIXELS)


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_output("a.png") == Path("a.png")
    save_image("a.png", PIXELS)
    assert (tmp_path / "a.png").exists()
