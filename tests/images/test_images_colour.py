"""Every kind of picture gets the right colours: modes, depth, alpha, orientation, profiles; real files."""

import os
import warnings

import numpy as np
import pytest
from picture_files import (
    ADOBE_TO_XYZ,
    GAMMA,
    adobe_rgb,
    chunk,
    cmyk_profile,
    grey_profile,
    png,
    srgb_of_xyz,
    xyz_of_lab,
)
from PIL import Image, ImageCms

from nst_manual.errors import ImageError
from nst_manual.images import ImageWarning, read_image


def saved(tmp_path, image, name="picture.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def written(tmp_path, data, name="picture.png"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def on_white(source):
    """Read a picture that is transparent in places, and see that a warning says what becomes of them."""
    with pytest.warns(ImageWarning, match="is transparent in places, it is laid on white"):
        return read_image(source)


def colours(seed=0, size=(5, 7)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.ppm", "a.webp"])
def test_lossless_formats_keep_every_value(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    pixels = read_image(saved(tmp_path, Image.fromarray(colours()), name, **options))
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, colours())


def test_jpeg_comes_near(tmp_path):
    flat = np.broadcast_to(np.array([200, 90, 30], np.uint8), (16, 24, 3))
    pixels = read_image(saved(tmp_path, Image.fromarray(flat), "a.jpg", quality=95))
    np.testing.assert_allclose(pixels, flat, atol=3)


def test_content_counts_and_not_the_name(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), colours())


@pytest.mark.parametrize(
    "name", ["with space.png", "with\nbreak.png", "brush 🖌.png", "-leading.png", b"bad\xff.png"]
)
def test_odd_names(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    Image.fromarray(colours()).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", path)
    np.testing.assert_array_equal(read_image(os.fsdecode(path)), colours())


def test_arrays_and_pil_images():
    rgb, grey = colours(), colours()[..., 0]
    np.testing.assert_array_equal(read_image(rgb), rgb)
    np.testing.assert_array_equal(read_image(grey), np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(read_image(Image.fromarray(rgb)), rgb)
    pixels = read_image(rgb)
    pixels[:] = 0
    assert rgb.any(), "the array of the caller was changed"
    half = np.array([[[100, 0, 200, 51]]], np.uint8)  # one fifth
    np.testing.assert_allclose(on_white(half), [[[224, 204, 244]]], atol=1e-3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImageError, match=r"^style 2: .*\(") as caught:
        read_image(array, "style 2")
    assert str(array.shape) in str(caught.value)


@pytest.mark.parametrize("source", [None, 3, b"a.png", [[1]]])
def test_other_sources_are_refused(source):
    with pytest.raises(ImageError, match="expected a path, a PIL image or an array"):
        read_image(source)


def test_modes_without_colour(tmp_path):
    grey = colours()[..., 0]
    np.testing.assert_array_equal(read_image(saved(tmp_path, Image.fromarray(grey)))[..., 1], grey)
    bits = grey > 127
    np.testing.assert_array_equal(read_image(saved(tmp_path, Image.fromarray(bits)))[..., 2], 255 * bits)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_white(tmp_path, mode):
    rgba = np.random.default_rng(1).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    if mode == "LA":
        rgba[..., 1] = rgba[..., 2] = rgba[..., 0]
    image = Image.fromarray(rgba).convert(mode)
    opacity = rgba[..., 3:] / 255
    expected = rgba[..., :3] * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(on_white(saved(tmp_path, image)), expected, atol=1e-3)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 51])], ids=["one index", "a table"])
def test_palette_with_transparency_lies_on_white(tmp_path, transparency):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 100, 0, 200])
    image.putdata([0, 1, 2])
    last = [100, 0, 200] if transparency == 1 else [224, 204, 244]
    for name in ("a.png", "a.gif")[: 2 if transparency == 1 else 1]:
        pixels = on_white(saved(tmp_path, image, name, transparency=transparency))
        np.testing.assert_allclose(pixels, [[[10, 20, 30], [255, 255, 255], last]], atol=1e-3)


