"""Crop boxes of AVIF and HEIF, written into files of Pillow's byte by byte, and damaged ones."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from fast_nst.imaging.clean_aperture import CLAP, read_crop
from fast_nst.imaging.frames import read_picture
from fast_nst.imaging.images import open_image
from fast_nst.imaging.samples import TURNS

WIDTH, HEIGHT = 64, 48
LEFT, TOP, RIGHT, BOTTOM = 8, 4, 40, 44  # 32 x 40 pixels, whose middle lies 8 to the left of the picture's
CROP = CLAP.pack(32, 1, 40, 1, -8, 1, 0, 1)


def photo() -> np.ndarray:
    """A picture that differs from all of its turned and mirrored copies, smooth enough for a codec."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([4 * across, 5 * down, 255 - 2 * (across + down)], -1).astype(np.uint8)


def avif(orientation: int = 1) -> bytes:
    """Pillow writes an orientation as the properties ``irot`` and ``imir``."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(photo()).save(buffer, "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    return buffer.getvalue()


def cropped(data: bytes, clap: bytes) -> bytes:
    """An AVIF with a property ``clap`` more, which its item has before all others that change the picture."""
    place = data.index(b"ipma") + 14  # its name, version, number of items, first item; then how many properties it has
    count = data[place] + 1
    own, later = data[place + 1 : place + 5], data[place + 5 : place + count]  # size, bits, codec, colors; rotation, mirror
    associations = bytes([count]) + own + bytes([0x80 | count]) + later
    box = struct.pack(">I4s", 8 + len(clap), b"clap") + clap
    longer = bytearray(data[: place - 18] + box + data[place - 18 : place] + associations + data[place + count :])
    for name, more in ((b"ipma", 1), (b"ipco", len(box)), (b"iprp", len(box) + 1), (b"meta", len(box) + 1)):
        _add(longer, longer.index(name) - 4, more)
    _add(longer, longer.index(b"iloc") + 18, len(box) + 1)  # where the first item lies
    return bytes(longer)


def _add(data: bytearray, place: int, more: int) -> None:
    struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + more)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_cropped_and_then_turned_and_mirrored(orientation, tmp_path):
    (tmp_path / "a.avif").write_bytes(data := cropped(avif(orientation), CROP))
    crop = Image.fromarray(photo()[TOP:BOTTOM, LEFT:RIGHT])
    expected = np.asarray(crop.transpose(TURNS[orientation]) if orientation > 1 else crop, int)
    for found in (read_picture(data).frames[0].pixels, np.asarray(open_image(tmp_path / "a.avif"))):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=4)


def test_pillow_leaves_the_crop_to_its_caller():
    assert Image.open(io.BytesIO(cropped(avif(), CROP))).size == (WIDTH, HEIGHT)


def test_a_heif_is_cropped_by_its_own_reader():
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "HEIF", quality=100)
    data = bytearray(buffer.getvalue())
    coded = struct.unpack_from(">II", data, data.index(b"ispe") + 8)
    across, down = (LEFT + RIGHT) - coded[0], (TOP + BOTTOM) - coded[1]  # in halves of a pixel
    CLAP.pack_into(data, data.index(b"clap") + 4, 32, 1, 40, 1, across, 2, down, 2)
    found = read_picture(bytes(data)).frames[0].pixels
    assert found.shape == (40, 32, 3)
    np.testing.assert_allclose(found, photo()[TOP:BOTTOM, LEFT:RIGHT].astype(int), atol=30)


@pytest.mark.parametrize(
    "values",
    [
        (0, 1, 40, 1, 0, 1, 0, 1),
        (32, 0, 40, 1, 0, 1, 0, 1),
        (65, 1, 40, 1, 0, 1, 0, 1),
        (32, 1, 40, 1, 17, 1, 0, 1),
        (32, 1, 40, 1, -17, 1, 0, 1),
        (33, 1, 40, 1, 0, 1, 0, 1),
        (65, 2, 40, 1, 0, 1, 0, 1),
        (2**32 - 1, 1, 2**32 - 1, 1, -(2**31), 2**32 - 1, 2**31 - 1, 1),
    ],
)
def test_a_crop_that_is_no_part_of_the_picture_is_none(values):
    assert read_picture(cropped(avif(), CLAP.pack(*values))).frames[0].pixels.shape == (HEIGHT, WIDTH, 3)


def test_boxes_that_are_cut_short_or_lie_about_their_length_are_no_crop():
    data, size = cropped(avif(), CROP), (WIDTH, HEIGHT)
    assert read_crop(io.BytesIO(data), size) == (LEFT, TOP, RIGHT, BOTTOM)
    meta = struct.unpack_from(">I", data, 0)[0]
    end = meta + struct.unpack_from(">I", data, meta)[0]
    assert all(read_crop(io.BytesIO(data[:length]), size) is None for length in range(data.index(b"clap") + 36))
    for name in (b"ftyp", b"meta", b"iprp", b"ipco", b"ipma", b"clap"):
        for length in (0, 1, 7, 2**31, 2**32 - 1):
            damaged = bytearray(data)
            struct.pack_into(">I", damaged, damaged.index(name) - 4, length)
            assert read_crop(io.BytesIO(damaged), size) is None
    rng = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for place in rng.integers(0, end, 3):
            damaged[place] = rng.integers(256)
        found = read_crop(io.BytesIO(damaged), size)
        assert found is None or 0 <= found[0] < found[2] <= WIDTH and 0 <= found[1] < found[3] <= HEIGHT


@pytest.mark.parametrize("wide", [False, True])
def test_both_widths_of_item_numbers_and_of_indices_are_read(wide):
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    def number(value: int) -> bytes:
        return struct.pack(">I" if wide else ">H", value)

    full, index = bytes([wide, 0, 0, wide]), struct.Struct(">H" if wide else ">B")
    others = number(1) + bytes([1]) + index.pack(1)
    mine = number(7) + bytes([2]) + index.pack(1) + index.pack(2)
    properties = box(b"ipco", box(b"ispe", bytes(12)) + box(b"clap", CROP))
    properties += box(b"ipma", full + struct.pack(">I", 2) + others + mine)
    meta = bytes(4) + box(b"pitm", full + number(7)) + box(b"iprp", properties)
    large = struct.pack(">I4sQ", 1, b"free", 20) + bytes(4)  # a length of 64 bits
    file = io.BytesIO(box(b"ftyp", b"avif") + large + box(b"meta", meta))
    assert read_crop(file, (WIDTH, HEIGHT)) == (LEFT, TOP, RIGHT, BOTTOM)
