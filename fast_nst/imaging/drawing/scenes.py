"""Compositions of a few large masses, from which the drawn styles take their colors, light and directions.

A scene is to a drawn style what the motif is to a painting: sky and hills, sea and boat, a bouquet, a head, a table, a
town, trees, or plain shapes. Lengths are in units of the picture's height until ``fill`` turns them into pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fast_nst.imaging.drawing.fields import Points, blob, blur, edges, noise, polygon_mask, resize
from fast_nst.imaging.drawing.palettes import Palette, ramp, random_palette


class Scene:
    """A picture of masses.

    Attributes:
        color: RGB (H, W, 3).
        light: from shade 0 to highlight 1, (H, W).
        angle: direction of strokes in radians, (H, W).
        region: number of the mass that is seen, (H, W).
    """

    def __init__(self, rng: np.random.Generator, palette: Palette, height: int, width: int) -> None:
        self.rng, self.palette, self.aspect = rng, palette, width / height
        self.height, self.width = height, width
        self.color = np.zeros((height, width, 3), np.float32)
        self.light = np.zeros((height, width), np.float32)
        self.angle = np.zeros((height, width), np.float32)
        self.region = np.zeros((height, width), np.int32)
        self.sun = rng.uniform(-2.8, -0.4)  # where the light comes from
        self.noise = 0.16 * noise(rng, height, width, 0.3, 2)
        self.masses = 0

    def fill(self, shape: Points | None, tone: float | np.ndarray, angle: float = 0.0, round_: float = 0.6) -> None:
        """Add a mass in front of all others.

        Args:
            shape: a polygon (N, 2), x in [0, aspect], y in [0, 1]; None for the whole picture.
            tone: its place in the palette, 0 dark to 1 light, or its color (3,).
            angle: direction of its strokes.
            round_: how much it is modeled by light and shade.
        """
        box, mask = self._footprint(shape)
        if not mask.any():
            return
        light = self._modeling(mask, round_)
        self.masses += 1
        self.color[box][mask] = ramp(self._shades(tone), light[mask])
        self.light[box][mask], self.region[box][mask] = light[mask], self.masses
        self.angle[box][mask] = angle

    def _footprint(self, shape: Points | None) -> tuple[tuple[slice, slice], np.ndarray]:
        """The window of the picture that ``shape`` lies in, and its mask in this window."""
        if shape is None:
            return np.s_[:, :], np.ones(self.region.shape, bool)
        corners = shape * self.height
        left, top = np.floor(corners.min(0)).astype(int).clip(0, (self.width - 1, self.height - 1)).tolist()
        right, bottom = np.ceil(corners.max(0)).astype(int).clip(0, (self.width, self.height)).tolist()
        size = max(1, bottom + 1 - top), max(1, right + 1 - left)
        box = np.s_[top : top + size[0], left : left + size[1]]
        size = self.region[box].shape
        return box, polygon_mask(*size, corners - (left, top))

    def _shades(self, tone: float | np.ndarray) -> np.ndarray:
        """Shade, color and highlight of a mass, (3, 3)."""
        if np.ndim(tone):
            return np.stack([tone * 0.55 + 0.2 * self.palette.dark, tone, 0.55 * tone + 0.45 * self.palette.light])
        position = tone + np.array((-0.25, 0.0, 0.25)) + self.rng.uniform(-0.04, 0.04, 3)
        return self.palette.ramp(position)

    def _modeling(self, mask: np.ndarray, round_: float) -> np.ndarray:
        """Light on a mass as if it bulged toward the viewer, with a slow gradient and some clouds."""
        height, width = mask.shape
        coarse = 4 if mask.size > 4000 else 2
        small = resize(mask, max(4, height // coarse), max(4, width // coarse))
        swell = blur(np.pad(small, 2), max(1.0, 0.16 * float(small.sum().clip(0)) ** 0.5))[2:-2, 2:-2]
        down, right = np.gradient(swell)
        slope = -(right * np.cos(self.sun) + down * np.sin(self.sun))
        slope = slope / max(1e-6, float(np.abs(slope[small > 0.5]).max(initial=1e-6)))
        y, x = np.mgrid[: small.shape[0], : small.shape[1]] * coarse / self.height
        slow = 0.35 * ((x - x.mean()) * np.cos(self.sun) + (y - y.mean()) * np.sin(self.sun))
        return (0.5 + resize(0.5 * round_ * -slope + slow, height, width) + self._clouds(mask)).clip(0, 1)

    def _clouds(self, mask: np.ndarray) -> np.ndarray:
        """A random window of slow noise, the size of ``mask``."""
        top, left = (
            int(self.rng.integers(0, whole - part + 1)) for whole, part in zip(self.noise.shape, mask.shape, strict=True)
        )
        return self.noise[top : top + mask.shape[0], left : left + mask.shape[1]]


def draw_scene(
    rng: np.random.Generator, palette: Palette, height: int, width: int, motif: str | None = None, flow: float = 0.7
) -> Scene:
    """A scene of one of ``MOTIFS``, drawn at random where none is named.

    Args:
        flow: how much strokes turn away from each mass's own direction, along its borders and in slow waves.
    """
    scene = Scene(rng, palette, height, width)
    MOTIFS[motif or str(rng.choice(list(MOTIFS)))](scene, rng)
    scene.color = blur(scene.color, 0.5).clip(0, 1)
    scene.angle = _flow(rng, scene, flow)
    return scene


def compose(
    rng: np.random.Generator, height: int, width: int, motif: str | None = None, scheme: str | None = None, flow: float = 0.7
) -> tuple[Palette, Scene]:
    """A random palette and a scene in it; see ``draw_scene``."""
    palette = random_palette(rng, scheme)
    return palette, draw_scene(rng, palette, height, width, motif, flow)


def _flow(rng: np.random.Generator, scene: Scene, flow: float) -> np.ndarray:
    """Directions of strokes: each mass's own, turned along the borders nearby and in slow waves."""
    height, width = scene.region.shape
    near = blur(edges(scene.region, 1.5), 0.03 * height)
    down, right = np.gradient(blur(near, 0.02 * height))
    strength = np.hypot(down, right)
    share = flow * strength / (strength + 0.004 * 512 / height)
    own = scene.angle + flow * 1.1 * noise(rng, height, width, 0.35)
    along = np.arctan2(right, -down)
    double = (1 - share) * np.exp(2j * own) + share * np.exp(2j * along)  # a direction and its opposite are one
    return (np.angle(double) / 2).astype(np.float32)


