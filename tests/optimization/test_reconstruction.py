from dataclasses import replace

import numpy as np
import pytest
import skimage.data

from fast_nst.cli.main import main, parser_of
from fast_nst.errors import UserError
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import load_image, save_image
from fast_nst.optimization import sources
from fast_nst.optimization.descent import Descent
from fast_nst.optimization.reconstruction import layer_sets, reconstruct
from fast_nst.settings.optimize import ReconstructSettings


@pytest.fixture
def photo(tmp_path) -> str:
    save_image(skimage.data.chelsea()[50:250:5, 50:350:5], tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_shallow_layer_keeps_the_picture(photo, tmp_path):
    output = str(tmp_path / "drawn.png")
    left = reconstruct(ReconstructSettings(photo, output, "relu1_1", size=40, steps=60, progress=False))
    assert left["relu1_1"] < 0.01
    drawn, wanted = (load_image(path, 40).astype(float) for path in (output, photo))
    assert np.corrcoef(drawn.ravel(), wanted.ravel())[0, 1] > 0.95


def test_style_keeps_correlations_and_not_places(photo, tmp_path, lite):
    output = str(tmp_path / "drawn.png")
    settings = ReconstructSettings(photo, output, "relu2_2", "style", size=40, steps=60, progress=False)
    assert reconstruct(settings)["relu2_2"] < 0.05
    drawn, wanted = (load_image(path, 40).astype(float) for path in (output, photo))
    assert np.corrcoef(drawn.ravel(), wanted.ravel())[0, 1] < 0.9
    grams = [np.einsum("bihw,bjhw->ij", f, f) for f in (features(lite, drawn), features(lite, wanted))]
    assert np.corrcoef(grams[0].ravel(), grams[1].ravel())[0, 1] > 0.9


def features(network, pixels: np.ndarray) -> np.ndarray:
    return network(to_tensor(pixels.astype(np.uint8))[None], ["relu2_2"])["relu2_2"].numpy()


def test_several_layers_make_a_grid(photo, tmp_path):
    settings = ReconstructSettings(
        photo, str(tmp_path / "grid.png"), ["relu1_1", "relu1_2", "relu2_1"], size=40, steps=1, columns=2, progress=False
    )
    assert list(reconstruct(settings)) == ["relu1_1", "relu1_2", "relu2_1"]
    assert load_image(tmp_path / "grid.png").shape == (2 * (27 + 16 + 4) + 4, 2 * 44 + 4, 3)


def test_the_picture_is_opened_once_for_all_layers(photo, tmp_path, monkeypatch):
    opened, original = [], sources.open_image
    monkeypatch.setattr(sources, "open_image", lambda path: opened.append(path) or original(path))
    layers = ["relu1_1", "relu1_2", "relu2_1"]
    reconstruct(ReconstructSettings(photo, str(tmp_path / "grid.png"), layers, size=40, steps=1, progress=False))
    assert opened == [photo]


def test_a_picture_that_exists_is_not_replaced_unasked(photo, tmp_path):
    (tmp_path / "drawn.png").write_text("mine")
    settings = ReconstructSettings(photo, str(tmp_path / "drawn.png"), "relu1_1", size=40, steps=1, progress=False)
    with pytest.raises(UserError, match="replace it with --overwrite"):
        reconstruct(settings)
    assert (tmp_path / "drawn.png").read_text() == "mine"
    reconstruct(replace(settings, overwrite=True))
    assert load_image(tmp_path / "drawn.png").shape == (27, 40, 3)


def test_growing_subsets_are_those_of_the_figure(photo):
    growing = layer_sets(ReconstructSettings(photo, layer=["relu1_1", "relu2_1", "relu3_1"], kind="style", growing=True))
    assert list(growing) == ["relu1_1", "relu1_1 to relu2_1", "relu1_1 to relu3_1"]
    assert list(growing.values())[2] == ["relu1_1", "relu2_1", "relu3_1"]


@pytest.mark.parametrize(
    ("network", "first", "count"),
    [("lite", "relu1_1", 10), ("vgg16", "relu1_1", 13), ("squeezenet1_1", "conv1", 10), ("resnet50", "conv1", 19)],
)
def test_without_a_layer_all_are_drawn(photo, network, first, count):
    layers = list(layer_sets(ReconstructSettings(photo, loss_network=network)))
    assert (layers[0], len(layers)) == (first, count)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer", "relu4_9"], "did you mean relu4_"),
        (["--layer", "[relu1_1, nothing]"], "unknown layer of lite 'nothing'"),
        (["--layer", "relu4_3", "--size", "16", "--kind", "style", "--loss_network", "absent"], "unknown loss network"),
        (["--output", "a.txt"], "choose a name that ends in one of"),
        (["--steps", "0"], "steps needs to be between"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(flags, message, photo, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Descent, "step", lambda self: pytest.fail("work was begun"))
    with pytest.raises(SystemExit) as ended:
        main(["reconstruct", photo, *flags])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and message in error
    with pytest.raises(UserError):
        reconstruct(ReconstructSettings("absent.jpg"))


def test_the_photo_stands_alone_on_the_command_line():
    values = parser_of("reconstruct").values(["photo.jpg", "--layer", "relu4_2", "--kind", "content"])
    assert values == {"photo": "photo.jpg", "layer": "relu4_2", "kind": "content"}
