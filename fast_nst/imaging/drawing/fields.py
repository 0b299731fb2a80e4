"""Fields on the pixel grid from which pictures are drawn: noise, blur, cells, flow lines, relief.

All are float32 arrays (height, width) unless said otherwise; lengths given as ``size`` are shares of the picture's
short side, so that a picture looks alike at every resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Points = np.ndarray  # (N, 2): x, y


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x (1, width) and y (height, 1) in units of the short side."""
    unit = min(height, width)
    x, y = np.arange(width, dtype=np.float32) / unit, np.arange(height, dtype=np.float32) / unit
    return x[None], y[:, None]


def resize(field: np.ndarray, height: int, width: int) -> np.ndarray:
    """``field`` at another size, bicubic; (H, W) or (H, W, 3)."""
    if field.ndim == 3:
        return np.stack([resize(field[..., i], height, width) for i in range(field.shape[2])], -1)
    return np.asarray(Image.fromarray(field.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))


def noise(rng: np.random.Generator, height: int, width: int, size: float, octaves: int = 1) -> np.ndarray:
    """Smooth noise of standard deviation about 0.5: bumps ``size`` apart, each octave half the size and strength."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(octaves):
        cell = max(1.0, size * min(height, width) / 2**octave)
        lattice = rng.standard_normal((int(height / cell) + 5, int(width / cell) + 5)).astype(np.float32)
        left, top = 1 + rng.random(2)
        box = (left, top, left + width / cell, top + height / cell)
        total += np.asarray(Image.fromarray(lattice).resize((width, height), Image.Resampling.BICUBIC, box)) / 2**octave
        weight += 0.25**octave
    return 0.72 * total / weight**0.5


def stretched(rng: np.random.Generator, height: int, width: int, across: float, along: float) -> np.ndarray:
    """Noise with bumps ``along`` wide and ``across`` high, in pixels; standard deviation about 0.5."""
    rows, columns = int(height / across) + 5, int(width / along) + 5
    lattice = rng.standard_normal((rows, columns)).astype(np.float32)
    box = (1, 1, 1 + width / along, 1 + height / across)
    return 0.72 * np.asarray(Image.fromarray(lattice).resize((width, height), Image.Resampling.BICUBIC, box))


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """Nearly Gaussian blur: three box filters along each axis, edges repeated; ``sigma`` in pixels."""
    radius = int(round(sigma))
    if radius < 1:
        return field if sigma < 0.3 else _soften(field)
    for axis in (0, 1):
        for _ in range(3):
            field = _box(field, radius, axis)
    return field


def _soften(field: np.ndarray) -> np.ndarray:
    """The binomial filter (1, 2, 1) / 4 along both axes."""
    for axis in (0, 1):
        pad = [(1, 1) if i == axis else (0, 0) for i in range(field.ndim)]
        moved = np.moveaxis(np.pad(field, pad, mode="edge"), axis, 0)
        field = np.moveaxis((moved[:-2] + 2 * moved[1:-1] + moved[2:]) / 4, 0, axis)
    return field


def _box(field: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Mean over 2 * radius + 1 pixels along ``axis``."""
    pad = [(radius + 1, radius) if i == axis else (0, 0) for i in range(field.ndim)]
    total = np.cumsum(np.pad(field, pad, mode="edge"), axis, dtype=np.float64)
    high = np.take(total, range(2 * radius + 1, total.shape[axis]), axis)
    low = np.take(total, range(total.shape[axis] - 2 * radius - 1), axis)
    return ((high - low) / (2 * radius + 1)).astype(np.float32)


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to ``low``, 1 from ``high`` on, a smooth cubic between; also falling, where low > high."""
    share = ((value - low) / (high - low)).clip(0, 1)
    return share * share * (3 - 2 * share)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``first`` where ``share`` (H, W) is 0, ``second`` where it is 1; colors (3,) or (H, W, 3)."""
    share = np.asarray(share, np.float32)[..., None]
    return first * (1 - share) + second * share


def sample(field: np.ndarray, points: Points) -> np.ndarray:
    """``field`` (H, W) or (H, W, C) at the pixels nearest to ``points`` (..., 2); the border repeats."""
    x = points[..., 0].astype(np.int32).clip(0, field.shape[1] - 1)
    y = points[..., 1].astype(np.int32).clip(0, field.shape[0] - 1)
    return field[y, x]


def polygon_mask(height: int, width: int, points: Points, scale: int = 1) -> np.ndarray:
    """True inside of the polygon ``points`` in pixels; with ``scale`` > 1 a float share of each pixel."""
    image = Image.new("L", (width * scale, height * scale))
    ImageDraw.Draw(image).polygon([tuple(point) for point in (points * scale).tolist()], fill=255)
    if scale == 1:
        return np.asarray(image) > 0
    return np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def edges(labels: np.ndarray, radius: float) -> np.ndarray:
    """Lines of half width ``radius`` pixels where ``labels`` change, smooth at their sides, in [0, 1]."""
    change = np.zeros(labels.shape, np.float32)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    change[:, 1:], change[:, :-1] = across, across
    change[1:] = np.maximum(change[1:], down)
    change[:-1] = np.maximum(change[:-1], down)
    soft = blur(change, max(1.0, radius * 0.8))
    level = 1 / max(1.5, 2.0 * radius)
    return smoothstep(soft, 0.35 * level, level)


@dataclass(frozen=True)
class Cells:
    """A Voronoi diagram: each pixel's site, its distance to the nearest border, and the sites (N, 2), all in pixels."""

    label: np.ndarray
    border: np.ndarray
    sites: Points


