"""Divergence of a training: detected within 50 steps, and answered by a rollback to the last good state at a lower rate.

Each step keeps its terms on its device. Every ``CHECK_EVERY`` steps these, the norm of the weights and three statistics of
the last pictures are read together: one synchronization in ten steps, and no second forward pass. Processes that train
together read the mean of their numbers, and so decide alike.

A sign of divergence compares a run with itself, and counts only when three checks show it. What a healthy run shows at its
start (gray pictures, little structure, a style weight that rises) is no sign, since it follows no better state.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.nn.utils import get_total_norm

from fast_nst.errors import UserError
from fast_nst.runs.state_schema import Misfit, either, entries, flag, moments_schema, number, several, tensor_like, whole
from fast_nst.training.resume_state import callbacks_in

if TYPE_CHECKING:
    from fast_nst.training.module import StyleTransferModule

CHECK_EVERY, SNAPSHOT_EVERY = 10, 50  # steps
SIGNS = ("weights", "objective", "flat", "outside", "lost")
CHECKS = 3  # that must show a sign
ROLLBACKS, RATE_CUT = 3, 0.25
EXPLODED, GROWN = 3.0, 1.3  # times the best objective so far; times the norm of the weights of MEMORY checks before
MEMORY = 5  # checks
FLAT, FLAT_SHARE = 0.02, 0.2  # spread of a picture of one color: in units of [0, 1], and as a share of its photograph's
SAVED_NAMES = {"has_contrast": "lively"}  # of attributes that checkpoints call otherwise
OUTSIDE = 0.7  # share of the values at or beyond black and white, over that of the photographs
USUAL_STRUCTURE, LOST = 0.25, 0.1  # structure r that a run has had, and has lost


class Stats(NamedTuple):
    """Statistics of a run: medians over the last steps, the norm of the weights, and the last pictures.

    ``objective`` is content and style under the full style weight, ``style`` the latter alone; ``weights`` is the norm of
    all weights. Of the pictures: ``flat``, the share that are of one color though their photographs are not;
    ``brightness``, their mean; ``outside``, the share of values at or beyond black and white, over the photographs' share.
    """

    finite: float
    objective: float
    style: float
    structure: float
    weights: float
    flat: float
    brightness: float
    outside: float


@dataclass
class DivergenceDetector:
    """Detector of runs that diverge, by statistics of their last steps.

    Attributes:
        weights: norms of the weights at the last checks, the oldest first.
        best: the lowest objective so far.
        first_style: the style term at the first check.
        structure: what structure r usually is, smoothed over healthy checks.
        has_contrast: whether pictures of more than one color were seen.
        counts: for each sign, checks that showed it less those that did not.
    """

    weights: list[float] = field(default_factory=list)
    best: float = float("inf")
    first_style: float = float("inf")
    structure: float = 0.0
    has_contrast: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether the last check showed no sign, nor did enough of those before."""
        return not any(self.counts.values())

    def update(self, stats: Stats) -> str | None:
        """Count the signs in ``stats``; what is wrong, in a few words, once it is certain."""
        if stats.finite < 1:
            return "a loss or a weight is no number"
        shown = dict(self._shown(stats))
        for sign in {*shown, *self.counts}:
            self.counts[sign] = max(0, self.counts.get(sign, 0) + (1 if sign in shown else -1))
        certain = [words for sign, words in shown.items() if self.counts[sign] >= CHECKS]
        self._remember(stats, healthy=not shown)
        return certain[0] if certain else None

    def start_from(self, weights: float) -> None:
        """Forget the signs after a rollback to weights of this norm; what the run once reached stays known."""
        self.counts, self.weights = {}, [weights]

    def _shown(self, stats: Stats) -> Iterator[tuple[str, str]]:
        if self.weights and stats.weights > GROWN * self.weights[0]:
            yield "weights", f"the weights have grown {stats.weights / self.weights[0]:.1f}-fold"
        if stats.objective > EXPLODED * self.best:
            yield "objective", f"the objective is {stats.objective / self.best:.3g} times its best"
        if self.has_contrast and stats.flat > 0.5:
            color = "black" if stats.brightness < 0.05 else "white" if stats.brightness > 0.95 else "of one color"
            yield "flat", f"the pictures are {color}"
        if stats.outside > OUTSIDE:
            yield "outside", "the pictures are saturated"
        lost = self.structure > USUAL_STRUCTURE and stats.structure < LOST and stats.style < self.first_style
        if lost and stats.objective > stats.style:  # else the content weighs nothing, and a texture is what is wanted
            yield "lost", f"the photograph is lost: structure r {stats.structure:.2f} after {self.structure:.2f}"

    def _remember(self, stats: Stats, healthy: bool) -> None:
        self.weights = [*self.weights, stats.weights][-MEMORY:]
        self.best = min(self.best, stats.objective)
        self.first_style = stats.style if self.first_style == float("inf") else self.first_style
        self.has_contrast = self.has_contrast or stats.flat == 0
        if healthy:
            self.structure = 0.8 * self.structure + 0.2 * stats.structure


