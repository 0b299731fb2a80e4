"""Stages of an exported model, cut at its instance norms, for pictures too large for memory. Never imports torch.

An instance norm takes mean and variance over the whole picture; every other operator of a network sees the neighborhood of a
pixel. So the graph is cut where norms take their statistics. A stage starts from layers that earlier stages kept, applies
the norms whose statistics are known by then, and ends at the inputs of the next norms, or at the picture. Inside a stage,
tiles can be drawn one by one and placed side by side without a seam.

Layers are kept as float16; statistics are taken before that rounding. Two things are computed again instead of kept:
everything before the first norm, whose rounding would show most (up to 3/255 where all others together make 1), and a norm's
output, which is cheap to compute from its input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from fast_nst.errors import UserError
from fast_nst.inference.engines import onnx_session
from fast_nst.inference.instance_norms import Norm, find_norms

POINTWISE = {"Add", "Sub", "Mul", "Div", "Relu", "Cast", "QuantizeLinear", "DequantizeLinear"}
LOCAL = POINTWISE | {"Clip", "Concat", "Constant", "Conv", "Identity", "MatMul", "Pad", "Pow", "Reciprocal"}
LOCAL |= {"Reshape", "Resize", "Round", "Shape", "Slice", "Sqrt", "Transpose", "Unsqueeze"}
PROBE = 64  # pixels a side of the picture that tells channels and scales


@dataclass(frozen=True)
class Layer:
    """A tensor (1, C, H, W) of the graph; one of its pixels is ``scale`` pixels of the picture wide."""

    name: str
    channels: int
    scale: int


@dataclass(frozen=True)
class Stage:
    """A part of the graph, for a tile with its surroundings.

    Attributes:
        session: takes ``image`` and ``style``, the means and variances of norms by their names, layers in float16 under
            ``half.NAME``, and for each layer that it ends at ``from.NAME`` and ``to.NAME``, the (row, column) of the tile in
            what is drawn; gives ``picture``, or for outputs the tile in float16 under ``half.NAME``, and for norms its
            moments under ``mean.NAME`` and ``variance.NAME`` and its shape under ``shape.NAME``.
        takes: which of these the session takes.
        gives: which of these the session gives.
        inputs: the layers that it starts from.
        outputs: the layers that it leaves for later stages.
        norms: the norms that it ends at, each with its input's layer.
        reach: the most pixels of the picture around a tile on which the tile depends.
    """

    session: onnxruntime.InferenceSession
    takes: frozenset[str]
    gives: tuple[str, ...]
    inputs: tuple[Layer, ...]
    outputs: tuple[Layer, ...]
    norms: tuple[tuple[Norm, Layer], ...]
    reach: int

    @property
    def ends(self) -> list[Layer]:
        """The layers that it ends at: kept, measured or both; none is the picture."""
        return list(dict.fromkeys([*self.outputs, *(layer for _, layer in self.norms)]))


class Graph:
    """An exported graph: its norms, the stage that computes each of its tensors, and the tensors to keep between stages.

    Raises:
        UserError: no norms, or an operator other than a norm's that sees the whole picture.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.nodes = model, list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.norms = find_norms(model.graph)
        self.statistics = {name for norm in self.norms for name in (norm.mean, norm.variance)}
        self.of_pixels = self._of_pixels()
        self.stage_of = self._stages()
        self.kept = self._kept()

    def part(self, given: Collection[str], wanted: Iterable[str]) -> list[NodeProto]:
        """The nodes that make ``wanted`` from ``given`` and the graph's inputs, in order."""
        needed, nodes = set(wanted), []
        for node in reversed(self.nodes):
            if (needed - set(given)) & set(node.output):
                nodes.append(node)
                needed |= set(node.input)
        return nodes[::-1]

    def _measuring(self) -> set[str]:
        """The tensors between a norm's input and its statistics, these among them."""
        parts = [part for norm in self.norms for part in (([norm.source], [norm.mean]), ([norm.square], [norm.variance]))]
        return {name for part in parts for node in self.part(*part) for name in node.output}

    def _of_pixels(self) -> set[str]:
        """The tensors that depend on pixels, without the norms' statistics; their operators are checked."""
        if not self.norms:
            raise UserError(
                "this model has no instance norms as fast-nst exports them, so it draws no tiles; export it again"
            )
        found, measuring = {"image"}, self._measuring()
        for node in self.nodes:
            if node.op_type == "Shape" or measuring & set(node.output) or not found & set(node.input):
                continue
            found |= set(node.output)
            if node.op_type not in LOCAL:
                raise UserError(
                    f"this model's operator {node.op_type} may need the whole picture, so tiles would show; use --tile never"
                )
        return found

    def _stages(self) -> dict[str, int]:
        """Tensor -> the first stage that can compute it: statistics are known one stage after their norm's input."""
        means = {norm.mean for norm in self.norms}
        stages: dict[str, int] = {}
        for node in self.nodes:
            stage = max((stages.get(name, 0) for name in node.input), default=0)
            stages |= {name: stage + (name in means) for name in node.output}
        return stages

    def _kept(self) -> list[str]:
        kept = {norm.source for norm in self.norms if self.stage_of[norm.source] > 0}
        for name in self.producer:
            if self._is_needed_later(name) and len(self._behind(name, kept)) > 1:
                kept.add(name)
        return [name for name in self.producer if name in kept]

    def _is_needed_later(self, name: str) -> bool:
        stage = self.stage_of[name]
        if stage == 0 or name not in self.of_pixels:
            return False
        return any(self.stage_of[node.output[0]] > stage for node in self.consumers.get(name, []))

    def _behind(self, name: str, kept: Collection[str]) -> set[str]:
        """The kept tensors from which pointwise operators make ``name``; two at least where it takes other operators."""
        if name in kept:
            return {name}
        if name not in self.of_pixels or self.stage_of.get(name, 0) == 0:
            return set()
        node = self.producer[name]
        if node.op_type not in POINTWISE:
            return {name, *node.input}
        return set().union(*(self._behind(one, kept) for one in node.input))


