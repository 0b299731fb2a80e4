"""Johnson et al. (2016), Table 1: seconds of per-image optimization against one pass of the feed-forward network.

    python benchmarks/johnson_table1.py --vgg19 vgg19_features.safetensors

Optimization is this package's fastest, L-BFGS under lite or, with --vgg19, under VGG-19; the network is the base that ships,
through onnxruntime and through the fastest exact engine here. Square pictures, one machine, all taking turns. --bfloat16
speeds up the optimization on processors that have it.

The seconds of 100, 300 and 500 iterations are so many times the median of a few (the column `measured_iterations`), timed
after L-BFGS has filled its history, when all iterations cost the same. An iteration evaluates the objective once, and once
more when a step is undone; `evaluations` is the number per iteration. Freed memory is kept, as in `fast-nst optimize`.
Loading, and the targets of photograph and painting, are not timed. The paper's row (GTX Titan X) stands beside ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import skimage.data
import torch
from matplotlib import pyplot
from PIL import Image
from report import Row, Spread, parser_of, run, save, save_plot, timed
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.inference.engine_selection import find_engines
from fast_nst.inference.model import Model
from fast_nst.losses.image_loss import ImageLoss, Style
from fast_nst.losses.terms import layers_of
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.optimization.descent import Descent
from fast_nst.settings.train import LossSettings
from fast_nst.system.allocator import keep_freed_memory
from fast_nst.system.files import SHIPPED

NAME, STYLE = "johnson_table1", "starry_night"
ITERATIONS, HISTORY = (100, 300, 500), 20
DEFAULT = "onnxruntime on cpu"
PAPER = {  # side -> seconds of 100, 300 and 500 iterations, of the network, and how many times faster it is
    256: ((3.17, 9.52, 15.86), 0.015, (212, 636, 1060)),
    512: ((10.97, 32.91, 54.85), 0.05, (205, 615, 1026)),
    1024: ((42.89, 128.66, 214.44), 0.21, (208, 625, 1042)),
}
PAPER_COLUMNS = ("paper_optimization_s", "paper_network_s", "paper_speed_up")


def picture(size: int) -> np.ndarray:
    """scikit-image's astronaut, uint8 RGB (size, size, 3)."""
    return np.asarray(Image.fromarray(skimage.data.astronaut()).resize((size, size), Image.Resampling.LANCZOS))


def descent_of(photo: np.ndarray, vgg19: Path | None, bfloat16: bool) -> Descent:
    """L-BFGS from the photograph, its history full."""
    name, settings = "vgg19" if vgg19 else "lite", LossSettings(content="squared")
    content, style = layers_of(name, settings)
    network = LossNetwork(name, (*content, *style), vgg19).to(memory_format=torch.channels_last)
    painting = to_tensor(np.asarray(Image.fromarray(draw_style("impasto", 1)).resize(photo.shape[1::-1])))[None]
    start = to_tensor(photo)[None]
    loss = ImageLoss(network, start, [Style(painting)], settings, bfloat16=bfloat16)
    descent = Descent(loss, start, history=HISTORY)
    for _ in range(HISTORY + 1):
        descent.step()
    return descent


def engines(threads: int) -> dict[str, Model]:
    """The shipped base under every exact engine that starts here, by name."""
    found = {}
    for choice in find_engines():
        if choice.exact:
            with suppress(UserError):
                found[str(choice)] = Model(SHIPPED / "base.onnx", threads, choice.name, choice.provider)
    return found


def rows_of(size: int, models: Mapping[str, Model], settings: argparse.Namespace) -> list[Row]:
    """A row for each number of iterations, against onnxruntime on the CPU and against the fastest engine."""
    photo = picture(size)
    descent = descent_of(photo, settings.vgg19, settings.bfloat16)
    evaluations, iterations = descent.evaluations, descent.iteration
    drawn = {name: lambda model=model: model(photo[None], model.weights({STYLE: 1.0})) for name, model in models.items()}
    seconds = timed({"step": descent.step} | drawn, settings.rounds)
    evaluations = (descent.evaluations - evaluations) / (descent.iteration - iterations)
    fastest = min(models, key=lambda name: seconds[name][0])
    judge = ("vgg19" if settings.vgg19 else "lite") + (" bf16" if settings.bfloat16 else "")
    rows = []
    for engine in dict.fromkeys((DEFAULT, fastest)):
        for count in ITERATIONS:
            found = {"size": size, "judge": judge, "iterations": count}
            found |= {"measured_iterations": settings.rounds, "evaluations": round(evaluations, 3), "engine": engine}
            rows.append(found | _compared(count, seconds["step"], seconds[engine]) | _paper(size, count))
    return rows


def _compared(count: int, step: Spread, network: Spread) -> Row:
    optimization = dict(zip(("optimization_s", "optimization_least_s", "optimization_greatest_s"), step, strict=True))
    row = {name: count * value for name, value in optimization.items()}
    row |= dict(zip(("network_s", "network_least_s", "network_greatest_s"), network, strict=True))
    return row | {"speed_up": count * step[0] / network[0]}


def _paper(size: int, count: int) -> Row:
    """The same three numbers of the paper, empty for sizes that it does not have."""
    optimization, network, speed_up = PAPER.get(size, ([None] * 3, None, [None] * 3))
    place = ITERATIONS.index(count)
    return dict(zip(PAPER_COLUMNS, (optimization[place], network, speed_up[place]), strict=True))


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """Seconds by size: optimization and network, ours and, dotted, the paper's."""
    figure, axes = pyplot.subplots(figsize=(9, 5))
    lines = {("optimization", row["iterations"]): f"L-BFGS, {row['iterations']} iterations" for row in rows}
    lines |= {("network", row["engine"]): f"network, {row['engine']}" for row in rows}
    for color, ((what, which), label) in zip(pyplot.colormaps["tab10"].colors, lines.items(), strict=False):
        shown = {row["size"]: row for row in rows if which in (row["iterations"], row["engine"])}
        axes.plot(list(shown), [row[f"{what}_s"] for row in shown.values()], "o-", color=color, label=label)
        paper = {size: row[f"paper_{what}_s"] for size, row in shown.items() if size in PAPER}
        axes.plot(list(paper), list(paper.values()), "x:", color=color)
    sizes = sorted({row["size"] for row in rows})
    axes.set(xlabel="side in pixels (dotted: the paper, on a GTX Titan X)", ylabel="seconds", xscale="log", yscale="log")
    axes.set_xticks(sizes, list(map(str, sizes)))
    axes.minorticks_off()
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=15, help="iterations, and pictures of each engine, that are timed")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys (none: under lite)")
    parser.add_argument("--bfloat16", action="store_true", help="run the loss network in bfloat16")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.sizes, settings.rounds = [32, 64], 2
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    models = engines(settings.threads)
    rows = [row for size in tqdm(settings.sizes, unit="size") for row in rows_of(size, models, settings)]
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    run(main)
