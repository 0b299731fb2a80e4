"""Deflicker: a model for films whose instance norms average their statistics over time.

An instance norm takes its statistics from one picture, so a change in one corner changes every color. Here each norm uses
m = k m' + (1 - k) mean(x) and v = k v' + (1 - k) var(x), where m' and v' are those used for the picture before; k = 0 is the
plain model, and where the scene changes, k is 0 for one picture. No motion is estimated. Never imports torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.inference.engines import onnx_session
from fast_nst.inference.instance_norms import Norm, find_norms
from fast_nst.inference.onnx_validation import read_model

CUT = 0.15  # mean change of a thumbnail's gray values, in [0, 1], from which a scene is new
THUMBNAIL = (32, 32)
KEEP = "keep"


class Deflicker:
    """A model that draws the pictures of one film, one after the other.

    Args:
        path: an exported model.
        weights: a weight for each of its rows, float32 (S,).
        stabilize: k, the share of the statistics that is kept from picture to picture, in [0, 1].
        threads: processor threads; None is all cores.
    Raises:
        UserError: a model without recognizable instance norms.
    """

    def __init__(self, path: Path, weights: np.ndarray, stabilize: float, threads: int | None = None) -> None:
        graph, self.norms = with_memory(read_model(path)[0])
        self.session = onnx_session(graph, threads)
        self.weights, self.stabilize = weights, stabilize
        self.memory = {name: np.zeros((1, 1, 1, 1), np.float32) for norm in self.norms for name in _inputs(norm)}
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


def with_memory(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[Norm]]:
    """``model`` with the scalar input ``keep``, and its norms' statistics: the last ones as inputs, the new ones as outputs.

    Raises:
        UserError: no recognizable norms.
    """
    graph, norms = model.graph, find_norms(model.graph)
    if not norms:
        raise UserError("this model has no instance norms as fast-nst exports them; export it again, or use --stabilize 0")
    graph.input.append(helper.make_tensor_value_info(KEEP, TensorProto.FLOAT, []))
    for norm in norms:
        _remember(graph, norm)
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _inputs(norm))
        graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _outputs(norm))
    return model, norms


def _inputs(norm: Norm) -> tuple[str, str]:
    """The names of the statistics that come from the picture before."""
    return f"{norm.mean}_before", f"{norm.variance}_before"


def _outputs(norm: Norm) -> tuple[str, str]:
    """The names of the statistics that go to the next picture."""
    return f"{norm.mean}_kept", f"{norm.variance}_kept"


def _remember(graph: onnx.GraphProto, norm: Norm) -> None:
    """Let what follows ``norm`` use the kept statistics instead of the picture's own."""
    centered, (mean, variance) = f"{norm.centered}_kept", _outputs(norm)
    for node in graph.node:
        if norm.square not in node.output:
            _rename(node, norm.centered, centered)
        _rename(node, norm.variance, variance)
    new = []
    for own, before, kept in zip((norm.mean, norm.variance), _inputs(norm), (mean, variance), strict=True):
        difference, share = f"{kept}_difference", f"{kept}_share"
        new.append(helper.make_node("Sub", [before, own], [difference]))
        new.append(helper.make_node("Mul", [KEEP, difference], [share]))
        new.append(helper.make_node("Add", [own, share], [kept]))
    new.append(helper.make_node("Sub", [norm.source, mean], [centered]))
    last = next(place for place, node in enumerate(graph.node) if norm.variance in node.output)
    for node in reversed(new):
        graph.node.insert(last + 1, node)


def _rename(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
