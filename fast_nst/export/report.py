"""Report on an exported model: its size, its speed here, and how its pictures differ from those in fp32.

int8 is calibrated on photographs, or on scenes that the package draws; fp16 and int8 are compared with fp32 on others of
them, each under another row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from fast_nst.data.folders import find_photos
from fast_nst.errors import UserError
from fast_nst.imaging.images import load_image
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.measuring import median_milliseconds, psnr
from fast_nst.inference.model import Model
from fast_nst.inference.onnx_validation import opset_of
from fast_nst.style_rows import IDENTITY

CALIBRATION, HELD_OUT = 32, 8  # pictures
LONG_SIDE = 384
MIN_SIDE = 64
TIMED_SIDE = 512
SAME = 45.0  # dB between a picture drawn alone and in a batch: float sums of another order move a few 8-bit roundings
TRIED_SIZES = ((16, 16), (17, 31), (50, 39))
ODD_SIZE = (67, 45)  # width and height


@dataclass(frozen=True)
class Pictures:
    """Pictures to calibrate int8 on and to compare precisions on, uint8 RGB (H, W, 3), all from ``source``."""

    source: str
    calibration: Sequence[np.ndarray] = ()
    held_out: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class Report:
    """Size, speed and difference from fp32 of a written model.

    Attributes:
        precision, opset, bytes: of the file.
        milliseconds, milliseconds_fp32: median for 512 x 512 pixels here, with onnxruntime on all cores.
        calibrated_on, compared_on: how many pictures of which source; no picture serves for both.
        psnr: dB between its pictures and those in fp32, from the mean square over all; None where they are equal.
        psnr_worst: of the picture that differs most.
        largest_difference: of one value, of 255.
    """

    precision: str
    opset: int
    bytes: int
    milliseconds: float
    milliseconds_fp32: float
    calibrated_on: str = ""
    compared_on: str = ""
    psnr: float | None = None
    psnr_worst: float | None = None
    largest_difference: int = 0

    def text(self) -> str:
        """The report as lines to read."""
        lines = [
            f"  precision  {self.precision}, opset {self.opset}",
            f"  size       {self.bytes:,} bytes",
            f"  speed      {self.milliseconds:.1f} ms here for {TIMED_SIDE} x {TIMED_SIDE} pixels"
            + ("" if self.precision == "fp32" else f", fp32 {self.milliseconds_fp32:.1f} ms"),
        ]
        if self.compared_on:
            lines.append(f"  difference {self._difference()} from fp32 on {self.compared_on}")
        if self.calibrated_on:
            lines.append(f"  ranges     from {self.calibrated_on}, others than those")
        return "\n".join(lines)

    def _difference(self) -> str:
        if self.psnr is None:
            return "none"
        return f"{self.psnr:.1f} dB PSNR (at worst {self.psnr_worst:.1f} dB, one value by {self.largest_difference}/255)"


def find_pictures(precision: str, data: str | list[str] | None) -> Pictures:
    """The pictures that ``precision`` needs, their longer side ``LONG_SIDE`` at most; a fifth of int8's are held out.

    Args:
        precision: fp32, fp16 or int8.
        data: folders of photographs; None is scenes that the package draws.
    Raises:
        UserError: too few photographs that can be read.
    """
    if precision == "fp32":
        return Pictures("")
    count = HELD_OUT + CALIBRATION * (precision == "int8")
    if data is None:
        source, found = "scenes drawn by fast_nst", [draw_scene(LONG_SIDE, LONG_SIDE, seed) for seed in range(count)]
    else:
        source, found = "photographs", _photographs(find_photos(data), count)
    if precision == "fp16" and found:
        return Pictures(source, (), found)
    if len(found) < 2:
        raise UserError(f"--data has {len(found)} photographs of {MIN_SIDE}x{MIN_SIDE} pixels or more; add some")
    every = 1 + CALIBRATION // HELD_OUT
    return Pictures(source, [pixels for place, pixels in enumerate(found) if place % every], found[::every])


def _photographs(paths: Sequence[Path], count: int) -> list[np.ndarray]:
    """At most ``count`` photographs, evenly from ``paths``; damaged and tiny ones are left out."""
    found = []
    for path in paths[:: math.ceil(len(paths) / count)]:
        with suppress(UserError):
            found.append(load_image(path, LONG_SIDE))
    return [pixels for pixels in found if min(pixels.shape[:2]) >= MIN_SIDE]


def under_rows(pictures: Sequence[np.ndarray], model: Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each picture (1, H, W, 3) with the weights of a row (S,), all but ``identity`` in turn."""
    rows = [row for row in model.rows if row != IDENTITY]
    return [(pixels[None], model.weights({row: 1.0})) for pixels, row in zip(pictures, cycle(rows), strict=False)]


