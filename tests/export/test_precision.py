import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.export import report
from fast_nst.export import run as export_run
from fast_nst.export.interface import with_floats, with_size
from fast_nst.export.onnx_graph import export_onnx, parity_pictures
from fast_nst.export.precision import to_float16, to_int8
from fast_nst.export.run import export_model
from fast_nst.imaging.images import save_image
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference import tiling
from fast_nst.inference.measuring import psnr
from fast_nst.inference.model import Model
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.export import ExportSettings

LIKENESS = {"fp16": 50, "int8": 30}  # dB to fp32


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small network at every precision, by its name."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = TransformerNet("fast", 12, ["identity", "glass", "ink"]).eval()
    with torch.no_grad():
        network.net.out.gate[1], network.net.out.shift[1] = 0.4, 0.1
    export_onnx(network, folder / "fp32.onnx", "glass", {"steps": 3})
    full, samples = onnx.load(folder / "fp32.onnx"), Model(folder / "fp32.onnx", 1)
    rows = [samples.weights({row: 1.0}) for row in ("glass", "ink")]
    onnx.save(to_float16(full), folder / "fp16.onnx")
    onnx.save(to_int8(full, [(draw_scene(96, 96, seed)[None], rows[seed % 2]) for seed in range(6)]), folder / "int8.onnx")
    return {name: folder / f"{name}.onnx" for name in ("fp32", "fp16", "int8")}


@pytest.fixture(params=["fp16", "int8"])
def name(request):
    return request.param


def test_the_model_is_valid_and_keeps_what_it_says_of_itself(models, name):
    onnx.checker.check_model(onnx.load(models[name]), full_check=True)
    assert onnx.load(models[name]).ir_version <= 9  # the last that onnxruntime 1.17 reads
    model, full = Model(models[name], 1), Model(models["fp32"], 1)
    assert model.rows == ["identity", "glass", "ink"] and model.own == "glass"
    assert json.loads(model.metadata["card"]) == {"steps": 3}
    assert model.metadata == full.metadata | {"precision": name}


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 20), (129, 66)])
def test_any_size_is_drawn_as_in_fp32_alone_and_in_batches(models, name, size):
    model, full = Model(models[name], 1), Model(models["fp32"], 1)
    batch = np.stack([draw_scene(*size, seed) for seed in range(3)])
    together, right = model(batch, model.weights()), full(batch, model.weights())
    assert psnr(together, right) >= LIKENESS[name]
    assert psnr(together, np.concatenate([model(one[None], model.weights()) for one in batch])) >= report.SAME


@pytest.mark.parametrize("row", ["glass", "ink"])
@pytest.mark.parametrize("strength", [0.4, 1.5])
def test_every_row_is_drawn_at_every_strength(models, name, row, strength):
    model, full = Model(models[name], 1), Model(models["fp32"], 1)
    picture, weights = draw_scene(80, 100, 9)[None], full.weights({row: 1.0}, strength)
    assert psnr(model(picture, weights), full(picture, weights)) >= LIKENESS[name]


def test_strength_0_is_the_photograph_exactly(models, name):
    model = Model(models[name], 1)
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    np.testing.assert_array_equal(model(values, model.weights(strength=0)), values)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_flat_two_colored_and_gradient_pictures_are_drawn_as_in_fp32(models, precision):
    """A gradient has channels of nearly one value, of which float16 and 8 bits keep few digits."""
    model, full = Model(models[precision], 1), Model(models["fp32"], 1)
    weights = full.weights({"ink": 1.0})
    for kind, picture in parity_pictures():
        least = LIKENESS.get(precision, 99) if kind != "a gradient" or precision == "fp32" else 20
        assert psnr(model(picture, weights), full(picture, weights)) >= least, kind


def kinds_of(model):
    graph = shape_inference.infer_shapes(model).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    return kinds | {weight.name: weight.data_type for weight in graph.initializer}


