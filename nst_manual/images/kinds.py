"""Which kinds of picture are read: a closed list, told apart by the first bytes and never by the file's name.

The list is closed because every decoder is a way in for a hostile file, and because some formats that Pillow
knows start other programs (EPS) or hold measurements that are no picture yet (FITS).
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

# Pillow's names, in the order tried
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
EXPECTED = "expected JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"

_HEAD = 1024  # bytes: an SVG may start with a long comment

_PNG = b"\x89PNG\r\n\x1a\n"
_SUPPORTED = (b"\xff\xd8\xff", _PNG, b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"GIF87a", b"GIF89a")
_UNSUPPORTED = {
    "EPS": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "PDF": (b"%PDF",),
    "FITS": (b"SIMPLE  =",),
    "PSD": (b"8BPS",),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "icon": (b"\0\0\x01\0",),
}


def head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file, enough for the functions below, and go back to its start."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    return head


def is_supported(head: bytes) -> bool:
    """Tell whether a file that starts so claims to be of one of `FORMATS`."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    # the white space after the magic number keeps a text that starts with "P3" apart from a PPM
    portable = head[:1] == b"P" and head[1:2] in b"123456fy" and head[2:3].isspace()
    return webp or portable or head.startswith(_SUPPORTED)


def unsupported_name(head: bytes) -> str | None:
    """Return the name of the format when it is a known one that is not read, else None."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        return "HEIC" if brand[:3] in (b"hei", b"hev", b"mif", b"msf") else "video"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    # a page of HTML may hold an <svg> too
    if text.startswith((b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in head:
        return "SVG"
    return next((name for name, starts in _UNSUPPORTED.items() if head.startswith(starts)), None)


def png_damage(file: BinaryIO) -> str | None:
    """Return what is wrong with the chunks of a PNG file, or None; other files are passed over.

    Decoders stop where the last row is complete, so that a lost end goes unnoticed; the check sums of the
    chunks show it. Only critical chunks count (first letter a capital): a damaged comment hurts no picture.
    """
    file.seek(0)
    if file.read(8) != _PNG:
        return None
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            return "the end is missing"
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        crc = zlib.crc32(kind)
        while length and (piece := file.read(min(length, 1 << 20))):
            crc, length = zlib.crc32(piece, crc), length - len(piece)
        stored = file.read(4)
        if len(stored) < 4:
            return "the end is missing"
        if kind[:1].isupper() and int.from_bytes(stored, "big") != crc:
            return f"wrong check sum in {ascii(kind)[2:-1]}"
    return None
