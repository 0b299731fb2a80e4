"""New paintings from the base: style, structure and artifacts after 1, 3, 10 and 60 minutes of training.

    python benchmarks/new_painting.py --paintings paintings --photos coco photos --held_out val \
        --vgg19 vgg19_features.safetensors --squeezenet squeezenet1_0.safetensors -- --structure 0.45

Six unlike pictures that the base has not seen: five files of --paintings, and one that the package draws. A budget is a
training of its own from the base, as `fast-nst train --from base` with 2 crops a step, since the learning rate depends on
the length. A minute stands for 350 steps, about the speed of two idle cores, so that a run repeats. Flags of
`fast-nst train` after `--` change the training.

Each network draws held-out photographs of 480 x 320 at strength 1. A row holds the Gram distance to the painting (longer
side 512) divided by its target's energy, at four layers of VGG-19 and at fire3 and fire5 of SqueezeNet; `style`, the mean of
VGG-19's weighted by .3, 1, 1.4 and 1.3; structure r; and the checkerboard. Rows called `mean` are over the paintings.
Writes new_painting.csv, .png and .json, and to --runs a sheet for each painting: photograph, painting, a picture a budget. A
finished run there is measured and not trained again; one that was stopped is resumed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from judging import LAYERS, SIZE, fitted, measure
from matplotlib import pyplot
from report import Row, positive, publish, run, save_plot
from report import parser_of as report_parser
from torch import Tensor

from fast_nst.cli.main import parser_of
from fast_nst.cli.options import arguments_of
from fast_nst.data.datasets import Scenes
from fast_nst.data.folders import find_preview_photos
from fast_nst.errors import UserError
from fast_nst.evaluation.artifacts import checkerboard
from fast_nst.functional.features import gram_matrix
from fast_nst.functional.pixels import to_pixels, to_tensor
from fast_nst.imaging.drawing.styles import KINDS, draw_style
from fast_nst.imaging.images import load_image, save_image
from fast_nst.imaging.scanning import find_images
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.losses.terms import Features
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.networks.weights import load_network
from fast_nst.runs.config import plain, resolved
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import TrainSettings
from fast_nst.training.run import train

NAME = "new_painting"
PAINTINGS = (
    "rider_and_four_legged_bovine_creature_in",  # textile
    "the_visit_couple_and_newcomer",  # hard, flat inks
    "chrysanthemums",  # oil
    "political_drama",  # oil
    "corridor_in_the_asylum",  # chalk and oil on paper
)
DRAWN = ("stained_glass",)
MINUTES, STEPS_A_MINUTE, BATCH = (1, 3, 10, 60), 350, 2
STYLE_SIZE = 512
LAYER_WEIGHTS = dict(zip(LAYERS["vgg19"], (0.3, 1.0, 1.4, 1.3), strict=True))
SECOND_LAYERS = ("fire3", "fire5")
STRUCTURE_LAYERS = ("relu2_2", "relu3_3", "relu4_2")


class Judge:
    """Loss networks, and their features of the held-out photographs.

    Args:
        networks: VGG-19, or another with its layers, and SqueezeNet if at hand.
        photos: uint8 RGB (H, W, 3).
    """

    def __init__(self, networks: Sequence[LossNetwork], photos: Sequence[np.ndarray]) -> None:
        self.networks = networks
        self.photos = [to_tensor(photo)[None] for photo in photos]
        self.features = [[self._features(network, photo) for photo in self.photos] for network in networks]

    def row(self, pictures: Sequence[Tensor], painting: Tensor) -> Row:
        """The numbers of ``pictures`` of the photographs, (1, 3, H, W) in [0, 1], in the style of ``painting``."""
        (grams, structure), *others = (self._means(place, pictures, painting) for place in range(len(self.networks)))
        found = {layer: grams[layer] for layer in LAYER_WEIGHTS}
        found["style"] = sum(weight * grams[layer] for layer, weight in LAYER_WEIGHTS.items()) / sum(LAYER_WEIGHTS.values())
        for others_grams, _ in others:
            found |= {layer: others_grams[layer] for layer in SECOND_LAYERS}
        found |= {f"r {layer}": structure[layer] for layer in STRUCTURE_LAYERS}
        found["checkerboard"] = float(np.mean([checkerboard(to_pixels(picture[0])) for picture in pictures]))
        return {name: round(value, 4) for name, value in found.items()}

    def _means(self, place: int, pictures: Sequence[Tensor], painting: Tensor) -> tuple[dict[str, float], ...]:
        """Gram distance and structure r by layer, under the network at ``place``, means over the photographs."""
        network = self.networks[place]
        target = {layer: gram_matrix(value) for layer, value in self._features(network, painting).items()}
        pairs = zip(self.features[place], pictures, strict=True)
        table = [measure(of_photo, self._features(network, picture), target) for of_photo, picture in pairs]
        means = {layer: np.mean([row[layer] for row in table], 0) for layer in target}
        return tuple({layer: float(values[part]) for layer, values in means.items()} for part in (0, 1))

    @staticmethod
    @torch.no_grad()
    def _features(network: LossNetwork, picture: Tensor) -> Features:
        return network(picture)


def judge_of(settings: argparse.Namespace) -> Judge:
    """VGG-19 and SqueezeNet where their weights are given; without VGG-19's, lite in its place."""
    first = "vgg19" if settings.vgg19 else "lite"
    networks = [LossNetwork(first, LAYERS["vgg19"], settings.vgg19)]
    if settings.squeezenet:
        networks.append(LossNetwork("squeezenet1_0", SECOND_LAYERS, settings.squeezenet))
    return Judge(networks, held_out(settings))


