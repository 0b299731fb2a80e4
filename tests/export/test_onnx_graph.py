import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fast_nst.errors import UserError
from fast_nst.export import onnx_graph
from fast_nst.export.onnx_graph import export_checkpoint, export_onnx
from fast_nst.inference.instance_norms import find_norms
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.networks.weights import load_network
from fast_nst.stylize.stylizer import Stylizer


@pytest.fixture(scope="module")
def johnson(tmp_path_factory: pytest.TempPathFactory) -> tuple[TransformerNet, Stylizer]:
    torch.manual_seed(0)
    network = TransformerNet("johnson", 4).eval()
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    export_onnx(network, path, "tiny", {"style": "none", "steps": 3})
    return network, Stylizer(path)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 20), (129, 66)])
def test_any_size_comes_back_as_pytorch_draws_it(johnson, size):
    network, stylizer = johnson
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1) * 255
    assert np.abs(stylizer(pixels) - expected.permute(1, 2, 0).numpy()).max() <= 1


def test_a_batch_equals_its_pictures_one_by_one(johnson):
    batch = np.random.default_rng(2).integers(0, 256, (3, 24, 28, 3), dtype=np.uint8)
    together = johnson[1](batch).astype(int)
    assert np.abs(together - np.stack([johnson[1](one) for one in batch])).max() <= 1


def test_statistics_over_megapixels_are_those_of_float64(johnson, tmp_path):
    """Summed over rows and columns at once, onnxruntime's variance of these values is off by more than 1e-3."""
    path = johnson[1].parts[0].path
    norm = find_norms(onnx.load(path).graph)[0]
    onnx.utils.extract_model(path, tmp_path / "norm.onnx", [norm.source], [norm.mean, norm.variance], check_model=False)
    values = 3 + np.float32(0.3) * np.random.default_rng(3).standard_normal((1, 4, 1500, 1500), np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "norm.onnx", providers=["CPUExecutionProvider"])
    mean, variance = session.run([norm.mean, norm.variance], {norm.source: values})
    np.testing.assert_allclose(mean.ravel(), values.mean((0, 2, 3), np.float64), rtol=1e-5)
    np.testing.assert_allclose(variance.ravel(), values.var((0, 2, 3), np.float64), rtol=1e-5)


def test_name_rows_credits_and_card_are_in_the_metadata(johnson):
    metadata = johnson[1].metadata
    assert json.loads(metadata["rows"]) == ["style"] and json.loads(metadata["credits"]) == {}
    assert metadata["name"] == "tiny" and metadata["own"] == "style"
    assert json.loads(metadata["card"]) == {"style": "none", "steps": 3}