def _profile(rng: np.random.Generator, aspect: float, level: float, swing: float, rough: float = 1.0) -> Points:
    """Everything below a hilly line at ``level``."""
    x = np.linspace(-0.05, aspect + 0.05, 90)
    waves = sum(rng.normal(0, 1) / k**1.2 * np.sin(k * x * rng.uniform(2, 3.5) + rng.uniform(0, 6)) for k in (1, 2, 4, 7))
    bumps = rough * 0.12 * rng.normal(0, 1, 90)
    line = np.stack([x, level + swing * 0.6 * (waves + bumps)], 1)
    return np.vstack([line, [(aspect + 0.05, 1.1), (-0.05, 1.1)]])


def _sky(scene: Scene, rng: np.random.Generator, level: float) -> None:
    """A sky of two or three bands above ``level``, with a sun or a moon, perhaps clouds."""
    night = rng.random() < 0.35
    tone = rng.uniform(0.12, 0.3) if night else rng.uniform(0.6, 0.85)
    scene.fill(None, tone, rng.normal(0, 0.2), 0.2)
    for band in range(int(rng.integers(1, 4))):
        tone += rng.uniform(0.06, 0.14)
        edge = level * (0.35 + 0.25 * band)
        scene.fill(_profile(rng, scene.aspect, edge, 0.03, 0.3), min(tone, 1.0), rng.normal(0, 0.2), 0.2)
    x, y = rng.uniform(0.15, scene.aspect - 0.15), rng.uniform(0.12, max(0.2, level - 0.08))
    disc = scene.palette.accent if rng.random() < 0.6 else scene.palette.light
    radius = rng.uniform(0.05, 0.12)
    scene.fill(blob(rng, x, y, radius * 1.5, 0.02), 0.5 * disc + 0.5 * scene.palette.ramp(tone), 0.8, 0.1)
    scene.fill(blob(rng, x, y, radius, 0.01), disc, 0.8, 0.2)
    for _ in range(int(rng.integers(0, 4))):
        spot = (rng.uniform(0, scene.aspect), rng.uniform(0.05, level * 0.8))
        scene.fill(blob(rng, *spot, rng.uniform(0.08, 0.2), 0.12, rng.uniform(0.25, 0.45)), min(1.0, tone + 0.15), 0.1)


