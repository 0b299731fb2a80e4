"""Conversion of a decoded image's samples to eight bits of sRGB, upright.

TIFF stores samples in many layouts, of which Pillow decodes a part, and converts some without scaling. Integers of b bits
are scaled by 255 / (2^b - 1), signed ones from their lowest value up. Floating point has no range of its own: up to 1 is
taken as shares of white, then up to 255 and up to 65535 as the levels of eight and sixteen bits.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fast_nst.errors import UserError
from fast_nst.imaging.planes import is_planar, read_planes

BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 262, 274, 339
WHITE_IS_ZERO, SIGNED = 0, 2  # values of PHOTOMETRIC and SAMPLE_FORMAT
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
CROP = "crop box"  # among the info of an opened AVIF: what its reader leaves to be cut out, or None
RANGES = (1, 255, 65535)  # white of floating point samples


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in mode RGB: eight bits, sRGB by its embedded profile, transparency laid on white."""
    image = to_eight_bits(image)
    if image.has_transparency_data:
        profile, image = image.info.get("icc_profile"), image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        image.info["icc_profile"] = profile
    return to_srgb(image).convert("RGB")


def decode(image: Image.Image) -> Image.Image:
    """An opened image decoded: eight bits a sample, turned as its EXIF says; EXIF that cannot be read turns nothing."""
    planar = is_planar(image)
    if not planar:
        image.load()  # which turns a TIFF by itself
    orientation = None
    with suppress(Exception):  # Pillow raises whatever broken EXIF makes of it
        orientation = image.getexif().get(ORIENTATION)
    image = to_eight_bits(read_planes(image, to_eight_bits) if planar else _cropped(image))
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _cropped(image: Image.Image) -> Image.Image:
    crop = image.info.get(CROP) if image.format == "AVIF" else None
    return image if crop is None else image.crop(crop)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """``image`` with eight bits a sample; Pillow's own conversion would cut larger values off at 255.

    Raises:
        UserError: floating point of no known range.
    """
    bits, inverted, signed = _layout(image)
    if image.mode == "F":
        levels = _levels_of_floats(np.asarray(image))
    elif image.mode.startswith("I"):
        levels = _levels_of_integers(np.asarray(image), bits, signed)
    elif image.mode == "L" and signed:
        levels = np.asarray(image) ^ 128
    else:
        return image
    result = Image.fromarray(~levels if inverted else levels)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # the one level of a gray PNG that is not seen, of sixteen bits
        result.putalpha(Image.fromarray(np.where(np.asarray(image) == transparent, np.uint8(0), np.uint8(255))))
    result.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return result


def _layout(image: Image.Image) -> tuple[int, bool, bool]:
    """Bits of a sample, whether zero is white, whether samples have a sign; 16 and no where the format does not say."""
    tags: Any = getattr(image, "tag_v2", {})
    bits, sample_format = np.atleast_1d(tags.get(BITS_PER_SAMPLE, 16)), np.atleast_1d(tags.get(SAMPLE_FORMAT, 1))
    return int(bits[0]), tags.get(PHOTOMETRIC) == WHITE_IS_ZERO, sample_format[0] == SIGNED


def _levels_of_integers(samples: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    if bits == 32:  # the upper half is enough; Pillow keeps numbers without a sign as if they had one
        samples, bits = (samples >> 16) if signed else (samples.view(np.uint32) >> 16), 16
    lowest = -(2 ** (bits - 1)) if signed else 0
    table = (np.arange(2**bits) * 255 // (2**bits - 1)).astype(np.uint8)
    return table[samples.clip(lowest, lowest + 2**bits - 1) - lowest]


def _levels_of_floats(samples: np.ndarray) -> np.ndarray:
    """White is the smallest of ``RANGES`` that 99 % of the samples do not exceed; single highlights are cut off."""
    finite = samples[np.isfinite(samples)]
    top = float(np.percentile(finite, 99)) if finite.size else np.inf
    white = next((white for white in RANGES if top <= white), None)
    if white is None:
        raise UserError("the picture has floating point samples of no known range; save it with 16 bits a sample")
    shares = np.nan_to_num(samples / np.float32(white), nan=0, posinf=1, neginf=0).clip(0, 1)
    return np.rint(255 * shares).astype(np.uint8)


def to_srgb(image: Image.Image) -> Image.Image:
    """Apply an embedded color profile; one that is broken or of another color model is ignored, as browsers do."""
    if image.mode == "LAB":
        return _converted(image, ImageCms.createProfile("LAB"))
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _converted(image: Image.Image, profile: Any) -> Image.Image:
    """``image`` in the color space ``profile``, as sRGB."""
    found = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image if found is None else found  # None only where the image itself is changed
