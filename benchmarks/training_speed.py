"""Time of a training step, from the textbook's to ours, one optimization after the other.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --compile        # with torch.compile, which takes some two minutes more

The textbook's step: Johnson's network of 32 channels, VGG-16 to relu4_3 on photographs and results alike, float32, eager,
contiguous, batches of 4, Adam at 1e-3. Each row adds one measure to those above it; all rows take turns, and factors are
ratios of images/s. `content features no deeper`: photographs go through the loss network without a gradient and no deeper
than the content layer; as its weights are frozen, it is the depth that is saved. The last row is the step of the trainer
itself, which also draws at random strengths, measures structure r and clips gradients. VGG-16's weights are random here,
since a multiplication takes as long with any number; bfloat16 is left out where the processor does not have it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib import pyplot
from report import Row, Spread, parser_of, run, save, save_plot, timed
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from fast_nst.functional.features import gram_matrix
from fast_nst.losses.perceptual import perceptual_loss
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.style_rows import IDENTITY
from fast_nst.training.module import StyleTransferModule, compile_networks
from fast_nst.training.trainer import has_bfloat16

NAME = "training_speed"
CONTENT, STYLE = "relu2_2", ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
TRAINER = "the trainer's own step"


@dataclass(frozen=True)
class Recipe:
    """A training step: the textbook's, unless told otherwise."""

    preset: str = "johnson"
    judge: str = "vgg16"
    shallow_content: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    compiled: bool = False
    batch: int = 4

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def recipes(compiled: bool) -> dict[str, Recipe]:
    """Name of a measure -> the recipe with it and all before it."""
    measures: dict[str, dict] = {"textbook: johnson 32, VGG-16, float32, batch 4": {}}
    measures |= {"network fast 48": {"preset": "fast"}, "loss network lite": {"judge": "lite"}}
    measures |= {"content features no deeper": {"shallow_content": True}, "channels_last": {"channels_last": True}}
    measures |= {"bfloat16": {"bfloat16": True}} if has_bfloat16() else {}
    measures |= {"torch.compile": {"compiled": True}} if compiled else {}
    measures |= {"batch 2": {"batch": 2}}
    found, recipe = {}, Recipe()
    for name, measure in measures.items():
        recipe = found[name] = replace(recipe, **measure)
    return found


def judge_of(name: str) -> LossNetwork:
    """The loss network; VGG-16 with random weights."""
    if name != "vgg16":
        return LossNetwork(name, STYLE)
    with torch.device("meta"):
        shapes = models.vgg16().features.state_dict(prefix="features.")
    fill = {4: nn.init.kaiming_normal_, 1: nn.init.zeros_}
    weights = {key: fill[value.dim()](torch.empty(value.shape)) for key, value in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(weights, Path(folder) / "vgg16.pth")
        return LossNetwork(name, STYLE, Path(folder) / "vgg16.pth")


def textbook_loss(judge: LossNetwork, pictures: Tensor, photos: Tensor, grams: dict[str, Tensor], shallow: bool) -> Tensor:
    """Johnson's objective, weighed as pytorch/examples do; ``shallow``: photographs only up to the content layer."""
    found = judge(pictures)
    if shallow:
        with torch.no_grad():
            wanted = judge(photos, [CONTENT])
    else:
        wanted = judge(photos)
    style = [F.mse_loss(gram_matrix(found[layer]), gram.expand(len(photos), -1, -1)) for layer, gram in grams.items()]
    return 1e5 * F.mse_loss(found[CONTENT], wanted[CONTENT]) + 1e10 * sum(style)


def step_of(recipe: Recipe, size: int) -> Callable[[], None]:
    """One training step of ``recipe`` on random pictures of ``size`` x ``size``."""
    network = TransformerNet(recipe.preset).to(memory_format=recipe.memory_format)
    judge = judge_of(recipe.judge).to(memory_format=recipe.memory_format)
    photos = torch.rand(recipe.batch, 3, size, size).contiguous(memory_format=recipe.memory_format)
    grams = {layer: gram_matrix(features) for layer, features in judge(torch.rand(1, 3, size, size)).items()}
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    if recipe.compiled:
        network.compile()
        judge.compile()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            loss = textbook_loss(judge, network(photos), photos, grams, recipe.shallow_content)
        loss.backward()
        optimizer.step()

    return step


def trainer_step(recipe: Recipe, size: int) -> Callable[[], None]:
    """The step of this package's trainer, as Lightning makes it, with the batch, precision and compiler of ``recipe``."""
    border = TrainSettings(image_size=size).border()
    criterion = perceptual_loss("lite", None, [torch.rand(3, size, size)], LossSettings(), border)
    module = StyleTransferModule(TransformerNet(styles=[IDENTITY, "style"]), criterion, OptimizerSettings(), steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]
    photos = torch.rand(recipe.batch, 3, size, size)
    if recipe.compiled:
        compile_networks(module, photos)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            loss = module.terms(module.pictures(photos), photos).total
        loss.backward()
        nn.utils.clip_grad_norm_(module.network.parameters(), module.settings.gradient_clip)
        optimizer.step()

    return step


def rows_of(seconds: dict[str, Spread], batches: dict[str, int]) -> list[Row]:
    """A row for each measure: milliseconds, images/s, and how many times more images/s than before and than at first."""
    rates = [batches[name] / median for name, (median, _, _) in seconds.items()]
    rows = []
    for (name, times), rate, before in zip(seconds.items(), rates, [rates[0], *rates], strict=False):
        median, least, greatest = (1000 * value for value in times)
        row = {"step": name, "batch": batches[name], "ms": median, "least_ms": least, "greatest_ms": greatest}
        rows.append(row | {"images_per_s": rate, "factor": rate / before, "factor_in_all": rate / rates[0]})
    return rows


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4))
    names, rates = [row["step"] for row in rows], [row["images_per_s"] for row in rows]
    bars = axes.barh(names, rates, color=["tab:gray", *["tab:blue"] * (len(rows) - 2), "tab:orange"])
    axes.bar_label(bars, [f"{row['images_per_s']:.3g} (x {row['factor']:.2g})" for row in rows], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.35)
    axes.set(xlabel="images/s (factor of the measure)", title="each step adds one measure to those above it")
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.size, settings.rounds = 32, 2
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    ladder = recipes(settings.compile)
    last = list(ladder.values())[-1]
    steps = {name: step_of(recipe, settings.size) for name, recipe in ladder.items()}
    seconds = timed(steps | {TRAINER: trainer_step(last, settings.size)}, settings.rounds, warm_up=2)
    rows = rows_of(seconds, {name: recipe.batch for name, recipe in ladder.items()} | {TRAINER: last.batch})
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    run(main)
