import numpy as np

from fast_nst.imaging.synthetic import draw_painting, draw_scene, drawn_style


def test_drawings_repeat_and_differ_by_seed():
    for draw in (draw_scene, draw_painting):
        first = draw(48, 64, seed=5)
        assert first.shape == (48, 64, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, draw(48, 64, seed=5))
        assert (first != draw(48, 64, seed=6)).any()


def test_the_painting_is_blue_with_yellow_whirls_and_has_strokes():
    painting = draw_painting(128, 160, seed=1).astype(int)
    red, blue = painting[..., 0], painting[..., 2]
    assert 0.5 < (blue > red).mean() < 0.95
    assert ((red - blue) > 60).mean() > 0.02
    assert np.abs(np.diff(painting.mean(-1), axis=1)).mean() > 5


def test_the_package_s_own_painting_has_a_blue_sky_over_warm_land():
    painting = drawn_style().astype(int)
    assert painting.shape == (512, 640, 3)
    warmth = painting[..., 0] - painting[..., 2]  # red over blue
    assert warmth[:200].mean() < -20 and warmth[350:].mean() > 20
    assert painting.mean(-1).std() > 35  # from dark to light
