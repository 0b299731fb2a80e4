"""One optimisation, from settings to a run folder with the picture, its stages, its state and a card.

A picture is worked out scale after scale (coarse to fine), each starting from the result of the one before, enlarged.
Everything that can be wrong with the settings is found before the folder is made.

Departures from Gatys et al. (2016): they work at one size; the scales follow Gatys et al. (2017),
https://arxiv.org/abs/1611.07865, sec. 6.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from fast_nst.checkpoints import newest_whole, write_checkpoint
from fast_nst.colours import with_colours_of
from fast_nst.data import to_pixels
from fast_nst.errors import Stopped, UserError
from fast_nst.files import check_writable, write_text
from fast_nst.film import Film, check_film
from fast_nst.gatys import Descent, state_schema
from fast_nst.image_loss import ImageLoss, Style
from fast_nst.images import SUFFIXES, labelled_sheet, load_image, save_image
from fast_nst.losses import LossTerms
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.optimization_card import card_of, readme_of
from fast_nst.optimization_settings import STARTS, OptimizeSettings
from fast_nst.run_folder import RunFolder
from fast_nst.sources import (
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
from fast_nst.state_schema import MOST, Misfit, matched, number, whole
from fast_nst.stopping import StopSignals

STRIP_COLUMNS = 6


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
        return with_colours_of(picture, resized(self.sources.photo, picture.shape[-2:]).to(picture.device))

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


@dataclass
class Run:
    """A finished run: where things lie, and what is known of it."""

    folder: RunFolder
    output: Path
    card: dict


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


def optimize(settings: OptimizeSettings) -> Run:
    """Paint a picture as ``settings`` say, and fill its run folder.

    Raises:
        UserError: anything wrong with the settings, the pictures, the weights, the output or the folder, or a full disk.
        Stopped: a signal asked for an end; what was done until then is saved.
    """
    with StopSignals() as signals:
        return _optimize(settings, signals)


def _optimize(settings: OptimizeSettings, signals: StopSignals) -> Run:
    resolved = _resolved(settings)
    folder = RunFolder(settings.checkpoints, resolved.name)
    config = {key: value for key, value in asdict(resolved).items() if key not in ("resume", "overwrite")}
    output = Path(settings.output or folder.path / "result.png")
    check_outputs(output, settings.video)
    folder.check(config, settings.resume, settings.overwrite)
    optimization = Optimization(settings)
    newest = newest_whole(folder) if settings.resume else None
    if newest:
        optimization.load_state_dict(_accepted(newest[1], optimization, newest[0]))
    folder.claim(config, settings.resume, settings.overwrite)
    try:
        with ExitStack() as stack, signals.waiting():
            paint(optimization, [*_watchers(optimization, folder, stack), StopBetweenSteps(signals, folder.last)])
        return _finish(optimization, folder, output)
    finally:
        folder.release()


def _accepted(state: dict[str, Any], optimization: Optimization, path: Path) -> dict[str, Any]:
    """What of ``state``, read from ``path``, this optimization may go on from: nothing but what its schema names."""
    try:
        return matched(optimization.schema(state.get("scale")), state)
    except Misfit as error:
        raise UserError(f"{path} is no state of this run: {error}; start again with --overwrite") from error


def check_outputs(output: Path, video: str | None = None) -> None:
    """Raise a UserError where the picture or the film could not be written in the end."""
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write {output}: choose a name that ends in one of {' '.join(sorted(SUFFIXES))}")
    check_writable(output)
    if video:
        check_film(video)
        check_writable(video)


class Stages:
    """Saves numbered pictures of the way, ``step=000100-loss=1.23.png``, every so many steps."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def __call__(self, optimization: Optimization) -> None:
        step = optimization.iteration
        if step % self.every == 0 or optimization.finished:
            loss = float(optimization.descent.best_terms.total)
            for older in self.folder.glob(f"step={step:06d}-*.png"):
                older.unlink()
            save_image(optimization.pixels(), self.folder / f"step={step:06d}-loss={loss:.3g}.png")


