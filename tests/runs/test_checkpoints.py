"""Checkpoint files that claim more than they hold."""

import pytest
import torch

from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import read_checkpoint


def test_many_tensors_of_one_storage_are_refused_before_anything_copies_them(tmp_path):
    values = torch.zeros(250_000)
    torch.save({"state_dict": {str(number): values.view(500, 500) for number in range(1500)}}, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").stat().st_size < 2e6  # and 1.5 GB as copies
    with pytest.raises(UserError, match="not a readable weight file"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_weights_that_two_layers_share_are_read(tmp_path):
    weight = torch.rand(30, 30)
    torch.save({"in": weight, "out": weight.T, "bias": torch.zeros(3)}, tmp_path / "a.ckpt")
    content = read_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(content["in"], weight) and torch.equal(content["out"], weight.T)
