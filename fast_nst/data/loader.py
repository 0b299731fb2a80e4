"""Batches of photographs in the order of a run's positions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fast_nst.errors import UserError
from fast_nst.system.signals import leave_to_parent


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