class States:
    """Saves the state every so many steps, and at the end."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def __call__(self, optimization: Optimization) -> None:
        if optimization.iteration and (optimization.iteration % self.every == 0 or optimization.finished):
            write_checkpoint(optimization.state_dict(), self.path)


class StopBetweenSteps:
    """Saves the state and ends the run after the step in which a signal came."""

    def __init__(self, signals: StopSignals, path: Path) -> None:
        self.signals, self.path = signals, path

    def __call__(self, optimization: Optimization) -> None:
        if self.signals.asked and optimization.iteration:
            write_checkpoint(optimization.state_dict(), self.path)
            way = "the same command with --resume goes on from there"
            raise Stopped(self.signals.asked, f"stopped at step {optimization.iteration}; {way}")


def stage_strip(folder: Path, cell: int = 256) -> np.ndarray:
    """The pictures that ``Stages`` saved, in order, labelled with their steps and objectives."""
    cells = []
    for path in sorted(folder.glob("step=*.png")):
        step, loss = (part.split("=")[1] for part in path.stem.split("-", 1))
        cells.append((f"step {int(step)}, loss {loss}", load_image(path, cell)))
    return labelled_sheet([cells[i : i + STRIP_COLUMNS] for i in range(0, len(cells), STRIP_COLUMNS)], cell)


def device_of(settings: OptimizeSettings) -> torch.device:
    """The device that ``settings`` ask for; auto is the GPU where there is one."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda needs a GPU that torch can use, there is none; use --device cpu")
    return torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")


def _watchers(optimization: Optimization, folder: RunFolder, stack: ExitStack) -> list[Watcher]:
    settings = optimization.settings
    watchers: list[Watcher] = [States(folder.last, settings.checkpoint_every)]
    if settings.save_every:
        watchers.append(Stages(folder.stages, settings.save_every))
    if settings.video:
        shown = -(-optimization.iteration // settings.video_every)  # pictures of steps before the present one
        film = stack.enter_context(Film(settings.video, optimization.sizes[-1], keep=shown))
        watchers.append(lambda now: film.add(now.pixels()) if now.iteration % settings.video_every == 0 else None)
    return watchers


def _finish(optimization: Optimization, folder: RunFolder, output: Path) -> Run:
    pixels, card = optimization.pixels(), card_of(optimization.settings, folder.name, _record(optimization))
    save_image(pixels, folder.path / "result.png")
    if output.resolve() != (folder.path / "result.png").resolve():
        save_image(pixels, output)
    if optimization.settings.save_every:
        save_image(stage_strip(folder.stages), folder.path / "stages.png")
    write_text(folder.card, json.dumps(card, indent=2) + "\n")
    write_text(folder.readme, readme_of(card))
    return Run(folder, output, card)


def _record(optimization: Optimization) -> dict[str, Any]:
    return {
        "size": list(optimization.sizes[-1]),
        "steps": optimization.iteration,
        "evaluations": optimization.evaluations,
        "restarts": optimization.descent.restarts,
        "seconds": round(optimization.seconds, 1),
        "losses": {name: float(f"{value:.5g}") for name, value in optimization.measures().items()},
    }


def _resolved(settings: OptimizeSettings) -> OptimizeSettings:
    """``settings`` with the name filled in and paths absolute, so that the config works from any folder."""
    stems = [Path(path).stem for path in (settings.content, *settings.styles) if path]
    values: dict[str, Any] = {"name": settings.name or "_".join(stems)[:80]}
    for key in ("content", "output", "loss_weights", "checkpoints", "video"):
        values[key] = _absolute(getattr(settings, key))
    paths = [_absolute(path) for path in settings.styles]
    values["style"] = paths[0] if isinstance(settings.style, str) else paths or None
    values["masks"] = [_absolute(path) for path in settings.masks]
    values["start"] = settings.start if settings.start in STARTS else _absolute(settings.start)
    return replace(settings, **values)


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().resolve())


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