def random_sites(rng: np.random.Generator, height: int, width: int, pitch: float, jitter: float) -> np.ndarray:
    """Points of a shaken lattice, ``pitch`` pixels wide, that reaches two cells over the border: (rows, columns, 2)."""
    rows, columns = int(height / pitch) + 5, int(width / pitch) + 5
    y, x = np.mgrid[:rows, :columns] - 1.5
    shaken = np.stack([x, y], -1) + jitter * rng.uniform(-0.5, 0.5, (rows, columns, 2))
    return (shaken * pitch).astype(np.float32)


def voronoi(
    rng: np.random.Generator, height: int, width: int, size: float, jitter: float = 0.9, warp: np.ndarray | None = None
) -> Cells:
    """Voronoi cells about ``size`` wide around the points of a shaken lattice; ``warp`` (H, W, 2), in pixels, bends them."""
    pitch = max(2.0, size * min(height, width))
    sites = random_sites(rng, height, width, pitch, jitter)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if warp is not None:
        x, y = (x + warp[..., 0]).clip(-pitch, width + pitch), (y + warp[..., 1]).clip(-pitch, height + pitch)
    first, second = _nearest_two(sites, x, y, pitch)
    flat = sites.reshape(-1, 2)
    a, b = flat[first], flat[second]
    apart = np.maximum(np.hypot(*np.moveaxis(b - a, -1, 0)), 1e-3)
    gap = (x - b[..., 0]) ** 2 + (y - b[..., 1]) ** 2 - (x - a[..., 0]) ** 2 - (y - a[..., 1]) ** 2
    return Cells(first, gap / (2 * apart), flat)


def _nearest_two(sites: np.ndarray, x: np.ndarray, y: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the two sites nearest to each pixel, among the 3 x 3 lattice cells around it."""
    rows, columns = sites.shape[:2]
    row, column = (np.floor(v / pitch + 2).astype(np.int32) for v in (y, x))
    best = [np.full(x.shape, np.inf, np.float32) for _ in range(2)]
    index = [np.zeros(x.shape, np.int32) for _ in range(2)]
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            at = (row + dy).clip(0, rows - 1) * columns + (column + dx).clip(0, columns - 1)
            site = sites.reshape(-1, 2)[at]
            distance = (x - site[..., 0]) ** 2 + (y - site[..., 1]) ** 2
            nearer, second = distance < best[0], distance < best[1]
            index[1] = np.where(nearer, index[0], np.where(second, at, index[1]))
            best[1] = np.where(nearer, best[0], np.where(second, distance, best[1]))
            index[0], best[0] = np.where(nearer, at, index[0]), np.where(nearer, distance, best[0])
    return index[0], index[1]


def piecewise(color: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean colors of the pieces that ``label`` numbers, (N, 3), and each pixel's piece as an index into them, (H, W)."""
    _, index, counts = np.unique(label, return_inverse=True, return_counts=True)
    index = index.reshape(label.shape)
    means = [np.bincount(index.ravel(), color[..., i].ravel()) / counts for i in range(3)]
    return np.stack(means, 1).astype(np.float32), index


def flow_smear(field: np.ndarray, angle: np.ndarray, length: float, step: float = 1.0) -> np.ndarray:
    """Mean of ``field`` along ``length`` pixels of the flow (line integral convolution, Cabral and Leedom 1993)."""
    height, width = angle.shape
    cosine, sine = np.cos(angle).astype(np.float32) * step, np.sin(angle).astype(np.float32) * step
    total, count = field.astype(np.float32), 1
    for sign in (1, -1):
        y, x = np.mgrid[:height, :width].astype(np.float32)
        for _ in range(max(1, int(length / step / 2))):
            at = np.rint(y).astype(np.int32) * width + np.rint(x).astype(np.int32)
            x = (x + sign * cosine.ravel()[at]).clip(0, width - 1)
            y = (y + sign * sine.ravel()[at]).clip(0, height - 1)
            at = np.rint(y).astype(np.int32) * width + np.rint(x).astype(np.int32)
            total, count = total + field.reshape(height * width, *field.shape[2:])[at], count + 1
    return total / count


def cuts(rng: np.random.Generator, angle: np.ndarray, length: float, breadth: float) -> np.ndarray:
    """Strokes along ``angle``, about ``breadth`` pixels wide, as noise of mean 0 and standard deviation 1."""
    lines = flow_smear(rng.standard_normal(angle.shape).astype(np.float32), angle, length, 1.4)
    lines = blur(lines, 0.42 * breadth) - blur(lines, max(1.0, 1.3 * breadth))
    return lines / max(1e-6, float(lines.std()))


def relief(height_field: np.ndarray, strength: float, toward: float = -2.2) -> np.ndarray:
    """Light on a surface: positive where ``height_field`` slopes toward the light in direction ``toward``, else negative."""
    down, right = np.gradient(height_field)
    return -strength * (right * np.cos(toward) + down * np.sin(toward))


def wobble(rng: np.random.Generator, count: int, roughness: float, waves: Sequence[int] = (2, 3, 5, 8, 13)) -> np.ndarray:
    """Factors around 1 for the radii of a closed shape with ``count`` corners."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    parts = [np.sin(wave * turn + rng.uniform(0, 6.28)) * rng.normal(0, 1) / wave**0.7 for wave in waves]
    return 1 + roughness * np.sum(parts, 0)


def blob(
    rng: np.random.Generator, x: float, y: float, radius: float, roughness: float = 0.08, squeeze: float = 1.0
) -> Points:
    """Corners (48, 2) of a round shape about (x, y), ``squeeze`` times as high as wide."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = radius * wobble(rng, 48, roughness)
    return np.stack([x + reach * np.cos(turn), y + squeeze * reach * np.sin(turn)], 1)