def try_model(path: Path) -> None:
    """Raise a UserError unless the model is valid and draws pictures alone as in a batch, at odd sizes too."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    model = Model(path)
    for height, width in TRIED_SIZES:
        batch = np.stack([draw_scene(height, width, seed) for seed in range(3)])
        together = model(batch, model.weights())
        alone = np.concatenate([model(batch[place : place + 1], model.weights()) for place in range(len(batch))])
        if together.shape != batch.shape or psnr(together, alone) < SAME:
            raise UserError(f"the model draws pictures of {width}x{height} otherwise in a batch; take another --precision")


def compare(adapted: ModelProto, model: ModelProto, size: tuple[int, int]) -> None:
    """Raise a UserError unless ``adapted`` is valid and draws a scene of ``size`` (width, height) as ``model`` does.

    Args:
        adapted: a model of uint8 or float32 pixels, as ``interface`` makes it.
        model: the same with uint8 pixels.
    """
    onnx.checker.check_model(adapted, full_check=True)
    scene = draw_scene(size[1], size[0])[None]
    rows = next(value for value in model.graph.input if value.name == "style").type.tensor_type.shape.dim[0].dim_value
    style = np.full(rows, 1 / rows, np.float32)
    right, found = (_drawn(one, scene, style) for one in (model, adapted))
    worst = np.abs(found - right).max() if found.shape == right.shape else 255.0
    if worst > 1:
        raise UserError(f"the model of other pixels or size differs by {worst:.0f}/255; nothing written")


def _drawn(model: ModelProto, scene: np.ndarray, style: np.ndarray) -> np.ndarray:
    """The picture of ``scene`` uint8 (1, H, W, 3), float in [0, 255], from a model of uint8 or float32 pixels."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    if session.get_inputs()[0].type == "tensor(uint8)":
        return session.run(None, {"image": scene, "style": style})[0].astype(np.float32)
    photos = scene.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return session.run(None, {"image": photos, "style": style})[0].transpose(0, 2, 3, 1) * 255


def measure(precision: str, full: Path, draft: Path, pictures: Pictures) -> Report:
    """The report on the model ``draft`` at ``precision``, against ``full`` in fp32."""
    models = {"fp32": Model(full), precision: Model(draft)}
    square = draw_scene(TIMED_SIDE, TIMED_SIDE)[None]
    times = median_milliseconds({name: partial(model, square, model.weights()) for name, model in models.items()})
    report = Report(
        precision,
        opset_of(onnx.load(draft)),
        draft.stat().st_size,
        round(times[precision], 1),
        round(times["fp32"], 1),
        f"{len(pictures.calibration)} {pictures.source}" if pictures.calibration else "",
        f"{len(pictures.held_out)} {pictures.source}" if pictures.held_out else "",
    )
    samples = under_rows(pictures.held_out, models["fp32"])
    pairs = [(models[precision](*sample).astype(int), models["fp32"](*sample)) for sample in samples]
    return replace(report, **difference(pairs)) if pairs else report


def difference(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """The fields of a report that tell how the pictures of each pair differ; none where they are equal."""
    first, second = (np.concatenate([picture.ravel() for picture in side]) for side in zip(*pairs, strict=True))
    if np.array_equal(first, second):
        return {}
    worst = min(psnr(*pair) for pair in pairs)
    return {
        "psnr": round(psnr(first, second), 1),
        "psnr_worst": round(worst, 1),
        "largest_difference": int(np.abs(first - second).max()),
    }
