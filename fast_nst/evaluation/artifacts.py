"""Measures of two artifacts of feed-forward networks: checkerboards, and lines along the border.

A network that works at a quarter of the scale and upsamples by 2 twice tends to repeat a pattern every 2 and 4 pixels
(Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"). Loss networks do not penalize it; the spectrum shows it as
peaks at multiples of a quarter of a cycle per pixel.

Mirrored and zero padding tell a convolution where the picture ends. Where strokes along the edge lower the loss, whose
network pads as well, they appear around every picture.
"""

from __future__ import annotations

import numpy as np

PERIOD = 4  # pixels
PEAK, PEAK_SURROUNDINGS = 6 / 512, 20 / 512  # cycles per pixel: half the sides of the two squares around a peak
CHECKERBOARD_SIDE = 32
ROUNDING = 1 / 12  # variance of rounding to 8 bits: the least power, and the least step, that counts

EDGE = 8  # steps from one line of pixels to the next, from the edge inwards, that hold a border artifact
EDGE_SURROUNDINGS = 4 * EDGE  # steps further in, to which they are compared
BORDER_SIDE = 2 * (EDGE + EDGE_SURROUNDINGS)


def checkerboard(pixels: np.ndarray) -> float:
    """Power of a picture at the network's grid, relative to the power next to it: 1 is none, from 2 on it is visible.

    The geometric mean of P(peak) / P(surroundings) over the 15 frequencies (i / 4, j / 4) other than 0 of a period of 4
    pixels. P is the mean power of the picture under a Hann window, summed over channels, in a square of half side 6 / 512 of
    a cycle around the frequency, and in one of 20 / 512 without the smaller one.

    Args:
        pixels: uint8 RGB (H, W, 3), at least 32 pixels a side.
    Raises:
        ValueError: a smaller picture.
    """
    _check_side(pixels, CHECKERBOARD_SIDE, "checkerboard")
    height, width = (side // PERIOD * PERIOD for side in pixels.shape[:2])
    power = _power(pixels[:height, :width].astype(np.float64))
    frequencies = [(row, column) for row in range(PERIOD) for column in range(PERIOD) if row or column]
    return float(np.exp(np.mean([np.log(_peak_contrast(power, frequency)) for frequency in frequencies])))


def border_artifact(pixels: np.ndarray) -> float:
    """Steps across the lines along the edge, relative to those further in: 1 is none, from 2 on it is visible.

    With m_k the mean color of the k-th line of pixels parallel to a side, corners left out, and s_k = |m_(k+1) - m_k|^2,
    the geometric mean over the four sides of

        sqrt( mean of s_k, k < 8  /  mean of s_k, 8 <= k < 40 )

    A contour of the photograph along one side counts for that side alone; a border artifact lies on all four.

    Args:
        pixels: uint8 RGB (H, W, 3), at least 80 pixels a side.
    Raises:
        ValueError: a smaller picture.
    """
    _check_side(pixels, BORDER_SIDE, "border artifact")
    sides = [np.rot90(pixels, turns) for turns in range(4)]
    return float(np.exp(np.mean([np.log(_edge_contrast(side)) for side in sides]) / 2))


def _check_side(pixels: np.ndarray, least: int, what: str) -> None:
    height, width = pixels.shape[:2]
    if min(height, width) < least:
        raise ValueError(f"the {what} of {width} x {height} pixels cannot be measured; {least} a side are needed")


def _power(pixels: np.ndarray) -> np.ndarray:
    """Power spectrum (H, W) of ``pixels`` (H, W, C) under a Hann window, summed over channels."""
    window = np.hanning(pixels.shape[0])[:, None] * np.hanning(pixels.shape[1])
    spectrum = np.fft.fft2((pixels - pixels.mean((0, 1))) * window[..., None], axes=(0, 1))
    return (np.abs(spectrum) ** 2).sum(2) + ROUNDING * pixels.shape[2] * np.square(window).sum()


def _peak_contrast(power: np.ndarray, frequency: tuple[int, int]) -> float:
    peak, surroundings = (_square(power, frequency, extent) for extent in (PEAK, PEAK_SURROUNDINGS))
    return peak.mean() / ((surroundings.sum() - peak.sum()) / (surroundings.size - peak.size))


def _square(power: np.ndarray, frequency: tuple[int, int], extent: float) -> np.ndarray:
    """The part of ``power`` up to ``extent`` cycles per pixel from ``frequency`` / 4."""
    ranges = []
    for side, index in zip(power.shape, frequency, strict=True):
        reach = max(round(extent * side), 1 if extent == PEAK else 2)
        ranges.append((index * side // PERIOD + np.arange(-reach, reach + 1)) % side)
    return power[np.ix_(*ranges)]


def _edge_contrast(pixels: np.ndarray) -> float:
    """Mean square step near the top edge over that below it."""
    lines = pixels[: EDGE + EDGE_SURROUNDINGS + 1, EDGE:-EDGE].astype(np.float64)
    steps = np.square(np.diff(lines.mean(1), axis=0)).sum(1) + ROUNDING / lines.shape[1]
    return steps[:EDGE].mean() / steps[EDGE:].mean()
