"""The instance norms of an exported graph, recognized by their operators: mean of x, x - mean, its square, mean of that.

A mean over the pixels is one ``ReduceMean`` over both axes, as in models of earlier versions, or one for each axis, which
keeps more digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, numpy_helper

PIXELS = {2, 3}  # the axes of rows and columns in (B, C, H, W)


@dataclass(frozen=True)
class Norm:
    """The names of a norm's tensors: its input x, the mean and variance of x, x - mean, and the square of that."""

    source: str
    mean: str
    variance: str
    centered: str
    square: str


def find_norms(graph: GraphProto) -> list[Norm]:
    """The norms of an exported network, in the order of their variances."""
    return list(_Finder(graph).norms())


class _Finder:
    """A search through a graph, from a tensor back to the operators that compute it."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = graph.node
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}

    def norms(self) -> Iterator[Norm]:
        for node in self.nodes:
            square = self._averaged(node.output[0])
            centered = self._squared(square)
            subtraction = self._producer_of(centered, "Sub")
            if square is not None and centered is not None and subtraction is not None:
                source, mean = subtraction.input
                if self._averaged(mean) == source:
                    yield Norm(source, mean, node.output[0], centered, square)

    def _averaged(self, name: str) -> str | None:
        """The tensor whose mean over all pixels ``name`` is."""
        axes: set[int] = set()
        while axes != PIXELS and (node := self._producer_of(name, "ReduceMean")) is not None:
            axes |= self._axes(node)
            name = node.input[0]
        return name if axes == PIXELS else None

    def _axes(self, node: NodeProto) -> set[int]:
        kept = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
        if not kept or len(node.input) != 2 or node.input[1] not in self.constants:
            return {-1}  # no norm has these axes
        return {axis % 4 for axis in numpy_helper.to_array(self.constants[node.input[1]]).tolist()}

    def _squared(self, name: str | None) -> str | None:
        """The tensor whose square ``name`` is."""
        if (power := self._producer_of(name, "Pow")) is not None:
            exponent = self.constants.get(power.input[1])
            return power.input[0] if exponent is not None and numpy_helper.to_array(exponent) == 2 else None
        product = self._producer_of(name, "Mul")
        return product.input[0] if product is not None and product.input[0] == product.input[1] else None

    def _producer_of(self, name: str | None, kind: str) -> NodeProto | None:
        node = self.producer.get(name)
        return node if node is not None and node.op_type == kind else None