def picture_stats(pictures: Tensor, photos: Tensor) -> Tensor:
    """``flat``, ``brightness`` and ``outside`` of Stats, for ``pictures`` of ``photos``, both (B, 3, H, W)."""
    shown = pictures.float().clamp(0, 1)
    spread, of_photos = (values.flatten(2).std(2).mean(1) for values in (shown, photos.float()))  # (B,)
    flat = (spread < FLAT) & (spread < FLAT_SHARE * of_photos)
    outside, of_photo = (((values <= 0) | (values >= 1)).float().mean() for values in (pictures, photos))
    return torch.stack([flat.float().mean(), shown.mean(), outside - of_photo])


class DivergenceGuard(pl.Callback):
    """Rolls back a run that diverges: weights, moments of the optimizer and the average of the weights, not the steps.

    Steps, photographs and schedules go on, so that the same batch does not come again; the learning rate is
    ``RATE_CUT`` times what it was from then on. The third rollback is the last. All of this is kept in checkpoints.

    Args:
        every: steps between checkpoints, none of which is saved with weights that are no numbers.
    """

    def __init__(self, every: int) -> None:
        self.every, self.step, self.rollbacks, self.kept = every, 0, 0, ""
        self.detector, self._saved = DivergenceDetector(), False
        self.good: dict[str, Any] = {}  # network, optimizer and averages at the last healthy check
        self.rows: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.step = trainer.global_step
        if trainer.ckpt_path and self.detector.is_healthy:
            self.kept = str(trainer.ckpt_path)
        elif trainer.ckpt_path and self.kept:
            self.kept = str(Path(trainer.ckpt_path).with_name(self.kept))
        if not self.good:
            self._keep(trainer, module, get_total_norm(module.parameters()).item())
        if not self.detector.weights:  # a resumed run knows those of its last checks
            self.detector.start_from(self.good["weights"])

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.rows.append(_row(module, outputs["terms"]))
        if self._saved and trainer.checkpoint_callback:
            self.kept, self._saved = getattr(trainer.checkpoint_callback, "best_model_path", ""), False
        if trainer.global_step == self.step:
            return  # gradients are being gathered over several batches
        self.step = trainer.global_step
        checking, saving = self.step % CHECK_EVERY == 0, self.step % self.every == 0
        if checking or saving:
            stats = self._stats(trainer, module, outputs["pictures"], batch)
            wrong = self.detector.update(stats) if checking or stats.finite < 1 else None
            self._act(trainer, module, stats, wrong)
        if checking:
            self.rows.clear()

    def _act(self, trainer: pl.Trainer, module: StyleTransferModule, stats: Stats, wrong: str | None) -> None:
        if wrong is not None:
            self._roll_back(trainer, module, wrong)
        elif self.detector.is_healthy and (self.step % SNAPSHOT_EVERY == 0 or self.step % self.every == 0):
            self._keep(trainer, module, stats.weights)

    @torch.no_grad()
    def _stats(self, trainer: pl.Trainer, module: pl.LightningModule, pictures: Tensor, photos: Tensor) -> Stats:
        rows = torch.stack(self.rows)
        weights = get_total_norm(module.parameters())
        finite = rows.isfinite().all() & weights.isfinite()
        seen = [finite.float()[None], rows[:, 1:].median(0).values, weights[None], picture_stats(pictures, photos)]
        return Stats(*trainer.strategy.reduce(torch.cat(seen), reduce_op="mean").tolist())

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule, weights: float) -> None:
        """Make the present state the good one."""
        state = {"network": module.state_dict(), "optimizer": trainer.optimizers[0].state_dict()["state"]}
        state["averages"] = [average.state_dict() for average in _averages(trainer)]
        self.good = {"step": self.step, "weights": weights, **deepcopy(state)}

    def _roll_back(self, trainer: pl.Trainer, module: StyleTransferModule, wrong: str) -> None:
        if self.rollbacks == ROLLBACKS:
            raise UserError(
                f"the training diverged again at step {self.step}, after {ROLLBACKS} rollbacks: {wrong}; start anew with "
                f"--optimizer.learning_rate below {module.rate_factor * module.settings.learning_rate:.2g}, with a lower "
                f"--loss.style_weight, or with --trainer.precision 32; last good checkpoint: {self.kept or 'none yet'}"
            )
        self.rollbacks += 1
        self._restore(trainer, module)
        self.detector.start_from(self.good["weights"])
        self.rows.clear()
        if trainer.is_global_zero:
            print(
                f"\nstep {self.step}: {wrong}; back to the state of step {self.good['step']}, with {module.rate_factor:.3g} "
                f"of the learning rate ({self.rate(trainer):.3g} now; rollback {self.rollbacks} of {ROLLBACKS})",
                file=sys.stderr,
            )

    def _restore(self, trainer: pl.Trainer, module: StyleTransferModule) -> None:
        good, optimizer = deepcopy(self.good), trainer.optimizers[0]
        module.load_state_dict(good["network"])
        optimizer.load_state_dict({"state": good["optimizer"], "param_groups": optimizer.state_dict()["param_groups"]})
        for average, state in zip(_averages(trainer), good["averages"], strict=True):
            average.load_state_dict(state)
        module.rate_factor *= RATE_CUT
        for group in optimizer.param_groups:  # the schedule gives the next steps theirs
            group["lr"] *= RATE_CUT

    @staticmethod
    def rate(trainer: pl.Trainer) -> float:
        """The learning rate of the next step."""
        return trainer.optimizers[0].param_groups[0]["lr"]

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._saved = self.detector.is_healthy  # its path is known after the step

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs; the good one only where it is not the checkpoint's own."""
        good = None if not self.good or self.good["step"] == self.step else self.good
        rows = torch.stack(self.rows).cpu() if self.rows else None
        kept = Path(self.kept).name  # the folder may be another one by then
        signs = {SAVED_NAMES.get(name, name): value for name, value in asdict(self.detector).items()}
        return {"rollbacks": self.rollbacks, "kept": kept, "signs": signs, "good": good, "rows": rows}

    def schema(self, trainer: pl.Trainer, module: StyleTransferModule, step: int) -> dict[str, Any]:
        """The names and shapes of ``state_dict`` in this run, at ``step``."""
        weights, loose = module.state_dict(), number(finite=False)
        average = {f"module.{name}": value for name, value in weights.items()} | {
            "n_averaged": tensor_like(torch.tensor(0), 0)
        }
        averages = [average for callback in callbacks_in(trainer) if isinstance(callback, WeightAveraging)]
        moments = moments_schema(module.configure_optimizers()["optimizer"])
        good = {"step": whole(0, step), "weights": loose, "network": weights, "optimizer": moments, "averages": averages}
        floats = dict.fromkeys(("best", "first_style", "structure"), loose)
        signs = {"weights": several(loose, MEMORY), **floats, "lively": flag, "counts": entries(whole(), SIGNS)}
        return {
            "rollbacks": whole(0, ROLLBACKS),
            "kept": _checkpoint_name,
            "signs": signs,
            "good": either(None, good),
            "rows": either(None, _rows),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rollbacks, self.kept, self.good = state["rollbacks"], state["kept"], state["good"] or {}
        names = {saved: name for name, saved in SAVED_NAMES.items()}
        self.detector = DivergenceDetector(**{names.get(name, name): value for name, value in state["signs"].items()})
        self.rows = [] if state["rows"] is None else list(state["rows"])


def _row(module: StyleTransferModule, terms: dict[str, Tensor]) -> Tensor:
    """Of one step: the total, objective and style under the full style weight, and structure r, shape (4,)."""
    style = terms["style"] / module.style_share()
    return torch.stack([terms["total"], terms["content"] + style, style, terms["structure"]]).float()


def _rows(value: Any, at: str) -> Tensor:
    """A table of ``_row`` for each batch since the last check."""
    known = isinstance(value, Tensor) and value.is_floating_point() and value.ndim == 2 and value.shape[1] == 4
    if not known or not 0 < len(value) < 1 << 16:
        raise Misfit(f"{at} is no table of four numbers for each step")
    return value


def _checkpoint_name(value: Any, at: str) -> str:
    """The name of a checkpoint, of an older fast_nst the end of its path; anything else is none."""
    name = re.split(r"[/\\]", value)[-1] if isinstance(value, str) else ""
    return name if len(name) < 200 and name.isprintable() and re.fullmatch(r"step=\S+\.ckpt|last\.ckpt", name) else ""


def _averages(trainer: pl.Trainer) -> list[torch.nn.Module]:
    found = [callback._average_model for callback in callbacks_in(trainer) if isinstance(callback, WeightAveraging)]
    return [average for average in found if average is not None]
