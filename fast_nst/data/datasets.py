"""Datasets of random crops: of photographs in a folder, or of scenes that the package draws.

A run is one pass over ``steps * batch`` positions. The photograph and the crop at a position follow from the seed and the
position alone, so neither worker processes nor an interruption change what the network sees.

Departures from Johnson et al. (2016): random crops with scale jitter and flips instead of whole pictures squeezed to a
square, which a small folder of photographs needs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from fast_nst.data.folders import Fault, Unusable, counted, open_patiently
from fast_nst.data.transforms import SMALLEST_CROP, mixed, random_crop, randomly
from fast_nst.errors import UserError
from fast_nst.imaging.synthetic import draw_scene

SCENES = 200


class Photos(Dataset[Tensor]):
    """Random crops of photographs, float RGB in [0, 1], shape (3, size, size).

    A file that cannot be used, or whose short side is under half of ``size``, is passed over for the next one of the same
    pass. What is wrong with it is remembered in memory that worker processes share.

    Args:
        paths: the photographs.
        size: side of the crops.
        seed: of order and crops.
        unlisted: files and folders that cannot be used and are not among ``paths``.
    """

    def __init__(
        self, paths: Sequence[Path], size: int, seed: int = 0, unlisted: Mapping[Path, Fault] | None = None
    ) -> None:
        self.paths, self.size, self.seed, self.unlisted = list(paths), size, seed, dict(unlisted or {})
        self.faults = torch.zeros(len(self.paths), dtype=torch.uint8).share_memory_()
        self.pauses = torch.zeros(1, dtype=torch.uint8).share_memory_()  # number of the last pause that was printed
        self.transform = random_crop(size)

    def __getitem__(self, position: int) -> Tensor:
        for attempt in range(len(self.paths)):
            index = _shuffled_index(position, len(self.paths), self.seed, attempt)
            image = None if self.faults[index] else self._open(index)
            if image is not None:
                return randomly(self.transform, self.seed, position)(image)
        reasons = counted(self.skipped.values())
        raise UserError(f"none of the photographs can be used ({reasons}); check --data, or choose a smaller --image_size")

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def skipped(self) -> dict[Path, Fault]:
        """Files found unusable so far, by this process and its workers."""
        known = {self.paths[index]: Fault(int(self.faults[index])) for index in self.faults.nonzero().flatten().tolist()}
        return self.unlisted | known

    def _open(self, index: int) -> Image.Image | None:
        enough = round(self.size / SMALLEST_CROP)
        try:
            return open_patiently(self.paths[index], enough, self.size // 2, self._others, self._tell)
        except Unusable as unusable:
            self.faults[index] = int(unusable.fault)
            return None

    def _others(self) -> list[Path]:
        """The photographs without a known fault."""
        return [self.paths[index] for index in (self.faults == 0).nonzero().flatten().tolist()]

    def _tell(self, number: int, sentence: str) -> None:
        """Print that the folder is gone, or back: once, however many workers notice."""
        if number > self.pauses[0]:
            print(f"\n{sentence}", file=sys.stderr, flush=True)
        elif number == 0 and self.pauses[0]:
            print("\nthe photographs can be read again", file=sys.stderr, flush=True)
        if number > self.pauses[0] or number == 0:
            self.pauses[0] = number


class Scenes(Dataset[Tensor]):
    """Random crops of scenes that the package draws, in place of photographs.

    Each of ``SCENES`` is drawn when it is first needed, a quarter larger than a crop, and then kept.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size, self.seed = size, seed
        self.transform = random_crop(size)
        self.drawn: dict[int, Image.Image] = {}

    def __getitem__(self, position: int) -> Tensor:
        index = _shuffled_index(position, SCENES, self.seed)
        if index not in self.drawn:
            self.drawn[index] = Image.fromarray(self.pixels(index))
        return randomly(self.transform, self.seed, position)(self.drawn[index])

    def pixels(self, index: int) -> np.ndarray:
        """A whole scene as uint8 RGB, a quarter larger than a crop."""
        side = self.size * 5 // 4
        return draw_scene(side, side, seed=mixed(self.seed, index))


def _shuffled_index(position: int, length: int, seed: int, attempt: int = 0) -> int:
    """The photograph at ``position``: every pass over the folder is a new permutation of it."""
    epoch, offset = divmod(position, length)
    return int(_permutation(length, mixed(seed, epoch))[(offset + attempt) % length])


_permutations: dict[tuple[int, int], np.ndarray] = {}


def _permutation(length: int, seed: int) -> np.ndarray:
    key = (length, seed)
    if key not in _permutations:
        if len(_permutations) > 3:
            _permutations.clear()
        _permutations[key] = np.random.default_rng(seed).permutation(length)
    return _permutations[key]
