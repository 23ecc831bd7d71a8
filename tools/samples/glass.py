"""Leaded stained glass: a sun rising over hills and a river.

A design map gives each pixel its part (disc, rays, sky, hills, river, frame), and each part is broken into
panes: by angle and radius around the sun, elsewhere by a relaxed Voronoi diagram. Panes meet in lead, a
rounded black came with a dull highlight and a blob of solder where three of them meet. Every pane has its own
tint, thickness and streaks, with seeds (the bubbles of hand-made glass), and glows from its middle outwards.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .common import HEIGHT, SCALE, SHAPE, WIDTH, bell, colours, grid, mix, noise, relief, smoothstep

SUN, RADIUS = (388.0, 208.0), 62.0
FRAME = 26.0
# part -> its glasses
GLASS = {
    "disc": "ffd23c ffb81e ff9d12 ffe27a",
    "corona": "ff7a10 f4530f ff9420 e63a12",
    "ray": "ffc638 ff9a1f ffe9a8 f9b02a",
    "between": "1a63c8 0f4fae 2f8fd8 123d92",
    "sky": "0c3a94 1450b4 0a2c78 1e6fd0 2a2f90 0d5a9c",
    "far": "5a2a8c 7a35a0 43207a 8c4aa8",
    "middle": "0e6b52 12845a 0a5548 2a9a60",
    "near": "3f8f1e 6aa81e 2a7420 9cba24",
    "river": "18b0c4 35cdd0 0f8fb4 8fe4dc 1c9fd0",
    "field": "c41e2a d8392a a0142c e8702a",
    "frame": "8c1020 b01828 70101c",
    "jewel": "f6c12c 1c9c74 f6c12c 1a58c0",
}
PARTS = list(GLASS)


def design() -> tuple[np.ndarray, np.ndarray]:
    """Return the part of every pixel, and a first division into panes (0 where Voronoi cells are to come)."""
    x, y = grid()
    dx, dy = x - SUN[0], y - SUN[1]
    r, a = np.hypot(dx, dy), np.arctan2(dy, dx) / (2 * np.pi) + 0.5
    part = np.full(SHAPE, PARTS.index("sky"))
    pane = np.zeros(SHAPE, int)

    def put(where: np.ndarray, name: str, division: np.ndarray | int = 0) -> None:
        part[where] = PARTS.index(name)
        pane[where] = np.broadcast_to(division, SHAPE)[where]

    rays = a * 22 + 0.25
    # rays widen outwards and wave like flames; long and short ones take turns
    wave = rays + 0.12 * np.sin(r / 26)
    tooth = np.abs(wave % 1 - 0.5) * 2
    long = np.floor(wave) % 2 == 0
    reach = np.where(long, 900, 215)
    inside = tooth < np.where(long, 0.5, 0.8 * (1 - (r / 215) ** 2))
    bands = np.searchsorted([122, 168, 222, 284, 354], r + 5 * np.cos(2 * np.pi * wave))
    steps = np.searchsorted([140, 200, 270, 350], r)
    put(r < 350, "between", 1000 + 16 * np.floor(wave + 0.5).astype(int) + bands)
    put((r >= 350) & (x < SUN[0]), "sky", 1000 + 16 * np.floor(wave + 0.5).astype(int) + bands)
    put(inside & (r < reach), "ray", 4000 + 16 * np.floor(wave).astype(int) + steps)
    ring = RADIUS + 20 + 3 * np.cos(a * 2 * np.pi * 13)
    put(r < ring, "corona", 7000 + np.floor(a * 13).astype(int))
    put(r < RADIUS, "disc", 8000 + np.floor(a * 7 + 0.3).astype(int))
    put(r < 30, "disc", 8100)

    far = 292 - 62 * bell(x, 130, 95) - 34 * bell(x, 560, 80) + 8 * np.sin(x / 37)
    middle = 330 - 48 * bell(x, 20, 150) - 52 * bell(x, 640, 170) + 6 * np.sin(x / 45)
    near = 402 - 60 * bell(x, 90, 140) + 14 * np.sin(x / 70) - 36 * bell(x, 610, 90)
    field = 470 - 46 * bell(x, 20, 170) - 50 * bell(x, 620, 110)
    put(y > far, "far")
    put(y > middle, "middle")
    put(y > near, "near")
    put(y > field, "field")
    down = np.clip((y - 318) / (HEIGHT - 318), 0, 1)
    bed = 388 + 78 * np.sin(down * 5.4) * (0.3 + down) - 40 * down
    width = 7 + 88 * down**1.35
    slant = y + 9 * np.sin((x - bed) / (0.5 * width + 6))
    flow = np.searchsorted([334, 350, 370, 394, 424, 458, 490], slant)
    bank = x > bed + 0.4 * width * np.sin(y / 17)
    put((np.abs(x - bed) < width) & (y > 318), "river", 9000 + 4 * flow + bank)

    edge = np.minimum.reduce((x, y, WIDTH - x, HEIGHT - y))
    side = np.where(edge == x, 0, np.where(edge == y, 1, np.where(edge == WIDTH - x, 2, 3)))
    along = np.where(side % 2 == 0, y / HEIGHT * 8, x / WIDTH * 10)
    put(edge < FRAME, "frame", 10000 + 64 * side + np.floor(along).astype(int))
    lozenge = np.abs(along % 1 - 0.5) * 2.6 + np.abs(edge - FRAME / 2) / (FRAME / 2) < 0.8
    put((edge < FRAME) & lozenge, "jewel", 11000 + 64 * side + np.floor(along).astype(int))
    corner = (np.minimum(x, WIDTH - x) < FRAME) & (np.minimum(y, HEIGHT - y) < FRAME)
    put(corner, "jewel", 12000 + (2 * (x > WIDTH / 2) + (y > HEIGHT / 2)))
    return part, pane


def divide(rng: np.random.Generator, part: np.ndarray, pane: np.ndarray) -> np.ndarray:
    """Return the pane of every pixel, 0, 1, 2, ...: undivided parts get relaxed Voronoi cells."""
    key = part * 20000 + pane
    x, y = grid()
    for name, area in (("sky", 2300), ("far", 1500), ("middle", 1500), ("near", 1700), ("field", 1300)):
        inside = (part == PARTS.index(name)) & (pane == 0)
        spots = np.stack((x[inside], 1.5 * y[inside]), -1)  # cells wider than high: hills lie down
        if len(spots) < 50:
            continue
        count = max(2, int(len(spots) / SCALE**2 / area))
        seeds = rng.choice(spots, count, replace=False)
        for _ in range(5):
            nearest = cKDTree(seeds).query(spots)[1]
            total = np.bincount(nearest, minlength=count)[:, None]
            sums = [np.bincount(nearest, spots[:, c], minlength=count) for c in (0, 1)]
            seeds = np.where(total > 0, np.stack(sums, -1) / np.maximum(total, 1), seeds)
        bend = np.stack((6 * np.sin(spots[:, 1] / 23), 6 * np.sin(spots[:, 0] / 19)), -1)
        key[inside] = part[inside] * 20000 + 15000 + cKDTree(seeds).query(spots + bend)[1]
    return np.unique(key, return_inverse=True)[1].reshape(SHAPE)


def merge_slivers(label: np.ndarray, smallest: float) -> np.ndarray:
    """Return the labels with every connected piece under `smallest` square pixels given to its neighbour."""
    pieces, count = np.zeros(SHAPE, int), 0
    for k, box in enumerate(ndimage.find_objects(label + 1)):
        found, n = ndimage.label(label[box] == k)
        pieces[box] = np.where(found > 0, found + count, pieces[box])
        count += n
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    small = size[pieces] < smallest * SCALE**2
    nearest = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    return np.unique(pieces[tuple(nearest)], return_inverse=True)[1].reshape(SHAPE)


def paint() -> np.ndarray:
    """Return the picture (SCALE H, SCALE W, 3), floats in 0..1."""
    rng = np.random.default_rng(5)
    x, y = grid()
    part, pane = design()
    label = merge_slivers(divide(rng, part, pane), 90)
    count = label.max() + 1

    # each pane's part is the one that most of its pixels belong to
    votes = np.bincount((label * len(PARTS) + part).ravel(), minlength=count * len(PARTS)).reshape(count, -1)
    tint = np.empty((count, 3), np.float32)
    for k, p in enumerate(votes.argmax(1)):
        glasses = colours(GLASS[PARTS[p]])
        dye = rng.choice(glasses) * rng.uniform(0.82, 1.12) + 0.02 * rng.standard_normal(3)
        tint[k] = np.clip(dye, 0.02, 1)
    edges = np.zeros(SHAPE, bool)
    edges[:, 1:] |= label[:, 1:] != label[:, :-1]
    edges[1:] |= label[1:] != label[:-1]
    away = ndimage.distance_transform_edt(~edges) / SCALE + 0.35 * noise(rng, 9)

    # streaks run one way in each pane: two stretched noises, mixed by a number of the pane
    lie, stand, fine = noise(rng, (11, 80), 2), noise(rng, (80, 11), 2), noise(rng, 6, 2)
    share = rng.random(count).astype(np.float32)[label]
    streak = share * lie + (1 - share) * stand
    strength = rng.uniform(0.06, 0.2, count).astype(np.float32)[label]
    colour = ndimage.gaussian_filter(tint[label], (0.8, 0.8, 0))
    second = np.roll(tint, 1, axis=1)[label]
    colour = mix(colour, 0.6 * colour + 0.4 * second, 0.35 * smoothstep(0.2, 1.8, streak))
    tilt = rng.uniform(-1, 1, (count, 2)).astype(np.float32)[label]
    middle = ndimage.center_of_mass(np.ones(SHAPE), label, np.arange(count))
    cy, cx = (np.array(middle).T[:, label] / SCALE).astype(np.float32)
    lean = np.clip((tilt[..., 0] * (x - cx) + tilt[..., 1] * (y - cy)) / 40, -1, 1)
    glow = 0.86 + 0.36 * smoothstep(1, 12, away) + 1.3 * strength * streak + 0.05 * fine + 0.12 * lean
    sun = np.exp(-((np.hypot(x - SUN[0], y - SUN[1]) / 260) ** 2))
    glass = colour * (glow * (0.9 + 0.28 * sun))[..., None]
    glass += (0.16 * smoothstep(0.9, 1.5, glow) * (0.4 + colour.mean(-1)))[..., None]

    ripple = relief(0.8 * fine + 2.0 * streak, 0.9)
    glass *= 1 + 0.17 * ripple[..., None]
    seeds = ndimage.gaussian_filter((rng.random(SHAPE) > 0.9992).astype(np.float32), 1.3) * 9
    glass += 0.3 * np.clip(relief(seeds, 2.0), -0.5, 1)[..., None] * colour

    # the came: a half-round bar, wider between the big parts of the design
    big = np.zeros(SHAPE, bool)
    big[:, 1:] |= part[:, 1:] != part[:, :-1]
    big[1:] |= part[1:] != part[:-1]
    half = 1.7 + 0.8 * np.exp(-((ndimage.distance_transform_edt(~big) / SCALE / 5) ** 2))
    four = np.sort(np.stack((label[1:, 1:], label[1:, :-1], label[:-1, 1:], label[:-1, :-1])), axis=0)
    meeting = np.ones(SHAPE, bool)
    meeting[1:, 1:] = (np.diff(four, axis=0) > 0).sum(0) < 2
    half += 1.3 * np.exp(-((ndimage.distance_transform_edt(meeting) / SCALE / 3) ** 2))
    lead = np.sqrt(np.clip(1 - (away / half) ** 2, 0, 1))
    shine = relief(ndimage.gaussian_filter(lead * half, 0.8) + 0.12 * fine, 0.8)
    metal = 0.075 + 0.06 * lead + 0.012 * fine
    metal += 0.22 * np.clip(shine, 0, 1) ** 1.5 - 0.06 * np.clip(-shine, 0, 1)
    metal = np.clip(metal, 0, 1)[..., None] * colours("e4ecff")[0]
    shadow = 1 - 0.35 * smoothstep(3, 0, away - half)
    window = mix(glass * shadow[..., None], metal, smoothstep(0.0, 0.35, lead))
    # light spreads a little over the lead, in the eye as in a lens
    halo = ndimage.gaussian_filter(window, (9 * SCALE, 9 * SCALE, 0))
    return np.clip(window + 0.14 * halo * halo.max(-1, keepdims=True), 0, 1)