def _hills(scene: Scene, rng: np.random.Generator) -> None:
    """Sky, ranges of hills, a field, trees."""
    level = rng.uniform(0.35, 0.6)
    _sky(scene, rng, level)
    tones = rng.permutation(np.linspace(0.15, 0.8, 5)) if rng.random() < 0.5 else np.linspace(0.7, 0.2, 5)
    for depth, tone in enumerate(tones):
        at = level + (0.95 - level) * (depth / 5) ** 1.2
        scene.fill(_profile(rng, scene.aspect, at, 0.07, 0.2), float(tone), rng.normal(0, 0.5), 0.5)
        if depth == 2 and rng.random() < 0.5:
            scene.fill(_profile(rng, scene.aspect, at + 0.06, 0.05, 0.1), scene.palette.accent, rng.normal(0, 0.5), 0.4)
    for _ in range(int(rng.integers(2, 8))):
        _tree(scene, rng, rng.uniform(0, scene.aspect), rng.uniform(level + 0.1, 0.95))


def _tree(scene: Scene, rng: np.random.Generator, x: float, foot: float) -> None:
    """A cypress or a round tree that stands at (x, foot), larger the nearer."""
    tall = rng.uniform(0.5, 1.0) * (0.1 + 0.3 * foot)
    tone = rng.uniform(0.08, 0.5)
    if rng.random() < 0.4:
        scene.fill(blob(rng, x, foot - tall / 2, tall * 0.15, 0.08, 3.6), tone, 1.4, 0.9)
        return
    trunk = np.array([(x - 0.012, foot), (x - 0.008, foot - tall), (x + 0.008, foot - tall), (x + 0.014, foot)])
    scene.fill(trunk, 0.05, 1.57, 0.3)
    for _ in range(int(rng.integers(2, 5))):
        shift = rng.normal(0, 0.22, 2) * tall
        spot = (x + shift[0], foot - tall + shift[1] * 0.5)
        scene.fill(blob(rng, *spot, tall * rng.uniform(0.2, 0.34), 0.09), tone + rng.uniform(0, 0.2), 0.7, 0.9)


def _sea(scene: Scene, rng: np.random.Generator) -> None:
    """Sky, rows of waves, boats."""
    level = rng.uniform(0.35, 0.55)
    _sky(scene, rng, level)
    tone = rng.uniform(0.25, 0.6)
    rows = int(rng.integers(6, 11))
    boats = rng.integers(1, rows - 1, int(rng.integers(1, 4)))
    for row in range(rows):
        at = level + (1.0 - level) * row / rows
        swing = 0.004 + 0.03 * row / rows
        scene.fill(
            _profile(rng, scene.aspect, at, swing, 0.4), tone + 0.28 * (-1) ** row * rng.random(), rng.normal(0, 0.15), 0.5
        )
        for _ in range(int((boats == row).sum())):
            _boat(scene, rng, rng.uniform(0.15, scene.aspect - 0.15), at + 0.02, 0.05 + 0.16 * row / rows)