def test_fp16_convolves_in_float16_and_takes_statistics_in_float32(models):
    model = onnx.load(models["fp16"])
    kinds = kinds_of(model)
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert {kinds[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}
        if node.op_type in ("ReduceMean", "Pow", "Sqrt", "Reciprocal"):
            assert kinds[node.input[0]] == kinds[node.output[0]] == TensorProto.FLOAT


def test_fp16_casts_a_value_once_and_none_there_and_back(models):
    casts = [node for node in onnx.load(models["fp16"]).graph.node if node.op_type == "Cast" and node.name.endswith("_cast")]
    made = {node.output[0] for node in casts}
    assert len(made) == len(casts) > 0
    assert not any(node.input[0] in made for node in casts)


def test_squares_above_the_range_of_float16_do_not_overflow():
    """sqrt(mean((4 x)^2)) / 4 of values about 200, whose squares times 16 are 640,000."""
    shape, make = ["b", "h", "w", 3], helper.make_node
    nodes = [
        make("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        make("Mul", ["x", "four"], ["scaled"]),
        make("Pow", ["scaled", "two"], ["square"]),
        make("ReduceMean", ["square"], ["mean"], keepdims=1),
        make("Sqrt", ["mean"], ["root"]),
        make("Div", ["root", "four"], ["level"]),
        make("Expand", ["level", "size"], ["wide"]),
        make("Cast", ["wide"], ["picture"], to=TensorProto.UINT8),
        make("Shape", ["image"], ["size"]),
    ]
    nodes.insert(6, nodes.pop())
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name in ("image", "picture")]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("four", 4.0), ("two", 2.0))]
    graph = helper.make_graph(nodes, "level", values[:1], values[1:], weights)
    model = to_float16(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    onnx.checker.check_model(model, full_check=True)
    pixels = np.array([196, 204] * 6, np.uint8).reshape(1, 2, 2, 3)
    (found,) = ReferenceEvaluator(model).run(None, {"image": pixels})  # onnxruntime's CPU would leave the casts out
    assert (found == 200).all()  # sqrt((196^2 + 204^2) / 2) = 200.04


def test_int8_quantizes_the_weights_of_all_but_two_convolutions_by_channel_in_7_bits(models):
    graph = onnx.load(models["int8"]).graph
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    kept = [place for place, node in enumerate(convolutions) if node.input[1] in weights]
    assert kept == [0, len(convolutions) - 1]
    for node in convolutions[1:-1]:
        whole, scales = (weights[name] for name in makers[node.input[1]].input[:2])
        assert whole.dtype == np.int8 and np.abs(whole.astype(int)).max() <= 64
        assert scales.shape == whole.shape[:1]


@pytest.fixture
def exported(models, monkeypatch, tmp_path):
    """Export the small network to a file, without tracing it again."""
    monkeypatch.setattr(export_run, "_trace", lambda settings, output: shutil.copyfile(models["fp32"], output))
    monkeypatch.setattr(report, "LONG_SIDE", 96)
    monkeypatch.setattr(report, "TIMED_SIDE", 64)

    def export(name, **values):
        return export_model(ExportSettings("base", str(tmp_path / "out" / f"{name}.onnx"), precision=name, **values))

    return export


def test_a_report_tells_size_speed_and_difference_from_fp32(exported, name, tmp_path, models):
    found = exported(name)
    written = tmp_path / "out" / f"{name}.onnx"
    assert json.loads(written.with_suffix(".report.json").read_text()) == vars(found)
    assert (found.precision, found.opset, found.bytes) == (name, 20, written.stat().st_size)
    assert found.milliseconds > 0 and found.milliseconds_fp32 > 0
    assert LIKENESS[name] < found.psnr_worst <= found.psnr
    assert found.compared_on == "8 scenes drawn by fast_nst"
    assert found.calibrated_on == ("32 scenes drawn by fast_nst" if name == "int8" else "")
    assert Model(written, 1).metadata["precision"] == name


def test_fp32_is_written_as_it_is_and_compared_with_nothing(exported, tmp_path, models):
    found = exported("fp32")
    assert (tmp_path / "out" / "fp32.onnx").read_bytes() == models["fp32"].read_bytes()
    assert found.psnr is None and found.compared_on == found.calibrated_on == ""


def test_the_reported_difference_is_that_of_the_pictures_held_out(exported, tmp_path, photos, models):
    written = exported("int8", data=str(photos))
    assert (written.calibrated_on, written.compared_on) == ("2 photographs", "1 photographs")
    pictures = report.find_pictures("int8", str(photos))
    model, full = Model(tmp_path / "out" / "int8.onnx", 1), Model(models["fp32"], 1)
    weights = full.weights({"glass": 1.0})
    found, right = (one(pictures.held_out[0][None], weights).astype(int) for one in (model, full))
    assert written.largest_difference == pytest.approx(np.abs(found - right).max(), abs=2)
    assert written.psnr == written.psnr_worst == pytest.approx(psnr(found, right), abs=0.5)


def test_a_model_too_unlike_fp32_is_written_only_by_force(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(export_run, "MIN_PSNR", 90.0)
    with pytest.raises(UserError, match=r"int8 is \d+\.\d dB from fp32 on 8 scenes .* under 90 dB; .*--force"):
        exported("int8")
    assert not (tmp_path / "out").exists()
    assert exported("int8", force=True).psnr < 90
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"int8.onnx", "int8.report.json"}


def test_a_model_that_draws_batches_otherwise_is_not_written(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "SAME", float("inf"))
    monkeypatch.setattr(report, "psnr", lambda *_: 40.0)
    with pytest.raises(UserError, match="otherwise in a batch"):
        exported("fp16")
    assert not (tmp_path / "out").exists()


def test_damaged_and_tiny_photographs_are_left_out(photos, tmp_path):
    for path in photos.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "damaged.jpg").write_text("no picture")
    save_image(draw_scene(20, 20), tmp_path / "tiny.png")
    found = report.find_pictures("int8", str(tmp_path))
    assert (len(found.calibration), len(found.held_out)) == (2, 1)


