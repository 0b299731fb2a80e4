"""Batches from worker processes: their errors arrive as they were, and no worker outlives them."""

import multiprocessing

import pytest
import torch
from torch.utils.data import Dataset

from fast_nst.data.folders import PhotosGone
from fast_nst.data.loader import Positions, batches


class Failing(Dataset):
    """Black crops, and one that raises ``error``."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, position: int) -> torch.Tensor:
        if position == 5:
            raise self.error
        return torch.zeros(3, 4, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_user_error_of_a_worker_keeps_its_type_and_text(workers):
    sentence = "fast_nst.errors.UserError: first line\nTraceback (most recent call last): 'nothing of it is a type'"
    met = []
    with pytest.raises(PhotosGone) as caught:
        for batch in batches(Failing(PhotosGone(sentence)), Positions(0, 12), 2, workers):
            met.append(batch.shape)
    assert str(caught.value) == sentence and met == [(2, 3, 4, 4)] * 2
    del caught
    assert not multiprocessing.active_children()


def test_a_mistake_of_the_program_is_no_user_error():
    with pytest.raises(ZeroDivisionError):
        list(batches(Failing(ZeroDivisionError()), Positions(0, 12), 2, 1))
