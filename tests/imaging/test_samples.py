"""TIFF sample layouts, written here byte by byte: bits, sample format, photometric interpretation, planes."""

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.imaging.frames import read_picture
from fast_nst.imaging.images import open_image

HEIGHT, WIDTH = 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
SHARES = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)  # of white


def tiff(samples: np.ndarray, bits: int, kind: int, photometric: int, planar: bool, order: str) -> bytes:
    """``samples``, (H, W, channels), as one uncompressed strip, or one for each channel."""
    height, width, channels = samples.shape
    planes = np.moveaxis(samples, -1, 0) if planar else samples.reshape(1, height, width * channels)
    strips = [b"".join(packed(row, bits, kind, order) for row in plane) for plane in planes]
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 3, [1]), (262, 3, [photometric])]
    tags += [(273, 4, None), (277, 3, [channels]), (278, 4, [height]), (279, 4, [len(strip) for strip in strips])]
    tags += [(284, 3, [2 if planar else 1]), (339, 3, [kind] * channels)]
    place = 8 + 2 + 12 * len(tags) + 4
    extra, entries = b"", b""
    room = {name: len(strips if values is None else values) * {3: 2, 4: 4}[size] for name, size, values in tags}
    first = place + sum(length for length in room.values() if length > 4)
    offsets = [first + sum(map(len, strips[:index])) for index in range(len(strips))]
    for name, size, values in tags:
        content = b"".join(struct.pack(order + {3: "H", 4: "I"}[size], value) for value in (values or offsets))
        shown = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack(order + "I", place + len(extra))
        extra += content if len(content) > 4 else b""
        entries += struct.pack(order + "HHI", name, size, len(values or offsets)) + shown
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + extra + b"".join(strips)


def packed(row: np.ndarray, bits: int, kind: int, order: str) -> bytes:
    if kind == FLOAT or bits >= 8 and bits != 12:
        letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[kind]
        return row.astype(f"{order}{letter}{bits // 8}").tobytes()
    text = "".join(format(int(value) & (2**bits - 1), f"0{bits}b") for value in row)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def stored(shares: np.ndarray, bits: int, kind: int) -> np.ndarray:
    if kind == FLOAT:
        return shares
    return np.rint(shares * (2**bits - 1)) - (2 ** (bits - 1) if kind == SIGNED else 0)


LAYOUTS = itertools.product((1, 2, 4, 8, 12, 16, 32, 64), (UNSIGNED, SIGNED, FLOAT), (0, 1, 2), (False, True), "<>")
KNOWN = {(1, 1, 0), (1, 1, 1), (2, 1, 1), (4, 1, 1), (8, 1, 0), (8, 1, 1), (16, 1, 1), (16, 2, 1), (32, 2, 1), (32, 3, 1)}
KNOWN |= {(8, 1, 2), (16, 1, 2), (32, 3, 0)}  # bits, kind, photometric: these at least are read


@pytest.mark.parametrize(("bits", "kind", "photometric", "planar", "order"), LAYOUTS)
def test_samples_are_scaled_or_refused_in_a_sentence(bits, kind, photometric, planar, order):
    if kind == FLOAT and bits < 16:
        pytest.skip("there is no such number")
    channels = 3 if photometric == 2 else 1
    levels = np.stack([np.roll(SHARES, 5 * channel) for channel in range(channels)], -1)
    shown = 1 - levels if photometric == 0 else levels
    data = tiff(stored(shown, bits, kind), bits, kind, photometric, planar, order)
    try:
        found = read_picture(data).frames[0].pixels / 255
    except UserError as error:
        assert f"samples of {bits} bits" in str(error) and "save it" in str(error)
        assert planar or (bits, kind, photometric) not in KNOWN
        return
    expected = np.rint(levels * (2**bits - 1)) / (2**bits - 1) if bits < 8 else levels
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1.01 / 255)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_takes_the_nearest_known_range_and_cuts_single_highlights_off(white):
    samples = np.broadcast_to(np.linspace(0, white, 400), (4, 400))[..., None].copy()
    samples[0, 0], samples[1, 1] = 50 * white, np.nan
    found = read_picture(tiff(samples, 32, FLOAT, 1, False, "<")).frames[0].pixels
    np.testing.assert_allclose(found[2, :, 0], np.linspace(0, 255, 400), atol=0.6)
    assert found[0, 0].tolist() == [255] * 3 and found[1, 1].tolist() == [0] * 3


def test_floating_point_of_no_known_range_is_refused():
    with pytest.raises(UserError, match="no known range; save it with 16 bits"):
        read_picture(tiff(np.full((4, 4, 1), 1e9), 32, FLOAT, 1, False, "<"))


def test_sixteen_bits_are_turned_as_their_exif_says_and_keep_their_profile(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray((SHARES * 65535).astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    found = np.asarray(open_image(tmp_path / "a.png"))[..., 0]
    np.testing.assert_array_equal(found, (np.rot90(SHARES, 3) * 65535).astype(int) // 257)


def test_lab_is_converted():
    buffer = io.BytesIO()
    Image.merge("LAB", [Image.new("L", (8, 8), level) for level in (255, 128, 128)]).save(buffer, "TIFF")
    assert read_picture(buffer.getvalue()).frames[0].pixels.min() >= 250
