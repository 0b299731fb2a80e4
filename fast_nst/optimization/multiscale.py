"""The optimisation of one picture, coarse to fine.

It is worked out scale after scale, each starting from the result of the one before, enlarged.

Departures from Gatys et al. (2016): they work at one size; the scales follow Gatys et al. (2017),
https://arxiv.org/abs/1611.07865, sec. 6.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.functional.color import with_colors_of
from fast_nst.functional.pixels import to_pixels
from fast_nst.losses.image_loss import ImageLoss, Style
from fast_nst.losses.terms import LossTerms
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.optimization.descent import Descent, state_schema
from fast_nst.optimization.sources import (
    Sources,
    load_sources,
    loss_network,
    masks_at,
    photo_at,
    resized,
    scale_sizes,
    start_at,
    styles_at,
)
from fast_nst.runs.state_schema import MOST, matched, number, whole
from fast_nst.settings.optimize import OptimizeSettings


class Optimization:
    """A picture in the making: ``step`` until ``finished``, then ``result``.

    Args:
        settings: what to paint and how.
        sources: the pictures (none: opened here).
        network: the loss network (none: loaded here).
    Raises:
        UserError: anything wrong with the settings, the pictures or the weights.
    """

    def __init__(
        self, settings: OptimizeSettings, sources: Sources | None = None, network: LossNetwork | None = None
    ) -> None:
        self.settings, self.sources = settings, sources or load_sources(settings)
        self.device = device_of(settings)
        self.network = (network or loss_network(settings)).to(self.device)
        self.sizes = scale_sizes(settings, self.sources)
        self.seconds, self.before, self.evaluated = 0.0, 0, 0  # of steps and evaluations at earlier scales
        self._enter(0, start_at(settings, self.sources, self.sizes[0]))

    def step(self) -> LossTerms:
        """Make one iteration, at the next scale where one is done, and return the objective after it."""
        begun = time.perf_counter()
        if self.descent.iteration >= self._steps(self.scale):
            self.before += self.descent.iteration
            self.evaluated += self.descent.evaluations
            larger = F.interpolate(self._raw(), self.sizes[self.scale + 1], mode="bicubic", align_corners=False)
            self._enter(self.scale + 1, larger.clamp(0, 1))
        terms = self.descent.step()
        self.seconds += time.perf_counter() - begun
        return terms

    @property
    def iteration(self) -> int:
        """Steps made, at all scales."""
        return self.before + self.descent.iteration

    @property
    def evaluations(self) -> int:
        """How often the objective and its gradient were computed, at all scales."""
        return self.evaluated + self.descent.evaluations

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, at all scales."""
        return self.before + sum(self._steps(scale) for scale in range(self.scale, len(self.sizes)))

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.iteration >= self.total_steps

    def result(self) -> Tensor:
        """The picture so far, shape (1, 3, H, W), in the colours asked for: the best step, or the average of steps."""
        picture = self._raw()
        if self.settings.colours != "luminance":
            return picture
        return with_colors_of(picture, resized(self.sources.photo, picture.shape[-2:]).to(picture.device))

    def pixels(self) -> np.ndarray:
        """``result`` as uint8 RGB (H, W, 3)."""
        return to_pixels(self.result()[0])

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """The terms of the objective for the result, before its colours are put back, and structure r where it has one."""
        terms = self.loss(self._raw())._asdict() if self.settings.average else self.descent.best_terms._asdict()
        found = {key: float(value) for key, value in terms.items()} | {"structure": self.loss.structure(self._raw())}
        return {key: value for key, value in found.items() if not math.isnan(value)}

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as tensors and plain values."""
        own = {key: getattr(self, key) for key in ("scale", "seconds", "before", "evaluated")}
        return own | {"descent": self.descent.state_dict()}

    def schema(self, scale: Any) -> dict[str, Any]:
        """What ``state_dict`` gives at a ``scale``; raises a Misfit where there is no such scale."""
        settings, size = self.settings, self.sizes[matched(whole(0, len(self.sizes) - 1), scale, "scale")]
        options = settings.optimizer, settings.lr, settings.history, settings.average
        counts = dict.fromkeys(("before", "evaluated"), whole())
        own = {"scale": whole(), "seconds": number(0, MOST), **counts}
        return own | {"descent": state_schema(torch.zeros(1, 3, *size), *options)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was saved, under the same settings."""
        descent = {key: _to(value, self.device) for key, value in state["descent"].items()}
        self._enter(state["scale"], descent["best"])
        self.descent.load_state_dict(descent)
        self.seconds, self.before, self.evaluated = state["seconds"], state["before"], state["evaluated"]

    def _raw(self) -> Tensor:
        average = self.descent.average
        return self.descent.best if average is None else average

    def _enter(self, scale: int, picture: Tensor) -> None:
        settings, size = self.settings, self.sizes[scale]
        photo, pictures = photo_at(settings, self.sources, size), styles_at(settings, self.sources, size)
        shares, masks = settings.shares or [1.0] * len(pictures), masks_at(self.sources, size)
        styles = [
            Style(style.to(self.device), share, _to(mask, self.device))
            for style, share, mask in zip(pictures, shares, masks, strict=True)
        ]
        formula, half = (settings.formula, settings.statistic), settings.precision == "bfloat16"
        self.descent = self.loss = None  # so that two scales are never in memory at once
        self.loss = ImageLoss(
            self.network, _to(photo, self.device), styles, settings.loss, *formula, half, settings.low_memory
        )
        self.descent = Descent(
            self.loss, picture.to(self.device), settings.optimizer, settings.lr, settings.history, settings.average
        )
        self.scale = scale

    def _steps(self, scale: int) -> int:
        later = self.settings.fine_steps or max(1, self.settings.steps // 2)
        return later if scale else self.settings.steps


Watcher = Callable[[Optimization], None]


def paint(optimization: Optimization, watchers: list[Watcher], label: str = "") -> Optimization:
    """Make all steps that are left, showing progress; ``watchers`` are called before the first and after every step."""
    for watch in watchers:
        watch(optimization)
    for _ in progress(optimization, label):
        for watch in watchers:
            watch(optimization)
    return optimization


def progress(optimization: Optimization, label: str = "") -> Iterator[LossTerms]:
    """Make all steps that are left, under a bar that shows the terms of the objective."""
    total, done = optimization.total_steps, optimization.iteration
    with tqdm(total=total, initial=done, desc=label or None, disable=not optimization.settings.progress) as bar:
        while not optimization.finished:
            terms = optimization.step()
            shown = {name: f"{float(value):.3g}" for name, value in terms._asdict().items() if name != "structure"}
            bar.set_postfix(shown, refresh=False)
            bar.update()
            yield terms


def device_of(settings: OptimizeSettings) -> torch.device:
    """The device that ``settings`` ask for; auto is the GPU where there is one."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda needs a GPU that torch can use, there is none; use --device cpu")
    return torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
