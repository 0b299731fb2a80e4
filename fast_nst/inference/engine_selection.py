"""Selection of an engine: those that are installed, and the fastest for a model. Never imports torch.

``auto`` times every engine that computes in the model's own precision, once for each model, and keeps the answer in the
user's cache folder, or in the folder ``FAST_NST_CACHE``, until the model, a package or the processor changes. An engine that
fails, or draws another picture, is left out. A cache that cannot be read or written costs a measurement, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from platformdirs import user_cache_path

from fast_nst.errors import UserError, unknown
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.engines import CPU, REMOTE, Engine, OnnxRuntime, OpenVino, short_name
from fast_nst.inference.measuring import markdown_table, median_milliseconds, psnr
from fast_nst.inference.onnx_validation import Signature
from fast_nst.system.files import write_text
from fast_nst.system.machine import cpu_name, version_of
from fast_nst.system.progress import announce

__all__ = [
    "AUTO",
    "NAMES",
    "Choice",
    "Engine",
    "drawing",
    "engines_table",
    "find_engines",
    "make_engine",
    "missing_engines",
    "working_engines",
]
AUTO = "auto"
DEFAULT = "onnxruntime"
NAMES = (DEFAULT, "openvino", "openvino-bf16", AUTO)
MIN_PSNR = 30.0  # dB
TRIAL_SIDE = 256
SHOWN_SIDES = (256, 512)
OPENVINO = "pip install 'fast_nst[openvino]'"
CUDA = "pip install onnxruntime-gpu in place of onnxruntime, and CUDA"
NEEDS = {
    "openvino": OPENVINO,
    "openvino-bf16": f"{OPENVINO}, on a processor with bfloat16",
    "cuda": CUDA,
    "tensorrt": CUDA,
    "dml": "pip install onnxruntime-directml in place of onnxruntime, on Windows",
    "coreml": "onnxruntime on a Mac",
    "gpu": f"{OPENVINO} and an Intel GPU (an NVIDIA GPU is cuda)",
}

PACKAGES = ("fast_nst", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")


@dataclass(frozen=True)
class Choice:
    """An engine on a device.

    Attributes:
        name: onnxruntime, openvino or openvino-bf16.
        provider: the device: cpu, cuda, coreml, ...
        exact: whether it computes in the model's own precision.
    """

    name: str
    provider: str
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.name} on {self.provider}"


def find_engines() -> list[Choice]:
    """The engines that are installed, with all that each can draw on."""
    providers = map(short_name, onnxruntime.get_available_providers())
    return [Choice(DEFAULT, provider) for provider in providers if provider not in REMOTE] + _find_openvino()


def make_engine(name: str, path: str | Path, threads: int | None = None, provider: str | None = None) -> Engine:
    """An engine that has loaded a model.

    Args:
        name: one of ``NAMES``; auto is the fastest for this model here.
        path: an ``.onnx`` file written by this package.
        threads: processor threads; None is all cores.
        provider: the device: cpu, cuda, coreml (or mps), ...; None or auto is the engine's own choice.
    Raises:
        UserError: an engine or provider that is not here, or no model that maps a picture to a picture under weights of its
            rows.
    """
    path, provider = Path(path), short_name(provider) if provider and provider != AUTO else None
    if name not in NAMES:
        raise unknown("engine", name, NAMES)
    if name != DEFAULT or provider:
        _check_here(name, provider)
    if name == AUTO:
        return _fastest(path, threads, provider)
    if name == DEFAULT:
        return OnnxRuntime(path, threads, provider)
    return OpenVino(path, threads, provider or CPU, bfloat16=name == "openvino-bf16")


def working_engines(path: str | Path, threads: int | None = None) -> dict[Choice, Engine]:
    """The engines here that start, load the model and draw with it, in whatever precision."""
    engines = _started(find_engines(), Path(path), threads)
    return _matching(engines, _reference(engines, path, threads), least=-1)


def drawing(engine: Engine, side: int) -> Callable[[], np.ndarray]:
    """A function that draws one picture of ``side`` x ``side`` pixels in the model's own style."""
    picture, style = _picture(engine.signature, side), _own_style(engine.signature)
    return lambda: engine.run(picture, style)


def engines_table(path: str | Path, threads: int | None = None) -> str:
    """Every engine here with its median milliseconds for pictures of 256 x 256 and 512 x 512, as a Markdown table.

    The last column is the PSNR of its picture to that of onnxruntime on the CPU.
    """
    announce("loading and timing the engines")
    choices, engines = find_engines(), working_engines(path, threads)
    times = [_timed(engines, side) for side in SHOWN_SIDES]
    psnrs = _psnr_of(engines, _reference(engines, path, threads), SHOWN_SIDES[-1])
    rows = []
    for choice in choices:
        numbers = [f"{found[choice]:.1f} ms" for found in times] if choice in engines else ["fails"] * len(times)
        rows.append([choice.name, choice.provider, *numbers, _decibels(psnrs.get(choice))])
    return markdown_table(["engine", "provider", *(f"{side} x {side}" for side in SHOWN_SIDES), "PSNR"], rows, names=2)


def missing_engines() -> dict[str, str]:
    """The engines that are not installed, with what they need."""
    here = {choice.name for choice in find_engines()}
    return {name: NEEDS[name] for name in NAMES if name not in {*here, AUTO}}


