"""Rows 7-16: pictures of any size, mode, depth, profile and name.

Without an iteration the picture is the photograph, here at its own size: every pixel can be compared.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from fault_program import SMALL
from fault_world import picture_files
from PIL import Image

files = picture_files()
ON_WHITE = "warning: content photo.png: is transparent in places, it is laid on white"
SEVERAL = "warning: content photo.png: has several frames or pages, the first one is used"
NOTHING = [*SMALL, "--iterations", "0"]


def noise(height, width, channels=3, seed=0):
    """Return random bytes (H, W, C)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def pixels_of(path):
    """Return what a picture holds (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def through(program):
    """Return what the program makes of photo.png where it does nothing, and what it said."""
    finished = program.paints("run", "photo.png", "painting.png", *NOTHING, "-o", "out.png")
    return pixels_of("out.png"), finished.err


@pytest.mark.fault(7)
@pytest.mark.parametrize(("side", "as_what"), [(1, "photo"), (15, "painting")])
def test_a_tiny_picture_is_enlarged(program, side, as_what):
    Image.fromarray(noise(side, side)).save(f"{as_what}.png")
    program.paints("run", "photo.png", "painting.png", *SMALL, "-o", "out.png")
    assert pixels_of("out.png").shape == (48 if as_what == "photo" else 40, 48, 3)


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    ("size", "as_what", "options", "found"),
    [
        ((1, 5000), "photo", [], "content: 1 x 48 pixels"),
        ((5000, 1), "painting", [], "style: 48 x 1 pixels"),
        ((15, 15), "photo", ["--size-rule", "original"], "content: 15 x 15 pixels"),
    ],
)
def test_a_picture_too_small_for_the_layers(program, size, as_what, options, found):
    Image.fromarray(noise(*size)).save(f"{as_what}.png")
    error = program.refuses(3, "run", "photo.png", "painting.png", *SMALL, *options, "-o", "old.png")
    assert error.startswith(f"error: {found} are too few for ")
    assert "the smallest is 17 x 17 for these layers" in error


@pytest.mark.fault(7)
def test_a_picture_so_narrow_that_its_size_has_no_end(program):
    Image.fromarray(noise(1, 5000)).save("photo.png")
    arguments = ["photo.png", "painting.png", *SMALL, "--size-rule", "shorter", "-o", "old.png"]
    error = program.refuses(3, "run", *arguments)
    assert error.startswith("error: content: is so narrow, 1 x 5000 pixels, that its longer side would have ")


def palette(path):
    """Save a picture of a palette, one of whose colours is transparent; return what it shows."""
    index = np.random.default_rng(0).integers(0, 3, (40, 48), dtype=np.uint8)
    colours = np.array([[10, 20, 30], [40, 50, 60], [100, 0, 200]])
    image = Image.fromarray(index, "L")
    image = Image.frombytes("P", (48, 40), index.tobytes())
    image.putpalette(colours.ravel().tolist())
    image.save(path, transparency=1)
    return np.where(index[..., None] == 1, 255, colours[index])


def one_bit(path):
    """Save black and white; return what it shows."""
    bits = noise(40, 48, 1)[..., 0] > 127
    Image.fromarray(bits).save(path)
    return np.repeat(bits[..., None] * 255, 3, axis=2)


def grey(path):
    """Save eight bits of grey; return what they show."""
    values = noise(40, 48, 1)
    Image.fromarray(values[..., 0]).save(path)
    return np.repeat(values, 3, axis=2)


def grey_with_alpha(path):
    """Save grey and alpha; return what they show on white."""
    values = noise(40, 48, 2)
    Image.fromarray(values, "LA").save(path)
    return np.repeat(on_white(values[..., :1], values[..., 1:]), 3, axis=2)


def cmyk(path):
    """Save four inks; return what they show by Pillow's formula."""
    inks = noise(40, 48, 4).astype(int)
    Image.frombytes("CMYK", (48, 40), inks.astype(np.uint8).tobytes()).save(path, "TIFF")
    return (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255


def on_white(values, alpha):
    """Return colours over white."""
    opacity = alpha / 255
    return values * opacity + 255 * (1 - opacity)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("mode", "warning"),
    [(grey, None), (grey_with_alpha, ON_WHITE), (palette, ON_WHITE), (cmyk, None), (one_bit, None)],
)
def test_colours_of_every_mode_are_right(program, mode, warning):
    expected = mode("photo.png")
    found, said = through(program)
    np.testing.assert_allclose(found, expected, atol=1)
    assert (warning in said) if warning else ("warning" not in said)


@pytest.mark.fault(9)
@pytest.mark.parametrize("colour", [0, 2], ids=["grey", "colour"])
def test_16_bits_are_scaled_and_not_clipped(folder, program, colour):
    values = np.random.default_rng(0).integers(0, 65536, (40, 48, 3 if colour else 1), dtype=np.uint16)
    (folder / "photo.png").write_bytes(files.png(values, colour))
    found, _ = through(program)
    np.testing.assert_allclose(found, np.broadcast_to(values / 257, (40, 48, 3)), atol=1)


@pytest.mark.fault(10)
def test_alpha_lies_on_white_and_the_program_says_so(program):
    rgba = noise(40, 48, 4)
    Image.fromarray(rgba).save("photo.png")
    found, said = through(program)
    np.testing.assert_allclose(found, on_white(rgba[..., :3], rgba[..., 3:]), atol=1)
    assert ON_WHITE in said.splitlines()


