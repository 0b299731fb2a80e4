"""Muon, the optimiser of the training: kernels move by orthogonal matrices, everything else as Adam says.

Adam scales every number of a kernel by itself. Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) takes a kernel
as the matrix that it is, and lets its momentum pull equally hard in all of its directions, strong and weak. Departure: a
step is as long as Adam's (Liu et al. 2025, arXiv 2502.16982, sec. 2.2), so that one rate serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ADAM_STEP = 0.2  # the root mean square of a step of Adam, as a share of the rate
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial: singular values of 0.01 to 1 end between 0.7 and 1.2


class Muon(torch.optim.Adam):
    """Adam, but for groups of parameters marked ``orthogonal``, which move along orthogonal matrices.

    For a kernel W (O, I, k, k), read as (O, I k^2), with gradient G and momentum B, mu = 0.95 and a rate lr:

        B <- mu B + (1 - mu) G;  W <- W - 0.2 lr sqrt(max(O, I k^2)) orthogonal(mu B + (1 - mu) G)

    Args:
        groups: of parameters; ``{"params": ..., "orthogonal": True}`` marks kernels.
        lr: rate of the groups that have none of their own.
    """

    def __init__(self, groups: Iterable[dict], lr: float) -> None:
        super().__init__([{"orthogonal": False} | group for group in groups], lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        for group in groups:
            for kernel in group["params"] if group["orthogonal"] else []:
                self._turn(kernel, group["lr"])
        self.param_groups = [group for group in groups if not group["orthogonal"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss

    def _turn(self, kernel: nn.Parameter, lr: float) -> None:
        if kernel.grad is None:
            return
        state = self.state[kernel]
        if not state:
            state |= {"step": torch.tensor(0.0), "momentum": torch.zeros_like(kernel)}
        state["step"] += 1
        state["momentum"].lerp_(kernel.grad, 1 - MOMENTUM)
        matrix = kernel.grad.lerp(state["momentum"], MOMENTUM).flatten(1)
        kernel.sub_(orthogonal(matrix).view_as(kernel), alpha=ADAM_STEP * lr * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """U V^T, nearly, of the singular value decomposition U S V^T of ``matrix``; 0 stays 0.

    Five Newton-Schulz iterations X <- a X + b X X^T X + c (X X^T)^2 X bring the singular values to about 1.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    a, b, c = COEFFICIENTS
    x = wide.float() / wide.float().norm().clamp_min(1e-12)
    for _ in range(ITERATIONS):
        squares = x @ x.T
        x = a * x + (b * squares + c * squares @ squares) @ x
    return (x.T if wide is not matrix else x).to(matrix.dtype)
