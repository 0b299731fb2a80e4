"""A model for films: the statistics of its instance norms follow those of the pictures before, so that less of it flickers.

A norm divides by what it sees in one picture, and a change in one corner then changes every colour. Here each norm uses
m = k m' + (1 - k) mean(x) and v = k v' + (1 - k) var(x), where m' and v' are those of the picture before; k = 0 is the
plain model, and where the scene changes, k is 0 for one picture. No motion is estimated. Never imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.errors import UserError

CUT = 0.15  # mean change of a thumbnail's grey values, in [0, 1], that makes a new scene
THUMBNAIL = (32, 32)
KEEP = "keep"


class SteadyModel:
    """Draws the pictures of one film, one after the other.

    Args:
        path: an exported model.
        weights: a weight for each of its rows, float32 (S,).
        stabilize: k, how much of the statistics is kept from picture to picture, in [0, 1].
        threads: processor threads; None is all cores.
    Raises:
        UserError: a model without instance norms that can be told.
    """

    def __init__(self, path: Path, weights: np.ndarray, stabilize: float, threads: int | None = None) -> None:
        graph, self.norms = with_memory(onnx.load(path))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads or 0, 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=providers)
        self.weights, self.stabilize = weights, stabilize
        self.memory = {name: np.zeros((1, 1, 1, 1), np.float32) for norm in self.norms for name in norm.inputs}
        self.before: np.ndarray | None = None

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Draw the next picture, uint8 RGB (1, H, W, 3)."""
        keep = np.array(0 if self._new_scene(batch[0]) else self.stabilize, np.float32)
        feeds = {"image": np.ascontiguousarray(batch), "style": self.weights, KEEP: keep} | self.memory
        picture, *statistics = self.session.run(None, feeds)
        self.memory = dict(zip(self.memory, statistics, strict=True))
        return picture

    def _new_scene(self, pixels: np.ndarray) -> bool:
        thumbnail = np.asarray(Image.fromarray(pixels).convert("L").resize(THUMBNAIL), np.float32) / 255
        before, self.before = self.before, thumbnail
        return before is None or float(np.abs(thumbnail - before).mean()) > CUT


@dataclass(frozen=True)
class Norm:
    """An instance norm in a graph: its input x, mean and variance, x - mean, and the places of the nodes that made them."""

    x: str
    mean: str
    variance: str
    centred: str
    square: int
    last: int

    @property
    def inputs(self) -> tuple[str, str]:
        return f"{self.mean}_before", f"{self.variance}_before"

    @property
    def outputs(self) -> tuple[str, str]:
        return f"{self.mean}_kept", f"{self.variance}_kept"


def with_memory(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[Norm]]:
    """``model`` with the scalar input ``keep``, and the statistics of its norms, those before as inputs, the new as outputs.

    Raises:
        UserError: no norms that can be told.
    """
    graph, norms = model.graph, find_norms(model.graph)
    if not norms:
        raise UserError("this model has no instance norms that can be steadied; export it again, or use --stabilize 0")
    graph.input.append(helper.make_tensor_value_info(KEEP, TensorProto.FLOAT, []))
    for norm in reversed(norms):  # from the last, so that places before stay what they are
        _remember(graph, norm)
    for norm in norms:
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in norm.inputs)
        graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in norm.outputs)
    return model, norms


def find_norms(graph: onnx.GraphProto) -> list[Norm]:
    """The instance norms of an exported network: mean, x - mean, its square, and the mean of that."""
    made_by = {output: place for place, node in enumerate(graph.node) for output in node.output}

    def maker(name: str, kind: str) -> onnx.NodeProto | None:
        node = graph.node[made_by[name]] if name in made_by else None
        return node if node is not None and node.op_type == kind else None

    norms = []
    for place, node in enumerate(graph.node):
        square = maker(node.input[0], "Pow") if node.op_type == "ReduceMean" else None
        centred = maker(square.input[0], "Sub") if square else None
        mean = maker(centred.input[1], "ReduceMean") if centred else None
        if mean and mean.input[0] == centred.input[0]:
            found = (mean.input[0], mean.output[0], node.output[0], centred.output[0])
            norms.append(Norm(*found, made_by[square.output[0]], place))
    return norms


def _remember(graph: onnx.GraphProto, norm: Norm) -> None:
    """Let what follows ``norm`` use the kept statistics instead of the picture's own."""
    centred = f"{norm.centred}_kept"
    for place, node in enumerate(graph.node):
        if place != norm.square:
            _rename(node, norm.centred, centred)
        _rename(node, norm.variance, norm.outputs[1])
    new = []
    for own, before, kept in zip((norm.mean, norm.variance), norm.inputs, norm.outputs, strict=True):
        difference, share = f"{kept}_difference", f"{kept}_share"
        new.append(helper.make_node("Sub", [before, own], [difference]))
        new.append(helper.make_node("Mul", [KEEP, difference], [share]))
        new.append(helper.make_node("Add", [own, share], [kept]))
    new.append(helper.make_node("Sub", [norm.x, norm.outputs[0]], [centred]))
    for node in reversed(new):
        graph.node.insert(norm.last + 1, node)


def _rename(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
