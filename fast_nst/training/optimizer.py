"""Optimizer of the training: Muon for convolution kernels, Adam for all other parameters.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a weight matrix by the nearest
orthogonal matrix, so that a step is equally long in all directions of the matrix. Departure: the step has the length of
Adam's (Liu et al. 2025, arXiv 2502.16982, sec. 2.2), so that one learning rate serves both.

``torch.optim.Muon`` takes only matrices, and the kernels of a convolution have four dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam
ADAM_RMS = 0.2  # root mean square of a step of Adam, as a share of the rate
NS_STEPS = 5
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # singular values of 0.01 to 1 end between 0.7 and 1.2


class Muon(torch.optim.Optimizer):
    """Muon for groups of parameters with ``use_muon``, Adam for the others.

    For a kernel W (O, I, k, k), read as (O, I k^2), with gradient G, momentum B, mu = 0.95 and learning rate lr:

        B <- mu B + (1 - mu) G;  W <- W - 0.2 lr sqrt(max(O, I k^2)) zeropower(mu B + (1 - mu) G)

    Args:
        groups: of parameters, as for every optimizer of torch; ``{"params": kernels, "use_muon": True}``.
        lr: learning rate of the groups that have none of their own.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "betas": BETAS, "eps": EPS, "use_muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            (self._muon_step if group["use_muon"] else self._adam_step)(moved, group)
        return loss

    def _muon_step(self, kernels: list[nn.Parameter], group: dict[str, Any]) -> None:
        for kernel in kernels:
            state = self._state_of(kernel, "momentum")
            state["step"] += 1
            gradient = _gradient_of(kernel)
            state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            update = zeropower_via_newtonschulz(gradient.lerp(state["momentum"], MOMENTUM).flatten(1))
            kernel.sub_(update.view_as(kernel), alpha=match_rms_adamw(group["lr"], update.shape))

    def _adam_step(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        states = [self._state_of(parameter, "exp_avg", "exp_avg_sq") for parameter in parameters]
        averages, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        adam(
            list[Tensor](parameters),
            [_gradient_of(parameter) for parameter in parameters],
            averages,
            squares,
            [],
            steps,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )

    def _state_of(self, parameter: nn.Parameter, *names: str) -> dict[str, Tensor]:
        """The state of ``parameter``: its number of steps and the averages ``names``, 0 before the first step."""
        if not self.state[parameter]:
            self.state[parameter] = {"step": torch.tensor(0.0)} | {name: torch.zeros_like(parameter) for name in names}
        return self.state[parameter]


def _gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None  # others are left out in a step
    return parameter.grad


def match_rms_adamw(lr: float, shape: torch.Size) -> float:
    """Factor of an orthogonal matrix of ``shape`` (m, n) whose root mean square becomes 0.2 ``lr``, as of a step of Adam.

    0.2 lr sqrt(max(m, n)): the squares of an orthogonal matrix sum to min(m, n) (Liu et al. 2025, sec. 2.2).
    """
    return ADAM_RMS * lr * max(shape) ** 0.5


def zeropower_via_newtonschulz(matrix: Tensor) -> Tensor:
    """U V^T, approximately, of the singular value decomposition U S V^T of ``matrix`` (m, n); 0 stays 0.

    Five Newton-Schulz iterations X <- a X + b X X^T X + c (X X^T)^2 X bring the singular values to about 1.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    a, b, c = NS_COEFFICIENTS
    x = wide.float() / wide.float().norm().clamp_min(1e-12)
    for _ in range(NS_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if wide is not matrix else x).to(matrix.dtype)
