"""Muon: orthogonal steps for kernels, those of Adam for all other parameters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fast_nst.training.optimizer import ADAM_RMS, Muon, zeropower_via_newtonschulz


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 99))
def test_the_zeroth_power_keeps_the_singular_vectors_and_makes_the_values_about_1(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, strengths, right = torch.linalg.svd(matrix, full_matrices=False)
    even = left.T @ zeropower_via_newtonschulz(matrix) @ right.T  # diagonal, as the directions stay
    known = strengths > 0.02 * strengths.norm()
    assert even.diagonal()[known].min() > 0.6 and even.diagonal().max() < 1.3
    torch.testing.assert_close(even - torch.diag(even.diagonal()), torch.zeros_like(even), atol=2e-3, rtol=0)


def test_the_zeroth_power_does_not_depend_on_the_scale_and_leaves_0():
    matrix = torch.randn(5, 9)
    power = zeropower_via_newtonschulz(matrix)
    torch.testing.assert_close(zeropower_via_newtonschulz(1e-4 * matrix), power, atol=1e-4, rtol=1e-3)
    assert torch.equal(zeropower_via_newtonschulz(torch.zeros(4, 3)), torch.zeros(4, 3))


def test_parameters_that_are_no_kernels_move_as_with_adam():
    pairs = [[nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2)] for _ in range(2)]
    kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
    ours = Muon([{"params": [kernel], "use_muon": True}, {"params": pairs[0], "lr": 0.03}], 0.01)
    theirs = torch.optim.Adam(pairs[1], 0.03)
    for optimizer, parameters in ((ours, pairs[0]), (theirs, pairs[1])):
        for step in range(5):
            optimizer.zero_grad()
            sum((p * (p - step)).sum() for p in (*parameters, kernel)).backward()
            optimizer.step()
    for one, other in zip(*pairs, strict=True):
        assert torch.equal(one, other)
    assert len(ours.param_groups) == 2


def test_a_kernel_of_1_x_1_moves_as_a_matrix_does_with_torchs_muon():
    kernel, matrix = nn.Parameter(torch.randn(6, 4, 1, 1)), nn.Parameter(torch.empty(6, 4))
    matrix.data.copy_(kernel.detach()[..., 0, 0])
    ours = Muon([{"params": [kernel], "use_muon": True}], 0.01)
    theirs = torch.optim.Muon([matrix], 0.01, weight_decay=0, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    gradients, before = torch.randn(3, 6, 4), matrix.detach().clone()
    for gradient in gradients:
        kernel.grad, matrix.grad = gradient.clone()[..., None, None], gradient.clone()
        ours.step()
        theirs.step()
    moved, wanted = kernel.detach()[..., 0, 0] - before, matrix.detach() - before
    assert (moved - wanted).norm() < 0.02 * wanted.norm()  # torch iterates in bfloat16


def test_a_closure_is_called_with_gradients_and_its_loss_returned():
    kernel = nn.Parameter(torch.randn(2, 3, 1, 1))
    optimizer = Muon([{"params": [kernel], "use_muon": True}], 0.01)

    def closure():
        loss = kernel.square().sum()
        loss.backward()
        return loss

    expected = kernel.detach().square().sum()
    assert optimizer.step(closure) == expected and kernel.grad is not None


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (64, 2, 1, 1)])
def test_a_kernels_step_is_as_long_as_adams(shape):
    kernel = nn.Parameter(torch.randn(shape))
    before = kernel.detach().clone()
    optimizer = Muon([{"params": [kernel], "use_muon": True}], 0.01)
    (1e-3 * torch.randn(shape) * kernel).sum().backward()
    optimizer.step()
    length = (kernel.detach() - before).square().mean().sqrt().item()
    assert length == pytest.approx(ADAM_RMS * 0.01, rel=0.25)


def test_its_state_goes_on_where_it_was():
    def some_steps(optimizer, kernel, count):
        for _ in range(count):
            optimizer.zero_grad()
            (kernel - 1).square().sum().backward()
            optimizer.step()

    def made(value):
        kernel = nn.Parameter(value.clone())
        return kernel, Muon([{"params": [kernel], "use_muon": True}], 0.01)

    start = torch.randn(4, 2, 3, 3)
    whole, optimizer = made(start)
    some_steps(optimizer, whole, 6)
    first, optimizer = made(start)
    some_steps(optimizer, first, 3)
    second, again = made(first.detach())
    again.load_state_dict(optimizer.state_dict())
    some_steps(again, second, 3)
    assert torch.equal(whole, second)
