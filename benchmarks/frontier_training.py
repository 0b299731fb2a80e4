"""Training of each network of the frontier for the same number of steps.

    python benchmarks/frontier_training.py --photos coco --style painting.jpg --vgg19 vgg19_features.safetensors

Every candidate gets the same crops, schedule, painting, seeds and judge, `lite`. It is measured on held-out photographs,
without their borders, under a loss network that it is not trained with: VGG-19 with --vgg19, else `lite` itself. The spread
over --seeds of one network is the scale for differences between networks. `checkerboard` measures the hatching of 2 and 4
pixels that loss networks ignore (1 is none); --pictures shows it: what each network makes of scikit-image's `astronaut` and
`coffee` at the end, and a detail of what upsampling leaves. frontier_training.csv holds every measurement; a candidate's
seed that is there already is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import skimage.data
import torch
from candidates import CANDIDATES
from held_out import held_out
from matplotlib import pyplot
from pytorch_lightning.callbacks import TQDMProgressBar
from report import Row, parser_of, positive, run, save, save_plot, write_rows
from torch import Tensor, nn

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.folders import find_photos
from fast_nst.data.loader import Positions, batches
from fast_nst.evaluation.artifacts import checkerboard
from fast_nst.functional.pixels import to_pixels, to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, open_image, resize_long_side, save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.runs.config import STYLE_RAMP
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.trainer import has_bfloat16

NAME = "frontier_training"
MEASUREMENTS = 8
UPSAMPLINGS = (("fast 48", "fast 48, nearest"), ("fast 48, phases 3 x 3", "fast 48, phases 2 x 2"))
DETAIL = (40, 150, 128)  # top, left and side of the astronaut's face


@torch.no_grad()
def measured(network: TransformerNet, judge: PerceptualLoss, photos: Sequence[Tensor]) -> dict[str, float]:
    """Terms of the objective and structure r under ``judge``, and the network's checkerboard, means over ``photos``."""
    network.eval()
    pictures = [network(photo).clamp(0, 1) for photo in photos]
    network.train()
    terms = [judge(picture, photo) for picture, photo in zip(pictures, photos, strict=True)]
    names = {"total": "objective", "content": "content", "style": "style", "structure": "r"}
    found = {name: [getattr(one, term).item() for one in terms] for term, name in names.items()}
    found["checkerboard"] = [checkerboard(to_pixels(picture[0])) for picture in pictures]
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def painting_of(settings: argparse.Namespace) -> Tensor:
    image = open_image(settings.style) if settings.style else draw_style("impasto", settings.seed + 1)
    pixels = np.asarray(image) if settings.style is None else np.asarray(resize_long_side(image, settings.style_size))
    return to_tensor(pixels)


def dataset_of(settings: argparse.Namespace) -> Photos | Scenes:
    if settings.photos is None:
        return Scenes(settings.size, settings.seed)
    return Photos(find_photos([settings.photos]), settings.size, settings.seed)


class Curve(pl.Callback):
    """Measures the network on held-out photographs every so many steps.

    Attributes:
        rows: a measurement each.
        seconds: of the steps so far, without measuring and without loading photographs.
    """

    def __init__(self, name: str, seed: int, judge: PerceptualLoss, photos: Sequence[Tensor], every: int) -> None:
        self.name, self.seed, self.judge, self.photos, self.every = name, seed, judge, photos, every
        self.rows: list[Row] = []
        self.seconds = self.began = 0.0

    def on_train_batch_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        self.seconds += time.perf_counter() - self.began
        if trainer.global_step % self.every == 0:
            row = {"network": self.name, "seed": self.seed, "step": trainer.global_step}
            self.rows.append(row | measured(module.network, self.judge, self.photos))


class Trained(NamedTuple):
    """A network at the end of its training, what was measured on the way, and the seconds of its steps."""

    network: TransformerNet
    rows: list[Row]
    seconds: float


def border_of(size: int) -> int:
    """What the trainer leaves out of the loss along the edge of crops of ``size``."""
    return TrainSettings(image_size=size).border()


def judge_of(painting: Tensor, settings: argparse.Namespace) -> PerceptualLoss:
    """What measures held-out photographs: VGG-19 if its weights are at hand, otherwise lite."""
    border = border_of(settings.held_out_size)
    return perceptual_loss("vgg19" if settings.vgg19 else "lite", settings.vgg19, [painting], LossSettings(), border)


def with_seed(seed: int, settings: argparse.Namespace) -> argparse.Namespace:
    """``settings`` of one of several trainings; the first draws the pictures."""
    return changed(settings, seed=seed, pictures=settings.pictures if seed == settings.seed else None)


def changed(settings: argparse.Namespace, **values: object) -> argparse.Namespace:
    """``settings`` with other ``values``."""
    return argparse.Namespace(**(vars(settings) | values))


