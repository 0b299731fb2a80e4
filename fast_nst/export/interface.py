"""Inputs and outputs of an exported model: uint8 or float32 pixels, any size or one, and a description in plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

PIXELS, COLORS = "pixels", "colors"  # input and output of the network itself, (B, 3, H, W) in [0, 1]
AXES = ("batch", "height", "width")
LARGEST = "largest"  # 255, which scales uint8 to [0, 1] and back
FROM_BYTES = ("image_planes", "image_values", PIXELS)
TO_BYTES = ("picture_values", "picture_rounded", "picture_planes", "picture")


def with_bytes(core: ModelProto) -> ModelProto:
    """A model from ``PIXELS`` to ``COLORS`` as one that takes and gives uint8 RGB (B, H, W, 3)."""
    planes, values, _ = FROM_BYTES
    scaled, rounded, bytes_planes, picture = TO_BYTES
    begin = [
        helper.make_node("Transpose", ["image"], [planes], planes, perm=[0, 3, 1, 2]),
        helper.make_node("Cast", [planes], [values], values, to=TensorProto.FLOAT),
        helper.make_node("Div", [values, LARGEST], [PIXELS], PIXELS),
    ]
    end = [
        helper.make_node("Mul", [COLORS, LARGEST], [scaled], scaled),
        helper.make_node("Round", [scaled], [rounded], rounded),
        helper.make_node("Cast", [rounded], [bytes_planes], bytes_planes, to=TensorProto.UINT8),
        helper.make_node("Transpose", [bytes_planes], [picture], picture, perm=[0, 2, 3, 1]),
    ]
    batch, height, width = AXES
    ends = [_value(name, TensorProto.UINT8, [batch, height, width, 3]) for name in ("image", "picture")]
    weights = [*core.graph.initializer, numpy_helper.from_array(np.float32(255), LARGEST)]
    return _model(core, [*begin, *core.graph.node, *end], ends, weights)


def with_floats(model: ModelProto) -> ModelProto:
    """A model of uint8 pixels, made by ``with_bytes``, as one that takes and gives float32 RGB (B, 3, H, W) in [0, 1]."""
    graph = model.graph
    to_values = next(node for node in graph.node if node.name == FROM_BYTES[1])
    precision = helper.get_node_attr_value(to_values, "to")
    nodes = [node for node in graph.node if node.name not in FROM_BYTES + TO_BYTES]
    begin = helper.make_node("Cast", ["image"], [PIXELS], PIXELS, to=precision)
    end = helper.make_node("Cast", [COLORS], ["picture"], "picture", to=TensorProto.FLOAT)
    batch, height, width = AXES
    ends = [_value(name, TensorProto.FLOAT, [batch, 3, height, width]) for name in ("image", "picture")]
    read = {name for node in nodes for name in node.input}
    return _model(model, [begin, *nodes, end], ends, [weight for weight in graph.initializer if weight.name in read])


def with_size(model: ModelProto, width: int, height: int) -> ModelProto:
    """``model`` for one picture of one size, without operators that compute shapes."""
    from onnxscript import optimizer

    result = ModelProto()
    result.CopyFrom(model)
    sizes = dict(zip(AXES, (1, height, width), strict=True))
    for value in (*result.graph.input, *result.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in sizes:
                axis.dim_value = sizes[axis.dim_param]
    result = optimizer.optimize(result)
    del result.graph.value_info[:]
    return result


def description(model: ModelProto) -> dict[str, Any]:
    """Name, rows, credits, inputs and outputs of an exported model, for programs that do not read its metadata."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    parsed = {key: json.loads(metadata.get(key, "{}")) for key in ("rows", "credits")}
    named = {"name": metadata["name"], "own": metadata["own"], **parsed, "precision": metadata.get("precision", "fp32")}
    return named | {"inputs": _shapes(model.graph.input), "outputs": _shapes(model.graph.output)}


def _shapes(values: Iterable[ValueInfoProto]) -> dict[str, dict[str, Any]]:
    """Name -> element type, and the extent or the name of each axis."""
    kinds = {value.name: value.type.tensor_type for value in values}
    return {
        name: {
            "type": helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
            "shape": [axis.dim_param or axis.dim_value for axis in kind.shape.dim],
        }
        for name, kind in kinds.items()
    }


def _value(name: str, kind: int, shape: list[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(source: ModelProto, nodes: list, ends: list[ValueInfoProto], weights: list[TensorProto]) -> ModelProto:
    """A model of ``nodes`` with the input ``style``, the operators' version, and the metadata of ``source``."""
    style = next(value for value in source.graph.input if value.name == "style")
    graph = helper.make_graph(nodes, "fast_nst", [ends[0], style], ends[1:], weights)
    oldest = helper.find_min_ir_version_for(source.opset_import)  # onnxruntime 1.17 reads it
    result = helper.make_model(
        graph,
        opset_imports=source.opset_import,
        ir_version=oldest,
        producer_name="fast_nst",
        doc_string=source.doc_string,
    )
    result.metadata_props.extend(source.metadata_props)
    return result
