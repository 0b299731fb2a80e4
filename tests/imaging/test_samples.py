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
        assert (bits, kind, photometric) not in KNOWN
        return
    expected = np.rint(levels * (2**bits - 1)) / (2**bits - 1) if bits < 8 else levels
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1.01 / 255)


def planes_of_tifffile(samples: np.ndarray, **options: object) -> bytes:
    """``samples``, (channels, H, W), written as separate planes by a library of its own."""
    buffer = io.BytesIO()
    pytest.importorskip("tifffile").imwrite(buffer, samples, planarconfig="separate", **options)
    return buffer.getvalue()


TURNED = {"extratags": [(274, 3, 1, 6, True)]}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "layout", [{}, {"tile": (16, 16)}, {"rowsperstrip": 7}, {"byteorder": ">"}, {"bigtiff": True}, TURNED]
)
def test_sixteen_bits_in_planes_are_read_in_strips_and_tiles_and_turned(compression, layout):
    samples = np.random.default_rng(0).integers(0, 65536, (3, 20, 30), dtype=np.uint16)
    data = planes_of_tifffile(samples, photometric="rgb", compression=compression, **layout)
    expected = np.moveaxis(samples, 0, -1) / 257
    found = read_picture(data).frames[0].pixels
    np.testing.assert_allclose(found, np.rot90(expected, 3) if layout is TURNED else expected, atol=1)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_a_fourth_plane_is_transparency_where_the_file_says_so(kind):
    alpha = np.linspace(40000, 65535, 600).reshape(20, 30)
    colors = np.random.default_rng(0).integers(0, 40000, (3, 20, 30))
    data = planes_of_tifffile(np.stack([*colors, alpha]).astype(np.uint16), photometric="rgb", extrasamples=[kind])
    frame = read_picture(data).frames[0]
    if kind == "unspecified":
        assert frame.alpha is None
    else:
        np.testing.assert_allclose(frame.alpha, alpha / 257, atol=1)
    expected = colors / alpha * 255 if kind == "assocalpha" else colors / 257
    np.testing.assert_allclose(frame.pixels, np.moveaxis(expected, 0, -1), atol=3)


def test_inks_in_planes_are_read_as_they_are_side_by_side():
    samples = np.random.default_rng(0).integers(0, 65536, (4, 20, 30), dtype=np.uint16)
    chunky = io.BytesIO()
    pytest.importorskip("tifffile").imwrite(chunky, np.moveaxis(samples, 0, -1), photometric="separated")
    planar = planes_of_tifffile(samples, photometric="separated")
    found, expected = (read_picture(data).frames[0].pixels.astype(int) for data in (planar, chunky.getvalue()))
    np.testing.assert_allclose(found, expected, atol=3)


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.95])
def test_planes_that_are_cut_short_are_refused(cut):
    data = planes_of_tifffile(np.full((3, 20, 30), 9, np.uint16), photometric="rgb")
    with pytest.raises(UserError, match="cannot read the picture"):
        read_picture(data[: int(cut * len(data))])


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


def test_the_transparent_level_of_a_gray_png_of_sixteen_bits_is_not_seen():
    samples, buffer = np.full((6, 8), 60000, np.uint16), io.BytesIO()
    samples[:3] = 257
    samples[3] = 258  # the same eight bits, and seen
    Image.fromarray(samples).save(buffer, "PNG", transparency=257)
    frame = read_picture(buffer.getvalue()).frames[0]
    np.testing.assert_array_equal(frame.alpha, np.where(samples == 257, 0, 255))
    np.testing.assert_array_equal(frame.pixels[3:, :, 0], samples[3:] // 257)
