"""Image files and arrays: upright, in sRGB, three channels, eight bits. Never imports torch.

Arrays are uint8 RGB, shape (H, W, 3).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.opening import open_checked
from fast_nst.imaging.samples import decode, to_rgb
from fast_nst.imaging.scanning import SUFFIXES
from fast_nst.system.files import write_bytes

RESAMPLING = Image.Resampling.LANCZOS


def open_image(path: str | Path, draft_size: tuple[int, int] | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode an image: turned as its EXIF says, converted to sRGB, its transparency laid on white.

    Args:
        path: a file in one of Pillow's formats.
        draft_size: (width, height) that are enough; a JPEG is then decoded at a fraction of its size, several times faster.
        max_pixels: pixels that may be decoded; None is ``opening.MAX_PIXELS``.
    Returns:
        a Pillow image of mode RGB.
    Raises:
        UserError: no such file, no image, damaged, or too many pixels.
    """
    with open_checked(path, path, max_pixels) as (image, _):
        if draft_size is not None:
            image.draft("RGB", draft_size)
        return to_rgb(decode(image))


def load_image(path: str | Path, long_side: int | None = None) -> np.ndarray:
    """The image in ``path`` as uint8 RGB (H, W, 3), its longer side reduced to ``long_side`` where it is larger."""
    image = open_image(path, (long_side, long_side) if long_side else None)
    if long_side and max(image.size) > long_side:
        image = resize_long_side(image, long_side)
    return np.asarray(image)


def resize_long_side(image: Image.Image, long_side: int) -> Image.Image:
    """``image`` with a longer side of ``long_side`` pixels, aspect kept, larger or smaller than before."""
    scale = long_side / max(image.size)
    return image.resize([max(1, round(side * scale)) for side in image.size], RESAMPLING)


def save_image(pixels: np.ndarray, path: str | Path) -> None:
    """Write uint8 RGB (H, W, 3) in the format of ``path``'s suffix, whole or not at all; JPEG and WebP at quality 95."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"cannot write {escape_name(path)}: choose a name that ends in one of {' '.join(sorted(SUFFIXES))}")
    encoded = io.BytesIO()  # Pillow overlooks a write that the disk cuts short
    Image.fromarray(pixels).save(encoded, Image.registered_extensions()[suffix], quality=95)
    write_bytes(path, encoded.getbuffer())
