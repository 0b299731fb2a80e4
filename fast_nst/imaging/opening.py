"""Image files opened as untrusted data.

The size is checked before an image is decoded, formats that are programs are refused, and whatever Pillow cannot read
becomes one sentence. Color profiles and texts that Pillow finds too large are left out rather than the image.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from fast_nst.errors import ImageTooLarge, PackageMissing, UserError, escape_name
from fast_nst.imaging.clean_aperture import Crop, read_crop
from fast_nst.imaging.samples import CROP
from fast_nst.imaging.scanning import HEIF
from fast_nst.system.files import check_readable

MAX_PIXELS = 150_000_000
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"}  # bytes 8 to 12 of such a file
HEIF_NEEDS = "HEIC, which takes pip install 'fast_nst[heif]'"
PROGRAMS = {"EPS": "PostScript", "WMF": "metafiles"}  # which Pillow would give to another program to run
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_EXTRAS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"}
TIFF_SIGNATURES = {b"II*\0", b"MM\0*"}
SAMPLE_FORMATS = {1: "unsigned integers", 2: "signed integers", 3: "floating point", 4: "unknown kind", 5: "complex numbers"}
_PILLOWS_LIMIT = Lock()
warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd files; what matters is an error or a note of ours

Source = str | Path | bytes


@contextmanager
def open_checked(source: Source, name: str | Path, limit: int | None = None) -> Iterator[tuple[Image.Image, list[str]]]:
    """Open an image file, not decoded yet, and say in one sentence what goes wrong with it until the block ends.

    Args:
        source: a file in one of Pillow's formats, or its bytes.
        name: what to call it.
        limit: pixels that may be decoded; None is ``MAX_PIXELS``.
    Yields:
        the image, and notes of what was left out.
    Raises:
        UserError: no such file, no image, damaged, or a program.
        ImageTooLarge: over ``limit``.
        PackageMissing: HEIC without pillow-heif.
    """
    if not isinstance(source, bytes):
        check_readable(source, "picture")
    limit, notes = MAX_PIXELS if limit is None else limit, list[str]()
    with _one_sentence(source, name, limit), _opened(source, limit, notes) as image:
        check_size(image, name, limit)
        if image.format == "AVIF":
            image.info[CROP] = _crop_of(source, image.size)
        yield image, notes


def _crop_of(source: Source, size: tuple[int, int]) -> Crop | None:
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        return read_crop(file, size)


def check_size(image: Image.Image, name: str | Path, limit: int, frames: int = 1) -> None:
    """Raise a UserError where ``image`` may not be decoded: a program, or too many pixels.

    Args:
        image: opened, and not yet decoded.
        name: what to call it.
        limit: pixels of all frames together.
        frames: how many there are of its size.
    """
    if image.format in PROGRAMS:
        raise UserError(f"{escape_name(name)} holds {PROGRAMS[image.format]}, a program that draws; save it as PNG first")
    if (pixels := image.width * image.height * frames) > limit:
        raise ImageTooLarge(name, pixels, limit)


def _opened(source: Source, limit: int, notes: list[str]) -> Image.Image:
    try:
        return _open_within(source, limit)
    except ValueError:  # texts or a profile beyond Pillow's bounds
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not data.startswith(PNG_SIGNATURE):
            raise
        notes.append("its texts, EXIF and color profile are too large, and left out")
        return _open_within(_bare_png(data), limit)


def _open_within(source: Source, limit: int) -> Image.Image:
    """``Image.open`` with ``limit`` in the place of Pillow's own, which is global and raised only while it is in the way."""
    try:
        return _open(source)
    except Image.DecompressionBombError:
        with _PILLOWS_LIMIT:
            pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
            try:
                return _open(source)
            finally:
                Image.MAX_IMAGE_PIXELS = pillows


def _open(source: Source) -> Image.Image:
    """``Image.open``; HEIF is registered when the first such file comes, if pillow-heif is installed."""

    def attempt() -> Image.Image:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)

    try:
        return attempt()
    except UnidentifiedImageError:
        if not _knows_heif():
            raise
        return attempt()


@cache
def _knows_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


@contextmanager
def _one_sentence(source: Source, name: str | Path, limit: int) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(name, None, limit) from error
    except Exception as error:  # Pillow's plugins raise whatever a damaged file makes of them
        if isinstance(error, OSError) and error.errno:
            raise UserError(f"cannot read {escape_name(name)}: {error.strerror}") from error
        head = _head(source)
        if not _knows_heif() and (_is_heif(head) or Path(name).suffix.lower() in HEIF):
            raise PackageMissing(name, HEIF_NEEDS) from error
        reason = _tiff_layout(source) if head[:4] in TIFF_SIGNATURES and isinstance(error, UnidentifiedImageError) else None
        reason = reason or "it is damaged or of a format that Pillow does not know"
        raise UserError(f"cannot read {escape_name(name)} as a picture; {reason}") from error


def _head(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source[:12]
    with open(source, "rb") as file:
        return file.read(12)


def _is_heif(head: bytes) -> bool:
    """By its first bytes, as telephones call such files .jpg at times."""
    return head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS


def _tiff_layout(source: Source) -> str | None:
    """Layout of the samples of a TIFF that Pillow cannot decode; None where it cannot be read."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            tags = _tiff_tags(file)
        bits, kind = tags.get(258, (1,)), tags.get(339, (1,))
        return (
            f"it has {tags.get(277, 1)} samples of {bits[0]} bits ({SAMPLE_FORMATS.get(kind[0], 'unknown kind')}) a pixel, "
            f"photometric interpretation {tags.get(262)}, a layout that Pillow does not decode; save it with 8 or 16 bits"
        )
    except Exception:  # as above
        return None


def _tiff_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
    file.seek(tags.next)
    tags.load(file)
    return tags


def _bare_png(data: bytes) -> bytes:
    """A PNG without its texts, profile and EXIF: chunks are a length, a name, the content and a checksum."""
    kept, place = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] not in PNG_EXTRAS:
            kept.append(data[place:end])
        place = end
    return b"".join(kept)