def _decibels(value: float | None) -> str:
    return "" if value is None else "equal" if math.isinf(value) else f"{value:.0f} dB"


def _find_openvino() -> list[Choice]:
    if find_spec("openvino") is None:
        return []
    import openvino

    core = openvino.Core()
    devices = [device for device in core.available_devices if device.startswith(("CPU", "GPU"))]
    choices = [Choice("openvino", device.lower()) for device in devices]
    if "CPU" in devices and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        choices.append(Choice("openvino-bf16", CPU, exact=False))
    return choices


def _check_here(name: str, provider: str | None) -> None:
    here = find_engines()
    if any(name in (AUTO, choice.name) and provider in (None, choice.provider) for choice in here):
        return
    providers = {choice.provider for choice in here}
    if provider and provider not in {*providers, *NEEDS, *map(short_name, onnxruntime.get_all_providers())}:
        raise unknown("provider", provider, sorted(providers))
    absent = provider if provider and (name == AUTO or name in {choice.name for choice in here}) else name
    needed = NEEDS.get(absent, f"a build of onnxruntime that has {absent}")
    raise UserError(f"there is no {absent} here; it takes {needed}; choose from: {', '.join(map(str, here))}")


def _fastest(path: Path, threads: int | None, provider: str | None) -> Engine:
    """The engine that the cache names for this model, or the fastest after a measurement."""
    entry = entry_of(path, threads, provider)
    known = remembered(entry)
    with suppress(UserError, KeyError):
        return make_engine(known["engine"], path, threads, known["provider"])
    choices = [choice for choice in find_engines() if choice.exact and provider in (None, choice.provider)]
    if len(choices) > 1:
        announce(f"timing {len(choices)} engines, once for this model")
    started = _started(choices, path, threads)
    engines = _matching(started, _reference(started, path, threads))
    if not engines:
        raise UserError(f"nothing on {provider} draws {path} rightly here; choose --provider {CPU}")
    times = _timed(engines, TRIAL_SIDE)
    best = min(times, key=times.__getitem__)
    remember(entry, engine=best.name, provider=best.provider)
    return engines[best]


def _started(choices: Iterable[Choice], path: Path, threads: int | None) -> dict[Choice, Engine]:
    """Those of ``choices`` that start, and load the model."""
    engines = {}
    for choice in choices:
        with suppress(UserError):
            engines[choice] = make_engine(choice.name, path, threads, choice.provider)
    return engines


def _reference(engines: Mapping[Choice, Engine], path: str | Path, threads: int | None) -> Engine:
    """The engine that others are compared with: onnxruntime on the CPU, that of ``engines`` where it is among them."""
    return engines.get(Choice(DEFAULT, CPU)) or make_engine(DEFAULT, path, threads, CPU)


def _matching(engines: Mapping[Choice, Engine], reference: Engine, least: float = MIN_PSNR) -> dict[Choice, Engine]:
    """Those of ``engines`` that draw, and whose picture has a PSNR of ``least`` dB or more to that of ``reference``."""
    found = _psnr_of(engines, reference, TRIAL_SIDE)
    return {choice: engines[choice] for choice, value in found.items() if value >= least}


def _psnr_of(engines: Mapping[Choice, Engine], reference: Engine, side: int) -> dict[Choice, float]:
    """PSNR to the picture of ``reference``, for each engine that draws one."""
    picture = _picture(reference.signature, side)
    right = reference.run(picture, _own_style(reference.signature))
    found = {}
    for choice, engine in engines.items():
        with suppress(Exception):  # whatever a driver raises: that engine is left out
            found[choice] = psnr(engine.run(picture, _own_style(engine.signature)), right)
    return found


def _timed(engines: Mapping[Choice, Engine], side: int) -> dict[Choice, float]:
    return median_milliseconds({choice: drawing(engine, side) for choice, engine in engines.items()})


def _picture(signature: Signature, side: int) -> np.ndarray:
    """A scene of ``side`` x ``side`` pixels, or of the one size that the model draws."""
    _, height, width = signature.fixed
    return draw_scene(height or side, width or side)[None]


def _own_style(signature: Signature) -> np.ndarray:
    """The weights of the model's own style, float32 (S,)."""
    return np.array([row == signature.own for row in signature.rows], np.float32)


def entry_of(model: Path, *circumstances: object) -> Path:
    """The cache file for ``model`` on this processor with these packages, under ``circumstances``, which are plain values.

    Raises:
        UserError: ``model`` cannot be read.
    """
    try:
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"no model at {model}; give an .onnx file") from error
    here = [digest, {package: version_of(package) for package in PACKAGES}, cpu_name(), os.cpu_count(), circumstances]
    folder = Path(os.environ.get("FAST_NST_CACHE") or user_cache_path("fast_nst", appauthor=False)) / "engines"
    return folder / f"{hashlib.sha256(json.dumps(here).encode()).hexdigest()[:32]}.json"


def remembered(entry: Path) -> dict[str, str]:
    """The texts in a cache file; none where it is absent or damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(entry.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
            return found
    return {}


def remember(entry: Path, **found: str) -> None:
    """Write ``found`` to a cache file; one that cannot be written is left out."""
    with suppress(UserError):
        write_text(entry, json.dumps(found) + "\n")