def stages_of(model: onnx.ModelProto) -> list[Stage]:
    """The stages of an exported model, in order; the last ends at the picture.

    Raises:
        UserError: the model has no recognizable norms, or another operator sees the whole picture.
    """
    graph = Graph(to_float32(model))
    layers = _layers(graph)
    return [_stage(graph, layers, number) for number in range(graph.stage_of["picture"] + 1)]


def _layers(graph: Graph) -> dict[str, Layer]:
    """The layers at the stages' ends, by name; their extents are those of a small picture in the graph."""
    names = list(dict.fromkeys([*(norm.source for norm in graph.norms), *graph.kept]))
    probe = onnx.ModelProto()
    probe.CopyFrom(graph.model)
    probe.graph.output.extend(_value(name, TensorProto.FLOAT, None) for name in names)
    rows = next(value for value in probe.graph.input if value.name == "style").type.tensor_type.shape.dim[0].dim_value
    inputs = {"image": np.zeros((1, PROBE, PROBE, 3), np.uint8), "style": np.full(rows, 1 / rows, np.float32)}
    tensors = _session(probe).run(names, inputs)
    return {
        name: Layer(name, tensor.shape[1], PROBE // tensor.shape[2]) for name, tensor in zip(names, tensors, strict=True)
    }


def _stage(graph: Graph, layers: dict[str, Layer], number: int) -> Stage:
    outputs = [layers[name] for name in graph.kept if graph.stage_of[name] == number]
    norms = [(norm, layers[norm.source]) for norm in graph.norms if graph.stage_of[norm.source] == number]
    ends = {layer.name for layer in (*outputs, *(layer for _, layer in norms))}
    given = set(graph.kept) - ends | graph.statistics
    nodes = graph.part(given, ends or ["picture"])
    read = {name for node in nodes for name in node.input}
    inputs = [layers[name] for name in graph.kept if name in read & given]
    model = _between(graph, layers, nodes, inputs, ends)
    takes = frozenset(value.name for value in model.graph.input)
    gives = [f"half.{layer.name}" for layer in outputs]
    gives += [f"{moment}.{layer.name}" for _, layer in norms for moment in ("mean", "variance", "shape")]
    reach = _reach(nodes, [*inputs, *(layers[name] for name in ends)])
    return Stage(_session(model), takes, tuple(gives or ["picture"]), tuple(inputs), tuple(outputs), tuple(norms), reach)


def _between(
    graph: Graph, layers: dict[str, Layer], nodes: list[NodeProto], inputs: list[Layer], ends: set[str]
) -> onnx.ModelProto:
    """``nodes`` as a model of their own, between the layers that come in and the layers that it ends at."""
    read = {name for node in nodes for name in node.input}
    takes = [value for value in graph.model.graph.input if value.name in read]
    for norm in graph.norms:
        shape = [1, layers[norm.source].channels, 1, 1]
        takes += [_value(name, TensorProto.FLOAT, shape) for name in (norm.mean, norm.variance) if name in read]
    takes += [_value(f"half.{layer.name}", TensorProto.FLOAT16, [1, layer.channels, None, None]) for layer in inputs]
    takes += [_value(f"{edge}.{name}", TensorProto.INT64, [2]) for name in ends for edge in ("from", "to")]
    gives = [] if ends else list(graph.model.graph.output)
    kinds = {"half": TensorProto.FLOAT16, "shape": TensorProto.INT64}
    kinds |= dict.fromkeys(("mean", "variance"), TensorProto.FLOAT)
    gives += [_value(f"{prefix}.{name}", kind, None) for name in ends for prefix, kind in kinds.items()]
    constants = [tensor for name, tensor in graph.constants.items() if name in read]
    constants.append(numpy_helper.from_array(np.array([2, 3]), "rows_and_columns"))
    begin = [helper.make_node("Cast", [f"half.{layer.name}"], [layer.name], to=TensorProto.FLOAT) for layer in inputs]
    end = [node for name in ends for node in _ending(name)]
    part = helper.make_graph([*begin, *nodes, *end], "stage", takes, gives, constants)
    return helper.make_model(part, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)


def _ending(name: str) -> list[NodeProto]:
    """The tile cut from ``name``, its moments and shape, and the tile in float16."""
    steps = [
        ("Slice", [name, f"from.{name}", f"to.{name}", "rows_and_columns"], f"tile.{name}"),
        ("ReduceMean", [f"tile.{name}", "rows_and_columns"], f"mean.{name}"),
        ("Sub", [f"tile.{name}", f"mean.{name}"], f"centered.{name}"),
        ("Mul", [f"centered.{name}"] * 2, f"square.{name}"),
        ("ReduceMean", [f"square.{name}", "rows_and_columns"], f"variance.{name}"),
        ("Shape", [f"tile.{name}"], f"shape.{name}"),
    ]
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps]
    return [*nodes, helper.make_node("Cast", [f"tile.{name}"], [f"half.{name}"], to=TensorProto.FLOAT16)]


def _reach(nodes: list[NodeProto], layers: list[Layer]) -> int:
    """Half the kernels' sizes and a pixel for each interpolation, as if all were done at the smallest scale."""
    pixels = 0
    for node in nodes:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "Conv":
            pixels += max(attributes["kernel_shape"]) // 2
        elif node.op_type == "Resize" and attributes.get("mode") != b"nearest":
            pixels += 1
    return pixels * max(layer.scale for layer in layers)


def _value(name: str, kind: int, shape: Sequence[int | None] | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """One thread, as the threads share the tiles; no arena, as each stage would keep one of its own."""
    return onnx_session(model, 1, arena=False)


def to_float32(model: ModelProto) -> ModelProto:
    """A float16 ``model`` computed in float32, with the weights that float16 left of it; others stay as they are."""
    result = ModelProto()
    result.CopyFrom(model)
    weights = [weight for weight in result.graph.initializer if weight.data_type == TensorProto.FLOAT16]
    for weight in weights:
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name))
    for node in result.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    del result.graph.value_info[:]
    return result