def test_an_alpha_channel_that_hides_nothing_is_no_reason_to_warn(tmp_path):
    opaque = np.dstack([colours(), np.full((5, 7), 255, np.uint8)])
    for source in (opaque, saved(tmp_path, Image.fromarray(opaque))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(read_image(source), colours())


def test_palette_with_alpha_channel_in_tiff(tmp_path):
    image = Image.new("PA", (1, 1))
    image.putpalette([100, 0, 200])
    image.putalpha(51)
    pixels = on_white(saved(tmp_path, image, "a.tif"))
    np.testing.assert_allclose(pixels, [[[224, 204, 244]]], atol=1e-3)


def test_premultiplied_grey(tmp_path):
    pixels = on_white(
        Image.merge("LA", [Image.new("L", (1, 1), 200), Image.new("L", (1, 1), 51)]).convert("La")
    )
    np.testing.assert_allclose(pixels, 255 - 55 / 5, atol=1)


def test_16_bit_grey_png_is_scaled_and_keeps_fractions(tmp_path):
    values = np.linspace(0, 65535, 4 * 300).round().astype(np.uint16).reshape(4, 300, 1)
    pixels = read_image(written(tmp_path, png(values, 0)))
    np.testing.assert_allclose(pixels[..., 1], values[..., 0] / 257, atol=1e-4)
    assert len(np.unique(pixels)) == 1200, "values were rounded to bytes"


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_grey_tiff_is_scaled(tmp_path, mode):
    values = np.array([[0, 1, 255, 256, 40000, 65535]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (6, 1), values.astype(dtype).tobytes())
    path = saved(tmp_path, image, "a.tif")
    with Image.open(path) as opened:
        assert opened.mode == mode, "the file does not test what it should"
    np.testing.assert_allclose(read_image(path)[..., 0], values / 257, atol=1e-4)


def test_16_bit_ppm_is_scaled(tmp_path):
    data = b"P5\n3 1\n65535\n" + np.array([0, 30000, 65535], ">u2").tobytes()
    np.testing.assert_allclose(read_image(written(tmp_path, data))[0, :, 0], [0, 30000 / 257, 255], atol=1e-4)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_16_bit_colour_and_alpha_png_is_scaled_to_8(tmp_path, colour_type, channels):
    values = np.linspace(0, 65535, 40 * channels).round().astype(np.uint16).reshape(4, 10, channels)
    if channels in (2, 4):
        values[..., -1] = 65535
    pixels = read_image(written(tmp_path, png(values, colour_type)))
    expected = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=2)
    np.testing.assert_allclose(pixels, expected / 257, atol=1)


def test_16_bit_grey_with_a_transparent_value(tmp_path):
    values = np.array([[[1000], [2000]]], np.uint16)
    pixels = on_white(written(tmp_path, png(values, 0, chunk(b"tRNS", b"\x03\xe8"))))
    np.testing.assert_allclose(pixels[0, :, 0], [255, 2000 / 257], atol=1e-4)


def test_float_grey(tmp_path):
    values = np.array([[0, 0.25, 1]], np.float32)
    pixels = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
    np.testing.assert_allclose(pixels[0, :, 2], [0, 63.75, 255])
    with pytest.warns(ImageWarning, match="taken as 0..255"):
        pixels = read_image(saved(tmp_path, Image.fromarray(values * 200), "a.tif"))
    np.testing.assert_allclose(pixels[0, :, 2], [0, 50, 200])


@pytest.mark.parametrize("worst", [-1.0, 256.0, np.nan, np.inf])
def test_float_grey_of_unknown_range_is_refused(tmp_path, worst):
    path = saved(tmp_path, Image.fromarray(np.array([[0.5, worst]], np.float32)), "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: float values from .*expected 0\.\.1"):
        read_image(path)


@pytest.mark.parametrize("worst", [-1, 65536])
def test_integers_of_unknown_range_are_refused(tmp_path, worst):
    path = saved(tmp_path, Image.fromarray(np.array([[5, worst]], np.int32)), "a.tif")
    with pytest.raises(ImageError, match=r"integer values from .*expected 0\.\.65535"):
        read_image(path)


def test_exif_orientation_is_applied(tmp_path):
    upright = colours(size=(4, 6))
    # what a camera stores, for each number, so that its reader turns it upright
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    for number, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = number
        path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(pixels)), exif=exif)
        np.testing.assert_array_equal(read_image(path), upright, err_msg=f"orientation {number}")


def test_orientation_of_a_jpeg(tmp_path):
    left_dark = np.zeros((16, 32, 3), np.uint8)
    left_dark[:, 16:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    pixels = read_image(saved(tmp_path, Image.fromarray(left_dark), "a.jpg", exif=exif))
    assert pixels.shape == (32, 16, 3)
    assert pixels[:12].max() < 20
    assert pixels[20:].min() > 235


def test_16_bit_picture_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.array([[257, 514]], np.uint16))
    np.testing.assert_allclose(read_image(saved(tmp_path, image, exif=exif))[:, 0, 0], [1, 2], atol=1e-5)


