"""A checkpoint as a model at a precision, with a report: size, speed here, and likeness to fp32 on pictures.

int8 is calibrated on photographs, or on scenes that the package draws, and what is not fp32 is compared with it on others
of them, each under another row. A model is tried before it is written: at odd sizes from 16 x 16 up, one
picture at a time and in batches.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fast_nst.data.folders import find_photos
from fast_nst.errors import UserError
from fast_nst.export.onnx_graph import export_checkpoint, opset_of
from fast_nst.export.precision import to_float16, to_int8
from fast_nst.imaging.images import load_image
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.measuring import median_milliseconds, psnr
from fast_nst.inference.model import Model
from fast_nst.networks.weights import find_weights
from fast_nst.settings.export import WEIGHTS, ExportSettings
from fast_nst.style_rows import IDENTITY
from fast_nst.system.files import atomic_path, check_writable

CALIBRATION, HELD_OUT = 32, 8  # pictures
LONG_SIDE = 384
LEAST_SIDE = 64
TIMED_SIDE = 512
REPORT = ".report.json"
BAR = 30.0  # dB under which a model is not written unasked
SAME = 45.0  # dB between a picture drawn alone and in a batch: float sums of another order move a few 8-bit roundings
TRIED_SIZES = ((16, 16), (17, 31), (50, 39))


@dataclass(frozen=True)
class Pictures:
    """What int8 is calibrated on, and what precisions are compared on: uint8 RGB (H, W, 3), of ``source``."""

    source: str
    calibration: Sequence[np.ndarray] = ()
    held_out: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class Report:
    """What a written model is.

    Attributes:
        precision, opset, bytes: of the file.
        milliseconds, milliseconds_fp32: median for 512 x 512 pixels here, with onnxruntime on all cores.
        calibrated_on, compared_on: how many pictures of what; those are never these.
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
            lines.append(f"  likeness   {self._likeness()} to fp32 on {self.compared_on}")
        if self.calibrated_on:
            lines.append(f"  ranges     from {self.calibrated_on}, others than those")
        return "\n".join(lines)

    def _likeness(self) -> str:
        if self.psnr is None:
            return "equal"
        return f"{self.psnr:.1f} dB (at worst {self.psnr_worst:.1f} dB, one value by {self.largest_difference}/255)"


def export_model(settings: ExportSettings) -> Report | None:
    """Write a checkpoint as ``settings`` say, and a report beside a model; weights alone get none.

    Raises:
        UserError: no such checkpoint or photographs, a file that cannot be written, or a model too unlike fp32.
    """
    output = Path(settings.output)
    check_writable(output)
    find_weights(settings.checkpoint)  # a wrong path is told before any work
    if output.suffix == WEIGHTS:
        return export_checkpoint(settings.checkpoint, output, settings.name)
    pictures = find_pictures(settings.precision, settings.data)
    with tempfile.TemporaryDirectory() as folder:
        full, draft = Path(folder) / "fp32.onnx", Path(folder) / "draft.onnx"
        export_checkpoint(settings.checkpoint, full, settings.name, settings.opset)
        onnx.save(_converted(settings.precision, full, pictures), draft)
        _try_out(draft)
        report = _measured(settings.precision, full, draft, pictures)
        if report.psnr is not None and report.psnr < BAR and not settings.force:
            raise UserError(
                f"{output} not written: {report.precision} is {report.psnr:.1f} dB from fp32 on {report.compared_on}, under "
                f"{BAR:g} dB; take another --precision or other --data, or write it all the same with --force"
            )
        _write(draft, output, report)
    return report


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
        raise UserError(f"--data has {len(found)} photographs of {LEAST_SIDE}x{LEAST_SIDE} pixels or more; add some")
    every = 1 + CALIBRATION // HELD_OUT
    return Pictures(source, [pixels for place, pixels in enumerate(found) if place % every], found[::every])


def _photographs(paths: Sequence[Path], count: int) -> list[np.ndarray]:
    """At most ``count`` of the photographs, from all over ``paths``; damaged and tiny ones are left out."""
    found = []
    for path in paths[:: math.ceil(len(paths) / count)]:
        with suppress(UserError):
            found.append(load_image(path, LONG_SIDE))
    return [pixels for pixels in found if min(pixels.shape[:2]) >= LEAST_SIDE]


def _converted(precision: str, full: Path, pictures: Pictures) -> onnx.ModelProto:
    model = onnx.load(full)
    if precision == "fp32":
        return model
    if precision == "fp16":
        return to_float16(model)
    return to_int8(model, _under_rows(pictures.calibration, Model(full)))


def _under_rows(pictures: Sequence[np.ndarray], model: Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each picture (1, H, W, 3) with the weights of a row (S,), all but ``identity`` in turn."""
    rows = [row for row in model.rows if row != IDENTITY]
    return [(pixels[None], model.weights({row: 1.0})) for pixels, row in zip(pictures, cycle(rows), strict=False)]


def _try_out(path: Path) -> None:
    """Raise a UserError unless the model is valid, and draws pictures alone as it does in a batch, at odd sizes too."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    model = Model(path)
    for height, width in TRIED_SIZES:
        batch = np.stack([draw_scene(height, width, seed) for seed in range(3)])
        together = model(batch, model.weights())
        alone = np.concatenate([model(batch[place : place + 1], model.weights()) for place in range(len(batch))])
        if together.shape != batch.shape or psnr(together, alone) < SAME:
            raise UserError(f"the model draws pictures of {width}x{height} otherwise in a batch; take another --precision")


def _measured(precision: str, full: Path, draft: Path, pictures: Pictures) -> Report:
    models = {"fp32": Model(full), precision: Model(draft)}
    square = draw_scene(TIMED_SIDE, TIMED_SIDE)[None]
    times = median_milliseconds({name: lambda model=model: model(square, model.weights()) for name, model in models.items()})
    report = Report(
        precision,
        opset_of(onnx.load(draft)),
        draft.stat().st_size,
        round(times[precision], 1),
        round(times["fp32"], 1),
        f"{len(pictures.calibration)} {pictures.source}" if pictures.calibration else "",
        f"{len(pictures.held_out)} {pictures.source}" if pictures.held_out else "",
    )
    samples = _under_rows(pictures.held_out, models["fp32"])
    pairs = [(models[precision](*sample).astype(int), models["fp32"](*sample)) for sample in samples]
    return replace(report, **_differences(pairs)) if pairs else report


def _differences(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    first, second = (np.concatenate([picture.ravel() for picture in side]) for side in zip(*pairs, strict=True))
    if np.array_equal(first, second):
        return {}
    worst = min(psnr(*pair) for pair in pairs)
    return {
        "psnr": round(psnr(first, second), 1),
        "psnr_worst": round(worst, 1),
        "largest_difference": int(np.abs(first - second).max()),
    }


def _write(draft: Path, output: Path, report: Report) -> None:
    """The model and its report, each whole, one after the other."""
    with atomic_path(output) as model, atomic_path(output.with_suffix(REPORT)) as text:
        shutil.copyfile(draft, model)
        text.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
