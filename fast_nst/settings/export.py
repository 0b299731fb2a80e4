"""What ``fast-nst export`` can be told, with the ranges that make sense."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fast_nst.errors import UserError
from fast_nst.settings.validation import in_range

OPSET = 20
OPSETS = (18, 25)  # lower ones lack operators; higher ones are not written by the exporter itself
MODEL, WEIGHTS = ".onnx", ".safetensors"


@dataclass
class ExportSettings:
    """Write a checkpoint as an ONNX model: picture in, picture out, any size.

    Attributes:
        checkpoint: a run's folder, a .ckpt file, a .pth or .model file of pytorch/examples fast_neural_style, or base, which
            ships in the package.
        output: the .onnx file to write, or a .safetensors file for the weights alone, in float16. Beside a model, a
            .report.json file tells its size, speed and likeness.
        name: the model's name in its metadata (none: the checkpoint's).
        precision: fp32; fp16, half the size, for graphics processors; or int8, a third of the size, whose convolutions
            are in 8 bits, for processors, with OpenVINO above all.
        opset: version of ONNX's operators.
        data: folders of photographs that int8 is calibrated on, and that fp16 and int8 are compared with fp32 on (none:
            scenes that the package draws).
        force: write a model although its pictures are under 30 dB from those in fp32.
    """

    checkpoint: str
    output: str
    name: str | None = None
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: int = OPSET
    data: str | list[str] | None = None
    force: bool = False

    def __post_init__(self) -> None:
        in_range("opset", self.opset, *OPSETS)
        suffix = Path(self.output).suffix
        if suffix not in (MODEL, WEIGHTS):
            raise UserError(f"cannot write {self.output}: an ONNX file's name ends in {MODEL}, weights' in {WEIGHTS}")
        if suffix == WEIGHTS and self.precision == "int8":
            raise UserError(f"a {WEIGHTS} file holds float16 weights; for --precision int8 name an {MODEL} file as --output")
