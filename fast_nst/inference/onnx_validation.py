"""Checks of an untrusted ONNX model before an engine loads it, in milliseconds.

A model of this package is one graph of plain operators with its weights inside. Refused are: weights in other files,
operators of other domains, loops and other graphs within the graph, operators that make large values from small ones,
constants that would take much memory once computed, tensors with other bytes than their shape asks for, and metadata that
does not fit. Never imports torch.

A graph of allowed operators may still ask for much memory while it draws, as any large picture does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, helper, numpy_helper

from fast_nst.errors import UserError
from fast_nst.system.files import check_readable

MAX_BYTES = 512 << 20
MAX_ROWS = 1024  # as many as a network may have
MAX_NAME = 255
MAX_STEP = 1024  # of a convolution's kernel, stride, dilation and padding, in pixels
MAX_SCALE = 16  # of a resizing, along one axis
MAX_EXTENT = 1 << 15  # pixels along one axis that a resizing may name
MAX_CONSTANTS = 64 << 20  # bytes of constants that operators compute from constants
OUR_DOMAINS = {"", "ai.onnx"}
OPERATORS = {
    *("Abs", "Add", "BitwiseNot", "Cast", "Ceil", "Clip", "Concat", "Constant", "Conv", "DepthToSpace", "DequantizeLinear"),
    *("Div", "Equal", "Erf", "Exp", "Flatten", "Floor", "Gather", "Gemm", "GroupNormalization", "Identity"),
    *("InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Pad", "Pow"),
    *("QuantizeLinear", "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid"),
    *("Slice", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
}
GROWTH = {"Pad": [(1, MAX_STEP)], "Resize": [(2, MAX_SCALE), (3, MAX_EXTENT)]}  # inputs that tell sizes, and their limits
STEPS = {"kernel_shape", "strides", "dilations", "pads"}
PLAIN = {AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.TENSOR}
PLAIN |= {AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS}


@dataclass(frozen=True)
class Signature:
    """Interface of a model file.

    Attributes:
        inputs: name -> (type, number of dimensions).
        metadata: its texts by name.
        fixed: batch, height and width of the one picture that it draws; 0 where it draws any.
    """

    inputs: Mapping[str, tuple[str, int]]
    metadata: Mapping[str, str]
    fixed: tuple[int, int, int] = (0, 0, 0)

    @property
    def rows(self) -> list[str]:
        """The names of the model's rows."""
        return json.loads(self.metadata["rows"])

    @property
    def own(self) -> str:
        """The row that is the model's own style."""
        return self.metadata["own"]


def read_model(path: str | Path) -> tuple[ModelProto, Signature]:
    """The model in ``path``, if it is one of ours. Its input ``style`` is required, also where older ones have a default.

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
    _drop_defaults(model)
    return model, signature


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators in ``model``."""
    return next(entry.version for entry in model.opset_import if entry.domain in OUR_DOMAINS)


def _content(path: Path) -> bytes:
    check_readable(path, "model")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path} has {size >> 20} MiB, models of styles have at most {MAX_BYTES >> 20}; use a smaller one"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give another .onnx file") from error


def _drop_defaults(model: ModelProto) -> None:
    """Remove the weights that are inputs too: OpenVINO would take them for constants, onnxruntime warns of them."""
    inputs = {value.name for value in model.graph.input}
    weights = [weight for weight in model.graph.initializer if weight.name not in inputs]
    if len(weights) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(weights)


def _signature(model: ModelProto) -> Signature:
    kinds = {value.name: value.type.tensor_type for value in model.graph.input}
    inputs = {name: (_type_name(kind.elem_type), len(kind.shape.dim)) for name, kind in kinds.items()}
    sizes = [axis.dim_value for axis in kinds["image"].shape.dim] if "image" in kinds else []
    fixed = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 4 else (0, 0, 0)
    return Signature(inputs, {entry.key: entry.value for entry in model.metadata_props}, fixed)


def _type_name(element: int) -> str:
    return helper.tensor_dtype_to_np_dtype(element).name


def _check_signature(signature: Signature, model: ModelProto, path: Path) -> None:
    """Raise a UserError unless a picture and weights of its rows go in, and a picture comes out."""
    if signature.inputs.get("image") == ("float32", 4):
        raise UserError(f"{path} takes float32 pixels, for other runtimes; export it with --pixels uint8")
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
    for node in graph.node:
        if node.domain not in OUR_DOMAINS or node.op_type not in OPERATORS:
            raise UserError(f"has the operator {':'.join(filter(None, (node.domain, node.op_type)))[:80]!r}")
        if any(attribute.type not in PLAIN for attribute in node.attribute):
            raise UserError(f"has a graph within its operator {node.op_type}")
        _check_steps(node)
    for tensor in [*graph.initializer, *_constants(graph.node)]:
        _check_tensor(tensor)
    constants = _Constants(model)
    for node in graph.node:
        _check_growth(node, constants)
    constants.check_memory()


def _constants(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
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


class _Constants:
    """The tensors of a graph that do not depend on its inputs: weights, and what operators compute from them."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        inputs = {value.name for value in model.graph.input}
        self.values = {weight.name: weight for weight in model.graph.initializer if weight.name not in inputs}
        self.computed: set[str] = set()
        for node in model.graph.node:  # in the order of their computation, as the checker makes sure
            if all(not name or name in self for name in node.input):
                self._add(node)

    def __contains__(self, name: str) -> bool:
        return name in self.values or name in self.computed

    def _add(self, node: NodeProto) -> None:
        held = [attribute.t for attribute in node.attribute if attribute.type == AttributeProto.TENSOR]
        if node.op_type == "Constant" and held:
            self.values[node.output[0]] = held[0]
        elif node.op_type == "Identity" and node.input[0] in self.values:
            self.values[node.output[0]] = self.values[node.input[0]]
        else:
            self.computed.update(node.output)

    def check_memory(self) -> None:
        """Raise a UserError where what operators compute from constants is large, or of unknown size.

        An engine computes it when it loads the model.
        """
        if not self.computed:
            return
        known = onnx.shape_inference.infer_shapes(self.model).graph.value_info
        shapes, total = {value.name: value.type.tensor_type for value in known}, 0
        for name in self.computed - {""}:
            axes = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in _shape(shapes.get(name))]
            total += 8 * math.prod(axes) if min(axes, default=1) >= 0 else MAX_CONSTANTS + 1
        if total > MAX_CONSTANTS:
            raise UserError("computes constants of much memory or unknown size")


def _shape(kind: TypeProto.Tensor | None) -> Sequence[TensorShapeProto.Dimension]:
    """The axes of a tensor; one of unknown extent where nothing is known of it."""
    return kind.shape.dim if kind is not None and kind.HasField("shape") else [TensorShapeProto.Dimension()]


def _check_growth(node: NodeProto, constants: _Constants) -> None:
    """Raise a UserError where a constant tells ``node`` to make a picture much larger."""
    for place, most in GROWTH.get(node.op_type, ()):
        name = node.input[place] if place < len(node.input) else ""
        if name in constants.computed:
            raise UserError(f"has an operator {node.op_type} whose sizes are computed from constants")
        values = numpy_helper.to_array(constants.values[name]) if name in constants.values else np.zeros(0)
        if values.size and not (np.isfinite(values).all() and np.abs(values).max() <= most):
            raise UserError(f"has an operator {node.op_type} that makes pictures too large")
