"""High dynamic range pictures of films (PQ and HLG, BT.2100) -> standard range in BT.709, which networks and screens expect.

Light of 203 cd/m2, the white of a sheet of paper (BT.2408), becomes the white of standard range. Up to ``KNEE`` of it light
is kept, above it is compressed, at one ratio for the three channels, so that hues stay.
"""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = 16, 18  # FFmpeg's codes of transfer characteristics
WHITE, HLG_PEAK = 203, 1000  # cd/m2
KNEE = 0.6
DISPLAY_GAMMA = 2.4  # BT.1886
TO_BT709 = np.array(  # from BT.2020, BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020


def is_hdr(transfer: int) -> bool:
    """Whether a film's transfer characteristic is one of high dynamic range."""
    return transfer in (PQ, HLG)


def to_standard_range(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """uint16 RGB (H, W, 3) of BT.2020 primaries, full range -> uint8 RGB of BT.709."""
    light = _light(transfer)[pixels]
    if transfer == HLG:  # from the scene's light to the display's
        light = light * np.maximum(light @ LUMINANCE, 1e-6)[..., None] ** 0.2 * (HLG_PEAK / WHITE)
    light = np.maximum(light @ TO_BT709.T, 0)
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    compressed = KNEE + (1 - KNEE) * (1 - np.exp(-(brightest - KNEE) / (1 - KNEE)))
    light = light * np.where(brightest > KNEE, compressed / brightest, 1)
    return np.rint(255 * light ** (1 / DISPLAY_GAMMA)).clip(0, 255).astype(np.uint8)


@cache
def _light(transfer: int) -> np.ndarray:
    """The light of each of 65,536 levels: for PQ the display's as a share of ``WHITE``, for HLG the scene's."""
    level = np.linspace(0, 1, 65536)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = level ** (1 / m2)
    return (10000 / WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)).astype(np.float32)