def _boat(scene: Scene, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """A hull with two sails."""
    hull = np.array([(-1, -0.12), (1.1, -0.2), (0.7, 0.25), (-0.7, 0.25)])
    main = np.array([(0.05, -0.2), (0.05, -2.2), (1.0, -0.35)])
    jib = np.array([(-0.05, -0.2), (-0.05, -1.8), (-0.9, -0.3)])
    for shape, tone in ((main, scene.palette.light), (jib, scene.palette.accent), (hull, 0.1)):
        scene.fill(np.array((x, y)) + shape * size, tone, 1.2, 0.5)


def _bouquet(scene: Scene, rng: np.random.Generator) -> None:
    """Wall, table, vase, leaves and flowers."""
    scene.fill(None, rng.choice([0.12, 0.3, 0.75]), rng.uniform(0, 3), 0.2)
    scene.fill(_profile(rng, scene.aspect, rng.uniform(0.7, 0.82), 0.01, 0.1), rng.uniform(0.3, 0.9), 0.1, 0.3)
    middle = scene.aspect / 2 + rng.normal(0, 0.08)
    for _ in range(26):
        turn, reach = rng.uniform(-3.4, 0.3), rng.uniform(0.15, 0.42)
        spot = (middle + 1.25 * reach * np.cos(turn), 0.5 + reach * np.sin(turn))
        scene.fill(_leaf(*spot, turn + rng.normal(0, 0.5), rng.uniform(0.08, 0.17)), rng.uniform(0.2, 0.55), turn, 0.5)
    _vase(scene, rng, middle, 0.56, rng.uniform(0.12, 0.17))
    for _ in range(int(rng.integers(12, 22))):
        turn, reach = rng.uniform(-3.4, 0.3), rng.uniform(0.0, 0.36)
        _flower(scene, rng, middle + 1.3 * reach * np.cos(turn), 0.47 + reach * np.sin(turn), rng.uniform(0.035, 0.085))


def _leaf(x: float, y: float, turn: float, length: float) -> Points:
    """A pointed leaf from (x, y) in the direction ``turn``."""
    along = np.linspace(0, 1, 14)
    side = 0.23 * np.sin(np.pi * along) ** 0.8
    outline = np.vstack([np.stack([along, side], 1), np.stack([along, -side], 1)[::-1]]) * length
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    return outline @ rotation + np.array((x, y))


def _flower(scene: Scene, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """Petals around a heart."""
    petals, colors = int(rng.integers(5, 9)), scene.palette.choose(rng, 2)
    turns = np.linspace(0, 2 * np.pi, 96, endpoint=False) + rng.uniform(0, 6)
    for share, color in ((1.0, colors[0]), (0.7, 0.6 * colors[0] + 0.4 * scene.palette.light), (0.32, colors[1])):
        reach = radius * share * (1 + (0.22 if share > 0.5 else 0.0) * np.abs(np.sin(petals * turns / 2)))
        scene.fill(np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], 1), color, rng.uniform(0, 3), 0.8)


def _vase(scene: Scene, rng: np.random.Generator, x: float, top: float, radius: float) -> None:
    """A turned vessel."""
    down = np.linspace(0, 1, 24)
    bulge = rng.uniform(0.5, 1.2)
    side = radius * (0.5 + 0.5 * np.sin(np.pi * down**bulge) ** 1.2) * (1 - 0.15 * down)
    y = top + down * radius * 2.3
    scene.fill(np.vstack([np.stack([x + side, y], 1), np.stack([x - side, y], 1)[::-1]]), rng.uniform(0.3, 0.8), 1.57, 1.0)


def _table(scene: Scene, rng: np.random.Generator) -> None:
    """Wall, cloth, a vessel and fruit with their shadows."""
    level = rng.uniform(0.45, 0.6)
    scene.fill(None, rng.choice([0.15, 0.4, 0.7]), rng.uniform(0, 3), 0.2)
    scene.fill(
        np.array([(0.1, -0.1), (0.5, -0.1), (0.3, level), (-0.1, level)]) * (scene.aspect, 1),
        rng.uniform(0.3, 0.6),
        1.2,
        0.3,
    )
    scene.fill(_profile(rng, scene.aspect, level, 0.015, 0.1), rng.uniform(0.55, 0.95), 0.2, 0.3)
    scene.fill(_profile(rng, scene.aspect, level + 0.35, 0.06, 0.3), rng.uniform(0.2, 0.5), 0.8, 0.6)
    _vase(scene, rng, rng.uniform(0.3, 0.7) * scene.aspect, level - 0.28, rng.uniform(0.13, 0.18))
    for x in rng.permutation(np.linspace(0.12, 0.88, int(rng.integers(5, 10)))) * scene.aspect:
        y, radius = rng.uniform(level + 0.08, level + 0.3), rng.uniform(0.06, 0.12)
        scene.fill(blob(rng, x + radius * 0.5, y + radius * 0.65, radius, 0.02, 0.35), 0.1, 0.1, 0.1)
        color = scene.palette.choose(rng, 1)[0] * 0.9 if rng.random() < 0.6 else scene.palette.accent
        scene.fill(blob(rng, x, y, radius, 0.03, rng.uniform(0.85, 1.05)), color, rng.uniform(0, 3), 1.0)


