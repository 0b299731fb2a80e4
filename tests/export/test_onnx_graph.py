import json
import shutil

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


def test_name_style_and_card_travel_in_the_model(johnson):
    metadata = johnson[1].metadata
    assert metadata["name"] == "tiny" and metadata["style"] == "none"
    assert json.loads(metadata["card"]) == {"style": "none", "steps": 3}


def test_a_model_that_draws_something_else_is_not_written(tmp_path, monkeypatch):
    def brighter(model, path, opset):
        honest(model, path, opset)
        graph = onnx.load(path)
        last = next(node for node in graph.graph.node if node.op_type == "Round")
        graph.graph.node.insert(len(graph.graph.node), last)
        cast = next(node for node in graph.graph.node if last.output[0] in node.input)
        graph.graph.initializer.append(onnx.helper.make_tensor("two", onnx.TensorProto.FLOAT, [], [0.5]))
        graph.graph.node.insert(
            list(graph.graph.node).index(cast), onnx.helper.make_node("Mul", [last.output[0], "two"], ["half"])
        )
        graph.graph.node.pop()
        cast.input[0] = "half"
        onnx.save(graph, path)

    honest = onnx_graph._trace
    monkeypatch.setattr(onnx_graph, "_trace", brighter)
    with pytest.raises(UserError, match=r"differs from PyTorch by \d+/255"):
        export_onnx(TransformerNet("fast", 12).eval(), tmp_path / "a.onnx", "a")
    assert list(tmp_path.iterdir()) == []


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
    monkeypatch.setattr(onnx_graph, "_trace", lambda model, path, opset: shutil.copyfile(stylizer.parts[0].model.path, path))
    with pytest.raises(UserError, match="writes opset 20 instead of 18; choose --opset 20"):
        export_onnx(network, tmp_path / "a.onnx", "a", opset=18)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_onnxruntime_cannot_run_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_trace", lambda model, path, opset: path.write_text("no model"))
    with pytest.raises(UserError, match="cannot run the model; upgrade it, or export with a lower --opset"):
        export_onnx(TransformerNet("johnson", 2).eval(), tmp_path / "a.onnx", "a")
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_exports_with_its_card(finished_run, tmp_path):
    export_checkpoint(finished_run.folder.path, tmp_path / "out.onnx")
    assert json.loads(Stylizer(tmp_path / "out.onnx").metadata["card"])["name"] == "finished"


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
