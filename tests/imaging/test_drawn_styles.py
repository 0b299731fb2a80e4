import numpy as np
import pytest

from fast_nst.errors import UserError
from fast_nst.imaging.drawing.palettes import SCHEMES, luminance, oklch, random_palette
from fast_nst.imaging.drawing.styles import KINDS, draw_style

SIZE = (96, 120)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return {kind: draw_style(kind, 3, *SIZE) for kind in KINDS}


def test_there_are_many_kinds():
    assert len(KINDS) >= 18


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_picture_and_another_seed_another_one(kind, drawn):
    first = drawn[kind]
    assert first.shape == (*SIZE, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw_style(kind, 3, *SIZE))
    difference = np.abs(first.astype(int) - draw_style(kind, 4, *SIZE)).mean()
    assert difference > 8


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_contrast_and_fine_structure(kind, drawn):
    gray = luminance(drawn[kind].astype(np.float32))
    assert gray.std() > 12
    assert np.abs(np.diff(gray, axis=1)).mean() > 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_several_colors(kind, drawn):
    coarse = (drawn[kind] // 32).reshape(-1, 3)
    _, counts = np.unique(coarse, axis=0, return_counts=True)
    assert (counts > 0.01 * len(coarse)).sum() >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_odd_sizes_work(kind):
    assert draw_style(kind, 0, 61, 47).shape == (61, 47, 3)


def test_kinds_differ_though_their_seed_is_the_same(drawn):
    pictures = np.stack([picture.astype(np.int16) for picture in drawn.values()])
    for number, picture in enumerate(pictures):
        distances = np.abs(pictures - picture).mean((1, 2, 3))
        assert np.delete(distances, number).min() > 8


def test_an_unknown_kind_is_one_sentence_that_names_the_kinds():
    with pytest.raises(UserError, match="no_such_kind.*stained_glass"):
        draw_style("no_such_kind", 0)


def test_a_side_below_sixteen_pixels_is_one_sentence_that_says_so():
    with pytest.raises(UserError, match="too small.*16 x 16"):
        draw_style("mosaic", 0, 8, 40)


def test_a_chroma_beyond_srgb_is_lowered_and_keeps_hue_and_lightness():
    strong, weak = oklch(0.6, 0.5, 0.55), oklch(0.6, 0.02, 0.55)
    assert strong.min() >= 0 and strong.max() <= 1 and np.ptp(strong) > np.ptp(weak)
    assert strong.argmax() == weak.argmax() and abs(luminance(strong) - luminance(weak)) < 0.1


def test_a_color_of_known_oklch_is_the_color_that_its_author_gives():
    # CSS Color 4, sample conversions: red, lime and blue
    known = {
        (1, 0, 0): (0.62796, 0.25768, 29.234),
        (0, 1, 0): (0.86644, 0.29483, 142.495),
        (0, 0, 1): (0.45201, 0.31321, 264.052),
    }
    for color, (lightness, chroma, degrees) in known.items():
        np.testing.assert_allclose(oklch(lightness, chroma, degrees / 360), color, atol=0.005)
    np.testing.assert_allclose(oklch(1.0, 0.0, 0.3), (1, 1, 1), atol=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_palette_has_four_to_eight_colors_from_dark_to_light_with_an_accent(scheme):
    for seed in range(20):
        palette = random_palette(np.random.default_rng(seed), scheme)
        light = luminance(palette.colors)
        assert 4 <= len(palette.colors) <= 8
        assert (np.diff(light) >= 0).all() and light[0] < 0.25 and light[-1] > 0.8
        assert np.ptp(palette.accent) > 0.25
