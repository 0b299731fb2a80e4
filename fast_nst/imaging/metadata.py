"""Metadata of an image file: what the camera and its owner wrote beside the pixels, as far as it fits another file.

The orientation is applied and forgotten. Tags that describe how a TIFF stores its samples belong to that file alone.
docs/stylize.md tells for each format what is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image, ImageCms

ORIENTATION, EXIF_IFD = 0x0112, 0x8769
LARGE = 8192  # bytes of a tag
RESOLUTION = (282, 283)
STORAGE = {*range(254, 270), *range(273, 282), *range(284, 296), 297, 301, *range(317, 333), *range(338, 348)}
STORAGE |= {*range(512, 533), 700, 34377, 34675}  # JPEG, YCbCr, XMP, Photoshop's resources, the color profile
DPI = (1, 65535)  # that every format can hold
KEPT = {
    ".jpg": ("exif", "dpi", "icc_profile"),
    ".png": ("exif", "dpi", "icc_profile"),
    ".webp": ("exif", "icc_profile"),
    ".tif": ("exif", "dpi", "icc_profile"),
    ".bmp": ("dpi",),
}
WORDS = {"exif": "EXIF", "dpi": "resolution", "icc_profile": "color profile", "loop": "number of repetitions"}


@dataclass(frozen=True)
class Metadata:
    """Metadata of a picture.

    Attributes:
        exif: its tags, without the orientation; empty for none.
        dpi: horizontal and vertical pixels an inch.
        loop: how often an animation is repeated, 0 for ever.
        profile: whether colors were described by a profile, so that the result says sRGB.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    loop: int | None = None
    profile: bool = False

    def options(self, suffix: str) -> dict[str, Any]:
        """Arguments of Pillow's ``save`` for the metadata that a file of ``suffix`` can hold."""
        along = {"exif": self.exif or None, "dpi": self.dpi, "icc_profile": _srgb() if self.profile else None}
        return {name: along[name] for name in KEPT.get(suffix, ()) if along[name] is not None}


def read_metadata(image: Image.Image, notes: list[str]) -> Metadata:
    """The metadata of a decoded ``image``; ``notes`` gets a clause for each part that cannot be read."""
    dpi = image.info.get("dpi")
    if dpi == (1, 1):  # what Pillow says of a TIFF without any
        dpi = None
    if dpi is not None and not _is_resolution(dpi):
        notes.append("its resolution is no number of pixels an inch, and left out")
        dpi = None
    return Metadata(_exif(image, notes), dpi, image.info.get("loop"), bool(image.info.get("icc_profile")))


def without_large_tags(exif: bytes) -> bytes:
    """``exif`` without tags of over ``LARGE`` bytes: what a camera's maker put there for itself, thumbnails, long texts."""
    tags = Image.Exif()
    tags.load(exif)
    for group in (tags, tags.get_ifd(EXIF_IFD)):
        for tag in [tag for tag, value in group.items() if isinstance(value, bytes | str) and len(value) > LARGE]:
            del group[tag]
    return tags.tobytes()


def _is_resolution(dpi: Any) -> bool:
    try:
        return len(dpi) == 2 and all(math.isfinite(value) and DPI[0] <= value <= DPI[1] for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return False


def _exif(image: Image.Image, notes: list[str]) -> bytes:
    try:
        exif = image.getexif()
        for tag in [*STORAGE, ORIENTATION]:
            exif.pop(tag, None)
        if not _is_resolution([exif.get(tag, 72) for tag in RESOLUTION]):
            for tag in RESOLUTION:
                exif.pop(tag, None)
        return exif.tobytes() if len(exif) else b""
    except Exception:  # Pillow raises whatever broken EXIF makes of it
        notes.append("its EXIF cannot be read, and is left out")
        return b""


@cache
def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
