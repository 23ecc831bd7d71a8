"""Files for the tests of pictures, byte by byte: PNG of any depth, ICC profiles of known colours."""

import struct
import zlib

import numpy as np

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """Return a PNG of (H, W, channels) values, uint8 or uint16, with the chunks `extra` before the pixels."""
    values = np.ascontiguousarray(values)
    depth = 8 * values.itemsize
    rows = values.astype(values.dtype.newbyteorder(">"))
    return png_of_rows(
        values.shape[1], values.shape[0], depth, colour_type, [row.tobytes() for row in rows], extra
    )


def png_of_rows(width, height, depth, colour_type, rows, extra=b"") -> bytes:
    """Return a PNG whose header says what is given, whatever the rows hold."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return PNG_MAGIC + chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _fixed(values) -> bytes:
    return b"".join(struct.pack(">i", round(float(v) * 65536)) for v in np.ravel(values))


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile, version 2."""
    text = b"made for a test\0"
    common = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50),
    }
    tags = common | tags
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I", start + len(body)) + bytes(4) + b"\x02\x40\0\0" + device + space + connection
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(128, b"\0") + table + body


D50 = np.array([0.9642, 1.0, 0.8249])
GAMMA = 563 / 256  # of Adobe RGB (1998), as profiles store it

# columns: XYZ (D50) of the primaries, as the specification of Adobe RGB (1998) prints them
ADOBE_TO_XYZ = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)

# sRGB (IEC 61966-2-1) adapted to D50 by Bradford's method
SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


def adobe_rgb() -> bytes:
    """Return a profile with the primaries and the gamma of Adobe RGB (1998)."""
    tags = {
        name: b"XYZ \0\0\0\0" + _fixed(ADOBE_TO_XYZ[:, i])
        for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(gamma: float) -> bytes:
    """Return a profile for grey pictures with a plain power curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cmyk_profile(inks) -> bytes:
    """Return a profile for CMYK; `inks` (16, 3) is Lab as bytes (L 255 / 100, a + 128, b + 128).

    Corners in the order of the numbers 0..15 with the bits C M Y K, between them the profile interpolates.
    """
    ramp = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(np.eye(3))
    table = head + 4 * ramp + np.asarray(inks, np.uint8).tobytes() + 3 * ramp
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def srgb_of_xyz(xyz) -> np.ndarray:
    """Return sRGB 0..255, clipped, of colours (..., 3) in XYZ (D50): the standard's formula."""
    linear = np.clip(np.asarray(xyz) @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def xyz_of_lab(lab) -> np.ndarray:
    """Return XYZ relative to D50 of one colour in CIE Lab."""
    light, a, b = lab
    f = np.array([(light + 16) / 116 + a / 500, (light + 16) / 116, (light + 16) / 116 - b / 200])
    return D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
