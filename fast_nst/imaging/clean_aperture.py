"""Crop box of an AVIF file (``clap``, clean aperture), which libavif and Pillow leave to their caller.

The boxes ``meta/pitm`` and ``meta/iprp`` of the ISO base media format (ISO/IEC 14496-12 and 23008-12) name the primary
item and its properties. They are untrusted: a box that reaches beyond the one around it, a crop that is no whole number of
pixels or that leaves the picture, and whatever else is odd, is no crop. The crop comes before rotation and mirroring.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

MOST_BOXES = 64  # at the top of a file
LARGEST_META = 1 << 20  # bytes
CLAP = struct.Struct(">IIIIiIiI")  # width, height, horizontal and vertical offset: numerator and denominator of each

Crop = tuple[int, int, int, int]  # left, top, right, bottom


def read_crop(file: BinaryIO, size: tuple[int, int]) -> Crop | None:
    """The crop of an AVIF file's primary item; None where it has none.

    Args:
        file: the file, from its first byte.
        size: (width, height) of the decoded picture, before rotation.
    """
    try:
        meta = _find_meta(file)
        return None if meta is None else _crop_in_meta(meta, size)
    except (struct.error, IndexError, KeyError, ValueError, ZeroDivisionError):  # cut short, or odd
        return None


def _find_meta(file: BinaryIO) -> bytes | None:
    """Content of the first box ``meta``, without its version and flags."""
    for _ in range(MOST_BOXES):
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        if name == b"meta":
            return file.read(length - head)[4:] if head + 4 <= length <= LARGEST_META else None
        if length < head or length >= 1 << 62:
            return None
        file.seek(length - head, 1)
    return None


def _crop_in_meta(meta: bytes, size: tuple[int, int]) -> Crop | None:
    boxes = dict(_boxes(meta))
    version, properties = boxes[b"pitm"][0], list(_boxes(boxes[b"iprp"]))
    (item,) = struct.unpack_from(">I" if version else ">H", boxes[b"pitm"], 4)
    described = list(_boxes(dict(properties)[b"ipco"]))
    for name, content in properties:
        for index in _associated(content, item) if name == b"ipma" else ():
            if 0 < index <= len(described) and described[index - 1][0] == b"clap":
                return _pixels(described[index - 1][1], size)
    return None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that lie side by side in ``content``."""
    place = 0
    while place < len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if not 8 <= length <= len(content) - place:
            raise ValueError("a box reaches beyond the one around it")
        yield name, content[place + 8 : place + length]
        place += length


def _associated(content: bytes, item: int) -> list[int]:
    """Indices, from 1, of the properties that a box ``ipma`` gives to ``item``."""
    version, wide, (entries,) = content[0], content[3] & 1, struct.unpack_from(">I", content, 4)
    identity, index, place = struct.Struct(">I" if version else ">H"), ">H" if wide else ">B", 8
    for _ in range(entries):  # ends with a struct.error where there are fewer
        (found,) = identity.unpack_from(content, place)
        count, start = content[place + identity.size], place + identity.size + 1
        place = start + count * (1 + wide)
        if found == item:
            essential = 0x8000 if wide else 0x80  # a bit that says whether a reader may leave the property out
            return [value & ~essential for (value,) in struct.iter_unpack(index, content[start:place])]
    return []


def _pixels(clap: bytes, size: tuple[int, int]) -> Crop | None:
    """The crop in pixels: its middle lies at an offset from the middle of the picture."""
    values = CLAP.unpack(clap[: CLAP.size])
    width, height, across, down = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    left, top = across + (size[0] - width) / 2, down + (size[1] - height) / 2
    sides = (left, top, left + width, top + height)
    inside = 0 <= left < sides[2] <= size[0] and 0 <= top < sides[3] <= size[1]
    if not inside or any(side.denominator != 1 for side in sides):
        return None
    return int(sides[0]), int(sides[1]), int(sides[2]), int(sides[3])
