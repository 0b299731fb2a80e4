import sys

import numpy as np
import onnx
import pytest

from fast_nst.errors import UserError
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.deflicker import Deflicker, MotionMemory, with_memory
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


def pan(count: int, pixels: int = 3) -> list[np.ndarray]:
    """A camera that moves to the right over a drawn picture."""
    scene = draw_scene(160, 320, seed=3)
    return [scene[:, pixels * index : pixels * index + 200] for index in range(count)]


def swimming(frame: np.ndarray) -> np.ndarray:
    """A network whose strokes stay where they are on the screen: bars across a darker photograph."""
    bars = np.arange(frame.shape[1]) // 4 % 2 * 40
    return (frame * 0.7 + bars[:, None]).astype(np.uint8)


def warping_error(results: list[np.ndarray], pixels: int = 3) -> float:
    """Mean difference of each result and the one before moved along, without what is near the edges."""
    pairs = zip(results, results[1:], strict=False)
    return float(
        np.mean([np.abs(a[16:-16, 16 + pixels : -16] * 1.0 - b[16:-16, 16 : -16 - pixels]).mean() for a, b in pairs])
    )


def test_motion_is_followed_so_that_strokes_move_with_the_film():
    film = pan(8)
    plain = [swimming(frame) for frame in film]
    errors = [warping_error(plain)]
    for stabilize in (0.5, 0.8):
        memory = MotionMemory(stabilize, 1)
        errors.append(warping_error([memory(*pair) for pair in zip(film, plain, strict=True)]))
    assert errors[0] > 20 and errors[1] < 0.6 * errors[0] and errors[2] < 0.35 * errors[0]


def test_still_pictures_are_blended_as_the_formula_says():
    frame, memory = pan(1)[0], MotionMemory(0.5, 1)
    dark, bright = np.full_like(frame, 40), np.full_like(frame, 80)
    assert (memory(frame, dark) == 40).all()
    assert np.abs(memory(frame, bright)[8:-8, 8:-8] - 60.0).max() <= 1
    assert np.abs(memory(frame, bright)[8:-8, 8:-8] - 70.0).max() <= 1


def test_a_cut_is_not_smeared():
    memory = MotionMemory(0.9, 1)
    for frame in pan(3):
        memory(frame, swimming(frame))
    other = 255 - pan(1)[0][:, ::-1]
    np.testing.assert_array_equal(memory(other, swimming(other)), swimming(other))


def test_what_was_hidden_before_and_what_hides_it_now_are_drawn_afresh():
    """A white square jumps over a still picture: where it is, and where it was, nothing of the frame before is left."""
    scene, memory = draw_scene(160, 200, seed=3) // 2, MotionMemory(0.9, 1)
    frames = [scene.copy() for _ in range(2)]
    frames[0][40:90, 20:70], frames[1][40:90, 120:170] = 255, 255
    memory(frames[0], np.full_like(scene, 50))
    result = memory(frames[1], np.full_like(scene, 150))
    assert (result[46:84, 26:64] == 150).all() and (result[46:84, 126:164] == 150).all()
    assert np.abs(result[120:150, 20:180] - 60.0).max() <= 1


def test_other_light_is_followed_at_once():
    frame, memory = pan(1)[0] // 2, MotionMemory(0.9, 1)
    memory(frame, np.full_like(frame, 50))
    assert (memory(frame + np.uint8(30), np.full_like(frame, 150)) == 150).all()


def test_a_film_of_another_size_begins_anew():
    memory, (frame,) = MotionMemory(0.9, 1), pan(1)
    memory(frame, frame)
    smaller = frame[:100]
    np.testing.assert_array_equal(memory(smaller, smaller // 2), smaller // 2)


def test_large_frames_find_their_motion_in_smaller_ones():
    film = [np.kron(frame, np.ones((4, 4, 1), np.uint8)) for frame in pan(2)]
    memory = MotionMemory(0.9, 1)
    flow = memory._places(film[1], film[0]) - np.stack(np.meshgrid(np.arange(800), np.arange(640)), -1)
    np.testing.assert_allclose(np.median(flow[100:-100, 100:-100], (0, 1)), [12, 0], atol=1)


def test_a_stylizer_of_a_film_follows_motion():
    film = pan(2)
    plain = Stylizer("great_wave", threads=1)
    steady = plain.for_film(0.8)
    errors = [warping_error([draw(frame) for frame in film]) for draw in (plain, steady)]
    assert 0 < errors[1] < 0.6 * errors[0]
    assert plain.motion is None and plain.for_film(0.0).motion is None


def test_without_opencv_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install 'fast_nst\[video\]'; or give --stabilize 0") as caught:
        Stylizer("great_wave", threads=1).for_film(0.5)
    assert "\n" not in str(caught.value)
    Stylizer("great_wave", threads=1).for_film(0.0)
