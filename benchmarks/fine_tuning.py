"""A new painting from the shipped base, beside the same network from nothing: the objective over minutes of training.

    python benchmarks/fine_tuning.py --photos coco train --held_out val --vgg19 vgg19_features.safetensors

Five runs, one after the other, as `fast-nst train` makes them but for the sizes:

nothing      from nothing
brief        likewise, in as many steps as from the base
all          from the base, all of the network (`--from base`)
unrefreshed  likewise, from kernels as long as the base's (`--from base --optimizer.refresh false`)
row          from the base, the new style's own row alone (`--from base --finetune norm`)

The painting is a night that the package draws and no base has seen, or --style. Every checkpoint is measured on held-out
photographs, at strength 1 and under the border of the training: by lite, which trains them all, and by VGG-19 with --vgg19.
The runs lie in --runs; one that was stopped there goes on, and one that is finished is measured again and not made again.
Writes fine_tuning.csv, .png and .json, with --only of the named runs alone; seconds are the run's own until that checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from held_out import held_out
from matplotlib import pyplot
from report import Row, parser_of, publish, run, save_plot
from torch import Tensor

from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import open_image, resize_long_side, save_image
from fast_nst.imaging.synthetic import draw_painting
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.networks.weights import load_network
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.training.run import train

NAME = "fine_tuning"
RUNS = {
    "nothing": {},
    "brief": {},
    "all": {"base": "base"},
    "unrefreshed": {"base": "base", "optimizer": OptimizerSettings(refresh=False)},
    "row": {"base": "base", "finetune": "norm"},
}
GOAL = 1.1  # of the objective that the run from nothing ends with


def settings_of(name: str, painting: Path, settings: argparse.Namespace) -> TrainSettings:
    """The run ``name``, with ten checkpoints at most."""
    steps = dict(zip(RUNS, settings.steps, strict=True))[name]
    photos = [str(folder) for folder in settings.photos or []] or None
    return TrainSettings(
        style=str(painting),
        data=photos,
        name=name,
        checkpoints=str(settings.runs),
        image_size=settings.size,
        batch_size=settings.batch,
        steps=steps,
        checkpoint_every=-(-steps // 10),
        workers=settings.workers,
        seed=settings.seed,
        resume=(settings.runs / name / "config.yaml").exists(),
        **RUNS[name],
    )


def judges_of(painting: Path, settings: argparse.Namespace) -> dict[str, PerceptualLoss]:
    """Name of a loss network -> the objective under it."""
    pixels = np.asarray(resize_long_side(open_image(painting), TrainSettings().style_size))
    weights = {"lite": None} | ({"vgg19": settings.vgg19} if settings.vgg19 else {})
    border, style = TrainSettings(image_size=settings.size).border(), [to_tensor(pixels)]
    return {name: perceptual_loss(name, path, style, LossSettings(), border) for name, path in weights.items()}


@torch.no_grad()
def measured(checkpoint: Path, judges: Mapping[str, PerceptualLoss], photos: Sequence[Tensor]) -> Row:
    """Step and seconds of ``checkpoint``; objective and style term by each judge and structure r, means over ``photos``."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = load_network(str(checkpoint))
    pictures, found = [network(photo).clamp(0, 1) for photo in photos], {}
    for name, judge in judges.items():
        terms = [judge(picture, photo) for picture, photo in zip(pictures, photos, strict=True)]
        for term, label in (("total", "objective"), ("style", "style"), ("structure", "r")):
            found[f"{name} {label}"] = round(float(np.mean([getattr(one, term).item() for one in terms])), 4)
    return {"step": saved["global_step"], "seconds": round(saved["callbacks"]["Record"]["seconds"], 3)} | found


def measurements(settings: argparse.Namespace) -> Iterator[Row]:
    settings.runs.mkdir(parents=True, exist_ok=True)
    painting = settings.style
    if painting is None:
        painting = settings.runs / "night.png"
        save_image(draw_painting(seed=1), painting)
    judges = judges_of(painting, settings)
    photos = held_out(settings.held_out, settings.count, settings.held_out_size, settings.seed)
    for name in settings.only:
        folder: RunFolder = train(settings_of(name, painting, settings)).folder
        for checkpoint in sorted(folder.path.glob("step=*.ckpt")):
            yield {"run": name} | measured(checkpoint, judges, photos)


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    judges = [key.removesuffix(" objective") for key in rows[0] if key.endswith("objective")]
    figure, axes = pyplot.subplots(1, len(judges), figsize=(5.5 * len(judges), 4.2), squeeze=False)
    for judge, ax in zip(judges, axes[0], strict=True):
        for name in settings.only:
            own = [row for row in rows if row["run"] == name]
            values = [row[f"{judge} objective"] for row in own]
            ax.plot([row["seconds"] / 60 for row in own], values, ".-", label=name)
            if name == "nothing":
                ax.axhline(GOAL * values[-1], color="black", linestyle="--", linewidth=0.8, label="its end and 10 %")
        ax.set(xlabel="minutes", ylabel="objective on held-out photographs", title=f"under {judge}", yscale="log")
        ax.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--photos", type=Path, nargs="+", help="folders to train on (none: scenes that the package draws)")
    parser.add_argument("--held_out", type=Path, help="folder of photographs to measure on (none: other scenes)")
    parser.add_argument("--style", type=Path, help="the painting (none: a night that the package draws)")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys, for a second judge")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/fine_tuning"), help="folder of the runs")
    parser.add_argument(
        "--steps", type=int, nargs=len(RUNS), default=[10_000, 3_500, 3_500, 3_500, 1_300], help=f"of {', '.join(RUNS)}"
    )
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), help="runs to make (default: all)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=256, help="side of the crops")
    parser.add_argument("--held_out_size", type=int, default=256, help="longer side of the photographs to measure on")
    parser.add_argument("--count", type=int, default=8, help="photographs to measure on")
    parser.add_argument("--workers", type=int, default=1)
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.steps, settings.count, settings.workers = [3, 2, 2, 2, 2], 1, 0
        settings.size, settings.held_out_size = 32, 64
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
