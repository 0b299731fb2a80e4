import numpy as np

from fast_nst.imaging.synthetic import draw_scene


def test_drawings_repeat_and_differ_by_seed():
    first = draw_scene(48, 64, seed=5)
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw_scene(48, 64, seed=5))
    assert (first != draw_scene(48, 64, seed=6)).any()
