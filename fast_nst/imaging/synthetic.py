"""Pictures drawn by code, so that everything works, and can be shown, without a single file of somebody else's.

``draw_scene`` stands in for a photograph: dead leaves (Ruderman 1997; Lee, Mumford and Huang 2001), shapes of all sizes
that hide each other, whose edges have the statistics of natural images. ``draw_painting`` is a style picture: brush
strokes that follow a field of whirls, a night in blues and yellows or dusk over a field.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

SHAPES = 110
PALETTE = np.array(
    [
        (14, 26, 66),
        (24, 58, 122),
        (38, 98, 168),
        (92, 152, 196),
        (168, 200, 204),
        (236, 222, 160),
        (244, 190, 66),
        (214, 122, 40),
    ]
)
LAND = np.array(
    [
        (24, 40, 52),
        (30, 74, 74),
        (66, 110, 70),
        (150, 150, 60),
        (226, 170, 52),
        (232, 110, 38),
        (188, 50, 34),
    ]
)
SUPERSAMPLING = 2
Colours = Callable[..., np.ndarray]  # (generator, points, light=...) -> RGB at each point


def draw_scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A scene of ``SHAPES`` shaded, textured shapes, radii falling as r^-3 (scale invariant), large ones first.

    Returns:
        uint8 RGB, shape (height, width, 3); the same for the same arguments.
    """
    rng = np.random.default_rng(seed)
    scene = Image.fromarray(_shading(rng, height, width))
    radii = np.sort(_power_law(rng, SHAPES, 0.045, 0.6))[::-1] * min(height, width)
    for radius in radii:
        side = max(4, int(2 * radius))
        patch = Image.fromarray(_textured(rng, _shading(rng, side, side)))
        corner = (int(rng.uniform(-radius, width - radius)), int(rng.uniform(-radius, height - radius)))
        scene.paste(patch, corner, _random_shape(rng, side))
    return np.asarray(scene)


def _power_law(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Radii with density r^-3 on [low, high], by inverting the distribution function."""
    u = rng.random(count)
    return (low**-2 + u * (high**-2 - low**-2)) ** -0.5


def _shading(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A linear gradient in a random direction between two related colours."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None]
    ramp = (0.5 + 0.7 * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
    first = rng.uniform(20, 235) + rng.normal(0, 32, 3)  # mostly gray, as nature is
    second = first * rng.uniform(0.4, 1.5) + rng.normal(0, 15, 3)
    return (first * (1 - ramp) + second * ramp).clip(0, 255).astype(np.uint8)


def _textured(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Leave ``pixels`` plain, or add grain or stripes, a third of the time each."""
    kind = rng.integers(3)
    if kind == 0:
        return pixels
    height, width = pixels.shape[:2]
    if kind == 1:
        pattern = rng.normal(0, rng.uniform(3, 25), (height, width))
    else:
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 16)
        phase = np.arange(width)[None] * np.cos(angle) + np.arange(height)[:, None] * np.sin(angle)
        pattern = rng.uniform(8, 40) * np.sin(2 * np.pi * phase / period)
    return (pixels + pattern[..., None]).clip(0, 255).astype(np.uint8)


def _random_shape(rng: np.random.Generator, side: int) -> Image.Image:
    """A mask of an ellipse, a polygon or a wobbly blob, smooth at its edge."""
    big = side * SUPERSAMPLING
    mask = Image.new("L", (big, big))
    corners = {0: 40, 1: int(rng.integers(3, 7)), 2: 40}[int(rng.integers(3))]
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 10 else np.linspace(0, 2 * np.pi, corners)
    wobble = 1 + rng.uniform(0, 0.3) * np.sin(rng.integers(2, 6) * angles + rng.uniform(0, 6))
    squeeze = rng.uniform(0.4, 1, 2)
    points = np.stack([np.cos(angles) * squeeze[0], np.sin(angles) * squeeze[1]], 1) * (wobble / wobble.max())[:, None]
    ImageDraw.Draw(mask).polygon([tuple(point) for point in (points + 1) * big / 2], fill=255)
    return mask.resize((side, side), Image.Resampling.BOX)


