import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from fast_nst.errors import UserError
from fast_nst.export.onnx_graph import export_onnx
from fast_nst.inference import feature_files, tiling
from fast_nst.inference.model import Model
from fast_nst.inference.stages import stages_of
from fast_nst.inference.tiling import Moments, spans, statistics, tiled
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.system.files import SHIPPED

SIZES = [(16, 16), (17, 131), (97, 50), (66, 129)]  # odd ones too, and remainders of all kinds modulo 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The base that ships, of preset fast, and a small johnson with norms that are not all alike."""
    torch.manual_seed(1)
    network = TransformerNet("johnson", 4, ["a", "identity", "b"]).eval()
    with torch.no_grad():
        for table in network.style_parameters().values():
            table += 0.3 * torch.randn_like(table)
    path = tmp_path_factory.mktemp("tiles") / "johnson.onnx"
    export_onnx(network, path, "a")
    return {"fast": Model(SHIPPED / "base.onnx", 1), "johnson": Model(path, 1)}


@pytest.fixture
def side_of_16(monkeypatch):
    monkeypatch.setattr(tiling, "SIDES", (16,))


def photo(height: int, width: int) -> np.ndarray:
    return skimage.data.astronaut()[:height, 100 : 100 + width]


def mixture(model: Model, seed: int) -> np.ndarray:
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(model.rows)))
    return weights.astype(np.float32)


