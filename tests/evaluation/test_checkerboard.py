"""What the network's grid leaves in a picture, told from what is there without it."""

import numpy as np
import pytest
import skimage.data

from fast_nst.evaluation.artifacts import checkerboard
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer

PHOTO = skimage.data.astronaut()[:256, :320]


def hatched(pixels: np.ndarray, period: int, contrast: float) -> np.ndarray:
    """``pixels`` with waves of ``period`` pixels a row and column over them."""
    rows, columns = np.indices(pixels.shape[:2])
    waves = contrast * np.cos(2 * np.pi * (rows + columns) / period)
    return np.clip(pixels + waves[..., None], 0, 255).astype(np.uint8)


def test_photographs_noise_and_flat_pictures_have_none():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for pixels in (PHOTO, noise, np.full((64, 96, 3), 90, np.uint8)):
        assert 0.6 < checkerboard(pixels) < 1.3


@pytest.mark.parametrize("period", [2, 4])
def test_a_hatching_of_the_grid_shows_even_if_weak_and_only_in_places(period):
    plain = checkerboard(PHOTO)
    assert checkerboard(hatched(PHOTO, period, 3)) > 1.2 * plain
    partly = PHOTO.copy()
    partly[100:160, 100:180] = hatched(partly[100:160, 100:180], period, 12)
    assert checkerboard(partly) > 1.2 * plain
    assert checkerboard(hatched(PHOTO, period, 8)) > checkerboard(hatched(PHOTO, period, 3))


@pytest.mark.parametrize("period", [3, 5, 7])
def test_waves_of_another_period_are_not_the_grid(period):
    assert checkerboard(hatched(PHOTO, period, 8)) < 1.1 * checkerboard(PHOTO)


def test_sides_that_are_no_multiple_of_4_and_the_least_size():
    assert 0.6 < checkerboard(PHOTO[:123, :201]) < 1.3
    assert np.isfinite(checkerboard(PHOTO[:32, :32]))
    with pytest.raises(ValueError, match="32 a side"):
        checkerboard(PHOTO[:31, :200])


@pytest.mark.parametrize("style", shipped_styles())
def test_the_shipped_styles_draw_none(style):
    assert checkerboard(Stylizer(style)(PHOTO)) < 2
