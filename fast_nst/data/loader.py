"""Batches of photographs in the order of a run's positions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.errors import UserError
from fast_nst.system.signals import leave_to_parent


class Positions(Sampler[int]):
    """The positions of a run, 0 to ``end``; a resumed run starts at ``start``. Of n processes, each takes every n-th.

    The length is that of the whole run, since Lightning counts the steps of a resumed run from its beginning.
    """

    def __init__(self, start: int, end: int, rank: int = 0, processes: int = 1) -> None:
        self.remaining, self.whole = range(start + rank, end, processes), range(rank, end, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.remaining)

    def __len__(self) -> int:
        return len(self.whole)


class _Answers(Dataset):
    """``dataset``, whose UserErrors are values: PyTorch would hand over those of a worker as the text of a traceback."""

    def __init__(self, dataset: Photos | Scenes) -> None:
        self.dataset = dataset

    def __getitem__(self, position: int) -> Tensor | UserError:
        try:
            return self.dataset[position]
        except UserError as error:
            return error.with_traceback(None)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # scenes have no end, and are not counted


def _collate(answers: list[Tensor | UserError]) -> Tensor | UserError:
    return next((one for one in answers if isinstance(one, UserError)), None) or default_collate(answers)


class Loader(DataLoader):
    """A DataLoader of batches (B, 3, H, W) that raises the UserErrors of its workers as they were."""

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]  # any iterator will do
        given, error = super().__iter__(), None
        for batch in given:
            if isinstance(batch, UserError):
                error = batch
                break
            yield batch
        del given  # which ends the workers
        if error is not None:
            raise error


def batches(dataset: Photos | Scenes, positions: Positions, batch_size: int, workers: int) -> Loader:
    """A loader of full batches; pinned memory where there is a GPU."""
    return Loader(
        _Answers(dataset),
        batch_size,
        sampler=positions,
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=leave_to_parent,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )
