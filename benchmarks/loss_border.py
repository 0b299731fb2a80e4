"""What the padding of a loss network does to the style distance, and how much border keeps it out.

    python benchmarks/loss_border.py --photos val --paintings paintings --vgg19 vgg19_features.safetensors

A style's picture of a photograph has a window in its middle. The window alone, as a training crop is, gets zeros around it
in the loss network; in its picture it gets what is there. Without padding both would have the same Gram matrices.

A row for each border that is left out and each style layer, the mean over photographs and styles:

padding        |G - C|^2 / |C|^2, with G of the window alone and C of the window in its picture
style_alone    |G - T|^2 / |T|^2, the style distance that a training crop tells, with T of the painting (--paintings)
style_there    |C - T|^2 / |T|^2, the style distance that there is
counted        share of the window's pixels that count

Writes loss_border.csv, .png and .json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from borders import criteria_of, judge_of, parser_for, photos_of
from matplotlib import pyplot
from report import Row, publish, run, save_plot
from torch import Tensor
from torchvision.transforms.functional import center_crop
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.functional.features import gram_matrix, without_edge
from fast_nst.functional.pixels import to_tensor
from fast_nst.losses.perceptual import PerceptualLoss, without_border
from fast_nst.networks.weights import load_network

NAME, BORDERS = "loss_border", (0, 8, 16, 24, 32)
WINDOW, MARGIN = 256, 32  # pixels a side of the window, and around it, beyond which nothing reaches it


def squares_of(settings: argparse.Namespace) -> list[Tensor]:
    """The photographs' middles, (1, 3, WINDOW + 2 MARGIN, the same) in [0, 1]."""
    photos, side = photos_of(settings), WINDOW + 2 * MARGIN
    if min(min(photo.shape[:2]) for photo in photos) < side:
        raise UserError(f"a photograph has a side of under {side} pixels; choose a larger --size or other photographs")
    return [center_crop(to_tensor(photo)[None], [side, side]) for photo in photos]


@torch.no_grad()
def measurements(settings: argparse.Namespace) -> list[Row]:
    found: dict[tuple[int, str], list[Row]] = {}
    for border, layer, row in distances(settings):
        found.setdefault((border, layer), []).append(row)
    return [
        {"border": border, "layer": layer, "counted": (1 - 2 * border / WINDOW) ** 2} | means(rows)
        for (border, layer), rows in sorted(found.items())
    ]


def means(rows: Sequence[Row]) -> Row:
    return {key: float(np.mean([row[key] for row in rows])) if rows[0][key] is not None else None for key in rows[0]}


def distances(settings: argparse.Namespace) -> Iterator[tuple[int, str, Row]]:
    """Border, layer and its distances, for every photograph in every style."""
    network, judge, squares = load_network(settings.model), judge_of(settings), squares_of(settings)
    criteria = criteria_of(network, judge, settings)
    for row in tqdm(network.painted_rows[: settings.styles], unit="style", leave=False):
        weights, criterion = network.mixture([row], like=squares[0]), criteria.get(network.styles[row])
        for square in squares:
            picture = network(square, weights).clamp(0, 1)
            alone, there = judge(without_edge(picture, MARGIN)), judge(picture)
            for border in BORDERS:
                for layer in judge.layers:
                    yield border, layer, compared(alone[layer], there[layer], border, target_of(criterion, layer))


def target_of(criterion: PerceptualLoss | None, layer: str) -> Tensor | None:
    return None if criterion is None else getattr(criterion, f"gram_{layer}")


def compared(alone: Tensor, there: Tensor, border: int, target: Tensor | None) -> Row:
    """The distances of the window's features alone (1, C, h, h) and in its picture, without ``border`` pixels."""
    stride = WINDOW // alone.shape[-1]
    own = gram_matrix(without_border(alone, border / WINDOW))
    context = gram_matrix(without_edge(there, (MARGIN + border) // stride))
    to_target = (None, None) if target is None else (distance(own, target), distance(context, target))
    return {"padding": distance(own, context)} | dict(zip(("style_alone", "style_there"), to_target, strict=True))


def distance(value: Tensor, target: Tensor) -> float:
    return ((value - target).square().sum() / target.square().sum()).item()


def draw(rows: Sequence[Mapping[str, float]], settings: argparse.Namespace) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for layer in dict.fromkeys(row["layer"] for row in rows):
        own = [row for row in rows if row["layer"] == layer]
        axes.plot([row["border"] for row in own], [row["padding"] for row in own], ".-", label=layer)
    axes.set_yscale("symlog", linthresh=1e-5)
    axes.set(xlabel="border left out, pixels", ylabel="what padding does to the Gram matrix")
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for(__doc__, NAME, size=640)
    parser.add_argument("--model", default="base", help="base, a run's folder or a checkpoint")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.count, settings.styles = 1, 1
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
