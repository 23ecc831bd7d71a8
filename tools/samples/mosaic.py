"""Mosaic: a golden fish turning in turquoise water.

Distance fields say how the rows run (the andamento): around the fish as mosaicists lay two rows about a figure, along
its body, and elsewhere along the swell. A setter walks along each row and puts down stones, one a stride; a stone's ground
is what is nearer to it than to the others in a metric turned along its row, so stones are squarish and are cut where rows
meet. Each stone has its own colour, tilt and bevel; gold ones glitter; grout lies deeper, and in shadow.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .common import HEIGHT, SCALE, SHAPE, WIDTH, colours, grid, noise, ramp, relief, smoothstep

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
ROW = 8.6  # pixels from row to row
GROUT = colours("2a2722")[0]
# the spine: x, y, half width of the body
SPINE = np.array(
    [[118, 232, 2], [134, 196, 34], [172, 158, 56], [226, 138, 70], [288, 144, 74], [346, 174, 66], [394, 220, 50],
     [428, 276, 32], [446, 326, 17], [452, 356, 12]], float,
)  # fmt: skip


def spline(points: np.ndarray, n: int) -> np.ndarray:
    """Return `n` points along a smooth curve through `points`."""
    at = np.linspace(0, len(points) - 1, n)
    return np.stack([ndimage.map_coordinates(p, [at], order=3, mode="nearest") for p in points.T], -1)


def polygon(points: list, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which pixels lie inside the smooth closed outline through `points`."""
    p = np.array(points, float)
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


