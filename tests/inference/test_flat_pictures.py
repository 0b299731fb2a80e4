"""Pictures without much contrast: rounding noise of a channel of one value must not be amplified, by any engine."""

import numpy as np
import pytest

from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference import tiling
from fast_nst.inference.deflicker import Deflicker
from fast_nst.inference.model import Model
from fast_nst.system.files import SHIPPED

BASE = SHIPPED / "base.onnx"
FLAT = np.zeros((1, 101, 131, 3), np.uint8)
HALVES = FLAT.copy()
HALVES[:, :, 60:] = (250, 30, 90)
SPECK = FLAT.copy()
SPECK[0, 40, 70] = 9
PICTURES = {
    "black": FLAT,
    "white": FLAT + 255,
    "one color": FLAT + np.array([200, 77, 101], np.uint8),
    "two colors": HALVES,
    "a speck": SPECK,
    "a gradient": FLAT + np.arange(131, dtype=np.uint8)[None, None, :, None],
    "noise": np.random.default_rng(0).integers(0, 256, (1, 97, 50, 3), dtype=np.uint8),
    "a scene": draw_scene(97, 50)[None],
}


def drawn_in_tiles(model: Model, weights: np.ndarray):
    return lambda picture: tiling.tiled(model, picture[0], weights)[None]


@pytest.fixture(params=["openvino", "tiles", "deflicker"])
def other(request, monkeypatch):
    """A function that draws a picture with the row great_wave, otherwise than onnxruntime does at once."""
    monkeypatch.setattr(tiling, "SIDES", (32,))
    if request.param == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    model = Model(BASE, 1, "openvino" if request.param == "openvino" else "onnxruntime")
    weights = model.weights({"great_wave": 1.0})
    if request.param == "tiles":
        return drawn_in_tiles(model, weights)
    return Deflicker(BASE, weights, 0.0, 1) if request.param == "deflicker" else lambda picture: model(picture, weights)


@pytest.mark.parametrize("kind", PICTURES)
def test_every_way_to_draw_gives_the_picture_of_onnxruntime(other, kind):
    model = Model(BASE, 1)
    expected = model(PICTURES[kind], model.weights({"great_wave": 1.0})).astype(int)
    assert np.abs(other(PICTURES[kind]) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["black", "white", "one color"])
def test_a_picture_of_one_color_becomes_one_of_one_color_in_every_style(kind):
    model = Model(BASE, 1)
    for row in model.rows:
        assert np.ptp(model(PICTURES[kind], model.weights({row: 1.0})), axis=(1, 2)).max() <= 1, row
