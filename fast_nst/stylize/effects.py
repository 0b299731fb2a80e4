"""Operations on a stylized picture and its photograph, uint8 RGB (H, W, 3): mixing in linear light, colors, masks, size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from fast_nst.errors import escape_name
from fast_nst.imaging.images import RESAMPLING

STRIP = 256  # rows that are mixed at once
MASK_EDGE = 0.01  # softness of a mask's edges, a share of the longer side
SAME_ASPECT = 0.02  # the logarithm of a ratio of aspect ratios that are still the same


def mixed(pictures: Sequence[tuple[np.ndarray, float | np.ndarray]]) -> np.ndarray:
    """uint8 sRGB pictures (..., H, W, 3) mixed by their shares in linear light, strip by strip.

    A share is a number, or (H, W, 1) for one of every pixel.
    """
    wanted = [(picture, share) for picture, share in pictures if np.any(share)]
    if len(wanted) == 1 and np.all(wanted[0][1] == 1):
        return wanted[0][0]
    shape: tuple[int, ...] = np.broadcast_shapes(*(picture.shape for picture, _ in wanted))
    result = np.empty(shape, np.uint8)
    for top in range(0, shape[-3], STRIP):
        rows = np.s_[..., top : top + STRIP, :, :]
        result[rows] = _mixed_light([(picture[rows], _rows_of(share, rows)) for picture, share in wanted])
    return result


def _mixed_light(pictures: Sequence[tuple[np.ndarray, float | np.ndarray]]) -> np.ndarray:
    light = sum(np.asarray(share, np.float32) * SRGB_TO_LIGHT[picture] for picture, share in pictures)
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.rint(srgb * 255).astype(np.uint8)


def _rows_of(share: float | np.ndarray, rows: tuple) -> float | np.ndarray:
    return share[rows] if isinstance(share, np.ndarray) and share.ndim else share


def _srgb_to_light() -> np.ndarray:
    """The light of each of 256 sRGB values, in [0, 1] (IEC 61966-2-1)."""
    srgb = np.arange(256, dtype=np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


SRGB_TO_LIGHT = _srgb_to_light()


def with_colors_of(picture: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The luminance of ``picture`` with the chroma of ``photo`` (Y and CbCr of Rec. 601; Gatys et al. 2016, sec. 3.2)."""
    luminance = Image.fromarray(picture).convert("YCbCr").getchannel("Y")
    _, blue, red = Image.fromarray(photo).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luminance, blue, red)).convert("RGB"))


@dataclass
class Mask:
    """A mask from a file; ``mismatch`` is told once."""

    path: str
    image: Image.Image
    told: bool = False

    def mismatch(self, width: int, height: int) -> str:
        """The end of a sentence about a picture of another aspect ratio than the mask's; empty for the same."""
        ratio = width * self.image.height / (height * self.image.width)
        if self.told or abs(np.log(ratio)) < SAME_ASPECT:
            return ""
        self.told = True
        return (
            f"has {width}x{height} pixels, the mask {escape_name(self.path)} {self.image.width}x{self.image.height}: "
            "the mask is stretched to the picture"
        )


def soft_mask(mask: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """``mask``'s gray fitted to ``size`` (width, height), edges softened: the style's share, float32 (H, W, 1) in [0, 1]."""
    gray = mask.convert("L").resize(size, Image.Resampling.BILINEAR)
    soft = gray.filter(ImageFilter.GaussianBlur(MASK_EDGE * max(size) / 2))
    return np.asarray(soft, np.float32)[..., None] / 255


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``pixels`` at ``size`` (width, height)."""
    return np.asarray(Image.fromarray(pixels).resize(size, RESAMPLING))
