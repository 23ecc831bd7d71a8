"""Colour spaces whose first coordinate says how light a pixel is, and the other two which colour it has.

    "yiq"     Y = .299 R + .587 G + .114 B                                  0..255
              I = V cos 33 - U sin 33,  Q = V sin 33 + U cos 33  (degrees), U = .492111 (B - Y),
              V = .877283 (R - Y)                                           NTSC television, SMPTE 170M
    "ycbcr"   Y as above, Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402        ITU-R BT.601, all of 0..255
    "lab"     L = 116 f(Y / Yn) - 16, a = 500 (f(X / Xn) - f(Y / Yn)),
              b = 200 (f(Y / Yn) - f(Z / Zn)); f(t) = cbrt(t) where t > d^3, else t / (3 d^2) + 4 / 29,
              d = 6 / 29                                                    CIE 1976, L 0..100, white D65
    "oklab"   (L, a, b) = M2 cbrt(M1 rgb)                                   B. Ottosson 2020, L 0..1

R, G, B are the picture's values 0..255, with sRGB's curve in them, as television and JPEG define their
spaces. The last two are defined of light: r, g, b are R / 255, ... with the curve of IEC 61966-2-1 undone,

    r = v / 12.92 where v <= .04045, else ((v + .055) / 1.055)^2.4          v = R / 255

and (X, Y, Z) = M rgb, M from the primaries and the white point of the same standard.

Values outside 0..255 are not clamped: below 0 the curves go on as straight lines, above 255 as powers, and
every conversion has an inverse there too. Differs from JPEG in that Cb and Cr are 0 for greys, not 128.
"""

from __future__ import annotations

import math

import numpy as np

from nst_manual.errors import ShapeError, unknown_name

LUMA = (0.299, 0.587, 0.114)  # BT.601
SPACES = ("yiq", "ycbcr", "lab", "oklab")


def to_space(picture: np.ndarray, space: str) -> np.ndarray:
    """Return a picture's colours in another space.

    Parameters
    ----------
    picture : numpy.ndarray
        (..., 3), RGB, sRGB, 0..255, of uint8 or floats; values outside are allowed.
    space : {"yiq", "ycbcr", "lab", "oklab"}

    Returns
    -------
    numpy.ndarray
        (..., 3), lightness first; float64 for float64, float32 for everything else.

    Raises
    ------
    UsageError
        An unknown space.
    ShapeError
        The last axis does not hold three channels.
    """
    rgb = _colours(picture)
    _expect_space(space)
    if space in _LINEAR:
        return _times(rgb, _LINEAR[space])
    light = _decode(rgb / rgb.dtype.type(255))
    if space == "lab":
        f = _lab_curve(_times(light, _XYZ_OF_WHITE))  # (..., 3) of X, Y, Z beside the white's
        return _times(f, _LAB) - np.array([16, 0, 0], f.dtype)
    return _times(np.cbrt(_times(light, _OKLAB_M1)), _OKLAB_M2)


def from_space(values: np.ndarray, space: str) -> np.ndarray:
    """Return the picture (..., 3), RGB, 0..255, of colours in another space: the inverse of `to_space`.

    A lightness of one picture with the chrominance of another may be a colour that no screen shows: then
    values lie outside 0..255, and are the caller's to clamp.
    """
    values = _colours(values)
    _expect_space(space)
    if space in _LINEAR:
        return _times(values, np.linalg.inv(_LINEAR[space]))
    if space == "lab":
        f = _times(values + np.array([16, 0, 0], values.dtype), np.linalg.inv(_LAB))
        light = _times(_lab_curve_inverse(f), np.linalg.inv(_XYZ_OF_WHITE))
    else:
        roots = _times(values, np.linalg.inv(_OKLAB_M2))
        light = _times(roots**3, np.linalg.inv(_OKLAB_M1))
    return _encode(light) * light.dtype.type(255)


def _colours(picture: np.ndarray) -> np.ndarray:
    """Return a picture as floats (..., 3)."""
    if picture.ndim < 1 or picture.shape[-1] != 3:
        raise ShapeError("picture", f"expected three channels (last axis), got shape {picture.shape}")
    return picture if picture.dtype == np.float64 else picture.astype(np.float32, copy=False)


def _expect_space(space: str) -> None:
    if space not in SPACES:
        raise unknown_name("colour space", space, SPACES)


def _times(colours: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the matrix times each colour (..., 3)."""
    return colours @ matrix.T.astype(colours.dtype)


# The two pieces of sRGB's curve do not quite meet: light jumps here, from .00313080495 to .00313080728. The
# way back breaks in the middle of the jump, where no light comes from; the standard's .0031308 is before it.
_BREAK = 0.04045
_BREAK_OF_LIGHT = 0.00313080612


def _decode(v: np.ndarray) -> np.ndarray:
    """Return the light of sRGB values, both with white at 1."""
    low = v <= _BREAK
    power = ((np.where(low, 1, v) + 0.055) / 1.055) ** 2.4
    return np.where(low, v / 12.92, power).astype(v.dtype)


def _encode(light: np.ndarray) -> np.ndarray:
    """Return the sRGB values of light, both with white at 1."""
    low = light <= _BREAK_OF_LIGHT
    power = 1.055 * np.where(low, 1, light) ** (1 / 2.4) - 0.055
    return np.where(low, 12.92 * light, power).astype(light.dtype)


_D = 6 / 29


def _lab_curve(t: np.ndarray) -> np.ndarray:
    return np.where(t > _D**3, np.cbrt(t), t / (3 * _D**2) + 4 / 29).astype(t.dtype)


def _lab_curve_inverse(f: np.ndarray) -> np.ndarray:
    return np.where(f > _D, f**3, 3 * _D**2 * (f - 4 / 29)).astype(f.dtype)


def _yiq() -> np.ndarray:
    """Return the matrix of YIQ: the colour differences turned by 33 degrees."""
    y, (r, _, b) = np.array(LUMA), np.eye(3)
    u, v = 0.492111 * (b - y), 0.877283 * (r - y)
    sine, cosine = math.sin(math.radians(33)), math.cos(math.radians(33))
    return np.stack([y, v * cosine - u * sine, v * sine + u * cosine])


def _ycbcr() -> np.ndarray:
    """Return the matrix of YCbCr: Cb and Cr are +-127.5 at most."""
    y, (r, _, b) = np.array(LUMA), np.eye(3)
    return np.stack([y, (b - y) / (2 * (1 - LUMA[2])), (r - y) / (2 * (1 - LUMA[0]))])


def _xyz_of_white() -> np.ndarray:
    """Return the matrix from rgb to (X / Xn, Y / Yn, Z / Zn), from primaries and white.

    White is (1, 1, 1), and greys have no colour; the standard's own matrix, four decimals, leaves a tint.
    """
    primaries = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])  # x, y of red, green, blue
    x, y = np.append(primaries, [[0.3127, 0.3290]], axis=0).T  # the last is D65
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])  # (3, 4), at Y = 1
    white = xyz[:, 3]
    amounts = np.linalg.solve(xyz[:, :3], white)
    return xyz[:, :3] * amounts / white[:, None]


_LINEAR = {"yiq": _yiq(), "ycbcr": _ycbcr()}
_XYZ_OF_WHITE = _xyz_of_white()
_LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], float)
_OKLAB_M1 = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB_M2 = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
