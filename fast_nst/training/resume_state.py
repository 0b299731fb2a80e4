"""The part of a checkpoint that a Lightning run restores: what ``accepted`` lets pass, since the file may be untrusted.

Accepted are tensors of the shapes that this run has, numbers within bounds, and the states of callbacks that describe them
with a method ``schema(trainer, module, step)``. Paths are never restored: Lightning's own callback removes whatever lies at
the paths that its state names, whole folders included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from pytorch_lightning.plugins import CheckpointIO

from fast_nst.errors import UserError
from fast_nst.runs.state_schema import (
    MOST,
    Misfit,
    entries,
    flag,
    matched,
    number,
    optimizer_schema,
    schedule_schema,
    tensor_like,
    whole,
)

VERSION = "pytorch-lightning_version"
STEP_OF_LOOPS = "epoch_loop.automatic_optimization.optim_progress"
MOST_GATHERED = 1024  # batches for one step
IN_EPOCH = {"ready": 1, "started": 1, "processed": 0, "completed": 0}  # the one epoch ends with the steps, not with a limit


class Saver(ModelCheckpoint):
    """Lightning's ModelCheckpoint without a state: nothing of it goes into a checkpoint or comes out of one."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing."""


class OwnFiles(CheckpointIO):
    """Writes with ``writer``, gives the accepted ``content`` to read, and removes nothing but checkpoints of ``folder``.

    Args:
        names: the pattern of the checkpoints' names.
    """

    def __init__(self, writer: CheckpointIO, folder: Path, names: str, content: dict[str, Any] | None) -> None:
        self.writer, self.folder, self.names, self.content = writer, folder, names, content

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        self.writer.save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: str | Path, *_: object, **__: object) -> dict[str, Any]:
        if self.content is None:
            raise UserError(f"{path} is no checkpoint that this run goes on from; remove it")
        return self.content

    def remove_checkpoint(self, path: str | Path) -> None:
        path = Path(path)
        own = path.parent.resolve() == self.folder.resolve() and re.fullmatch(self.names, path.name)
        if own and path.is_file() and not path.is_symlink():
            path.unlink()

    def teardown(self) -> None:
        self.writer.teardown()


def accepted(content: dict[str, Any], trainer: pl.Trainer, module: pl.LightningModule, path: Path) -> dict[str, Any]:
    """The part of ``content``, the checkpoint at ``path``, that this run may go on from.

    Raises:
        UserError: it is no checkpoint of such a run.
    """
    try:
        return _accepted(content, trainer, module)
    except Misfit as error:
        raise UserError(f"{path} is no checkpoint of this run: {error}; start again with --overwrite") from error


def _accepted(content: dict[str, Any], trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    step = matched(whole(), content.get("global_step"), "global_step")
    made: Any = module.configure_optimizers()
    weights = module.state_dict()
    schema = {
        "epoch": whole(0, 1),
        VERSION: _version,
        "state_dict": weights,
        "optimizer_states": [optimizer_schema(made["optimizer"])],
        "lr_schedulers": [schedule_schema(made["lr_scheduler"]["scheduler"], step)],
    }
    may = {"current_model_state": weights, "averaging_state": {"n_averaged": tensor_like(torch.tensor(0), 0, MOST)}}
    may |= getattr(module, "checkpoint_schema", {})
    may |= _precision(trainer)
    found = matched(schema, {name: content.get(name) for name in schema})
    found |= matched(entries(may, may), {name: content[name] for name in may if name in content})
    found["loops"] = {"fit_loop": _loop(content.get("loops"), trainer, step)}
    found["callbacks"] = _callbacks(content.get("callbacks"), trainer, module, step)
    return found | {"global_step": step}


def _version(value: Any, at: str) -> str:
    """Lightning's version, by which it changes checkpoints of older ones."""
    if not isinstance(value, str) or not re.fullmatch(r"2\.\d{1,4}(\.\d{1,4}){0,2}([a-z.+-][\w.+-]{0,20})?", value):
        raise Misfit(f"{at} is no version 2 of Lightning")
    return ".".join(re.findall(r"\d+", value)[:3])


def _precision(trainer: pl.Trainer) -> dict[str, Any]:
    """The scale of the gradients in float16."""
    plugin = trainer.precision_plugin
    own = plugin.state_dict()
    bounds = {name: whole() if type(value) is int else number(0, 1e30) for name, value in own.items()}
    return {type(plugin).__qualname__: bounds} if own else {}


def _loop(value: Any, trainer: pl.Trainer, step: int) -> dict[str, Any]:
    loops = value.get("fit_loop") if isinstance(value, Mapping) else None
    found = _counted(trainer.fit_loop.state_dict(), loops, "loops.fit_loop")
    made = found[STEP_OF_LOOPS]["optimizer"]["step"]["total"]["completed"]
    batches = found["epoch_loop.batch_progress"]["current"].values()
    wrong = made != step or max(batches) - min(batches) > 1 or not step <= max(batches) <= MOST_GATHERED * step
    if wrong or max(found["epoch_progress"]["current"].values()) > 1:
        raise Misfit(f"loops.fit_loop does not count to step {step}")
    found["epoch_progress"] = {part: dict(IN_EPOCH) for part in ("total", "current")}
    found["epoch_loop.batch_progress"]["is_last_batch"] = False
    return found


def _counted(own: Any, value: Any, at: str) -> Any:
    """Counters and flags where ``own`` has them, and nothing else."""
    if isinstance(own, dict):
        if not isinstance(value, Mapping):
            raise Misfit(f"{at} has no entries")
        return {name: _counted(part, value.get(name, part), f"{at}.{name}") for name, part in own.items()}
    return matched(flag if isinstance(own, bool) else whole(), value, at)


def _callbacks(value: Any, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Misfit("callbacks has no entries")
    found = {}
    for callback in callbacks_in(trainer):
        if callback.state_key in value and (schema := _schema_of(callback, trainer, module, step)):
            found[callback.state_key] = matched(schema, value[callback.state_key], f"callbacks.{callback.state_key}")
    return found


def callbacks_in(trainer: pl.Trainer) -> list[pl.Callback]:
    """The callbacks of ``trainer``."""
    return trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it from another class


def _schema_of(callback: pl.Callback, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> Any:
    if isinstance(callback, WeightAveraging):
        return {"latest_update_step": whole(0, step)}
    return callback.schema(trainer, module, step) if hasattr(callback, "schema") else None
