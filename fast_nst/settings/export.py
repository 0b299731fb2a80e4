"""Settings of ``fast-nst export``, with their ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fast_nst.errors import UserError
from fast_nst.settings.validation import in_range

OPSET = 20
OPSETS = (18, 25)  # lower ones lack operators; the exporter does not write higher ones itself
MODEL, WEIGHTS = ".onnx", ".safetensors"
SIDES = (16, 8192)  # pixels a side of a model of one size
BASE, MANY = SHIPPED_NETWORKS = ("base", "many")  # of nine styles, which stylize draws, and of two hundred, to start from


@dataclass
class ExportSettings:
    """Write a checkpoint as an ONNX model: a picture and row weights in, a picture out.

    Attributes:
        checkpoint: a run's folder, a .ckpt file, a .pth or .model file of pytorch/examples fast_neural_style, or base or
            many, which ship in the package.
        output: the .onnx file to write, or a .safetensors file for the weights alone, in float16. Beside a model, a
            .report.json file has its size, its speed here, and its difference from fp32.
        name: the model's name in its metadata (none: the checkpoint's).
        precision: fp32; fp16, half the size, for GPUs; or int8, a third of the size, with 8-bit convolutions, for CPUs.
        pixels: uint8, (batch, height, width, 3), as pictures are decoded; or float32, (batch, 3, height, width) in [0, 1],
            for runtimes without uint8, such as Core ML and Unity. fast-nst itself draws with uint8 models.
        size: the one size that the model draws, as 512x384 (width x height), for runtimes that need fixed shapes (none:
            any).
        opset: version of ONNX's operators.
        data: folders of photographs that int8 is calibrated on, and that fp16 and int8 are compared with fp32 on (none:
            scenes that the package draws).
        describe: write a .json file beside the model with its name, rows, credits, inputs and outputs, which are also in its
            metadata.
        force: write a model although its pictures are under 30 dB from those in fp32.
        overwrite: replace files that exist.
    """

    checkpoint: str
    output: str
    name: str | None = None
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    pixels: Literal["uint8", "float32"] = "uint8"
    size: str | None = None
    opset: int = OPSET
    data: str | list[str] | None = None
    describe: bool = False
    force: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        in_range("opset", self.opset, *OPSETS)
        suffix = Path(self.output).suffix
        if suffix not in (MODEL, WEIGHTS):
            raise UserError(f"cannot write {self.output}: an ONNX file's name ends in {MODEL}, weights' in {WEIGHTS}")
        if suffix == WEIGHTS and self.precision == "int8":
            raise UserError(f"a {WEIGHTS} file holds float16 weights; for --precision int8 name an {MODEL} file as --output")
        self.width_and_height()

    def width_and_height(self) -> tuple[int, int] | None:
        """``size`` as numbers; None is any size.

        Raises:
            UserError: not WIDTHxHEIGHT, or a side out of ``SIDES``.
        """
        if self.size is None:
            return None
        if not re.fullmatch(r"\d{1,6}x\d{1,6}", str(self.size)):
            raise UserError(f"size needs to be WIDTHxHEIGHT, as 512x384, got {self.size}")
        width, height = map(int, self.size.split("x"))
        for side in (width, height):
            in_range("a side of size", side, *SIDES)
        return width, height