def _head(scene: Scene, rng: np.random.Generator) -> None:
    """Head and shoulders before a wall with a disc."""
    scene.fill(None, rng.choice([0.15, 0.35, 0.8]), rng.uniform(0, 3), 0.2)
    x, y = scene.aspect / 2 + rng.normal(0, 0.1), rng.uniform(0.36, 0.44)
    if rng.random() < 0.7:
        scene.fill(blob(rng, x + rng.normal(0, 0.1), y, rng.uniform(0.3, 0.42), 0.01), rng.uniform(0.4, 0.9), 0.8, 0.2)
    radius = rng.uniform(0.15, 0.19)
    skin = rng.uniform(0.7, 0.88)
    scene.fill(blob(rng, x, y + 0.05, radius * 1.45, 0.06, 1.25), rng.uniform(0.05, 0.35), 1.5, 0.6)
    robe = scene.palette.accent if rng.random() < 0.5 else scene.palette.choose(rng, 1)[0]
    scene.fill(blob(rng, x, 1.1, 0.46, 0.05, 0.95), robe, 1.2, 0.9)
    scene.fill(blob(rng, x, y + 0.27, radius * 0.5, 0.02, 1.6), skin - 0.2, 1.5, 0.6)
    scene.fill(blob(rng, x, y, radius, 0.015, 1.3), skin, 1.3, 1.0)
    scene.fill(blob(rng, x, y - radius * 1.05, radius * 0.95, 0.1, 0.5), 0.15, 0.2, 0.6)
    _features(scene, rng, x, y, radius)


