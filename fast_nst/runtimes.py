"""What runs a model: onnxruntime with one of its providers, or OpenVINO (extra ``openvino``). Never imports torch.

OpenVINO compiles one network for all sizes; a size that comes back gets a network of its own, which draws a quarter faster.
Of itself it would round to bfloat16 wherever the processor can; here that is an engine of another name.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime

from fast_nst.errors import UserError

SUFFIX = "ExecutionProvider"
CPU = "cpu"
REMOTE = {"azure"}  # a provider that is no hardware
ALIASES = {"directml": "dml"}
RETURNS = 3  # uses of a size after which OpenVINO compiles for it
MOST_SIZES = 4  # networks for one size that are kept


@dataclass(frozen=True)
class Signature:
    """What a model file says of itself: its inputs as name -> (type, dimensions), and its metadata."""

    inputs: Mapping[str, tuple[str, int]]
    metadata: Mapping[str, str]


class Engine(Protocol):
    """Draws with one model; threads may share it.

    Attributes:
        name: what ``--engine`` calls it.
        provider: what it draws on: cpu, cuda, ...
        signature: the model's.
    """

    name: str
    provider: str
    signature: Signature

    def run(self, image: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Draw uint8 RGB (B, H, W, 3) under weights of the model's rows, float32 (S,); the result has the same shape."""


class OnnxRuntime:
    """onnxruntime's session.

    Args:
        path: the ``.onnx`` file.
        threads: processor threads; None is all cores that the process may use.
        provider: cpu, cuda, coreml, dml, ...; the CPU draws what it cannot. None is all that are there, best first.
    Raises:
        UserError: no model, or a provider that does not start.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None, provider: str | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores() if threads is None else threads
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        wanted = available if provider is None else [name for name in available if short_name(name) in (provider, CPU)]
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=wanted)
        except Exception as error:  # onnxruntime's errors share no base class
            raise UserError(f"{path} is not an ONNX model that onnxruntime can run; export it again") from error
        self.provider = next(name for name in map(short_name, self.session.get_providers()) if name not in REMOTE)
        if provider is not None and self.provider != provider:
            raise UserError(
                f"onnxruntime's {provider} does not start here: a driver or a library is missing; choose --provider cpu"
            )
        inputs = (*self.session.get_inputs(), *self.session.get_overridable_initializers())
        self.signature = Signature(
            {value.name: (value.type.removeprefix("tensor(").removesuffix(")"), len(value.shape)) for value in inputs},
            self.session.get_modelmeta().custom_metadata_map,
        )

    def run(self, image: np.ndarray, style: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        return self.session.run(None, {"image": np.ascontiguousarray(image), "style": style})[0]


class OpenVino:
    """OpenVINO, in float32 unless told otherwise.

    Args:
        path: the ``.onnx`` file.
        threads: processor threads; None is all cores.
        provider: OpenVINO's device: cpu, gpu, ...
        bfloat16: round to bfloat16, for speed.
    Raises:
        UserError: no model, or a device that does not take it.
    """

    def __init__(self, path: Path, threads: int | None = None, provider: str = CPU, bfloat16: bool = False) -> None:
        self.name = "openvino-bf16" if bfloat16 else "openvino"
        self.provider = provider
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        if threads and provider == CPU:
            self._config["INFERENCE_NUM_THREADS"] = threads
        try:
            self.signature, self._model = _read(path)
            self._any_size = self._compiled()
        except Exception as error:  # protobuf's and OpenVINO's errors share no base class
            raise UserError(f"{path} is not an ONNX model that OpenVINO can run; choose --engine onnxruntime") from error
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._own_size: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._lock = Lock()

    def run(self, image: np.ndarray, style: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        with self._lock:
            request = self._request(image.shape)
            return request.infer({"image": np.ascontiguousarray(image), "style": style})[0]

    def _request(self, shape: tuple[int, ...]) -> Any:
        self._seen[shape] += 1
        if self._seen[shape] < RETURNS:
            return self._any_size
        if shape not in self._own_size:
            self._own_size[shape] = self._compiled(shape)
        self._own_size.move_to_end(shape)
        if len(self._own_size) > MOST_SIZES:
            forgotten, _ = self._own_size.popitem(last=False)
            self._seen[forgotten] = 0
        return self._own_size[shape]

    def _compiled(self, shape: tuple[int, ...] | None = None) -> Any:
        """An infer request of the network, for pictures (B, H, W, 3) of one shape or of all."""
        import openvino

        core = openvino.Core()
        network = core.read_model(self._model)
        if shape is not None:
            network.reshape({"image": list(shape)})
        return core.compile_model(network, self.provider.upper(), self._config).create_infer_request()


def usable_cores() -> int:
    """The processor's cores that this process may use; 0, which is all to onnxruntime, where the system does not say.

    More threads than cores would wait for each other: in a container, on a cluster, under ``taskset``.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def short_name(provider: str) -> str:
    """CUDAExecutionProvider -> cuda; directml -> dml, as onnxruntime has it."""
    name = provider.removesuffix(SUFFIX).lower()
    return ALIASES.get(name, name)


def _read(path: Path) -> tuple[Signature, bytes]:
    """A model's signature, and its bytes without the default of ``style``, which OpenVINO would take for a constant."""
    import onnx

    model = onnx.load(path)
    inputs = {value.name: value.type.tensor_type for value in model.graph.input}
    kinds = {name: (_type_name(kind.elem_type), len(kind.shape.dim)) for name, kind in inputs.items()}
    signature = Signature(kinds, {entry.key: entry.value for entry in model.metadata_props})
    weights = [weight for weight in model.graph.initializer if weight.name not in inputs]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return signature, model.SerializeToString()


def _type_name(element: int) -> str:
    import onnx

    return onnx.helper.tensor_dtype_to_np_dtype(element).name