def held_out(settings: argparse.Namespace) -> list[np.ndarray]:
    """Photographs of 480 x 320 that nothing is trained on, or scenes that the package draws."""
    if settings.held_out:
        return fitted(find_preview_photos([settings.held_out], settings.count))
    scenes = Scenes(settings.scene, settings.seed + 1)
    return [scenes.pixels(index) for index in range(settings.count)]


def paintings_of(settings: argparse.Namespace) -> dict[str, Path]:
    """Name -> picture file; those that the package draws are written to ``settings.runs``."""
    found = {}
    if settings.paintings:
        files = {path.stem: path for path in find_images(settings.paintings)}
        if missing := [name for name in settings.names if name not in files]:
            raise UserError(f"no painting called {missing[0]} in {settings.paintings}; choose others with --names")
        found = {name: files[name] for name in settings.names}
    for kind in settings.drawn:
        found[kind] = settings.runs / f"{kind}.png"
        save_image(draw_style(kind, settings.seed), found[kind])
    return found


def run_of(name: str, painting: Path, minutes: int, seed: int, settings: argparse.Namespace) -> RunFolder:
    """The folder of the training of one budget, which is trained or resumed unless it is finished.

    Raises:
        UserError: a run of this name had other settings.
    """
    folder = RunFolder(settings.runs, f"{name}_{minutes}_minutes_{seed}")
    values = {"style": str(painting), "name": folder.name, "checkpoints": str(settings.runs), "seed": seed}
    values |= {"steps": minutes * settings.steps_a_minute, "resume": folder.config.exists()}
    if settings.photos:
        values["data"] = [str(path) for path in settings.photos]
    training = replace(training_of(settings.training), **values)
    if folder.card.exists():
        folder.check(plain(resolved(training)), resume=True, overwrite=False)
    else:
        train(training)
    return folder


@torch.no_grad()
def pictures_of(folder: RunFolder, judge: Judge) -> list[Tensor]:
    """The photographs as the network of a run draws them."""
    network = load_network(str(folder.last)).eval()
    return [network(photo).clamp(0, 1) for photo in judge.photos]


