"""What a network draws along a picture's edge: lines of a few pixels, which padding teaches.

Mirrored borders and zeros tell a convolution where the picture ends. If something there pays, as strokes against the loss
network's own padding do, it is drawn around every picture.
"""

from __future__ import annotations

import numpy as np

EDGE = 8  # steps from one line of pixels to the next, from the edge inwards: a frame lies among these
AROUND = 4 * EDGE  # those after them, of which a frame stands out
MIN_SIDE = 2 * (EDGE + AROUND)
ROUNDING = 1 / 12  # variance of what rounding to 8 bits does: what counts as a step at least


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
    if min(height, width) < MIN_SIDE:
        raise ValueError(f"the frame of {width} x {height} pixels cannot be told; {MIN_SIDE} a side are needed")
    sides = [np.rot90(pixels, turns) for turns in range(4)]
    return float(np.exp(np.mean([np.log(_contrast(side)) for side in sides]) / 2))


def _contrast(pixels: np.ndarray) -> float:
    """Mean square step near the top edge over that below it."""
    lines = pixels[: EDGE + AROUND + 1, EDGE:-EDGE].astype(np.float64)
    steps = np.square(np.diff(lines.mean(1), axis=0)).sum(1) + ROUNDING / lines.shape[1]
    return steps[:EDGE].mean() / steps[EDGE:].mean()
