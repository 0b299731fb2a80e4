"""Random crops of photographs, which follow from the seed and the position alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

SMALLEST_CROP = 0.6  # share of the photograph's short side


def random_crop(size: int) -> v2.Transform:
    """A square crop of 60 to 100 % of the picture's short side, resized to ``size``, perhaps mirrored, as a tensor."""
    return v2.Compose(
        [RandomSquareCrop(size), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )


class RandomSquareCrop(v2.Transform):
    """Cut a random square, its side uniform in [0.6, 1] of the short side, and resize it to ``size``.

    torchvision's RandomResizedCrop draws the area as a share of the whole picture, so that a panorama and a square would
    be cut at different scales.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def make_params(self, flat_inputs: list[Image.Image]) -> dict[str, int]:
        height, width = v2.functional.get_size(flat_inputs[0])
        share = SMALLEST_CROP + (1 - SMALLEST_CROP) * torch.rand(()).item()
        side = max(1, round(share * min(height, width)))
        top, left = (int(torch.randint(0, extent - side + 1, ())) for extent in (height, width))
        return {"top": top, "left": left, "height": side, "width": side}

    def transform(self, inpt: Image.Image, params: dict[str, int]) -> Image.Image:
        return v2.functional.resized_crop(inpt, **params, size=[self.size, self.size], antialias=True)


def randomly(transform: Callable[[Image.Image], Tensor], seed: int, position: int) -> Callable[[Image.Image], Tensor]:
    """``transform`` with its random numbers drawn from ``seed`` and ``position`` alone."""

    def apply(image: Image.Image) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed(seed, position))
            return transform(image)

    return apply


def mixed(*values: int) -> int:
    """A seed made of several integers."""
    return int(np.random.SeedSequence(values).generate_state(1)[0])
