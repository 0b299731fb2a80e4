import numpy as np
import onnx
import pytest

from fast_nst.errors import UserError
from fast_nst.inference.deflicker import Deflicker, with_memory
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.system.files import SHIPPED

BASE = SHIPPED / "base.onnx"


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return Stylizer("great_wave").parts[0].weights


def pictures(count: int) -> list[np.ndarray]:
    """A photograph-like picture, of which a corner brightens."""
    grid = np.mgrid[0:48, 0:64] / 64
    scene = (np.stack([grid[0], grid[1], 1 - grid[1]], -1) * 200).astype(np.uint8)
    film = [scene.copy() for _ in range(count)]
    for index, picture in enumerate(film):
        picture[:16, :16] = 20 * index
    return film


def test_without_memory_it_is_the_plain_model(weights):
    steady, plain = Deflicker(BASE, weights, 0.0, 1), Stylizer("great_wave", threads=1)
    for picture in pictures(3):
        np.testing.assert_allclose(steady(picture[None])[0].astype(int), plain(picture), atol=1)


def test_the_first_picture_and_a_new_scene_are_drawn_afresh(weights):
    steady, plain = Deflicker(BASE, weights, 0.9, 1), Stylizer("great_wave", threads=1)
    scene = pictures(1)[0]
    np.testing.assert_allclose(steady(scene[None])[0].astype(int), plain(scene), atol=1)
    other = 255 - scene
    np.testing.assert_allclose(steady(other[None])[0].astype(int), plain(other), atol=1)


def test_a_change_in_one_corner_changes_the_others_less(weights):
    film, far = pictures(4), np.s_[32:, 40:]
    plain = [Stylizer("great_wave", threads=1)(picture)[far].astype(float) for picture in film]
    steady = Deflicker(BASE, weights, 0.9, 1)
    calm = [steady(picture[None])[0][far].astype(float) for picture in film]
    changes = [
        np.mean([np.abs(one - other).mean() for one, other in zip(run, run[1:], strict=False)]) for run in (plain, calm)
    ]
    assert 0 < changes[1] < 0.5 * changes[0]


def test_statistics_are_mixed_as_the_formula_says(weights):
    """k = 1 keeps the first picture's for ever."""
    film = pictures(3)
    steady = Deflicker(BASE, weights, 1.0, 1)
    steady(film[0][None])
    first = {name: value.copy() for name, value in steady.memory.items()}
    steady(film[1][None])
    for name, value in steady.memory.items():
        np.testing.assert_allclose(value, first[name], rtol=1e-4, atol=1e-6)


def test_a_model_without_norms_is_refused(negative):
    with pytest.raises(UserError, match="--stabilize 0"):
        with_memory(onnx.load(negative.parts[0].path))


def test_a_film_of_a_stylizer_does_not_change_the_stylizer(weights):
    stylizer = Stylizer("great_wave", threads=1)
    film = stylizer.for_film(0.9)
    for picture in pictures(2):
        film(picture)
    assert stylizer.parts[0].deflicker is None and film.parts[0].deflicker is not None
    assert stylizer.for_film(0.0).parts is stylizer.parts
