"""Stability of a network's pictures in numbers: how much they change when the photograph moves a little.

A network that worked on a grid of its own, or was never asked to be steady, draws other strokes where the photograph lies a
pixel further on. In a film under a moving camera the strokes then swim. All measures are shares of the picture's contrast:
0 is a picture that moves along exactly, and 0.1 is hardly seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

EDGE = 24  # pixels along the borders of both pictures that do not count, as networks pad there
SHIFTS = tuple((down, right) for down in range(6) for right in range(6) if down or right)
FEW_SHIFTS = ((0, 1), (1, 0), (1, 1), (2, 2), (3, 5))  # for a quick look

Draw = Callable[[np.ndarray], np.ndarray]  # uint8 RGB (H, W, 3) -> the same shape


def shift_error(draw: Draw, photo: np.ndarray, shifts: Iterable[tuple[int, int]] = SHIFTS) -> float:
    """Mean over ``shifts`` of the difference of two pictures of a photograph seen through two windows, where both see it.

    With the windows A = photo[: H - m, : W - m] and B, which lies d pixels further down and right, of the same size, and
    their pictures a and b,

        mean |a[y + d, x + d'] - b[y, x]| / std(a)

    over all pixels that are ``EDGE`` or more from the borders of both; m is the largest shift.

    Args:
        draw: the network, uint8 RGB (H, W, 3) to the same shape.
        photo: uint8 RGB (H, W, 3).
        shifts: pixels (down, right), 0 or more.
    Raises:
        ValueError: a photograph too small for the shifts.
    """
    shifts = list(shifts)
    most = max(map(max, shifts))
    height, width = (side - most for side in photo.shape[:2])
    if min(photo.shape[:2]) < least_side(shifts):
        raise ValueError(f"a shift error needs {least_side(shifts)} pixels a side, got {min(photo.shape[:2])}")
    first = draw(photo[:height, :width]).astype(np.float32)
    errors = []
    for down, right in shifts:
        second = draw(photo[down : down + height, right : right + width])
        same = first[down + EDGE : height - EDGE, right + EDGE : width - EDGE]
        errors.append(np.abs(same - _seen(second, height - down - EDGE, width - right - EDGE)).mean())
    return float(np.mean(errors)) / contrast(first)


def least_side(shifts: Iterable[tuple[int, int]]) -> int:
    """The shorter side, in pixels, of a photograph in which ``shifts`` can be measured."""
    return 2 * (EDGE + max(map(max, shifts))) + 32


def affine_error(draw: Draw, photo: np.ndarray, zoom: float = 1.0, degrees: float = 0.0) -> float:
    """The same for a zoom and a rotation about the center: the picture of the moved photograph, less the moved picture.

    Both are resampled bicubically, so a network that returns its input has an error of rounding alone.
    """
    first = draw(photo)
    matrix = about_center(photo.shape[1], photo.shape[0], zoom, degrees)
    difference = _seen(draw(moved(photo, matrix)), *_ends(photo)) - _seen(moved(first, matrix), *_ends(photo))
    known = _seen(moved(np.full_like(photo, 255), matrix), *_ends(photo)) == 255
    return float(np.abs(difference)[known].mean()) / contrast(first)


def noise_error(draw: Draw, photo: np.ndarray, deviation: float = 4.0, seed: int = 0) -> float:
    """The change of the picture by sensor noise of ``deviation`` (of 255), as a share of its contrast."""
    noise = np.random.default_rng(seed).normal(0, deviation, photo.shape)
    return _change(draw, photo, np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8))


def light_error(draw: Draw, photo: np.ndarray, factor: float = 0.95) -> float:
    """The change of the picture by light that is ``factor`` times as bright, as a share of its contrast."""
    return _change(draw, photo, np.rint(photo * factor).astype(np.uint8))


def contrast(picture: np.ndarray) -> float:
    """The standard deviation of a picture's values, at least 1 (of 255)."""
    return max(1.0, float(picture.std()))


def moved(picture: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """``picture`` uint8 (H, W, 3), each pixel taken from where ``matrix`` says, black from outside."""
    size = picture.shape[1::-1]
    return np.asarray(Image.fromarray(picture).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def about_center(width: int, height: int, zoom: float, degrees: float) -> tuple[float, ...]:
    """Pillow's matrix (from the new picture to the old) of a zoom and a rotation about the center."""
    angle, x, y = np.deg2rad(degrees), width / 2, height / 2
    a, b = np.cos(angle) / zoom, np.sin(angle) / zoom
    return (a, b, x - a * x - b * y, -b, a, y + b * x - a * y)


def _change(draw: Draw, photo: np.ndarray, other: np.ndarray) -> float:
    first, second = draw(photo), draw(other)
    return float(np.abs(_seen(first, *_ends(photo)) - _seen(second, *_ends(photo))).mean()) / contrast(first)


def _ends(photo: np.ndarray) -> tuple[int, int]:
    return photo.shape[0] - EDGE, photo.shape[1] - EDGE


def _seen(picture: np.ndarray, bottom: int, right: int) -> np.ndarray:
    """The part of ``picture`` that counts, from ``EDGE`` to ``bottom`` and ``right``, as float32."""
    return picture[EDGE:bottom, EDGE:right].astype(np.float32)
