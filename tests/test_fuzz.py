"""Any settings, sizes and modes, by properties; and mutated files of every kind that we read: a right value or one sentence.

No mutated file may crash, hang or flood the memory.

``pytest tests/test_fuzz.py --fuzz 100000`` tries so many; tests/fuzzing.py has the damages and the readers.
"""

from __future__ import annotations

import io
import json
import string
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.cli.main import arguments_for, parser_of
from fast_nst.errors import UserError
from fast_nst.imaging.frames import read_picture
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.networks.weights import save_network
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.stylize.library import parse_blend, shipped_styles
from fast_nst.stylize.stylizer import Stylizer

SHARES = {"picture": 0.4, "checkpoint": 0.2, "onnx": 0.2, "config": 0.2}
MOST_MEGABYTES = 1500


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Folders of small sound files, one for each kind."""
    folder = tmp_path_factory.mktemp("fuzz")
    for kind in SHARES:
        (folder / kind).mkdir()
    _pictures(folder / "picture")
    _checkpoints(folder / "checkpoint")
    _models(folder / "onnx")
    _configs(folder / "config")
    return folder


def _pictures(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((5, 6)).resize((20, 24))
    colours, exif = smooth.convert("RGB"), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    colours.save(folder / "a.jpg", exif=exif)
    colours.save(folder / "b.jpg", progressive=True)
    smooth.save(folder / "a.png")
    colours.convert("P").save(folder / "b.png")
    Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20)).save(folder / "c.png")
    smooth.save(folder / "a.webp", lossless=True)
    colours.save(folder / "b.webp")
    colours.save(folder / "a.tif", compression="tiff_lzw")
    colours.save(folder / "b.tif", compression="jpeg")
    colours.save(folder / "a.bmp")
    colours.save(folder / "a.ppm")
    for name in ("a.gif", "c.webp", "d.png"):
        colours.save(folder / name, save_all=True, append_images=[colours.rotate(90), colours.rotate(180)], duration=50)


def _checkpoints(folder: Path) -> None:
    torch.manual_seed(0)
    network = TransformerNet("fast", 12, ["identity", "ink"])
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    content = {"network": network.config, "state_dict": state, "global_step": 3}
    torch.save(content, folder / "a.ckpt")
    torch.save(content, folder / "a.pth", _use_new_zipfile_serialization=False)
    save_network(network, folder / "a.safetensors")


def _models(folder: Path) -> None:
    """A network in little: to float and NCHW, padding, convolution, norm, resizing, and back."""
    numbers, kind = np.random.default_rng(0), TensorProto.FLOAT
    made = [
        ("Cast", ["image"], "float", {"to": kind}),
        ("Transpose", ["float"], "nchw", {"perm": [0, 3, 1, 2]}),
        ("Pad", ["nchw", "pads"], "padded", {"mode": "reflect"}),
        ("Conv", ["padded", "kernel"], "conv", {"kernel_shape": [3, 3], "strides": [1, 1]}),
        ("ReduceMean", ["conv", "axes"], "mean", {}),
        ("Sub", ["conv", "mean"], "centred", {}),
        ("MatMul", ["style", "table"], "scale", {}),
        ("Reshape", ["scale", "shape"], "scales", {}),
        ("Mul", ["centred", "scales"], "scaled", {}),
        ("Resize", ["scaled", "", "scales2"], "large", {"mode": "linear"}),
        ("Slice", ["large", "starts", "ends", "axes"], "cut", {"name": ""}),
        ("Add", ["cut", "mean"], "sum", {}),
        ("Transpose", ["sum"], "nhwc", {"perm": [0, 2, 3, 1]}),
        ("Clip", ["nhwc", "low", "high"], "clipped", {}),
        ("Cast", ["clipped"], "picture", {"to": TensorProto.UINT8}),
    ]
    nodes = [
        helper.make_node(op, inputs, [out], **{k: v for k, v in rest.items() if k != "name"})
        for op, inputs, out, rest in made
    ]
    values = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "kernel": numbers.normal(size=(3, 3, 3, 3)).astype(np.float32),
        "axes": np.array([2, 3], np.int64),
        "table": np.ones((2, 3), np.float32),
        "shape": np.array([1, 3, 1, 1], np.int64),
        "scales2": np.array([1, 1, 1, 1], np.float32),
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([2**62, 2**62], np.int64),
        "low": np.float32(0),
        "high": np.float32(255),
        "style": np.array([1, 0], np.float32),
    }
    pictures = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["b", "h", "w", 3]) for name in ("image", "picture")]
    graph = helper.make_graph(
        nodes,
        "small",
        [pictures[0], helper.make_tensor_value_info("style", kind, [2])],
        [pictures[1]],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {"rows": '["identity", "ink"]', "own": "ink", "card": '{"style": {"file": "ink.jpg"}}'})
    onnx.save(model, folder / "a.onnx")


def _configs(folder: Path) -> None:
    values = {
        "style": "painting.jpg",
        "data": ["one", "two"],
        "name": "mine",
        "finetune": "norm",
        "width": 24,
        "loss": {"style_weight": 12.5, "content_layers": ["relu2_2"], "normalize": True},
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 5},
        "steps": 100,
        "resume": False,
        "trainer": {"accelerator": "gpu", "devices": [0, 1]},
    }
    (folder / "a.yaml").write_text(yaml.safe_dump(values))
    (folder / "b.yaml").write_text('# a config by hand\nloss: &a {style_weight: 3}\nsteps: 0x10\nname: "a b"\n')


@pytest.mark.parametrize("kind", SHARES)
def test_a_damaged_file_is_read_rightly_or_refused_in_one_line(kind, corpus, pytestconfig):
    count = round(pytestconfig.getoption("--fuzz") * SHARES[kind])
    command = [sys.executable, Path(__file__).with_name("fuzzing.py"), kind, "0", str(count), corpus]
    child = subprocess.run(command, capture_output=True, text=True)
    number = (corpus / f"{kind}.now").read_text() if (corpus / f"{kind}.now").exists() else "none"
    assert child.returncode == 0, f"{kind} number {number}, exit code {child.returncode}: {child.stderr[-3000:]}"
    found = json.loads(child.stdout.splitlines()[-1])
    assert found.get("read", 0) + found.get("refused", 0) == count
    assert found["refused"] > count / 10, "the damages are too small to say anything"
    assert found["megabytes"] < MOST_MEGABYTES


NAMES = st.text(st.sampled_from(string.ascii_letters + string.digits + "_- éß夜"), min_size=1, max_size=12).filter(
    lambda name: name == name.strip()
)
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.floats(1e-3, 1e6), min_size=1, max_size=5))
def test_a_blend_is_read_as_the_shares_that_were_written(weights):
    blend = parse_blend(",".join(f"{name}:{weight!r}" for name, weight in weights.items()))
    total = sum(weights.values())
    assert blend == pytest.approx({name: weight / total for name, weight in weights.items()})
    assert sum(blend.values()) == pytest.approx(1)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("abc:,.0123456789- \0/", max_size=30)))
def test_any_text_for_a_style_is_a_blend_or_one_sentence(text):
    try:
        blend = parse_blend(text)
    except UserError as error:
        assert "needs" in str(error) or "are all zero" in str(error)
    else:
        assert blend and all(0 < share <= 1 for share in blend.values()) and sum(blend.values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def small(corpus) -> Stylizer:
    return Stylizer(corpus / "onnx" / "a.onnx", threads=1)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), mode=st.sampled_from(MODES))
def test_a_picture_of_any_size_and_mode_comes_back_in_its_size(small, width, height, mode):
    photo = Image.new(mode, (width, height), 1 if mode in ("I", "F", "I;16") else None)
    if min(width, height) < 16:
        with pytest.raises(UserError, match="at least 16x16 pixels"):
            small(photo)
        return
    picture = small(photo)
    assert picture.size == (width, height) and picture.mode == ("RGBA" if photo.has_transparency_data else "RGB")
    np.testing.assert_array_equal(np.asarray(small(photo)), np.asarray(picture))


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    mode=st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "I;16"]),
    turn=st.integers(0, 9),
)
def test_a_png_of_any_size_mode_and_orientation_is_read_as_pillow_reads_it(size, mode, turn):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turn
    Image.new(mode, size).save(file, "PNG", exif=exif)
    (frame,) = read_picture(file.getvalue()).frames
    assert frame.pixels.shape == (*(size if 5 <= turn <= 8 else size[::-1]), 3)
    assert (frame.alpha is not None) == mode.endswith("A")


def numbers_of(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


LOSSES = st.builds(
    LossSettings,
    content_weight=numbers_of(1e-9, 1e15),
    style_weight=numbers_of(0, 1e15),
    tv_weight=numbers_of(0, 1e15),
    content_layers=st.lists(NAMES, max_size=3),
    style_layer_weights=st.lists(numbers_of(1e-9, 10), max_size=3),
    normalize=st.booleans(),
    pooling=st.sampled_from(["max", "average"]),
)
OPTIMIZERS = st.builds(
    OptimizerSettings,
    learning_rate=numbers_of(1e-8, 1),
    warmup_steps=st.integers(0, 10**9),
    style_ramp=st.none() | numbers_of(0, 1),
    average=numbers_of(0, 0.999),
)
TRAININGS = st.builds(
    TrainSettings,
    style=st.none() | NAMES | st.lists(NAMES, min_size=1, max_size=3),
    name=st.none() | NAMES,
    finetune=st.sampled_from(["all", "norm", "strong"]),
    width=st.none() | st.integers(1, 512),
    loss=LOSSES,
    optimizer=OPTIMIZERS,
    image_size=st.integers(32, 4096),
    steps=st.none() | st.integers(1, 10**9),
    resume=st.booleans(),
    trainer=st.dictionaries(st.sampled_from(["accelerator", "precision"]), st.sampled_from(["cpu", "16-mixed"])),
)


@settings(max_examples=50, deadline=None)
@given(TRAININGS)
def test_settings_written_as_yaml_are_read_as_they_were(tmp_path_factory, wanted):
    values = asdict(wanted)
    assume(not any(_is_plain_number(value) for value in _texts(values)))
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    found = arguments_for(parser_of("train"), ["--config", str(path)])["settings"]
    for field in fields(TrainSettings):
        assert getattr(found, field.name) == getattr(wanted, field.name), field.name


def _texts(value: object) -> list[str]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value] if isinstance(value, str) else [text for part in parts for text in _texts(part)]


def _is_plain_number(text: str) -> bool:
    """Whether YAML takes ``text`` for something else than text, as a flag would be taken."""
    return not isinstance(yaml.safe_load(text), str) or not set(text) - set(string.digits + "_-eE")


def test_every_shipped_style_can_be_written_as_a_blend():
    for name in shipped_styles():
        assert parse_blend(f"{name}:2") == {name: 1.0}
