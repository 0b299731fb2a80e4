"""Engines that run a model: onnxruntime with one of its providers, or OpenVINO (extra ``openvino``). Never imports torch.

OpenVINO compiles one network for all sizes; a size that returns gets a network of its own, which draws a quarter faster.
By default OpenVINO rounds to bfloat16 wherever the processor can; here that is an engine of another name.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import onnxruntime
from onnx import ModelProto

from fast_nst.errors import UserError
from fast_nst.inference.onnx_validation import Signature, read_model

SUFFIX = "ExecutionProvider"
CPU = "cpu"
REMOTE = {"azure"}  # a provider that is no hardware
ALIASES = {"directml": "dml", "mps": "coreml"}
USES_BEFORE_OWN_SIZE = 3  # uses of a size after which OpenVINO compiles for it
MAX_SIZES = 4  # networks for one size that are kept


class Engine(Protocol):
    """A model that is ready to draw; threads may share it.

    Attributes:
        name: its name under ``--engine``.
        provider: the device: cpu, cuda, ...
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
        provider: cpu, cuda, coreml, dml, ...; the CPU runs the operators that it lacks. None is all installed, best first.
    Raises:
        UserError: not a model of this package, see ``read_model``, or a provider that does not start.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None, provider: str | None = None) -> None:
        self.path = path
        model, self.signature = read_model(path)
        available = onnxruntime.get_available_providers()
        wanted = available if provider is None else [name for name in available if short_name(name) in (provider, CPU)]
        try:
            self.session = onnx_session(model, threads, wanted)
        except Exception as error:  # onnxruntime's errors share no base class
            raise UserError(f"{path} is not an ONNX model that onnxruntime can run; export it again") from error
        self.provider = next(name for name in map(short_name, self.session.get_providers()) if name not in REMOTE)
        if provider is not None and self.provider != provider:
            raise UserError(
                f"onnxruntime's {provider} does not start here: a driver or a library is missing; choose --provider cpu"
            )

    def run(self, image: np.ndarray, style: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        with _drawing(self.path, self.signature, image):
            return _as_picture(self.session.run(None, {"image": np.ascontiguousarray(image), "style": style})[0], image)


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
        self.path, self.provider = path, provider
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        if threads and provider == CPU:
            self._config["INFERENCE_NUM_THREADS"] = threads
        model, self.signature = read_model(path)
        self._model = model.SerializeToString()
        try:
            self._any_size = self._compiled()
        except Exception as error:  # OpenVINO's errors share no base class
            raise UserError(f"{path} is not an ONNX model that OpenVINO can run; choose --engine onnxruntime") from error
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._own_size: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._lock = Lock()

    def run(self, image: np.ndarray, style: np.ndarray) -> np.ndarray:
        """See ``Engine``."""
        with self._lock, _drawing(self.path, self.signature, image):
            request = self._request(image.shape)
            return _as_picture(request.infer({"image": np.ascontiguousarray(image), "style": style})[0], image)

    def _request(self, shape: tuple[int, ...]) -> Any:
        self._seen[shape] += 1
        if self._seen[shape] < USES_BEFORE_OWN_SIZE:
            return self._any_size
        if shape not in self._own_size:
            self._own_size[shape] = self._compiled(shape)
        self._own_size.move_to_end(shape)
        if len(self._own_size) > MAX_SIZES:
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


def onnx_session(
    model: ModelProto, threads: int | None, providers: Sequence[str] = (f"CPU{SUFFIX}",), arena: bool = True
) -> onnxruntime.InferenceSession:
    """onnxruntime's session for a model.

    Args:
        model: a model that ``read_model`` returned, or a part of one.
        threads: processor threads; None is all cores that the process may use.
        providers: onnxruntime's names, best first.
        arena: whether the session keeps memory between pictures.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 4  # errors are raised, and not printed as well
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=list(providers))


def usable_cores() -> int:
    """The processor's cores that this process may use; 0, which is all to onnxruntime, where the system does not say.

    More threads than cores would wait for each other: in a container, on a cluster, under ``taskset``.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def short_name(provider: str) -> str:
    """CUDAExecutionProvider -> cuda; directml -> dml, as onnxruntime has it."""
    name = provider.removesuffix(SUFFIX).lower()
    return ALIASES.get(name, name)


@contextmanager
def _drawing(path: Path, signature: Signature, image: np.ndarray) -> Iterator[None]:
    """Turn whatever an engine raises while it draws into a UserError."""
    height, width = image.shape[1:3]
    if any(size not in (0, extent) for size, extent in zip(signature.fixed, image.shape, strict=False)):
        batch, fixed_height, fixed_width = signature.fixed
        raise UserError(
            f"{path} draws {batch} picture of {fixed_width}x{fixed_height} at a time, got {len(image)} of {width}x{height}; "
            "export it without --size"
        )
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{path} cannot draw {width}x{height} pixels here: the memory does not suffice, or the model is damaged; "
            "try a smaller --size"
        ) from error


def _as_picture(drawn: np.ndarray, image: np.ndarray) -> np.ndarray:
    if drawn.dtype != np.uint8 or drawn.shape != image.shape:
        raise ValueError(f"drew {drawn.dtype} {drawn.shape}")
    return drawn
