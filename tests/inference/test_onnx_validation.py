import os
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fast_nst.errors import UserError
from fast_nst.inference.model import Model
from fast_nst.inference.onnx_validation import read_model


def with_nodes(negative, nodes, weights, path: Path) -> Path:
    """The model of 255 - x with more nodes in front, as a file."""
    model = onnx.load(negative.parts[0].model.path)
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
    model.graph.initializer.extend(weights)
    onnx.save(model, path)
    return path


def number(name: str, *values: float, kind: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.array(values, kind), name)


def doubled(kind: str, inputs: list[str], **attributes) -> list[onnx.NodeProto]:
    """A thousand values of ones, doubled twenty times: 8 GB."""
    names = ["ones", *(f"double{step}" for step in range(20))]
    return [
        helper.make_node(kind, [one, one, *inputs], [two], **attributes) for one, two in zip(names, names[1:], strict=False)
    ]


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        (doubled("Concat", [], axis=0), [number("ones", *np.ones(1000))]),
        (
            [helper.make_node("Constant", [], ["ones"], value=number("", *np.ones(1000))), *doubled("Concat", [], axis=0)],
            [],
        ),
        (
            [helper.make_node("MatMul", ["column", "row"], ["product"])],
            [
                numpy_helper.from_array(np.ones(shape, np.float32), name)
                for name, shape in (("column", (9000, 1)), ("row", (1, 9000)))
            ],
        ),
        (
            [helper.make_node("Add", ["column", "row"], ["sum"])],
            [
                numpy_helper.from_array(np.ones(shape, np.float32), name)
                for name, shape in (("column", (9000, 1)), ("row", (1, 9000)))
            ],
        ),
        (
            [helper.make_node("Gather", ["ones", "places"], ["rows"])],
            [
                numpy_helper.from_array(np.ones((1, 10**4), np.float32), "ones"),
                number("places", *np.zeros(10**4), kind=np.int64),
            ],
        ),
    ],
    ids=["concat", "concat of a constant node", "outer product", "broadcast", "gather"],
)
def test_constants_that_an_engine_would_compute_in_much_memory_are_refused(negative, nodes, weights, tmp_path):
    path = with_nodes(negative, nodes, weights, tmp_path / "a.onnx")
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(UserError, match="computes constants of much memory"):
        read_model(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def resized(scales: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Resize", ["image", "", scales], ["large"], mode="nearest")]


SCALES = (1.0, 1000.0, 1000.0, 1.0)
LARGE = [
    ([*resized("scales")], [number("scales", *SCALES)], "makes pictures too large"),
    ([helper.make_node("Constant", [], ["scales"], value=number("", *SCALES)), *resized("scales")], [], "too large"),
    ([helper.make_node("Constant", [], ["scales"], value_floats=SCALES), *resized("scales")], [], "computed from constants"),
    (
        [helper.make_node("Identity", ["same"], ["scales"]), *resized("scales")],
        [number("same", *SCALES)],
        "makes pictures too large",
    ),
    (
        [helper.make_node("Mul", ["small", "small"], ["scales"]), *resized("scales")],
        [number("small", 1, 15, 15, 1)],
        "computed from constants",
    ),
    (
        [helper.make_node("Resize", ["image", "", "", "sizes"], ["large"], mode="nearest")],
        [number("sizes", 1, 10**6, 10**6, 3, kind=np.int64)],
        "makes pictures too large",
    ),
    (
        [helper.make_node("Identity", ["pads"], ["more"]), helper.make_node("Pad", ["image", "more"], ["large"])],
        [number("pads", 0, 0, 0, 0, 0, 10**6, 10**6, 0, kind=np.int64)],
        "makes pictures too large",
    ),
]


@pytest.mark.parametrize(("nodes", "weights", "message"), LARGE)
def test_sizes_behind_other_nodes_are_checked_as_those_in_front(negative, nodes, weights, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_model(with_nodes(negative, nodes, weights, tmp_path / "a.onnx"))


def test_sizes_and_constants_of_an_ordinary_kind_are_taken(negative, tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["scales"], value=number("", 1, 2, 2, 1)),
        *resized("scales"),
        helper.make_node("Concat", ["ones", "ones"], ["two"], axis=0),
    ]
    read_model(with_nodes(negative, nodes, [number("ones", *np.ones(1000))], tmp_path / "a.onnx"))


def test_a_model_exported_before_with_a_default_style_still_draws(negative, pixels):
    """Its ``style`` has an initializer, which is dropped as the model is read."""
    path = negative.parts[0].model.path
    assert "style" in {weight.name for weight in onnx.load(path).graph.initializer}
    model, _ = read_model(path)
    assert "style" not in {weight.name for weight in model.graph.initializer}
    np.testing.assert_array_equal(Model(path, 1)(pixels[None], np.ones(1, np.float32))[0], 255 - pixels)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.onnx")
    with pytest.raises(UserError, match="no regular file"):
        read_model(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["absent.onnx", "a" * 300 + ".onnx", "nul\0.onnx", ""])
def test_a_path_that_is_no_file_is_one_line(name, tmp_path):
    with pytest.raises(UserError, match="check the path|is a folder"):
        read_model(tmp_path / name)
