"""Oil painting: an evening bay under a turning sky.

An underpainting says which colour stands where, and a vector field which way a brush would go there. Four
layers of strokes, broad to fine, follow the field. A stroke is a ribbon along a streamline: it tapers, its
bristles leave furrows of their own colour, and it runs dry towards the end. A height map keeps the paint's
thickness, and light from the upper left rakes over it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .common import HEIGHT, SCALE, SHAPE, WIDTH, bell, colours, grid, mix, noise, ramp, relief, smoothstep

SKY = colours("0a1442 102468 1a45a0 2f78c4 7cbcdc f6e2a4 f7b64e e8722f d9481f")
SEA = colours("f2b45e 5d9fb4 20659f 123f80 0c2257")
HILL = colours("2a4a63 16304f 0d1c38 081126")
GRASS = colours("1b2b33 3c5030 8a7a2a c9952c e9c25a")
CREAM, YELLOW, OCHRE, VERMILION, AZURE, NIGHT = colours("fbf0cf f7cf5b e0962c dd4a20 4f9ddb 14308c")
# what the fine strokes are sprinkled with: sky, sea, three hills, bank
ACCENTS = [colours(c) for c in ("4f9ddb 8cc4e8 fbf0cf f7cf5b", "7cc0d0 f7cf5b 0c2257 2f8fb8")]
ACCENTS += 3 * [colours("3f6ea0 7a3f4a 20507a")] + [colours("f6dc8a dd6a2a 2f4a2a e9b83a")]
HORIZON, SUN = 330.0, (452.0, 292.0)
# x, y, radius, turn: the focal swirls
SWIRLS = ((196, 150, 118, 1.0), (418, 108, 74, -1.0), (575, 182, 58, 1.0), (48, 262, 46, -1.0))
# half width, length, number, share of its colour that comes from the accents
LAYERS = ((11, 120, 1300, 0.02), (6.5, 95, 3600, 0.06), (3.8, 70, 6500, 0.10), (2.2, 42, 5500, 0.13))


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the underpainting (H, W, 3), directions as angles (H, W) and every pixel's region (H, W)."""
    x, y = grid()
    wobble = noise(rng, 90, 3)
    vx, vy = np.ones(SHAPE, np.float32), 0.35 * np.sin(x / 70 + y / 45) + 0.25 * wobble
    paint = ramp((y + 9 * wobble) / (HORIZON + 6), SKY)
    for cx, cy, radius, turn in SWIRLS:
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-3
        near = np.exp(-((r / radius) ** 2))
        strength = 4.5 * np.exp(-((r / (1.1 * radius)) ** 4))
        vx += strength * (-dy * turn - 0.22 * dx) / r
        vy += strength * (dx * turn - 0.22 * dy) / r
        # two arms of a logarithmic spiral: light on one side, night on the other
        arms = np.sin(2 * np.arctan2(dy, dx) * turn - 5.5 * np.log(r / radius + 0.12) + 0.5 * wobble)
        paint = mix(paint, AZURE, 0.8 * near * smoothstep(-0.5, 0.3, arms))
        paint = mix(paint, CREAM, 0.95 * near * smoothstep(0.25, 0.95, arms))
        paint = mix(paint, NIGHT, 0.85 * near * smoothstep(0.1, 0.9, -arms))
        paint = mix(paint, CREAM, smoothstep(0.44, 0.26, r / radius))
        paint = mix(paint, YELLOW, smoothstep(0.3, 0.16, r / radius))
        paint = mix(paint, OCHRE, 0.8 * smoothstep(0.16, 0.02, r / radius))

    dx, dy = x - SUN[0], y - SUN[1]
    r = np.hypot(dx, dy)
    above = y < HORIZON
    paint = mix(paint, YELLOW, 0.95 * np.exp(-((r / 62) ** 2)))
    paint = mix(paint, VERMILION, 0.75 * np.exp(-(((r - 66) / 15) ** 2)))
    paint = mix(paint, OCHRE, 0.75 * np.exp(-(((r - 42) / 7) ** 2)))
    paint = mix(paint, CREAM, smoothstep(34, 26, r))
    paint = mix(paint, YELLOW, 0.9 * smoothstep(20, 6, r))
    ring = 3.2 * np.exp(-((r / 70) ** 4))
    vx, vy = vx + ring * -dy / (r + 1), vy + ring * dx / (r + 1)
    region = np.zeros(SHAPE, np.uint8)

    depth = np.clip((y - HORIZON) / (HEIGHT - HORIZON), 0, 1)
    phase = depth**0.6 * 30 + 1.1 * np.sin(x / 83) + 0.8 * wobble
    swell = np.sin(phase)
    sea = ramp(np.clip(depth * 1.25 + 0.16 * swell + 0.05, 0, 1), SEA)
    path = np.exp(-(((x - SUN[0] + 10 * swell) / (20 + 60 * depth)) ** 2))
    sea = mix(sea, YELLOW, path * smoothstep(-0.1, 0.5, swell) * smoothstep(0.9, 0.2, depth))
    sea = mix(sea, VERMILION, 0.7 * path * smoothstep(0.3, -0.6, swell))
    paint = np.where(above[..., None], paint, sea)
    region[~above] = 1
    vx, vy = np.where(above, vx, 1), np.where(above, vy, 0.16 * np.cos(phase) + 0.1 * wobble)

    ridges = ((-150, 175, 96, 2), (690, 150, 64, 3), (30, 210, 54, 4))
    for cx, spread, top, number in ridges:
        line = HORIZON + 5 - top * bell(x, cx, spread) - 7 * np.sin(x / 31 + cx) - 3 * np.sin(x / 11)
        inside = (y > line) & (y < HORIZON + 6) & (line < HORIZON)
        t = np.clip((y - line) / 45 + 0.12 * wobble, 0, 1)
        hill = mix(ramp(t, HILL), VERMILION, 0.65 * smoothstep(9, 2, y - line) * (x < 560))
        paint = np.where(inside[..., None], hill, paint)
        region[inside] = number
        slope = np.gradient(line, 1 / SCALE, axis=1)
        vx, vy = np.where(inside, 1, vx), np.where(inside, slope + 0.5 * np.sin(x / 15), vy)

    bank = 512 - 88 * bell(x, -10, 210) - 46 * bell(x, 660, 130) + 6 * np.sin(x / 23)
    inside = y > bank
    t = np.clip(0.75 - (y - bank) / 95 + 0.2 * wobble + 0.3 * np.sin(x / 21 + y / 15), 0, 1)
    paint = np.where(inside[..., None], ramp(t, GRASS), paint)
    region[inside] = 5
    lean = 0.5 * np.sin(x / 55) + 0.35 * wobble
    vx, vy = np.where(inside, lean + 0.25, vx), np.where(inside, -1.0, vy)
    return paint.astype(np.float32), np.arctan2(vy, vx).astype(np.float32), region


