"""What an ONNX model has to be before an engine sees it: a stranger's file is looked through as data, in milliseconds.

A model of ours is one graph of plain operators with its weights inside. Anything else is refused: weights in other files,
operators of other domains, loops and other graphs within the graph, operators that make large values from small ones,
tensors that hold other bytes than their shape asks for, and metadata that does not fit. Never imports torch.

A graph of allowed operators may still ask for much memory while it draws, as any large picture does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fast_nst.errors import UserError

MAX_BYTES = 512 << 20
MAX_ROWS = 1024  # as many as a network may have
MAX_NAME = 255
MAX_STEP = 1024  # of a convolution's kernel, stride, dilation and padding, in pixels
MAX_SCALE = 16  # of a resizing, along one axis
OUR_DOMAINS = {"", "ai.onnx"}
OPERATORS = {
    *("Abs", "Add", "BitwiseNot", "Cast", "Ceil", "Clip", "Concat", "Constant", "Conv", "DepthToSpace", "DequantizeLinear"),
    *("Div", "Equal", "Erf", "Exp", "Flatten", "Floor", "Gather", "Gemm", "GroupNormalization", "Identity"),
    *("InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Pad", "Pow"),
    *("QuantizeLinear", "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid"),
    *("Slice", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
}
STEPS = {"kernel_shape", "strides", "dilations", "pads"}
PLAIN = {AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.TENSOR}
PLAIN |= {AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS}


@dataclass(frozen=True)
class Signature:
    """What a model file says of itself: its inputs as name -> (type, dimensions), and its metadata."""

    inputs: Mapping[str, tuple[str, int]]
    metadata: Mapping[str, str]

    @property
    def rows(self) -> list[str]:
        """The names of the model's rows."""
        return json.loads(self.metadata["rows"])

    @property
    def own(self) -> str:
        """The row that is the model's own style."""
        return self.metadata["own"]


def read_model(path: str | Path) -> tuple[ModelProto, Signature]:
    """The model in ``path``, if it is one of ours.

    Raises:
        UserError: no such file, not ONNX, or a model that this package would not write.
    """
    path = Path(path)
    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
        signature = _signature(model)
        if not model.graph.node:
            raise ValueError("no operators")
    except Exception as error:  # protobuf's errors share no base class
        raise UserError(f"{path} is not an ONNX model; download or export it again") from error
    _check_signature(signature, model, path)
    try:
        _check_graph(model)
        onnx.checker.check_model(content)
    except UserError as error:
        raise UserError(f"{path} {error}; use a model exported by fast-nst") from error
    except Exception as error:
        raise UserError(f"{path} is not a sound ONNX model; download or export it again") from error
    return model, signature


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path} has {size >> 20} MiB, models of styles have at most {MAX_BYTES >> 20}; use a smaller one"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"no model at {path}; give an .onnx file") from error


def _signature(model: ModelProto) -> Signature:
    kinds = {value.name: value.type.tensor_type for value in model.graph.input}
    inputs = {name: (_type_name(kind.elem_type), len(kind.shape.dim)) for name, kind in kinds.items()}
    return Signature(inputs, {entry.key: entry.value for entry in model.metadata_props})


def _type_name(element: int) -> str:
    return helper.tensor_dtype_to_np_dtype(element).name


def _check_signature(signature: Signature, model: ModelProto, path: Path) -> None:
    """Raise a UserError unless a picture and weights of its rows go in, and a picture comes out."""
    if signature.inputs.get("image") != ("uint8", 4):
        raise UserError(f"{path} does not take one uint8 picture (B, H, W, 3); use a model exported by fast-nst")
    if set(signature.inputs) != {"image", "style"} or not {"rows", "own"} <= set(signature.metadata):
        raise UserError(f"{path} was written by another version of fast_nst; export it again with this one")
    outputs = [value.type.tensor_type for value in model.graph.output]
    if [(kind.elem_type, len(kind.shape.dim)) for kind in outputs] != [(TensorProto.UINT8, 4)]:
        raise UserError(f"{path} does not give one uint8 picture (B, H, W, 3); use a model exported by fast-nst")
    if not _are_rows(signature):
        raise UserError(f"the metadata of {path} do not name its rows; export it again")
    style = next(value.type.tensor_type for value in model.graph.input if value.name == "style")
    asked = [size.dim_value for size in style.shape.dim]
    if style.elem_type != TensorProto.FLOAT or asked != [len(signature.rows)]:
        raise UserError(f"{path} names {len(signature.rows)} rows and takes {asked} weights of rows; export it again")


def _are_rows(signature: Signature) -> bool:
    try:
        rows = signature.rows
    except (ValueError, RecursionError):
        return False
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
        return False
    names = all(isinstance(row, str) and 0 < len(row) <= MAX_NAME for row in rows)
    return names and len(set(rows)) == len(rows) and signature.own in rows


def _check_graph(model: ModelProto) -> None:
    """Raise a UserError, the end of a sentence, for anything that no export of ours has."""
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer:
        raise UserError("holds functions, training or sparse weights")
    weights = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        if node.domain not in OUR_DOMAINS or node.op_type not in OPERATORS:
            raise UserError(f"has the operator {':'.join(filter(None, (node.domain, node.op_type)))[:80]!r}")
        if any(attribute.type not in PLAIN for attribute in node.attribute):
            raise UserError(f"has a graph within its operator {node.op_type}")
        _check_steps(node)
    for tensor in [*graph.initializer, *_constants(graph.node)]:
        _check_tensor(tensor)
    for node in graph.node:
        _check_growth(node, weights)


def _constants(nodes: Iterator[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        yield from (attribute.t for attribute in node.attribute if attribute.type == AttributeProto.TENSOR)


def _check_tensor(tensor: TensorProto) -> None:
    """Raise a UserError unless ``tensor`` lies in the file, with as many bytes as its shape and type ask for."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise UserError("keeps its weights in other files")
    if tensor.data_type == TensorProto.STRING or any(size < 0 for size in tensor.dims):
        raise UserError(f"has a weight {tensor.name[:80]!r} of no known type or shape")
    size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    held = len(tensor.raw_data) if tensor.HasField("raw_data") else numpy_helper.to_array(tensor).nbytes
    if held != size:
        raise UserError(f"has a weight {tensor.name[:80]!r} of {size} bytes, and {held} in the file")


def _check_steps(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in STEPS and not all(0 <= step <= MAX_STEP for step in attribute.ints):
            raise UserError(f"has an operator {node.op_type} with {attribute.name} out of range")


def _check_growth(node: NodeProto, weights: Mapping[str, TensorProto]) -> None:
    """Raise a UserError where a constant tells ``node`` to make a picture much larger."""
    most = {"Pad": (1, MAX_STEP), "Resize": (2, MAX_SCALE)}.get(node.op_type)
    if most is None or len(node.input) <= most[0] or node.input[most[0]] not in weights:
        return
    values = numpy_helper.to_array(weights[node.input[most[0]]])
    if values.size and not (np.isfinite(values).all() and np.abs(values).max() <= most[1]):
        raise UserError(f"has an operator {node.op_type} that makes pictures too large")