def design(rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kind of stone (H, W), the row field (rows are its levels, ROW apart) and the shade 0..1 (H, W)."""
    x, y = grid()
    kind = np.full(SHAPE, NAMES.index("water"))
    body = spline(SPINE, 240)
    tree = cKDTree(body[:, :2])
    distance, k = tree.query(np.stack((x, y), -1).reshape(-1, 2))
    distance, k = distance.reshape(SHAPE).astype(np.float32), k.reshape(SHAPE)
    along = np.gradient(body[:, :2], axis=0)[k]
    left = np.sign(along[..., 0] * (y - body[k, 1]) - along[..., 1] * (x - body[k, 0]))
    across = left * distance / np.maximum(body[k, 2], 1)
    trunk = np.abs(across) < 1
    t = k / 240

    tail = polygon([(444, 336), (486, 346), (544, 322), (600, 336), (572, 372), (510, 398), (506, 446), (470, 486),
                    (432, 476), (434, 420), (440, 376)], x, y) & ~trunk  # fmt: skip
    back = polygon([(196, 82), (252, 34), (330, 36), (404, 92), (440, 176), (420, 220), (380, 160), (300, 78)], x, y)
    breast = polygon([(214, 190), (262, 200), (274, 256), (266, 312), (224, 352), (150, 364), (138, 346), (184, 304),
                      (204, 250)], x, y)  # fmt: skip
    vent = polygon([(322, 214), (380, 246), (400, 300), (388, 350), (350, 386), (326, 378), (342, 320), (326, 266)], x, y)
    fins = (tail | back | breast | vent) & ~trunk
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
    for part, (cx, cy) in ((tail, (440, 340)), (back, (330, 330)), (breast, (240, 200)), (vent, (350, 210))):
        # rays: rows run out from where the fin grows, straight lines through one point
        angle = np.arctan2(y - cy, x - cx)
        reach = np.hypot(x - cx, y - cy)
        inside = part & ~trunk
        middle = np.median(reach[inside])
        rows = np.where(inside, angle * middle, rows)
        shade = np.where(inside, 0.5 + 0.42 * np.sin(angle * middle / 7.5) - 0.3 * smoothstep(0, -30, skin), shade)

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


def set_stones(rng, rows: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk along the rows and return the stones' places (n, 2) as x, y and their directions (n,) as angles."""
    smooth = ndimage.gaussian_filter(rows, 1.5)
    gy, gx = np.gradient(smooth, 1 / SCALE)
    steep = np.hypot(gx, gy) + 1e-4
    level = (np.round(rows / ROW - 0.5) + 0.5) * ROW
    off = np.abs(rows - level) / steep
    start = np.argwhere(off < 0.5)
    rng.shuffle(start)
    cell = 4.0
    used: dict[tuple[int, int], list[tuple[float, float]]] = {}
    places, angles = [], []

    def free(x: float, y: float, room: float) -> bool:
        i, j = int(x // cell), int(y // cell)
        spots = (s for a in range(i - 2, i + 3) for b in range(j - 2, j + 3) for s in used.get((a, b), ()))
        return all((sx - x) ** 2 + (sy - y) ** 2 > room * room for sx, sy in spots)

    for sy, sx in start:
        x0, y0 = sx / SCALE, sy / SCALE
        if not free(x0, y0, 0.8 * ROW):
            continue
        aim = level[sy, sx]
        for way in (1, -1):
            x, y = x0, y0
            heading = None
            while True:
                i, j = int(y * SCALE), int(x * SCALE)
                if not (0 <= i < SHAPE[0] and 0 <= j < SHAPE[1]) or abs(rows[i, j] - aim) > 0.8 * ROW:
                    break
                tx, ty = -gy[i, j] / steep[i, j], gx[i, j] / steep[i, j]
                first = heading is None
                if first or tx * heading[0] + ty * heading[1] < 0:
                    tx, ty = (way * tx, way * ty) if first else (-tx, -ty)
                if not first or way == 1:
                    if not free(x, y, 0.74 * ROW):
                        break
                    places.append((x, y))
                    angles.append(np.arctan2(ty, tx))
                    used.setdefault((int(x // cell), int(y // cell)), []).append((x, y))
                heading = (tx, ty)
                stride = ROW * rng.uniform(0.92, 1.2)
                for _ in range(4):
                    x, y = x + tx * stride / 4, y + ty * stride / 4
                    i, j = min(max(int(y * SCALE), 0), SHAPE[0] - 1), min(max(int(x * SCALE), 0), SHAPE[1] - 1)
                    # back onto the row, but never by more than a little: fields may be torn
                    back = np.clip((aim - rows[i, j]) / max(steep[i, j], 0.3), -1, 1)
                    x, y = x + back * gx[i, j] / steep[i, j], y + back * gy[i, j] / steep[i, j]
    # where the field is flat no row runs: single stones fill what is left
    holes = np.argwhere(np.ones((HEIGHT // 2, WIDTH // 2), bool)) * 2.0 + 1
    rng.shuffle(holes)
    for y, x in holes:
        if free(x, y, 0.9 * ROW):
            i, j = int(y * SCALE), int(x * SCALE)
            places.append((x, y))
            angles.append(np.arctan2(gx[i, j], -gy[i, j]))
            used.setdefault((int(x // cell), int(y // cell)), []).append((x, y))
    return np.array(places), np.array(angles)


def lay(places: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for each pixel its stone, its place within (u along the row, v across), and the room to the next stone."""
    best, second = np.full(SHAPE, 9.0, np.float32), np.full(SHAPE, 9.0, np.float32)
    stone = np.full(SHAPE, -1)
    u_all, v_all = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    reach = int(1.25 * ROW * SCALE)
    for k, ((x, y), a) in enumerate(zip(places, angles, strict=True)):
        i, j = int(y * SCALE), int(x * SCALE)
        top, left = max(i - reach, 0), max(j - reach, 0)
        box = np.s_[top : min(i + reach, SHAPE[0]), left : min(j + reach, SHAPE[1])]
        yy, xx = np.ogrid[box]
        dx, dy = (xx + 0.5) / SCALE - x, (yy + 0.5) / SCALE - y
        u, v = dx * np.cos(a) + dy * np.sin(a), dy * np.cos(a) - dx * np.sin(a)
        # a square's metric, its corners a little rounded
        d = ((np.abs(u) ** 6 + np.abs(v) ** 6) ** (1 / 6)).astype(np.float32)
        closer = d < best[box]
        second[box] = np.where(closer, best[box], np.minimum(second[box], d))
        best[box] = np.where(closer, d, best[box])
        stone[box] = np.where(closer, k, stone[box])
        u_all[box], v_all[box] = np.where(closer, u, u_all[box]), np.where(closer, v, v_all[box])
    return stone, u_all, v_all, np.minimum(second - best, 1.6 * (0.68 * ROW - best))


def paint() -> np.ndarray:
    """Return the picture (SCALE H, SCALE W, 3), floats in 0..1."""
    rng = np.random.default_rng(8)
    kind, rows, shade = design(rng)
    places, angles = set_stones(rng, rows, kind)
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
    height = body * (1.5 + 0.45 * smoothstep(0.6, 3.2, edge) + rise[stone] + tilt[stone, 0] * u + tilt[stone, 1] * v)
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
