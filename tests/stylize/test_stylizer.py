import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import fast_nst
from fast_nst.errors import UserError
from fast_nst.imaging.images import save_image
from fast_nst.stylize.stylizer import Stylizer, seen_size


def test_the_package_offers_the_stylizer_and_nothing_else_by_mistake():
    assert fast_nst.Stylizer is Stylizer
    with pytest.raises(AttributeError, match="Styliser"):
        fast_nst.Styliser  # noqa: B018


def test_a_pillow_image_gives_a_pillow_image(negative, pixels):
    result = negative(Image.fromarray(pixels))
    np.testing.assert_array_equal(np.asarray(result), 255 - pixels)
    grey = negative(Image.fromarray(pixels).convert("L"))
    assert grey.mode == "RGB"


def test_threads_may_share_a_stylizer(negative):
    pictures = [np.random.default_rng(seed).integers(0, 256, (20 + seed, 30, 3), dtype=np.uint8) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for picture, result in zip(pictures, pool.map(negative, pictures), strict=True):
            np.testing.assert_array_equal(result, 255 - picture)


def test_a_mask_confines_the_style(negative, pixels):
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 15:] = 255
    result = negative(pixels, Image.fromarray(mask))
    np.testing.assert_array_equal(result[:, :10], pixels[:, :10])
    np.testing.assert_array_equal(result[:, 20:], 255 - pixels[:, 20:])


def test_kept_colours_are_those_of_the_photo(negative):
    path = negative.parts[0].path
    red = np.full((20, 20, 3), [200, 60, 60], np.uint8)
    result = Stylizer(path, preserve_color=True)(red).reshape(-1, 3)[0].astype(int)
    assert result[0] > result[1] + 60 and abs(result[1] - result[2]) <= 4
    np.testing.assert_allclose(result @ [0.299, 0.587, 0.114], 255 - red[0, 0] @ [0.299, 0.587, 0.114], atol=4)


def test_larger_strokes_come_from_a_smaller_picture(negative, pixels):
    path = negative.parts[0].path
    large = np.repeat(np.repeat(pixels, 2, 0), 2, 1)
    result = Stylizer(path, stroke_size=2.0)(large)
    assert result.shape == large.shape
    small = np.asarray(Image.fromarray(large).resize((30, 20), Image.Resampling.LANCZOS))
    expected = np.asarray(Image.fromarray(255 - small).resize((60, 40), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("size", "seen"),
    [((1280, 900), (1280, 900)), ((3840, 1920), (1280, 640)), ((40, 2560), (20, 1280)), ((20480, 64), (2560, 16))],
)
def test_strokes_grow_with_pictures_that_are_larger_than_a_screen(size, seen):
    assert seen_size(size, "auto") == seen
    assert seen_size(size, 1.0) == size


def test_automatic_strokes_are_those_of_a_smaller_picture(negative):
    path, large = negative.parts[0].path, np.random.default_rng(0).integers(0, 256, (16, 2560, 3), dtype=np.uint8)
    automatic = Stylizer(path, stroke_size="auto", tile="never")(large)
    seen = np.asarray(Image.fromarray(large).resize((1280, 16), Image.Resampling.LANCZOS))
    expected = np.asarray(Image.fromarray(255 - seen).resize((2560, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(automatic, expected)


def test_a_picture_that_is_seen_small_needs_no_tiles(negative):
    """What is too large for memory is what the network sees, not the picture."""
    path, large = negative.parts[0].path, np.zeros((5000, 5000, 3), np.uint8)
    assert (Stylizer(path, stroke_size="auto", tile="never")(large) == 255).all()
    with pytest.raises(UserError, match=r"25 megapixels.*--tile auto"):
        Stylizer(path, tile="never")(large)


def test_tiles_look_as_if_drawn_at_once():
    photo = skimage.data.astronaut()[:120, :150]
    once = Stylizer("great_wave", strength=0.8)(photo)
    tiles = Stylizer("great_wave", strength=0.8, tile="always")(photo)
    assert np.abs(once.astype(int) - tiles).max() <= 2


@pytest.mark.parametrize(
    "values",
    [
        {"tile": "often"},
        {"stroke_size": 0},
        {"stroke_size": 99},
        {"stroke_size": "big"},
        {"strength": 1.6},
        {"strength": -0.1},
    ],
)
def test_numbers_out_of_range_are_named(values):
    with pytest.raises(UserError, match=next(iter(values))):
        Stylizer("great_wave", **values)


def test_a_picture_too_large_for_memory_is_told_what_to_do(negative):
    never = Stylizer(negative.parts[0].path, tile="never")
    with pytest.raises(UserError, match="--size 4000"):
        never(np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), (1, 5000, 5000, 3)))


@pytest.mark.parametrize("content", [b"no model", b""])
def test_what_is_no_model_is_told_apart(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(UserError, match="not an ONNX model"):
        Stylizer(tmp_path / "m.onnx")


def test_a_run_folder_without_a_model_names_the_export(tmp_path):
    with pytest.raises(UserError, match="fast-nst export"):
        Stylizer(tmp_path)


def test_stylising_never_imports_torch(tmp_path, pixels, negative):
    save_image(pixels, tmp_path / "a.png")
    model = negative.parts[0].path
    code = (
        "import sys; from fast_nst.cli.main import main; "
        f"main(['stylize', {str(tmp_path / 'a.png')!r}, '--style', {str(model)!r}, "
        f"'--output', {str(tmp_path / 'b.png')!r}]); "
        "assert not {'torch', 'pytorch_lightning', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "b.png").exists()
