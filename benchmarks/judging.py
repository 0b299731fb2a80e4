"""Measures of style transfer under loss networks that trained no model here, on held-out photographs of one size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from fast_nst.functional.features import energy, gram_matrix, structure_correlation
from fast_nst.imaging.images import open_image
from fast_nst.losses.terms import Features

LAYERS = {
    "vgg19": ("relu1_2", "relu2_2", "relu3_3", "relu4_2"),
    "squeezenet1_0": ("relu1", "fire2", "fire3", "fire5", "fire7"),
}
SIZE = (480, 320)


def fitted(paths: Iterable[Path]) -> list[np.ndarray]:
    """The photographs at ``paths``, scaled and cropped to ``SIZE``."""
    return [np.asarray(ImageOps.fit(open_image(path), SIZE, Image.Resampling.LANCZOS)) for path in paths]


def gram_distance(value: torch.Tensor, target: torch.Tensor) -> float:
    """|G - T|^2 / |T|^2 of two Gram matrices."""
    return ((value - target).square().mean() / energy(target)).item()


@torch.no_grad()
def measure(of_photo: Features, of_picture: Features, painting: Features) -> dict[str, tuple[float, float]]:
    """Layer -> Gram distance of a picture to the painting, whose Gram matrices are given, and structure r to the photo."""
    return {
        layer: (
            gram_distance(gram_matrix(of_picture[layer]), painting[layer]),
            structure_correlation(of_picture[layer], of_photo[layer]).item(),
        )
        for layer in of_photo
    }
