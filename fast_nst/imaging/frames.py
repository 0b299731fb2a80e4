"""Pictures from one file to another: every frame, its timing and transparency, and the metadata.

A picture comes from a file or from bytes. Its frames are those of an animation (GIF, WebP, PNG, AVIF) or the pages of a
TIFF, without its thumbnails and masks.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fast_nst.errors import ImageTooLarge, UserError
from fast_nst.imaging.images import resize_long_side
from fast_nst.imaging.metadata import WORDS, Metadata, read_metadata, without_large_tags
from fast_nst.imaging.opening import MAX_PIXELS, Source, check_size, open_checked
from fast_nst.imaging.samples import decode, to_srgb
from fast_nst.imaging.scanning import HEIF, SUFFIXES
from fast_nst.system.files import write_bytes

ANIMATED = {"GIF", "WEBP", "PNG", "AVIF"}  # Pillow's names
ANIMATIONS = {".gif", ".webp", ".png"}  # written
WRITABLE = SUFFIXES | {".gif"}
LIKE_JPEG = HEIF | {".jfif", ".jpe"}  # photographs' formats that are not written
WITHOUT_ALPHA = {".jpg", ".bmp", ".ppm"}
MAX_SIDE = {".jpg": 65500, ".webp": 16383, ".gif": 65535}  # pixels; libjpeg's and the formats' own
SAME = {".jpeg": ".jpg", ".tiff": ".tif"}
FORMATS = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "PPM": ".ppm", "GIF": ".gif"}
FORMATS |= {"WEBP": ".webp"}
SUBFILE_TYPE, THUMBNAIL_OR_MASK = 254, 1 | 4  # a tag of TIFF, and its bits


@dataclass(frozen=True)
class Frame:
    """A frame: colors, uint8 RGB (H, W, 3); opacity, uint8 (H, W), or None for all of it; milliseconds it is shown."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    milliseconds: float = 0


@dataclass(frozen=True)
class Picture:
    """Content of a picture file.

    Attributes:
        frames: one for a still.
        suffix: to write it under: the file's own where it can be written, else its format's, else .png.
        metadata: what goes along with the pixels.
        notes: clauses about what could not be read of it.
    """

    frames: Sequence[Frame]
    suffix: str = ".png"
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()


def read_picture(
    source: Source, long_side: int | None = None, max_pixels: int | None = None, label: str = "the picture"
) -> Picture:
    """Decode every frame of a picture, upright and in sRGB.

    Args:
        source: a file in one of Pillow's formats, or its bytes.
        long_side: reduce the longer side to so many pixels where it is larger.
        max_pixels: largest number of pixels, of all frames together; None is ``opening.MAX_PIXELS``.
        label: what to call ``bytes`` in errors.
    Raises:
        UserError: no such file, no picture, damaged, or too many pixels.
    """
    name = label if isinstance(source, bytes) else str(source)
    with open_checked(source, name, max_pixels) as (image, notes):
        frames = _frames(image, name, long_side, MAX_PIXELS if max_pixels is None else max_pixels)
        image.seek(0)
        return Picture(frames, _suffix(image, source), read_metadata(image, notes), tuple(notes))


def count_pixels(source: Source, max_pixels: int | None = None) -> int:
    """The pixels of a picture's frames together, from its header; 0 where it cannot be read."""
    try:
        with open_checked(source, "", max_pixels) as (image, _):
            return image.width * image.height * max(1, _count(image))
    except UserError:
        return 0


def check_format(picture: Picture, suffix: str) -> None:
    """Raise a UserError where a file of ``suffix`` cannot hold ``picture``: too many frames, or too many pixels a side."""
    if len(picture.frames) > 1 and _plain(suffix) not in ANIMATIONS | {".tif"}:
        raise UserError(
            f"a {suffix} file holds one picture, not {len(picture.frames)} frames; choose .gif, .webp, .png or .tif"
        )
    height, width = (max(frame.pixels.shape[axis] for frame in picture.frames) for axis in (0, 1))
    limit = MAX_SIDE.get(_plain(suffix), 2**31 - 1)
    if max(height, width) > limit:
        raise UserError(
            f"a {suffix} file holds at most {limit:,} pixels a side, the picture has {width:,} x {height:,}; "
            "choose .png or .tif, or reduce it with --size"
        )


