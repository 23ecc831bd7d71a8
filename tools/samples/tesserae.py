"""The setter's hand of the mosaic: stones in rows.

The rows are levels of a field, `ROW` apart. The setter starts anywhere, walks along a row and puts down
stones, one a stride, until it meets others. A stone's ground is what is nearer to it than to the others in a
metric turned along its row, so stones are squarish, and are cut where rows meet.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .common import HEIGHT, SCALE, SHAPE, WIDTH

ROW = 8.6  # pixels from row to row


def set_stones(rng: np.random.Generator, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk along the rows and return the stones' places (n, 2), as x and y, and angles (n,)."""
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
                    i = min(max(int(y * SCALE), 0), SHAPE[0] - 1)
                    j = min(max(int(x * SCALE), 0), SHAPE[1] - 1)
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
    """Return each pixel's stone, its place in it (u along the row, v across) and the room to the next one."""
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
