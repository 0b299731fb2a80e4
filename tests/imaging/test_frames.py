import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener

from fast_nst.errors import ImageTooLarge, UserError
from fast_nst.imaging.frames import Frame, Picture, count_pixels, read_picture, write_picture, written_suffix


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_transparency_is_kept_where_the_format_can_and_laid_on_white_elsewhere(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, pixels.shape[:2], dtype=np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.frames[0].alpha, alpha)
    np.testing.assert_array_equal(picture.frames[0].pixels[alpha > 0], pixels[alpha > 0])
    write_picture(picture, tmp_path / "b.png", ".png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png"))[..., 3], alpha)
    nothing = Picture([Frame(pixels, np.zeros_like(alpha))])
    write_picture(nothing, tmp_path / "b.bmp", ".bmp")
    assert (np.asarray(Image.open(tmp_path / "b.bmp")) == 255).all()


def test_what_the_camera_wrote_goes_along_but_not_the_orientation(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Box"
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, dpi=(300, 300))
    write_picture(read_picture(tmp_path / "a.jpg"), tmp_path / "b.jpg", ".jpg")
    with Image.open(tmp_path / "b.jpg") as result:
        assert result.size == (20, 30)
        assert dict(result.getexif()).get(0x010F) == "Box" and 0x0112 not in result.getexif()
        assert result.info["dpi"] == (300, 300)


@pytest.mark.parametrize("piped", [False, True])
def test_a_telephones_photo_is_read_and_becomes_a_jpeg(tmp_path, piped):
    register_heif_opener()
    exif, colour = Image.Exif(), (200, 120, 40)
    exif[0x010F] = "Telephone"
    Image.new("RGB", (64, 48), colour).save(tmp_path / "a.heic", exif=exif)
    picture = read_picture((tmp_path / "a.heic").read_bytes() if piped else tmp_path / "a.heic")
    assert picture.suffix == ".jpg" and b"Telephone" in picture.metadata.exif
    (frame,) = picture.frames
    assert frame.pixels.shape == (48, 64, 3) and np.abs(frame.pixels - np.array(colour)).max() <= 4


@pytest.mark.parametrize(
    ("suffix", "written"), [(".JPG", ".JPG"), (".heic", ".jpg"), (".jfif", ".jpg"), (".avif", ".png"), (".gif", ".gif")]
)
def test_an_ending_that_is_not_written_becomes_one_that_is(suffix, written):
    assert written_suffix(suffix) == written


def test_a_profile_is_converted_and_srgb_is_noted(tmp_path, pixels):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=lab)
    write_picture(read_picture(tmp_path / "a.png"), tmp_path / "b.png", ".png")
    profile = Image.open(tmp_path / "b.png").info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))


