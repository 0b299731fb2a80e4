"""Held-out photographs, or scenes of the package, to measure on."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fast_nst.data.datasets import Scenes
from fast_nst.data.folders import find_preview_photos
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import load_image


def held_out(folder: Path | None, count: int, size: int, seed: int) -> list[Tensor]:
    """``count`` pictures, each (1, 3, H, W) in [0, 1], the longer side ``size``.

    Args:
        folder: a COCO folder, whose validation half is taken, or photographs that nothing is trained on; None: scenes of
            another seed than ``seed``.
    """
    if folder is None:
        scenes = Scenes(size, seed + 1)
        return [to_tensor(scenes.pixels(index))[None] for index in range(count)]
    return [to_tensor(load_image(path, size))[None] for path in find_preview_photos([folder], count)]
