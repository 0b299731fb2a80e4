"""How well a model transfers a style: Gram and content distances and structure r on held-out photographs.

    python benchmarks/quality.py checkpoints/great_wave --style great_wave.jpg --photos val \
        --vgg19 vgg19_features.safetensors --squeezenet squeezenet1_0.safetensors

Distances are divided by the energy of their target. SqueezeNet judges too, as no model here was trained with it. The
photograph itself is in the first column: what a model that changes nothing would get.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from fast_nst.functional.features import energy, gram_matrix, structure_correlation
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import find_images, open_image, resize_long_side
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.stylize.stylizer import Stylizer

LAYERS = {
    "vgg19": ("relu1_2", "relu2_2", "relu3_3", "relu4_2"),
    "squeezenet1_0": ("relu1", "fire2", "fire3", "fire5", "fire7"),
}
SIZE = (480, 320)

Features = dict[str, torch.Tensor]


def distance(value: torch.Tensor, target: torch.Tensor) -> float:
    return ((value - target).square().mean() / energy(target)).item()


@torch.no_grad()
def measure(of_photo: Features, of_picture: Features, painting: Features) -> dict[str, tuple[float, ...]]:
    """Gram distance of photograph and picture to the painting's, content distance and structure r, for each layer."""
    rows = {}
    for layer in of_photo:
        rows[layer] = (
            distance(gram_matrix(of_photo[layer]), painting[layer]),
            distance(gram_matrix(of_picture[layer]), painting[layer]),
            distance(of_picture[layer], of_photo[layer]),
            structure_correlation(of_picture[layer], of_photo[layer]).item(),
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--style", required=True)
    parser.add_argument("--style_size", type=int, default=512)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--vgg19", required=True)
    parser.add_argument("--squeezenet", required=True)
    arguments = parser.parse_args()
    painting = to_tensor(np.asarray(resize_long_side(open_image(arguments.style), arguments.style_size)))[None]
    photos = [
        np.asarray(ImageOps.fit(open_image(path), SIZE, Image.Resampling.LANCZOS))
        for path in find_images(Path(arguments.photos))[: arguments.count]
    ]
    networks = [
        LossNetwork("vgg19", LAYERS["vgg19"], arguments.vgg19),
        LossNetwork("squeezenet1_0", LAYERS["squeezenet1_0"], arguments.squeezenet),
    ]
    for model in arguments.models:
        stylizer = Stylizer(model)
        print(f"\n{model}, {len(photos)} photographs of {SIZE[0]} x {SIZE[1]}\n")
        print("| network | layer | Gram, photo | Gram, result | content | structure r |\n|---|---|---|---|---|---|")
        pairs = [(to_tensor(photo)[None], to_tensor(stylizer(photo))[None]) for photo in photos]
        for network in networks:
            with torch.no_grad():
                targets = {layer: gram_matrix(value) for layer, value in network(painting).items()}
                table = [measure(network(photo), network(picture), targets) for photo, picture in pairs]
            for layer in network.layers:
                means = np.mean([row[layer] for row in table], 0)
                print(f"| {network.name} | {layer} | " + " | ".join(f"{value:.3f}" for value in means) + " |")


if __name__ == "__main__":
    main()