@pytest.mark.fault(11)
def test_exif_orientation_6_stands_upright(program):
    lying = noise(40, 48)
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of what is seen is the right edge of what is stored
    Image.fromarray(lying).save("photo.png", exif=exif)
    found, _ = through(program)
    np.testing.assert_array_equal(found, np.rot90(lying, -1))
    with Image.open("out.png") as image:
        assert image.getexif().get(0x0112, 1) == 1, (
            "turned, and said to lie still: viewers would turn it again"
        )


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(program, kind):
    frames = [Image.new("RGB", (48, 40), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save("photo.png", kind, save_all=True, append_images=frames[1:], **options)
    found, said = through(program)
    np.testing.assert_array_equal(found, np.broadcast_to([255, 0, 0], (40, 48, 3)))
    assert SEVERAL in said.splitlines()


@pytest.mark.fault(13)
def test_adobe_rgb_becomes_srgb(program):
    pixels = noise(40, 48)
    Image.fromarray(pixels).save("photo.png", icc_profile=files.adobe_rgb())
    found, _ = through(program)
    expected = files.srgb_of_xyz((pixels / 255) ** files.GAMMA @ files.ADOBE_TO_XYZ.T)
    np.testing.assert_allclose(found, expected, atol=3)
    assert np.abs(found - pixels).max() > 20, "the two spaces are as good as the same here"


@pytest.mark.fault(13)
def test_cmyk_with_a_profile_becomes_srgb(program):
    inks = np.zeros((16, 3), np.uint8)
    inks[:] = [0, 128, 128]  # Lab as bytes: black, but for paper and full cyan, which no formula makes so
    inks[0b0000], inks[0b1000] = [255, 128, 128], [140, 110, 100]
    full_cyan = Image.new("CMYK", (48, 40), (255, 0, 0, 0))
    full_cyan.save("photo.png", "TIFF", icc_profile=files.cmyk_profile(inks))
    found, _ = through(program)
    expected = files.srgb_of_xyz(files.xyz_of_lab((140 * 100 / 255, 110 - 128, 100 - 128)))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=3)


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)),
        ("FITS", b"SIMPLE  =                    T".ljust(2880)),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
    ],
)
def test_formats_that_are_not_read(folder, program, kind, data):
    (folder / "photo.png").write_bytes(data)
    error = program.refuses(3, "run", "photo.png", "painting.png", "-o", "old.png")
    assert error.startswith(
        f"error: content photo.png: is {kind}, which is not supported (expected JPEG, PNG"
    )


ODD = [
    (b"two words.png", b"two\nlines.png", "two words-two_lines.png"),
    ("brush 🖌.png".encode(), b"caf\xe9.png", "brush 🖌-caf_.png"),
    (b"-x.png", b"\x1b[31mred.png", "x-_[31mred.png"),
]


@pytest.mark.fault(15)
@pytest.mark.parametrize(("photo", "painting", "made"), ODD)
def test_odd_names_of_photograph_painting_and_automatic_output(program, photo, painting, made):
    """After `--` a name may begin with a dash; without -o the program chooses a name that can be printed."""
    shutil.copy(b"photo.png", photo)
    shutil.copy(b"painting.png", painting)
    finished = program.paints("run", *NOTHING, "--", photo, painting)
    assert finished.out == made + "\n"
    np.testing.assert_array_equal(pixels_of(made), pixels_of("photo.png"))


@pytest.mark.fault(15)
@pytest.mark.parametrize("name", [b"-x.png", b"two\nlines, caf\xe9 \xf0\x9f\x96\x8c.png"])
def test_odd_names_of_output_log_and_sheet(program, name):
    options = [b"--output=" + name, "--log", b"./" + name + b".jsonl", "--progress-sheet", b"./sheet-" + name]
    program.paints("run", "photo.png", "painting.png", *SMALL, *options)
    for made in (name, name + b".jsonl", b"sheet-" + name):
        assert os.path.getsize(made) > 0
    pixels_of(name)


LONG = "x" * 296 + ".png"


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("code", "arguments", "what"),
    [
        (3, [LONG, "painting.png", "-o", "out.png"], f"content {LONG}"),
        (5, ["photo.png", "painting.png", "-o", LONG], LONG),
        (5, ["photo.png", "painting.png", "-o", "out.png", "--log", LONG], LONG),
    ],
)
def test_names_of_300_characters(program, code, arguments, what):
    error = program.refuses(code, "run", *arguments)
    assert error.startswith(f"error: {what}: cannot be ")
    assert "File name too long" in error


@pytest.mark.fault(15)
def test_the_automatic_name_of_long_names_is_not_too_long(program):
    names = "x" * 251 + ".png", "é" * 125 + ".png"
    for name in names:
        shutil.copy("photo.png", name)
    for number in ("", "-2"):
        finished = program.paints("run", *names, *SMALL, "--save-every", "2")
        assert finished.out == "x" * 90 + "-" + "é" * 45 + number + ".png\n"


@pytest.mark.fault(16)
def test_the_painting_may_be_the_photograph(program):
    program.paints("run", "photo.png", "photo.png", *SMALL, "-o", "out.png")


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("photo.png", []),
        ("old.png", ["--init", "old.png"]),
        ("out.png", ["--progress-sheet", "photo.png"]),
        ("out.png", ["--log", "link.png"]),
    ],
)
def test_no_input_is_replaced_unasked(program, output, options):
    os.symlink("photo.png", "link.png")
    error = program.refuses(5, "run", "photo.png", "painting.png", *SMALL, "-o", output, *options)
    assert "is the input" in error
    assert "--force" in error


@pytest.mark.fault(16)
def test_force_replaces_an_input(program):
    program.paints("run", "photo.png", "painting.png", *SMALL, "-o", "photo.png", "--force")
    assert pixels_of("photo.png").shape == (40, 48, 3)
