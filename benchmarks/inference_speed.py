"""One picture of 256 x 256 and of 512 x 512 under every engine and precision, against Johnson's network in PyTorch eager.

    python benchmarks/inference_speed.py [--threads 2] [--rounds 9] [--johnson 8,16,32]

`fast` 48 is the base that ships, at every precision under every engine that is here; `johnson` 32 is the network of the
paper in PyTorch eager. --johnson 8,16,32 adds Johnson's networks of these widths through onnxruntime. Johnson's weights are
random, as a multiplication takes as long with any number. All take turns; medians, as a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import torch

from fast_nst.conversions import to_float16, to_int8
from fast_nst.drawing import draw_scene
from fast_nst.engine_cache import cpu_name
from fast_nst.engines import find_engines
from fast_nst.export import export_onnx
from fast_nst.measuring import markdown_table, median_milliseconds
from fast_nst.models import Model
from fast_nst.networks.transformer_net import TransformerNet, macs
from fast_nst.settings import IDENTITY
from fast_nst.styles import SHIPPED

SIDES = (256, 512)
EAGER = ("johnson 32", "fp32", "PyTorch eager")

Label = tuple[str, str, str]  # network, precision, engine
Drawn = Callable[[], object]


def base_files(folder: Path) -> dict[str, Path]:
    """The shipped base at every precision; int8 is calibrated on a few drawn scenes, enough for its speed."""
    files = {"fp32": SHIPPED / "base.onnx", "fp16": folder / "fp16.onnx", "int8": folder / "int8.onnx"}
    model, full = Model(files["fp32"], 1), onnx.load(files["fp32"])
    rows = itertools.cycle(model.weights({row: 1.0}) for row in model.rows if row != IDENTITY)
    onnx.save(to_float16(full), files["fp16"])
    onnx.save(to_int8(full, [(draw_scene(192, 192, seed)[None], next(rows)) for seed in range(9)]), files["int8"])
    return files


def models(folder: Path, widths: list[int], threads: int) -> dict[Label, Model]:
    """Every model that is timed, by its label."""
    found = {}
    for precision, path in base_files(folder).items():
        for choice in find_engines():
            label = ("fast 48", precision, f"{choice.name} on {choice.provider}")
            found[label] = Model(path, threads, choice.name, choice.provider)
    for width in widths:
        export_onnx(TransformerNet("johnson", width).eval(), folder / f"johnson_{width}.onnx", "johnson")
        found[f"johnson {width}", "fp32", "onnxruntime on cpu"] = Model(
            folder / f"johnson_{width}.onnx", threads, provider="cpu"
        )
    return found


def runs(models: dict[Label, Model], side: int) -> dict[Label, Drawn]:
    """What draws one picture of ``side`` x ``side``, by label; PyTorch eager is the last."""
    picture = draw_scene(side, side)[None]
    found: dict[Label, Drawn] = {
        label: lambda model=model: model(picture, model.weights()) for label, model in models.items()
    }
    network, photo = TransformerNet("johnson", 32).eval(), torch.from_numpy(picture).permute(0, 3, 1, 2) / 255

    @torch.no_grad()
    def eager() -> torch.Tensor:
        return network(photo)

    return found | {EAGER: eager}


def table(milliseconds: list[dict[Label, float]]) -> str:
    """A row for each model, with the speed-up over PyTorch eager at the larger side."""
    rows, slowest = [], milliseconds[-1][EAGER]
    for label, last in milliseconds[-1].items():
        rows.append([*label, *(f"{found[label]:.1f} ms" for found in milliseconds), f"{slowest / last:.1f} x"])
    sides = [f"{side} x {side}" for side in SIDES]
    return markdown_table(["network", "precision", "engine", *sides, "faster"], rows, names=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--johnson", default="", help="widths of networks to add, as 8,16,32")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    widths = [int(width) for width in settings.johnson.split(",") if width]
    with tempfile.TemporaryDirectory() as folder:
        loaded = models(Path(folder), widths, settings.threads)
        milliseconds = [median_milliseconds(runs(loaded, side), settings.rounds) for side in SIDES]
    networks = (("fast", 48), ("johnson", 32))
    work = ", ".join(f"{macs(TransformerNet(*one), 256, 256) / 1e9:.2f} G for {one[0]} {one[1]}" for one in networks)
    print(f"{cpu_name()}, {settings.threads} threads, medians of {settings.rounds}")
    print(f"multiply-accumulates at 256 x 256: {work}")
    print(f"\n{table(milliseconds)}")


if __name__ == "__main__":
    main()
