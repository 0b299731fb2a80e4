"""Photographs -> batches: a COCO folder, any folder, or scenes that the package draws itself.

A run is one pass over ``steps * batch`` positions. What stands at a position (which photograph, which crop) follows from
the seed and the position alone, so neither worker processes nor an interruption change what the network sees.

Departures from Johnson et al. (2016): random crops with scale jitter and flips instead of whole pictures squeezed to a
square, which a small folder of photographs needs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from fast_nst.drawing import draw_scene
from fast_nst.errors import UserError
from fast_nst.images import find_images, resize_long_side
from fast_nst.photo_files import Fault, Unusable, open_patiently, open_photo, scan
from fast_nst.stopping import leave_to_parent

COCO_TRAIN, COCO_VAL = "train2017", "val2017"
SMALLEST_CROP = 0.6  # share of the photograph's short side
SMALLEST_PREVIEW = 32  # pixels on the short side
SCENES = 200


def find_photos(folders: str | Path | Sequence[str | Path], faults: dict[Path, Fault] | None = None) -> list[Path]:
    """The training photographs of a COCO folder (its ``train2017``), of any other folder, or of several.

    Args:
        faults: gets what is called like a picture and is no file, and folders that cannot be entered.
    Raises:
        UserError: a folder that is none or holds no picture.
    """
    photos: list[Path] = []
    for folder in map(Path, [folders] if isinstance(folders, str | Path) else folders):
        if not folder.is_dir():
            raise UserError(f"no folder of photographs at {folder}; check --data")
        coco = folder / COCO_TRAIN
        found = scan(coco if coco.is_dir() else folder, {} if faults is None else faults)
        if not found:
            raise UserError(f"no pictures in {folder}; --data needs a folder of photographs (JPEG, PNG, WebP, ...)")
        photos += found
    return photos


def find_preview_photos(folders: str | Path | Sequence[str | Path], count: int | None = None) -> list[Path]:
    """Photographs to show progress on: of ``val2017`` where there is one, so not trained on, else the first."""
    first = Path(folders if isinstance(folders, str | Path) else folders[0])
    held_out = find_images(first / COCO_VAL) if (first / COCO_VAL).is_dir() else []
    return (held_out or find_photos(folders))[:count]


def readable_photos(paths: Sequence[Path], count: int, long_side: int) -> list[np.ndarray]:
    """The first ``count`` of ``paths`` that can be used, uint8 RGB (H, W, 3), the longer side reduced to ``long_side``.

    Raises:
        UserError: there is none.
    """
    photos: list[np.ndarray] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            image = open_photo(path, long_side, SMALLEST_PREVIEW)
        except Unusable as unusable:
            faults.append(unusable.fault)  # training counts and names it
            continue
        image = resize_long_side(image, min(long_side, max(image.size)))
        if min(image.size) >= SMALLEST_PREVIEW:
            photos.append(np.asarray(image))
        else:
            faults.append(Fault.SMALL)
        if len(photos) == count:
            break
    if not photos:
        raise UserError(f"none of the {len(paths)} pictures in --data can be used ({_counted(faults)}); check the folder")
    return photos


def _counted(faults: Iterable[Fault]) -> str:
    """How many files have which fault, the most frequent first."""
    return ", ".join(f"{count} {words}" for words, count in Counter(fault.words for fault in faults).most_common())


class Photos(Dataset[Tensor]):
    """Random crops of photographs, float RGB in [0, 1], shape (3, size, size).

    A file that cannot be used, or whose short side is under half of ``size``, is passed over for the next one of the same
    pass. What is wrong with it is remembered in memory that worker processes share.

    Args:
        paths: the photographs.
        size: side of the crops.
        seed: of order and crops.
        unlisted: files that are known to be unusable and are not among ``paths``.
    """

    def __init__(
        self, paths: Sequence[Path], size: int, seed: int = 0, unlisted: Mapping[Path, Fault] | None = None
    ) -> None:
        self.paths, self.size, self.seed, self.unlisted = list(paths), size, seed, dict(unlisted or {})
        self.faults = torch.zeros(len(self.paths), dtype=torch.uint8).share_memory_()
        self.pauses = torch.zeros(1, dtype=torch.uint8).share_memory_()  # what was told of a folder that is gone
        self.transform = random_crop(size)

    def __getitem__(self, position: int) -> Tensor:
        for attempt in range(len(self.paths)):
            index = _shuffled_index(position, len(self.paths), self.seed, attempt)
            image = None if self.faults[index] else self._open(index)
            if image is not None:
                return randomly(self.transform, self.seed, position)(image)
        reasons = _counted(self.skipped.values())
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
        """The photographs of which nothing bad is known."""
        return [self.paths[index] for index in (self.faults == 0).nonzero().flatten().tolist()]

    def _tell(self, number: int, sentence: str) -> None:
        """Say that the folder is gone, or back: once, however many workers notice."""
        if number > self.pauses[0]:
            print(f"\n{sentence}", file=sys.stderr, flush=True)
        elif number == 0 and self.pauses[0]:
            print("\nthe photographs can be read again", file=sys.stderr, flush=True)
        if number > self.pauses[0] or number == 0:
            self.pauses[0] = number


class Scenes(Dataset[Tensor]):
    """Random crops of scenes that the package draws: photographs for those who have none at hand.

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
        return draw_scene(side, side, seed=_mixed(self.seed, index))


