"""Brush strokes with bristles and thickness, laid one after another on a canvas of floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fast_nst.imaging.drawing.fields import Points, blur, random_sites, relief, sample, smoothstep
from fast_nst.imaging.drawing.palettes import luminance

ANGLES = 20  # directions in half a turn
VARIANTS = 2  # different strokes for each direction


@dataclass(frozen=True)
class Brush:
    """Stamps of one stroke: its opacity, its bristles' lightness and its thickness, (ANGLES * VARIANTS, side, side)."""

    opacity: np.ndarray
    tint: np.ndarray
    thickness: np.ndarray


def make_brush(
    rng: np.random.Generator,
    length: float,
    width: float,
    bristles: float = 0.5,
    ragged: float = 0.3,
    bend: float = 0.25,
    hair: float = 1.6,
) -> Brush:
    """A flat brush.

    Args:
        length, width: of a stroke, in pixels.
        bristles: how far they part, 0 (a solid stroke) to 1 (dry).
        ragged: how unevenly the stroke starts and ends.
        bend: largest curvature, as the sagitta over half the length.
        hair: width of a bristle, in pixels.
    """
    side = 2 * int(np.ceil(0.55 * length + 0.6 * width + 2)) + 1
    y, x = np.mgrid[:side, :side].astype(np.float32) - (side - 1) / 2
    stamps = []
    for number in range(ANGLES * VARIANTS):
        angle = np.pi * (number // VARIANTS) / ANGLES + np.pi * (rng.random() < 0.5)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        along, across = along / (0.5 * length), across / (0.5 * width)
        across = across + rng.uniform(-bend, bend) * along**2 * length / width
        stamps.append(_stroke(rng, along, across, bristles, ragged, width, hair))
    return Brush(*(np.stack(part).astype(np.float32) for part in zip(*stamps, strict=True)))


def _stroke(
    rng: np.random.Generator,
    along: np.ndarray,
    across: np.ndarray,
    bristles: float,
    ragged: float,
    width: float,
    hair: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opacity, tint and thickness of one stroke over its own coordinates, each from -1 to 1 inside of it."""
    hairs = max(4, int(width / hair))
    along, across = along.astype(np.float32), across.astype(np.float32)
    seat = ((across.clip(-1, 1) + 1) / 2 * (hairs - 1)).round().astype(int)
    paint = blur(rng.random((hairs, 1)).astype(np.float32), 0.4)[seat, 0]  # how much each hair carries
    start, stop = (1 - ragged * rng.random(hairs).astype(np.float32)[seat] for _ in range(2))
    soft = 2.0 / max(4.0, width)
    sides = smoothstep(1 - np.abs(across), 0, 2 * soft)
    inside = sides * smoothstep(along, -start - soft, -start + soft) * smoothstep(along, stop + soft, stop - soft)
    running_dry = smoothstep(paint + 0.35 * (1 - along) / 2, bristles - 0.15, bristles + 0.15) if bristles > 0 else 1.0
    thickness = inside * (
        0.35 + 0.65 * paint + 0.5 * smoothstep(np.abs(across), 0.55, 0.95) + 0.3 * smoothstep(along, 0.5, 1)
    )
    return inside * running_dry, (paint - 0.5) * inside, thickness


class Canvas:
    """RGB (H, W, 3) and thickness (H, W) of the paint, which strokes are laid on."""

    def __init__(self, color: np.ndarray) -> None:
        self.color = color.astype(np.float32).copy()
        self.thickness: np.ndarray = np.zeros(color.shape[:2], np.float32)

    def lay(
        self,
        rng: np.random.Generator,
        brush: Brush,
        points: Points,
        angles: np.ndarray,
        colors: np.ndarray,
        opacity: float = 1.0,
        tint: float = 0.12,
        tooth: np.ndarray | None = None,
    ) -> None:
        """Strokes at ``points`` (N, 2) along ``angles`` (N,) in ``colors`` (N, 3), in this order.

        Args:
            tint: how much lighter and darker than the color bristles are.
            tooth: how well each pixel of the paper takes the color, (H, W) in [0, 1].
        """
        half = brush.opacity.shape[1] // 2
        color, thickness = self._padded(self.color, half), self._padded(self.thickness, half)
        rough = None if tooth is None else self._padded(tooth, half)
        directions = np.rint(angles / np.pi * ANGLES).astype(int) % ANGLES
        stamps = directions * VARIANTS + rng.integers(0, VARIANTS, len(points))
        height, width = self.thickness.shape
        lefts = points[:, 0].astype(int).clip(0, width - 1).tolist()
        tops = points[:, 1].astype(int).clip(0, height - 1).tolist()
        shares = opacity * brush.opacity[..., None]
        tints = tint * brush.tint[..., None]
        for left, top, stamp, paint in zip(lefts, tops, stamps.tolist(), colors.astype(np.float32), strict=True):
            box = np.s_[top : top + 2 * half + 1, left : left + 2 * half + 1]
            share = shares[stamp] if rough is None else shares[stamp] * rough[box][..., None]
            color[box] += share * (paint + tints[stamp] - color[box])
            thickness[box] += share[..., 0] * (brush.thickness[stamp] - 0.7 * thickness[box])
        self.color = color[half : half + height, half : half + width]
        self.thickness = thickness[half : half + height, half : half + width]

    @staticmethod
    def _padded(field: np.ndarray, half: int) -> np.ndarray:
        """``field`` with a border ``half`` wide, which strokes may run over."""
        return np.pad(field, [(half, half), (half, half)] + [(0, 0)] * (field.ndim - 2), mode="edge")

    def lit(self, strength: float = 0.5, sharp: float = 0.7) -> np.ndarray:
        """The color with the paint's relief under a light from the upper left."""
        slope = relief(blur(self.thickness, sharp), strength)
        shine = 0.35 * smoothstep(slope, 0.12, 0.4)
        return self.color * (1 + slope.clip(-0.45, 0.45))[..., None] + shine[..., None] * (1 - self.color)


def vary(rng: np.random.Generator, colors: np.ndarray, value: float, hue: float) -> np.ndarray:
    """``colors`` (N, 3) made lighter or darker by about ``value``, and of other hues by about ``hue``."""
    shift = rng.normal(0, 1, colors.shape)
    shift -= shift.mean(-1, keepdims=True)
    return (colors * (1 + rng.normal(0, value, (*colors.shape[:-1], 1))) + hue * shift).clip(0, 1).astype(np.float32)


def saturate(color: np.ndarray, factor: float) -> np.ndarray:
    """``color`` farther from gray by ``factor``."""
    gray = luminance(color)[..., None]
    return (gray + factor * (color - gray)).clip(0, 1)


def places(rng: np.random.Generator, height: int, width: int, pitch: float) -> Points:
    """Points that cover the picture evenly, about ``pitch`` pixels apart, in random order; (N, 2)."""
    points = random_sites(rng, height, width, max(1.0, pitch), 0.9).reshape(-1, 2)
    inside = (
        (points[:, 0] > -pitch) & (points[:, 0] < width + pitch) & (points[:, 1] > -pitch) & (points[:, 1] < height + pitch)
    )
    return rng.permutation(points[inside])


def where_coarse(canvas: Canvas, target: np.ndarray, points: Points, share: float) -> Points:
    """The ``share`` of ``points`` at which the canvas is farthest from ``target``: fine paint where needed (Hertzmann)."""
    error = blur(np.abs(canvas.color - target).mean(-1), 2.0)
    found = sample(error, points)
    return points[found >= np.quantile(found, 1 - share)]