def apart(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape and one.dtype == other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("preset", ["fast", "johnson"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [16, 48])
def test_tiles_make_the_picture_that_the_model_draws_whole(models, preset, size, side, monkeypatch):
    monkeypatch.setattr(tiling, "SIDES", (side,))
    model, pixels = models[preset], photo(*size)
    for seed in (0, 1):
        weights = mixture(model, seed)
        assert apart(tiled(model, pixels, weights), model(pixels[None], weights)[0]) <= 2


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_tiles_fit_at_every_size_and_in_every_mixture(models, monkeypatch, data):
    monkeypatch.setattr(tiling, "SIDES", (data.draw(st.sampled_from([16, 32, 64])),))
    model = models[data.draw(st.sampled_from(["fast", "johnson"]))]
    sides = st.integers(16, 100)
    size, seed = (data.draw(sides), data.draw(sides)), data.draw(st.integers(0, 99))
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    weights = mixture(model, seed)
    assert apart(tiled(model, pixels, weights), model(pixels[None], weights)[0]) <= 2


@pytest.mark.parametrize("preset", ["fast", "johnson"])
def test_halves_drawn_alone_would_not_fit(models, preset):
    model, pixels = models[preset], photo(96, 96)
    weights = mixture(model, 0)
    halves = np.concatenate([model(half[None], weights)[0] for half in (pixels[:48], pixels[48:])])
    assert apart(halves, model(pixels[None], weights)[0]) > 20


def test_exaggerated_styles_fit_and_strength_0_is_the_photograph(models, side_of_16):
    model, pixels = models["fast"], photo(61, 83)
    for style in model.rows[1:4]:
        weights = model.weights({style: 1.0}, 1.5)
        assert apart(tiled(model, pixels, weights), model(pixels[None], weights)[0]) <= 2
    np.testing.assert_array_equal(tiled(model, pixels, model.weights(strength=0.0)), pixels)


def test_statistics_are_those_of_the_whole_picture(models, side_of_16):
    model, pixels = models["johnson"], photo(61, 83)
    graph = onnx.load(model.path)
    norms = [norm for stage in stages_of(graph) for norm, _ in stage.norms]
    graph.graph.output.extend(helper.make_tensor_value_info(norm.source, TensorProto.FLOAT, None) for norm in norms)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    weights = mixture(model, 3)
    seen = statistics(model, pixels, weights)
    tensors = session.run([norm.source for norm in norms], {"image": pixels[None], "style": weights})
    assert len(norms) == 15
    for norm, tensor in zip(norms, tensors, strict=True):
        spread = tensor.std((2, 3), dtype=np.float64)[0]
        away = np.abs(seen[norm.mean].ravel() - tensor.mean((2, 3), dtype=np.float64)[0])
        assert (away < 2e-3 * spread).all()
        np.testing.assert_allclose(seen[norm.variance].ravel(), spread**2, rtol=5e-3)


def test_threads_do_not_change_the_picture(models, side_of_16):
    pixels, weights = photo(50, 70), mixture(models["fast"], 0)
    many = Model(models["fast"].path, 3)
    np.testing.assert_array_equal(tiled(many, pixels, weights), tiled(models["fast"], pixels, weights))


@given(st.integers(16, 3000), st.sampled_from([16, 48, 320]), st.sampled_from([1, 2, 4, 8]), st.integers(0, 20))
def test_spans_cover_every_pixel_once_with_what_is_around_them(extent, side, unit, reach):
    found = spans(extent, side, unit, reach)
    assert [span.start for span in found] + [extent] == [0] + [span.stop for span in found]
    for span in found:
        assert 0 < span.stop - span.start <= side
        assert span.start % unit == span.low % unit == 0
        assert span.low <= max(0, span.start - reach) and span.high >= min(extent, span.stop + reach)


def test_moments_of_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(1000, 0.1, (3, 1000))
    moments = Moments()
    for part in np.split(values, [1, 10, 400], axis=1):
        moments.add(part.shape[1], part.mean(1), part.var(1))
    np.testing.assert_allclose(moments.mean, values.mean(1), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, values.var(1), rtol=1e-9)


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_no_temporary_file_has_a_name_or_stays(models, side_of_16, scratch, monkeypatch):
    seen = []

    def failing(self, name, rows):
        seen.append(list(scratch.iterdir()))
        if len(seen) > 20:
            raise KeyboardInterrupt
        return honest(self, name, rows)

    honest = feature_files.LayerFiles.append
    monkeypatch.setattr(feature_files.LayerFiles, "append", failing)
    with pytest.raises(KeyboardInterrupt):
        tiled(models["fast"], photo(64, 64), mixture(models["fast"], 0))
    if sys.platform == "linux":
        assert len(seen) == 21 and not any(seen)
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_is_one_sentence(models, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    with pytest.raises(UserError, match=r"needs .* GB of temporary files.*TMPDIR") as caught:
        tiled(models["fast"], photo(64, 64), mixture(models["fast"], 0))
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_too_small_is_told_before_the_work(models, monkeypatch):
    usage = feature_files.shutil.disk_usage("/")
    monkeypatch.setattr(feature_files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    monkeypatch.setattr(tiling._Drawing, "draw", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(UserError, match="set TMPDIR to a folder with more room"):
        tiled(models["fast"], photo(64, 64), mixture(models["fast"], 0))


def test_little_memory_makes_small_tiles_and_too_little_is_told(models, monkeypatch):
    sides = []

    def recorded(extent, side, unit, reach):
        sides.append(side)
        return spans(extent, side, unit, reach)

    monkeypatch.setattr(tiling, "spans", recorded)
    model, pixels = models["fast"], photo(100, 100)
    weights = mixture(model, 0)
    expected = model(pixels[None], weights)[0]
    for memory in (10**9, 10**6):
        assert apart(tiled(model, pixels, weights, memory), expected) <= 2
    assert max(sides) == tiling.SIDES[0] and min(sides) < 100
    with pytest.raises(UserError, match="allow more"):
        tiled(model, pixels, weights, 10_000)


def test_a_model_without_norms_is_refused(negative):
    with pytest.raises(UserError, match="no instance norms"):
        tiled(negative.parts[0].model, photo(32, 32), np.ones(1, np.float32))


@pytest.mark.parametrize("kind", ["InstanceNormalization", "GlobalAveragePool", "ReduceMax"])
def test_another_look_at_the_whole_picture_is_refused(models, kind):
    graph = onnx.load(models["fast"].path)
    first = next(node for node in graph.graph.node if node.op_type == "Relu")
    ones = [helper.make_tensor("ones", TensorProto.FLOAT, [16], [1.0] * 16)]
    graph.graph.initializer.extend(ones if kind == "InstanceNormalization" else [])
    inputs = [first.input[0], *["ones"] * (2 * (kind == "InstanceNormalization"))]
    place = list(graph.graph.node).index(first)
    graph.graph.node.insert(place, helper.make_node(kind, inputs, ["seen"]))
    graph.graph.node[place + 1].input[0] = "seen"
    with pytest.raises(UserError, match=f"operator {kind} may need the whole picture"):
        stages_of(graph)


def test_progress_goes_to_standard_error(models, side_of_16, capsys):
    tiled(models["fast"], photo(32, 32), mixture(models["fast"], 0))
    printed = capsys.readouterr()
    assert printed.out == "" and "strip" in printed.err


def test_tiles_need_no_torch():
    code = "import fast_nst.inference.tiling, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