def test_adobe_rgb_is_converted(tmp_path):
    pixels = colours(size=(9, 11))
    pixels[0, :3] = [[0, 0, 0], [255, 255, 255], [128, 128, 128]]
    expected = srgb_of_xyz((pixels / 255) ** GAMMA @ ADOBE_TO_XYZ.T)
    assert np.abs(expected - pixels).max() > 20, "the conversion would not be seen"
    for name in ("a.png", "a.tif"):
        path = saved(tmp_path, Image.fromarray(pixels), name, icc_profile=adobe_rgb())
        np.testing.assert_allclose(read_image(path), expected, atol=2.5)


def test_adobe_rgb_with_alpha(tmp_path):
    rgba = np.dstack([colours(), np.full((5, 7), 51, np.uint8)])
    expected = 204 + srgb_of_xyz((rgba[..., :3] / 255) ** GAMMA @ ADOBE_TO_XYZ.T) / 5
    path = saved(tmp_path, Image.fromarray(rgba), icc_profile=adobe_rgb())
    np.testing.assert_allclose(on_white(path), expected, atol=0.6)


def test_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = saved(tmp_path, Image.fromarray(colours()), icc_profile=profile)
    np.testing.assert_allclose(read_image(path), colours(), atol=1)


def test_grey_profile_of_8_and_16_bits(tmp_path):
    values = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(1, 64)
    linear = values / 65535
    expected = srgb_of_xyz(linear[..., None] * np.array([0.9642, 1.0, 0.8249]))
    # linear light: sRGB is steep near black, where 256 entries of a table are coarse
    bright = values[0] > 6000
    deep = read_image(saved(tmp_path, Image.fromarray(values), icc_profile=grey_profile(1.0)))
    np.testing.assert_allclose(deep[:, bright], expected[:, bright], atol=1.5)
    assert len(np.unique(deep)) == 64
    byte = read_image(
        saved(tmp_path, Image.fromarray((values >> 8).astype(np.uint8)), icc_profile=grey_profile(1.0))
    )
    np.testing.assert_allclose(byte[:, bright], expected[:, bright], atol=4)


def test_cmyk_without_a_profile(tmp_path):
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    for name in ("a.tif", "a.jpg"):
        np.testing.assert_allclose(read_image(saved(tmp_path, image, name))[8, 8], [0, 255, 255], atol=4)
    half = Image.new("CMYK", (1, 1), (0, 0, 0, 128))
    np.testing.assert_allclose(read_image(saved(tmp_path, half, "a.tif")), 127, atol=1)


def test_cmyk_with_a_profile(tmp_path):
    # paper, then inks: only three corners are looked at
    inks = np.zeros((16, 3), np.uint8)
    inks[:] = [0, 128, 128]
    inks[0b0000] = [255, 128, 128]
    inks[0b1000] = [140, 110, 100]
    inks[0b0010] = [220, 128, 180]
    for corner, ink in ((0b0000, (0, 0, 0, 0)), (0b1000, (255, 0, 0, 0)), (0b0010, (0, 0, 255, 0))):
        light, a, b = inks[corner].astype(float)
        expected = srgb_of_xyz(xyz_of_lab((light * 100 / 255, a - 128, b - 128)))
        for name in ("a.tif", "a.jpg"):
            path = saved(tmp_path, Image.new("CMYK", (16, 16), ink), name, icc_profile=cmyk_profile(inks))
            np.testing.assert_allclose(read_image(path)[8, 8], expected, atol=3, err_msg=f"{ink} {name}")


@pytest.mark.parametrize("data", [b"no profile at all", adobe_rgb()[:140], cmyk_profile(np.zeros((16, 3)))])
def test_a_profile_that_cannot_be_used_is_reported(tmp_path, data):
    path = saved(tmp_path, Image.fromarray(colours()), icc_profile=data)
    with pytest.warns(ImageWarning, match=r"style .*picture\.png: .*profile"):
        pixels = read_image(path, "style")
    np.testing.assert_array_equal(pixels, colours())


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_animation_gives_its_first_frame_and_a_warning(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    with pytest.warns(ImageWarning, match="several frames or pages, the first one is used"):
        pixels = read_image(path)
    np.testing.assert_array_equal(pixels, np.broadcast_to([255, 0, 0], (8, 8, 3)))


def test_a_single_frame_gives_no_warning(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (8, 8), (255, 0, 0)), "a.gif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path)


def test_bands_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr("nst_manual.images.srgb._BAND", 20)
    rgba = np.random.default_rng(3).integers(0, 256, (23, 7, 4), dtype=np.uint8)
    opacity = rgba[..., 3:] / 255
    expected = rgba[..., :3] * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(on_white(saved(tmp_path, Image.fromarray(rgba))), expected, atol=1e-3)