@pytest.mark.parametrize(
    ("kept", "message"), [(0, "no pictures in"), (1, "--data has 1 photographs of 64x64 pixels or more; add some")]
)
def test_too_few_photographs_are_one_line(photos, tmp_path, kept, message):
    for path in sorted(photos.iterdir())[:kept]:
        shutil.copy(path, tmp_path)
    with pytest.raises(UserError, match=message):
        report.find_pictures("int8", str(tmp_path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"opset": 17}, "opset needs to be between 18 and 25, got 17"),
        ({"opset": 26}, "opset needs to be between 18 and 25, got 26"),
        ({"output": "a.pt"}, "ends in .onnx"),
        ({"size": "512"}, "size needs to be WIDTHxHEIGHT, as 512x384, got 512"),
        ({"size": "15x20"}, "a side of size needs to be between 16 and 8192, got 15"),
        ({"output": "a.safetensors", "precision": "int8"}, "holds float16 weights"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(values, message):
    with pytest.raises(UserError, match=message):
        ExportSettings(**{"checkpoint": "base", "output": "a.onnx"} | values)


def test_the_command_prints_the_file_and_its_report(exported, capsys, tmp_path):
    main(["export", "base", "--output", str(tmp_path / "a.onnx"), "--precision", "fp16"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(tmp_path / "a.onnx")
    assert lines[1].split() == ["precision", "fp16,", "opset", "20"]
    assert "dB" in lines[4] and "8 scenes drawn by fast_nst" in lines[4]


def test_weights_alone_are_written_without_a_report(tmp_path):
    main(["export", "base", "--output", str(tmp_path / "a.safetensors")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("size", [(64, 64), (97, 50)])
def test_tiles_make_the_picture_that_it_draws_whole(models, name, size, monkeypatch):
    """fp16 draws its tiles in float32; in int8 a value on the edge of two levels may take the other one."""
    monkeypatch.setattr(tiling, "SIDES", (32,))
    model, scene = Model(models[name], 1), draw_scene(*size)
    for row in ("glass", "ink"):
        weights = model.weights({row: 1.0})
        assert psnr(tiling.tiled(model, scene, weights), model(scene[None], weights)[0]) > {"fp16": 50, "int8": 35}[name]


@pytest.fixture(params=["fp32", "fp16", "int8"])
def any_precision(request):
    return request.param


def run_floats(model, picture, weights):
    """The picture of a model of float32 pixels, scaled to [0, 255], from uint8 RGB (1, H, W, 3)."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    photo = picture.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return session.run(None, {"image": photo, "style": weights})[0].transpose(0, 2, 3, 1) * 255


@pytest.mark.parametrize("size", [(16, 16), (50, 39)])
def test_a_model_of_float32_pixels_draws_the_same_picture(models, any_precision, size):
    model, full = onnx.load(models[any_precision]), Model(models[any_precision], 1)
    picture, weights = draw_scene(*size)[None], full.weights({"ink": 1.0})
    floats = with_floats(model)
    onnx.checker.check_model(floats, full_check=True)
    assert {value.type.tensor_type.elem_type for value in (*floats.graph.input, *floats.graph.output)} == {TensorProto.FLOAT}
    assert not any(weight.data_type == TensorProto.UINT8 and weight.name == "largest" for weight in floats.graph.initializer)
    rounding = 0.8 if any_precision == "fp16" else 0.51  # of a float to a byte; float16 has steps of 0.125 near 255
    assert np.abs(run_floats(floats, picture, weights) - full(picture, weights)).max() <= rounding


@pytest.mark.parametrize("size", [(48, 32), (39, 50)])
def test_a_model_of_one_size_has_no_shapes_to_compute_and_draws_the_same_picture(models, any_precision, size, tmp_path):
    model, full = onnx.load(models[any_precision]), Model(models[any_precision], 1)
    fixed = with_size(model, *size)
    onnx.checker.check_model(fixed, full_check=True)
    assert not {"Shape", "Mod", "Gather"} & {node.op_type for node in fixed.graph.node}
    axes = [
        [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (fixed.graph.input[0], *fixed.graph.output)
    ]
    assert axes == [[1, size[1], size[0], 3]] * 2
    onnx.save(fixed, tmp_path / "fixed.onnx")
    picture, weights = draw_scene(size[1], size[0])[None], full.weights({"ink": 1.0})
    single = Model(tmp_path / "fixed.onnx", 1)
    assert np.abs(single(picture, weights).astype(int) - full(picture, weights)).max() <= 1
    with pytest.raises(UserError, match=rf"draws 1 picture of {size[0]}x{size[1]} at a time, got 1 of 64x64; .*--size"):
        single(draw_scene(64, 64)[None], weights)
    with pytest.raises(UserError, match="--tile never"):
        tiling.tiled(single, picture[0], weights)


def test_the_export_of_float32_pixels_at_one_size_is_described_beside_it(exported, tmp_path):
    exported("fp16", pixels="float32", size="48x32", describe=True)
    found = json.loads((tmp_path / "out" / "fp16.json").read_text())
    shape = {"type": "float32", "shape": [1, 3, 32, 48]}
    assert found["inputs"] == {"image": shape, "style": {"type": "float32", "shape": [3]}}
    assert found["outputs"] == {"picture": shape}
    assert (found["name"], found["own"], found["precision"]) == ("glass", "glass", "fp16")
    assert found["rows"] == ["identity", "glass", "ink"] and found["credits"] == {}
    with pytest.raises(UserError, match="takes float32 pixels, for other runtimes; export it with --pixels uint8"):
        Model(tmp_path / "out" / "fp16.onnx", 1)


def test_nothing_that_exists_is_replaced_unasked(exported, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fp32.report.json").write_text("mine")
    with pytest.raises(UserError, match=r"fp32.report.json exists; .*--overwrite"):
        exported("fp32")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fp32.report.json"]
    exported("fp32", overwrite=True)
    assert json.loads((tmp_path / "out" / "fp32.report.json").read_text())["precision"] == "fp32"


def test_a_wrong_path_is_told_before_pytorch_is_imported(tmp_path):
    code = (
        "import sys\nfrom fast_nst.cli.main import main\n"
        f"try: main(['export', {str(tmp_path / 'absent')!r}, '--output', {str(tmp_path / 'a.onnx')!r}])\n"
        "except SystemExit as stop: assert stop.code == 2 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no checkpoint at" in done.stderr