def trained(
    name: str,
    painting: Tensor,
    judge: PerceptualLoss,
    settings: argparse.Namespace,
    change: Callable[[PerceptualLoss], nn.Module] | None = None,
    **changes: object,
) -> Trained:
    """Train one candidate as `fast-nst train` does, and measure it as it goes.

    Args:
        change: what is learned from instead of the perceptual loss under lite, made of it.
        changes: of the optimizer.
    """
    pl.seed_everything(settings.seed, verbose=False)
    photos = held_out(settings.photos, settings.count, settings.held_out_size, settings.seed)
    criterion = perceptual_loss("lite", None, [painting], LossSettings(), border_of(settings.size))
    criterion = criterion if change is None else change(criterion)
    options = OptimizerSettings(style_ramp=STYLE_RAMP, **changes)
    module = StyleTransferModule(CANDIDATES[name](), criterion, options, settings.steps, seed=settings.seed)
    measuring = Curve(name, settings.seed, judge, photos, max(1, settings.steps // MEASUREMENTS))
    positions = Positions(0, settings.steps * settings.batch)
    trainer_of(measuring, options, settings.steps).fit(module, batches(dataset_of(settings), positions, settings.batch, 0))
    if settings.pictures:
        save_pictures(name, module.network.eval(), settings.pictures)
    return Trained(module.network.eval(), measuring.rows, measuring.seconds)


def trainer_of(measuring: Curve, options: OptimizerSettings, steps: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if has_bfloat16() else "32-true",
        max_steps=steps,
        gradient_clip_val=options.gradient_clip,
        callbacks=[measuring, TQDMProgressBar(refresh_rate=5)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )


@torch.no_grad()
def save_pictures(name: str, network: TransformerNet, folder: Path) -> None:
    for photo in ("astronaut", "coffee"):
        picture = network(to_tensor(getattr(skimage.data, photo)())[None]).clamp(0, 1)[0]
        save_image(to_pixels(picture), folder / f"{name}, {photo}.png")


def save_details(settings: argparse.Namespace) -> None:
    """A detail of the pictures in ``settings.pictures``, four times enlarged, of the networks that differ in upsampling."""
    rows, (top, left, side) = [], DETAIL
    for names in UPSAMPLINGS:
        paths = {name: settings.pictures / f"{name}, astronaut.png" for name in names}
        details = {name: load_image(path)[top : top + side, left : left + side] for name, path in paths.items()}
        rows.append([(name, pixels.repeat(4, 0).repeat(4, 1)) for name, pixels in details.items()])
    save_image(labelled_sheet(rows, cell=4 * side), Path(settings.output) / f"{NAME}_details.png")


def known(settings: argparse.Namespace) -> list[Row]:
    path = Path(settings.output) / f"{NAME}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """The objective over steps, means over the seeds."""
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in dict.fromkeys(row["network"] for row in rows):
        steps: dict[int, list[float]] = {}
        for row in rows:
            if row["network"] == name:
                steps.setdefault(int(row["step"]), []).append(float(row["objective"]))
        axes.plot(list(steps), [np.mean(values) for values in steps.values()], ".-", label=name)
    axes.set(xlabel="steps", ylabel="objective on held-out photographs", yscale="log")
    axes.legend(fontsize="small")
    save_plot(NAME, figure, settings)


def parser_for(description: str, name: str) -> argparse.ArgumentParser:
    """A command line with the pictures, the painting, the judge and the length of a training."""
    parser = parser_of(description, name)
    parser.add_argument("--photos", type=Path, help="folder of photographs, or a COCO folder (none: drawn scenes)")
    parser.add_argument("--style", type=Path, help="painting (none: the drawn one)")
    parser.add_argument("--style_size", type=int, default=640)
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights: the judge on held-out photographs")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=192, help="side of the crops")
    parser.add_argument("--count", type=int, default=6, help="held-out photographs")
    parser.add_argument("--held_out_size", type=int, default=256)
    parser.add_argument("--pictures", type=Path, help="folder for what each network makes of scikit-image's photographs")
    return parser


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for(__doc__, NAME)
    parser.add_argument("--networks", nargs="+", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument(
        "--seeds", type=positive, default=1, help="trainings of each network, of as many seeds from --seed on"
    )
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.networks, settings.steps, settings.size, settings.count = ["fast 24", "johnson 8"], 8, 32, 2
        settings.held_out_size = 48
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.set_num_threads(settings.threads)
    settings.output.mkdir(parents=True, exist_ok=True)
    rows, painting = known(settings), painting_of(settings)
    judge, seeds = judge_of(painting, settings), range(settings.seed, settings.seed + settings.seeds)
    for seed, name in product(seeds, settings.networks):
        if (name, seed) not in {(row["network"], int(row["seed"])) for row in rows}:
            rows += trained(name, painting, judge, with_seed(seed, settings)).rows
            write_rows(Path(settings.output) / f"{NAME}.csv", rows)
    save(NAME, rows, settings)
    draw(rows, settings)
    if settings.pictures and all((settings.pictures / f"{name}, astronaut.png").exists() for name in sum(UPSAMPLINGS, ())):
        save_details(settings)


if __name__ == "__main__":
    run(main)
