"""Artifacts of a network in its pictures, in numbers: checkerboards of its own grid, and frames along the border.

A network that draws at a quarter of the scale and enlarges by 2 twice repeats its habits every 2 and 4 pixels: hatching and
checkerboards (Odena et al. 2016). Loss networks see no harm in that, and may even like it; the spectrum shows it as peaks at
multiples of a quarter of a cycle a pixel.

Mirrored borders and zeros tell a convolution where the picture ends. If something there pays, as strokes against the loss
network's own padding do, it is drawn around every picture.
"""

from __future__ import annotations

import itertools

import numpy as np

PERIOD = 4  # pixels
PEAK, PEAK_AROUND = 6 / 512, 20 / 512  # cycles a pixel: half the sides of the squares that hold a peak, and its surroundings
LATTICE_SIDE = 32
ROUNDING = 1 / 12  # variance of what rounding to 8 bits does: the least power, and the least step, that counts

EDGE = 8  # steps from one line of pixels to the next, from the edge inwards: a frame lies among these
EDGE_AROUND = 4 * EDGE  # those after them, of which a frame stands out
FRAME_SIDE = 2 * (EDGE + EDGE_AROUND)


def lattice(pixels: np.ndarray) -> float:
    """How much stronger a picture is at the network's grid than next to it: 1 is no grid, from 2 on it shows as a texture.

    The geometric mean of P(peak) / P(around) over the 15 frequencies (i / 4, j / 4) of a period of 4 pixels, constants left
    out. P is the power of the picture under a Hann window, all channels summed, in a square of 6 / 512 of a cycle around the
    frequency, and in one of 20 / 512 without it.

    Args:
        pixels: uint8 RGB (H, W, 3), at least 32 pixels a side.
    Raises:
        ValueError: a smaller picture.
    """
    height, width = (side // PERIOD * PERIOD for side in pixels.shape[:2])
    if min(height, width) < LATTICE_SIDE:
        raise ValueError(
            f"the grid of {pixels.shape[1]} x {pixels.shape[0]} pixels cannot be told; {LATTICE_SIDE} a side are needed"
        )
    power = _power(pixels[:height, :width].astype(np.float64))
    places = [place for place in itertools.product(range(PERIOD), repeat=2) if any(place)]
    return float(np.exp(np.mean([np.log(_peak_contrast(power, place)) for place in places])))


def _power(pixels: np.ndarray) -> np.ndarray:
    window = np.hanning(pixels.shape[0])[:, None] * np.hanning(pixels.shape[1])
    spectrum = np.fft.fft2((pixels - pixels.mean((0, 1))) * window[..., None], axes=(0, 1))
    return (np.abs(spectrum) ** 2).sum(2) + ROUNDING * pixels.shape[2] * np.square(window).sum()


def _peak_contrast(power: np.ndarray, place: tuple[int, int]) -> float:
    peak, around = (_square(power, place, extent) for extent in (PEAK, PEAK_AROUND))
    return peak.mean() / ((around.sum() - peak.sum()) / (around.size - peak.size))


def _square(power: np.ndarray, place: tuple[int, int], extent: float) -> np.ndarray:
    """The part of ``power`` up to ``extent`` cycles a pixel from the frequency ``place`` / 4."""
    ranges = []
    for side, index in zip(power.shape, place, strict=True):
        reach = max(round(extent * side), 1 if extent == PEAK else 2)
        ranges.append((index * side // PERIOD + np.arange(-reach, reach + 1)) % side)
    return power[np.ix_(*ranges)]


def frame(pixels: np.ndarray) -> float:
    """How much stronger the steps across lines along the edge are than further in: 1 is no frame, from 2 on it shows.

    With m_k the mean colour of the k-th line of pixels parallel to a side, corners left out, and s_k = |m_(k+1) - m_k|^2,

        frame = geometric mean over the four sides of sqrt( mean of s_k, k < 8  /  mean of s_k, 8 <= k < 40 )

    A contour of the photograph that happens to lie along one side counts for one side; a frame lies on all.

    Args:
        pixels: uint8 RGB (H, W, 3), at least 80 pixels a side.
    Raises:
        ValueError: a smaller picture.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < FRAME_SIDE:
        raise ValueError(f"the frame of {width} x {height} pixels cannot be told; {FRAME_SIDE} a side are needed")
    sides = [np.rot90(pixels, turns) for turns in range(4)]
    return float(np.exp(np.mean([np.log(_edge_contrast(side)) for side in sides]) / 2))


def _edge_contrast(pixels: np.ndarray) -> float:
    """Mean square step near the top edge over that below it."""
    lines = pixels[: EDGE + EDGE_AROUND + 1, EDGE:-EDGE].astype(np.float64)
    steps = np.square(np.diff(lines.mean(1), axis=0)).sum(1) + ROUNDING / lines.shape[1]
    return steps[:EDGE].mean() / steps[EDGE:].mean()
