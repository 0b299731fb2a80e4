import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import fast_nst
from fast_nst.errors import UserError
from fast_nst.imaging.images import save_image
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.stylizer import Stylizer, seen_size


def test_the_package_offers_a_dozen_names_and_nothing_else_by_mistake():
    assert fast_nst.Stylizer is Stylizer
    assert sorted(dir(fast_nst)) == sorted([*fast_nst.__all__, "__version__"]) and len(fast_nst.__all__) <= 12
    for name in fast_nst.__all__:
        assert getattr(fast_nst, name).__doc__, name
    with pytest.raises(AttributeError, match="Styliser"):
        fast_nst.Styliser  # noqa: B018


def test_a_network_loads_as_a_module_with_style_and_strength(pixels):
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        full = fast_nst.load("great_wave")(images)
        none = fast_nst.load("base", "great_wave", strength=0)(images)
    drawn = np.rint(full[0].permute(1, 2, 0).numpy() * 255)
    assert np.abs(drawn - Stylizer("great_wave")(pixels)).max() <= 1
    assert torch.allclose(none, images, atol=1e-6)
    with pytest.raises(UserError, match="did you mean great_wave"):
        fast_nst.load("base", "great_wafe")


def test_a_setting_that_is_not_there_is_named():
    with pytest.raises(UserError, match="unknown setting 'stepz'; did you mean steps"):
        fast_nst.train(stepz=3)


def test_a_stylizer_tells_what_it_is_and_keeps_its_settings(negative):
    path = negative.parts[0].path
    assert repr(Stylizer(path, strength=0.5, tile="always")) == f"Stylizer({str(path)!r}, strength=0.5, tile='always')"
    assert Stylizer(path).stroke_size == StylizeSettings([], "x").stroke_size
    with pytest.raises(AttributeError, match="strength"):
        negative.strength = 0.5


GRAY, ALPHA = np.arange(600, dtype=np.uint8).reshape(20, 30), np.full((20, 30, 1), 7, np.uint8)


def in_kinds(pixels: np.ndarray) -> dict[str, tuple[object, object]]:
    """A picture as each kind that is taken, and what the negative makes of it."""
    negative, unit = 255 - pixels, np.float32(255)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    gray = np.repeat(255 - GRAY[..., None], 3, -1)
    rgba = np.concatenate([pixels, ALPHA], -1)
    return {
        "uint8": (pixels, negative),
        "a batch": (np.stack([pixels, pixels]), np.stack([negative, negative])),
        "float32": (pixels / unit, negative / unit),
        "float64": (pixels / 255.0, negative / 255.0),
        "float16": ((pixels / unit).astype(np.float16), (negative / unit).astype(np.float16)),
        "gray": (GRAY, gray),
        "gray with a channel": (GRAY[..., None], gray),
        "RGBA": (rgba, np.concatenate([negative, ALPHA], -1)),
        "a tensor": (tensor / 255, (255 - tensor) / 255),
        "a batch of tensors": (tensor[None] / 255, (255 - tensor)[None] / 255),
        "a uint8 tensor": (tensor, 255 - tensor),
        "a tensor in bfloat16": ((tensor / 255).bfloat16(), None),
        "a gray tensor": (torch.from_numpy(GRAY), torch.from_numpy(gray).permute(2, 0, 1)),
        "a view": (pixels[::-1], negative[::-1]),
    }


@pytest.mark.parametrize("kind", in_kinds(np.zeros((20, 30, 3), np.uint8)))
def test_every_kind_of_picture_gives_its_own_kind(negative, pixels, kind):
    given, expected = in_kinds(pixels)[kind]
    result = negative(given)
    assert type(result) is type(given) and result.dtype == given.dtype
    if expected is not None:
        np.testing.assert_allclose(np.asarray(result, np.float64), np.asarray(expected, np.float64), atol=1e-3)


def test_paths_images_with_transparency_and_lists_are_taken(negative, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    alpha = Image.fromarray(GRAY)
    clear = Image.fromarray(pixels)
    clear.putalpha(alpha)
    seen = []
    results = negative([str(tmp_path / "a.png"), tmp_path / "a.png", clear], progress=lambda *counts: seen.append(counts))
    assert [result.mode for result in results] == ["RGB", "RGB", "RGBA"]
    for result in results:
        np.testing.assert_array_equal(np.asarray(result.convert("RGB")), 255 - pixels)
    np.testing.assert_array_equal(np.asarray(results[2].getchannel("A")), GRAY)
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((20, 30, 3), 200.0), r"values in \[0, 1\], got 200 to 200; divide it by 255"),
        (np.full((20, 30, 3), np.nan), "got nan to nan"),
        (np.full((20, 30, 3), -1.0), "got -1 to -1; scale it first"),
        (np.zeros((20, 30, 3), np.int64), "an array of int64 is no picture"),
        (np.zeros((20, 30, 3), bool), "an array of bool is no picture"),
        (np.zeros((3, 20, 30), np.uint8), "channels come last, so transpose it"),
        (np.zeros((20, 30, 5), np.uint8), r"an array of shape \(20, 30, 5\) is no picture"),
        (np.zeros((0, 30, 3), np.uint8), r"an array of shape \(0, 30, 3\) is no picture"),
        (np.zeros(3, np.uint8), "is no picture"),
        (torch.zeros(20, 30, 3), "channels come first, so permute it"),
        (torch.zeros(3), "is no picture"),
        (torch.full((3, 20, 30), 255.0), "divide it by 255"),
        (None, "a picture is a path, a Pillow image, .* got NoneType"),
        (5, "got int"),
        ("absent.png", "no picture at absent.png"),
        (np.zeros((10, 30, 3), np.uint8), "the picture needs at least 16x16 pixels, got 30x10"),
    ],
)
def test_any_other_picture_is_told_what_is_wrong(negative, picture, message):
    with pytest.raises(UserError, match=message) as caught:
        negative(picture)
    assert "\n" not in str(caught.value)


def test_a_pillow_image_gives_a_pillow_image(negative, pixels):
    result = negative(Image.fromarray(pixels))
    np.testing.assert_array_equal(np.asarray(result), 255 - pixels)
    gray = negative(Image.fromarray(pixels).convert("L"))
    assert gray.mode == "RGB"


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


def test_kept_colors_are_those_of_the_photo(negative):
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
        Stylizer(path, tile="never", stroke_size=1)(large)


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
    never = Stylizer(negative.parts[0].path, tile="never", stroke_size=1)
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


def test_stylizing_never_imports_torch(tmp_path, pixels, negative):
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
