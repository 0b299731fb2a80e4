"""One picture of each size under every engine and precision, against Johnson's network in PyTorch eager.

    python benchmarks/inference_speed.py --johnson 8,16,32

`fast` 48 is the base that ships, at every precision under every engine that is here; `johnson` 32 is the network of the
paper in PyTorch eager. --johnson 8,16,32 adds Johnson's networks of these widths through onnxruntime. All take turns;
`faster` is how many times as fast as PyTorch eager at the same size.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import torch
from matplotlib import pyplot
from networks import BASE, PAPERS, eager, exported, johnsons
from report import Row, Spread, parser_of, pause, run, save, save_plot, timed

from fast_nst.export.precision import to_float16, to_int8
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.engine_selection import find_engines
from fast_nst.inference.measuring import REST
from fast_nst.inference.model import Model
from fast_nst.style_rows import IDENTITY
from fast_nst.system.files import SHIPPED

NAME = "inference_speed"
EAGER = (PAPERS, "fp32", "PyTorch eager")

Label = tuple[str, str, str]  # network, precision, engine


def base_files(folder: Path, calibration: int, side: int) -> dict[str, Path]:
    """The shipped base at every precision; int8 is calibrated on a few drawn scenes, enough for its speed."""
    files = {"fp32": SHIPPED / "base.onnx", "fp16": folder / "fp16.onnx", "int8": folder / "int8.onnx"}
    model, full = Model(files["fp32"], 1), onnx.load(files["fp32"])
    rows = itertools.cycle(model.weights({row: 1.0}) for row in model.rows if row != IDENTITY)
    onnx.save(to_float16(full), files["fp16"])
    scenes = [(draw_scene(side, side, seed)[None], next(rows)) for seed in range(calibration)]
    onnx.save(to_int8(full, scenes), files["int8"])
    return files


def models(folder: Path, settings: argparse.Namespace) -> dict[Label, Model]:
    """Every model that is timed, by its label."""
    found, calibration = {}, (2, 32) if settings.quick else (9, 192)
    for precision, path in base_files(folder, *calibration).items():
        for choice in find_engines():
            found[BASE, precision, str(choice)] = Model(path, settings.threads, choice.name, choice.provider)
    for name, path in exported(johnsons(settings.johnson), folder).items():
        found[name, "fp32", "onnxruntime on cpu"] = Model(path, settings.threads, provider="cpu")
    return found


def runs(models: dict[Label, Model], size: int) -> dict[Label, Callable[[], object]]:
    """What draws one picture of ``size`` x ``size``, by label; PyTorch eager is the last."""
    picture = draw_scene(size, size)[None]
    found = {label: lambda model=model: model(picture, model.weights()) for label, model in models.items()}
    return found | {EAGER: eager(PAPERS, picture)}


def rows_of(seconds: dict[Label, Spread], size: int) -> list[Row]:
    rows = []
    for label, times in seconds.items():
        row = dict(zip(("network", "precision", "engine"), label, strict=True)) | {"size": size}
        row |= dict(zip(("milliseconds", "least", "greatest"), (1000 * value for value in times), strict=True))
        rows.append(row | {"faster": seconds[EAGER][0] / times[0]})
    return rows


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """Milliseconds of every model, a panel for each size."""
    panels = [[row for row in rows if row["size"] == size] for size in settings.sizes]
    figure, axes = pyplot.subplots(
        1, len(panels), sharey=True, squeeze=False, figsize=(5 + 3.2 * len(panels), 1.5 + 0.3 * len(panels[0]))
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        names = [f"{row['network']}, {row['precision']}, {row['engine']}" for row in panel]
        bars = axis.barh(names, [row["milliseconds"] for row in panel])
        axis.bar_label(bars, [f"{row['milliseconds']:.3g} (x {row['faster']:.3g})" for row in panel], padding=3, fontsize=8)
        axis.margins(x=0.5)
        axis.set(xscale="log", xlabel="milliseconds (times as fast)", title=f"{panel[0]['size']} x {panel[0]['size']}")
    axes[0][0].invert_yaxis()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of the pictures")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rest", type=pause, default=REST, help="seconds before each turn")
    parser.add_argument("--johnson", default="", help="widths of networks to add, as 8,16,32")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.sizes, settings.rounds = [32], 2
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        loaded = models(Path(folder), settings)
        for size in settings.sizes:
            rows += rows_of(timed(runs(loaded, size), settings.rounds, rest=settings.rest), size)
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    run(main)
