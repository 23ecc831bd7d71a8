"""Woodcut in five blocks: mountains, a red sun and a rough sea.

The black block is cut in lines. In every part of the picture a phase grows across the lines, so that they
follow the form (down a mountain's flanks, along a wave, around the sun); the darker the tone, the wider the
line. Four colour blocks (ochre, green, blue, red) are printed a little out of register. Ink lies unevenly:
the wood's grain, starved patches and the paper's fibres show through.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .common import HEIGHT, SCALE, SHAPE, WIDTH, colours, grid, mix, noise, smoothstep

PAPER, INK, RED, BLUE, TEAL, OCHRE = colours("f1e4c6 17161a d63a1f 2f78b4 6fb0a6 eba73c")
SUN, RADIUS = (432.0, 150.0), 84.0
# height of the base, relief, seed of the outline, period of the lines, lightness of the lit side
RANGES = ((318, 1.0, 3, 5.6, 0.74), (344, 0.62, 9, 6.4, 0.66), (366, 0.34, 20, 7.2, 0.5))
PEAKS = (
    ((150, 196, 150), (330, 74, 95), (22, 96, 95), (560, 118, 130)),
    ((20, 210, 120), (250, 120, 105), (640, 250, 120), (480, 96, 80)),
    ((120, 130, 120), (390, 110, 110), (590, 200, 90)),
)


class Print:
    """The black block as it is cut: lines are added part by part, near parts over far ones."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.ink = np.zeros(SHAPE, np.float32)  # above 0: stands, and prints
        self.wobble, self.swell, self.nick = noise(rng, 26, 2), noise(rng, (14, 14), 2), noise(rng, 4.5, 2)

    def cut(self, where: np.ndarray, phase: np.ndarray, tone: np.ndarray, hand: float = 0.12) -> None:
        """Hatch `where` with a black line at each whole number of `phase`; `tone` 0 is white, 1 black."""
        phase = phase + hand * self.wobble
        # distance from a line's middle, 0..1, as a share of the room between two lines
        away = 2 * np.abs(phase - np.round(phase))
        # each line thins and swells on its own, as the knife goes
        own = 0.22 * np.sin(2.4 * np.round(phase) + 5 * self.swell / 3)
        line = tone * (1 + 0.4 * own) + 0.07 * self.nick - away
        line = np.where(tone < 0.04, -1, np.where(tone > 0.97, 1, line))
        self.ink = np.where(where, line, self.ink)

    def outline(self, distance: np.ndarray, width: np.ndarray | float) -> None:
        """Add a contour where `distance` (pixels) is within `width`, of uneven strength."""
        width = width * (1 + 0.22 * self.swell) + 0.3 * self.nick
        self.ink = np.maximum(self.ink, 0.6 * (width - np.abs(distance)))


