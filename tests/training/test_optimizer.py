"""Muon: orthogonal steps for kernels, Adam's for all else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fast_nst.training.optimizer import ADAM_STEP, Muon, orthogonal


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 99))
def test_orthogonal_keeps_the_directions_and_evens_out_their_strengths(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, strengths, right = torch.linalg.svd(matrix, full_matrices=False)
    even = left.T @ orthogonal(matrix) @ right.T  # diagonal, as the directions stay
    known = strengths > 0.02 * strengths.norm()
    assert even.diagonal()[known].min() > 0.6 and even.diagonal().max() < 1.3
    torch.testing.assert_close(even - torch.diag(even.diagonal()), torch.zeros_like(even), atol=2e-3, rtol=0)


def test_orthogonal_does_not_depend_on_the_scale_and_leaves_0():
    matrix = torch.randn(5, 9)
    torch.testing.assert_close(orthogonal(1e-4 * matrix), orthogonal(matrix), atol=1e-4, rtol=1e-3)
    assert torch.equal(orthogonal(torch.zeros(4, 3)), torch.zeros(4, 3))


def test_parameters_that_are_no_kernels_move_as_with_adam():
    pairs = [[nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2)] for _ in range(2)]
    kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
    ours = Muon([{"params": [kernel], "orthogonal": True}, {"params": pairs[0], "lr": 0.03}], 0.01)
    theirs = torch.optim.Adam(pairs[1], 0.03)
    for optimizer, parameters in ((ours, pairs[0]), (theirs, pairs[1])):
        for step in range(5):
            optimizer.zero_grad()
            sum((p * (p - step)).sum() for p in (*parameters, kernel)).backward()
            optimizer.step()
    for one, other in zip(*pairs, strict=True):
        assert torch.equal(one, other)
    assert len(ours.param_groups) == 2


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (64, 2, 1, 1)])
def test_a_kernels_step_is_as_long_as_adams(shape):
    kernel = nn.Parameter(torch.randn(shape))
    before = kernel.detach().clone()
    optimizer = Muon([{"params": [kernel], "orthogonal": True}], 0.01)
    (1e-3 * torch.randn(shape) * kernel).sum().backward()
    optimizer.step()
    length = (kernel.detach() - before).square().mean().sqrt().item()
    assert length == pytest.approx(ADAM_STEP * 0.01, rel=0.25)


def test_its_state_goes_on_where_it_was():
    def some_steps(optimizer, kernel, count):
        for _ in range(count):
            optimizer.zero_grad()
            (kernel - 1).square().sum().backward()
            optimizer.step()

    def made(value):
        kernel = nn.Parameter(value.clone())
        return kernel, Muon([{"params": [kernel], "orthogonal": True}], 0.01)

    start = torch.randn(4, 2, 3, 3)
    whole, optimizer = made(start)
    some_steps(optimizer, whole, 6)
    first, optimizer = made(start)
    some_steps(optimizer, first, 3)
    second, again = made(first.detach())
    again.load_state_dict(optimizer.state_dict())
    some_steps(again, second, 3)
    assert torch.equal(whole, second)