@pytest.mark.parametrize(("form", "suffix"), [("GIF", ".gif"), ("WEBP", ".webp"), ("PNG", ".png")])
def test_every_frame_and_its_time_is_kept(tmp_path, form, suffix):
    flat = [Image.new("RGB", (24, 20), colour) for colour in ("red", "lime", "blue")]
    data = encoded(flat[0], form, save_all=True, append_images=flat[1:], duration=[50, 100, 200], loop=0)
    picture = read_picture(data)
    assert [frame.milliseconds for frame in picture.frames] == [50, 100, 200]
    assert picture.suffix == suffix
    write_picture(picture, tmp_path / f"b{suffix}", suffix)
    again = read_picture(tmp_path / f"b{suffix}")
    assert [frame.milliseconds for frame in again.frames] == [50, 100, 200]
    for one, other in zip(picture.frames, again.frames, strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 4


def test_frames_do_not_fit_into_a_format_of_one():
    frame = Frame(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="2 frames"):
        write_picture(Picture([frame, frame]), io.BytesIO(), ".jpg")


def test_a_picture_of_two_parts_from_a_phone_is_a_still(pixels):
    two = encoded(Image.fromarray(pixels), "MPO", save_all=True, append_images=[Image.fromarray(pixels)])
    picture = read_picture(two)
    assert (len(picture.frames), picture.suffix) == (1, ".jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_becomes_colours(mode, pixels):
    image = Image.fromarray(pixels).convert("L" if mode in ("I;16", "F") else mode.replace("PA", "P"))
    if mode == "PA":
        image.info["transparency"] = 0
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    if mode == "F":
        image = image.convert("F")
    form = {"CMYK": "TIFF", "F": "TIFF"}.get(mode, "PNG")
    for long_side in (None, 15):
        frame = read_picture(encoded(image, form), long_side).frames[0]
        assert frame.pixels.shape == ((20, 30, 3) if long_side is None else (10, 15, 3))
        assert frame.pixels.dtype == np.uint8


def test_a_bomb_is_refused_before_it_is_decoded(pixels):
    with pytest.raises(UserError, match="megapixels"):
        read_picture(encoded(Image.fromarray(pixels), "PNG"), max_pixels=599)
    flat = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    film = encoded(flat[0], "GIF", save_all=True, append_images=flat[1:])
    with pytest.raises(UserError, match="megapixels"):
        read_picture(film, max_pixels=1199)
    assert len(read_picture(film, max_pixels=1200).frames) == 3


@settings(deadline=None, max_examples=60)
@given(
    cut=st.integers(0, 400),
    place=st.integers(0, 400),
    value=st.integers(0, 255),
    form=st.sampled_from(["PNG", "GIF", "JPEG"]),
)
def test_a_damaged_file_is_one_sentence_or_a_picture(cut, place, value, form):
    data = bytearray(encoded(Image.effect_mandelbrot((32, 24), (-2, -1, 1, 1), 50).convert("RGB"), form))
    data = data[: max(1, len(data) - cut)]
    data[place % len(data)] = value
    try:
        picture = read_picture(bytes(data))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert picture.frames[0].pixels.ndim == 3


def test_a_tiff_of_several_pages_keeps_them_all_and_no_thumbnail(tmp_path):
    pages = [Image.new("RGB", (20 + index, 16), (40 * index, 0, 0)) for index in range(5)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    picture = read_picture(tmp_path / "a.tif")
    assert [frame.pixels.shape[1] for frame in picture.frames] == [20, 21, 22, 23, 24]
    write_picture(picture, tmp_path / "b.tif", ".tif")
    again = read_picture(tmp_path / "b.tif")
    assert [frame.pixels[0, 0, 0] for frame in again.frames] == [0, 40, 80, 120, 160]
    with pytest.raises(UserError, match=r"holds one picture, not 5 frames; choose .*\.tif"):
        write_picture(picture, tmp_path / "b.jpg", ".jpg")
    small = Image.new("RGB", (4, 4))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "c.tif", save_all=True, append_images=[small])
    assert len(read_picture(tmp_path / "c.tif").frames) in (1, 2)


def test_the_pages_of_a_tiff_together_are_held_against_the_limit(tmp_path):
    pages = [Image.new("RGB", (20, 20), (40 * index, 0, 0)) for index in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert count_pixels(tmp_path / "a.tif") == 1200
    with pytest.raises(ImageTooLarge):
        read_picture(tmp_path / "a.tif", max_pixels=1199)


def test_an_animated_avif_becomes_an_animation(tmp_path):
    flat = [Image.new("RGB", (24, 20), color) for color in ("red", "lime", "blue")]
    picture = read_picture(encoded(flat[0], "AVIF", save_all=True, append_images=flat[1:], duration=100))
    assert len(picture.frames) == 3 and picture.suffix == ".png"
    write_picture(picture, tmp_path / "a.png", ".png")
    assert [frame.milliseconds for frame in read_picture(tmp_path / "a.png").frames] == [100] * 3


def test_the_still_that_a_png_shows_to_old_viewers_is_no_frame():
    still, *flat = (Image.new("RGB", (24, 20), color) for color in ("white", "red", "blue"))
    picture = read_picture(encoded(still, "PNG", save_all=True, append_images=flat, default_image=True, duration=50))
    assert [tuple(frame.pixels[0, 0]) for frame in picture.frames] == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("opaque", [0, 1, 2, None])
def test_frames_with_and_without_transparency_stay_what_they_are(tmp_path, suffix, opaque):
    frames = []
    for index, color in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        alpha = np.full((20, 24), 255, np.uint8)
        alpha[:, 8 * index : 8 * index + 8] = 0
        frames.append(Frame(np.broadcast_to(np.uint8(color), (20, 24, 3)), None if index == opaque else alpha, 100))
    write_picture(Picture(frames), tmp_path / f"a{suffix}", suffix)
    found = read_picture(tmp_path / f"a{suffix}").frames
    assert len(found) == 3
    for one, other in zip(frames, found, strict=True):
        seen = np.full((20, 24), 255, np.uint8) if one.alpha is None else one.alpha
        np.testing.assert_array_equal(seen, 255 if other.alpha is None else other.alpha)
        assert np.abs(one.pixels[seen > 0].astype(int) - other.pixels[seen > 0]).max() <= 8


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_of_differing_sizes_get_the_size_of_the_first(tmp_path, suffix):
    frames = [Frame(np.full((height, width, 3), 90, np.uint8), None, 100) for height, width in ((20, 24), (30, 40), (9, 9))]
    frames = [Frame(frame.pixels + np.uint8(30 * index), None, 100) for index, frame in enumerate(frames)]
    write_picture(Picture(frames), tmp_path / f"a{suffix}", suffix)
    assert [frame.pixels.shape for frame in read_picture(tmp_path / f"a{suffix}").frames] == [(20, 24, 3)] * 3


def test_a_gifs_later_frame_that_is_larger_is_cut_to_its_screen():
    data = bytearray(encoded(Image.new("P", (40, 30)), "GIF"))
    small = bytearray(encoded(Image.new("P", (20, 16), 1), "GIF"))
    start = data.index(b",")
    film = read_picture(bytes(small[:-1] + data[start:]))
    assert [frame.pixels.shape for frame in film.frames] == [(16, 20, 3)] * 2
