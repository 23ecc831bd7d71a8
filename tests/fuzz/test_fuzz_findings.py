"""What fuzzing found outside the readers of weights, made small."""

from __future__ import annotations

import pytest
from PIL import Image

from nst_manual.images.metadata import read_metadata


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    "text", ["[" * 20_000, '{"a":' * 5_000, '{"a": ' + "[" * 900 + "]" * 900 + "}", "{" + "9" * 5000]
)
def test_a_description_nested_too_deeply_is_not_ours(tmp_path, kind, text):
    exif = Image.Exif()
    exif[0x010E] = text
    Image.new("RGB", (3, 2)).save(tmp_path / "x", kind, exif=exif)
    assert read_metadata(tmp_path / "x") in ({}, {"a": "[" * 900 + "]" * 900})
