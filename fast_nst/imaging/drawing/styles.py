"""Style pictures of many kinds, drawn from a seed: paint, prints, and pictures made of pieces."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from fast_nst.errors import UserError, unknown
from fast_nst.imaging.drawing.painted import PAINTED
from fast_nst.imaging.drawing.pieces import PIECES
from fast_nst.imaging.drawing.printed import PRINTED

SMALLEST = 16  # pixels, a side

Kind = Callable[[np.random.Generator, int, int], np.ndarray]  # (generator, height, width) -> RGB about [0, 1], (H, W, 3)

KINDS: dict[str, Kind] = {**PAINTED, **PRINTED, **PIECES}


def draw_style(kind: str, seed: int, height: int = 512, width: int = 640) -> np.ndarray:
    """A picture of one of ``KINDS`` with a palette, a motif and strokes of its own.

    Returns:
        uint8 RGB, shape (height, width, 3); the same for the same arguments.
    Raises:
        UserError: no such kind, or a side below ``SMALLEST``.
    """
    if kind not in KINDS:
        raise unknown("kind of style picture", kind, KINDS)
    if min(height, width) < SMALLEST:
        raise UserError(f"a style picture of {width} x {height} pixels is too small; give at least {SMALLEST} x {SMALLEST}")
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    picture = KINDS[kind](rng, height, width)
    return (255 * picture.clip(0, 1) + 0.5).astype(np.uint8)
