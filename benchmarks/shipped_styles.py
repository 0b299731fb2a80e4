"""Every shipped style in numbers: structure r, and style distance at every strength.

    python benchmarks/shipped_styles.py --paintings paintings --photos val --vgg19 vgg19_features.safetensors \
        --squeezenet squeezenet1_0.safetensors

Photographs must be held out. Distances are divided by the energy of their target. At strength 1 also the medians of
the pictures' `checkerboard` and `border artifact`, and `within`, the first network's style distance without the features of
the outer 16 pixels, which its padding is in. Writes docs/benchmarks/styles.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from judging import LAYERS, fitted, gram_distance, measure
from report import write_rows
from torch import Tensor
from tqdm import tqdm

from fast_nst.evaluation.artifacts import border_artifact, checkerboard
from fast_nst.functional.features import gram_matrix
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import open_image, resize_long_side
from fast_nst.imaging.scanning import find_images
from fast_nst.inference.measuring import psnr
from fast_nst.losses.perceptual import without_border
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.settings.train import LOSS_BORDER
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer

STYLE_SIZE = 640
STRENGTHS = (0.0, 0.3, 0.6, 1.0, 1.25, 1.5)
ARTIFACTS = {"checkerboard": checkerboard, "border artifact": border_artifact}
TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "styles.csv"


@torch.no_grad()
def quality_of(name: str, painting: Path, photos: list[np.ndarray], networks: list[LossNetwork]) -> dict[str, float]:
    """Gram distances at full strength, structure r from there on, and both networks' style distance at every strength."""
    target = to_tensor(np.asarray(resize_long_side(open_image(painting), STYLE_SIZE)))[None]
    grams = [{layer: gram_matrix(value) for layer, value in network(target).items()} for network in networks]
    of_photos = [[network(to_tensor(photo)[None]) for photo in photos] for network in networks]
    row: dict[str, float] = {}
    for strength in STRENGTHS:
        stylizer = Stylizer(name, strength=strength)
        results = [stylizer(photo) for photo in photos]
        if strength == 0:
            row["psnr at 0"] = min(psnr(result, photo) for result, photo in zip(results, photos, strict=True))
        if strength == 1:
            row |= {name: float(np.median([artifact(result) for result in results])) for name, artifact in ARTIFACTS.items()}
            row[f"{networks[0].name} within"] = within(networks[0], target, results)
        for network, features, gram in zip(networks, of_photos, grams, strict=True):
            pairs = zip(features, results, strict=True)
            table = [measure(of_photo, network(to_tensor(result)[None]), gram) for of_photo, result in pairs]
            means = {layer: np.mean([values[layer] for values in table], 0) for layer in network.layers}
            row[f"{network.name} style at {strength:g}"] = float(np.mean([value[0] for value in means.values()]))
            if strength == 1:
                row |= {f"{network.name} Gram {layer}": float(value[0]) for layer, value in means.items()}
            if strength >= 1:
                suffix = "" if strength == 1 else f" at {strength:g}"
                row |= {f"{network.name} r {layer}{suffix}": float(value[1]) for layer, value in means.items()}
    return row


def within(network: LossNetwork, painting: Tensor, results: list[np.ndarray]) -> float:
    """Mean style distance of ``results`` to ``painting`` (1, 3, h, w) without the features of their outer pixels."""

    def grams(image: Tensor) -> list[Tensor]:
        share = LOSS_BORDER / min(image.shape[-2:])
        return [gram_matrix(without_border(value, share)) for value in network(image).values()]

    target = grams(painting)
    distances = [map(gram_distance, grams(to_tensor(result)[None]), target) for result in results]
    return float(np.mean([list(layers) for layers in distances]))


def rounded(column: str, value: float | str) -> float | str:
    """Three digits; four for the style at a strength, as strengths next to each other differ by less."""
    return value if isinstance(value, str) else round(value, 4 if " style at " in column else 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paintings", required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--vgg19", required=True)
    parser.add_argument("--squeezenet", required=True)
    arguments = parser.parse_args()
    photos = fitted(find_images(Path(arguments.photos))[: arguments.count])
    files = {"vgg19": arguments.vgg19, "squeezenet1_0": arguments.squeezenet}
    networks = [LossNetwork(name, LAYERS[name], weights) for name, weights in files.items()]
    rows = []
    for name in tqdm(shipped_styles(), unit="style"):
        painting = next(path for path in find_images(Path(arguments.paintings)) if path.stem == name)
        rows.append({"style": name} | quality_of(name, painting, photos, networks))
        print(rows[-1], flush=True)
    write_rows(TABLE, [{key: rounded(key, value) for key, value in row.items()} for row in rows])


if __name__ == "__main__":
    main()