def _features(scene: Scene, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """Eyes, brows, nose and mouth, drawn plainly, and folds of the robe."""
    for side in (-1, 1):
        eye = x + side * radius * 0.42
        scene.fill(blob(rng, eye, y - radius * 0.05, radius * 0.2, 0.02, 0.5), 0.98, 0.0, 0.1)
        scene.fill(blob(rng, eye, y - radius * 0.05, radius * 0.1, 0.02, 1.0), 0.02, 0.0, 0.1)
        scene.fill(blob(rng, eye, y - radius * 0.3, radius * 0.26, 0.03, 0.18), 0.1, 0.0, 0.1)
    nose = np.array([(0.0, -0.1), (0.16, 0.48), (-0.05, 0.5)]) * radius + (x, y)
    scene.fill(nose, 0.5, 1.4, 0.3)
    scene.fill(blob(rng, x, y + radius * 0.8, radius * 0.3, 0.03, 0.28), scene.palette.accent, 0.0, 0.3)
    for _ in range(5):
        start = x + rng.uniform(-0.35, 0.35)
        fold = np.array([(start, 0.78), (start + 0.02, 0.78), (start + rng.normal(0, 0.08), 1.1)])
        scene.fill(fold, rng.uniform(0.1, 0.9), 1.4, 0.3)


def _town(scene: Scene, rng: np.random.Generator) -> None:
    """Rows of houses with roofs and windows under a sky."""
    _sky(scene, rng, 0.4)
    for row in range(3):
        foot, x = 0.7 + 0.2 * row, rng.uniform(-0.1, 0)
        while x < scene.aspect:
            width, tall = rng.uniform(0.1, 0.22), rng.uniform(0.2, 0.42)
            _house(scene, rng, x, foot, width, tall)
            x += width * rng.uniform(0.85, 1.3)
    scene.fill(_profile(rng, scene.aspect, 0.93, 0.03, 0.1), rng.uniform(0.1, 0.9), 0.1, 0.4)


def _house(scene: Scene, rng: np.random.Generator, x: float, foot: float, width: float, tall: float) -> None:
    """A wall, a roof, and lit or dark windows."""
    top = foot - tall
    wall = np.array([(x, foot + 0.4), (x, top), (x + width, top), (x + width, foot + 0.4)])
    scene.fill(wall, scene.palette.choose(rng, 1)[0], 1.57, 0.3)
    peak = top - width * rng.uniform(0.2, 0.9)
    scene.fill(np.array([(x - 0.01, top), (x + width / 2, peak), (x + width + 0.01, top)]), rng.uniform(0.1, 0.6), 0.6, 0.4)
    glass = scene.palette.light if rng.random() < 0.5 else 0.05
    for column in np.linspace(0.2, 0.8, int(rng.integers(2, 4))) - 0.08:
        for row in np.arange(0.04, tall - 0.03, 0.085):
            corner = np.array((x + column * width, top + row))
            scene.fill(corner + np.array([(0, 0), (0.16, 0), (0.16, 0.3), (0, 0.3)]) * width, glass, 1.57, 0.1)


def _trees(scene: Scene, rng: np.random.Generator) -> None:
    """A wood: trunks before a light, crowns above, ground below."""
    scene.fill(None, rng.uniform(0.6, 0.9), 1.4, 0.3)
    scene.fill(blob(rng, scene.aspect * rng.uniform(0.3, 0.7), 0.45, 0.25, 0.05), scene.palette.accent * 0.5 + 0.5, 0.8, 0.2)
    scene.fill(_profile(rng, scene.aspect, 0.74, 0.05, 0.2), rng.uniform(0.3, 0.6), 0.2, 0.4)
    for depth in np.linspace(0, 1, 12):
        x, half = rng.uniform(0, scene.aspect), 0.008 + 0.03 * depth
        lean, foot = rng.normal(0, 0.05), 0.75 + 0.25 * depth
        trunk = [(x - half * 1.6, foot), (x - half + lean, -0.05), (x + half + lean, -0.05), (x + half * 1.6, foot)]
        scene.fill(np.array(trunk), 0.55 * (1 - depth), 1.57 - lean, 0.9)
    for _ in range(16):
        spot = (rng.uniform(0, scene.aspect), rng.uniform(-0.05, 0.22))
        scene.fill(blob(rng, *spot, rng.uniform(0.08, 0.17), 0.12), rng.uniform(0.15, 0.75), rng.uniform(0, 3), 0.9)
    scene.fill(_profile(rng, scene.aspect, 0.9, 0.05, 0.3), rng.uniform(0.1, 0.4), 0.2, 0.5)


def _shapes(scene: Scene, rng: np.random.Generator) -> None:
    """Round and straight shapes of all sizes on a ground of two parts."""
    scene.fill(None, rng.uniform(0, 1), rng.uniform(0, 3), 0.3)
    scene.fill(_profile(rng, scene.aspect, rng.uniform(0.3, 0.7), 0.25, 0.0), rng.uniform(0, 1), rng.uniform(0, 3), 0.3)
    for radius in np.sort(0.07 + 0.3 * rng.random(int(rng.integers(9, 18))) ** 2)[::-1]:
        spot = (rng.uniform(0, scene.aspect), rng.uniform(0, 1))
        shape = blob(rng, *spot, radius, rng.uniform(0.02, 0.2), rng.uniform(0.6, 1.2))
        if rng.random() < 0.3:
            shape = shape[np.sort(rng.choice(48, 4, replace=False))]
        scene.fill(shape, scene.palette.choose(rng, 1)[0], rng.uniform(0, 3), rng.uniform(0.2, 1.0))


MOTIFS: dict[str, Callable[[Scene, np.random.Generator], None]] = {
    "hills": _hills,
    "sea": _sea,
    "bouquet": _bouquet,
    "table": _table,
    "head": _head,
    "town": _town,
    "trees": _trees,
    "shapes": _shapes,
}