def mountains(rng, block: Print, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut three ranges, far to near; return where mountains are, and how much snow lies there."""
    covered, snow = np.zeros(SHAPE, bool), np.zeros(SHAPE, np.float32)
    for (base, size, seed, period, lit), peaks in zip(RANGES, PEAKS, strict=True):
        local = np.random.default_rng(seed)
        rough = ndimage.gaussian_filter1d(local.standard_normal(SHAPE[1] + 400), 9)[200:-200]
        jag = ndimage.gaussian_filter1d(local.standard_normal(SHAPE[1] + 400), 3)[200:-200]
        rises = np.stack([h * size * np.maximum(0, 1 - np.abs(x - cx) / w) ** 1.15 for cx, h, w in peaks])
        rise = rises.max(0) + (rough / rough.std() * 5 + jag / jag.std() * 1.6)[None] * (0.5 + size)
        line = base - 24 * size - rise
        inside = y > line
        depth = y - line
        # gullies: folds that run down from the peaks and turn the light on and off
        nearest = rises.argmax(0)
        cx = np.array([p[0] for p in peaks])[nearest]
        top = base - 24 * size - np.array([p[1] for p in peaks])[nearest] * size
        side = (x - cx) / (y - top + 46)
        fold = np.sin(15 * side + 1.1 * block.wobble + seed)
        fold += 0.6 * np.sin(31 * side - 0.02 * depth + seed)
        light = lit + 0.36 * np.tanh(2.2 * fold) - 0.44 * np.tanh(side * 3.5)
        light = np.where(light > 0.5, light + 0.12 * smoothstep(70 * size, 0, depth), light)
        foot = 0.3 * smoothstep(0.2, 1, depth / (base - top.min())) * (size < 0.9)
        tone = np.clip(1.02 - light + foot, 0, 1)
        fade = smoothstep(base + 12, base - 45, y) if size > 0.9 else 1
        # lines down the flanks, fanning out of the peaks, and leaning with the fold that they lie on
        fan = side * (y - top + 46) * 0.55 + 0.62 * depth * np.sign(side + 0.001 * fold)
        block.cut(inside, fan / period, np.where(tone < 0.16, 0, tone * fade), 0.14)
        block.outline(np.where(inside | (depth > -6), depth / 1.25, 99), 1.5)
        covered |= inside
        snow = np.where(inside, (light > 0.9) & (size > 0.5), snow)
    return covered, snow


def sea(block: Print, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the waves, far to near; return where the sea is, and its shade for the blue block."""
    covered, shade = np.zeros(SHAPE, bool), np.zeros(SHAPE, np.float32)
    for k in range(9):
        depth = (k / 8) ** 1.35
        level, size, length = 348 + 140 * depth, 3 + 25 * depth, 46 + 150 * depth
        # a trochoid leans over: its crests are sharp, its troughs wide
        turn = 2 * np.pi * x / length + 2.4 * k + 0.5 * np.sin(x / 97 + k)
        for _ in range(3):
            lean = turn + 0.72 * np.cos(turn + 0.35)
            turn = turn + 0.5 * (lean - turn)
        crest = level + size * (2 * np.abs(np.cos(turn / 2)) ** 0.85 - 1.2)
        inside = y > crest
        under = (y - crest) / (size + 5)
        period = 3.6 + 3.6 * depth
        # lines hang from the crest: they follow it near the top and lie down in the trough
        phase = (y - level - (crest - level) * np.exp(-0.5 * under)) / period
        face = np.cos(turn - 1.9)
        tone = 0.43 + 0.34 * face + 0.12 * smoothstep(0.3, 1.8, under)
        foam = smoothstep(0.5, 0.1, under + 0.16 * block.wobble)
        tone = np.clip(tone * (1 - foam), 0, 0.84)
        block.cut(inside, phase, np.where(tone < 0.12, 0, tone), 0.2)
        block.outline(y - crest, 0.7 + 1.1 * depth)
        covered |= inside
        shade = np.where(inside, (1 - foam) * (0.55 + 0.45 * smoothstep(-0.4, 0.6, face)), shade)
    return covered, shade


def paint() -> np.ndarray:
    """Return the picture (SCALE H, SCALE W, 3), floats in 0..1."""
    rng = np.random.default_rng(21)
    x, y = grid()
    block = Print(rng)
    r = np.hypot(x - SUN[0], y - SUN[1])
    # sky: streaks of cloud that part around the sun as a stream does around a pillar
    stream = (y - SUN[1]) * (1 - ((RADIUS + 3) / np.maximum(r, RADIUS)) ** 2)
    cloud = noise(rng, (26, 150), 2)
    phase = stream / 6.8 + 0.8 * np.sin(x / 75) + 0.25 * cloud
    tone = 0.42 * smoothstep(300, -40, y) + 0.2 * cloud + 0.1
    tone = np.where(r < RADIUS + 7, 0, np.clip(tone, 0, 0.62) * smoothstep(RADIUS + 4, RADIUS + 40, r) ** 0.6)
    block.cut(np.ones(SHAPE, bool), phase, np.where(tone < 0.1, 0, tone), 0.2)
    peaks, snow = mountains(rng, block, x, y)
    water, shade = sea(block, x, y)
    edge = np.minimum.reduce((x, y, WIDTH - x, HEIGHT - y)) + 0.5 * block.swell
    block.outline(edge - 17, 2.0)

    grain = noise(rng, (2.2, 120), 2) + 0.5 * noise(rng, (5, 200))
    fibre, speck = noise(rng, 2.0, 2), noise(rng, 1.1)
    paper = PAPER * (1 + 0.018 * fibre + 0.012 * noise(rng, 60, 2))[..., None]
    inside = smoothstep(16.0, 17.5, edge)

    def impress(page, ink, amount, shift, dry):
        """Print one colour block, `shift` pixels off its place; `dry` is how much paper shows through."""
        amount = ndimage.shift(
            (amount * inside).astype(np.float32), np.array(shift) * SCALE, order=1, mode="nearest"
        )
        bare = np.clip(0.55 * grain + 0.5 * speck + 0.35 * fibre - 0.5, 0, 1.6)
        cover = amount * np.clip(1 - dry * bare, 0, 1)
        # printing ink is a glaze: it darkens what lies under it
        return page * mix(np.ones(3, np.float32), ink, cover)

    land, sky = peaks & ~water, ~peaks & ~water
    dusk = 0.6 * smoothstep(120, 345, y) * (r > RADIUS - 2) * sky
    green = np.where(land, 0.85 * (1 - snow), 0.85 * smoothstep(215, 20, y) * (r > RADIUS + 5) * sky)
    page = impress(paper, OCHRE, dusk, (1, -1), 0.5)
    page = impress(page, TEAL, green, (2.0, -1.5), 0.5)
    page = impress(page, BLUE, shade * water, (1.5, 2.0), 0.45)
    page = impress(page, RED, (r < RADIUS) & sky, (-1.5, 2.5), 0.4)
    black = smoothstep(-0.05, 0.05, ndimage.gaussian_filter(block.ink, 0.8)) * smoothstep(15.2, 16.2, edge)
    starved = np.clip(1 - 0.75 * np.clip(0.5 * grain + 0.8 * speck + 0.3 * fibre - 1.15, 0, 1.2), 0, 1)
    return np.clip(mix(page, INK * (1 + 0.075 * grain[..., None]), black * starved), 0, 1)