class Positions(Sampler[int]):
    """The positions of a run, 0 to ``end``; a resumed run starts at ``start``. Of several processes, each takes every n-th.

    The length is that of the whole run, since Lightning counts the steps of an interrupted run on from where it was.
    """

    def __init__(self, start: int, end: int, rank: int = 0, processes: int = 1) -> None:
        self.remaining, self.whole = range(start + rank, end, processes), range(rank, end, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.remaining)

    def __len__(self) -> int:
        return len(self.whole)


class Loader(DataLoader[Tensor]):
    """A DataLoader whose workers' UserErrors stay one sentence; PyTorch's own wraps them in a traceback."""

    def __iter__(self) -> Iterator[Tensor]:
        given, error = super().__iter__(), None
        try:
            yield from given
        except UserError as caught:
            error = type(caught), str(caught).strip().splitlines()[-1]
            caught.with_traceback(None)  # its frames would keep the workers alive
        finally:
            del given  # which ends the workers
        if error:
            kind, sentence = error
            raise kind(sentence.removeprefix(f"{kind.__module__}.{kind.__qualname__}: "))


def batches(dataset: Dataset[Tensor], positions: Positions, batch_size: int, workers: int) -> Loader:
    """A loader of full batches; pinned memory where there is a GPU."""
    return Loader(
        dataset,
        batch_size,
        sampler=positions,
        num_workers=workers,
        worker_init_fn=leave_to_parent,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


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
            torch.manual_seed(_mixed(seed, position))
            return transform(image)

    return apply


def to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 RGB (H, W, 3) -> float RGB in [0, 1], shape (3, H, W)."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def to_pixels(image: Tensor) -> np.ndarray:
    """Float RGB, shape (3, H, W), clamped to [0, 1] -> uint8 RGB (H, W, 3)."""
    return (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def _shuffled_index(position: int, length: int, seed: int, attempt: int = 0) -> int:
    """The photograph at ``position``: every pass over the folder is a new permutation of it."""
    epoch, offset = divmod(position, length)
    return int(_permutation(length, _mixed(seed, epoch))[(offset + attempt) % length])


_permutations: dict[tuple[int, int], np.ndarray] = {}


def _permutation(length: int, seed: int) -> np.ndarray:
    key = (length, seed)
    if key not in _permutations:
        if len(_permutations) > 3:
            _permutations.clear()
        _permutations[key] = np.random.default_rng(seed).permutation(length)
    return _permutations[key]


def _mixed(*values: int) -> int:
    return int(np.random.SeedSequence(values).generate_state(1)[0])
