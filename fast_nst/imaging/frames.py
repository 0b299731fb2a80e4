"""Pictures from one file to another: every frame, its timing and transparency, and what the camera wrote beside them.

A picture comes from a file or from bytes, and is a stranger's: its size is checked before it is decoded. EXIF, resolution
and timing go along. The orientation is applied and forgotten; colours become sRGB, which is noted where a profile was.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, ImageSequence

from fast_nst.errors import UserError
from fast_nst.imaging.images import HEIF, SUFFIXES, check_size, opened, reading, resize_long_side, to_eight_bits, to_srgb
from fast_nst.system.files import atomic_path

ANIMATED = {"GIF": ".gif", "WEBP": ".webp", "PNG": ".png"}
WRITABLE = SUFFIXES | {".gif"}
LIKE_JPEG = HEIF | {".jfif", ".jpe"}  # photographs' formats that are not written
WITHOUT_ALPHA = {".jpg", ".jpeg", ".bmp", ".ppm"}
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Frame:
    """A frame: colours, uint8 RGB (H, W, 3); opacity, uint8 (H, W), or None for all of it; milliseconds it is shown."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    milliseconds: float = 0


@dataclass(frozen=True)
class Picture:
    """What a picture file holds: frames, one for a still; the ending its format is known by; and what goes along."""

    frames: Sequence[Frame]
    suffix: str = ".png"
    along: dict[str, Any] = field(default_factory=dict)


def read_picture(
    source: str | Path | bytes, long_side: int | None = None, max_pixels: int | None = None, label: str = "the picture"
) -> Picture:
    """Decode every frame of a picture, upright and in sRGB.

    Args:
        source: a file in one of Pillow's formats, or its bytes.
        long_side: reduce the longer side to so many pixels where it is larger.
        max_pixels: most pixels, of all frames together; None is ``images.MAX_PIXELS``.
        label: what to call ``bytes`` in errors.
    Raises:
        UserError: no such file, no picture, damaged, or too many pixels.
    """
    name = label if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise UserError(f"no picture at {source}; check the path")
    Image.MAX_IMAGE_PIXELS = max(max_pixels or 0, Image.MAX_IMAGE_PIXELS)
    with reading(name), opened(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        animated = image.format in ANIMATED and getattr(image, "n_frames", 1) > 1
        check_size(image, name, max_pixels, image.n_frames if animated else 1)
        if long_side is not None and not animated:
            image.draft("RGB", (long_side, long_side))
        frames = []
        for frame in ImageSequence.Iterator(image) if animated else [image]:
            check_size(frame, name, max_pixels, image.n_frames if animated else 1)  # a later frame may be larger
            frames.append(_frame(frame, long_side))
        return Picture(frames, _suffix(image, source), _along(image, animated))


def write_picture(picture: Picture, target: Path | BinaryIO, suffix: str) -> None:
    """Write a picture in the format of ``suffix``; a file appears whole or not at all. JPEG and WebP at quality 95.

    Raises:
        UserError: a format that is not written, or that holds one frame where there are several; an unwritable target.
    """
    images, options = [_image(frame, suffix) for frame in picture.frames], _options(picture, suffix)
    if len(images) > 1:
        options |= _film(picture, images, suffix)
    if isinstance(target, Path):
        with atomic_path(target) as temporary:
            images[0].save(temporary, **options)
    else:
        images[0].save(target, format=Image.registered_extensions()[suffix], **options)


def _frame(image: Image.Image, long_side: int | None) -> Frame:
    upright = to_eight_bits(ImageOps.exif_transpose(image))
    if long_side is not None and max(upright.size) > long_side:
        upright = resize_long_side(_without_palette(upright), long_side)
    milliseconds = float(image.info.get("duration") or 0)
    if not upright.has_transparency_data:
        return Frame(np.asarray(to_srgb(upright).convert("RGB")), None, milliseconds)
    profile, upright = upright.info.get("icc_profile"), upright.convert("RGBA")
    alpha, colours = np.asarray(upright.getchannel("A")), upright.convert("RGB")
    colours.info["icc_profile"] = profile
    pixels = np.where((alpha == 0)[..., None], np.uint8(255), np.asarray(to_srgb(colours)))  # unseen colours are white
    return Frame(pixels, alpha, milliseconds)


def _without_palette(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("P", "1", "PA") else image


def _suffix(image: Image.Image, source: str | Path | bytes) -> str:
    """The ending to write under: the file's own where it can be written, else its format's, else .png."""
    own = "" if isinstance(source, bytes) else Path(source).suffix
    of_format = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "PPM": ".ppm"} | ANIMATED
    return own if own.lower() in WRITABLE else of_format.get(image.format or "", ".png")


def written_suffix(suffix: str) -> str:
    """The ending that a file of ``suffix`` is written under: its own, else .jpg for a photograph's format, else .png."""
    if suffix.lower() in WRITABLE:
        return suffix
    return ".jpg" if suffix.lower() in LIKE_JPEG else ".png"


def _along(image: Image.Image, animated: bool) -> dict[str, Any]:
    along: dict[str, Any] = {name: image.info[name] for name in ("dpi", "loop") if name in image.info}
    exif = image.getexif()
    exif.pop(ORIENTATION, None)
    if exif and not animated:
        along["exif"] = exif.tobytes()
    if image.info.get("icc_profile"):
        along["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return along


def _image(frame: Frame, suffix: str) -> Image.Image:
    image = Image.fromarray(frame.pixels)
    if frame.alpha is None:
        return image
    image.putalpha(Image.fromarray(frame.alpha))
    if suffix.lower() in WITHOUT_ALPHA:
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image


def _options(picture: Picture, suffix: str) -> dict[str, Any]:
    taken = {".jpg": {"dpi", "exif", "icc_profile"}, ".png": {"dpi", "exif", "icc_profile"}, ".tif": {"dpi", "icc_profile"}}
    taken |= {".webp": {"exif", "icc_profile"}, ".jpeg": taken[".jpg"], ".tiff": taken[".tif"]}
    own = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".webp": {"quality": 95}}
    along = {name: value for name, value in picture.along.items() if name in taken.get(suffix.lower(), set())}
    return own.get(suffix.lower(), {}) | along


def _film(picture: Picture, images: list[Image.Image], suffix: str) -> dict[str, Any]:
    if suffix.lower() not in ANIMATED.values():
        raise UserError(f"a {suffix} file holds one picture, not {len(images)} frames; choose .gif, .webp or .png")
    durations = [round(frame.milliseconds) for frame in picture.frames]
    film = {"save_all": True, "append_images": images[1:], "duration": durations}
    if suffix.lower() == ".gif":
        film["disposal"] = 2
    return film | ({"loop": picture.along["loop"]} if "loop" in picture.along else {})


def frames_with(picture: Picture, pixels: Iterator[np.ndarray]) -> Picture:
    """``picture`` with other colours in its frames, of which there are as many."""
    frames = [Frame(new, old.alpha, old.milliseconds) for old, new in zip(picture.frames, pixels, strict=True)]
    return Picture(frames, picture.suffix, picture.along)
