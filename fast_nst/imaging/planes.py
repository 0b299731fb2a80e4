"""TIFF whose channels lie in separate planes (PlanarConfiguration 2).

Pillow decodes such planes only where they have eight bits a sample, and takes others for bytes. Here each plane is read as
a gray picture of its own: the same file with another directory at its end, which names the strips or tiles of that plane.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from fast_nst.errors import UserError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266  # tags
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR, PREDICTOR, PALETTE = 273, 277, 278, 279, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
OF_FILE = (WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, ROWS, PREDICTOR, TILE_WIDTH, TILE_HEIGHT)
OF_SAMPLE, OF_STRIP = (BITS, FORMAT), (OFFSETS, COUNTS, TILE_OFFSETS, TILE_COUNTS)
BLACK_IS_ZERO, PREMULTIPLIED = 1, 1  # values of PHOTOMETRIC and EXTRA


def is_planar(image: Image.Image) -> bool:
    """Whether ``image`` is a TIFF in planes that Pillow would decode wrongly."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(PLANAR, 1) == 2 and (tags.get(SAMPLES, 1) == 1 or set(_numbers(tags.get(BITS, 1))) != {8})


def read_planes(image: Image.Image, to_eight_bits: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """The picture of an opened planar TIFF, not turned; of eight bits a sample where there are several planes.

    Raises:
        UserError: planes of differing depths or of a kind that Pillow does not decode.
    """
    tags: Any = getattr(image, "tag_v2", {})
    count, bits = int(tags.get(SAMPLES, 1)), _numbers(tags.get(BITS, 1))
    bands = image.getbands()
    if len(set(bits)) != 1 or count < len(bands) or (count > 1 and image.mode not in ("RGB", "RGBA", "RGBX", "CMYK")):
        raise UserError(
            f"the picture has {count} samples of {bits[0]} bits in separate planes, a layout that Pillow does not decode; "
            "save it with the samples of a pixel side by side"
        )
    data = _content(image)
    if count == 1:
        result = _plane(data, tags, 0, 1)
    else:
        planes = [to_eight_bits(_plane(data, tags, index, count)) for index in range(len(bands))]
        result = _merged(image.mode, planes, tags)
    result.info |= image.info
    return result


def _merged(mode: str, planes: Sequence[Image.Image], tags: Any) -> Image.Image:
    if mode == "RGBA" and _numbers(tags.get(EXTRA, 0))[0] == PREMULTIPLIED:
        return Image.merge("RGBa", planes).convert("RGBA")
    return Image.merge(mode, planes)


def _content(image: Image.Image) -> bytes:
    file: Any = getattr(image, "fp", None)
    file.seek(0)
    return bytes(file.read())


def _plane(data: bytes, tags: Any, index: int, count: int) -> Image.Image:
    """Plane ``index`` of ``count``, decoded by Pillow."""
    entries = {tag: _numbers(tags[tag]) for tag in OF_FILE if tag in tags}
    entries |= {tag: _numbers(tags[tag])[:1] for tag in OF_SAMPLE if tag in tags}
    entries |= {SAMPLES: [1], PLANAR: [1], PHOTOMETRIC: [BLACK_IS_ZERO if count > 1 else tags.get(PHOTOMETRIC, 0)]}
    if count == 1 and PALETTE in tags:
        entries[PALETTE] = _numbers(tags[PALETTE])
    for tag in OF_STRIP:
        if tag in tags:
            parts = _numbers(tags[tag])
            each = len(parts) // count
            entries[tag] = parts[index * each : (index + 1) * each]
    plane = TiffImageFile(io.BytesIO(_with_directory(data, entries)))  # of a size that was checked before
    plane.load()
    return plane


def _with_directory(data: bytes, entries: dict[int, list[int]]) -> bytes:
    """A TIFF file with another directory, of numbers of 32 bits; what it names stays where it is."""
    order = "<" if data[:2] == b"II" else ">"
    place = len(data) + len(data) % 2
    beyond, lines = place + 2 + 12 * len(entries) + 4, b""
    extra = b""
    for tag, values in sorted(entries.items()):
        content = struct.pack(f"{order}{len(values)}I", *values)
        lines += struct.pack(f"{order}HHI", tag, 4, len(values))
        lines += content if len(values) == 1 else struct.pack(f"{order}I", beyond + len(extra))
        extra += content if len(values) != 1 else b""
    head = data[:2] + struct.pack(f"{order}HI", 42, place)  # of a file under 4 GB, also where it was a BigTIFF
    directory = struct.pack(f"{order}H", len(entries)) + lines + bytes(4) + extra
    return head + data[8:].ljust(place - 8, b"\0") + directory


def _numbers(value: Any) -> list[int]:
    return [int(number) for number in np.atleast_1d(value)]