def write_picture(picture: Picture, target: Path | BinaryIO, suffix: str) -> list[str]:
    """Write a picture in the format of ``suffix``; a file appears whole or not at all. JPEG and WebP at quality 95.

    Returns:
        clauses about what was left out: metadata that could not be read, or that the format cannot hold.
    Raises:
        UserError: a format that is not written, or that holds one frame where there are several; an unwritable target.
    """
    encoded, notes = encode_picture(picture, suffix)
    if isinstance(target, Path):
        write_bytes(target, encoded)
    else:
        target.write(encoded)
    return notes


def encode_picture(picture: Picture, suffix: str) -> tuple[memoryview, list[str]]:
    """``picture`` as the bytes of a file, and clauses about what was left out; see ``write_picture``.

    It is encoded in memory, as Pillow overlooks a write that the disk cuts short.
    """
    check_format(picture, suffix)
    images, notes = _images(picture, suffix), list(picture.notes)
    options = {"quality": 95} if _plain(suffix) in (".jpg", ".webp") else {}
    options |= _fitting(picture.metadata.options(_plain(suffix)), suffix, notes)
    if len(images) > 1:
        options |= _animation(picture, images, suffix)
    try:
        return _encoded(images[0], suffix, options).getbuffer(), notes
    except Exception as error:  # Pillow's plugins raise whatever an image makes of them
        raise UserError(f"the picture cannot be written as {suffix}: {error}; choose .png") from error


def written_suffix(suffix: str) -> str:
    """The suffix that a file of ``suffix`` is written under: its own, else .jpg for a photograph's format, else .png."""
    if suffix.lower() in WRITABLE:
        return suffix
    return ".jpg" if suffix.lower() in LIKE_JPEG else ".png"


def frames_with(picture: Picture, pixels: Iterator[np.ndarray]) -> Picture:
    """``picture`` with other colors in its frames, of which there are as many."""
    frames = [Frame(new, old.alpha, old.milliseconds) for old, new in zip(picture.frames, pixels, strict=True)]
    return replace(picture, frames=frames)


def _frames(image: Image.Image, name: str, long_side: int | None, limit: int) -> list[Frame]:
    """The decoded frames, at most ``limit`` pixels together; those of an animation have the size of its first."""
    count, frames, pixels, canvas = _count(image), [], 0, image.size
    if image.format != "TIFF":
        check_size(image, name, limit, count)
    if count == 1 and long_side is not None:
        image.draft("RGB", (long_side, long_side))
    for index in range(max(1, count)):
        image.seek(index) if index else None
        if _is_beside(image, index):
            continue
        pixels += image.width * image.height
        if pixels > limit:  # a later frame may be larger
            raise ImageTooLarge(name, pixels, limit)
        frames.append(_frame(image, canvas if image.format in ANIMATED else None, long_side))
    return frames


def _count(image: Image.Image) -> int:
    """Number of frames, 1 in formats whose further frames are not part of the picture."""
    return getattr(image, "n_frames", 1) if image.format in ANIMATED | {"TIFF"} else 1


def _is_beside(image: Image.Image, index: int) -> bool:
    """Whether a frame stands beside the picture: a PNG's still for old viewers, a TIFF's thumbnail or mask."""
    if image.format == "PNG":
        return index == 0 and bool(getattr(image, "default_image", False))
    return index > 0 and bool(getattr(image, "tag_v2", {}).get(SUBFILE_TYPE, 0) & THUMBNAIL_OR_MASK)


