import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fast_nst.inference.instance_norms import find_norms
from fast_nst.system.files import SHIPPED

AT_ONCE, ONE_BY_ONE, BOTH_ROWS = [[2, 3]], [[3], [2]], [[3], [3]]


def norm_graph(axes: list[list[int]], exponent: float = 2.0, keepdims: int = 1) -> onnx.GraphProto:
    """x - mean(x), its power, and the mean of that, each mean over ``axes`` in turn."""
    nodes = []

    def mean_of(name: str, result: str) -> None:
        for place, along in enumerate(axes):
            output = result if place == len(axes) - 1 else f"{result}_{place}"
            nodes.append(helper.make_node("ReduceMean", [name, f"axes{along}"], [output], keepdims=keepdims))
            name = output

    mean_of("x", "mean")
    nodes += [helper.make_node("Sub", ["x", "mean"], ["away"]), helper.make_node("Pow", ["away", "power"], ["square"])]
    mean_of("square", "variance")
    constants = [numpy_helper.from_array(np.array(along), f"axes{along}") for along in axes]
    constants.append(numpy_helper.from_array(np.float32(exponent), "power"))
    return helper.make_graph(nodes, "norm", [], [], constants)


@pytest.mark.parametrize("axes", [AT_ONCE, ONE_BY_ONE, ONE_BY_ONE[::-1], [[-1], [-2]]])
def test_a_mean_is_told_at_once_and_one_axis_after_the_other(axes):
    (norm,) = find_norms(norm_graph(axes))
    assert (norm.source, norm.mean, norm.variance, norm.centered, norm.square) == ("x", "mean", "variance", "away", "square")


@pytest.mark.parametrize(
    "graph", [norm_graph(BOTH_ROWS), norm_graph([[1, 2, 3]]), norm_graph(AT_ONCE, 3.0), norm_graph(AT_ONCE, keepdims=0)]
)
def test_what_takes_other_means_or_powers_is_no_norm(graph):
    assert find_norms(graph) == []


def test_every_norm_of_the_network_is_found():
    norms = find_norms(onnx.load(SHIPPED / "base.onnx").graph)
    assert len(norms) == 13  # 2 on the way down, 2 in each of 4 blocks, 3 on the way up
    assert len({norm.mean for norm in norms}) == 13
