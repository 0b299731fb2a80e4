import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from fast_nst.errors import DiskFull, ImageTooLarge, UserError
from fast_nst.imaging import opening
from fast_nst.imaging.frames import Frame, Picture, write_picture
from fast_nst.imaging.images import load_image, open_image, save_image
from fast_nst.imaging.scanning import SUFFIXES, find_images
from fast_nst.imaging.sheets import contact_sheet, labelled_sheet


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_returns_what_was_saved(tmp_path, pixels):
    save_image(pixels, tmp_path / "deep" / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "deep" / "a.png"), pixels)


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_pictures_are_turned_as_their_camera_says(tmp_path, pixels, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), np.rot90(pixels, turns))


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 3] = 51  # a fifth
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png") == 204).all()


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(tmp_path / "a.png")
    assert np.unique(load_image(tmp_path / "a.png")) in (127, 128)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path, pixels, mode):
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.tif")
    assert load_image(tmp_path / "a.tif").shape == (20, 30, 3)


def test_an_embedded_profile_is_converted_and_a_broken_one_ignored(tmp_path, pixels):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "good.png", icc_profile=profile)
    Image.fromarray(pixels).save(tmp_path / "bad.png", icc_profile=b"nonsense")
    assert np.abs(load_image(tmp_path / "good.png").astype(int) - pixels).max() <= 2
    np.testing.assert_array_equal(load_image(tmp_path / "bad.png"), pixels)


def test_a_long_side_is_reduced_and_never_enlarged(tmp_path, pixels):
    save_image(pixels, tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", 15).shape == (10, 15, 3)
    assert load_image(tmp_path / "a.png", 99).shape == (20, 30, 3)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, pixels):
    save_image(pixels, tmp_path / "a.png")
    with pytest.raises(ImageTooLarge, match="megapixels") as refused:
        open_image(tmp_path / "a.png", max_pixels=599)
    assert (refused.value.pixels, refused.value.limit) == (600, 599)
    assert open_image(tmp_path / "a.png", max_pixels=600).size == (30, 20)


def test_a_limit_of_our_own_is_passed_along_and_pillows_stays_as_it_was(tmp_path, pixels, monkeypatch):
    save_image(pixels, tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # the half of what Pillow refuses
    with pytest.raises(ImageTooLarge):
        open_image(tmp_path / "a.png", max_pixels=500)
    assert load_image(tmp_path / "a.png").shape == (20, 30, 3)
    assert Image.MAX_IMAGE_PIXELS == 200


def test_only_a_small_part_of_pillow_is_told_to_be_silent():
    code = "import warnings; warnings.simplefilter('error'); import fast_nst.imaging.frames; warnings.warn('ours')"
    assert "UserWarning: ours" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff\xe0" + b"\1" * 99]
)
def test_damaged_files_become_one_sentence(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match="a.jpg"):
        open_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_full_disk_leaves_nothing_that_counts_as_written(tmp_path, suffix, small_files):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    with small_files(), pytest.raises(DiskFull, match="make room"):
        save_image(noise, tmp_path / f"a{suffix}")
    with small_files(), pytest.raises(DiskFull, match="make room"):
        write_picture(Picture([Frame(noise)]), tmp_path / f"a{suffix}", suffix)
    assert list(tmp_path.iterdir()) == []


def test_unknown_endings_and_folders_are_refused(tmp_path, pixels):
    for path in (tmp_path / "a.xyz", tmp_path):
        with pytest.raises(UserError, match="cannot write"):
            save_image(pixels, path)


def test_hidden_files_are_no_photographs(tmp_path, pixels):
    for name in (".a.png", "b.PNG"):
        save_image(pixels, tmp_path / name)
    assert [path.name for path in find_images(tmp_path)] == ["b.PNG"]


@pytest.mark.parametrize("name", ["a.heic", "IMG_0001.JPG"])
def test_without_its_package_a_heic_says_what_it_takes_whatever_it_is_called(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UserError, match="damaged"):
        open_image(tmp_path / name)
    monkeypatch.setattr(opening, "_knows_heif", lambda: False)
    with pytest.raises(UserError, match=r"pip install 'fast_nst\[heif\]'"):
        open_image(tmp_path / name)


def test_a_contact_sheet_shows_every_picture(pixels):
    red = np.zeros_like(pixels) + np.array([255, 0, 0], np.uint8)
    sheet = contact_sheet([[red, red], [red]], cell=30, gap=2)
    assert sheet.shape == (2 * 20 + 3 * 2, 66, 3)
    assert (sheet == [255, 0, 0]).all(-1).sum() == 3 * 20 * 30


def test_a_labelled_sheet_shows_each_picture_above_its_label(pixels):
    sheet = labelled_sheet(
        [[("one", pixels), ("two", pixels)], [("a label that is much too long for its cell", pixels)]], 60
    )
    assert sheet.shape == (2 * (40 + 16 + 4) + 4, 2 * 64 + 4, 3)
    np.testing.assert_array_equal(sheet[4:44, 4:64], contact_sheet([[pixels]], 60)[4:44, 4:64])
    assert sheet[44:60, :64].min() < 50  # black letters
    assert (sheet[64:, 68:] == 255).all()
