"""Mutated files of every kind that we read: a right value or one sentence, and no crash, hang or flood of memory.

``pytest tests/test_fuzz.py --fuzz 100000`` tries so many; tests/fuzzing.py has the damages and the readers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.weights import save_network

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