def draw_painting(height: int = 512, width: int = 640, seed: int = 0, land: bool = False) -> np.ndarray:
    """A night of whirls in thick strokes: three coats of paint, broad to fine, each stroke along the field of whirls.

    Args:
        land: a field under a glowing horizon fills the lower part, which gives the painting large masses of other colours.
    Returns:
        uint8 RGB, shape (height, width, 3); the same for the same arguments.
    """
    rng = np.random.default_rng(seed)
    big_height, big_width = height * SUPERSAMPLING, width * SUPERSAMPLING
    whirls = _random_whirls(rng, big_width / big_height, land)
    colours = partial(_dusk_colours if land else _night_colours, whirls=whirls)
    canvas = _ground(rng, colours, height, width).resize((big_width, big_height))
    draw = ImageDraw.Draw(canvas)
    for coat, thickness in enumerate((0.030, 0.018, 0.011)):
        _coat(draw, rng, whirls, colours, big_height, big_width, thickness * big_height, light=coat / 2)
    return np.asarray(canvas.resize((width, height), Image.Resampling.LANCZOS))


def drawn_style() -> np.ndarray:
    """The painting of the package's own, which is learnt where no other is given: uint8 RGB (512, 640, 3)."""
    return draw_painting(seed=2, land=True)


def _random_whirls(rng: np.random.Generator, aspect: float, land: bool) -> np.ndarray:
    """Rows of (x, y, radius, turn): centres in units of the height, spread over the sky by rejection."""
    count, edge, low, apart, radii = (5, 0.08, 0.42, 0.27, (0.08, 0.15)) if land else (7, 0.05, 0.95, 0.3, (0.10, 0.20))
    centres: list[np.ndarray] = []
    while len(centres) < count:
        candidate = np.array([rng.uniform(edge, aspect - edge), rng.uniform(edge, low)])
        if all(np.hypot(*(candidate - other)) > apart for other in centres):
            centres.append(candidate)
    radius, turn = rng.uniform(*radii, count), rng.choice([-1.0, 1.0], count)
    return np.column_stack([np.array(centres), radius, turn])


def _ground(rng: np.random.Generator, colours: Colours, height: int, width: int) -> Image.Image:
    """The painting's colours without strokes, seen where the strokes leave gaps."""
    y, x = np.mgrid[:height, :width] / height
    found = colours(rng, np.stack([x.ravel(), y.ravel()], 1), light=0)
    return Image.fromarray(found.reshape(height, width, 3).clip(0, 255).astype(np.uint8))


def _coat(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    whirls: np.ndarray,
    colours: Colours,
    height: int,
    width: int,
    thickness: float,
    light: float,
) -> None:
    """Cover the canvas once with strokes ``thickness`` pixels wide and a dozen times as long."""
    count = int(2.2 * height * width / (thickness * thickness * 9))
    margin = 12 * thickness
    points = np.stack([rng.uniform(-margin, width, count), rng.uniform(-margin, height + margin, count)], 1)
    path = [points]
    for _ in range(8):
        angle = _field(path[-1] / height, whirls)
        path.append(path[-1] + 1.3 * thickness * np.stack([np.cos(angle), np.sin(angle)], 1))
    found = colours(rng, points / height, light=light)
    for stroke, colour in zip(np.stack(path, 1), found, strict=True):
        _stroke(draw, rng, stroke, colour, thickness * rng.uniform(0.7, 1.2))