def darker(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its picture halved."""
    last = next(node for node in graph.graph.node if node.op_type == "Round")
    last.input[0], name = "halved", last.input[0]
    graph.graph.initializer.append(onnx.helper.make_tensor("half", onnx.TensorProto.FLOAT, [], [0.5]))
    place = list(graph.graph.node).index(last)
    graph.graph.node.insert(place, onnx.helper.make_node("Mul", [name, "half"], ["halved"]))
    return graph


def test_a_model_that_draws_something_else_is_not_written(johnson, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_trace", lambda model, opset: None)
    monkeypatch.setattr(onnx_graph, "with_bytes", lambda core: darker(onnx.load(johnson[1].parts[0].path)))
    with pytest.raises(UserError, match=r"differs from PyTorch by \d+/255 on noise of 83x61"):
        export_onnx(johnson[0], tmp_path / "a.onnx", "a")
    assert list(tmp_path.iterdir()) == []


def test_parity_is_tried_on_noise_and_on_pictures_without_much_contrast():
    pictures = dict(onnx_graph.parity_pictures())
    assert {"black", "one color", "two colors", "a gradient"} < set(pictures)
    colors = {kind: len(np.unique(picture.reshape(-1, 3), axis=0)) for kind, picture in pictures.items()}
    assert colors["black"] == colors["one color"] == 1 and colors["two colors"] == 2 and colors["a gradient"] == 128
    assert sum("noise" in kind for kind in pictures) == 3


def test_one_colored_photographs_are_drawn_flat_by_pytorch_and_by_the_model(johnson):
    """Without the weight of flat channels, onnxruntime drew a hatch of up to 155 of 255 on black."""
    base, network = Stylizer("great_wave", threads=1), load_network("base")
    style = torch.from_numpy(base.parts[0].weights)[None]
    for color in ((0, 0, 0), (255, 255, 255), (200, 77, 101)):
        photo = np.full((101, 131, 3), color, np.uint8)
        drawn = base(photo).astype(int)
        with torch.no_grad():
            expected = network(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255, style)[0].clamp(0, 1) * 255
        assert np.ptp(drawn, axis=(0, 1)).max() <= 1
        assert np.abs(drawn - expected.permute(1, 2, 0).numpy()).max() <= 1


def test_style_is_an_ordinary_required_input_and_axes_have_names(johnson):
    model = onnx.load(johnson[1].parts[0].path)
    assert [value.name for value in model.graph.input] == ["image", "style"]
    assert "style" not in {weight.name for weight in model.graph.initializer}
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", "height", "width", 3]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(ValueError, match="style"):
        session.run(None, {"image": np.zeros((1, 16, 16, 3), np.uint8)})


def test_the_readmes_three_lines_print_no_warning(johnson):
    code = f"import onnxruntime; onnxruntime.InferenceSession({str(johnson[1].parts[0].path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Initializer" not in done.stderr


def test_another_opset_is_written_where_it_is_asked_for(tmp_path):
    export_onnx(TransformerNet("johnson", 2).eval(), tmp_path / "a.onnx", "a", opset=18)
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert onnx_graph.opset_of(model) == 18


def test_the_file_is_of_versions_that_onnxruntime_1_17_reads(johnson):
    """Its release notes: ONNX 1.15, which is IR version 9 and opset 20."""
    model = onnx.load(johnson[1].parts[0].path)
    assert model.ir_version <= 9 and onnx_graph.opset_of(model) <= 20
    assert [entry.domain for entry in model.opset_import] == [""]


def test_an_exporter_that_writes_another_opset_than_asked_for_is_told(johnson, tmp_path, monkeypatch):
    network, stylizer = johnson
    monkeypatch.setattr(onnx_graph, "_trace", lambda model, opset: None)
    monkeypatch.setattr(onnx_graph, "with_bytes", lambda core: onnx.load(stylizer.parts[0].model.path))
    with pytest.raises(UserError, match="writes opset 20 instead of 18; choose --opset 20"):
        export_onnx(network, tmp_path / "a.onnx", "a", opset=18)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_onnxruntime_cannot_run_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_trace", lambda model, opset: None)
    monkeypatch.setattr(onnx_graph, "with_bytes", lambda core: onnx.ModelProto())
    with pytest.raises(UserError, match="cannot run the model; upgrade it, or export with a lower --opset"):
        export_onnx(TransformerNet("johnson", 2).eval(), tmp_path / "a.onnx", "a")
    assert list(tmp_path.iterdir()) == []


def test_a_card_that_lists_another_number_of_paintings_gives_no_credits(johnson):
    network = johnson[0]
    assert onnx_graph.credits_of({"style": [{"file": "a.jpg"}]}, network) == {"style": {"title": "a.jpg"}}
    for style in ([{"file": "a.jpg"}] * 2, [], None, "a.jpg", [{"name": "a"}]):
        assert onnx_graph.credits_of({"style": style}, network) == {}


def test_a_run_folder_exports_with_its_card_and_without_credits_of_a_painting_that_the_package_drew(finished_run, tmp_path):
    export_checkpoint(finished_run.folder.path, tmp_path / "out.onnx")
    metadata = Stylizer(tmp_path / "out.onnx").metadata
    card = json.loads(metadata["card"])
    assert card["name"] == "finished"
    assert isinstance(card["style"], str) and json.loads(metadata["credits"]) == {}


def test_the_notes_of_a_card_of_an_earlier_version_get_their_present_name():
    card = {"name": "a", "licence_notes": "as the painting"}
    assert onnx_graph.with_present_names(card) == {"name": "a", "license_notes": "as the painting"}


def test_the_shipped_model_credits_every_painting():
    metadata = Stylizer("great_wave", threads=1).metadata
    credits = json.loads(metadata["credits"])
    assert set(credits) == {row for row in json.loads(metadata["rows"]) if row != "identity" and "@" not in row}
    assert all({"title", "painter", "year"} <= set(credit) for credit in credits.values())


@pytest.mark.parametrize(("name", "message"), [("absent", "no checkpoint at"), ("text.pth", "not a readable weight file")])
def test_what_is_no_checkpoint_is_told_apart(tmp_path, name, message):
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match=message):
        export_checkpoint(tmp_path / name, tmp_path / "out.onnx")


def test_a_state_dict_of_another_network_is_refused(tmp_path):
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds no TransformerNet"):
        export_checkpoint(tmp_path / "other.pth", tmp_path / "out.onnx")


def test_an_onnx_model_ends_in_onnx(tmp_path):
    with pytest.raises(UserError, match="ends in .onnx"):
        export_onnx(TransformerNet("fast", 12), tmp_path / "a.pt", "a")