def streamlines(
    rng: np.random.Generator, angle: np.ndarray, region: np.ndarray, length: float, count: int
) -> list[np.ndarray]:
    """Return `count` paths (n, 2) of x, y that follow `angle` from random places and stay in their region."""
    step, n = 1.5, max(6, int(length / 1.5))
    # some begin outside, or the edges that the field comes from would stay bare
    at = rng.uniform((-40, -15), (WIDTH + 15, HEIGHT + 15), (count, 2))
    stop = np.full(count, n)
    home, paths = None, np.empty((count, n, 2), np.float32)
    for i in range(n):
        paths[:, i] = at
        cell = np.clip((at * SCALE).astype(int), 0, (WIDTH * SCALE - 1, HEIGHT * SCALE - 1))
        here = region[cell[:, 1], cell[:, 0]]
        home = here if home is None else home
        # grass may stand out against the water: the bank's edge is ragged
        stop = np.where((here != home) & (home != 5) & (stop == n), i, stop)
        a = angle[cell[:, 1], cell[:, 0]]
        at = at + step * np.stack((np.cos(a), np.sin(a)), -1)
    lengths = np.minimum(stop, (n * rng.uniform(0.45, 1.0, count)).astype(int))
    return [path[:k] for path, k in zip(paths, lengths, strict=True) if k >= 5]


