"""An exported model at another precision: float16, or convolutions in 8 bits.

Both take and return what ``export`` writes: uint8 pictures of any size and the input ``style``, and the same metadata, with
the precision added.

float16: everything but the norms' statistics, whose sums and squares over large pictures would leave its range. The
converter of onnxruntime (1.31) is not used: where it is told to skip operators, it still converts every value between two of
these to float16 and back, and it defines a cast twice where two of them read one value.

8 bits: convolutions between quantize and dequantize nodes, weights by channel in 7 bits, so that no processor's 16-bit sums
saturate; the ranges of activations are means over the calibration pictures of their extremes. The first and the last
convolution stay as they are: they take little time and lose the most precision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
STATISTICS = {"ReduceMean", "Pow", "Sqrt", "Reciprocal"}
LEFT_ALONE = STATISTICS | {"Constant"}
ALWAYS_FLOAT = {"Resize": 1}  # inputs from this one on, the scales, are float32 by the standard


def to_float16(model: ModelProto) -> ModelProto:
    """``model`` with float16 weights and activations; the statistics of its norms, and ``style``, stay float32."""
    result = ModelProto()
    result.CopyFrom(model)
    halved = _Halved(shape_inference.infer_shapes(model).graph)
    for node in result.graph.node:
        halved.add(node)
    read = {name for node in halved.nodes for name in node.input}
    _replace(result.graph.node, halved.nodes)
    _replace(result.graph.initializer, [weight for weight in halved.weights.values() if weight.name in read])
    del result.graph.value_info[:]
    return _labeled(result, model, "fp16")


def to_int8(model: ModelProto, samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> ModelProto:
    """``model`` with 8-bit convolutions.

    Args:
        samples: the calibration set: pictures, uint8 RGB (1, H, W, 3), each with row weights, float32 (S,).
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    draft = ModelProto()
    draft.CopyFrom(model)
    helper.set_model_props(draft, {"onnx.quant.pre_process": "onnxruntime.quant"})  # or it logs advice
    convolutions = [node.name for node in draft.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(draft, source)
        quantize_static(
            source,
            target,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
        result = onnx.load(target)
    return _labeled(result, model, "int8")


class _Halved:
    """A graph during conversion: nodes, with a cast before the first that reads a value at another precision."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        values = [*graph.value_info, *graph.input, *graph.output]
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.floats = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
        self.floats |= {name for name, weight in self.weights.items() if weight.data_type == FLOAT}
        self.halves: set[str] = set()  # values that are float16 from the start
        self.means: set[str] = set()  # means over pixels, and what is made of these and of weights alone
        self.nodes: list[NodeProto] = []
        self.converted: set[str] = set()

    def add(self, node: NodeProto) -> None:
        of_means = bool(self.means & set(node.input))
        precise = of_means or node.op_type in LEFT_ALONE
        for place, name in enumerate(node.input):
            fixed = place >= ALWAYS_FLOAT.get(node.op_type, len(node.input))
            node.input[place] = self.read(name, FLOAT if precise or fixed else HALF)
        if node.op_type == "ReduceMean" or (of_means and set(node.input) <= {"", *self.means, *self.weights}):
            self.means.update(node.output)
        if not precise:
            self.halves.update(self.floats & set(node.output))
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                    attribute.i = HALF
        self.nodes.append(node)

    def read(self, name: str, kind: int) -> str:
        """The name of the value ``name`` at precision ``kind``."""
        own = HALF if name in self.halves else FLOAT
        if name not in self.floats or kind == own:
            return name
        other = f"{name}_{'half' if kind == HALF else 'float'}"
        if other not in self.converted:
            self.converted.add(other)
            self._convert(name, other, kind)
        return other

    def _convert(self, name: str, other: str, kind: int) -> None:
        if name in self.weights:
            values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
            self.weights[other] = numpy_helper.from_array(values, other)
        else:
            self.nodes.append(helper.make_node("Cast", [name], [other], f"{other}_cast", to=kind))


class _Samples:
    """Calibration samples in the form that onnxruntime's quantizer reads."""

    def __init__(self, samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        self.samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self.samples, None)
        return None if sample is None else {"image": sample[0], "style": sample[1]}


def _labeled(result: ModelProto, model: ModelProto, precision: str) -> ModelProto:
    """``result`` with the metadata of ``model``, and its precision."""
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    del result.metadata_props[:]
    helper.set_model_props(result, {entry.key: entry.value for entry in model.metadata_props} | {"precision": precision})
    return result


def _replace(field: list, values: list) -> None:
    """Replace the contents of a repeated field of a protocol buffer."""
    values = list(values)
    del field[:]
    field.extend(values)