def _stroke(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, path: np.ndarray, colour: np.ndarray, thickness: float
) -> None:
    """One stroke with a dark and a light bristle along it."""
    across = np.array([-(path[-1] - path[0])[1], (path[-1] - path[0])[0]])
    across = across / max(1e-6, np.hypot(*across)) * thickness * 0.28
    for shift, shade, share in ((0, 1.0, 1.0), (1, 0.78, 0.22), (-1, 1.22, 0.25)):
        tone = tuple(int(c) for c in (colour * shade + rng.normal(0, 3, 3)).clip(0, 255))
        line = [tuple(point) for point in path + shift * across]
        draw.line(line, fill=tone, width=max(1, round(thickness * share)), joint="curve")


def _field(points: np.ndarray, whirls: np.ndarray) -> np.ndarray:
    """Direction of the brush at each point: round the near whirls, else a slow wave across the picture."""
    x, y = points.T
    flow = np.stack([np.ones_like(x), 0.35 * np.sin(4 * x + 2 * y)], 1) * 0.25
    for cx, cy, radius, turn in whirls:
        dx, dy = x - cx, y - cy
        strength = turn * np.exp(-((dx**2 + dy**2) / (2 * (1.4 * radius) ** 2))) / np.maximum(np.hypot(dx, dy), 1e-3)
        flow += np.stack([-dy * strength, dx * strength], 1)
    return np.arctan2(flow[:, 1], flow[:, 0])


def _night_colours(rng: np.random.Generator, points: np.ndarray, light: float, whirls: np.ndarray) -> np.ndarray:
    """Yellow in the hearts of the whirls, rings round them, blue between; (N, 3) for points (N, 2)."""
    x, y = points.T
    position = 1.6 + 0.9 * np.sin(5 * x + 3 * np.sin(4 * y)) + light * 0.6 + _lights(points, whirls, 4.6, 1.3, 0.55)
    return _tones(PALETTE, position + rng.normal(0, 0.55, len(x))) + rng.normal(0, 6, (len(x), 3))


def _dusk_colours(rng: np.random.Generator, points: np.ndarray, light: float, whirls: np.ndarray) -> np.ndarray:
    """A darker night that glows towards the horizon, and hills below it that turn from green to gold and red."""
    x, y = points.T
    height = 0.62 + 0.05 * np.sin(4.2 * x + 0.6) + 0.02 * np.sin(11 * x) - y  # above the horizon
    sky = 0.9 + 0.7 * np.sin(5 * x + 3 * np.sin(4 * y)) + light * 0.5 + _lights(points, whirls, 5.2, 1.5, 0.6)
    sky += 5.2 * np.exp(-((height / 0.16) ** 2))
    depth = np.maximum(-height, 0)
    hills = 1.2 + light * 0.5 + 1.4 * np.sin(9 * depth / (0.15 + depth) + 3 * x + 2 * np.sin(3 * x))
    hills += 5 * np.clip((depth - 0.10) / 0.25, 0, 1) * (0.5 + 0.5 * np.sin(6.5 * x + 14 * depth))
    noise = rng.normal(0, 0.55, len(x))
    colours = np.where((height > 0)[:, None], _tones(PALETTE, sky + noise), _tones(LAND, hills + noise))
    return colours + rng.normal(0, 6, (len(x), 3))


def _lights(points: np.ndarray, whirls: np.ndarray, heart: float, ring: float, size: float) -> np.ndarray:
    """How far the whirls move each point along the palette: by ``heart`` in their middle, by ``ring`` on a ring round it."""
    total = np.zeros(len(points))
    for cx, cy, radius, _ in whirls:
        distance = np.hypot(points[:, 0] - cx, points[:, 1] - cy) / radius
        total += heart * np.exp(-((distance / size) ** 2)) + ring * np.exp(-(((distance - 1.15) / 0.25) ** 2))
    return total


def _tones(palette: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Colours between those of ``palette``, at positions (N,) in units of its steps."""
    position = position.clip(0, len(palette) - 1.001)
    low = position.astype(int)
    share = (position - low)[:, None]
    return palette[low] * (1 - share) + palette[low + 1] * share
