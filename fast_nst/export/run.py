"""The command ``export``: a checkpoint as an ONNX model at a precision, with a report beside it.

A model is tried before it is written: one picture at a time and in batches, at odd sizes from 16 x 16 up.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import onnx
from onnx import ModelProto

from fast_nst.errors import UserError, escape_name
from fast_nst.export.interface import description, with_floats, with_size
from fast_nst.export.precision import to_float16, to_int8
from fast_nst.export.report import ODD_SIZE, Pictures, Report, compare, find_pictures, measure, try_model, under_rows
from fast_nst.inference.model import Model
from fast_nst.settings.export import BASE, SHIPPED_NETWORKS, WEIGHTS, ExportSettings
from fast_nst.stylize.library import find_styles
from fast_nst.system.files import atomic_path, check_new, check_readable, write_text
from fast_nst.system.progress import announce

REPORT, DESCRIPTION = ".report.json", ".json"
MIN_PSNR = 30.0  # dB under which a model is written only with --force


def export_model(settings: ExportSettings) -> Report | None:
    """Write a checkpoint as ``settings`` say, and a report beside a model; weights alone get none.

    Raises:
        UserError: no such checkpoint or photographs, a file that exists or cannot be written, or a model whose pictures
            differ too much from fp32.
    """
    output = Path(settings.output)
    for path in _outputs(settings):
        check_new(path, settings.overwrite)
    _check_checkpoint(settings.checkpoint)
    announce(f"loading {escape_name(settings.checkpoint)}")
    if output.suffix == WEIGHTS:
        _trace(settings, output)
        return None
    pictures = find_pictures(settings.precision, settings.data)
    with tempfile.TemporaryDirectory() as folder:
        full, draft = Path(folder) / "fp32.onnx", Path(folder) / "draft.onnx"
        _trace(settings, full)
        if settings.precision != "fp32":
            announce(f"converting to {settings.precision}")
        onnx.save(_converted(settings.precision, full, pictures), draft)
        announce("measuring")
        try_model(draft)
        report = measure(settings.precision, full, draft, pictures)
        if report.psnr is not None and report.psnr < MIN_PSNR and not settings.force:
            raise UserError(
                f"{output} not written: {report.precision} is {report.psnr:.1f} dB from fp32 on {report.compared_on}, under "
                f"{MIN_PSNR:g} dB; take another --precision or other --data, or write it all the same with --force"
            )
        _adapt(draft, settings)
        report = replace(report, bytes=draft.stat().st_size)
        _write(draft, settings, report)
    return report


def _outputs(settings: ExportSettings) -> list[Path]:
    """The files that an export writes."""
    output = Path(settings.output)
    if output.suffix == WEIGHTS:
        return [output]
    return [output, output.with_suffix(REPORT), *([output.with_suffix(DESCRIPTION)] * settings.describe)]


def _check_checkpoint(source: str) -> None:
    """Raise a UserError unless ``source`` can be read; PyTorch, which takes seconds to import, is not needed for that."""
    if not os.path.lexists(source) and source in (styles := find_styles()):
        kind = "was added as" if styles[source].added else "ships in"
        raise UserError(
            f"{source} is a style, which {kind} the ONNX model {escape_name(styles[source].model)} already; export takes a "
            f"run's folder, a .ckpt, .pth or .model file, or {BASE} for all styles that ship"
        )
    if source not in SHIPPED_NETWORKS:
        check_readable(Path(source, "last.ckpt") if os.path.isdir(source) else source, "checkpoint")


def _trace(settings: ExportSettings, output: Path) -> None:
    from fast_nst.export.onnx_graph import export_checkpoint

    export_checkpoint(settings.checkpoint, output, settings.name, settings.opset)


def _converted(precision: str, full: Path, pictures: Pictures) -> ModelProto:
    model = onnx.load(full)
    if precision == "fp32":
        return model
    if precision == "fp16":
        return to_float16(model)
    return to_int8(model, under_rows(pictures.calibration, Model(full)))


def _adapt(draft: Path, settings: ExportSettings) -> None:
    """Give the model in ``draft`` the pixels and the size that ``settings`` ask for."""
    model, size = onnx.load(draft), settings.width_and_height()
    adapted = with_floats(model) if settings.pixels == "float32" else model
    adapted = with_size(adapted, *size) if size else adapted
    if adapted is not model:
        compare(adapted, model, size or ODD_SIZE)
        onnx.save(adapted, draft)


def _write(draft: Path, settings: ExportSettings, report: Report) -> None:
    """The model and what lies beside it, each whole."""
    output = Path(settings.output)
    with atomic_path(output) as model:
        shutil.copyfile(draft, model)
    write_text(output.with_suffix(REPORT), json.dumps(asdict(report), indent=2) + "\n")
    if settings.describe:
        text = json.dumps(description(onnx.load(draft)), indent=2, ensure_ascii=False)
        write_text(output.with_suffix(DESCRIPTION), text + "\n")
