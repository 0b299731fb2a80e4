"""Scenes drawn by code that stand in for photographs, so that everything works without a single file from elsewhere.

Dead leaves (Ruderman 1997; Lee, Mumford and Huang 2001): shapes of all sizes that hide each other, whose edges have the
statistics of natural images.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SHAPES = 110
SUPERSAMPLING = 2


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
    """A linear gradient in a random direction between two related colors."""
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
