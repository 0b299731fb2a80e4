"""What a network draws along the edge, told from what is there without it."""

import numpy as np
import pytest
import skimage.data

from fast_nst.evaluation.artifacts import BORDER_SIDE, border_artifact
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer

PHOTO = skimage.data.astronaut()[20:260, 60:400]


def framed(pixels: np.ndarray, contrast: int, width: int = 1, inset: int = 2) -> np.ndarray:
    """``pixels`` with a line of ``width`` pixels around, ``inset`` from the edge, darker by ``contrast``."""
    rows, columns = np.indices(pixels.shape[:2])
    depth = np.minimum.reduce([rows, columns, rows.max() - rows, columns.max() - columns])
    lines = contrast * ((inset <= depth) & (depth < inset + width))
    return np.clip(pixels - lines[..., None], 0, 255).astype(np.uint8)


def test_photographs_noise_and_flat_pictures_have_none():
    noise = np.random.default_rng(0).integers(0, 256, (200, 320, 3), np.uint8)
    photos = [PHOTO, skimage.data.chelsea(), skimage.data.coffee()]
    for pixels in (*photos, noise, np.full((90, 120, 3), 90, np.uint8)):
        assert 0.3 < border_artifact(pixels) < 1.5


@pytest.mark.parametrize(("width", "inset"), [(1, 0), (1, 2), (3, 1), (2, 4)])
def test_a_line_around_shows_and_a_stronger_one_more(width, inset):
    weak, strong = (border_artifact(framed(PHOTO, contrast, width, inset)) for contrast in (15, 40))
    assert 1.5 * border_artifact(PHOTO) < weak < strong


def test_a_line_further_in_or_on_one_side_is_no_border_artifact():
    assert border_artifact(framed(PHOTO, 40, inset=20)) < border_artifact(PHOTO)
    one_side = PHOTO.copy()
    one_side[2] = framed(PHOTO, 40)[2]
    assert border_artifact(one_side) < border_artifact(framed(PHOTO, 40)) / 2


def test_the_sides_are_alike_and_the_least_size_counts():
    assert (
        border_artifact(PHOTO)
        == pytest.approx(border_artifact(np.rot90(PHOTO)))
        == pytest.approx(border_artifact(PHOTO[::-1, ::-1]))
    )
    assert np.isfinite(border_artifact(PHOTO[:BORDER_SIDE, :BORDER_SIDE]))
    with pytest.raises(ValueError, match="80 a side"):
        border_artifact(PHOTO[: BORDER_SIDE - 1])


@pytest.mark.parametrize("style", shipped_styles())
def test_the_shipped_styles_draw_none(style):
    photos = [PHOTO, skimage.data.chelsea(), skimage.data.coffee()]
    assert np.median([border_artifact(Stylizer(style)(photo)) for photo in photos]) < 1.75