def stroke(
    rng: np.random.Generator,
    canvas: np.ndarray,
    height: np.ndarray,
    path: np.ndarray,
    half: float,
    colour: np.ndarray,
) -> None:
    """Lay one stroke of a brush `half` pixels wide to either side along `path` onto `canvas` and `height`."""
    n = int(len(path) * 1.5 * SCALE * 1.6)
    m = int(half * 2 * SCALE * 1.6) + 3
    s, t = np.linspace(0, 1, n, dtype=np.float32), np.linspace(-1, 1, m, dtype=np.float32)
    centre = np.stack([np.interp(s * (len(path) - 1), np.arange(len(path)), path[:, c]) for c in (0, 1)], -1)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    width = half * np.minimum(1, (s / 0.1) ** 0.5) * (1 - s**2.5) ** 0.6
    normal = np.stack((-along[:, 1], along[:, 0]), -1)
    place = centre[:, None] + (width[:, None] * t)[..., None] * normal[:, None]

    bristles = ndimage.gaussian_filter1d(rng.standard_normal(m).astype(np.float32), 1.3)
    bristles /= bristles.std() + 1e-6
    drift = ndimage.gaussian_filter1d(rng.standard_normal(n).astype(np.float32), n / 6) * (n / 6) ** 0.5
    wet = (bristles + 2.6 - 3.4 * smoothstep(0.45, 1.05, s)[:, None] - 0.6 * np.abs(t) ** 3) > 0
    ix, iy = (place * SCALE).astype(int).transpose(2, 0, 1)
    wet &= (ix >= 0) & (iy >= 0) & (ix < SHAPE[1]) & (iy < SHAPE[0])
    ix, iy = ix[wet], iy[wet]
    tone = 0.045 * bristles + 0.03 * drift[:, None] + 0.02 * t
    canvas[iy, ix] = (colour + tone[..., None] * (0.6 + colour))[wet]
    # paint is pushed to the sides of the brush and piles up where the stroke ends
    thick = (0.55 + 0.22 * bristles + 0.5 * np.abs(t) ** 4) * (0.75 + 0.5 * s[:, None] ** 2)
    height[iy, ix] = 0.35 * height[iy, ix] + (thick * min(half, 6) ** 0.5)[wet]


def paint() -> np.ndarray:
    """Return the picture (SCALE H, SCALE W, 3), floats in 0..1."""
    rng = np.random.default_rng(11)
    under, angle, region = scene(rng)
    canvas, height = 0.8 * under + 0.04, np.zeros(SHAPE, np.float32)
    for half, length, count, accent in LAYERS:
        for path in streamlines(rng, angle, region, length, count):
            middle = (path[len(path) // 3] * SCALE).astype(int)
            ix, iy = np.clip(middle, 0, (SHAPE[1] - 1, SHAPE[0] - 1))
            colour = under[iy, ix] * (1 + 0.12 * rng.standard_normal()) + 0.02 * rng.standard_normal(3)
            # pure paint: away from grey
            colour = mix(np.full(3, colour.mean()), colour, 1.18)
            if rng.random() < accent:
                colour = mix(colour, rng.choice(ACCENTS[region[iy, ix]]), 0.6)
            size = half * rng.uniform(0.7, 1.15) * (0.6 if region[iy, ix] in (2, 3, 4) else 1)
            stroke(rng, canvas, height, path, size, colour.astype(np.float32))
    light = relief(ndimage.gaussian_filter(height, 0.7), 0.9)
    canvas = canvas * (1 + 0.34 * light[..., None]) + 0.16 * np.clip(light - 0.35, 0, 1)[..., None]
    weave = noise(rng, 1.6) * 0.008
    return np.clip(canvas + weave[..., None], 0, 1)
