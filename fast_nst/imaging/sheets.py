"""Contact sheets: several pictures on white, with or without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fast_nst.imaging.images import RESAMPLING


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], cell: int = 256, gap: int = 4) -> np.ndarray:
    """Lay pictures out on white, each fitted into ``cell`` x ``cell`` pixels, each row as high as its highest picture."""
    fitted = [[_fitted(pixels, cell) for pixels in row] for row in rows]
    heights = [max(image.height for image in row) for row in fitted]
    pitch, top = cell + gap, gap
    sheet = Image.new("RGB", (max(map(len, rows)) * pitch + gap, sum(heights) + len(rows) * gap + gap), "white")
    for row, height in zip(fitted, heights, strict=True):
        for x, image in enumerate(row):
            sheet.paste(image, (gap + x * pitch + (cell - image.width) // 2, top + (height - image.height) // 2))
        top += height + gap
    return np.asarray(sheet)


def labelled_sheet(rows: Sequence[Sequence[tuple[str, np.ndarray]]], cell: int = 256, gap: int = 4) -> np.ndarray:
    """Lay (label, picture) pairs out in rows on white, ``cell`` pixels wide at most, each label below its picture.

    A label that is too long for its cell is cut off.
    """
    fitted = [[(label, _fitted(pixels, cell)) for label, pixels in row] for row in rows]
    size = max(10, cell // 18)
    font = ImageFont.load_default(size)
    across, down = cell + gap, max(image.height for row in fitted for _, image in row) + round(1.6 * size) + gap
    sheet = Image.new("RGB", (max(map(len, rows)) * across + gap, len(rows) * down + gap), "white")
    for y, row in enumerate(fitted):
        for x, (label, image) in enumerate(row):
            left, top = gap + x * across, gap + y * down
            sheet.paste(image, (left + (cell - image.width) // 2, top))
            label = _cut(label, font, cell)
            middle = left + (cell - font.getlength(label)) / 2
            ImageDraw.Draw(sheet).text((middle, top + image.height + 1), label, "black", font)
    return np.asarray(sheet)


def _fitted(pixels: np.ndarray, cell: int) -> Image.Image:
    return ImageOps.contain(Image.fromarray(pixels), (cell, cell), RESAMPLING)


def _cut(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while label and font.getlength(label) > width:
        label = label[:-1]
    return label
