import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.imaging.frames import Frame, Picture, check_format, read_picture, write_picture
from fast_nst.imaging.images import open_image
from fast_nst.imaging.metadata import Metadata

DOCS = Path(__file__).parents[2] / "docs" / "stylize.md"
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".bmp": "BMP", ".ppm": "PPM", ".gif": "GIF"}


def exif_of(**more: int) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[33432], exif[315] = "Box", "(c) somebody", "A Painter"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 1.0, 2.0)})
    return exif


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.new("RGB", (12, 10), (200, 100, 50))).save(buffer, form, **options)
    return buffer.getvalue()


def stored(picture: Picture, suffix: str) -> tuple[Image.Image, list[str]]:
    buffer = io.BytesIO()
    notes = write_picture(picture, buffer, suffix)
    return Image.open(io.BytesIO(buffer.getvalue())), notes


def kept(suffix: str, target: str) -> set[str]:
    """What of EXIF, resolution, profile, transparency and frames a file of ``suffix`` passes on to one of ``target``."""
    profile = Image.open(io.BytesIO(encoded("PNG"))).info.get("icc_profile")
    metadata = Metadata(exif_of().tobytes(), (300, 300), 0, True)
    alpha = np.full((10, 12), 255, np.uint8)
    alpha[:5] = 0
    frames = [Frame(np.full((10, 12, 3), level, np.uint8), alpha, 100) for level in (10, 200)]
    assert profile is None
    try:
        source, _ = stored(Picture(frames, suffix, metadata), suffix)
    except UserError:
        source, _ = stored(Picture(frames[:1], suffix, metadata), suffix)
    picture = read_picture(source.fp.getvalue() if hasattr(source.fp, "getvalue") else source.fp.read())
    try:
        result, _ = stored(picture, target)
    except UserError:
        result, _ = stored(Picture(picture.frames[:1], target, picture.metadata), target)
    tags, found = result.getexif(), set()
    if tags.get(33432) == "(c) somebody" and tags.get_ifd(0x8825) and tags.get_ifd(0x8769):
        found.add("EXIF")
    if np.allclose(result.info.get("dpi", 0), 300, atol=0.1):
        found.add("resolution")
    if result.info.get("icc_profile"):
        found.add("profile")
    if result.has_transparency_data:
        found.add("transparency")
    if getattr(result, "n_frames", 1) == 2:
        found.add("frames")
    return found


def table() -> dict[str, set[str]]:
    """Format -> what it holds, as docs/stylize.md says."""
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| .")]
    return {row.split("|")[1].split()[0]: {word.strip() for word in row.split("|")[2].split(",")} for row in rows}


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_what_two_formats_both_hold_goes_along_as_the_table_in_the_docs_says(source, target):
    held = table()
    assert kept(source, target) == (held[source] & held[target]) - {"none"}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_too_large_for_a_format_is_dropped_with_a_note_and_never_the_picture(suffix):
    exif = exif_of()
    exif.get_ifd(0x8825)[29] = "x" * 70_000
    result, notes = stored(Picture([Frame(np.zeros((4, 4, 3), np.uint8))], metadata=Metadata(exif.tobytes())), suffix)
    assert result.size == (4, 4)
    assert notes == (["its EXIF does not fit into .jpg, and is left out"] if suffix == ".jpg" else [])


@pytest.mark.parametrize("tag", [0x927C, 0x9286, 270])
def test_the_largest_tags_go_before_the_rest_of_the_exif(tag):
    exif = exif_of()
    (exif if tag == 270 else exif.get_ifd(0x8769))[tag] = "x" * 70_000 if tag == 270 else bytes(70_000)
    result, notes = stored(Picture([Frame(np.zeros((4, 4, 3), np.uint8))], metadata=Metadata(exif.tobytes())), ".jpg")
    assert result.getexif()[33432] == "(c) somebody" and result.getexif().get_ifd(0x8825)[1] == "N"
    assert notes == ["the largest tags of its EXIF do not fit into .jpg, and are left out"]


@pytest.mark.parametrize("value", [0, float("nan"), float("inf"), -3, 4294967295.0, "72\0"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_resolution_that_is_none_is_dropped(value, suffix, monkeypatch):
    data = encoded("TIFF")
    monkeypatch.setattr("fast_nst.imaging.frames.open_checked", told_resolution(value))
    picture = read_picture(data)
    result, notes = stored(picture, suffix)
    assert result.size == (12, 10) and picture.metadata.dpi is None
    assert notes == ["its resolution is no number of pixels an inch, and left out"]


def told_resolution(value):
    from contextlib import contextmanager

    from fast_nst.imaging.opening import open_checked

    @contextmanager
    def opened(*arguments):
        with open_checked(*arguments) as (image, notes):
            image.info["dpi"] = (value, value)
            yield image, notes

    return opened


def broken_jpeg() -> bytes:
    """Orientation 6, and a resolution that is text."""
    entries = [(274, 3, 1, b"\0\6\0\0"), (282, 2, 3, b"72\0\0")]
    tags = b"".join(
        name.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value
        for name, kind, count, value in entries
    )
    return encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + len(entries).to_bytes(2, "big") + tags + bytes(4))


def test_broken_exif_is_dropped_with_a_note_and_its_orientation_still_holds(tmp_path):
    picture = read_picture(broken_jpeg())
    assert picture.frames[0].pixels.shape == (12, 10, 3)
    assert any("EXIF" in note or "resolution" in note for note in stored(picture, ".jpg")[1]) or not picture.metadata.exif
    (tmp_path / "a.jpg").write_bytes(broken_jpeg())
    assert open_image(tmp_path / "a.jpg").size == (10, 12)


@pytest.mark.parametrize("cut", range(4, 60, 7))
def test_exif_cut_anywhere_never_costs_the_picture(cut):
    picture = read_picture(encoded("JPEG", exif=exif_of().tobytes()[:cut]))
    for suffix in FORMATS:
        assert stored(picture, suffix)[0].size == (12, 10)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_texts_and_profiles_of_a_png_over_a_megabyte_are_left_out(tmp_path, name):
    data = encoded("PNG")
    content = b"name\0\0" + zlib.compress(bytes(2_000_000))
    chunk = len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    picture = read_picture(tmp_path / "a.png")
    assert (picture.frames[0].pixels == [200, 100, 50]).all()
    assert "left out" in stored(picture, ".png")[1][0]
    assert open_image(tmp_path / "a.png").size == (12, 10)


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65501), (".webp", 16384), (".gif", 65536)])
def test_a_formats_limit_is_named_before_anything_is_drawn(suffix, side):
    picture = Picture([Frame(np.zeros((1, side, 3), np.uint8))])
    with pytest.raises(UserError, match=f"at most {side - 1:,} pixels a side, the picture has {side:,} x 1"):
        check_format(picture, suffix)
    largest = Picture([Frame(np.zeros((1, side - 1, 3), np.uint8))])
    assert stored(largest, suffix)[0].size == (side - 1, 1)