def _frame(image: Image.Image, canvas: tuple[int, int] | None, long_side: int | None) -> Frame:
    profile, decoded = image.info.get("icc_profile"), decode(image)
    milliseconds = float(image.info.get("duration") or 0)
    if canvas is not None and (decoded.width > canvas[0] or decoded.height > canvas[1]) and image.size != canvas:
        decoded = decoded.crop((0, 0, *canvas))
    if long_side is not None and max(decoded.size) > long_side:
        decoded = resize_long_side(_without_palette(decoded), long_side)
    if not decoded.has_transparency_data:
        return Frame(np.asarray(to_srgb(decoded).convert("RGB")), None, milliseconds)
    decoded = decoded.convert("RGBA")
    alpha, colors = np.asarray(decoded.getchannel("A")), decoded.convert("RGB")
    colors.info["icc_profile"] = profile
    pixels = np.where((alpha == 0)[..., None], np.uint8(255), np.asarray(to_srgb(colors)))  # unseen colors are white
    return Frame(pixels, alpha, milliseconds)


def _without_palette(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("P", "1", "PA") else image


def _suffix(image: Image.Image, source: Source) -> str:
    own = "" if isinstance(source, bytes) else Path(source).suffix
    return own if own.lower() in WRITABLE else FORMATS.get(image.format or "", ".png")


def _plain(suffix: str) -> str:
    """One suffix for each format."""
    return SAME.get(suffix.lower(), suffix.lower())


def _images(picture: Picture, suffix: str) -> list[Image.Image]:
    """The frames as Pillow images, either all with transparency or none: Pillow's writers take the first for the rule."""
    frames = picture.frames
    if all(frame.alpha is None for frame in frames):
        return [Image.fromarray(frame.pixels) for frame in frames]
    images = []
    for frame in frames:
        alpha = np.full(frame.pixels.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
        images.append(Image.fromarray(np.dstack([frame.pixels, alpha])))
    if _plain(suffix) in WITHOUT_ALPHA:
        return [Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB") for image in images]
    return [_with_palette(image) for image in images] if _plain(suffix) == ".gif" and len(images) > 1 else images


def _with_palette(image: Image.Image) -> Image.Image:
    """``image`` in 255 colors and one for transparency, which every frame of a GIF needs to be cleared before the next."""
    alpha, colors = np.asarray(image.getchannel("A")), image.convert("RGB").quantize(255)
    indices = np.where(alpha < 128, np.uint8(255), np.asarray(colors))
    result = Image.fromarray(indices)
    palette = (colors.getpalette() or [])[:765]
    result.putpalette(palette + [0] * (768 - len(palette)))
    result.info["transparency"] = 255
    return result


def _fitting(options: dict[str, Any], suffix: str, notes: list[str]) -> dict[str, Any]:
    """The part of the metadata that a small image can be saved with; ``notes`` gets a clause for the rest."""
    kept = {}
    for name, value in options.items():
        if _is_writable(suffix, name, value):
            kept[name] = value
        elif name == "exif" and _is_writable(suffix, name, smaller := without_large_tags(value)):
            kept[name] = smaller
            notes.append(f"the largest tags of its EXIF do not fit into {suffix}, and are left out")
        else:
            notes.append(f"its {WORDS[name]} does not fit into {suffix}, and is left out")
    return kept


def _is_writable(suffix: str, name: str, value: Any) -> bool:
    try:
        _encoded(Image.new("RGB", (8, 8)), suffix, {name: value})
    except Exception:  # Pillow's plugins raise whatever odd metadata makes of them
        return False
    return True


def _encoded(image: Image.Image, suffix: str, options: dict[str, Any]) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[suffix.lower()], **options)
    return buffer


def _animation(picture: Picture, images: list[Image.Image], suffix: str) -> dict[str, Any]:
    together = {"save_all": True, "append_images": images[1:]}
    if _plain(suffix) == ".tif":
        return together
    images[1:] = [image if image.size == images[0].size else image.resize(images[0].size) for image in images[1:]]
    together |= {"append_images": images[1:], "duration": [round(frame.milliseconds) for frame in picture.frames]}
    if _plain(suffix) == ".gif":
        together |= {"disposal": 2, "optimize": False}
    if _plain(suffix) == ".webp" and images[0].mode == "RGBA":
        together["kmax"] = 1  # whole frames: libwebp loses the transparency of some that are stored as differences
    return together | ({} if picture.metadata.loop is None else {"loop": picture.metadata.loop})
