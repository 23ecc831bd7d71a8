"""Mosaic: a golden fish turning in turquoise water.

Distance fields say how the rows run (the andamento): around the fish, along its body, out of its fins, and
elsewhere along the swell; `tesserae` lays stones along them. Each stone has its own colour, tilt and bevel;
gold glitters; grout lies deeper, and in shadow.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .common import HEIGHT, SCALE, SHAPE, WIDTH, colours, grid, noise, ramp, relief, smoothstep
from .tesserae import ROW, lay, set_stones

STONES = {
    "water": colours("06304f 0a4a72 0f6f96 159fae 3cc4bf 8fe0d2"),
    "halo": colours("e9f0e0 bfe6dc f6ead0"),
    "gold": colours("8a5a12 c58a1c e6b23a f8d873 fff0b8"),
    "belly": colours("c8401c e0682a f09a4a f8c88a"),
    "fin": colours("8c1f1a c2331d e2572a f39a48"),
    "dark": colours("1c1420 2c2030"),
    "white": colours("f8f4e4 fffaf0"),
    "foam": colours("d8f0e8 f4f8ec a8e4dc"),
    "border": colours("2a1a52 3c2a74 241648"),
    "jewel": colours("d8a52c f2cc5c b8801c"),
}
NAMES = list(STONES)
GROUT = colours("2a2722")[0]
# the spine: x, y, half width of the body
SPINE = """118 232  2  134 196 34  172 158 56  226 138 70  288 144 74
           346 174 66  394 220 50  428 276 32  446 326 17  452 356 12"""
# a fin: the point from which its rays run, and its outline, as x and y
FINS = (
    ((440, 340), "444 336 486 346 544 322 600 336 572 372 510 398 506 446 470 486 432 476 434 420 440 376"),
    ((330, 330), "196 82 252 34 330 36 404 92 440 176 420 220 380 160 300 78"),
    ((240, 200), "214 190 262 200 274 256 266 312 224 352 150 364 138 346 184 304 204 250"),
    ((350, 210), "322 214 380 246 400 300 388 350 350 386 326 378 342 320 326 266"),
)


def numbers(text: str, columns: int) -> np.ndarray:
    """Return the numbers in `text` as rows of `columns`."""
    return np.array(text.split(), float).reshape(-1, columns)


def spline(points: np.ndarray, n: int) -> np.ndarray:
    """Return `n` points along a smooth curve through `points`."""
    at = np.linspace(0, len(points) - 1, n)
    return np.stack([ndimage.map_coordinates(p, [at], order=3, mode="nearest") for p in points.T], -1)


def polygon(p: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which pixels lie inside the smooth closed outline through the points `p` (n, 2)."""
    closed = np.concatenate([p[-3:], p, p[:4]])
    at = np.linspace(3, len(p) + 3, 160, endpoint=False)
    p = np.stack([ndimage.map_coordinates(c, [at], order=3) for c in closed.T], -1)
    inside = np.zeros(SHAPE, bool)
    for (ax, ay), (bx, by) in zip(p, np.roll(p, -1, axis=0), strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside


def away(mask: np.ndarray) -> np.ndarray:
    """Return the distance in pixels to `mask`'s outline, positive outside."""
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    return ((outside - inside) / SCALE).astype(np.float32)


def design(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kind of stone, the row field (rows are levels ROW apart) and the shade 0..1, all (H, W)."""
    x, y = grid()
    kind = np.full(SHAPE, NAMES.index("water"))
    body = spline(numbers(SPINE, 3), 240)
    tree = cKDTree(body[:, :2])
    distance, k = tree.query(np.stack((x, y), -1).reshape(-1, 2))
    distance, k = distance.reshape(SHAPE).astype(np.float32), k.reshape(SHAPE)
    along = np.gradient(body[:, :2], axis=0)[k]
    left = np.sign(along[..., 0] * (y - body[k, 1]) - along[..., 1] * (x - body[k, 0]))
    across = left * distance / np.maximum(body[k, 2], 1)
    trunk = np.abs(across) < 1
    t = k / 240

    parts = [polygon(numbers(outline, 2), x, y) & ~trunk for _, outline in FINS]
    fins = np.any(parts, axis=0)
    fish = trunk | fins
    skin = away(fish)

    swell = 17 * np.sin(x / 52 + y / 90) + 9 * np.sin(x / 27 - y / 60 + 1)
    wide = ndimage.gaussian_filter(skin, 14 * SCALE)
    near = smoothstep(60, 130, skin)
    rows = (1 - near) * skin + near * (0.55 * wide + 0.62 * y + 1.5 * swell)
    shade = 0.46 + 0.3 * np.sin(rows / 20) - 0.3 * (y / HEIGHT - 0.5) + 0.08 * noise(rng, 50, 2)
    crest = (np.sin(rows / 20) > 0.9) & (skin > 34)
    kind[crest] = NAMES.index("foam")
    kind[(skin > 0) & (skin < ROW)] = NAMES.index("halo")

    kind[trunk] = NAMES.index("gold")
    rows = np.where(trunk, across * np.maximum(body[k, 2], 1), rows)
    scales = np.sin(t * 100 + 6 * across**2)
    shade = np.where(trunk, 0.5 - 0.4 * across + 0.28 * scales, shade)
    lower = trunk & (across > 0.42)
    kind[lower] = NAMES.index("belly")
    shade = np.where(lower, 0.25 + 0.7 * across + 0.1 * scales, shade)
    kind[trunk & (np.abs(across - 0.42) < 0.07)] = NAMES.index("dark")
    gill = np.abs(t - 0.27 - 0.07 * (1 - across**2)) < 0.012
    kind[trunk & gill & (np.abs(across) < 0.85)] = NAMES.index("dark")

    kind[fins] = NAMES.index("fin")
    for inside, ((cx, cy), _) in zip(parts, FINS, strict=True):
        # rays: rows run out from where the fin grows, straight lines through one point
        angle = np.arctan2(y - cy, x - cx)
        reach = np.hypot(x - cx, y - cy)
        across_rays = angle * np.median(reach[inside])
        rows = np.where(inside, across_rays, rows)
        folds = 0.5 + 0.42 * np.sin(across_rays / 7.5) - 0.3 * smoothstep(0, -30, skin)
        shade = np.where(inside, folds, shade)

    ex, ey = body[38, 0] + 2, body[38, 1] - 12
    eye = np.hypot(x - ex, y - ey)
    rows = np.where(eye < 3 * ROW, eye, rows)
    for radius, name in ((3 * ROW, "dark"), (2 * ROW, "white"), (ROW, "dark")):
        kind[eye < radius] = NAMES.index(name)
    shade = np.where(eye < 3 * ROW, 0.6, shade)

    edge = np.minimum.reduce((x, y, WIDTH - x, HEIGHT - y))
    frame = edge < 3 * ROW
    rows = np.where(frame, edge, rows)
    kind[frame] = NAMES.index("border")
    kind[frame & (np.abs(edge - 1.5 * ROW) < ROW / 2)] = NAMES.index("jewel")
    shade = np.where(frame, 0.5 + 0.3 * np.sin((x + y) / 9), shade)
    return kind, rows.astype(np.float32), np.clip(shade, 0, 1)


def paint() -> np.ndarray:
    """Return the picture (SCALE H, SCALE W, 3), floats in 0..1."""
    rng = np.random.default_rng(8)
    kind, rows, shade = design(rng)
    places, angles = set_stones(rng, rows)
    stone, u, v, room = lay(places, angles)
    n = len(places)

    at = (np.clip(places * SCALE, 0, (SHAPE[1] - 1, SHAPE[0] - 1))).astype(int)
    kinds = kind[at[:, 1], at[:, 0]]
    tone = np.clip(shade[at[:, 1], at[:, 0]] + 0.13 * rng.standard_normal(n), 0, 1)
    colour = np.empty((n, 3), np.float32)
    for k, name in enumerate(NAMES):
        colour[kinds == k] = ramp(tone[kinds == k], STONES[name])
    colour *= rng.uniform(0.88, 1.1, (n, 1))
    colour += 0.022 * rng.standard_normal((n, 3))
    gilt = np.isin(kinds, [NAMES.index("gold"), NAMES.index("jewel")])

    tilt = rng.normal(0, 1, (n, 2)).astype(np.float32) * np.where(gilt, 0.16, 0.09)[:, None]
    rise = rng.uniform(0, 0.5, n).astype(np.float32)
    rough = noise(rng, 2.6, 2)
    edge = room + 0.12 * noise(rng, 3.2)
    body = smoothstep(0.35, 0.95, edge)
    slope = tilt[stone, 0] * u + tilt[stone, 1] * v
    height = body * (1.5 + 0.45 * smoothstep(0.6, 3.2, edge) + rise[stone] + slope)
    height = ndimage.gaussian_filter(height + 0.05 * rough, 0.6)
    light = relief(height, 0.9)
    shiny = gilt[stone] * body
    surface = colour[stone] * (1 + 0.05 * rough)[..., None]
    surface = surface * (1 + (0.42 + 0.25 * shiny) * light)[..., None]
    flash = smoothstep(0.12, 0.3, light) * (0.1 + 0.5 * shiny) * body
    surface += flash[..., None] * colours("fff2c8")[0]
    grout = GROUT * (1 + 0.25 * noise(rng, 1.8, 2))[..., None]
    dark = ndimage.shift(body, (2.2, 2.2), order=1, mode="nearest")
    grout = grout * (1.15 - 0.55 * dark)[..., None]
    return np.clip(np.where(stone[..., None] >= 0, grout + (surface - grout) * body[..., None], grout), 0, 1)
