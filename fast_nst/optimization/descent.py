"""Descent on the pixels of one picture by L-BFGS or Adam: Gatys et al. (2016), https://arxiv.org/abs/1508.06576, sec. 2.

The picture is float RGB in [0, 1], shape (1, 3, H, W). A caller makes one iteration at a time, so that it can show, save, or
stop at a target. The objective is any function from a picture to LossTerms.

Departures from the paper:
- the picture stays in [0, 1]: it is clamped after every step, gradients that point out of the range count as zero, and
  L-BFGS learns from the clamped step, so that the objective is always that of the picture that is written;
- gradients are divided by their mean absolute value at the start. Neither the weights nor the number of pixels change the
  path then, and absolute constants in the optimizers (a tolerance, an epsilon) have no effect;
- no line search: with steps of full length the objective falls as fast per iteration, at half the evaluations;
- a step to an objective that is not a number, or more than twice the best one, is undone, and the optimizer restarts from
  the best picture with half the step size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fast_nst.errors import UserError, unknown
from fast_nst.losses.terms import LossTerms
from fast_nst.runs.state_schema import Check, either, lbfgs_schema, number, optimizer_schema, tensor_like, whole

Objective = Callable[[Tensor], LossTerms]
OPTIMIZERS = {"lbfgs": 1.0, "adam": 0.02}  # with their default step sizes
FIRST_STEP = 1 / 255  # mean change of a pixel in L-BFGS's first step, where no curvature is known: one gray level
MOST_RISE = 2.0  # an objective of more than so many times the best undoes the step
IN_FILES = {"step_scale": "caution", "gradient_scale": "unit", "average_sum": "_sum"}  # names in saved states
STATE = ("picture", "gradient", "best", "iteration", "evaluations", "restarts", *IN_FILES)


class Descent:
    """Optimizes the pixels of one picture.

    Attributes:
        picture: the present picture, shape (1, 3, H, W), in [0, 1].
        terms: its objective.
        best, best_terms: the best picture so far and its objective.
        average: exponential moving average of the pictures, or None if not asked for.
        iteration: steps made; evaluations: of the objective and its gradient.
        restarts: steps that were undone.

    Args:
        objective: a picture -> its LossTerms; ``PerceptualLoss.objective(photo)`` makes one.
        start: the initial picture, clamped to [0, 1].
        optimizer: ``lbfgs`` or ``adam``.
        learning_rate: step size (none: 1 for L-BFGS, 0.02 for Adam, in units of the picture's range).
        history: pairs of steps and gradients that L-BFGS remembers; each takes two pictures of memory.
        average: decay of the moving average (0: none; 0.99 is usual).
    Raises:
        UserError: unknown optimizer, or an objective that is not finite at the start.
    """

    def __init__(
        self,
        objective: Objective,
        start: Tensor,
        optimizer: str = "lbfgs",
        learning_rate: float | None = None,
        history: int = 20,
        average: float = 0.0,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise unknown("optimizer", optimizer, OPTIMIZERS)
        self.objective, self.name, self.history = objective, optimizer, history
        self.learning_rate, self.step_scale = learning_rate or OPTIMIZERS[optimizer], 1.0
        self.iteration = self.evaluations = self.restarts = 0
        self.picture = start.detach().clamp(0, 1).contiguous().clone()
        self.terms, self.gradient = self._evaluated()
        if not self.terms.total.isfinite():
            raise UserError("the objective is not finite at the start; use smaller weights or float32")
        self.best, self.best_terms = self.picture.clone(), self.terms
        self.decay, self.average_sum = average, torch.zeros_like(self.picture) if average else None
        self._begin()

    def step(self) -> LossTerms:
        """Make one iteration and return the objective after it."""
        before = self.picture.clone()
        self._move()
        self._project_step(before)
        self.terms, self.gradient = self._evaluated()
        self.iteration += 1
        if self.terms.total < self.best_terms.total:
            self.best.copy_(self.picture)
            self.best_terms = self.terms
        elif not self.terms.total <= MOST_RISE * self.best_terms.total or torch.equal(before, self.picture):
            self._restart()
        if self.average_sum is not None:
            self.average_sum.lerp_(self.picture, 1 - self.decay)
        return self.terms

    @property
    def average(self) -> Tensor | None:
        """The exponential moving average of the pictures, corrected for its start at zero."""
        if self.average_sum is None or not self.iteration:
            return None
        return self.average_sum / (1 - self.decay**self.iteration)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        own = {IN_FILES.get(key, key): getattr(self, key) for key in STATE}
        terms = {"terms": tuple(self.terms), "best_terms": tuple(self.best_terms)}
        return own | terms | {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a ``state`` that was saved under the same objective."""
        for key in STATE:
            setattr(self, key, state[IN_FILES.get(key, key)])
        self.best_terms = LossTerms(*state["best_terms"])
        self.terms = LossTerms(*state["terms"])
        self.optimizer = self._optimizer()
        self.optimizer.load_state_dict(state["optimizer"])

    def _evaluated(self) -> tuple[LossTerms, Tensor]:
        picture = self.picture.detach().requires_grad_()
        with torch.enable_grad():
            terms = self.objective(picture)
            (gradient,) = torch.autograd.grad(terms.total, picture)
        self.evaluations += 1
        outwards = ((self.picture <= 0) & (gradient > 0)) | ((self.picture >= 1) & (gradient < 0))
        return LossTerms(*(term.detach() for term in terms)), gradient.masked_fill_(outwards, 0).contiguous()

    def _begin(self) -> None:
        size = self.gradient.abs().mean().item()
        self.gradient_scale = size if size > 0 else 1.0
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        return optimizer_of(self.name, self.picture, self.learning_rate * self.step_scale, self.history)

    def _move(self) -> None:
        if self.name == "lbfgs":
            first = not self.optimizer.state[self.picture]
            size = self.picture.numel() * FIRST_STEP * self.step_scale if first else self.learning_rate
            self.optimizer.param_groups[0]["lr"] = size
        self.picture.grad = self.gradient / self.gradient_scale
        self.optimizer.step(self._scaled_total)

    def _scaled_total(self) -> Any:
        return self.terms.total / self.gradient_scale

    def _project_step(self, before: Tensor) -> None:
        """Clamp the picture to [0, 1], and let L-BFGS learn from the clamped step from ``before``.

        L-BFGS pairs the change of the gradient with its last step, t d, which torch.optim.LBFGS keeps in its state: ``d`` is
        replaced by the direction of the step that was really made. (torch.optim has no public way to say so.)
        """
        self.picture.clamp_(0, 1)
        state = self.optimizer.state[self.picture]
        if self.name == "lbfgs" and "d" in state:
            state["d"] = (self.picture - before).flatten() / state["t"]

    def _restart(self) -> None:
        self.picture.copy_(self.best)
        self.restarts += 1
        self.step_scale /= 2
        self.terms, self.gradient = self._evaluated()
        self._begin()


def state_schema(
    picture: Tensor, optimizer: str, learning_rate: float | None, history: int, average: float
) -> dict[str, Any]:
    """The schema of ``Descent.state_dict`` for a ``picture`` of this shape under the options of ``Descent``."""
    term = tensor_like(torch.tensor(0.0))
    own: dict[str, Check] = dict.fromkeys(("iteration", "evaluations", "restarts"), whole())
    own |= {"caution": number(0, 1), "unit": number(1e-38, 1e38), "_sum": tensor_like(picture) if average else either(None)}
    own |= {"picture": tensor_like(picture, 0, 1), "best": tensor_like(picture, 0, 1), "gradient": tensor_like(picture)}
    made = optimizer_of(optimizer, picture, learning_rate or OPTIMIZERS[optimizer], history)
    options = lbfgs_schema(made, picture) if optimizer == "lbfgs" else optimizer_schema(made)
    return own | dict.fromkeys(("terms", "best_terms"), (term,) * len(LossTerms._fields)) | {"optimizer": options}


def optimizer_of(name: str, picture: Tensor, learning_rate: float, history: int) -> torch.optim.Optimizer:
    """Adam with ``learning_rate``, or L-BFGS, whose rate is set before every step, on ``picture``."""
    if name == "adam":
        return torch.optim.Adam([picture], learning_rate)
    return torch.optim.LBFGS([picture], max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0)


def optimize(objective: Objective, start: Tensor, steps: int = 300, until: float = -math.inf, **options: Any) -> Descent:
    """Descend for ``steps`` iterations, or until the objective is at most ``until``; ``options`` are those of Descent.

    Returns:
        the Descent: its ``best`` picture is the result, ``iteration`` the number of steps.
    """
    descent = Descent(objective, start, **options)
    while descent.iteration < steps and descent.best_terms.total > until:
        descent.step()
    return descent
