"""Two ideas for training: larger crops, and a larger network as a teacher.

    python benchmarks/training_ideas.py --photos coco --style painting.jpg --vgg19 vgg19_features.safetensors

The same network learns the same painting under `lite`, as in frontier_training.py, whose options these are, from

- 2 crops of --size, as the trainer does;
- 1 crop one and a half times as large, which is about as many pixels;
- 2 crops of --size again, but before, `johnson` 32 has learned for --teacher_steps, and what the network learns from is the
  objective plus WEIGHT times the mean squared distance to the teacher's picture;
- 2 crops of --size for as many seconds as that took, the teacher's among them.

All are drawn at full strength, as the teacher knows no other. They are measured on the same held-out photographs at two
sizes; `seconds` are those of the steps, the teacher's own among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from frontier_training import Trained, changed, judge_of, measured, painting_of, parser_for, trained, with_seed
from held_out import held_out
from matplotlib import pyplot
from report import Row, positive, publish, run, save_plot
from torch import Tensor, nn
from torch.nn import functional as F

from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.losses.terms import LossTerms
from fast_nst.networks.transformer_net import TransformerNet

NAME, NETWORK, TEACHER = "training_ideas", "fast 48", "johnson 32"
WEIGHT = 30.0  # makes the distance to the teacher about as heavy as the content term
LARGER = 1.5

Learn = Callable[..., Trained]


class Taught(nn.Module):
    """The perceptual loss plus WEIGHT times the mean squared distance to a teacher's picture of the same photograph."""

    def __init__(self, teacher: TransformerNet, criterion: PerceptualLoss) -> None:
        super().__init__()
        self.teacher, self.criterion = teacher.requires_grad_(False), criterion

    def forward(self, pictures: Tensor, photos: Tensor, style: Tensor, style_share: Tensor) -> LossTerms:
        terms = self.criterion(pictures, photos, style, style_share)
        with torch.no_grad():
            wanted = self.teacher(photos)
        return terms._replace(total=terms.total + WEIGHT * F.mse_loss(pictures.float(), wanted.float()))


def recipes(teacher: Trained | None, settings: argparse.Namespace) -> dict[str, tuple[Learn, float]]:
    """Name -> a training and the seconds that it needs before it; the taught one only with a ``teacher``."""
    usual, larger = settings.size, round(LARGER * settings.size)
    found = {f"2 crops of {usual}": (with_crops(2, usual), 0.0), f"1 crop of {larger}": (with_crops(1, larger), 0.0)}
    if teacher is not None:
        taught = partial(with_crops(2, usual), change=partial(Taught, teacher.network))
        found[f"2 crops of {usual}, taught"] = taught, teacher.seconds
    return found


def with_crops(count: int, size: int) -> Learn:
    """The trainer's own way, from ``count`` crops a step of ``size`` x ``size`` pixels."""

    def learn(painting: Tensor, judge: PerceptualLoss, settings: argparse.Namespace, **changes: object) -> Trained:
        cropped = changed(settings, batch=count, size=size)
        return trained(NETWORK, painting, judge, cropped, strength_share=0.0, **changes)

    return learn


def measurements(settings: argparse.Namespace) -> Iterator[Row]:
    painting = painting_of(settings)
    judge = judge_of(painting, settings)
    for seed in range(settings.seed, settings.seed + settings.seeds):
        yield from of_seed(painting, judge, with_seed(seed, settings))


def of_seed(painting: Tensor, judge: PerceptualLoss, settings: argparse.Namespace) -> list[Row]:
    """Every recipe with one seed; behind the taught one, the usual one for as many seconds."""
    teacher, rows = None, []
    if settings.teacher_steps:
        longer = changed(settings, steps=settings.teacher_steps)
        teacher = trained(TEACHER, painting, judge, longer, strength_share=0.0)
        rows.append(row_of(f"the teacher, {TEACHER}", teacher, 0.0, judge, longer))
    ways, seconds = recipes(teacher, settings), {}
    for name, (learn, before) in ways.items():
        found = learn(painting, judge, settings)
        rows.append(row_of(name, found, before, judge, settings))
        seconds[name] = found.seconds + before
    if teacher is not None:
        usual, *_, taught = ways
        longer = changed(settings, steps=round(settings.steps * seconds[taught] / seconds[usual]))
        learn, before = ways[usual]
        rows.append(row_of(f"{usual}, as many seconds", learn(painting, judge, longer), before, judge, longer))
    return rows


def row_of(name: str, found: Trained, before: float, judge: PerceptualLoss, settings: argparse.Namespace) -> Row:
    """What a training reached, on photographs of both sizes, and its seconds with those ``before`` it."""
    row = {"recipe": name, "seed": settings.seed, "steps": settings.steps, "seconds": round(found.seconds + before, 1)}
    for size in (settings.held_out_size, 2 * settings.held_out_size):
        photos = held_out(settings.photos, settings.count, size, settings.seed)
        terms = measured(found.network, judge, photos)
        row |= {f"{term}, {size}": terms[term] for term in ("objective", "r", "lattice")}
    return row


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """The objective of each recipe, a dot for each seed and size."""
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    names = [row["recipe"] for row in rows]
    for size, marker in zip((settings.held_out_size, 2 * settings.held_out_size), "os", strict=True):
        axes.plot([row[f"objective, {size}"] for row in rows], names, marker, label=f"{size} pixels")
    axes.set(xlabel="objective on held-out photographs")
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for(__doc__, NAME)
    parser.set_defaults(size=256)
    parser.add_argument("--seeds", type=positive, default=2)
    parser.add_argument("--teacher_steps", type=int, default=800, help="0: without a teacher")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.steps, settings.size, settings.count, settings.held_out_size, settings.seeds = 8, 32, 2, 48, 1
        settings.teacher_steps = 8
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
