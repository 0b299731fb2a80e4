"""Optimization of one picture at one or several scales, from coarse to fine: each scale starts from the last one's result.

Departures from Gatys et al. (2016): they work at one size; the scales follow Gatys et al. (2017),
https://arxiv.org/abs/1611.07865, sec. 6.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from fast_nst.errors import UserError, escape_name
from fast_nst.functional.color import with_colors_of
from fast_nst.functional.pixels import to_pixels
from fast_nst.losses.image_loss import ImageLoss, Style
from fast_nst.losses.terms import LossTerms
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.optimization.descent import Descent, state_schema
from fast_nst.optimization.sources import Sources, load_sources, loss_network, resized
from fast_nst.runs.state_schema import MOST, matched, number, whole
from fast_nst.settings.optimize import OptimizeSettings


class Optimization:
    """One optimized picture: ``run``, or ``step`` until ``finished``; then ``result``.

    Args:
        settings: the pictures and how to combine them.
        sources: the pictures (none: opened here).
        network: the loss network (none: loaded here).
    Raises:
        UserError: anything wrong with the settings, the pictures or the weights.
    """

    descent: Descent
    loss: ImageLoss

    def __init__(
        self, settings: OptimizeSettings, sources: Sources | None = None, network: LossNetwork | None = None
    ) -> None:
        self.settings, self.sources = settings, sources or load_sources(settings)
        self.device = device_of(settings)
        self.network = (network or loss_network(settings)).to(self.device)
        self.sizes = self.sources.sizes()
        self.seconds, self.before, self.evaluated = 0.0, 0, 0  # seconds in steps; steps and evaluations at earlier scales
        self._enter(0, self.sources.start_at(self.sizes[0]))

    def run(self, callbacks: Sequence[Callback] = (), label: str = "") -> Optimization:
        """Make all steps that are left under a progress bar; ``callbacks`` are called before the first and after each."""
        for callback in callbacks:
            callback(self)
        for _ in self._steps_left(label):
            for callback in callbacks:
                callback(self)
        return self

    def step(self) -> LossTerms:
        """Make one iteration, at the next scale where one is done, and return the objective after it."""
        begun = time.perf_counter()
        if self.descent.iteration >= self._steps_at(self.scale):
            self.before += self.descent.iteration
            self.evaluated += self.descent.evaluations
            larger = F.interpolate(self._picture(), self.sizes[self.scale + 1], mode="bicubic", align_corners=False)
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
        """Evaluations of the objective and its gradient, at all scales."""
        return self.evaluated + self.descent.evaluations

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, at all scales."""
        return self.before + sum(self._steps_at(scale) for scale in range(self.scale, len(self.sizes)))

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.iteration >= self.total_steps

    def result(self) -> Tensor:
        """The picture so far, shape (1, 3, H, W), in the colors asked for: the best step, or the average of steps."""
        picture = self._picture()
        if self.settings.colors != "luminance":
            return picture
        assert self.sources.photo is not None  # as the settings ask for one
        photo = resized(self.sources.photo, (picture.shape[-2], picture.shape[-1]))
        return with_colors_of(picture, photo.to(picture.device))

    def pixels(self) -> np.ndarray:
        """``result`` as uint8 RGB (H, W, 3)."""
        return to_pixels(self.result()[0])

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """The terms of the objective of the result, before the photograph's colors are restored, and structure r if any."""
        terms = self.loss(self._picture())._asdict() if self.settings.average else self.descent.best_terms._asdict()
        found = {key: float(value) for key, value in terms.items()} | {"structure": self.loss.structure(self._picture())}
        return {key: value for key, value in found.items() if not math.isnan(value)}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        own = {key: getattr(self, key) for key in ("scale", "seconds", "before", "evaluated")}
        return own | {"descent": self.descent.state_dict()}

    def schema(self, scale: Any) -> dict[str, Any]:
        """The schema of ``state_dict`` at a ``scale``; raises a Misfit where there is no such scale."""
        settings, size = self.settings, self.sizes[matched(whole(0, len(self.sizes) - 1), scale, "scale")]
        counts = dict.fromkeys(("before", "evaluated"), whole())
        own = {"scale": whole(), "seconds": number(0, MOST), **counts}
        return own | {"descent": state_schema(torch.zeros(1, 3, *size), **_descent_options(settings))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a ``state`` that was saved under the same settings."""
        descent = {key: _to(value, self.device) for key, value in state["descent"].items()}
        self._enter(state["scale"], descent["best"])
        self.seconds, self.before, self.evaluated = state["seconds"], state["before"], state["evaluated"]
        self.descent.load_state_dict(descent)

    def _picture(self) -> Tensor:
        average = self.descent.average
        return self.descent.best if average is None else average

    def _enter(self, scale: int, picture: Tensor) -> None:
        """Begin a scale with ``picture``."""
        self.descent = self.loss = None  # type: ignore[assignment]  # two scales are never in memory at once
        self.scale, self.loss = scale, self._loss_at(self.sizes[scale])
        self.descent = Descent(self.loss, picture.to(self.device), **_descent_options(self.settings))

    def _loss_at(self, size: tuple[int, int]) -> ImageLoss:
        settings, pictures = self.settings, self.sources.styles_at(size)
        shares = settings.shares or [1.0] * len(pictures)
        styles = [
            Style(picture.to(self.device), share, _to(mask, self.device))
            for picture, share, mask in zip(pictures, shares, self.sources.masks_at(size), strict=True)
        ]
        return ImageLoss(
            self.network,
            _to(self.sources.photo_at(size), self.device),
            styles,
            settings.loss,
            formula=settings.formula,
            statistic=settings.statistic,
            bfloat16=settings.precision == "bfloat16",
            low_memory=settings.low_memory,
        )

    def _steps_at(self, scale: int) -> int:
        later = self.settings.fine_steps or max(1, self.settings.steps // 2)
        return later if scale else self.settings.steps

    def _steps_left(self, label: str) -> Iterator[LossTerms]:
        """Make all steps that are left, under a bar that shows the terms of the objective."""
        hidden, name = not self.settings.progress, escape_name(label) or None
        with tqdm(desc=name, total=self.total_steps, initial=self.iteration, disable=hidden) as bar:
            while not self.finished:
                terms = self.step()
                shown = {name: f"{float(value):.3g}" for name, value in terms._asdict().items() if name != "structure"}
                bar.set_postfix(shown, refresh=False)
                bar.update()
                yield terms


Callback = Callable[[Optimization], None]


def device_of(settings: OptimizeSettings) -> torch.device:
    """The device that ``settings`` ask for; auto is the GPU where there is one."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if settings.device == "auto":
        return torch.device(next(name for name, available in here.items() if available))
    if not here[settings.device]:
        raise UserError(f"--device {settings.device} needs a GPU that torch can use, there is none; use --device cpu")
    return torch.device(settings.device)


def _descent_options(settings: OptimizeSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("optimizer", "learning_rate", "history", "average")}


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
