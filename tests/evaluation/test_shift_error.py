import numpy as np
import pytest

from fast_nst.evaluation.stability import (
    FEW_SHIFTS,
    SHIFTS,
    affine_error,
    contrast,
    light_error,
    noise_error,
    shift_error,
)
from fast_nst.imaging.images import load_image


@pytest.fixture(scope="module")
def photo(photos) -> np.ndarray:
    return load_image(photos / "astronaut.jpg", 128)


def unchanged(pixels: np.ndarray) -> np.ndarray:
    return pixels


def striped(pixels: np.ndarray) -> np.ndarray:
    """Gray pictures whose odd columns are 40 brighter, wherever the photograph lies."""
    return np.broadcast_to(np.uint8(100) + np.uint8(40) * (np.arange(pixels.shape[1]) % 2)[:, None], pixels.shape).astype(
        np.uint8
    )


def test_a_network_that_returns_the_photograph_moves_along_exactly(photo):
    assert shift_error(unchanged, photo, FEW_SHIFTS) == 0
    assert affine_error(unchanged, photo, zoom=1.02) < 0.001
    assert affine_error(unchanged, photo, degrees=2.0) < 0.001


def test_all_shifts_of_0_to_5_pixels_both_ways_are_tried():
    assert len(SHIFTS) == len(set(SHIFTS)) == 35 and (0, 0) not in SHIFTS and (5, 5) in SHIFTS


def test_stripes_that_stay_where_they_are_are_off_by_their_whole_height_at_odd_shifts(photo):
    """Values 100 and 140 have a standard deviation of 20, so a difference of 40 is twice the contrast."""
    assert shift_error(striped, photo, [(0, 1), (0, 3), (2, 5)]) == pytest.approx(2, rel=1e-3)
    assert shift_error(striped, photo, [(1, 0), (3, 2), (0, 4)]) == 0
    assert shift_error(striped, photo, [(0, 1), (0, 2)]) == pytest.approx(1, rel=1e-3)


def test_the_error_is_a_share_of_contrast_and_leaves_the_border_out(photo):
    def framed(pixels):
        picture = pixels.copy()
        picture[:20], picture[-20:], picture[:, :20], picture[:, -20:] = 255, 255, 255, 255
        return picture

    assert shift_error(framed, photo, FEW_SHIFTS) == 0
    assert shift_error(lambda pixels: striped(pixels) // 2, photo, [(0, 1)]) == pytest.approx(2, rel=1e-3)


def test_a_picture_that_stays_in_place_is_wrong_for_zooms_and_rotations(photo):
    def still(pixels):
        return photo

    assert affine_error(still, photo, zoom=1.1) > 0.1 and affine_error(still, photo, degrees=5.0) > 0.1


def test_noise_and_light_change_an_unchanged_photograph_by_themselves(photo):
    """Normal noise of deviation s has a mean magnitude of 0.8 s; light of 0.9 takes a tenth of the mean."""
    gray = np.full((128, 128, 3), 120, np.uint8)
    gray[:, 64:] = 140
    inner = gray[24:-24, 24:-24]
    assert noise_error(unchanged, gray, 5.0) == pytest.approx(0.798 * 5 / contrast(gray), rel=0.03)
    assert light_error(unchanged, gray, 0.9) == pytest.approx(0.1 * inner.mean() / contrast(gray), rel=0.01)
    assert noise_error(striped, gray) == light_error(striped, gray) == 0


def test_a_photograph_too_small_for_the_border_is_refused():
    small = np.zeros((85, 85, 3), np.uint8)
    with pytest.raises(ValueError, match="a shift error needs 90 pixels a side, got 85"):
        shift_error(unchanged, small)
