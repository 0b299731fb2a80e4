"""Per-image optimisation, the core: Gatys et al. (2016), https://arxiv.org/abs/1508.06576, sec. 2: descend on the pixels.

One picture, float RGB in [0, 1], shape (1, 3, H, W), is moved down an objective by L-BFGS or Adam, one iteration at a time,
so that a caller can look, save, or stop at a target. What the objective is made of is another module's business.

Departures from the paper:
- the picture stays in [0, 1]: it is projected after every step, gradients that point out of the range count as zero, and
  L-BFGS learns from the step as it was really made, so the objective is always that of the picture that will be written;
- gradients are measured in units of their mean size at the start. Neither the weights nor the number of pixels change the
  path then, and absolute numbers in the optimisers (a tolerance, an epsilon) cannot bite;
- no line search: with steps of full length the objective falls as fast per iteration, at half the evaluations;
- a step that leads nowhere (not a number, or twice the best objective) is taken back, and the optimiser starts again from
  the best picture with half the step.
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
OPTIMIZERS = {"lbfgs": 1.0, "adam": 0.02}  # and their usual rates
FIRST_STEP = 1 / 255  # mean movement of a pixel in L-BFGS's first step, when it knows no curvature: one grey level
STATE = ("picture", "gradient", "best", "iteration", "evaluations", "restarts", "caution", "unit", "_sum")
TOO_FAR = 2.0  # an objective of so many times the best is a step that led nowhere


class Descent:
    """A picture on its way down an objective.

    Attributes:
        picture: where it is now, shape (1, 3, H, W), in [0, 1].
        terms: the objective there.
        best, best_terms: the best picture so far and its objective.
        average: the average over iterations, later ones counting more, or None if not asked for.
        iteration: steps made; evaluations: how often the objective and its gradient were computed.
        restarts: how often the optimiser was sent back to the best picture.

    Args:
        objective: a picture -> its LossTerms; ``PerceptualLoss.objective(photo)`` makes one.
        start: the first picture, clamped to [0, 1].
        optimizer: ``lbfgs`` or ``adam``.
        lr: step size (none: 1 for L-BFGS, 0.02 for Adam, in units of the picture's range).
        history: pairs of steps and gradients that L-BFGS remembers; each takes two pictures of memory.
        average: decay of the average over iterations (0: none; 0.99 is usual).
    Raises:
        UserError: unknown optimiser, or an objective that is not finite at the start.
    """

    def __init__(
        self,
        objective: Objective,
        start: Tensor,
        optimizer: str = "lbfgs",
        lr: float | None = None,
        history: int = 20,
        average: float = 0.0,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise unknown("optimizer", optimizer, OPTIMIZERS)
        self.objective, self.name, self.history = objective, optimizer, history
        self.lr, self.caution = OPTIMIZERS[optimizer] if lr is None else lr, 1.0
        self.iteration = self.evaluations = self.restarts = 0
        self.picture = start.detach().clamp(0, 1).contiguous().clone()
        self.terms, self.gradient = self._evaluated()
        if not self.terms.total.isfinite():
            raise UserError("the objective is not finite at the start; use smaller weights or float32")
        self.best, self.best_terms = self.picture.clone(), self.terms
        self.decay, self._sum = average, torch.zeros_like(self.picture) if average else None
        self._begin()

    def step(self) -> LossTerms:
        """Make one iteration and return the objective after it."""
        before = self.picture.clone()
        self._move()
        self._project(before)
        self.terms, self.gradient = self._evaluated()
        self.iteration += 1
        if self.terms.total < self.best_terms.total:
            self.best.copy_(self.picture)
            self.best_terms = self.terms
        elif not self.terms.total <= TOO_FAR * self.best_terms.total or torch.equal(before, self.picture):
            self._restart()
        if self._sum is not None:
            self._sum.lerp_(self.picture, 1 - self.decay)
        return self.terms

    @property
    def average(self) -> Tensor | None:
        """The exponential average of the iterates, free of its start at zero."""
        return self._sum / (1 - self.decay**self.iteration) if self._sum is not None and self.iteration else None

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""
        own = {key: getattr(self, key) for key in STATE}
        terms = {"terms": tuple(self.terms), "best_terms": tuple(self.best_terms)}
        return own | terms | {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was saved, under the same objective."""
        for key in STATE:
            setattr(self, key, state[key])
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
        self.unit = size if size > 0 else 1.0
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        return optimizer_of(self.name, self.picture, self.lr * self.caution, self.history)

    def _move(self) -> None:
        if self.name == "lbfgs":
            first = not self.optimizer.state[self.picture]
            lr = self.picture.numel() * FIRST_STEP * self.caution if first else self.lr
            self.optimizer.param_groups[0]["lr"] = lr
        self.picture.grad = self.gradient / self.unit
        self.optimizer.step(lambda: self.terms.total / self.unit)

    def _project(self, before: Tensor) -> None:
        self.picture.clamp_(0, 1)
        state = self.optimizer.state[self.picture]
        if self.name == "lbfgs" and "d" in state:
            state["d"] = (self.picture - before).flatten() / state["t"]  # the step really made, for the next pair

    def _restart(self) -> None:
        self.picture.copy_(self.best)
        self.restarts += 1
        self.caution /= 2
        self.terms, self.gradient = self._evaluated()
        self._begin()


def state_schema(picture: Tensor, optimizer: str, lr: float | None, history: int, average: float) -> dict[str, Any]:
    """What ``Descent.state_dict`` gives of a ``picture`` like this under these options; see ``Descent``."""
    term = tensor_like(torch.tensor(0.0))
    own: dict[str, Check] = dict.fromkeys(("iteration", "evaluations", "restarts"), whole())
    own |= {"caution": number(0, 1), "unit": number(1e-38, 1e38), "_sum": tensor_like(picture) if average else either(None)}
    own |= {"picture": tensor_like(picture, 0, 1), "best": tensor_like(picture, 0, 1), "gradient": tensor_like(picture)}
    made = optimizer_of(optimizer, picture, OPTIMIZERS[optimizer] if lr is None else lr, history)
    options = lbfgs_schema(made, picture) if optimizer == "lbfgs" else optimizer_schema(made)
    return own | dict.fromkeys(("terms", "best_terms"), (term,) * len(LossTerms._fields)) | {"optimizer": options}


def optimizer_of(name: str, picture: Tensor, lr: float, history: int) -> torch.optim.Optimizer:
    """Adam with the rate ``lr``, or L-BFGS, whose rate every step sets, on ``picture``."""
    if name == "adam":
        return torch.optim.Adam([picture], lr)
    return torch.optim.LBFGS([picture], max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0)


def optimize(objective: Objective, start: Tensor, steps: int = 300, until: float = -math.inf, **options: object) -> Descent:
    """Descend for ``steps`` iterations, or until the objective is no more than ``until``; ``options`` are Descent's.

    The picture is ``best`` of what is returned; ``iteration`` and ``evaluations`` tell what it took:

        descent = optimize(criterion.objective(photo), photo, until=target)
    """
    descent = Descent(objective, start, **options)
    while descent.iteration < steps and descent.best_terms.total > until:
        descent.step()
    return descent
