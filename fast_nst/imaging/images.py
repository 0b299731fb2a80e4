"""Pictures in files <-> arrays: upright, in sRGB, three channels, eight bits. Neither torch nor any model is needed here.

Arrays are uint8 RGB, shape (H, W, 3). A picture from a file is data of a stranger: its size is checked before it is
decoded, formats that are programs are refused, and whatever Pillow cannot read becomes one sentence.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from fast_nst.errors import UserError
from fast_nst.system.files import atomic_path

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}  # that pictures are written under
HEIF = {".heic", ".heif"}
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"}  # bytes 8 to 12 of such a file
HEIF_NEEDS = "HEIC, which takes pip install 'fast_nst[heif]'"
FOUND = SUFFIXES | HEIF | {".gif", ".avif", ".jfif", ".jpe", ".jp2"}  # that pictures in folders are known by
MAX_PIXELS = 150_000_000
PROGRAMS = {"EPS": "PostScript", "WMF": "metafiles"}  # which Pillow would give to another program to run
RESAMPLING = Image.Resampling.LANCZOS
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow refuses twice as many, in a later frame as well; check_size the others


def open_image(path: str | Path, draft_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture: turned as its EXIF says, converted to sRGB, its transparency laid on white.

    Args:
        path: a file in one of Pillow's formats.
        draft_size: (width, height) that are enough; a JPEG is then decoded at a fraction of its size, several times faster.
    Returns:
        a Pillow image of mode RGB.
    Raises:
        UserError: no such file, no picture, damaged, or more than ``MAX_PIXELS`` pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no picture at {path}; check the path")
    with reading(path), opened(path) as image:
        check_size(image, path)
        if draft_size is not None:
            image.draft("RGB", draft_size)
        return to_rgb(ImageOps.exif_transpose(image))


def opened(source: str | Path | BinaryIO) -> Image.Image:
    """``Image.open``, which learns HEIF, as telephones write it, where it is met and pillow-heif is installed."""
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        if not _knows_heif():
            raise
        return Image.open(source)


@cache
def _knows_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _is_heif(path: Path) -> bool:
    """By its ending or its first bytes, as telephones call such files .jpg at times."""
    if path.suffix.lower() in HEIF:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:  # standard input, say
        return False
    return head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS


@contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Whatever goes wrong while the picture ``name`` is decoded becomes a UserError; Pillow's warnings are not shown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{name} has too many megapixels, at most {MAX_PIXELS / 1e6:.3g} are read; make it smaller"
        ) from error
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes of them
        if not _knows_heif() and _is_heif(Path(name)):
            raise UserError(f"cannot read {name}: it is {HEIF_NEEDS}") from error
        raise UserError(
            f"cannot read {name} as a picture; it is damaged or of a format that Pillow does not know"
        ) from error


def load_image(path: str | Path, long_side: int | None = None) -> np.ndarray:
    """The picture in ``path`` as uint8 RGB (H, W, 3), its longer side reduced to ``long_side`` where it is larger."""
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
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write {path}: choose a name that ends in one of {' '.join(sorted(SUFFIXES))}")
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, quality=95)


def find_images(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Every picture in ``folder``, and below if ``recursive``, by name, hidden files left out."""
    files = Path(folder).rglob("*") if recursive else Path(folder).iterdir()
    return sorted(file for file in files if file.suffix.lower() in FOUND and not file.name.startswith("."))


def check_size(image: Image.Image, name: str | Path, most: int | None = None, frames: int = 1) -> None:
    """Raise a UserError where ``image`` may not be decoded: a program, or too many pixels.

    Args:
        image: opened, and not yet decoded.
        name: what to call it.
        most: pixels of all frames together (none: ``MAX_PIXELS``).
        frames: how many there are of its size.
    """
    if image.format in PROGRAMS:
        raise UserError(f"{name} holds {PROGRAMS[image.format]}, a program that draws; save it as PNG first")
    found, most = image.width * image.height * frames, MAX_PIXELS if most is None else most
    if found > most:
        raise UserError(f"{name} has {found / 1e6:.3g} megapixels, at most {most / 1e6:.3g} are read; make it smaller")


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in mode RGB: eight bits, sRGB by its embedded profile, transparency laid on white."""
    image = to_eight_bits(image)
    if image.has_transparency_data:
        profile, image = image.info.get("icc_profile"), image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        image.info["icc_profile"] = profile
    return to_srgb(image).convert("RGB")


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen-bit greys scaled to eight; Pillow's own conversion would cut them off at 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))


def to_srgb(image: Image.Image) -> Image.Image:
    """Apply an embedded colour profile; one that is broken or of another colour model is ignored, as browsers do."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
