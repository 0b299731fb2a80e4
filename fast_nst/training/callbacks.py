"""Callbacks of a training: previews with held-out losses, the record for the card, and the list of skipped photographs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from fast_nst.data.datasets import Photos
from fast_nst.data.folders import Fault, listing
from fast_nst.errors import escape_name
from fast_nst.functional.pixels import to_pixels
from fast_nst.imaging.images import save_image
from fast_nst.imaging.sheets import contact_sheet
from fast_nst.runs.state_schema import MOST, Misfit, entries, number, whole
from fast_nst.system.files import write_text

if TYPE_CHECKING:
    from fast_nst.training.module import StyleTransferModule

FIRST_PREVIEW, PREVIEW_PAUSE = 8.0, 60.0  # seconds
JUDGED = 2  # pictures of a preview whose losses are logged


class Previews(pl.Callback):
    """Stylizes a few fixed photographs from time to time: each beside its result in a file, and losses as curves.

    Args:
        photos: each (3, H, W).
        folder: of the files.
        every: steps between two of them (None: after ``FIRST_PREVIEW`` seconds, then each ``PREVIEW_PAUSE`` seconds).
    """

    def __init__(self, photos: list[Tensor], folder: Path, every: int | None) -> None:
        self.photos, self.folder, self.every, self.due = photos, folder, every, 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.due = time.monotonic() + FIRST_PREVIEW

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        step = trainer.global_step
        if time.monotonic() > self.due if self.every is None else step % self.every == 0:
            self.draw(module, f"step={step:06d}.png")
            self.log_losses(module)
            self.due = time.monotonic() + PREVIEW_PAUSE

    def draw(self, module: StyleTransferModule, name: str) -> Path:
        """Write the grid of the present network to ``name`` in the folder."""
        cells = []
        for pair in range(max(len(self.photos), len(module.rows))):  # every photograph and every style at least once
            photo = self.photos[pair % len(self.photos)]
            picture = module.stylize(photo[None], pair % len(module.rows))[0]
            cells += [to_pixels(photo), to_pixels(picture)]
        sheet = contact_sheet([cells[i : i + 4] for i in range(0, len(cells), 4)], cell=320)
        self.folder.mkdir(exist_ok=True)
        save_image(sheet, self.folder / name)
        if isinstance(module.logger, TensorBoardLogger):
            module.logger.experiment.add_image("preview", sheet, module.global_step, dataformats="HWC")
        return self.folder / name

    def log_losses(self, module: StyleTransferModule) -> None:
        """Add the mean terms of the first pictures to TensorBoard's curves."""
        if module.logger is None:
            return
        pairs = [(photo, place % len(module.rows)) for place, photo in enumerate(self.photos[:JUDGED])]
        means = mean_terms([module.held_out_terms(photo, style) for photo, style in pairs])
        module.logger.log_metrics({f"held_out/{name}": value for name, value in means.items()}, module.global_step)


def mean_terms(terms: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each term, rounded to four places."""
    return {name: round(float(np.mean([one[name] for one in terms])), 4) for name in terms[0]}


class Record(pl.Callback):
    """For the card: seconds spent in steps, photographs seen, precision, and losses averaged over about the last 50 steps.

    Logs images/s over all devices, smoothed in the same way. It is part of checkpoints, so that a resumed run counts on.
    """

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step, self.seconds, self.photos = images_per_step, 0.0, 0
        self.losses: dict[str, Tensor] = {}
        self.precision = ""
        self._rate: float | None = None
        self._last: float | None = None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self.precision = str(trainer.precision)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        images = self.images_per_step * trainer.world_size
        self.photos += images
        for name, value in outputs["terms"].items():
            before = self.losses.get(name, value)
            self.losses[name] = torch.where(value.isfinite(), 0.98 * before + 0.02 * value, before)
        now = time.perf_counter()
        if self._last is not None:
            self._count(module, images, now - self._last)
        self._last = now

    def _count(self, module: pl.LightningModule, images: int, seconds: float) -> None:
        self.seconds += seconds
        rate = images / seconds
        self._rate = rate if self._rate is None else 0.95 * self._rate + 0.05 * rate
        module.log("images/s", self._rate)

    def state_dict(self) -> dict:
        losses = {name: float(value) for name, value in self.losses.items()}
        return {"seconds": self.seconds, "photos": self.photos, "losses": losses}

    def schema(self, trainer: pl.Trainer, module: StyleTransferModule, step: int) -> dict:
        return {"seconds": number(0, MOST), "photos": whole(), "losses": entries(number(finite=False), module.term_names)}

    def load_state_dict(self, state: dict) -> None:
        self.seconds, self.photos = state["seconds"], state["photos"]
        self.losses = {name: torch.tensor(value) for name, value in state["losses"].items()}


class SkippedFiles(pl.Callback):
    """Lists the photographs that cannot be used, with the reasons, in a file: at every checkpoint and at the end.

    Args:
        photos: the dataset, which knows what its workers skipped; what other processes skipped is gathered at the end.
        path: of the list.
    """

    def __init__(self, photos: Photos, path: Path) -> None:
        self.photos, self.path = photos, path

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        unlisted = self.photos.unlisted
        if unlisted:
            first = f"{escape_name(next(iter(unlisted)))}: {next(iter(unlisted.values())).words}"
            print(f"{len(unlisted)} files or folders of --data are left out ({first})", file=sys.stderr)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        faults = trainer.strategy.reduce(self.photos.faults.int().to(module.device), reduce_op="max")
        self.photos.faults.copy_(faults)
        self.write()
        if self.photos.skipped:
            shown, count = escape_name(self.path), len(self.photos.skipped)
            rank_zero_only(print)(f"skipped {count} files that could not be used; which and why: {shown}", file=sys.stderr)

    def on_save_checkpoint(self, *_: object) -> None:
        self.write()

    def on_exception(self, *_: object) -> None:
        self.write()

    @rank_zero_only
    def write(self) -> None:
        """Write the list, if there is anything to tell."""
        if self.photos.skipped:
            write_text(self.path, listing(self.photos.skipped))

    def state_dict(self) -> dict:
        return {"faults": self.photos.faults.clone()}

    def schema(self, *_: object) -> dict:
        return {"faults": _faults}

    def load_state_dict(self, state: dict) -> None:
        if len(state["faults"]) == len(self.photos):  # else the folder is another one by now
            self.photos.faults.copy_(torch.maximum(self.photos.faults, state["faults"].cpu()))


def _faults(value: Any, at: str) -> Tensor:
    known = isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim == 1
    if not known or (len(value) and int(value.max()) >= len(Fault)):
        raise Misfit(f"{at} is no list of the photographs' faults")
    return value