def measurements(settings: argparse.Namespace) -> Iterator[Row]:
    settings.runs.mkdir(parents=True, exist_ok=True)
    judge, rows = judge_of(settings), []
    for name, path in paintings_of(settings).items():
        painting, drawn = load_image(path, STYLE_SIZE), {}
        for minutes, seed in product(settings.minutes, range(settings.seed, settings.seed + settings.seeds)):
            folder = run_of(name, path, minutes, seed, settings)
            pictures = pictures_of(folder, judge)
            drawn.setdefault(minutes, [to_pixels(picture[0]) for picture in pictures])
            card = json.loads(folder.card.read_text())
            row = {"painting": name, "minutes": minutes, "seed": seed, "steps": card["steps"], "seconds": card["seconds"]}
            rows.append(row | judge.row(pictures, to_tensor(painting)[None]))
            yield rows[-1]
        save_image(sheet(painting, judge, drawn), settings.runs / f"{name}.jpg")
    yield from means(rows)


def sheet(painting: np.ndarray, judge: Judge, drawn: Mapping[int, Sequence[np.ndarray]]) -> np.ndarray:
    """Photograph, painting and a picture for each budget, a row for each photograph."""
    rows = []
    for place, photo in enumerate(judge.photos):
        cells = [("photograph", to_pixels(photo[0])), ("painting", painting)]
        rows.append([*cells, *((f"{minutes} min", pictures[place]) for minutes, pictures in drawn.items())])
    return labelled_sheet(rows, cell=320)


def means(rows: Sequence[Row]) -> Iterator[Row]:
    """A row for each budget: the means over paintings and seeds."""
    for minutes in dict.fromkeys(row["minutes"] for row in rows):
        own = [row for row in rows if row["minutes"] == minutes]
        numbers = {name: round(float(np.mean([row[name] for row in own])), 4) for name in list(rows[0])[3:]}
        yield {"painting": "mean", "minutes": minutes, "seed": ""} | numbers


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """Style distance and structure r over minutes, a line for each painting."""
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2))
    for ax, column, label in zip(axes, ("style", "r relu3_3"), ("style distance", "structure r at relu3_3"), strict=True):
        for name in dict.fromkeys(row["painting"] for row in rows):
            own = [(row["minutes"], row[column]) for row in rows if row["painting"] == name]
            ax.plot(*zip(*own, strict=True), ".-", label=name, linewidth=3 if name == "mean" else 1)
        ax.set(xlabel="minutes", ylabel=label, xscale="log", ylim=(0, None))
    axes[0].legend(fontsize="x-small")
    save_plot(NAME, figure, settings)


def training_of(flags: Sequence[str]) -> TrainSettings:
    """The settings of `fast-nst train --from base` with ``flags``."""
    parser, usual = parser_of("train"), {"base": "base", "batch_size": BATCH}
    return arguments_of(parser.command.function, usual | parser.values(list(flags)))["settings"]


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = report_parser(__doc__, NAME)
    parser.add_argument("--paintings", type=Path, help="folder of the pictures of --names (none: only those that are drawn)")
    parser.add_argument("--names", nargs="+", default=list(PAINTINGS), help="file names without their endings")
    parser.add_argument("--drawn", nargs="*", choices=list(KINDS), default=list(DRAWN), help="kinds of pictures to draw")
    parser.add_argument("--photos", type=Path, nargs="+", help="folders to train on (none: scenes that the package draws)")
    parser.add_argument("--held_out", type=Path, help="folder of photographs to measure on (none: other scenes)")
    parser.add_argument("--count", type=positive, default=8, help="photographs to measure on")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys (none: lite in its place)")
    parser.add_argument("--squeezenet", type=Path, help="SqueezeNet 1.0's weights in torchvision's keys (none: without it)")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints") / NAME, help="folder of the runs and the sheets")
    parser.add_argument("--minutes", type=positive, nargs="+", default=list(MINUTES), help="budgets")
    parser.add_argument("--steps_a_minute", type=positive, default=STEPS_A_MINUTE)
    parser.add_argument("--seeds", type=positive, default=1, help="trainings of each budget, from --seed on")
    parser.add_argument("training", nargs="*", metavar="-- FLAGS", help="flags of fast-nst train")
    settings = parser.parse_args(argv)
    settings.scene = SIZE[0]
    if settings.quick:
        settings.minutes, settings.steps_a_minute, settings.count, settings.scene = [1, 2], 1, 2, 64
        settings.training += ["--image_size", "32", "--style_size", "64", "--workers", "0"]
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
