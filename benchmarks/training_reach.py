"""Seconds of training to a fixed objective: our trainer against a plain float32 loop of the classical recipe.

    python benchmarks/training_reach.py --vgg19 vgg19_features.safetensors

Both start from nothing, on the scenes and the painting that the package draws, with batches of the same size. The loop is
Johnson's network of 32 channels, Adam at 1e-3, float32, eager, and VGG-19 as the loss network (without --vgg19 lite, which
flatters it); it minimises the same objective as ours, which wants less time than the classical weights would. Ours is
`fast-nst train` with its defaults, in bfloat16 where the processor has it, for --steps steps. The loop gets the same number
of seconds, and the two take turns.

The judge is lite, on held-out scenes; judging is not in the seconds. The level is the least objective that the loop reaches.
training_reach.csv tells when either first was there, training_reach_curves.csv holds every measurement.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from held_out import held_out
from matplotlib import pyplot
from report import Row, parser_of, run, save, save_plot, write_rows
from torch import Tensor
from tqdm import tqdm

from fast_nst.data.datasets import Scenes
from fast_nst.data.loader import Positions, batches
from fast_nst.functional.pixels import to_tensor
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.train import LossSettings, TrainSettings
from fast_nst.training.builders import load_styles
from fast_nst.training.run import train
from fast_nst.training.trainer import has_bfloat16

NAME = "training_reach"
OURS, CLASSICAL = "ours", "classical"
HELD_OUT, MEASUREMENTS = 4, 40

Draw = Callable[[Tensor], Tensor]


class Judge:
    """The objective of a network on held-out scenes, under lite."""

    def __init__(self, painting: Tensor, size: int, seed: int) -> None:
        self.criterion = perceptual_loss("lite", None, [painting], LossSettings())
        self.scenes = held_out(None, HELD_OUT, size, seed)

    @torch.no_grad()
    def __call__(self, draw: Draw) -> float:
        return float(np.mean([self.criterion(draw(scene).clamp(0, 1), scene).total.item() for scene in self.scenes]))


class Classical:
    """The plain loop, a step at a time."""

    def __init__(self, criterion: PerceptualLoss, width: int, photos: Iterator[Tensor]) -> None:
        self.network, self.photos = TransformerNet("johnson", width), photos
        self.criterion = criterion.to(memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        self.steps = 0

    def step(self) -> None:
        photos = next(self.photos)
        self.optimizer.zero_grad()
        self.criterion(self.network(photos), photos).total.backward()
        self.optimizer.step()
        self.steps += 1


class Race(pl.Callback):
    """Lets the loop go on whenever ours is ``every`` steps ahead, and measures both.

    Attributes:
        rows: trainer, steps, images, seconds and objective of every measurement.
    """

    def __init__(self, classical: Classical, judge: Judge, every: int, batch: int) -> None:
        self.classical, self.judge, self.every, self.batch = classical, judge, every, batch
        self.seconds, self.rows, self.began = {OURS: 0.0, CLASSICAL: 0.0}, [], 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.progress = tqdm(total=trainer.max_steps, unit="step")
        self._measure(trainer, module)
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        self.seconds[OURS] += time.perf_counter() - self.began
        self.progress.update()
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self._catch_up()
            self._measure(trainer, module)
        self.began = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.progress.close()

    def _catch_up(self) -> None:
        while self.seconds[CLASSICAL] < self.seconds[OURS]:
            began = time.perf_counter()
            self.classical.step()
            self.seconds[CLASSICAL] += time.perf_counter() - began

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        steps = {OURS: trainer.global_step, CLASSICAL: self.classical.steps}
        draws = {OURS: lambda photo: module.stylised(photo, 0), CLASSICAL: self.classical.network}
        for name, draw in draws.items():
            row = {"trainer": name, "steps": steps[name], "images": steps[name] * self.batch}
            self.rows.append(row | {"seconds": round(self.seconds[name], 2), "objective": round(self.judge(draw), 4)})


def race(settings: argparse.Namespace) -> list[Row]:
    """Train both, and return every measurement."""
    with tempfile.TemporaryDirectory() as folder:
        ours = TrainSettings(
            name=OURS,
            checkpoints=folder,
            image_size=settings.size,
            batch_size=settings.batch,
            steps=settings.steps,
            preview_every=settings.steps + 1,
            workers=settings.workers,
            seed=settings.seed,
        )
        (pixels,) = load_styles(ours).values()
        painting = to_tensor(pixels)
        network = ("vgg19", settings.vgg19) if settings.vgg19 else ("lite", None)
        positions = Positions(0, 10**9)
        photos = iter(batches(Scenes(settings.size, settings.seed), positions, settings.batch, settings.workers))
        torch.manual_seed(settings.seed)
        classical = Classical(perceptual_loss(*network, [painting], LossSettings()), settings.width, photos)
        every = max(1, settings.steps // MEASUREMENTS)
        racer = Race(classical, Judge(painting, settings.size, settings.seed), every, settings.batch)
        ours.trainer = {"callbacks": [racer], "logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
        ours.trainer["precision"] = "bf16-mixed" if has_bfloat16() else "32-true"
        train(ours)
    return racer.rows


def summary(curves: Sequence[Row]) -> list[Row]:
    """For each trainer, what it reached, and when it first was at the level, the classical loop's least."""
    of = {name: [row for row in curves if row["trainer"] == name] for name in (CLASSICAL, OURS)}
    level = min(row["objective"] for row in of[CLASSICAL])
    first = {name: next((row for row in rows if row["objective"] <= level), None) for name, rows in of.items()}
    found = []
    for name, rows in of.items():
        row = {"trainer": name, "steps": rows[-1]["steps"], "images": rows[-1]["images"], "seconds": rows[-1]["seconds"]}
        row |= {"objective_first": rows[0]["objective"], "objective_least": min(one["objective"] for one in rows)}
        there = first[name]["seconds"] if first[name] else None
        row |= {"level": level, "seconds_to_level": there}
        found.append(row | {"times_sooner": first[CLASSICAL]["seconds"] / there if there else None})
    return found


def draw(curves: Sequence[Row], level: float, settings: argparse.Namespace) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name in (CLASSICAL, OURS):
        rows = [row for row in curves if row["trainer"] == name]
        axes.plot([row["seconds"] for row in rows], [row["objective"] for row in rows], ".-", label=name)
    axes.axhline(level, color="black", linestyle="--", label="the level")
    axes.set(xlabel="seconds of training", ylabel="objective on held-out scenes, under lite", yscale="log")
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--steps", type=int, default=250, help="steps of ours; the loop gets as many seconds")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=256, help="side of the crops")
    parser.add_argument("--width", type=int, default=32, help="channels of Johnson's network")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes, for each of the two")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys (none: the loop uses lite)")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.steps, settings.batch, settings.size, settings.width, settings.workers = 8, 2, 32, 8, 0
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.set_num_threads(settings.threads)
    curves = race(settings)
    rows = summary(curves)
    save(NAME, rows, settings)
    write_rows(Path(settings.output) / f"{NAME}_curves.csv", curves)
    draw(curves, rows[0]["level"], settings)


if __name__ == "__main__":
    run(main)
